//! The allocator and its chunk metadata.

pub mod provider;

pub use provider::{Chunk, ChunkId, Origin, Provider, Tag};
mod simple;
pub use simple::*;
