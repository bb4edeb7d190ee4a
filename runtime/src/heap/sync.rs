//! The atomics of the lock-free parts. Models (`model.rs`) compile the same files over loom's instead.

pub(super) use core::sync::atomic::{AtomicPtr, AtomicUsize};
