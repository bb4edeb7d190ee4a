//! Which of the threads that a signal has stopped go on first: those whose system call has failed because of it.
//!
//! Their handler sets registers back so that the call is made again (parking.rs). A signal that comes between that and the
//! call runs its handler, but does not end the call: whoever sent it to end the call, as a thread does that cancels another's
//! `recv`, would wait for ever. No thread of the program can, as long as it stands still until the others are back in
//! their calls.
//!
//! Contract: a thread calls [`First::join`] before it says that it stands. The helper opens and waits, for a bounded time;
//! the caller opens too, whatever became of the helper.
//!
//! Not promised: a signal from another process or of a timer in that instant.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use crate::arch;
use crate::base::Tid;
use crate::sys::{futex, process, timer};

use super::proc_files::ProcFiles;
use super::task_list::InSystemCall;

/// Those that go first.
pub(super) struct First {
    /// How many have joined and not left.
    standing: AtomicU32,
    /// 1 when they go on.
    open: AtomicU32,
}

impl First {
    /// None.
    pub(super) const fn new() -> First {
        First { standing: AtomicU32::new(0), open: AtomicU32::new(0) }
    }

    /// The calling thread goes first.
    pub(super) fn join(&self) {
        self.standing.fetch_add(1, AcqRel);
    }

    /// Sleeps until they go on.
    pub(super) fn stand(&self) {
        const LOOK_NS: u64 = 1_000_000_000;
        while self.open.load(Acquire) == 0 {
            if futex::wait(&self.open, 0, LOOK_NS).is_err_and(|errno| errno.get() == libc::ENOSYS) {
                arch::yield_now();
            }
        }
    }

    /// The calling thread has set its registers.
    pub(super) fn leave(&self) {
        self.standing.fetch_sub(1, AcqRel);
    }

    /// Lets them go on.
    pub(super) fn open(&self) {
        self.open.store(1, Release);
        let _ = futex::wake(&self.open, i32::MAX);
    }

    /// Lets them go on, and waits until they are inside of a call again. `threads` are they, as /proc numbers tasks.
    pub(super) fn see_back(&self, proc: &ProcFiles, threads: impl Iterator<Item = Tid>) {
        /// A thread that gets no CPU for so long, or makes no call, is not worth the others' time.
        const PATIENCE_NS: u64 = 5_000_000;
        const LOOK_NS: u64 = 20_000;
        if self.standing.load(Acquire) == 0 {
            return;
        }
        self.open();
        let until = process::monotonic_ns() + PATIENCE_NS;
        let wait_while = |goes_on: &dyn Fn() -> bool| {
            while goes_on() && process::monotonic_ns() < until {
                timer::sleep(LOOK_NS);
            }
        };
        wait_while(&|| self.standing.load(Acquire) > 0);
        for listed in threads {
            let may_tell = || proc.open_of_thread(listed, "syscall").is_ok();
            wait_while(&|| InSystemCall::of(proc, listed).is_none() && may_tell());
        }
    }
}
