//! What the scanner sees of a heap: chunks by address and by number.
//!
//! Contract: implemented by a view that is made in the stopped world (or over a heap that nobody changes), so every
//! answer is stable while the view lives. No call may take a lock, allocate or make a system call: `scan` and
//! `classify` run between stop and resume.
//!
//! Why numbers (ordinals) and not addresses: marks are a part of one byte an ordinal, dense, whatever the layout of the heap.

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

/// Numbers come in groups of this many.
pub const GROUP: usize = 64;

/// Where an address lies, by the shape of the heap alone: whether a chunk is there, and how long, is not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The number that a chunk there has.
    pub id: ChunkId,
    /// Where it begins.
    pub base: Addr,
    /// Bytes that it can have at most.
    pub room: u32,
}

/// Whether a chunk is in its place, and how many bytes of it the chunk leaves: what the scanner needs of a chunk's
/// metadata for most words, in six bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Slack(u8);

impl Slack {
    /// There is no live chunk.
    pub const NO_CHUNK: Slack = Slack(0);
    /// There is one; [`Provider::locate`] tells its bytes.
    pub const UNKNOWN: Slack = Slack(Slack::MASK);
    /// The bits in use, the lowest of a byte.
    pub const MASK: u8 = 63;

    /// Of a live chunk that leaves `bytes`.
    #[inline]
    pub const fn of(bytes: usize) -> Slack {
        if bytes < Slack::MASK as usize - 1 { Slack(bytes as u8 + 1) } else { Slack::UNKNOWN }
    }

    /// From bits that [`Slack::bits`] gave, in company of others.
    #[inline(always)]
    pub const fn from_bits(bits: u8) -> Slack {
        Slack(bits & Slack::MASK)
    }

    /// As bits.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The bytes that the chunk leaves. Only if there is one, and if that is known.
    #[inline(always)]
    pub const fn bytes(self) -> usize {
        self.0.wrapping_sub(1) as usize
    }
}

/// What there is in a heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Live chunks.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Those among them that are never reported.
    pub ignored: usize,
}

impl Census {
    /// One more.
    #[inline]
    pub const fn add(&mut self, size: usize, tag: Tag) {
        self.chunks += 1;
        self.bytes += size;
        self.ignored += matches!(tag, Tag::Ignored) as usize;
    }
}

/// A heap, as the scanner sees it.
pub trait Provider {
    /// No chunk lies outside of these bounds.
    fn bounds(&self) -> AddrRange;

    /// Calls `each` for every mapping that chunks are cut from, free blocks included: no such memory is a root or a
    /// node by itself.
    fn ranges(&self, each: &mut dyn FnMut(AddrRange));

    /// Calls `each` for the memory of the provider's records about chunks: no part of it is a root, though it may touch what
    /// is taken for a thread's control block.
    fn records(&self, _each: &mut dyn FnMut(AddrRange)) {}

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

    /// The place of the live chunk that contains `addr`, if there is one: it costs less than [`Provider::find`], since
    /// chunks' own metadata are not looked at. `None` says nothing.
    #[inline]
    fn place(&self, _addr: Addr) -> Option<Place> {
        None
    }

    /// For each number of a group, what is in its place. `into` has no chunk before. Adds to `census`.
    fn group(&self, group: usize, into: &mut [Slack; GROUP], census: &mut Census) {
        for (number, slack) in (group * GROUP..).zip(into) {
            let id = ChunkId(number as u32);
            if self.live(id).is_some() {
                let chunk = self.chunk(id);
                *slack = Slack::UNKNOWN;
                census.add(chunk.size, chunk.tag);
            }
        }
    }
}
