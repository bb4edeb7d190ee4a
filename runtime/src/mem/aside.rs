//! Work in a task that the program does not notice: it shares our memory, sends no signal when it ends, is found by waits with
//! `__WALL` only, and is nobody's tracee.
//!
//! For what needs children of its own. execve(2) makes SIGCHLD the exit signal of whoever calls it (fs/exec.c, de_thread), so
//! a program that is started by the process itself is seen by it, and gdb, which takes a child without an exit signal for
//! a thread, is lost when that execs. A copy of the process in between would have the program copy each page that it writes
//! meanwhile.
//!
//! Contract: the work runs with all signals blocked, without thread-local storage: raw system calls only. The caller waits, on
//! a stack of ours ([`super::with_room`]), where what the work uses is too: the program's handlers run meanwhile, and one
//! that leaves by longjmp(3) leaves that stack as it is.

use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Release},
};

use crate::sys::signals::AllBlocked;
use crate::sys::wait::{self, Block};
use crate::sys::{futex, process, task};

use super::OwnStack;

/// Between looks at the task when nothing woke the caller.
const LOOK_NS: u64 = 20_000_000;
/// After SIGKILL.
const GRACE_NS: u64 = 1_000_000_000;

struct Task<'a> {
    work: &'a mut dyn FnMut(),
    /// The work has come to its end.
    done: &'a AtomicBool,
}

/// Does the work, and kills who does it when `limit_ns` are over. False when it was killed, or could not be begun. It ends
/// with the calling thread.
pub fn aside(limit_ns: u64, work: &mut dyn FnMut()) -> bool {
    let (Ok(stack), Ok(blocked)) = (OwnStack::new(), AllBlocked::new()) else { return false };
    // The first becomes 0 when the task ends (CLONE_CHILD_CLEARTID).
    let (alive, done) = (AtomicU32::new(1), AtomicBool::new(false));
    let mut given = Task { work, done: &done };
    let argument = (&raw mut given).expose_provenance();
    // SAFETY: stack, words and `given`, which nobody else uses, are there until the task has ended: below that is waited for,
    // or it was killed and runs no instruction of ours any more. `begin` uses no thread-local storage.
    let Ok(pid) = (unsafe { task::clone_helper(stack.top(), &alive, begin, argument) }) else {
        return false;
    };
    drop(blocked);
    let limit = process::monotonic_ns().saturating_add(limit_ns);
    let mut killed = false;
    while alive.load(Acquire) != 0 {
        let _ = futex::wait(&alive, 1, LOOK_NS);
        // One that has ended, whoever has reaped it. Where waits are refused the word alone tells.
        match wait::child(pid, Block::Poll) {
            Ok(Some(_)) => return done.load(Acquire),
            Err(errno) if errno.get() == libc::ECHILD => return done.load(Acquire),
            Ok(None) | Err(_) => {}
        }
        let now = process::monotonic_ns();
        if now > limit && !killed {
            let _ = task::kill(pid, libc::SIGKILL);
            killed = true;
        } else if now > limit.saturating_add(GRACE_NS) {
            // In uninterruptible sleep: it is reaped by init when the program ends.
            return false;
        }
    }
    let _ = wait::child(pid, Block::Wait);
    done.load(Acquire)
}

extern "C" fn begin(argument: usize) -> ! {
    let _ = task::die_with_parent(libc::SIGKILL);
    // SAFETY: `aside` passes the address of its Task, which it does not touch.
    let task: &mut Task<'_> = unsafe { &mut *core::ptr::with_exposed_provenance_mut(argument) };
    (task.work)();
    task.done.store(true, Release);
    process::exit_task(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_done_by_a_child_that_nobody_sees() {
        let own = process::pid();
        let (mut parent, mut by) = (0, 0);
        assert!(aside(10_000_000_000, &mut || (parent, by) = (task::parent(), process::pid())));
        assert!(parent == own && by != own);
        // It was reaped.
        assert!(wait::child(by, Block::Poll).is_err());
    }

    #[test]
    fn is_killed_when_its_time_is_over() {
        let nobody = AtomicU32::new(1);
        let begun = process::monotonic_ns();
        let done = aside(50_000_000, &mut || {
            loop {
                let _ = futex::wait(&nobody, 1, 1_000_000_000);
            }
        });
        assert!(!done && process::monotonic_ns() - begun < 5_000_000_000);
    }

    #[test]
    fn an_ordinary_wait_does_not_know_it() {
        let told = AtomicU32::new(0);
        let mut seen = 0;
        std::thread::scope(|scope| {
            let (told, seen) = (&told, &mut seen);
            scope.spawn(move || {
                while told.load(Acquire) == 0 {
                    std::thread::yield_now();
                }
                // SAFETY: no status is asked for.
                *seen = unsafe { libc::waitpid(told.load(Acquire) as i32, core::ptr::null_mut(), 0) };
                told.store(0, Release);
            });
            let done = aside(20_000_000_000, &mut || {
                told.store(process::pid() as u32, Release);
                while told.load(Acquire) != 0 {
                    let _ = futex::wait(told, told.load(Acquire), 1_000_000);
                }
            });
            assert!(done);
        });
        assert_eq!(seen, -1);
    }
}
