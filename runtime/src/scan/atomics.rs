//! The atomics of [`sharing`](super::sharing) and [`overflow`](super::overflow), which a model replaces.

pub(super) use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

pub(super) use crate::mem::AtomicWords as Counts;
