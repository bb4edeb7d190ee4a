//! The graph of unreachable chunks: who points to whom.

use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::Resident;
use crate::heap::{Chunk, ChunkId, Provider};
use crate::mem::{Filter, MapVec, ReadMemory};
use crate::scan::{Marks, empty_array, words};

/// A vertex: index into [`Graph::vertices`].
pub(super) type Vertex = u32;

/// See the module. Edges are in compressed rows: those of vertex `v` are `edges[starts[v]..starts[v + 1]]`.
pub(super) struct Graph {
    /// By address.
    pub(super) vertices: MapVec<(ChunkId, Chunk)>,
    starts: MapVec<usize>,
    edges: MapVec<Vertex>,
}

impl Graph {
    /// Reads every chunk that no root reaches. A chunk's pointers to itself are no edges.
    pub(super) fn new(
        provider: &impl Provider,
        memory: &impl ReadMemory,
        resident: &Resident,
        marks: &Marks,
    ) -> Result<Graph, Errno> {
        let mut graph = Graph { vertices: MapVec::new(), starts: MapVec::new(), edges: MapVec::new() };
        let mut full = Ok(());
        marks.for_each_unreached(|id| {
            if full.is_ok() {
                full = graph.vertices.push((id, provider.chunk(id)));
            }
        });
        full?;
        graph.vertices.sort_unstable_by_key(|(_, chunk)| chunk.base);
        graph.starts.reserve(graph.vertices.len() + 1)?;
        graph.starts.push(0)?;
        let mut buffer = words::buffer()?;
        for vertex in 0..graph.vertices.len() {
            graph.read_edges(vertex, provider, memory, resident, &mut buffer)?;
            graph.starts.push(graph.edges.len())?;
        }
        Ok(graph)
    }

    fn read_edges(
        &mut self,
        vertex: usize,
        provider: &impl Provider,
        memory: &impl ReadMemory,
        resident: &Resident,
        buffer: &mut [usize],
    ) -> Result<(), Errno> {
        let Some((_, chunk)) = self.vertices.get(vertex).copied() else { return Ok(()) };
        let AddrRange { start, end } = provider.bounds();
        // One word more: the address behind an empty array at the end.
        let filter = Filter::new(AddrRange::new(start, end.plus(words::WORD)));
        let mut full = Ok(());
        let mut last = vertex;
        for part in words::parts_of_chunk(resident, chunk.range()) {
            words::for_each(memory, part, buffer, filter, |word| {
                let addr = Addr::new(word);
                if full.is_err() || chunk.range().contains(addr) {
                    return;
                }
                // Rows of equal pointers are common (a list's nodes point to one parent); one edge is enough.
                if let Some(to) = self.vertex_at(addr).or_else(|| self.array_before(addr, provider, memory))
                    && to != last
                    && to != vertex
                {
                    last = to;
                    full = self.edges.push(to as Vertex);
                }
            });
        }
        full
    }

    /// The vertex whose chunk contains `addr`.
    fn vertex_at(&self, addr: Addr) -> Option<usize> {
        let after = self.vertices.partition_point(|(_, chunk)| chunk.base <= addr);
        let vertex = after.checked_sub(1)?;
        let (_, chunk) = self.vertices.get(vertex)?;
        (addr.get() - chunk.base.get() < chunk.size.max(1)).then_some(vertex)
    }

    /// The vertex that is an empty array which ends at `addr`.
    fn array_before(&self, addr: Addr, provider: &impl Provider, memory: &impl ReadMemory) -> Option<usize> {
        // An address in a live chunk says nothing of the one before; most are such.
        if provider.locate(addr).is_some() {
            return None;
        }
        self.vertex_at(empty_array::before(addr, provider, memory)?.1.start)
    }

    /// How many vertices there are.
    pub(super) fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Where `vertex` points to.
    pub(super) fn targets(&self, vertex: Vertex) -> &[Vertex] {
        let row = |at: usize| self.starts.get(at).copied().unwrap_or(0);
        self.edges.get(row(vertex as usize)..row(vertex as usize + 1)).unwrap_or_default()
    }
}
