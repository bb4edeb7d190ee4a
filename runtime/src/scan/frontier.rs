//! The frontier: chunks that are marked and whose contents were not read.
//!
//! A stack of bounded size. What does not fit is only noted, as a bit of its ordinal; when the stack is empty, the
//! bits are swept in order. So the memory for marking is a few bits a chunk plus a fixed share, whatever the shape of
//! the heap, and no chunk is lost: a chunk is marked before it is pushed, and each mark is pushed or noted once.

use crate::base::{AddrRange, Errno};
use crate::heap::{ChunkId, Provider};
use crate::mem::MapVec;

use super::marks::Bits;

/// See the module.
pub(super) struct Frontier {
    stack: MapVec<AddrRange>,
    limit: usize,
    noted: Bits,
    /// No bit of `noted` is below this.
    lowest: usize,
    pub(super) overflows: usize,
}

impl Frontier {
    /// For `slots` ordinals, holding at most `limit` ranges.
    pub(super) fn new(slots: usize, limit: usize) -> Result<Frontier, Errno> {
        let mut stack = MapVec::new();
        stack.reserve(limit)?;
        Ok(Frontier { stack, limit, noted: Bits::new(slots)?, lowest: usize::MAX, overflows: 0 })
    }

    /// A chunk that was just marked.
    #[inline]
    pub(super) fn push(&mut self, id: ChunkId, range: AddrRange) {
        // The stack has its memory already: a push that fails is as one that does not fit.
        if self.stack.len() >= self.limit || self.stack.push(range).is_err() {
            self.note(id);
        }
    }

    #[cold]
    fn note(&mut self, id: ChunkId) {
        self.noted.insert(id.index());
        self.lowest = self.lowest.min(id.index());
        self.overflows += 1;
    }

    /// True when it is time to read what is pushed.
    #[inline]
    pub(super) fn is_half_full(&self) -> bool {
        self.stack.len() >= self.limit / 2
    }

    /// The rest of a range, to be read later; false when there is no room.
    #[inline]
    pub(super) fn push_rest(&mut self, range: AddrRange) -> bool {
        self.stack.len() < self.limit && self.stack.push(range).is_ok()
    }

    /// The next range to be read.
    #[inline]
    pub(super) fn pop(&mut self, provider: &impl Provider) -> Option<AddrRange> {
        self.stack.pop().or_else(|| self.sweep(provider))
    }

    fn sweep(&mut self, provider: &impl Provider) -> Option<AddrRange> {
        if self.lowest == usize::MAX {
            return None;
        }
        let found = self.noted.take_from(self.lowest);
        self.lowest = found.unwrap_or(usize::MAX);
        Some(provider.chunk(ChunkId(found? as u32)).range())
    }
}
