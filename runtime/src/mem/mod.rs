//! Memory for our own metadata, and reads that survive anything.
//!
//! Contract: raw system calls only, so every phase may use it. Each mapping made here is entered in [`own`], so that
//! it is never a root and never in a report (invariant 6).
//!
//! # Safety
//!
//! Raw memory is handled here so that the stages above it can be safe code.

mod aside;
mod atomic_words;
mod file;
mod filter;
mod map;
pub mod own;
mod own_stack;
pub mod pool;
mod read;
mod shared;
mod tally;
mod up_to;
mod vec;
mod words;

pub use aside::aside;
pub use atomic_words::AtomicWords;
pub use file::WithFile;
pub use filter::Filter;
pub use map::{OwnMap, map_own, map_own_reserved};
pub use own_stack::{OwnStack, with_room};
pub use read::{FaultGuard, OwnMemory, ProcessMemory, ReadMemory};
pub use shared::{Lists, SharedMap, Zeroed};
pub use tally::{Sum, Tally};
pub use up_to::UpTo;
pub use vec::MapVec;
pub use words::ForeverWords;
