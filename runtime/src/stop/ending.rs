//! How a task that works for a stop says how it ended: a few words of memory that it shares with whoever waits for it.

use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::base::Errno;

use super::notes::{CouldNotStop, Death, Refusal};

/// How far a helper got. Kept as a number in shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Outcome {
    /// It did not say.
    Silent = 0,
    /// The work is done.
    Done,
    /// ptrace was refused with this error.
    Refused,
    /// This process traces already.
    AlreadyTraced,
    /// A fault of its own: signal, address.
    Fault,
    /// Its watchdog ended it.
    Deadline,
    /// The caller is gone.
    Orphaned,
    /// This step of [`SETUP_STEPS`] failed with this error.
    Setup,
    /// The list of tasks could not be read, with this error.
    NoProc,
    /// No memory.
    NoMemory,
    /// No thread answered the signal.
    NoAnswer,
    /// Not all threads sleep, or sleep on.
    Awake,
}

/// The steps of a helper's start, by their number in [`Outcome::Setup`].
pub(super) const SETUP_STEPS: [&str; 6] =
    ["close_range", "rt_sigaction", "sigaltstack", "prctl", "setitimer", "rt_sigprocmask"];

/// What a helper ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) first: usize,
    pub(super) second: usize,
}

impl Ending {
    pub(super) const fn new(outcome: Outcome, first: usize) -> Ending {
        Ending { outcome, first, second: 0 }
    }

    pub(super) const fn errno(outcome: Outcome, errno: Errno) -> Ending {
        Ending::new(outcome, errno.get() as usize)
    }

    /// As a reason; `None` when the work is done or nothing was said.
    pub(super) fn reason(self) -> Option<CouldNotStop> {
        let errno = Errno::new(self.first as i32);
        Some(match self.outcome {
            Outcome::Silent | Outcome::Done => return None,
            Outcome::Refused => CouldNotStop::Refused(errno, Refusal::Unknown),
            Outcome::AlreadyTraced => CouldNotStop::AlreadyTraced(self.first as i32),
            Outcome::Fault => CouldNotStop::HelperDied(Death::Fault(self.first as i32, self.second)),
            Outcome::Deadline => CouldNotStop::HelperDied(Death::Deadline),
            Outcome::Orphaned => CouldNotStop::HelperDied(Death::Orphaned),
            Outcome::Setup => {
                let step = SETUP_STEPS.get(self.second).copied().unwrap_or("a system call");
                CouldNotStop::HelperDied(Death::Setup(step, errno))
            }
            Outcome::NoProc => CouldNotStop::NoProc(errno),
            Outcome::NoMemory => CouldNotStop::NoMemory(errno),
            Outcome::NoAnswer if self.first != 0 => CouldNotStop::NoSignalSent(errno),
            Outcome::NoAnswer => CouldNotStop::NoSignalAnswer,
            Outcome::Awake => CouldNotStop::Awake,
        })
    }
}

/// The last words of a task. All zero: none yet.
pub(super) struct Said {
    outcome: AtomicU32,
    first: AtomicUsize,
    second: AtomicUsize,
}

impl Said {
    /// Not a word.
    pub(super) const fn nothing() -> Said {
        Said {
            outcome: AtomicU32::new(Outcome::Silent as u32),
            first: AtomicUsize::new(0),
            second: AtomicUsize::new(0),
        }
    }

    /// Says how it ended. The first word counts: a fault on the way out does not replace the reason for leaving.
    pub(super) fn say(&self, ending: Ending) {
        if self.outcome.load(Relaxed) == Outcome::Silent as u32 {
            self.first.store(ending.first, Relaxed);
            self.second.store(ending.second, Relaxed);
            self.outcome.store(ending.outcome as u32, Release);
        }
    }

    /// What was said.
    pub(super) fn ending(&self) -> Ending {
        const ALL: [Outcome; 12] = [
            Outcome::Silent,
            Outcome::Done,
            Outcome::Refused,
            Outcome::AlreadyTraced,
            Outcome::Fault,
            Outcome::Deadline,
            Outcome::Orphaned,
            Outcome::Setup,
            Outcome::NoProc,
            Outcome::NoMemory,
            Outcome::NoAnswer,
            Outcome::Awake,
        ];
        let number = self.outcome.load(Acquire);
        Ending {
            outcome: ALL.into_iter().find(|o| *o as u32 == number).unwrap_or(Outcome::Silent),
            first: self.first.load(Relaxed),
            second: self.second.load(Relaxed),
        }
    }
}
