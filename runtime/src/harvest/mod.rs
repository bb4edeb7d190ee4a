//! Roots: where the program can have pointers, and mappings that are nodes of the graph.
//!
//! ```text
//! map of memory -> what is present -> modules' data, stacks, TLS, registers, regions -> claims -> nodes
//! ```
//!
//! Contract: runs in the stopped world; raw system calls on /proc files and mincore(2), own memory only, no lock of
//! anybody's. The program's memory is read only through [`crate::mem::ReadMemory`], and only where it is present.
//!
//! Not promised: words that no scan can find (a pointer that is stored encrypted, or in a pipe). docs/LIMITS.md.
//!
//! Where /proc is not there the kernel is asked for each mapping (unlisted.rs), and what it keeps for the program stays unknown.
//!
//! Why /proc and not the loader's lists: no lock of the loader is needed, and mappings that nobody announced are seen.

mod collect;
mod globals;
pub mod kernel;
pub mod libc_layout;
pub(crate) mod lines;
pub mod maps;
mod model;
mod nodes;
pub(crate) mod presence;
mod regions;
pub mod registers;
pub mod resident;
mod stacks;
mod thread;
mod tls;
pub mod uncarried;
mod unlisted;
pub mod user_regions;

pub use collect::{CouldNotHarvest, Input, Switches, collect, find_pages, look_ahead};
pub use globals::Headers;
pub use libc_layout::Layout;
pub use model::{Harvest, Node, Notes, Root, RootKind, RootWord, Strength};
pub use resident::Resident;
pub use thread::{State, Thread};

#[cfg(test)]
mod tests;
