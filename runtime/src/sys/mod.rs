//! Typed system calls, without policy: one function a call, `Result<_, Errno>`, never -1, never errno.
//!
//! Contract: usable in every phase (inside malloc, stopped world, helper, signal handler, forked child): nothing here
//! touches libc, thread-local storage or a lock.
//!
//! # Safety
//!
//! The wrappers' signatures are kept by hand and must agree with the kernel's (man 2 of each call). Numbers and
//! structures come from the `libc` crate.

pub mod file;
pub mod futex;
pub mod invoke;
pub mod memory;
pub mod pagemap;
pub mod probe;
pub mod process;
pub mod ptrace;
pub mod signals;
pub mod spawn;
pub mod task;
pub mod timer;
pub mod wait;
