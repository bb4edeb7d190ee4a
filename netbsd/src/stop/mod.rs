//! Stopping the world: every thread of the process stands still while some work is done on it.
//!
//! ```text
//! caller                              tracer (a forked process)
//! stop_the_world
//!   shared memory for the outcome
//!   fork ---------------------------> signals blocked, PT_ATTACH to its parent
//!   waits (and stands still) <------- SIGSTOP: all threads at once
//!                                     PT_LWPNEXT, PT_GETREGS: records -> work -> outcome -> PT_DETACH, exit
//!   reaps it, reads the outcome
//! ```
//!
//! Contract: as that of the runtime's `stop`, and the work sees a *copy* of the process from before the stop: of the
//! stopped one it reads memory by [`ProcessMemory`], and what it finds it leaves in memory that is mapped shared.
//!
//! Why a fork: a process cannot trace itself, and one that shared its memory without being forked (vfork) may not trace
//! its parent (ptrace_allowed, 5). Why no seizing loop: PT_ATTACH stops the process, not a thread; none can come or
//! go meanwhile.
//!
//! Not promised: a program lives through the death of its tracer. NetBSD kills it (exit1: "orphaned traced process"), so
//! the tracer blocks all signals; SIGKILL to it remains.
//!
//! References: ptrace(2), sys/kern/sys_ptrace_common.c, sys/kern/kern_exit.c.

mod collect;
#[path = "../../../runtime/src/stop/notes.rs"]
#[allow(dead_code)] // What only Linux' means ask.
mod notes;
mod proc_files;
#[path = "../../../runtime/src/stop/record.rs"]
#[allow(dead_code)] // As above.
mod record;

use crate::arch::{CallerFrame, Registers};
use crate::base::{Addr, Tid};
use crate::mem::ProcessMemory;
use crate::sys::process::{self, Change};
use crate::sys::{memory, ptrace, signals};

pub use notes::{Backend, CouldNotStop, Death, Missing, Refusal, StopNotes};
pub use proc_files::ProcFiles;
pub use record::{QueuedSignal, StopKind, ThreadRecord, World};

/// The work on a stopped world, in the tracer.
pub type Work<'w> = dyn FnMut(&World, ProcessMemory<'_>) + 'w;

/// Who asks for the stop, before the fork.
struct Request {
    pid: i32,
    caller: Tid,
    registers: Registers,
}

/// What the tracer leaves behind.
struct Outcome {
    /// Written last.
    done: bool,
    refused: Option<CouldNotStop>,
    notes: StopNotes,
}

/// Stops every other thread, runs `work` once in the tracer, and lets all go on. Returns what the stop was like.
///
/// `frame` and `stack_pointer` are those of the caller's call of us, `thread_pointer` its thread control block.
///
/// # Errors
///
/// [`CouldNotStop`]: every thread runs on, and the work was not run to its end.
pub fn stop_the_world(
    frame: &CallerFrame,
    stack_pointer: Addr,
    thread_pointer: Addr,
    work: &mut Work<'_>,
) -> Result<StopNotes, CouldNotStop> {
    let pid = process::id();
    let caller = process::thread().ok_or(CouldNotStop::HelperDied(Death::Orphaned))?;
    let registers = Registers::of_caller(frame, stack_pointer.get(), thread_pointer.get());
    let request = Request { pid, caller, registers };
    let bytes = size_of::<Outcome>();
    let shared = memory::map(bytes, memory::Sharing::WithChildren).map_err(CouldNotStop::NoMemory)?;
    let outcome = core::ptr::with_exposed_provenance_mut::<Outcome>(shared.get());
    // SAFETY: a page of ours, aligned, that nobody else writes to before the fork.
    unsafe { outcome.write(Outcome { done: false, refused: None, notes: StopNotes::default() }) };
    // SAFETY: the child runs `trace`, which makes system calls only, and ends.
    let result = match unsafe { process::fork() } {
        Err(errno) => Err(CouldNotStop::NoHelper(errno)),
        Ok(None) => {
            // SAFETY: the parent reads it after this process' end.
            trace(&request, unsafe { &mut *outcome }, work);
            process::exit(0)
        }
        Ok(Some(tracer)) => {
            let end = process::wait(tracer, true);
            // SAFETY: written before the fork and by the tracer, which is gone.
            judge(end, unsafe { &*outcome })
        }
    };
    // SAFETY: mapped above, and the reference to it is gone.
    unsafe { memory::unmap(shared, bytes) };
    result
}

/// The tracer's life.
fn trace(request: &Request, outcome: &mut Outcome, work: &mut Work<'_>) {
    signals::block_all();
    let start = process::monotonic_ns();
    let attached = match ptrace::Attached::new(request.pid) {
        Ok(attached) => attached,
        Err(errno) => {
            outcome.refused = Some(match errno.get() {
                libc::EBUSY => CouldNotStop::AlreadyTraced(0),
                _ => CouldNotStop::Refused(errno, Refusal::Unknown),
            });
            return;
        }
    };
    let Ok(stopped) = attached.stopped() else {
        outcome.refused = Some(CouldNotStop::HelperDied(Death::Orphaned));
        return;
    };
    let mut world = World::new(ProcFiles::new(request.pid));
    world.notes.backend = Backend::Ptrace;
    collect::collect(request, &stopped, &mut world);
    world.notes.stop_ns = process::monotonic_ns() - start;
    let start = process::monotonic_ns();
    work(&world, ProcessMemory::new(&stopped));
    world.notes.work_ns = process::monotonic_ns() - start;
    outcome.notes = world.notes;
    outcome.done = true;
}

fn judge(end: Result<Change, crate::base::Errno>, outcome: &Outcome) -> Result<StopNotes, CouldNotStop> {
    if outcome.done {
        return Ok(outcome.notes);
    }
    Err(outcome.refused.unwrap_or(CouldNotStop::HelperDied(match end {
        Ok(Change::Exited(status)) => Death::Exit(status),
        Ok(Change::Killed(signal)) => Death::Signal(signal),
        _ => Death::Orphaned,
    })))
}
