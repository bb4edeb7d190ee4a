//! The calling process and thread: getpid(2), gettid(2), exit_group(2), exit(2), kill(2), getauxval by /proc.

use crate::base::{Errno, Tid};

use super::invoke::syscall;

/// `getpid()`: the process id as the process' own pid namespace numbers it.
pub fn pid() -> i32 {
    // SAFETY: no arguments, no memory.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) }.map_or(0, |pid| pid as i32)
}

/// `gettid()`.
pub fn tid() -> Tid {
    // SAFETY: no arguments, no memory.
    let raw = unsafe { syscall(libc::SYS_gettid, [0; 6]) }.map_or(1, |tid| tid as i32);
    // gettid never fails and is positive (gettid(2)); a fault injected by a test reads as thread 1.
    Tid::new(raw).unwrap_or(FIRST)
}

/// True when the process has a thread `tid`: `tgkill(getpid(), tid, 0)`. A thread that is dying still counts.
pub fn thread_exists(tid: Tid) -> bool {
    // SAFETY: signal 0 sends nothing (kill(2)).
    let sent = unsafe { syscall(libc::SYS_tgkill, [pid() as usize, tid.get() as usize, 0, 0, 0, 0]) };
    sent != Err(Errno::new(libc::ESRCH))
}

/// Of whom [`switches`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Of all threads of the process that live or lived.
    Process,
    /// Of the calling thread.
    Thread,
}

/// How often a thread was taken off its CPU, to wait or for another: `ru_nvcsw + ru_nivcsw` of getrusage(2).
pub fn switches(whose: Whose) -> Result<u64, Errno> {
    let who = match whose {
        Whose::Process => libc::RUSAGE_SELF,
        Whose::Thread => libc::RUSAGE_THREAD,
    };
    // SAFETY: rusage is plain data, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    let at = (&raw mut usage).addr();
    // SAFETY: the kernel writes one struct rusage, which on 64-bit systems libc and kernel lay out alike (getrusage(2)).
    unsafe { syscall(libc::SYS_getrusage, [who as usize, at, 0, 0, 0, 0]) }?;
    Ok((usage.ru_nvcsw as u64).wrapping_add(usage.ru_nivcsw as u64))
}

const FIRST: Tid = Tid::new(1).unwrap();

/// `exit_group(status)`: ends the process without any handler.
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// `exit(status)`: ends the calling task only.
pub fn exit_task(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { syscall(libc::SYS_exit, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Ends the process at once by an illegal instruction, after writing `why` to standard error: for a state from which
/// going on would corrupt the program.
#[cold]
pub fn trap(why: &str) -> ! {
    let _ = super::file::write_all(2, b"Standstill: fatal: ");
    let _ = super::file::write_all(2, why.as_bytes());
    let _ = super::file::write_all(2, b"\n");
    // SAFETY: kill(getpid(), SIGABRT) touches no memory.
    let _ = unsafe { syscall(libc::SYS_kill, [pid() as usize, libc::SIGABRT as usize, 0, 0, 0, 0]) };
    exit_group(134)
}

/// `getppid()`.
pub fn parent() -> i32 {
    // SAFETY: no arguments, no memory.
    unsafe { syscall(libc::SYS_getppid, [0; 6]) }.map_or(0, |pid| pid as i32)
}

/// `getpgid(0)`.
pub fn group() -> i32 {
    // SAFETY: no memory.
    unsafe { syscall(libc::SYS_getpgid, [0; 6]) }.map_or(0, |id| id as i32)
}

/// `getsid(0)`.
pub fn session() -> i32 {
    // SAFETY: no memory.
    unsafe { syscall(libc::SYS_getsid, [0; 6]) }.map_or(0, |id| id as i32)
}

/// `getuid()`.
pub fn user() -> u32 {
    // SAFETY: no arguments, no memory.
    unsafe { syscall(libc::SYS_getuid, [0; 6]) }.map_or(0, |id| id as u32)
}

/// `getgid()`.
pub fn user_group() -> u32 {
    // SAFETY: no arguments, no memory.
    unsafe { syscall(libc::SYS_getgid, [0; 6]) }.map_or(0, |id| id as u32)
}

/// 64 random bits: `getrandom(2)` without waiting. Fails with EAGAIN early in the life of a machine, and with ENOSYS in
/// a sandbox that forbids it.
pub fn random() -> Result<u64, Errno> {
    let mut value = 0u64;
    let into = core::ptr::from_mut(&mut value).addr();
    let arguments = [into, size_of::<u64>(), libc::GRND_NONBLOCK as usize, 0, 0, 0];
    // SAFETY: the kernel writes at most eight bytes to a value that we hold exclusively.
    unsafe { syscall(libc::SYS_getrandom, arguments) }.map(|_| value)
}

/// `clock_gettime(CLOCK_MONOTONIC)` in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let arguments = [libc::CLOCK_MONOTONIC as usize, core::ptr::from_mut(&mut time).addr(), 0, 0, 0, 0];
    // SAFETY: the kernel writes one timespec, which we hold exclusively.
    let _: Result<usize, Errno> = unsafe { syscall(libc::SYS_clock_gettime, arguments) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// `sched_getaffinity(0)`: how many CPUs the calling thread may run on; 1 when the kernel does not say.
pub fn cpus() -> usize {
    let mut mask = [0u64; 128];
    let arguments = [0, size_of_val(&mask), mask.as_mut_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel writes at most the given bytes to a buffer that we hold exclusively.
    let _ = unsafe { syscall(libc::SYS_sched_getaffinity, arguments) };
    mask.iter().map(|word| word.count_ones() as usize).sum::<usize>().max(1)
}
