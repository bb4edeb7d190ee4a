//! One step of a chain: a word, and what holds it.

use crate::base::{Addr, AddrRange};
use crate::harvest::{RootKind, Strength};
use crate::trace::StackId;

/// What holds a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A root: chains begin here.
    Root(RootKind),
    /// A chunk of the heap.
    Chunk,
    /// A mapping of the program's that something reachable points into.
    Mapping,
    /// A mapping that nothing reachable points into: chains begin here, and what they lead to is "possible".
    UnreachedMapping,
    /// Nothing: the chunk is never a leak because the program said so (`standstill_ignore_object`). No word.
    Ignored,
    /// The C library or the kernel, in a way that nobody reads (a stack for signals). No word.
    Kept,
    /// So many hops as `times` says were left out here.
    Skipped,
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// What holds the word.
    pub holder: Holder,
    /// Whose root it is; 0 where it belongs to no thread.
    pub tid: i32,
    /// What a root proves; strong for what is no root.
    pub strength: Strength,
    /// Where the holder lies; empty for a register or a word that the kernel keeps.
    pub range: AddrRange,
    /// Where the word lies; null for a register or a word that the kernel keeps.
    pub at: Addr,
    /// Its value: a pointer into the next hop's holder, or into the chunk that is explained.
    pub word: usize,
    /// Who allocated the holder, if it is a chunk.
    pub stack: StackId,
    /// In a stack: the lookup address of the frame that the word lies in; 0 when it is not known.
    pub pc: usize,
    /// So many hops of chunks of one size and call stack, through one offset, follow each other: a list. This is the one
    /// that is nearest to the root.
    pub times: usize,
}

impl Hop {
    /// Bytes between the beginning of the holder and the word.
    pub fn offset(&self) -> usize {
        if self.at.is_null() { 0 } else { self.at.get().wrapping_sub(self.range.start.get()) }
    }

    /// True when a chain can begin with it.
    pub fn is_root(&self) -> bool {
        !matches!(self.holder, Holder::Chunk | Holder::Mapping | Holder::Skipped)
    }

    /// The next element of a list: as `other`, in another chunk.
    pub(super) fn is_like(&self, other: &Hop) -> bool {
        let like = |hop: &Hop| (hop.holder, hop.range.len(), hop.stack, hop.offset());
        self.holder == Holder::Chunk && like(self) == like(other)
    }
}
