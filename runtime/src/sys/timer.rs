//! Time: setitimer(2), nanosleep(2).

use crate::base::Errno;

use super::invoke::syscall;

/// Nanoseconds as the kernel's `struct timespec`.
pub fn timespec(ns: u64) -> libc::timespec {
    libc::timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ }
}

/// `setitimer(ITIMER_REAL)`: SIGALRM to the calling process after `first_ns`, then every `period_ns`; 0 and 0 end it.
pub fn alarm_every(first_ns: u64, period_ns: u64) -> Result<(), Errno> {
    let split = |ns: u64| [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000 / 1000) as i64];
    // struct itimerval: it_interval, it_value.
    let value = [split(period_ns), split(first_ns)];
    let at = value.as_ptr().addr();
    // SAFETY: the kernel reads one itimerval, four words.
    unsafe { syscall(libc::SYS_setitimer, [libc::ITIMER_REAL as usize, at, 0, 0, 0, 0]) }.map(drop)
}

/// `nanosleep(ns)`; a signal ends it early.
pub fn sleep(ns: u64) {
    let time = timespec(ns);
    // SAFETY: the kernel reads one timespec.
    let _ = unsafe { syscall(libc::SYS_nanosleep, [core::ptr::from_ref(&time).addr(), 0, 0, 0, 0, 0]) };
}
