//! The caller's side of a stop by ptrace: makes everything ready, makes the helper, waits for its end, says how it went.
//!
//! Contract: all that can fail without threads fails here, before a thread is touched: an interrupted thread whose stop
//! nobody mends sees a spurious EINTR. The caller waits with all signals blocked, never without bound.

use core::sync::atomic::Ordering::{Relaxed, Release};

use crate::arch::Registers;
use crate::base::{Errno, Tid};
use crate::sys::signals::{self, AllBlocked, SignalSet};
use crate::sys::wait::Change;
use crate::sys::{futex, process, task};

use super::await_end::{End, await_end};
use super::ending::Outcome;
use super::notes::{CouldNotStop, Death, Refusal, StopNotes};
use super::parking::ParkingMap;
use super::proc_files::ProcFiles;
use super::record::World;
use super::session::{CURRENT, How, Plan, SessionMap};
use super::tracees::Tracees;
use super::{Options, Works, crew, exec, helper, yama};

/// What the caller knows of itself.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) pid: i32,
    pub(super) tid: Tid,
    pub(super) registers: Registers,
    pub(super) proc: ProcFiles,
    /// How many tasks the process had a moment ago.
    pub(super) tasks: usize,
    pub(super) options: &'a Options,
}

/// Beyond the helper's own deadlines.
const GRACE_NS: u64 = 2_000_000_000;
/// And where it has not begun: a loaded machine may give it no CPU, and to kill it leaves calls that it has interrupted.
const NO_CPU_NS: u64 = 10_000_000_000;

/// Stops the world by ptrace and runs the work in the helper.
pub(super) fn run(request: &Request<'_>, works: &mut Works<'_, '_>) -> Result<StopNotes, CouldNotStop> {
    match attempt(request, works, Way::Ptrace { ask_yama: false }) {
        Err(CouldNotStop::Refused(errno, _)) => {
            let scope = yama::scope();
            if errno.get() == libc::EPERM && scope == Some(1) {
                match attempt(request, works, Way::Ptrace { ask_yama: true }) {
                    Err(CouldNotStop::Refused(errno, _)) => Err(CouldNotStop::Refused(errno, explain(scope))),
                    result => result,
                }
            } else {
                Err(CouldNotStop::Refused(errno, explain(scope)))
            }
        }
        result => result,
    }
}

fn explain(scope: Option<u32>) -> Refusal {
    match (task::dumpable(), scope) {
        (Ok(dumpable), _) if dumpable != 1 => Refusal::NotDumpable(dumpable),
        (_, Some(scope)) => Refusal::Yama(scope),
        _ if task::seccomp_mode() == 2 => Refusal::Seccomp,
        _ => Refusal::Unknown,
    }
}

/// Stops the world by a signal to each thread, and runs the work in a helper all the same: it is as harmless there as it
/// is with ptrace.
pub(super) fn run_by_signal(
    request: &Request<'_>,
    works: &mut Works<'_, '_>,
) -> Result<StopNotes, CouldNotStop> {
    let _no_exec = exec::hold_off(&request.proc, request.pid, request.options.deadline_ns)?;
    let room = 4 * request.tasks + 1024;
    let parking = ParkingMap::new(room).map_err(CouldNotStop::NoMemory)?;
    attempt(request, works, Way::Signal(parking))
}

/// Runs the work in a helper though there is nobody to stop.
pub(super) fn run_alone(request: &Request<'_>, works: &mut Works<'_, '_>) -> Result<StopNotes, CouldNotStop> {
    let _turn = super::turn::take(request.pid, request.options.deadline_ns)?;
    attempt(request, works, Way::Alone)
}

/// By which means one attempt is made.
pub(super) enum Way {
    Ptrace {
        /// Ask Yama for permission to trace.
        ask_yama: bool,
    },
    Signal(ParkingMap),
    /// There is nobody to stop.
    Alone,
    /// Nobody is stopped ([`super::watch`]).
    Watch,
}

/// One helper, from its making to its end.
pub(super) fn attempt(
    request: &Request<'_>,
    works: &mut Works<'_, '_>,
    way: Way,
) -> Result<StopNotes, CouldNotStop> {
    let ask_yama = matches!(way, Way::Ptrace { ask_yama: true });
    let map = prepare(request, &way, works).map_err(CouldNotStop::NoMemory)?;
    let session = map.get();
    if ask_yama {
        session.gate.store(0, Release);
    }
    let blocked = AllBlocked::new().map_err(CouldNotStop::NoSignals)?;
    // SAFETY: there is no helper yet, so the body is the caller's.
    let body = unsafe { session.body() };
    body.caller_blocked = blocked.previous();
    if !request.proc.is_there() {
        body.caller_pending = signals::pending().unwrap_or(SignalSet::ALL);
    }
    CURRENT.store(core::ptr::from_ref(session).cast_mut(), Release);
    let argument = core::ptr::from_ref(session).expose_provenance();
    // SAFETY: the session and its stack outlive the helper: the map is dropped only when the helper is known to have
    // ended, and abandoned otherwise. helper::main uses no thread-local storage.
    let made = unsafe { task::clone_helper(session.stack_top, &session.alive, helper::main, argument) };
    let helper = match made {
        Ok(pid) => pid,
        Err(errno) => {
            CURRENT.store(core::ptr::null_mut(), Release);
            return Err(CouldNotStop::NoHelper(errno));
        }
    };
    let permission = ask_yama.then(|| yama::Permission::give(helper));
    session.gate.store(1, Release);
    if ask_yama {
        let _ = futex::wake(&session.gate, 1);
    }
    // The helper's own deadline; until it has set that, it has not begun.
    let to_begin = process::monotonic_ns().saturating_add(request.options.deadline_ns);
    let limit = || match session.hard_deadline.load(Relaxed) {
        u64::MAX => to_begin.saturating_add(NO_CPU_NS),
        set => set.saturating_add(GRACE_NS),
    };
    let end = await_end(&session.alive, helper, &limit);
    drop(permission);
    // Whatever became of the helper, the threads go on.
    let mended = match way {
        Way::Signal(parking) => parking.open(),
        Way::Ptrace { .. } | Way::Alone | Way::Watch => 0,
    };
    drop(blocked);
    let ending = session.said.ending();
    // Its workers were told to die with it, and what they share with it lies in the map.
    if end == End::Stuck || !crew::await_none(helper) {
        // CURRENT stays: the abandoned helper's handlers read it.
        map.abandon();
        return Err(ending.reason().unwrap_or(CouldNotStop::HelperDied(Death::Stuck)));
    }
    CURRENT.store(core::ptr::null_mut(), Release);
    if let Some(reason) = ending.reason() {
        return Err(reason);
    }
    match (ending.outcome, end) {
        (Outcome::Done, _) => {
            // SAFETY: the helper has ended, so the body is the caller's again.
            let mut notes = unsafe { session.body() }.world.notes;
            notes.mended += mended;
            Ok(notes)
        }
        (_, End::Ended(Change::Killed(signal))) => Err(CouldNotStop::HelperDied(Death::Signal(signal))),
        (_, End::Ended(Change::Exited(status))) => Err(CouldNotStop::HelperDied(Death::Exit(status))),
        _ => Err(CouldNotStop::HelperDied(Death::Exit(-1))),
    }
}

/// All memory that the helper is expected to need.
fn prepare(request: &Request<'_>, way: &Way, works: &mut Works<'_, '_>) -> Result<SessionMap, Errno> {
    let expected = request.tasks + request.tasks / 4 + 16;
    let mut world = World::new(request.proc);
    let how = match way {
        Way::Ptrace { .. } => How::Trace,
        Way::Signal(parking) => How::Park(parking.get()),
        Way::Alone => How::Alone,
        Way::Watch => How::Watch,
    };
    world.notes.backend = how.backend();
    world.away = true;
    world.threads.reserve(expected)?;
    if !matches!(how, How::Watch) {
        // Legacy and vector state of an ordinary thread after the zeros are cut off.
        const EXTENDED_WORDS: usize = 128;
        world.extended.reserve(expected * EXTENDED_WORDS)?;
    }
    let tracees = Tracees::with_room(expected)?;
    let plan = Plan {
        pid: request.pid,
        caller: request.tid,
        caller_registers: request.registers,
        options: request.options,
        world,
        tracees,
        how,
    };
    SessionMap::new(plan, works)
}
