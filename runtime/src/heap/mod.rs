//! The allocator and its chunk metadata.
//!
//! # Vocabulary
//!
//! - *block*: memory that malloc hands out; a live one is a *chunk* to the stages above;
//! - *unit*: 64 KiB of memory; the pages of the kernel are called pages;
//! - *segment*: a mapping of 64 units, aligned at 4 MiB;
//! - *slab*: a run of units of one segment that is cut into blocks of one size class; its first unit is its *head*;
//! - *span*: a run of units that is one block, for requests above 64 KiB;
//! - *large block*: a mapping that is one block, above 1 MiB;
//! - *word*: 64 bits of metadata a block, apart from the blocks; its *state* is a byte of its own, apart from the words;
//! - *bin*: the slabs of one class with free blocks; *arena*: a set of bins, of which there is one a CPU;
//! - *cache*: the free blocks that a thread keeps;
//! - *radix table*: what the heap has at an address.
//!
//! # One allocation through the layers
//!
//! `malloc(40)` on a thread: [`thread_heap`] finds the class for 48 bytes ([`size_class`]), pops a block and the address
//! of its word off the thread's [`cache`], and stores the word: live, 40 bytes, this origin, this stack ([`word`]).
//! Nothing else happens most of the time: no lock, no atomic read-modify-write, and the block itself is not touched.
//!
//! 1. The cache is empty: it gets a batch from its arena's bin for 48 bytes ([`central`]).
//! 2. The bin has no slab with free blocks: the [`pool`] gives a free unit, [`segment`] cuts it.
//! 3. No segment has a free unit: the pool maps one ([`mapping`]) and enters it in the [`radix`] table.
//!
//! `free(p)`: the radix table gives the segment, the unit's descriptor the size of its blocks, a multiplication the
//! block's number and so its state. That says whether `p` may be freed; it becomes "freed", and the block goes to
//! the cache of whoever frees it. A full cache gives its older half back to the bins of the slabs; a slab whose blocks
//! are all back goes to the pool, and from there, after a while, to the system.
//!
//! Spans come from the pool, large blocks from [`large`], both without a cache.
//!
//! # For the scanner
//!
//! [`view`] gives the [`provider`]'s answers in the stopped world from the radix table and the words alone.
//!
//! # Safety
//!
//! Descriptors, words and caches are mapped for good and recycled as what they are, so a reference to one is valid for
//! ever; each file says which lock its fields change under. Nothing of ours lies in or between the program's blocks: a
//! program that writes past a block cannot reach it but by leaving the mapping.
//!
//! Architecture invariants: no call of libc, no panic, no allocation from elsewhere; lock order: bin, pool. A lock knows
//! its owner ([`lock`]), so that a signal handler which interrupts malloc can do without, and a forked child can tell
//! what is whole ([`fork`]).

mod cache;
mod central;
mod fork;
pub mod freed_by;
mod large;
pub(crate) mod lock;
mod lookup;
mod mapping;
mod pool;
pub mod provider;
mod radix;
mod request;
mod segment;
mod size_class;
mod statistics;
mod sync;
mod thread_heap;
mod unit_table;
mod view;
mod word;

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

pub use fork::after_fork_in_child;
pub use mapping::has_served;
pub use pool::do_without_huge_pages;
pub use provider::{Census, Chunk, ChunkId, GROUP, Origin, Place, Provider, Scope, Slack, Tag};
pub use request::{Misuse, Request};
pub use statistics::{Statistics, statistics, trim};
pub use thread_heap::{
    ThreadHeap, allocate, allocate_quickly, chunk_at, free, free_quickly, last_owner, reallocate,
    reallocate_quickly, set_tag, thread_exit, usable_size,
};
pub use view::{HeapView, numbers_now};
