//! Stopping by signal, the helper's part: list the threads, send each to its place, until nothing is new and all stand.
//!
//! Unlike a seized thread, one that was only signalled can still make others until it stands; so the list is read again
//! after all have answered.
//!
//! Contract: runs in the helper, whose descriptors are its own. What cannot be had this way: queued signals, threads that
//! wait for a vfork child, exact restarts of calls where /proc refuses to tell which call a thread is in.

use crate::arch::Registers;
use crate::base::{Addr, Errno, Tid};
use crate::mem::{ProcessMemory, ReadMemory};
use crate::sys::signals::SignalSet;
use crate::sys::{process, task};

use super::call::Call;
use super::ending::{Ending, Outcome};
use super::notes::Missing;
use super::parking::Parking;
use super::record::{Slice, StopKind, ThreadRecord};
use super::session::{Body, Session};
use super::task_list::{InSystemCall, LIST_BUFFER, Status, TaskList};
use super::tracees::{State, Tracee};

/// Between looks at threads that have not answered.
const LOOK_NS: u64 = 5_000_000;

/// A thread inside vfork(2) for longer than this is waiting for its child, which a signal does not stop.
const VFORK_NS: u64 = 100_000_000;

/// Stops every thread but the caller and makes the records.
pub(super) fn stop_all(
    session: &Session,
    parking: &Parking,
    body: &mut Body,
    deadline: u64,
    memory: ProcessMemory<'_>,
) -> Result<(), Ending> {
    let list =
        TaskList::open(&body.world.proc, deadline).map_err(|errno| Ending::errno(Outcome::NoProc, errno))?;
    let mut buffer = [0; LIST_BUFFER];
    super::collect::record_caller(body);
    let mut refused = None;
    loop {
        body.world.notes.passes += 1;
        let before = body.tracees.len();
        list.for_each(&mut buffer, &mut |listed| refused = send(parking, body, listed).err().or(refused))
            .map_err(|errno| Ending::errno(Outcome::NoProc, errno))?;
        let late = session.is_past(deadline);
        if body.tracees.len() == before || late {
            body.world.notes.list_cut = late && body.tracees.len() != before;
            break;
        }
        wait_for_answers(session, parking, body, deadline);
    }
    let mut recorded = 0u32;
    let mut place = 0;
    for index in 0..body.tracees.len() {
        let Some(task) = body.tracees.get(index) else { continue };
        if task.state == State::Interrupted {
            recorded += record(parking, body, task, place, memory) as u32;
        } else if task.state == State::Apart && task.tid != body.caller {
            super::collect::record_from_proc(body, task, StopKind::Running);
        }
        place += has_place(&task) as usize;
    }
    body.world.notes.threads = body.world.threads.len() as u32;
    let others = body.tracees.iter().filter(|task| task.state == State::Interrupted).count();
    match refused {
        _ if recorded > 0 => {}
        Some(errno) => return Err(Ending::errno(Outcome::NoAnswer, errno)),
        None if others > 0 => return Err(Ending::new(Outcome::NoAnswer, 0)),
        None => {}
    }
    super::collect::pending_of_caller(body, false);
    body.world.unread.0 |= parking.pending().0;
    Ok(())
}

/// Sends a thread that is new to its place. The error says that the signal was refused.
fn send(parking: &Parking, body: &mut Body, listed: Tid) -> Result<(), Errno> {
    if body.tracees.contains(listed) {
        return Ok(());
    }
    let proc = body.world.proc;
    let status = || proc.open_of_thread(listed, "status").and_then(|file| Status::read(&file)).ok();
    let tid = if proc.is_native() { Some(listed) } else { status().and_then(|s| Tid::new(s.innermost)) };
    let Some(tid) = tid else { return Ok(()) };
    let caller = proc.caller() == Some(listed);
    let state = if caller { State::Apart } else { State::Interrupted };
    if body.tracees.add(Tracee { tid, listed, state, foreign: false }).is_err() {
        // Without an entry no place either: the two are counted alike.
        body.world.notes.miss(tid, Missing::NoMemory);
        return Ok(());
    }
    if caller {
        return Ok(());
    }
    // Before the signal: afterwards the thread is in its handler.
    let call = InSystemCall::of(&proc, listed);
    let index = body.tracees.len() - 1;
    // Our handler makes system calls that the mode answers with death.
    if call.is_none_or(|call| call.is_for_the_strict()) && status().is_some_and(|status| status.is_strict) {
        body.world.notes.miss(tid, Missing::StrictSeccomp);
        body.tracees.set(index, State::Apart);
        return Ok(());
    }
    let sent = parking.reserve(tid, listed, call);
    match sent.map(|place| parking.send(body.pid, place)) {
        Some(Ok(())) => {}
        // It ended; its place stays empty.
        Some(Err(errno)) if errno.get() == libc::ESRCH => body.tracees.set(index, State::Gone),
        Some(Err(errno)) => {
            body.world.notes.miss(tid, Missing::NotSignalled(errno));
            parking.give_back();
            body.tracees.set(index, State::Apart);
            return Err(errno);
        }
        None => {
            body.world.notes.miss(tid, Missing::NoMemory);
            body.tracees.set(index, State::Apart);
        }
    }
    Ok(())
}

/// Every task but those without a place has the next one, in order.
fn has_place(task: &Tracee) -> bool {
    matches!(task.state, State::Interrupted | State::Recorded | State::Gone | State::Exited)
}

/// Waits until every thread that was sent a signal stands or is gone.
fn wait_for_answers(session: &Session, parking: &Parking, body: &mut Body, deadline: u64) {
    let start = process::monotonic_ns();
    loop {
        let sent = body.tracees.iter().filter(|task| task.state == State::Interrupted).count();
        if parking.wait_for(sent as u32, LOOK_NS) || session.is_past(deadline) {
            return;
        }
        let mut place = 0;
        let mut missing = 0;
        for index in 0..body.tracees.len() {
            let Some(task) = body.tracees.get(index) else { continue };
            if task.state == State::Interrupted && parking.context(place).is_none() {
                missing += 1;
                // A thread on its way out blocks every signal and is gone soon; a leader stays as a zombie.
                if !task::is_thread_of(body.pid, task.tid) {
                    body.tracees.set(index, State::Gone);
                } else if is_exited(body, task) {
                    body.tracees.set(index, State::Exited);
                } else if process::monotonic_ns() - start > VFORK_NS && waits_for_vfork_child(body, task) {
                    body.world.notes.miss(task.tid, Missing::VforkChild);
                    super::collect::record_from_proc(body, task, StopKind::VforkParent);
                    body.tracees.set(index, State::Recorded);
                }
            }
            place += has_place(&task) as usize;
        }
        if missing == 0 {
            return;
        }
    }
}

fn waits_for_vfork_child(body: &Body, task: Tracee) -> bool {
    InSystemCall::of(&body.world.proc, task.listed).is_some_and(|call| call.makes_tasks())
}

fn is_exited(body: &Body, task: Tracee) -> bool {
    let status = body.world.proc.open_of_thread(task.listed, "status").and_then(|file| Status::read(&file));
    status.is_ok_and(|status| matches!(status.state, b'Z' | b'X') || status.kernel_worker)
}

/// Makes the record of the thread in a place; false when it does not stand there.
fn record(parking: &Parking, body: &mut Body, task: Tracee, place: usize, memory: ProcessMemory<'_>) -> bool {
    let Some(context) = parking.context(place) else {
        body.world.notes.miss(task.tid, Missing::NotStopped);
        super::collect::record_from_proc(body, task, StopKind::Running);
        return false;
    };
    let mut record = ThreadRecord::unknown(task.tid, task.listed, StopKind::Interrupted);
    let registers: Registers = context.registers;
    // /proc told what the thread was in before it was sent the signal; it may have gone on. A wrapped call says so itself.
    let told = parking.call(place, &registers);
    let wrapped = Call::left(&registers, &memory, told);
    if let Some(call) = wrapped {
        parking.note_wrapped(place, call);
    }
    record.registers = match wrapped.map(Call::number).or(told) {
        Some(number) => registers.in_system_call(number),
        None => registers,
    };
    record.blocked = Some(SignalSet(context.blocked));
    let mut words = [0usize; 4096];
    let (from, len) = context.extended;
    let state = words.get_mut(..len / 8).unwrap_or_default();
    let had = memory.read_words(Addr::new(from), state);
    let used = state.iter().take(had).rposition(|word| *word != 0).map_or(0, |last| last + 1);
    let start = body.world.extended.len();
    if state.iter().take(used).try_for_each(|word| body.world.extended.push(*word as u64)).is_ok() {
        record.extended = Slice { start: start as u32, len: used as u32 };
    }
    super::collect::keep(body, record);
    true
}
