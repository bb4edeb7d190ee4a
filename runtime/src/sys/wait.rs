//! waitid(2) and wait4(2).

use crate::base::{Errno, Tid};

use super::invoke::syscall;

/// What happened to a child or tracee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It stands still. `signal` as WSTOPSIG, `event` as PTRACE_EVENT_* or 0.
    Stopped {
        /// The signal of the stop.
        signal: i32,
        /// The event, 0 for a signal-delivery-stop or a stop by job control.
        event: i32,
    },
    /// It ended by exit with this status.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
}

/// Wait until something happens, or look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Block {
    /// Wait. EINTR when a handler ran.
    Wait,
    /// WNOHANG.
    Poll,
}

/// A stop or death of tracee `tid`: `waitid(P_PID, tid, WSTOPPED|WEXITED|WNOWAIT|__WALL)`. The stop is *never* consumed:
/// a consumed signal-delivery-stop loses its signal when the tracer ends, one that is only looked at does not.
///
/// `None` when nothing happened yet ([`Block::Poll`] only).
pub fn tracee(tid: Tid, block: Block) -> Result<Option<Change>, Errno> {
    let hang = if block == Block::Poll { libc::WNOHANG } else { 0 };
    wait_id(libc::P_PID, tid.get(), libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | hang)
        .map(|got| got.map(|g| g.1))
}

/// True when child `pid` stands still by job control: `waitid(P_PID, pid, WSTOPPED|WNOHANG|WNOWAIT|__WALL)`.
pub fn is_stopped(pid: i32) -> bool {
    let look = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    matches!(wait_id(libc::P_PID, pid, look), Ok(Some((_, Change::Stopped { .. }))))
}

/// Reaps tracee `tid` if it is dead; true when it was.
///
/// Two calls: a wait for deaths alone would *consume a stop*, since stops of tracees are reported whatever the options
/// say (kernel/exit.c, wait_task_stopped).
pub fn reap(tid: Tid) -> Result<bool, Errno> {
    let look = libc::WEXITED | libc::WNOHANG;
    match wait_id(libc::P_PID, tid.get(), look | libc::WNOWAIT)? {
        Some((_, Change::Exited(_) | Change::Killed(_))) => {
            wait_id(libc::P_PID, tid.get(), look).map(|got| got.is_some())
        }
        _ => Ok(false),
    }
}

fn wait_id(which: libc::idtype_t, id: i32, options: i32) -> Result<Option<(i32, Change)>, Errno> {
    // siginfo_t of a child (sigaction(2)): signo, errno, code, pad, pid, uid, status; 128 bytes in all.
    let mut info = [0i32; 32];
    let options = (options | libc::__WALL) as usize;
    let at = info.as_mut_ptr().addr();
    // SAFETY: the kernel writes one siginfo_t of 128 bytes, which we hold exclusively.
    unsafe { syscall(libc::SYS_waitid, [which as usize, id as usize, at, options, 0, 0]) }?;
    let [_, _, code, _, pid, _, status, ..] = info;
    let change = match code {
        _ if pid == 0 => return Ok(None),
        libc::CLD_EXITED => Change::Exited(status),
        libc::CLD_KILLED | libc::CLD_DUMPED => Change::Killed(status),
        _ => Change::Stopped { signal: status & 0x7f, event: status >> 8 },
    };
    Ok(Some((pid, change)))
}

/// `wait4(pid, &status, __WALL [| WNOHANG])` for a child of ours: how it ended, and it is reaped.
pub fn child(pid: i32, block: Block) -> Result<Option<Change>, Errno> {
    let mut status = 0i32;
    let options = (libc::__WALL | if block == Block::Poll { libc::WNOHANG } else { 0 }) as usize;
    let at = core::ptr::from_mut(&mut status).addr();
    // SAFETY: the kernel writes one int, which we hold exclusively.
    let got = unsafe { syscall(libc::SYS_wait4, [pid as usize, at, options, 0, 0, 0]) }?;
    Ok(match got {
        0 => None,
        _ if status & 0x7f == 0 => Some(Change::Exited(status >> 8 & 0xff)),
        _ => Some(Change::Killed(status & 0x7f)),
    })
}
