//! The helper's own signal handlers: a timer that nothing can hold up, and faults.
//!
//! The timer is what keeps the stop from ever hanging. PTRACE_SEIZE can wait for an execve(2) that waits for our reaping
//! of threads already seized: so each tick reaps all dead tracees. And when the last deadline has passed the tick ends the
//! helper, which frees every thread.
//!
//! A tick asks about every thread. Where there are so many, or system calls so slow, that this takes a good part of the
//! period, the period grows: the helper would come to nothing else.
//!
//! Contract: on the helper's signal stack, between any two instructions of the helper; touches only atomic words of the
//! session, and system calls.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::arch;
use crate::base::{Errno, Tid};
use crate::sys::process;
use crate::sys::signals::{Action, SignalSet, set_action};
use crate::sys::{timer, wait};

use super::ending::{Ending, Outcome};
use super::session::{CURRENT, Session};

/// The first tick is early: it makes the collection look for vfork children.
const FIRST_NS: u64 = 10_000_000;
const PERIOD_NS: u64 = 50_000_000;
/// A tick is so late only where the helper stood still, or got no CPU.
const STOOD_NS: u64 = 10 * PERIOD_NS;
/// A tick takes at most one part in so many of the time.
const SHARE: u64 = 8;

/// Faults of the helper's own. SIGSYS is a seccomp filter's SECCOMP_RET_TRAP.
pub(super) const FAULTS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGSYS, libc::SIGABRT];

/// The signals that the helper does not block.
pub(super) const UNBLOCKED: SignalSet = FAULT_SIGNALS.with(libc::SIGALRM);

/// Those that a task brings about itself.
pub(super) const FAULT_SIGNALS: SignalSet = {
    let mut set = SignalSet::EMPTY;
    let mut i = 0;
    while i < FAULTS.len() {
        set = set.with(FAULTS[i]);
        i += 1;
    }
    set
};

/// Replaces every inherited action: handlers of the program must not run here.
pub(super) fn replace_actions() -> Result<(), Errno> {
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP cannot be set. Every other is blocked unless set below, so that a failure does no harm.
        // SAFETY: the default action has no handler. The table is the helper's own: it is no CLONE_SIGHAND.
        let _ = unsafe { set_action(signal, Some(&Action::DEFAULT)) };
    }
    let alarm = SignalSet::EMPTY.with(libc::SIGALRM);
    for signal in FAULTS {
        // SAFETY: on_fault has the handler's type and keeps the contract of this module.
        unsafe { set_action(signal, Some(&Action::handle(on_fault, libc::SA_ONSTACK, alarm))) }?;
    }
    // Without SA_RESTART: a blocking wait ends with EINTR at each tick.
    // SAFETY: on_tick has the handler's type and keeps the contract of this module.
    unsafe { set_action(libc::SIGALRM, Some(&Action::handle(on_tick, libc::SA_ONSTACK, alarm))) }?;
    Ok(())
}

/// Starts the timer.
pub(super) fn arm(session: &Session) -> Result<(), Errno> {
    session.due.store(process::monotonic_ns().saturating_add(FIRST_NS), Relaxed);
    timer::alarm_every(FIRST_NS, PERIOD_NS)
}

fn session() -> Option<&'static Session> {
    // SAFETY: set before the helper was made and until its end is known: Session's fields are shared atomic words.
    unsafe { CURRENT.load(Acquire).as_ref() }
}

unsafe extern "C" fn on_tick(_: i32, _: *mut libc::siginfo_t, _: *mut libc::ucontext_t) {
    let Some(session) = session() else { return };
    let start = process::monotonic_ns();
    for slot in session.watched() {
        let Some(tid) = Tid::new(slot.load(Relaxed)) else { continue };
        match wait::reap(tid) {
            Ok(false) => {}
            Ok(true) => {
                session.reaped.fetch_add(1, Relaxed);
                slot.store(0, Relaxed);
            }
            // Reaped by the collection. Any other error passes, and it is looked at again.
            Err(errno) if errno.get() == libc::ECHILD => slot.store(0, Relaxed),
            Err(_) => {}
        }
    }
    let end = process::monotonic_ns();
    // The timer goes off while the helper stands still by job control, and is heard when it goes on.
    let late = end.saturating_sub(session.due.load(Relaxed));
    if late > STOOD_NS {
        session.stood_ns.fetch_add(late, Relaxed);
        let _ = session.hard_deadline.fetch_update(Relaxed, Relaxed, |deadline| deadline.checked_add(late));
    }
    let deadline = session.hard_deadline.load(Relaxed);
    if end > deadline {
        session.said.say(Ending::new(Outcome::Deadline, 0));
        process::exit_group(1);
    }
    // If it cannot be set the period stays as it was, and the helper is only slower.
    let next = ((end - start) * SHARE).max(PERIOD_NS);
    let first = next.min((deadline - end).saturating_add(PERIOD_NS));
    session.due.store(end.saturating_add(first), Relaxed);
    let _ = timer::alarm_every(first, next);
}

unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes the interrupted context to a handler with SA_SIGINFO (sigaction(2)), ours until we return.
    let context = unsafe { context.as_mut() };
    if matches!(signal, libc::SIGSEGV | libc::SIGBUS) && context.is_some_and(arch::absorb_copy_fault) {
        return;
    }
    if let Some(session) = session() {
        // SAFETY: as for the context; si_addr is a plain word at its place for each of these signals.
        let address = unsafe { info.as_ref().map_or(0, |info| info.si_addr().addr()) };
        session.said.say(Ending { outcome: Outcome::Fault, first: signal as usize, second: address });
    }
    process::exit_group(1);
}
