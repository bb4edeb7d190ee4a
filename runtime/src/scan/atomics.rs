//! The atomics of [`sharing`](super::sharing), which a model replaces.

pub(super) use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
