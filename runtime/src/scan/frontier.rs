//! The frontier of one task: pieces of memory that are to be read, above all chunks that are marked and not read yet.
//!
//! A stack of bounded size. A chunk that does not fit is only noted, as a bit of its ordinal that all tasks share; when
//! a task's stack is empty it sweeps such bits, in order. So the memory for marking is a few bits a chunk plus a fixed
//! share, whatever the shape of the heap, and no chunk is lost: a chunk is marked before it is pushed, and each mark is
//! pushed or noted once.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crate::base::Errno;
use crate::heap::{ChunkId, Provider};
use crate::mem::MapVec;

use super::marks::Bits;
use super::piece::Piece;

/// Chunks that did not fit in a frontier.
pub(super) struct Overflow {
    noted: Bits,
    /// How many are noted and not taken. Counted before the bit is set, so 0 says that there is none.
    waiting: AtomicUsize,
    /// A guess where the lowest is.
    lowest: AtomicUsize,
    total: AtomicUsize,
}

impl Overflow {
    /// For `slots` ordinals.
    pub(super) fn new(slots: usize) -> Result<Overflow, Errno> {
        Ok(Overflow {
            noted: Bits::new(slots)?,
            waiting: AtomicUsize::new(0),
            lowest: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
        })
    }

    #[cold]
    fn note(&self, id: ChunkId) {
        self.waiting.fetch_add(1, SeqCst);
        self.noted.add(id.index());
        self.lowest.fetch_min(id.index(), Relaxed);
        self.total.fetch_add(1, Relaxed);
    }

    /// A noted chunk, which is the caller's then. `None` while others are about to note or to take the last ones: ask
    /// again as long as [`Overflow::is_waiting`].
    fn take(&self) -> Option<ChunkId> {
        if !self.is_waiting() {
            return None;
        }
        let from = self.lowest.load(Relaxed);
        let found = self.noted.take_from(from);
        // A guess that another task has changed meanwhile stays; one that was too high is corrected by the next look.
        let _ = self.lowest.compare_exchange(from, found.unwrap_or(0), Relaxed, Relaxed);
        let index = found?;
        self.waiting.fetch_sub(1, SeqCst);
        Some(ChunkId(index as u32))
    }

    /// True while chunks are noted.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(SeqCst) != 0
    }

    /// How many were ever noted.
    pub(super) fn total(&self) -> usize {
        self.total.load(Relaxed)
    }
}

/// See the module.
pub(super) struct Frontier<'a> {
    stack: MapVec<Piece>,
    limit: usize,
    overflow: &'a Overflow,
}

impl<'a> Frontier<'a> {
    /// Holding at most `limit` pieces.
    pub(super) fn new(limit: usize, overflow: &'a Overflow) -> Result<Frontier<'a>, Errno> {
        let mut stack = MapVec::new();
        stack.reserve(limit)?;
        Ok(Frontier { stack, limit, overflow })
    }

    /// A chunk that was just marked.
    #[inline]
    pub(super) fn push(&mut self, id: ChunkId, piece: Piece) {
        // The stack has its memory already: a push that fails is as one that does not fit.
        if self.stack.len() >= self.limit || self.stack.push(piece).is_err() {
            self.overflow.note(id);
        }
    }

    /// True when it is time to read what is pushed.
    #[inline]
    pub(super) fn is_half_full(&self) -> bool {
        self.stack.len() >= self.limit / 2
    }

    /// How many pieces wait.
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    /// Puts a piece where it is read last; false when there is no room.
    #[inline]
    pub(super) fn push_last(&mut self, piece: Piece) -> bool {
        let first = self.stack.first().copied();
        if self.stack.len() >= self.limit || self.stack.push(first.unwrap_or(piece)).is_err() {
            return false;
        }
        if let Some(slot) = self.stack.first_mut() {
            *slot = piece;
        }
        true
    }

    /// The piece that would be read last, to be given away.
    pub(super) fn take_last(&mut self) -> Option<Piece> {
        let top = self.stack.pop()?;
        match self.stack.first_mut() {
            Some(last) => Some(core::mem::replace(last, top)),
            None => Some(top),
        }
    }

    /// The next piece to be read.
    #[inline]
    pub(super) fn pop(&mut self, provider: &impl Provider) -> Option<Piece> {
        self.stack
            .pop()
            .or_else(|| self.overflow.take().map(|id| Piece::of_chunk(provider.chunk(id).range())))
    }
}
