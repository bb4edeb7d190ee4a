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

impl Holder {
    /// Every one, for whoever reads names.
    pub const ALL: [Holder; 14] = [
        Holder::Root(RootKind::Globals),
        Holder::Root(RootKind::Tls),
        Holder::Root(RootKind::ThreadSpecific),
        Holder::Root(RootKind::Region),
        Holder::Root(RootKind::Stack),
        Holder::Root(RootKind::Register),
        Holder::Root(RootKind::Kernel),
        Holder::Root(RootKind::InTransit),
        Holder::Chunk,
        Holder::Mapping,
        Holder::UnreachedMapping,
        Holder::Ignored,
        Holder::Kept,
        Holder::Skipped,
    ];

    /// The word in records and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Holder::Root(RootKind::Globals) => "global",
            Holder::Root(RootKind::Tls) => "thread-local",
            Holder::Root(RootKind::ThreadSpecific) => "thread-specific",
            Holder::Root(RootKind::Region) => "region",
            Holder::Root(RootKind::Stack) => "stack",
            Holder::Root(RootKind::Register) => "register",
            Holder::Root(RootKind::Kernel) => "kernel",
            Holder::Root(RootKind::InTransit) => "in-transit",
            Holder::Chunk => "object",
            Holder::Mapping => "mapping",
            Holder::UnreachedMapping => "unreached-mapping",
            Holder::Ignored => "ignored",
            Holder::Kept => "kept",
            Holder::Skipped => "skipped",
        }
    }

    /// In a sentence, where nothing more is known.
    pub const fn phrase(self) -> &'static str {
        match self {
            Holder::Root(RootKind::Globals) => "a variable",
            Holder::Root(RootKind::Tls) => "a thread-local variable",
            Holder::Root(RootKind::ThreadSpecific) => "a thread-specific value",
            Holder::Root(RootKind::Region) => "a root region",
            Holder::Root(RootKind::Stack) => "a stack",
            Holder::Root(RootKind::Register) => "a register",
            Holder::Root(RootKind::Kernel) => "the kernel",
            Holder::Root(RootKind::InTransit) => "a call of malloc, realloc or free",
            Holder::Chunk => "an object",
            Holder::Mapping => "a mapping",
            Holder::UnreachedMapping => "a mapping that nothing reaches",
            Holder::Ignored => "the program's word that it is no leak",
            Holder::Kept => "the C library or the kernel",
            Holder::Skipped => "others",
        }
    }
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// What holds the word.
    pub holder: Holder,
    /// Whose root it is; 0 where it belongs to no thread.
    pub tid: i32,
    /// What a root proves; of another holder weak only where its word is a doubtful pointer.
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
        let like = |hop: &Hop| (hop.holder, hop.range.len(), hop.stack, hop.offset(), hop.strength);
        self.holder == Holder::Chunk && like(self) == like(other)
    }
}
