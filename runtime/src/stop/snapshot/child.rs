//! The snapshot's side: a process that disturbs nobody, does its work, says how it ended.
//!
//! Contract: runs in a forked copy of the stopped world, on a copy of the stack that forked, with the thread-local storage
//! of nobody. Raw system calls and memory of ours only: any lock may be held by a thread that does not exist here.

use core::sync::atomic::{AtomicPtr, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::arch;
use crate::base::text::parse_number;
use crate::base::{AddrRange, Errno, Tid};
use crate::mem::{OwnMap, ProcessMemory};
use crate::sys::signals::{self, Action, SignalSet, set_action};
use crate::sys::{file, futex, memory, process, task, timer};

use super::super::ending::{Ending, Outcome};
use super::super::helper;
use super::super::watchdog::{FAULTS, UNBLOCKED};
use super::{Handover, Head, Limits, Saved, Work};

/// How often the deadline and the parent are looked at.
const PERIOD_NS: u64 = 50_000_000;
/// The world goes on when the helper has ended, which it does next: so long the snapshot lets the threads have the CPUs on
/// which they stood, or one of them would wait for a whole slice of the snapshot's. When it wakes it is given an idle one.
const BEGIN_NS: u64 = 200_000;
/// As the helper's.
const SIGNAL_STACK: usize = 64 << 10;

/// The words of this snapshot, for its signal handlers.
static HEAD: AtomicPtr<Head> = AtomicPtr::new(core::ptr::null_mut());

/// Does the work and ends. The table of descriptors is still that of whoever forked.
pub(super) fn run(handover: &Handover, limits: &Limits, saved: &Saved, work: &mut Work<'_>) -> ! {
    HEAD.store(core::ptr::from_ref(handover.head()).cast_mut(), Release);
    timer::sleep(BEGIN_NS);
    // First: what is mapped for other ends may lie where the program's memory was.
    let ready = put_back(saved)
        .map_err(|errno| Ending::errno(Outcome::NoMemory, errno))
        .and_then(|()| set_up(handover.head(), limits));
    let ending = match ready {
        Ok(()) => {
            // SAFETY: set_up put handlers in place that begin with absorb_copy_fault; they stay until the end.
            work(handover, unsafe { ProcessMemory::with_own_handlers() });
            Ending::new(Outcome::Done, 0)
        }
        Err(ending) => ending,
    };
    leave(handover.head(), ending)
}

fn leave(head: &Head, ending: Ending) -> ! {
    head.said.say(ending);
    head.alive.store(0, Release);
    let _ = futex::wake(&head.alive, i32::MAX);
    process::exit_group(0)
}

/// Everything that makes the snapshot harmless before it reads a word.
fn set_up(head: &Head, limits: &Limits) -> Result<(), Ending> {
    let failed = |step: usize| {
        move |errno: Errno| Ending { outcome: Outcome::Setup, first: errno.get() as usize, second: step }
    };
    // A copy of a descriptor keeps a pipe, a connection or a lock of the program's alive.
    helper::empty_descriptors(None).map_err(failed(0))?;
    replace_actions().map_err(failed(1))?;
    let stack = OwnMap::new(SIGNAL_STACK).map_err(failed(2))?;
    let AddrRange { start, .. } = stack.range();
    stack.leak();
    task::signal_stack(start, SIGNAL_STACK).map_err(failed(2))?;
    // The thread that asked is the parent as the kernel counts (forget_original_parent). Where the snapshot outlives it,
    // its end is only a reason to look who the parent is now: another thread of the process, or somebody else.
    let signal = if limits.outlives_thread { libc::SIGALRM } else { libc::SIGKILL };
    task::die_with_parent(signal).map_err(failed(3))?;
    if is_orphan(head) {
        return Err(Ending::new(Outcome::Orphaned, 0));
    }
    let _ = task::forbid_core();
    // The first to go when memory runs out. The value is a process' own, and this is one (a helper would share it).
    if let Ok(file) = file::open(c"/proc/self/oom_score_adj", libc::O_WRONLY, 0) {
        let _ = file::write_all(file.raw(), b"1000");
    }
    if let Some(mapped) = mapped() {
        let _ = task::limit_address_space(mapped.saturating_add(limits.memory));
    }
    timer::alarm_every(PERIOD_NS, PERIOD_NS).map_err(failed(4))?;
    signals::set_mask(SignalSet(SignalSet::ALL.0 & !UNBLOCKED.0)).map_err(failed(5))?;
    Ok(())
}

/// Makes memory that the fork did not carry over what it was in the stopped world.
fn put_back(saved: &Saved) -> Result<(), Errno> {
    for range in saved.ranges.iter() {
        // SAFETY: memory of the program's, of which nobody but the work needs anything in this process.
        unsafe { memory::map_over(*range) }?;
    }
    for (at, word) in saved.words.iter() {
        // SAFETY: inside one of the ranges that were just mapped, at a multiple of the word size.
        unsafe { core::ptr::with_exposed_provenance_mut::<usize>(at.get()).write(*word) };
    }
    Ok(())
}

/// Bytes of address space in use, from /proc/self/statm (proc(5)).
fn mapped() -> Option<usize> {
    let mut text = [0; 128];
    let len = file::read(&file::open(c"/proc/self/statm", libc::O_RDONLY, 0).ok()?, &mut text).ok()?;
    let first = text.get(..len)?.split(|byte| *byte == b' ').next()?;
    let pages = parse_number(core::str::from_utf8(first).ok()?)? as usize;
    Some(pages * arch::page_size())
}

fn is_orphan(head: &Head) -> bool {
    let program = head.program.load(Relaxed);
    let gone = |thread| !task::is_thread_of(program, thread);
    task::parent() != program || Tid::new(head.thread.load(Relaxed)).is_some_and(gone)
}

/// Handlers of the program, or of the helper, must not run here.
fn replace_actions() -> Result<(), Errno> {
    for signal in 1..=64 {
        // SAFETY: the default action has no handler. The table is a copy. SIGKILL and SIGSTOP cannot be set.
        let _ = unsafe { set_action(signal, Some(&Action::DEFAULT)) };
    }
    let alarm = SignalSet::EMPTY.with(libc::SIGALRM);
    for signal in FAULTS {
        // SAFETY: on_fault has the handler's type and keeps the contract of this module.
        unsafe { set_action(signal, Some(&Action::handle(on_fault, libc::SA_ONSTACK, alarm))) }?;
    }
    let flags = libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: on_tick has the handler's type and keeps the contract of this module.
    unsafe { set_action(libc::SIGALRM, Some(&Action::handle(on_tick, flags, alarm))) }?;
    Ok(())
}

fn head() -> Option<&'static Head> {
    // SAFETY: set before the handlers were; the shared mapping stays as long as this process.
    unsafe { HEAD.load(Acquire).as_ref() }
}

unsafe extern "C" fn on_tick(_: i32, _: *mut libc::siginfo_t, _: *mut libc::ucontext_t) {
    let Some(head) = head() else { return };
    if is_orphan(head) {
        leave(head, Ending::new(Outcome::Orphaned, 0));
    }
    if process::monotonic_ns() > head.hard_deadline.load(Relaxed) {
        leave(head, Ending::new(Outcome::Deadline, 0));
    }
}

unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes the interrupted context to a handler with SA_SIGINFO (sigaction(2)), ours until we return.
    let context = unsafe { context.as_mut() };
    if matches!(signal, libc::SIGSEGV | libc::SIGBUS) && context.is_some_and(arch::absorb_copy_fault) {
        return;
    }
    // SAFETY: as for the context; si_addr is a plain word at its place for each of these signals.
    let address = unsafe { info.as_ref().map_or(0, |info| info.si_addr().addr()) };
    if let Some(head) = head() {
        leave(head, Ending { outcome: Outcome::Fault, first: signal as usize, second: address });
    }
    process::exit_group(1)
}
