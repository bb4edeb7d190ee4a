//! A lock that knows its owner.
//!
//! Contract: as the locks of [`crate::base::lock`]: held for a bounded time, never taken by the stopped world. Beyond
//! them it tells two situations in which waiting would be for ever:
//!
//! - *A signal handler has interrupted the holder on its own thread*: [`OwnerLock::lock`] says `None`, and the caller
//!   does without.
//! - *The holder did not come along into a forked child*: [`OwnerLock::free_of_others`] says so, and what the lock
//!   protects is made anew.
//!
//! So fork(2) needs no lock of the heap: one that is held over it would be waited for by a thread that holds a lock of
//! libc (stdio, nss), for which fork waits in turn.
//!
//! The owner is named by its thread pointer, which no two threads share and which is read in one instruction.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::sync::{AtomicUsize, relax, thread_pointer};

/// See the module.
pub(crate) struct OwnerLock<T> {
    /// The owner's thread pointer; 0 when free.
    pub(super) owner: AtomicUsize,
    pub(super) value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, of which there is one at a time.
unsafe impl<T: Send> Sync for OwnerLock<T> {}

/// The lock is held as long as this lives.
pub(crate) struct Guard<'a, T> {
    lock: &'a OwnerLock<T>,
}

impl<T> OwnerLock<T> {
    /// Waits for the lock. `None`: the calling thread itself holds it, below the signal handler that it is in.
    #[inline]
    pub(crate) fn lock(&self) -> Option<Guard<'_, T>> {
        let me = thread_pointer();
        loop {
            match self.owner.compare_exchange(0, me, Acquire, Relaxed) {
                Ok(_) => return Some(Guard { lock: self }),
                Err(owner) if owner == me => return None,
                Err(_) => relax(),
            }
        }
    }

    /// True when the calling thread holds it.
    pub(crate) fn is_mine(&self) -> bool {
        self.owner.load(Relaxed) == thread_pointer()
    }

    /// Frees the lock, whose guard the calling thread has forgotten.
    pub(crate) fn give_back(&self) {
        debug_assert!(self.is_mine());
        self.owner.store(0, Release);
    }

    /// What the lock protects, for the thread that holds it by a guard in a frame below, or by one that it has forgotten;
    /// `None` for others.
    ///
    /// # Safety
    ///
    /// - The calling thread is not in the middle of a change through its guard, in this frame or in one that it has
    ///   interrupted.
    pub(crate) unsafe fn held(&self) -> Option<&T> {
        // SAFETY: the lock is held, so nobody else changes the value, and by the caller's duty neither does this thread.
        self.is_mine().then(|| unsafe { &*self.value.get() })
    }

    /// In a forked child, whose only thread is the caller: frees the lock when another thread held it. True then: what
    /// it protects is half done.
    pub(crate) fn free_of_others(&self) -> bool {
        let owner = self.owner.load(Relaxed);
        let others = owner != 0 && owner != thread_pointer();
        if others {
            self.owner.store(0, Release);
        }
        others
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so no other guard exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` is exclusive.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.owner.store(0, Release);
    }
}
