//! fork(2): all locks of the heap are taken before and freed after, in both processes.
//!
//! The order is that of the heap everywhere: bins, pool, large blocks, unused caches. The child is a copy of the thread
//! that holds them all, so it may free them. What the parent's other threads had cached is forgotten (cache.rs); what
//! they had allocated stays allocated.

use super::{cache, central, large, pool};

/// Before fork(2), on the forking thread.
pub fn before_fork() {
    central::lock_all();
    core::mem::forget(pool::POOL.lock());
    core::mem::forget(large::STATE.lock());
    core::mem::forget(cache::UNUSED.lock());
}

fn unlock() {
    // SAFETY: `before_fork` on this thread, or on the thread that this one is a copy of, took them and forgot the
    // guards.
    unsafe {
        cache::UNUSED.force_unlock();
        large::STATE.force_unlock();
        pool::POOL.force_unlock();
        central::unlock_all();
    }
}

/// After fork(2), in the parent.
pub fn after_fork_in_parent() {
    unlock();
}

/// After fork(2), in the child.
pub fn after_fork_in_child() {
    cache::forked();
    unlock();
}
