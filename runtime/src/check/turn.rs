//! One check at a time.
//!
//! Why not a lock of [`crate::base::lock`]: the holder must be known, since a signal handler that asks for a check while
//! its own thread is inside one would wait for itself.

use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Release},
};

use crate::arch;
use crate::sys::{futex, process};

/// The thread that checks, by gettid(2); 0 for none. Whoever waits sleeps on it: a check may take seconds.
static CHECKING: AtomicU32 = AtomicU32::new(0);

/// Between looks when nothing woke the waiting thread: in a process that was forked meanwhile nobody does.
const LOOK_NS: u64 = 50_000_000;

/// Held by the thread that checks.
pub(super) struct Turn;

impl Turn {
    /// Waits for the turn; `None` on a thread that has it already.
    pub(super) fn wait() -> Option<Turn> {
        let own = process::tid().get() as u32;
        loop {
            match CHECKING.compare_exchange(0, own, AcqRel, Acquire) {
                Ok(_) => return Some(Turn),
                Err(holder) if holder == own => return None,
                Err(holder) => {
                    if futex::wait(&CHECKING, holder, LOOK_NS).is_err() {
                        // It changed, or a filter refuses futex.
                        arch::yield_now();
                    }
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CHECKING.store(0, Release);
        let _ = futex::wake(&CHECKING, 1);
    }
}

/// Before fork(2): no check runs while the process is copied.
pub fn before_fork() {
    if let Some(turn) = Turn::wait() {
        core::mem::forget(turn);
        TAKEN_BY_FORK.store(true, Release);
    }
}

/// Set while a fork has the turn; not when the thread that checks forks itself, in a callback of the program's.
static TAKEN_BY_FORK: AtomicBool = AtomicBool::new(false);

/// After fork(2), in both processes.
pub fn after_fork() {
    if TAKEN_BY_FORK.swap(false, AcqRel) {
        drop(Turn);
    }
}
