//! Who comes first, a thread that is about to exec or a stop by signal: see [`super::exec`].
//!
//! Each of the two writes its own word before it reads the other's, so one of them sees the other. When both do, the stop
//! gives way: a thread that is about to exec waits for one stop at most.
//!
//! Contract: async-signal context; waiting is the callers' part. `model.rs` checks it with loom.

use super::atomics::{AtomicU64, Ordering::SeqCst, fence};

/// Begins the stop that thread `own` makes, unless a thread is about to exec; `execs` says whether one is. A stop that
/// has begun ends with [`end_stop`].
pub(super) fn begin_stop(stopping: &AtomicU64, own: u64, execs: impl Fn() -> bool) -> bool {
    if execs() {
        return false;
    }
    stopping.store(own, SeqCst);
    fence(SeqCst);
    let begun = !execs();
    if !begun {
        end_stop(stopping);
    }
    begun
}

/// See [`begin_stop`].
pub(super) fn end_stop(stopping: &AtomicU64) {
    stopping.store(0, SeqCst);
}

/// The thread that stops the process; 0 for none. Asked by a thread that has said that it is about to exec.
pub(super) fn who_stops(stopping: &AtomicU64) -> u64 {
    fence(SeqCst);
    stopping.load(SeqCst)
}
