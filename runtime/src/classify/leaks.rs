//! Leaks: heads and what they retain.

use crate::base::Errno;
use crate::harvest::Resident;
use crate::heap::{Chunk, ChunkId, Provider, Tag};
use crate::mem::{MapVec, ReadMemory};
use crate::scan::{Bits, Marks};

use super::components::Components;
use super::graph::{Graph, Vertex};

/// The class of a chunk that no strong root reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Nothing points to it, or only its own cycle does: the head of that cycle.
    Direct,
    /// An unreachable chunk points to it.
    Indirect,
    /// Only a weak root, or a mapping that nothing reaches, points to it or to what holds it.
    Possible,
}

/// A finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leak {
    /// Its number in the view of the heap.
    pub id: ChunkId,
    /// The chunk.
    pub chunk: Chunk,
    /// Its class.
    pub kind: Kind,
    /// A direct chunk that holds it: itself unless `kind` is indirect. Of several the first by call stack, and then by address.
    pub head: ChunkId,
    /// For a direct chunk: bytes asked for, of it and of the indirect chunks that have it for a head and would be freed with
    /// the direct chunks of its call stack: no other holds them. Else its own.
    pub retained_bytes: usize,
    /// For a direct chunk: how many chunks that is. Else 1.
    pub retained_objects: usize,
}

/// Classifies every chunk that is not marked strong. Direct and indirect leaks come first, by address, then the possible
/// ones, by address: the order depends on nothing else. Fails only when memory for our own arrays cannot be had.
pub fn classify(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    resident: &Resident,
    marks: &Marks,
) -> Result<MapVec<Leak>, Errno> {
    let graph = Graph::new(provider, memory, resident, marks)?;
    let components = Components::new(&graph)?;
    let mut leaks = MapVec::new();
    leaks.reserve(graph.len())?;
    for &(id, chunk) in graph.vertices.iter() {
        leaks.push(Leak {
            id,
            chunk,
            kind: Kind::Indirect,
            head: id,
            retained_bytes: chunk.size,
            retained_objects: 1,
        })?;
    }
    let heads = heads(&graph, &components)?;
    attribute(&graph, &heads, &mut leaks)?;
    possible(provider, marks, &mut leaks)?;
    Ok(leaks)
}

/// The vertex with the lowest address of each component that no other points into, by address.
fn heads(graph: &Graph, components: &Components) -> Result<MapVec<Vertex>, Errno> {
    let component = |vertex: Vertex| components.of.get(vertex as usize).copied().unwrap_or(0);
    let mut taken = Bits::new(components.count)?;
    for from in 0..graph.len() as Vertex {
        for to in graph.targets(from) {
            if component(*to) != component(from) {
                taken.insert(component(*to) as usize);
            }
        }
    }
    let mut heads = MapVec::new();
    for vertex in 0..graph.len() as Vertex {
        if taken.insert(component(vertex) as usize) {
            heads.push(vertex)?;
        }
    }
    Ok(heads)
}

/// Gives each chunk to the first head that reaches it, in the order of their call stacks, and counts for a call stack what
/// heads of no other reach: where the first and the last are of one stack, all between are.
fn attribute(graph: &Graph, heads: &[Vertex], leaks: &mut [Leak]) -> Result<(), Errno> {
    let stack = |leaks: &[Leak], vertex: Vertex| leaks.get(vertex as usize).map(|leak| leak.chunk.stack);
    let mut order = MapVec::new();
    order.extend(heads)?;
    order.sort_unstable_by_key(|head| (stack(leaks, *head).map(|stack| stack.0), *head));
    let first = owners(graph, order.iter().copied())?;
    let last = owners(graph, order.iter().rev().copied())?;
    for (vertex, (first, last)) in (0..).zip(first.iter().zip(last.iter())) {
        let Some(&Leak { id, .. }) = leaks.get(*first as usize) else { continue };
        let mut retained = 0;
        if let Some(leak) = leaks.get_mut(vertex as usize) {
            leak.head = id;
            retained = leak.chunk.size;
        }
        let is_shared = stack(leaks, *first) != stack(leaks, *last);
        let Some(head) = leaks.get_mut(*first as usize) else { continue };
        head.kind = Kind::Direct;
        if vertex != *first && !is_shared {
            head.retained_bytes += retained;
            head.retained_objects += 1;
        }
    }
    Ok(())
}

/// The first head, in `order`, that reaches each vertex. No head is reached by another, and a head's own cycle leads back to
/// it.
fn owners(graph: &Graph, order: impl Iterator<Item = Vertex>) -> Result<MapVec<Vertex>, Errno> {
    const NOBODY: Vertex = Vertex::MAX;
    let (mut owners, mut pending) = (MapVec::new(), MapVec::new());
    owners.resize(graph.len(), NOBODY)?;
    for head in order {
        pending.push(head)?;
        while let Some(vertex) = pending.pop() {
            match owners.get_mut(vertex as usize) {
                Some(owner) if *owner == NOBODY => *owner = head,
                _ => continue,
            }
            for to in graph.targets(vertex) {
                if owners.get(*to as usize) == Some(&NOBODY) {
                    pending.push(*to)?;
                }
            }
        }
    }
    Ok(owners)
}

/// Appends what only weak roots reach.
fn possible(provider: &impl Provider, marks: &Marks, leaks: &mut MapVec<Leak>) -> Result<(), Errno> {
    let unreachable = leaks.len();
    let mut full = Ok(());
    marks.for_each_weak(|id| {
        let chunk = provider.chunk(id);
        if full.is_ok() && chunk.tag == Tag::Allocated {
            full = leaks.push(Leak {
                id,
                chunk,
                kind: Kind::Possible,
                head: id,
                retained_bytes: chunk.size,
                retained_objects: 1,
            });
        }
    });
    full?;
    leaks.get_mut(unreachable..).unwrap_or_default().sort_unstable_by_key(|leak| leak.chunk.base);
    Ok(())
}
