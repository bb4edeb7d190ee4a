//! Collecting the stops: waiting for each tracee by its id, reading it, mending it, telling what kind of stop it is.
//!
//! The waits go by id, since a wait for any tracee walks all of them each time. None consumes its stop. A tracee that
//! does not stop is passed over and looked at again until the deadline; then what /proc tells of it has to do.
//!
//! Contract: runs in the helper; the watchdog's timer ends a blocking wait with EINTR, which is how time passes here.

use crate::arch::{CALLS_KEEP_EXTENDED, KERNEL_DECIDES_RESTART, Registers};
use crate::base::{Errno, Tid};
use crate::mem::ProcessMemory;
use crate::sys::file;
use crate::sys::process;
use crate::sys::ptrace::{EVENT_CLONE, EVENT_STOP, EVENT_VFORK, Queue};
use crate::sys::signals::SignalSet;
use crate::sys::task;
use crate::sys::wait::Block;

use super::blocked;
use super::call::Call;
use super::mend::{Effect, mend};
use super::notes::Missing;
use super::proc_files::number;
use super::record::{QueuedSignal, Slice, StopKind, ThreadRecord};
use super::seize;
use super::session::{Body, Cut, Session};
use super::task_list::{InSystemCall, Status};
use super::tracees::{ExtendedState, Found, State, Stopped, Tracee};

/// Waits for all tracees and makes their records.
pub(super) fn collect(session: &Session, body: &mut Body, memory: ProcessMemory<'_>, deadline: u64) {
    let mut collector = Collector {
        session,
        memory,
        state: ExtendedState::new(),
        process_queue_read: false,
        lost_names: false,
    };
    record_caller(body);
    let mut late = 0;
    // The first round waits in the order of seizure, until the timer has gone off once; from then on it only looks.
    let mut block = Block::Wait;
    let mut index = 0;
    // New tasks are added behind while this runs.
    while index < body.tracees.len() {
        match collector.visit(body, index, block) {
            Visit::Done => {}
            Visit::Late => late += 1,
            Visit::Tick => {
                late += 1;
                block = Block::Poll;
            }
        }
        index += 1;
        if index == body.tracees.len() && core::mem::take(&mut collector.lost_names) {
            seize::find_arrived(session, body, deadline);
        }
    }
    while late > 0 && !session.is_past(deadline) {
        late = 0;
        let mut block = Block::Wait;
        let mut index = 0;
        while index < body.tracees.len() {
            let waiting = body.tracees.get(index).is_some_and(|task| is_waiting(&task));
            if waiting && !is_exited_leader(body, index) {
                match vfork_child(session, body, index) {
                    VforkChild::Stands => record_vfork_parent(body, index),
                    // It is at the end of the table, so this round gets to it.
                    VforkChild::Coming => late += 1,
                    VforkChild::None if matches!(collector.visit(body, index, block), Visit::Done) => {}
                    VforkChild::None => {
                        late += 1;
                        // One blocking wait a round: a tick of the timer at most.
                        block = Block::Poll;
                    }
                }
            }
            index += 1;
        }
    }
    for index in 0..body.tracees.len() {
        match body.tracees.get(index) {
            Some(task) if is_waiting(&task) => {
                body.world.notes.miss(task.tid, Missing::NotStopped);
                record_from_proc(body, task, StopKind::Running);
            }
            Some(task) if task.state == State::Apart && task.tid != body.caller => {
                record_from_proc(body, task, StopKind::Running);
            }
            _ => {}
        }
    }
    pending_of_caller(body, collector.process_queue_read);
    body.world.notes.threads = body.world.threads.len() as u32;
}

/// The caller is nobody's tracee: /proc tells which signals wait for it, and not their values. Those of its process are
/// read by any tracee.
pub(super) fn pending_of_caller(body: &mut Body, process_queue_read: bool) {
    let listed = body.world.proc.caller().unwrap_or(body.caller);
    let status = body.world.proc.open_of_thread(listed, "status").and_then(|file| Status::read(&file));
    match status {
        Ok(status) => {
            if let Some(record) = body.world.threads.first_mut() {
                record.pending = Some(SignalSet(status.pending));
            }
            body.world.unread.0 |=
                status.pending | if process_queue_read { 0 } else { status.shared_pending };
        }
        // Of those for it alone that have come since nobody tells; it was about to wait for the helper.
        Err(_) if !body.world.proc.is_there() => body.world.unread.0 |= body.caller_pending.0,
        Err(_) => body.world.unread = SignalSet::ALL,
    }
}

/// True for a thread that is about to receive a signal that the program ignores.
fn does_nothing(body: &Body, task: Tracee, kind: StopKind) -> bool {
    matches!(kind, StopKind::SignalDelivery(signal) if blocked::does_nothing(&body.world.proc, task.listed, signal))
}

fn is_waiting(task: &Tracee) -> bool {
    matches!(task.state, State::Interrupted | State::Arrived)
}

enum Visit {
    Done,
    Late,
    /// The timer went off.
    Tick,
}

struct Collector<'s> {
    session: &'s Session,
    memory: ProcessMemory<'s>,
    state: ExtendedState,
    process_queue_read: bool,
    /// A task arrived whose name in /proc must be looked up.
    lost_names: bool,
}

impl Collector<'_> {
    fn visit(&mut self, body: &mut Body, index: usize, block: Block) -> Visit {
        let Some((task, handle)) = body.tracees.interrupted(index) else { return Visit::Done };
        match handle.wait(block) {
            // It ran another program before it stopped: its memory is another. Its parent goes on, and stops.
            Ok(Found::Stopped(..)) if task.foreign && !shares_memory(task.tid) => {
                body.tracees.set(index, State::Gone);
                Visit::Done
            }
            Ok(Found::Stopped(stopped, signal, event)) => {
                self.record(body, index, task, &stopped, signal, event);
                body.tracees.set(index, State::Recorded);
                Visit::Done
            }
            Ok(Found::Dead) => {
                body.tracees.set(index, State::Gone);
                Visit::Done
            }
            Ok(Found::NotYet) => Visit::Late,
            Err(errno) if errno.get() == libc::EINTR => Visit::Tick,
            // The watchdog has reaped it; but believe /proc more than one error.
            Err(_) if is_alive(body, task) => Visit::Late,
            Err(_) => {
                body.tracees.set(index, State::Gone);
                Visit::Done
            }
        }
    }

    fn record(
        &mut self,
        body: &mut Body,
        index: usize,
        task: Tracee,
        stopped: &Stopped,
        signal: i32,
        event: i32,
    ) {
        let kind = match (event, signal) {
            (EVENT_CLONE | EVENT_VFORK, _) => {
                self.note_new_task(body, stopped, event == EVENT_VFORK);
                StopKind::Cloning
            }
            (EVENT_STOP, libc::SIGTRAP) => StopKind::Interrupted,
            (EVENT_STOP, _) => StopKind::GroupStopped,
            (0, signal) => StopKind::SignalDelivery(signal),
            _ => StopKind::Interrupted,
        };
        let mut record = ThreadRecord::unknown(task.tid, task.listed, kind);
        record.shares_memory = task.foreign;
        match stopped.registers() {
            Ok(registers) => {
                let call = body.tracees.blocked.of(index, &registers);
                let number = call.and_then(|call| call.number);
                record.registers = number.map_or(registers, |number| registers.in_system_call(number));
                let first_argument = call.map_or(0, |call| call.arguments[0]);
                self.mend(body, task, stopped, kind, record.registers, first_argument);
            }
            // Killed while it stood still, which only the whole process can be.
            Err(errno) if errno.get() == libc::ESRCH && !is_alive(body, task) => return,
            Err(errno) => body.world.notes.miss(task.tid, Missing::NoRegisters(errno)),
        }
        if record.registers != Registers::NONE && record.stack_pointer().is_null() {
            record.stop = StopKind::KernelWorker;
        } else if body.options.extended_later && !CALLS_KEEP_EXTENDED && record.system_call().is_some() {
            record.extended_later = true;
        } else {
            self.extended(body, task.tid, stopped, &mut record);
        }
        if matches!(kind, StopKind::SignalDelivery(_)) {
            keep_signal(body, Some(task.tid), stopped.signal_at_delivery());
        }
        self.queued(body, task.tid, stopped);
        if body.options.signal_masks {
            record.blocked = stopped.mask().ok().map(SignalSet);
        }
        keep(body, record);
    }

    /// At once, so that from here on even a kill of the helper disturbs nobody, if the kernel decides what becomes of the
    /// call; otherwise at the end.
    #[allow(clippy::too_many_arguments)]
    fn mend(
        &self,
        body: &mut Body,
        task: Tracee,
        stopped: &Stopped,
        kind: StopKind,
        mut registers: Registers,
        mut first_argument: usize,
    ) {
        // A thread that stood still by job control before we came returns what it would have returned.
        if !matches!(kind, StopKind::Interrupted | StopKind::SignalDelivery(_)) {
            return;
        }
        let mut wrapped = Call::of(&registers, &self.memory);
        if !KERNEL_DECIDES_RESTART && registers.system_call().is_none() {
            // It may have entered the call since it was asked about (blocked.rs).
            wrapped = Call::left(&registers, &self.memory, None);
            if let Some(call) = wrapped {
                (registers, first_argument) = (registers.in_system_call(call.number()), call.first());
            }
        }
        let done = match mend(&mut registers, first_argument) {
            Effect::None => {
                if let Some(call) = wrapped {
                    call.keep_end();
                }
                if let Some(call) = wrapped.filter(|call| call.is_short(&registers)) {
                    let signal = if let StopKind::SignalDelivery(signal) = kind { signal } else { 0 };
                    // What cannot be remembered stays short.
                    let kept = body.cuts.push(Cut { listed: task.listed, call, signal }).is_ok();
                    call.set_cut(kept);
                }
                return;
            }
            Effect::Mended if KERNEL_DECIDES_RESTART => {
                if let Some(call) = wrapped {
                    call.shorten(&mut registers);
                }
                stopped.set_registers(&registers).or_else(|_| stopped.set_registers(&registers)).is_ok()
            }
            Effect::Mended if kind == StopKind::Interrupted || does_nothing(body, task, kind) => {
                if let Some(call) = wrapped {
                    call.shorten(&mut registers);
                }
                if body.tracees.blocked.set_at_end(task, registers).is_ok() {
                    return;
                }
                false
            }
            Effect::Mended | Effect::Unlisted => false,
        };
        let notes = &mut body.world.notes;
        *if done { &mut notes.mended } else { &mut notes.unlisted_eintr } += 1;
    }

    fn extended(&mut self, body: &mut Body, tid: Tid, stopped: &Stopped, record: &mut ThreadRecord) {
        let state = match self.state.read(stopped) {
            Ok(state) => state,
            Err(errno) => return body.world.notes.miss(tid, Missing::NoRegisters(errno)),
        };
        record.registers = record.registers.with_extended(state);
        let start = body.world.extended.len();
        match body.world.extended.extend(state) {
            Ok(()) => record.extended = Slice { start: start as u32, len: state.len() as u32 },
            Err(_) => body.world.notes.miss(tid, Missing::NoMemory),
        }
    }

    fn queued(&mut self, body: &mut Body, tid: Tid, stopped: &Stopped) {
        if let Err(errno) = take_queue(body, stopped, Queue::Thread, Some(tid)) {
            body.world.notes.miss(tid, Missing::NoSignals(errno));
        }
        // Of a thread that cannot be asked the next may be.
        if !self.process_queue_read {
            self.process_queue_read = take_queue(body, stopped, Queue::Process, None).is_ok();
        }
    }

    /// A task made while its maker was already seized is traced from birth, and stops by itself.
    fn note_new_task(&mut self, body: &mut Body, stopped: &Stopped, vfork: bool) {
        let Some(tid) = stopped.new_task() else {
            self.lost_names = true;
            return;
        };
        let thread = !vfork && task::is_thread_of(body.pid, tid);
        if thread && !body.world.proc.is_native() {
            self.lost_names = true;
        } else if !body.tracees.contains(tid) {
            self.session.watch(tid);
            let new = Tracee { tid, listed: tid, state: State::Arrived, foreign: !thread };
            if body.tracees.add(new).is_err() {
                body.world.notes.miss(tid, Missing::NoMemory);
            }
        }
    }
}

fn take_queue(body: &mut Body, stopped: &Stopped, queue: Queue, tid: Option<Tid>) -> Result<(), Errno> {
    // SAFETY: plain data, for which zero is a value.
    let mut batch: [libc::siginfo_t; 8] = unsafe { core::mem::zeroed() };
    let mut offset = 0;
    loop {
        let count = stopped.signals(queue, offset, &mut batch)?;
        for info in batch.iter().take(count) {
            keep_signal(body, tid, Ok(*info));
        }
        offset += count;
        if count < batch.len() {
            return Ok(());
        }
    }
}

fn keep_signal(body: &mut Body, tid: Option<Tid>, info: Result<libc::siginfo_t, Errno>) {
    let Ok(info) = info else { return };
    if body.world.queued.push(QueuedSignal { tid, info }).is_err() {
        body.world.notes.miss(tid.unwrap_or(body.caller), Missing::NoMemory);
    }
}

pub(super) fn keep(body: &mut Body, record: ThreadRecord) {
    if body.world.threads.push(record).is_err() {
        body.world.notes.miss(record.tid, Missing::NoMemory);
    }
}

/// Last of all before the world goes on: a transfer that a handler of the program would have cut short too stays short.
/// A tracee is interrupted by signals, too, that its program ignores.
pub(super) fn leave_true_interruptions(body: &Body) {
    for cut in body.cuts.iter() {
        let status =
            body.world.proc.open_of_thread(cut.listed, "status").and_then(|file| Status::read(&file));
        let handled = |status: Status| {
            status.coming != 0 || cut.signal != 0 && SignalSet(status.caught).contains(cut.signal)
        };
        if status.is_ok_and(handled) {
            cut.call.set_cut(false);
        }
    }
}

pub(super) fn record_caller(body: &mut Body) {
    let listed = body.world.proc.caller().unwrap_or(body.caller);
    let mut record = ThreadRecord::unknown(body.caller, listed, StopKind::Caller);
    record.registers = body.caller_registers;
    record.blocked = Some(body.caller_blocked);
    keep(body, record);
}

fn is_alive(body: &Body, task: Tracee) -> bool {
    if !body.world.proc.is_there() {
        return task::is_thread_of(body.pid, task.tid) && shares_memory(task.tid);
    }
    let status = body.world.proc.open_of_thread(task.listed, "status").and_then(|file| Status::read(&file));
    status.is_ok_and(|status| !matches!(status.state, b'Z' | b'X'))
}

/// A leader that has exited while it was traced is reported by no wait as long as its threads live (wait(2)).
fn is_exited_leader(body: &mut Body, index: usize) -> bool {
    let Some(task) = body.tracees.get(index).filter(|task| task.listed.get() == body.world.proc.process())
    else {
        return false;
    };
    let status = body.world.proc.open_of_thread(task.listed, "status").and_then(|file| Status::read(&file));
    let exited = match status {
        Ok(status) => matches!(status.state, b'Z' | b'X'),
        Err(_) => !body.world.proc.is_there() && !shares_memory(task.tid),
    };
    if exited {
        body.tracees.set(index, State::Exited);
    }
    exited
}

/// The record of a thread that does not stand still for us.
pub(super) fn record_from_proc(body: &mut Body, task: Tracee, kind: StopKind) {
    let mut record = ThreadRecord::unknown(task.tid, task.listed, kind);
    record.shares_memory = task.foreign;
    let status = body.world.proc.open_of_thread(task.listed, "status").and_then(|file| Status::read(&file));
    if status.is_ok_and(|status| status.kernel_worker) {
        record.stop = StopKind::KernelWorker;
    } else if let Some(call) = InSystemCall::of(&body.world.proc, task.listed) {
        let number = call.number.unwrap_or(usize::MAX);
        record.registers = Registers::of_system_call(number, call.arguments, call.stack_pointer, call.pc, 0);
    }
    keep(body, record);
}

/// What becomes of the child that a thread in vfork(2) waits for.
enum VforkChild {
    /// It waits for none.
    None,
    /// Asked to stop.
    Coming,
    /// It stands still.
    Stands,
}

/// A thread in vfork(2) does not stop before its child runs another program or ends. The child shares the memory and
/// may be running in it: when it stands still, both do.
fn vfork_child(session: &Session, body: &mut Body, index: usize) -> VforkChild {
    let Some(task) = body.tracees.get(index).filter(|task| !task.foreign) else { return VforkChild::None };
    let Some(call) = InSystemCall::of(&body.world.proc, task.listed) else { return VforkChild::None };
    if !call.makes_tasks() {
        return VforkChild::None;
    }
    let mut text = [0; 1024];
    let children = body.world.proc.open_of_thread(task.listed, "children");
    let Ok(len) = children.and_then(|file| file::read(&file, &mut text)) else { return VforkChild::None };
    let mut result = VforkChild::None;
    for listed in text.get(..len).unwrap_or_default().split(|b| *b == b' ').filter_map(number) {
        let Some(child) = child_id(body, listed) else { continue };
        // The helper is a child too, of the caller, which is never here.
        if !shares_memory(child) {
            continue;
        }
        match body.tracees.find(child).map(|child| child.state) {
            Some(State::Recorded) => return VforkChild::Stands,
            Some(_) => result = VforkChild::Coming,
            None if seize::seize_sharer(session, body, child).is_ok() => result = VforkChild::Coming,
            None => {}
        }
    }
    result
}

/// False for a task that certainly has a memory of its own, or none any more.
pub(super) fn shares_memory(tid: Tid) -> bool {
    task::share_memory(process::pid(), tid.get()) != Ok(false)
}

fn record_vfork_parent(body: &mut Body, index: usize) {
    if let Some(task) = body.tracees.get(index) {
        record_from_proc(body, task, StopKind::VforkParent);
        body.tracees.set(index, State::Recorded);
    }
}

fn child_id(body: &Body, listed: i32) -> Option<Tid> {
    if body.world.proc.is_native() {
        return Tid::new(listed);
    }
    let status = body.world.proc.open_of_other(listed, "status").and_then(|file| Status::read(&file)).ok()?;
    Tid::new(status.innermost)
}
