//! fork(2), wait(2), clocks.

use core::ffi::c_int;

use crate::base::{Errno, Tid};

use super::last_error;

unsafe extern "C" {
    /// syscall(2): the handlers of pthread_atfork(3) must not run, they wait for locks of the program.
    fn syscall(number: c_int, ...) -> c_int;
}

const SYS_FORK: c_int = 2;

/// The id of this thread.
pub fn thread() -> Option<Tid> {
    // SAFETY: _lwp_self(2) takes nothing.
    Tid::new(unsafe { libc::_lwp_self() })
}

/// The id of this process.
pub fn id() -> i32 {
    // SAFETY: getpid(2) takes nothing.
    unsafe { libc::getpid() }
}

/// fork(2) by the system call: `None` in the child.
///
/// # Safety
///
/// The child makes system calls only, and ends by [`exit`]: locks of the program may be held for ever in its copy.
pub unsafe fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: the caller's duty. In the child the call returns 0 (sys/arch/amd64, md_child_return).
    match unsafe { syscall(SYS_FORK) } {
        -1 => Err(last_error()),
        0 => Ok(None),
        child => Ok(Some(child)),
    }
}

/// _exit(2).
pub fn exit(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing yet.
    None,
    /// It stands still by this signal.
    Stopped(i32),
    /// It ended with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

/// waitpid(2); with `block` until something changes.
pub fn wait(pid: i32, block: bool) -> Result<Change, Errno> {
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes the status.
        match unsafe { libc::waitpid(pid, &raw mut status, if block { 0 } else { libc::WNOHANG }) } {
            0 => return Ok(Change::None),
            -1 if last_error().get() == libc::EINTR => {}
            -1 => return Err(last_error()),
            _ if libc::WIFSTOPPED(status) => return Ok(Change::Stopped(libc::WSTOPSIG(status))),
            _ if libc::WIFEXITED(status) => return Ok(Change::Exited(libc::WEXITSTATUS(status))),
            _ => return Ok(Change::Killed(libc::WTERMSIG(status))),
        }
    }
}

/// Nanoseconds of the monotonic clock.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
