//! execve(2) against a stop by signal.
//!
//! A thread inside execve does not answer a signal any more: the signal stays pending, the handlers are reset, and the *new*
//! program dies of it. (A stop by ptrace has no such window.) So a thread says before that it is about to, and a stop by
//! signal begins only when nobody is:
//!
//! ```text
//! exec: takes a place; waits while a stop goes on; execve; gives the place back, when that has failed
//! stop: waits while a place is taken; says that it goes on; is a place taken now? then takes that back and waits
//! ```
//!
//! Whoever is about to exec keeps its place while it waits, so that one stop after another cannot keep it waiting.
//!
//! Contract: whoever interposes execve and its family makes the real call in [`announced`]. Async-signal context; the only
//! system calls in a process that is not being stopped are getpid(2) and gettid(2). A vfork child may call it: it shares its
//! parent's words, finds that it is another process, and has no part in this.
//!
//! Not promised: a program that makes the system call itself, without libc, can still be hit (docs/LIMITS.md).

use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use crate::base::Tid;
use crate::sys::{process, task, timer};

use super::notes::CouldNotStop;
use super::precedence;
use super::proc_files::ProcFiles;
use super::task_list::InSystemCall;

/// Where a thread that is about to exec is noted.
struct Place {
    /// Process and thread, as [`id`]; 0 for nobody. Another process' is left from before a fork and counts as nobody's.
    owner: AtomicU64,
    /// An address in the frame that gives the place back. Stored by the owner, after it has taken the place and before it
    /// makes a system call: who looks at a thread inside one sees its own.
    frame: AtomicUsize,
}

/// More threads than this at a time are not announced: one of them will have replaced the others soon.
static PLACES: [Place; 64] = [const { Place { owner: AtomicU64::new(0), frame: AtomicUsize::new(0) } }; 64];
/// The thread that stops the process by signal, as [`id`]; 0 for none.
static STOPPING: AtomicU64 = AtomicU64::new(0);
/// getpid() of the process that these words belong to; 0 before [`start`].
static PROCESS: AtomicI32 = AtomicI32::new(0);

const WAIT_NS: u64 = 100_000;

fn id(pid: i32, tid: Tid) -> u64 {
    (pid as u64) << 32 | u64::from(tid.get() as u32)
}

fn process_of(id: u64) -> i32 {
    (id >> 32) as i32
}

/// At the start of the process, and after fork(2) in the child.
pub fn start() {
    PROCESS.store(process::pid(), SeqCst);
    PLACES.iter().for_each(|place| place.owner.store(0, SeqCst));
}

impl Place {
    /// Takes a place for `own`, whose frame is at `frame`.
    fn take(own: u64, frame: usize) -> Option<&'static Place> {
        let take = |place: &&Place| {
            let owner = place.owner.load(SeqCst);
            // Own frames here or deeper are gone, by siglongjmp(3).
            let left = owner == own && place.frame.load(SeqCst) <= frame;
            let free = left || process_of(owner) != process_of(own);
            free && place.owner.compare_exchange(owner, own, SeqCst, SeqCst).is_ok()
        };
        let place = PLACES.iter().find(take)?;
        place.frame.store(frame, SeqCst);
        Some(place)
    }

    /// Gives it back if it is `owner`'s still: a stop may have found it left and given it back, and then it is another's.
    fn give_back(&self, owner: u64) {
        let _ = self.owner.compare_exchange(owner, 0, SeqCst, SeqCst);
    }

    fn is_anothers(&self, own: u64) -> bool {
        let owner = self.owner.load(SeqCst);
        process_of(owner) == process_of(own) && owner != own
    }

    /// Gives it back for a thread that has ended, or has left the frame by siglongjmp(3) and sleeps further out.
    fn give_back_if_left(&self, proc: &ProcFiles) {
        let owner = self.owner.load(SeqCst);
        let Some(tid) = Tid::new(owner as i32) else { return };
        let is_left = || {
            // Threads of another namespace have other numbers in /proc.
            let call = InSystemCall::of(proc, tid).filter(|_| proc.is_native());
            call.is_some_and(|call| call.stack_pointer > self.frame.load(SeqCst))
        };
        if !task::is_thread_of(process_of(owner), tid) || is_left() {
            self.give_back(owner);
        }
    }
}

/// Runs `exec`, which calls execve, while no stop by signal goes on; waits for one that does.
#[inline(never)]
pub fn announced<R>(exec: impl FnOnce() -> R) -> R {
    let pid = process::pid();
    if PROCESS.load(SeqCst) != pid {
        return exec();
    }
    let own = id(pid, process::tid());
    let anchor = 0u8;
    let place = Place::take(own, core::ptr::from_ref(&anchor).addr());
    loop {
        let stopping = precedence::who_stops(&STOPPING);
        // In a handler that runs in the middle of its own stop nothing is to be waited for.
        if process_of(stopping) != pid || stopping == own {
            break;
        }
        timer::sleep(WAIT_NS);
    }
    let result = exec();
    if let Some(place) = place {
        place.give_back(own);
    }
    result
}

/// No other thread execs, until dropped.
pub(super) struct NoExec(());

/// Waits at most `deadline_ns` until no thread but the caller is about to exec.
pub(super) fn hold_off(proc: &ProcFiles, pid: i32, deadline_ns: u64) -> Result<NoExec, CouldNotStop> {
    /// An execve takes less, as a rule.
    const DOUBT_NS: u64 = 2_000_000;
    // A process that was forked without the handlers of fork learns it here.
    PROCESS.store(pid, SeqCst);
    let own = id(pid, process::tid());
    let execs = || PLACES.iter().any(|place| place.is_anothers(own));
    let start = process::monotonic_ns();
    loop {
        if precedence::begin_stop(&STOPPING, own, execs) {
            return Ok(NoExec(()));
        }
        let waited = process::monotonic_ns() - start;
        if waited > deadline_ns {
            return Err(CouldNotStop::Busy);
        }
        if waited > DOUBT_NS {
            PLACES
                .iter()
                .filter(|place| place.is_anothers(own))
                .for_each(|place| place.give_back_if_left(proc));
        }
        timer::sleep(WAIT_NS);
    }
}

impl Drop for NoExec {
    fn drop(&mut self) {
        precedence::end_stop(&STOPPING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// As a handler that leaves a failing execve by siglongjmp(3).
    #[inline(never)]
    fn take_and_leave(own: u64) {
        let anchor = [0u8; 32 << 10];
        let place = Place::take(own, core::ptr::from_ref(core::hint::black_box(&anchor)).addr());
        assert!(place.is_some());
    }

    #[test]
    fn a_place_that_is_anothers_by_now_is_not_given_back() {
        let place = Place { owner: AtomicU64::new(0), frame: AtomicUsize::new(0) };
        let (first, second) = (id(1, Tid::new(7).unwrap()), id(1, Tid::new(8).unwrap()));
        place.owner.store(second, SeqCst);
        place.give_back(first);
        assert_eq!(place.owner.load(SeqCst), second);
        place.give_back(second);
        assert_eq!(place.owner.load(SeqCst), 0);
    }

    #[test]
    fn a_place_that_was_left_keeps_no_stop_from_beginning() {
        let pid = process::pid();
        let proc = ProcFiles::find(pid, process::tid()).unwrap();
        let (left, has_left) = channel();
        let (end, ends) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let own = id(pid, process::tid());
            take_and_leave(own);
            take_and_leave(own);
            let places = PLACES.iter().filter(|place| place.owner.load(SeqCst) == own).count();
            left.send(places).unwrap();
            let _ = ends.recv();
            take_and_leave(own);
        });
        assert_eq!(has_left.recv(), Ok(1), "the second finds that the first was left");
        assert!(hold_off(&proc, pid, 1_000_000_000).is_ok(), "its thread sleeps in a frame further out");
        end.send(()).unwrap();
        thread.join().unwrap();
        assert!(hold_off(&proc, pid, 1_000_000_000).is_ok(), "its thread has ended");
    }
}
