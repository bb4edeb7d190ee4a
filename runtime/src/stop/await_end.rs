//! Waiting for a task of ours: never without bound, and whatever becomes of it.

use core::sync::atomic::{AtomicU32, Ordering::Acquire};

use crate::sys::wait::{self, Block, Change};
use crate::sys::{futex, process, task as sys_task, timer};

/// Between looks at the task when nothing woke the caller: for a task that was killed before it could say so.
const LOOK_NS: u64 = 100_000_000;
/// A wait that took so long was one in which the caller stood still.
const STOOD_NS: u64 = 10 * LOOK_NS;
/// After SIGKILL.
const GRACE_NS: u64 = 2_000_000_000;

/// How a task ended, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Ended(Change),
    /// Somebody else has waited for it: the program, by waitpid(-1, __WALL).
    ReapedByOthers,
    /// It lives, though it was killed.
    Stuck,
}

/// Waits for the end of child `task` and reaps it; after CLOCK_MONOTONIC time `limit`, which the task may move, it is killed.
/// Time in which the caller itself stood still by job control does not count. A task that stands still so while the caller
/// runs goes on: whoever stopped it has stopped the program with it, and has let only the program go on. The word `alive` becomes
/// 0 and is woken when the task is about to end, which may be before others are free of it (tracees); the wait for the task
/// itself returns after.
pub(super) fn await_end(alive: &AtomicU32, task: i32, limit: &dyn Fn() -> u64) -> End {
    let mut killed = false;
    let mut more = 0u64;
    while alive.load(Acquire) != 0 {
        let before = process::monotonic_ns();
        match futex::wait(alive, 1, LOOK_NS) {
            Ok(()) => continue,
            Err(errno) if matches!(errno.get(), libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT) => {}
            // A filter may refuse futex; the look below does without.
            Err(_) => timer::sleep(1_000_000),
        }
        if let Some(end) = look(task, Block::Poll) {
            return end;
        }
        if wait::is_stopped(task) {
            let _ = sys_task::kill(task, libc::SIGCONT);
        }
        let now = process::monotonic_ns();
        let waited = now - before;
        more += if waited > STOOD_NS { waited } else { 0 };
        if now > limit().saturating_add(more) {
            if killed {
                return End::Stuck;
            }
            killed = true;
            let _ = sys_task::kill(task, libc::SIGKILL);
            more += GRACE_NS;
        }
    }
    // EINTR cannot last with signals blocked; other errors say that waiting is refused, and only the zombie would stay.
    const TRIES: u32 = 1000;
    (0..TRIES).find_map(|_| look(task, Block::Wait)).unwrap_or(End::ReapedByOthers)
}

fn look(task: i32, block: Block) -> Option<End> {
    // Asked twice before it is believed that somebody else has reaped it: a zombie would stay for good.
    match wait::child(task, block).or_else(|_| wait::child(task, block)) {
        Ok(change) => change.map(End::Ended),
        Err(errno) if errno.get() == libc::ECHILD => Some(End::ReapedByOthers),
        Err(_) => None,
    }
}
