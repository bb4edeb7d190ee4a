//! Strongly connected components, by Tarjan's algorithm ("Depth-first search and linear graph algorithms", 1972).
//!
//! The recursion is an explicit stack in our own memory: a lost list of a million chunks is a path of a million steps.

use crate::base::Errno;
use crate::mem::MapVec;

use super::graph::{Graph, Vertex};

/// The components of a graph, numbered so that each is numbered after all that it points into.
pub(super) struct Components {
    /// The component of each vertex.
    pub(super) of: MapVec<u32>,
    /// How many there are.
    pub(super) count: usize,
}

/// Marks a vertex that was not visited, and one that is in no component yet.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Step {
    vertex: Vertex,
    /// How many of its edges were followed.
    followed: u32,
}

impl Components {
    pub(super) fn new(graph: &Graph) -> Result<Components, Errno> {
        let mut search = Search {
            graph,
            order: filled(graph.len())?,
            low: filled(graph.len())?,
            of: filled(graph.len())?,
            open: MapVec::new(),
            path: MapVec::new(),
            visited: 0,
            count: 0,
        };
        for root in 0..graph.len() as Vertex {
            if get(&search.order, root) == NONE {
                search.visit(root)?;
                search.run()?;
            }
        }
        Ok(Components { of: search.of, count: search.count as usize })
    }
}

fn filled(len: usize) -> Result<MapVec<u32>, Errno> {
    let mut array = MapVec::new();
    array.resize(len, NONE)?;
    Ok(array)
}

fn get(array: &MapVec<u32>, at: u32) -> u32 {
    array.get(at as usize).copied().unwrap_or(NONE)
}

fn set(array: &mut MapVec<u32>, at: u32, value: u32) {
    if let Some(slot) = array.get_mut(at as usize) {
        *slot = value;
    }
}

struct Search<'a> {
    graph: &'a Graph,
    /// When each vertex was first visited.
    order: MapVec<u32>,
    /// The earliest visited vertex of its component that each vertex is known to reach.
    low: MapVec<u32>,
    of: MapVec<u32>,
    /// Visited vertices whose component is not complete.
    open: MapVec<Vertex>,
    path: MapVec<Step>,
    visited: u32,
    count: u32,
}

impl Search<'_> {
    fn visit(&mut self, vertex: Vertex) -> Result<(), Errno> {
        set(&mut self.order, vertex, self.visited);
        set(&mut self.low, vertex, self.visited);
        self.visited += 1;
        self.open.push(vertex)?;
        self.path.push(Step { vertex, followed: 0 })
    }

    fn lower(&mut self, vertex: Vertex, to: u32) {
        let low = get(&self.low, vertex).min(to);
        set(&mut self.low, vertex, low);
    }

    fn run(&mut self) -> Result<(), Errno> {
        let graph = self.graph;
        while let Some(step) = self.path.last_mut() {
            let vertex = step.vertex;
            if let Some(&to) = graph.targets(vertex).get(step.followed as usize) {
                step.followed += 1;
                if get(&self.order, to) == NONE {
                    self.visit(to)?;
                } else if get(&self.of, to) == NONE {
                    self.lower(vertex, get(&self.order, to));
                }
                continue;
            }
            self.path.pop();
            if let Some(&Step { vertex: before, .. }) = self.path.last() {
                self.lower(before, get(&self.low, vertex));
            }
            if get(&self.low, vertex) == get(&self.order, vertex) {
                self.close(vertex);
            }
        }
        Ok(())
    }

    /// `root` was the first of its component to be visited: all that is open since then belongs to it.
    fn close(&mut self, root: Vertex) {
        while let Some(member) = self.open.pop() {
            set(&mut self.of, member, self.count);
            if member == root {
                break;
            }
        }
        self.count += 1;
    }
}
