//! execve(2) against a stop by signal.
//!
//! A thread inside execve does not answer a signal any more: the signal stays pending, the handlers are reset, and the *new*
//! program dies of it. (A stop by ptrace has no such window.) So a thread says before that it is about to, and a stop by
//! signal waits until nobody is. A thread that comes while the world is held waits for the end of that stop, and only of
//! that: its word stands meanwhile, so that the next stop waits for it. Otherwise a program that makes one check after the
//! other would hardly ever get to exec.
//!
//! Each of the two writes its own word before it reads the other's, so one of them sees the other. When both do, the stop
//! gives way.
//!
//! Contract: whoever interposes execve and its family calls [`about_to_exec`] before the real call and drops the result
//! after, which happens only when the call has failed. A vfork child may call it: it has no part in this.
//!
//! Not promised: a program that makes the system call itself, without libc, can still be hit (docs/LIMITS.md).

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};

use crate::sys::{process, task, timer};

use super::notes::CouldNotStop;
use super::proc_files::ProcFiles;

/// The process, in the upper half, and how many of its threads are about to exec. A forked process finds another's number
/// here and begins anew.
static EXECS: AtomicU64 = AtomicU64::new(0);
/// The process that is held by a stop by signal; 0 for none.
static HELD: AtomicI32 = AtomicI32::new(0);

const WAIT_NS: u64 = 100_000;

fn count_of(word: u64, pid: i32) -> u64 {
    if word >> 32 == pid as u64 { word & 0xffff_ffff } else { 0 }
}

fn change(pid: i32, by: i64) {
    let next = |word| Some((pid as u64) << 32 | count_of(word, pid).saturating_add_signed(by));
    let _ = EXECS.fetch_update(SeqCst, SeqCst, next);
}

/// A thread that is about to exec, until dropped.
pub struct AboutToExec(Option<i32>);

/// Says that the calling thread is about to exec; waits for a stop by signal that is going on.
pub fn about_to_exec() -> AboutToExec {
    let pid = process::pid();
    // Alone, nobody else can stop us. A vfork child is one task of its own that shares its parent's words, and would
    // never take its count back.
    let single = |proc: ProcFiles| proc.count_tasks() == Ok(1);
    if task::is_alone() == Ok(true) || ProcFiles::find(pid, process::tid()).is_ok_and(single) {
        return AboutToExec(None);
    }
    change(pid, 1);
    while HELD.load(SeqCst) == pid {
        timer::sleep(WAIT_NS);
    }
    AboutToExec(Some(pid))
}

impl Drop for AboutToExec {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            change(pid, -1);
        }
    }
}

/// No thread execs, until dropped.
pub(super) struct NoExec(());

/// Waits at most `deadline_ns` until no thread is about to exec.
pub(super) fn hold_off(pid: i32, deadline_ns: u64) -> Result<NoExec, CouldNotStop> {
    let start = process::monotonic_ns();
    loop {
        HELD.store(pid, SeqCst);
        let held = NoExec(());
        if count_of(EXECS.load(SeqCst), pid) == 0 {
            return Ok(held);
        }
        drop(held);
        if process::monotonic_ns() - start > deadline_ns {
            return Err(CouldNotStop::Busy);
        }
        timer::sleep(WAIT_NS);
    }
}

impl Drop for NoExec {
    fn drop(&mut self) {
        HELD.store(0, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_process_begins_anew() {
        assert_eq!(count_of(5 << 32 | 3, 5), 3);
        assert_eq!(count_of(5 << 32 | 3, 6), 0);
    }
}
