//! What the lock-free parts and the lock are made of. Models (`model.rs`) compile the same files over loom's instead, whose
//! atomics are not made at compile time: so what makes them stands here.

use core::cell::UnsafeCell;
pub(super) use core::sync::atomic::{AtomicPtr, AtomicUsize};

pub(super) use crate::arch::thread_pointer;

use super::lock::OwnerLock;
use super::radix::Radix;

/// One turn of waiting for another thread.
pub(super) fn relax() {
    <crate::base::lock::Yield as spin::relax::RelaxStrategy>::relax();
}

impl<T> OwnerLock<T> {
    /// A free lock.
    pub(crate) const fn new(value: T) -> Self {
        OwnerLock { owner: AtomicUsize::new(0), value: UnsafeCell::new(value) }
    }
}

impl Radix {
    /// An empty table.
    pub(super) const fn new() -> Radix {
        Radix {
            root: [const { AtomicPtr::new(core::ptr::null_mut()) }; _],
            not_first: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
        }
    }
}
