//! One check at a time.
//!
//! Why not a lock of [`crate::base::lock`]: the holder must be known, since a signal handler that asks for a check while
//! its own thread is inside one would wait for itself.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};

use crate::arch;
use crate::base::ForkDepth;
use crate::sys::{futex, process};

/// The thread that checks: its process in the upper half, its gettid(2) in the lower; 0 for none. A process that was
/// forked during a check without pthread_atfork(3) (by `_Fork`) finds another process here: that check is none of its own.
static CHECKING: AtomicU64 = AtomicU64::new(0);

/// How many checks have ended. Whoever waits sleeps on it: a check may take seconds.
static ENDED: AtomicU32 = AtomicU32::new(0);

/// Between looks when nothing woke the waiting thread.
const LOOK_NS: u64 = 50_000_000;

/// Held by the thread that checks.
pub(super) struct Turn;

impl Turn {
    /// Waits for the turn; `None` on a thread that has it already.
    pub(super) fn wait() -> Option<Turn> {
        let pid = process::pid() as u64;
        let own = pid << 32 | process::tid().get() as u64;
        loop {
            let ended = ENDED.load(Acquire);
            let holder = CHECKING.load(Acquire);
            if holder == own {
                return None;
            }
            let is_free = holder >> 32 != pid;
            if is_free && CHECKING.compare_exchange(holder, own, AcqRel, Acquire).is_ok() {
                if holder != 0 {
                    // If it was taken by a fork, then by one of the other process.
                    FORKS.forget();
                }
                return Some(Turn);
            }
            if !is_free && futex::wait(&ENDED, ended, LOOK_NS).is_err() {
                // It changed, or a filter refuses futex.
                arch::yield_now();
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CHECKING.store(0, Release);
        ENDED.fetch_add(1, AcqRel);
        let _ = futex::wake(&ENDED, 1);
    }
}

/// Before fork(2): no check runs while the process is copied.
pub fn before_fork() {
    let turn = Turn::wait();
    FORKS.enter(turn.is_some());
    core::mem::forget(turn);
}

/// Forks that have the turn; none when the thread that checks forks itself, in a callback of the program's.
static FORKS: ForkDepth = ForkDepth::none();

/// After fork(2), in both processes.
pub fn after_fork() {
    if FORKS.leave() {
        drop(Turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_forked_during_a_check_can_check() {
        let turn = Turn::wait();
        assert!(turn.is_some() && Turn::wait().is_none());
        // SAFETY: fork(2) without the handlers; the child makes system calls only.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
        if child == 0 {
            // SAFETY: system calls.
            unsafe {
                libc::alarm(10);
                libc::_exit(i32::from(Turn::wait().is_none()));
            }
        }
        let mut status = 0;
        // SAFETY: waitpid(2) for the test's own child.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child was refused, or died of SIGALRM while it waited");
    }
}
