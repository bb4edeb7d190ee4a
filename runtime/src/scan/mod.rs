//! Marking: which chunks the roots reach.
//!
//! Contract: safe code without system calls but for the growth of our own arrays; runs in the stopped world, in a
//! snapshot, or in a test over a made-up heap. All memory is read through [`crate::mem::ReadMemory`], all chunks are
//! found through [`crate::heap::Provider`].
//!
//! A word is a pointer when its value lies in a live chunk's requested bytes (interior pointers count). The order is:
//! strong roots and the mappings they reach; ignored chunks; then weak roots and mappings that nothing reached, whose
//! finds are "possible".

mod atomics;
mod chains;
pub(crate) mod empty_array;
mod frontier;
mod mark;
mod marker;
mod marks;
mod overflow;
mod piece;
mod probe;
mod ring;
mod sharing;
mod states;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod made_up;
#[cfg(all(loom, test))]
mod model;
#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub use mark::{Bounds, mark_with};
pub use mark::{CouldNotMark, mark, mark_late};
pub use marks::{Bits, Marks, Statistics};
