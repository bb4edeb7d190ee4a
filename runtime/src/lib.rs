//! # The no_std core of Standstill
//!
//! One folder a stage, in the order in which data flows:
//! `init -> heap + threads + trace -> stop -> harvest -> scan -> classify -> report`; [`check`] is the map of them.
//!
//! Imports go down only: `base < arch < sys < mem < {init heap threads trace} < {stop harvest scan classify explain
//! report} < check < ffi` (the crate beside this one). docs/ARCHITECTURE.md has the invariants.
#![cfg_attr(not(test), no_std)]

// Words, texts and locks: no system calls.
pub mod base;

// One file a CPU.
pub mod arch;

// Typed system calls, no policy.
pub mod sys;

// Memory for our own metadata, and reads that survive anything.
pub mod mem;

// Options, environment, start.
pub mod init;

// The allocator and its chunk metadata.
pub mod heap;

// What is known of the program's threads.
pub mod threads;

// Call stacks.
pub mod trace;

// Stopping the world.
pub mod stop;

// Roots.
pub mod harvest;

// Marking.
pub mod scan;

// Direct, indirect, reachable, ignored.
pub mod classify;

// Why a chunk is alive.
pub mod explain;

// What is said of it.
pub mod report;

// The stopped world as a core file, and as text for people.
pub mod core_file;
pub mod thread_dump;

// The driver.
pub mod check;
