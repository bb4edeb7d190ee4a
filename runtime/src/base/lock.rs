//! The locks of the runtime: `spin`'s mutex with a waiter that yields.
//!
//! Contract: held for a bounded, short time; never across a system call that can wait for the program; never taken by
//! the stopped world (a frozen thread may hold any of them). What the helper reads is either lock-free or was
//! copied under its lock before the world stopped (see [`crate::check`]).
//!
//! Why spin locks: they need no thread-local state and no libc, so they work in malloc before libc is initialised, in
//! a forked child and in a signal handler's malloc (which must not happen, but does). A waiter that only spun would
//! burn its whole time slice when the holder is preempted on a machine with few CPUs; so it yields after a few turns.

use spin::relax::RelaxStrategy;

/// A lock over `T`.
pub type Lock<T> = spin::mutex::SpinMutex<T, Yield>;

/// What [`Lock::lock`] returns.
pub type Guard<'a, T> = spin::mutex::SpinMutexGuard<'a, T, Yield>;

/// Waits with a CPU pause and a sched_yield(2).
pub struct Yield;

impl RelaxStrategy for Yield {
    #[inline]
    fn relax() {
        for _ in 0..32 {
            core::hint::spin_loop();
        }
        crate::arch::yield_now();
    }
}
