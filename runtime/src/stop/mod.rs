//! Stopping the world: every thread of the process but the caller stands still while some work is done on it.
//!
//! ```text
//! caller                                  helper (own task, same memory)
//! stop_the_world
//!   alone?  -> work in place
//!   session: memory, names, tables
//!   signals blocked, clone  ------------> empty descriptors, own handlers, watchdog
//!   waits on the helper's end             ahead -> seize all -> collect stops (mend) -> work -> exit
//!   reaps it, reads the outcome  <------- the kernel frees all tracees at once
//! ```
//!
//! Contract: the caller holds whatever locks the work needs *before* it asks: a stopped thread may hold any. The work
//! runs in the helper: raw system calls and our own memory only, no libc, no thread-local storage, no program allocator.
//!
//! Not promised: see docs/LIMITS.md (transfers and timeouts without the preload; SIGKILL of the helper between interrupt
//! and mend).
//!
//! Why a helper by clone and not a thread or a fork: a tracer cannot trace its own thread group, and a fork would see a
//! copy. Why release by exit: the kernel frees all tracees in one critical section and delivers every held signal.
//!
//! References: ptrace(2), clone(2), waitid(2).

mod await_end;
mod blocked;
pub mod call;
pub mod cgroup;
mod collect;
mod crew;
mod ending;
pub mod exec;
mod first;
mod gather;
mod helper;
mod mend;
mod notes;
mod parking;
mod precedence;
mod proc_files;
mod record;
mod seize;
mod session;
mod single;
pub mod snapshot;
mod standing;
mod task_list;
mod tracees;
mod tracer;
mod turn;
mod watch;
mod watchdog;
pub mod yama;

use crate::arch::{self, CallerFrame, Registers};
use crate::base::{Addr, Errno};
use crate::sys::{process, task};

pub use crew::{Crew, most as most_tasks};
pub use notes::{Backend, CouldNotStop, Death, Missing, Refusal, StopNotes};
pub use proc_files::{ProcFile, ProcFiles};
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
    /// Leave the extended state of a thread that is inside a system call for [`World::late_extended`], where calls keep
    /// nothing of it: reading it costs as much as waiting for the thread and reading all else.
    pub extended_later: bool,
    /// Have the work done by a task of its own where there is but one thread, too: it may crash or never end. Not under a
    /// seccomp filter, which may kill for clone(2).
    pub away: bool,
    /// A descriptor of the caller that the work may write to. The helper has no other of the program's.
    pub keep_descriptor: Option<i32>,
}

impl Options {
    /// 2 seconds for the stop, 2 minutes for the work.
    pub const DEFAULT: Options = Options {
        deadline_ns: 2_000_000_000,
        work_deadline_ns: 120_000_000_000,
        means: Means::Any,
        signal_masks: false,
        extended_later: false,
        away: false,
        keep_descriptor: None,
    };
}

impl Default for Options {
    fn default() -> Self {
        Options::DEFAULT
    }
}

/// The work on a stopped world. It may read the program's memory and write to what it has captured.
pub type Work<'w> = dyn FnMut(&World, crate::mem::ProcessMemory<'_>) + 'w;

/// What the task does that stops the program.
pub struct Works<'a, 'w> {
    /// Before anybody is stopped, and again should that be refused: what need not be exact is found out and made here. The
    /// world has no threads yet; memory changes under its hands.
    pub ahead: &'a mut Work<'w>,
    /// In the stopped world.
    pub work: &'a mut Work<'w>,
}

/// Stops every other thread, runs `work` once, and lets all go on. Returns what the stop was like.
///
/// A process with a single task needs no stop: the work runs in place, on a stack of our own, without ptrace, unless it is to be
/// done away ([`Options::away`]).
///
/// # Errors
///
/// [`CouldNotStop`]: every thread runs on, and the work was not run to its end (it may have been begun, when the helper
/// died in it).
pub fn stop_the_world(
    caller: &Caller<'_>,
    options: &Options,
    work: &mut Work<'_>,
) -> Result<StopNotes, CouldNotStop> {
    stop_the_world_prepared(caller, options, &mut Works { ahead: &mut |_, _| {}, work })
}

/// As [`stop_the_world`], with something to be done before the stop.
///
/// # Errors
///
/// As there.
pub fn stop_the_world_prepared(
    caller: &Caller<'_>,
    options: &Options,
    works: &mut Works<'_, '_>,
) -> Result<StopNotes, CouldNotStop> {
    let (pid, tid) = (process::pid(), process::tid());
    let registers = Registers::of_caller(caller.frame, caller.stack_pointer.get(), arch::thread_pointer());
    let found = ProcFiles::find(pid, tid);
    let proc = found.unwrap_or(ProcFiles::absent(pid, tid));
    // A filter may kill for a system call that is seldom made.
    let is_filtered = task::seccomp_mode() != 0;
    let is_alone = !is_filtered && task::is_alone() == Ok(true);
    let tasks = match found {
        _ if is_alone => 1,
        Ok(proc) => proc.count_tasks().map_err(CouldNotStop::NoProc)?,
        Err(errno) if may_do_without(errno, is_filtered, options) => task_list::UNLISTED,
        Err(errno) => return Err(CouldNotStop::NoProc(errno)),
    };
    if tasks == 1 {
        if !is_alone && !is_filtered && is_shared(pid) {
            return Err(CouldNotStop::SharedMemory);
        }
        if is_filtered || !options.away {
            return single::run(tid, registers, proc, works);
        }
        let request = tracer::Request { pid, tid, registers, proc, tasks, options };
        return tracer::run_alone(&request, works);
    }
    let _turn = turn::take(pid, options.deadline_ns)?;
    let request = tracer::Request { pid, tid, registers, proc, tasks, options };
    if options.means == Means::Signal {
        return tracer::run_by_signal(&request, works);
    }
    match tracer::run(&request, works) {
        Err(reason) if options.means == Means::Any && reason.forbids_ptrace() && proc.is_there() => {
            // The first reason says more when the second way fails too.
            tracer::run_by_signal(&request, works).map_err(|_| reason)
        }
        result => result,
    }
}

/// Whether a process with several threads can be stopped without /proc: by ptrace, where the kernel needs nobody to tell which call
/// a thread was in (mend.rs). Threads that are signalled would stand while others are looked for, and see EINTR.
fn may_do_without(errno: Errno, is_filtered: bool, options: &Options) -> bool {
    let is_absent = matches!(errno.get(), libc::ENOENT | libc::ENOTDIR);
    is_absent && !is_filtered && options.means != Means::Signal && arch::KERNEL_DECIDES_RESTART
}

/// How many tasks there are, if so many that [`watch_the_world`] is worth a try.
pub fn worth_watching() -> Option<usize> {
    let links = task::links_of(c"/proc/self/task").ok()?;
    Some(links.saturating_sub(2)).filter(|tasks| watch::are_enough(*tasks))
}

/// Runs the work once while all other threads sleep in the kernel, without stopping any: see [`watch`]. It sees no registers
/// but the caller's, and of the others their stack pointers.
///
/// # Errors
///
/// [`CouldNotStop::Awake`] where they do not all sleep, where one woke while the work was done (its result is worth nothing
/// then), or where it is not worth a try: few threads, numbers that are not /proc's own, or a seccomp filter, which may
/// kill for a system call that is seldom made. Others as for [`stop_the_world`].
pub fn watch_the_world(
    caller: &Caller<'_>,
    options: &Options,
    works: &mut Works<'_, '_>,
) -> Result<StopNotes, CouldNotStop> {
    let (pid, tid) = (process::pid(), process::tid());
    let proc = ProcFiles::find(pid, tid).map_err(CouldNotStop::NoProc)?;
    let tasks = proc.count_tasks().map_err(CouldNotStop::NoProc)?;
    if !watch::are_enough(tasks) || !proc.is_native() || task::seccomp_mode() != 0 {
        return Err(CouldNotStop::Awake);
    }
    let registers = Registers::of_caller(caller.frame, caller.stack_pointer.get(), arch::thread_pointer());
    let _turn = turn::take(pid, options.deadline_ns)?;
    watch::run(&tracer::Request { pid, tid, registers, proc, tasks, options }, works)
}

/// Whether others use the memory of this process, which has one thread. The kernel counts users, and for a moment these are
/// among them: a thread that has just ended, and whoever reads the process' stat or maps (get_task_mm in fs/proc).
fn is_shared(pid: i32) -> bool {
    const LOOKS: u32 = 100;
    const BETWEEN_NS: u64 = 1_000_000;
    if task::share_memory(pid, task::parent()) == Ok(true) {
        return true;
    }
    for _ in 0..LOOKS {
        if task::is_alone() != Ok(false) {
            return false;
        }
        crate::sys::timer::sleep(BETWEEN_NS);
    }
    true
}

mod atomics {
    pub(super) use core::sync::atomic::{AtomicU64, Ordering, fence};
}

#[cfg(all(loom, test))]
mod model;
#[cfg(test)]
pub(crate) mod tests;
