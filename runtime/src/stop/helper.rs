//! The helper: the task that stops the program and works on it.
//!
//! Contract: shares the memory of the program and the *thread-local storage of the caller*, which it never touches; runs
//! on its own stack; all signals blocked but its own. Raw system calls and memory of ours only. It ends by exit, which
//! frees every tracee in one critical section of the kernel and delivers every signal that was held.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::base::Errno;
use crate::mem::ProcessMemory;
use crate::sys::signals::{self, SignalSet};
use crate::sys::{file, futex, process, task};

use super::ending::{Ending, Outcome};
use super::session::{How, Session};
use super::{collect, gather, seize, watch, watchdog};

/// Time beyond the stop's deadline for what is left to do: the program must not be let go half read and unmended.
const GRACE_NS: u64 = 1_000_000_000;

/// Where the helper begins. `argument` is the address of the [`Session`].
pub(super) extern "C" fn main(argument: usize) -> ! {
    // SAFETY: the caller of clone passes the address of its session, which outlives the helper.
    let session: &Session = unsafe { &*core::ptr::with_exposed_provenance(argument) };
    let ending = match run(session) {
        Ok(()) => Ending::new(Outcome::Done, 0),
        Err(ending) => ending,
    };
    session.said.say(ending);
    process::exit_group(0)
}

/// Time to find the threads without /proc, on a loaded machine.
const LIST_NS: u64 = 20_000_000_000;

fn run(session: &Session) -> Result<(), Ending> {
    // SAFETY: from here to its end the helper owns the body.
    let body = unsafe { session.body() };
    let start = process::monotonic_ns();
    // Without /proc it takes a second or more to find the threads, which run on meanwhile.
    let to_list = if body.world.proc.is_there() { 0 } else { LIST_NS };
    let mut deadline = start.saturating_add(body.options.deadline_ns).saturating_add(to_list);
    session.hard_deadline.store(deadline.saturating_add(GRACE_NS), Relaxed);
    set_up(session)?;
    wait_for_permission(session, deadline);
    // SAFETY: set_up put handlers in place that begin with absorb_copy_fault; they stay until the end.
    let memory = unsafe { ProcessMemory::with_own_handlers() };
    body.ahead(memory);
    let begun = process::monotonic_ns();
    match body.how {
        How::Trace => {
            body.world.ahead.open(&body.world.proc);
            seize::seize_all(session, body, deadline)?;
            if to_list > 0 {
                deadline = process::monotonic_ns().saturating_add(body.options.deadline_ns);
                session.hard_deadline.store(deadline.saturating_add(GRACE_NS), Relaxed);
            }
            collect::collect(session, body, memory, deadline);
        }
        How::Alone => {
            collect::record_caller(body);
            collect::pending_of_caller(body, false);
            body.world.notes.threads = 1;
        }
        How::Park(parking) => gather::stop_all(session, parking, body, deadline, memory)?,
        How::Watch => {
            body.world.ahead.open(&body.world.proc);
            watch::record_sleepers(body, &memory)?;
        }
    }
    let stopped = process::monotonic_ns();
    body.world.notes.stop_ns = stopped - begun;
    session.hard_deadline.store(stopped.saturating_add(body.options.work_deadline_ns), Relaxed);
    body.work(memory);
    body.world.ahead.forget();
    body.tracees.blocked.set_all(&body.world.proc, &mut body.world.notes);
    if let How::Park(parking) = body.how {
        parking.see_first_back(&body.world.proc);
    }
    body.world.notes.work_ns = process::monotonic_ns() - stopped;
    match body.how {
        How::Watch => return watch::see_that_they_sleep(body),
        How::Trace | How::Park(_) | How::Alone => collect::leave_true_interruptions(body),
    }
    Ok(())
}

/// Everything that makes the helper harmless and unkillable by its own mistakes, before it touches a thread.
fn set_up(session: &Session) -> Result<(), Ending> {
    let failed = |step: usize| {
        move |errno: Errno| Ending { outcome: Outcome::Setup, first: errno.get() as usize, second: step }
    };
    empty_descriptors(session.keep_descriptor).map_err(failed(0))?;
    watchdog::replace_actions().map_err(failed(1))?;
    task::signal_stack(session.signal_stack.start, session.signal_stack.len()).map_err(failed(2))?;
    task::die_with_parent(libc::SIGKILL).map_err(failed(3))?;
    if task::parent() != session.pid {
        return Err(Ending::new(Outcome::Orphaned, 0));
    }
    // Without it a crash of the helper would only cost time; and an unprivileged hard limit of 0 refuses 1.
    let _ = task::forbid_core();
    watchdog::arm(session).map_err(failed(4))?;
    let blocked = SignalSet(SignalSet::ALL.0 & !watchdog::UNBLOCKED.0);
    signals::set_mask(blocked).map_err(failed(5))?;
    Ok(())
}

/// Gives the calling task, which shares the program's table of descriptors, one of its own, with none in it but `kept`. Before
/// Linux 5.9 that is a copy, in which what is there is closed one by one.
pub(super) fn empty_descriptors(kept: Option<i32>) -> Result<(), Errno> {
    let emptied = kept.map_or_else(task::empty_descriptors, task::empty_descriptors_but);
    emptied.or_else(|_| task::unshare_descriptors().map(|()| close_all(kept)))
}

fn close_all(kept: Option<i32>) {
    // At the limit of open files there is no number left for a listing; so give one back first.
    task::close(if kept == Some(0) { 1 } else { 0 });
    let Ok(list) = file::open(c"/proc/self/fd", libc::O_RDONLY | libc::O_DIRECTORY, 0) else { return };
    let mut buffer = [0; super::task_list::LIST_BUFFER];
    let _ = super::task_list::for_each_number(&list, &mut buffer, &mut |fd| {
        if fd != list.raw() && Some(fd) != kept {
            task::close(fd);
        }
    });
}

fn wait_for_permission(session: &Session, deadline: u64) {
    while session.gate.load(Acquire) == 0 && process::monotonic_ns() < deadline {
        let _ = futex::wait(&session.gate, 0, GRACE_NS);
    }
}
