//! Words that every stage speaks: addresses, thread ids, error numbers, locks, text without allocation.
//!
//! Contract: no system call, no allocation, no state. Usable in every phase, also in the stopped world and in a
//! signal handler.

mod addr;
mod errno;
mod fork_depth;
pub mod lock;
pub mod text;
mod tid;
mod workers;

pub use addr::{Addr, AddrRange};
pub use errno::Errno;
pub use fork_depth::ForkDepth;
pub use tid::Tid;
pub use workers::{Alone, WorkerDied, Workers};
