//! What is asked of the heap, and what it refuses.

use crate::trace::StackId;

use super::provider::{Origin, Scope, Tag};
use super::word::Word;

/// A request for memory.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Bytes. 0 asks for a block of its own as 1 does.
    pub size: usize,
    /// A power of two; up to 16 every block has.
    pub align: usize,
    /// All bytes zero.
    pub zeroed: bool,
    /// Who asks, and so who may free it.
    pub origin: Origin,
    /// Whether it may be reported.
    pub tag: Tag,
    /// In which scope.
    pub scope: Scope,
    /// Where it is asked.
    pub stack: StackId,
}

impl Request {
    /// The metadata of a live block of `size` bytes.
    #[inline(always)]
    pub(super) const fn word(&self, size: usize) -> Word {
        Word::live(size, self.tag, self.scope, self.origin, self.stack)
    }
}

/// Why a block was not freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misuse {
    /// It was freed already, and its memory has not been handed out again.
    DoubleFree,
    /// No block of ours begins or ever began there.
    NotOurs,
    /// It points into a live block, not to its beginning.
    Interior,
    /// It was allocated by a function of another family.
    Mismatch {
        /// By which.
        allocated: Origin,
    },
}
