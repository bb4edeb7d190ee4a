//! Classes of unreachable chunks: direct, indirect, possible.
//!
//! Contract: safe code over the same seams as [`crate::scan`], in the same phase; its arrays are our own mappings.
//!
//! Unreachable chunks point to each other; folding each cycle of them (strongly connected component) into one leaves a
//! graph without cycles. A component that nothing unreachable points into is a *source*: something must have pointed to
//! it that is gone. One chunk of each source is its head, *direct*; all other chunks are *indirect*. So a lost list, ring
//! or tree is one finding with what it retains, and no cycle hides by having only indirect members.
//!
//! A chunk that only weak roots reach is *possible*, alone, and is no part of that graph: no unreachable chunk is reached
//! from it, or it would be possible too.

mod components;
mod graph;
mod leaks;

pub use leaks::{Kind, Leak, classify};

#[cfg(test)]
mod tests;
