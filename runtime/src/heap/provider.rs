//! What the scanner sees of a heap: chunks by address and by number.
//!
//! Contract: implemented by a view that is made in the stopped world (or over a heap that nobody changes), so every
//! answer is stable while the view lives. No call may take a lock, allocate or make a system call: `scan` and
//! `classify` run between stop and resume.
//!
//! Why numbers (ordinals) and not addresses: marks are one bit an ordinal, dense, whatever the layout of the heap.

use crate::base::{Addr, AddrRange};
use crate::trace::StackId;

/// A chunk's number in one view: `0..slots()`. Meaningless for any other view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct ChunkId(pub u32);

impl ChunkId {
    /// The number, as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which family of functions allocated a chunk, and so which must free it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// malloc, calloc, realloc, memalign and their kin.
    #[default]
    Malloc,
    /// operator new.
    New,
    /// operator new[].
    NewArray,
}

/// Whether a chunk may be reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tag {
    /// An ordinary chunk.
    #[default]
    Allocated,
    /// Never reported, and what it points to is reachable (`__lsan_disable`, `__lsan_ignore_object`).
    Ignored,
}

/// A stretch of one thread's execution whose allocations are told from others (`standstill_scope_begin`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Scope(pub u8);

impl Scope {
    /// Allocated in no scope.
    pub const NONE: Scope = Scope(0);
    /// The largest number: four bits of metadata.
    pub const MOST: u8 = 15;
}

/// A live chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// What malloc returned.
    pub base: Addr,
    /// Bytes asked for.
    pub size: usize,
    /// Who allocated it.
    pub stack: StackId,
    /// May it be reported.
    pub tag: Tag,
    /// Who may free it.
    pub origin: Origin,
    /// How many baselines it has lived through; 7 says so many or more.
    pub age: u8,
    /// In which scope it was allocated.
    pub scope: Scope,
}

impl Chunk {
    /// The bytes asked for.
    pub const fn range(&self) -> AddrRange {
        AddrRange::sized(self.base, self.size)
    }
}

/// A heap, as the scanner sees it.
pub trait Provider {
    /// No chunk lies outside of these bounds.
    fn bounds(&self) -> AddrRange;

    /// Calls `each` for every mapping that chunks are cut from, free blocks included: no such memory is a root or a
    /// node by itself.
    fn ranges(&self, each: &mut dyn FnMut(AddrRange));

    /// One more than the largest ordinal.
    fn slots(&self) -> usize;

    /// The live chunk that contains `addr`, in `base..base + max(size, 1)`.
    fn find(&self, addr: Addr) -> Option<ChunkId>;

    /// The chunk of a number that [`Provider::find`] or [`Provider::for_each`] gave.
    fn chunk(&self, id: ChunkId) -> Chunk;

    /// The bytes of the chunk with this number, if there is a live one. Any number may be asked for.
    fn live(&self, id: ChunkId) -> Option<AddrRange>;

    /// Calls `each` for every live chunk.
    fn for_each(&self, each: &mut dyn FnMut(ChunkId, Chunk));

    /// [`Provider::find`] with the chunk's requested bytes, in one step where that is cheaper.
    #[inline]
    fn locate(&self, addr: Addr) -> Option<(ChunkId, AddrRange)> {
        let id = self.find(addr)?;
        Some((id, self.chunk(id).range()))
    }

    /// The number that the live chunk which contains `addr` must have if there is one: a guess that costs less than
    /// [`Provider::find`], since it need not look at the chunk's own metadata. `None` says nothing.
    #[inline]
    fn slot(&self, _addr: Addr) -> Option<ChunkId> {
        None
    }

    /// A hint that [`Provider::locate`] will be asked for `addr` shortly.
    #[inline]
    fn prefetch(&self, _addr: Addr) {}
}
