//! Stopping the world: every thread of the process but the caller stands still while some work is done on it.
//!
//! ```text
//! caller                                  helper (own task, same memory)
//! stop_the_world
//!   alone?  -> work in place
//!   session: memory, names, tables
//!   signals blocked, clone  ------------> empty descriptors, own handlers, watchdog
//!   waits on the helper's end             seize all -> collect stops (mend) -> work -> exit
//!   reaps it, reads the outcome  <------- the kernel frees all tracees at once
//! ```
//!
//! Contract: the caller holds whatever locks the work needs *before* it asks: a stopped thread may hold any. The work
//! runs in the helper: raw system calls and our own memory only, no libc, no thread-local storage, no program allocator.
//!
//! Not promised: see docs/LIMITS.md (blocked partial transfers; SIGKILL of the helper between interrupt and mend).
//!
//! Why a helper by clone and not a thread or a fork: a tracer cannot trace its own thread group, and a fork would see a
//! copy. Why release by exit: the kernel frees all tracees in one critical section and delivers every held signal.
//!
//! References: ptrace(2), clone(2), waitid(2).

mod notes;
mod proc_files;
mod record;

use crate::arch::CallerFrame;
use crate::base::Addr;

pub use notes::{Backend, CouldNotStop, Death, Missing, Refusal, StopNotes};
pub use proc_files::ProcFiles;
pub use record::{QueuedSignal, StopKind, ThreadRecord, World};

/// The thread that asks for the stop: its registers, and where its own frames begin. Frames of ours below are no roots.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// What it kept over its call of us.
    pub frame: &'a CallerFrame,
    /// Its stack pointer at that call.
    pub stack_pointer: Addr,
}

/// Which means may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Means {
    /// ptrace, and the signal where ptrace is refused.
    #[default]
    Any,
    /// Only ptrace.
    Ptrace,
    /// Only the signal.
    Signal,
}

/// How to stop.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Nanoseconds after which the stop goes on with the threads that it has.
    pub deadline_ns: u64,
    /// Nanoseconds after which the work is ended by force. The program stands still meanwhile.
    pub work_deadline_ns: u64,
    /// The means.
    pub means: Means,
    /// Read each thread's blocked signals too.
    pub signal_masks: bool,
}

impl Options {
    /// 2 seconds for the stop, 2 minutes for the work.
    pub const DEFAULT: Options = Options {
        deadline_ns: 2_000_000_000,
        work_deadline_ns: 120_000_000_000,
        means: Means::Any,
        signal_masks: false,
    };
}

impl Default for Options {
    fn default() -> Self {
        Options::DEFAULT
    }
}

/// The work on a stopped world. It may read the program's memory and write to what it has captured.
pub type Work<'w> = dyn FnMut(&World, crate::mem::ProcessMemory<'_>) + 'w;
