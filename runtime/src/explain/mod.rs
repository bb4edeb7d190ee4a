//! Why a chunk is alive: the chain of words from a root to it, and all words that point to it.
//!
//! Contract: safe code over the same seams as [`crate::scan`], in the same phase, and with the same notion of a pointer:
//! what the marker calls strong or possible has a chain here, and nothing else has. Made only when somebody asks: it
//! takes eight bytes a chunk and a second pass over the heap.
//!
//! - [`paths`] floods breadth first and remembers for each chunk one word that led to it: shortest chains;
//! - [`referrers`] looks the other way: every word that points into one chunk, or into one of several;
//! - [`owners`] tells of each chunk the first and the last root word that reach it, and so what only one variable,
//!   thread or module holds;
//! - [`doubt_interior`] tells what is held by pointers into the middle only;
//! - [`OddPointers`] finds what only words with a tag, unaligned words, pointers past the end or compressed ones lead to;
//!   what a check calls possible for one of these two reasons has a chain with a doubtful hop ([`Doubts`]);
//! - [`mappings`] are those that the program made and nothing holds;
//! - [`hop`] is what they hand on, [`frames`] names the frames of those that lie in a stack.

mod chain;
pub mod frames;
pub mod hop;
mod leads;
pub mod mappings;
mod odd_pointers;
pub mod owners;
pub mod paths;
pub mod referrers;
mod roots;
mod starts;

pub use hop::{Holder, Hop};
pub use odd_pointers::OddPointers;
pub use owners::Owners;
pub use paths::{Doubts, Paths};
pub use starts::doubt_interior;

#[cfg(test)]
mod tests;
