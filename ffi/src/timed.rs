//! Calls with a relative timeout that the kernel does not remember when it starts them again: epoll_wait(2),
//! sigtimedwait(2), semtimedop(2), and where the world is stopped by signal also poll(2) and nanosleep(2).
//!
//! A stop interrupts them and starts them again. From the [`Call`] around each it knows when the call was to be over, and
//! lets it wait for what is left only. The timespec that the kernel reads is the Call's, which the stop may change.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_long, c_uint};

use libc::{epoll_event, pollfd, sembuf, siginfo_t, sigset_t, timespec};
use standstill_runtime::arch;
use standstill_runtime::base::Addr;
use standstill_runtime::stop::call::Call;
use standstill_runtime::sys::{probe, signals};

use crate::malloc::set_errno;
use crate::next::{absent, nexts};
use crate::sleeping::sleeping;
use crate::weak::weak;

type Time = *const timespec;

nexts! {
    real_epoll_wait: unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int) -> c_int = c"epoll_wait";
    real_epoll_pwait: unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int, *const sigset_t) -> c_int = c"epoll_pwait";
    real_epoll_pwait2: unsafe extern "C" fn(c_int, *mut epoll_event, c_int, Time, *const sigset_t) -> c_int = c"epoll_pwait2";
    real_sigtimedwait: unsafe extern "C" fn(*const sigset_t, *mut siginfo_t, Time) -> c_int = c"sigtimedwait";
    real_semtimedop: unsafe extern "C" fn(c_int, *mut sembuf, usize, Time) -> c_int = c"semtimedop";
    real_poll: unsafe extern "C" fn(*mut pollfd, libc::nfds_t, c_int) -> c_int = c"poll";
    real_clock_nanosleep: unsafe extern "C" fn(c_int, c_int, Time, *mut timespec) -> c_int = c"clock_nanosleep";
}

weak!(/// clock_gettime(2), without a system call where the kernel allows it.
    clock: unsafe extern "C" fn(c_int, *mut timespec) -> c_int = "clock_gettime");

/// What the C library makes of epoll_wait(3). musl has one call for all of its family (src/linux/epoll.c).
fn number_of_epoll_wait() -> c_long {
    let is_musl = signals::libc_internal() == signals::SIGSYNCCALL;
    if is_musl || arch::SYS_EPOLL_WAIT < 0 { libc::SYS_epoll_pwait } else { arch::SYS_EPOLL_WAIT }
}

const NS: u64 = 1_000_000_000;

fn now() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    match clock() {
        // SAFETY: clock_gettime(2) with a structure of ours.
        Some(clock) if unsafe { clock(libc::CLOCK_MONOTONIC, &mut time) } == 0 => {
            time.tv_sec as u64 * NS + time.tv_nsec as u64
        }
        _ => standstill_runtime::sys::process::monotonic_ns(),
    }
}

/// Makes a call that waits for `milliseconds`; for ever, when that is negative.
#[inline]
fn milliseconds(number: c_long, argument: usize, milliseconds: c_int, real: impl FnOnce() -> c_int) -> c_int {
    let call = match milliseconds {
        ..=0 => Call::untimed(number, argument),
        1.. => Call::timed(number, argument, now(), milliseconds as u64 * 1_000_000),
    };
    call.inside(real)
}

/// The time that `time` points to, in nanoseconds, where there is one to wait for. What is no time, or is not there, is
/// for the kernel to refuse.
fn nanoseconds(time: Time) -> Option<u64> {
    const PAGE: usize = 4096;
    let first = time.addr();
    let last = first.wrapping_add(size_of::<timespec>() - 8);
    // The stack from here to its page's end, where the caller's variables are, as a rule.
    let here = core::ptr::from_ref(&first).addr();
    let is_there = |at: usize| at / PAGE == here / PAGE || probe::is_readable(Addr::new(at));
    if first == 0 || !is_there(first) || (first / PAGE != last / PAGE && !is_there(last)) {
        return None;
    }
    // SAFETY: the kernel could read it just now, or it is in a page that is in use as a stack; C has the caller keep it
    // until the call is over.
    let time = unsafe { time.read_unaligned() };
    let rest = u64::try_from(time.tv_nsec).ok().filter(|ns| *ns < NS)?;
    u64::try_from(time.tv_sec).ok()?.checked_mul(NS)?.checked_add(rest).filter(|ns| *ns > 0)
}

/// Makes a call with the timeout that `time` points to, with that of a Call in its place.
#[inline]
fn time(number: c_long, argument: usize, time: Time, real: impl FnOnce(Time) -> c_int) -> c_int {
    wait(number, argument, time, nanoseconds(time), real)
}

/// As [`time`], of which `ns` is known already.
#[inline]
fn wait(
    number: c_long,
    argument: usize,
    time: Time,
    ns: Option<u64>,
    real: impl FnOnce(Time) -> c_int,
) -> c_int {
    let Some(ns) = ns else { return Call::untimed(number, argument).inside(|| real(time)) };
    let call = Call::timed(number, argument, now(), ns);
    call.inside(|| real(call.timespec()))
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
) -> c_int {
    let Some(real) = real_epoll_wait() else { return absent() as c_int };
    // SAFETY: the caller's arguments, passed on.
    milliseconds(number_of_epoll_wait(), epoll as usize, timeout, || unsafe {
        real(epoll, events, count, timeout)
    })
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    let Some(real) = real_epoll_pwait() else { return absent() as c_int };
    // SAFETY: the caller's arguments, passed on.
    milliseconds(libc::SYS_epoll_pwait, epoll as usize, timeout, || unsafe {
        real(epoll, events, count, timeout, mask)
    })
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: Time,
    mask: *const sigset_t,
) -> c_int {
    let Some(real) = real_epoll_pwait2() else { return absent() as c_int };
    // SAFETY: the caller's arguments, passed on.
    time(libc::SYS_epoll_pwait2, epoll as usize, timeout, |timeout| unsafe {
        real(epoll, events, count, timeout, mask)
    })
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn sigtimedwait(
    set: *const sigset_t,
    info: *mut siginfo_t,
    timeout: Time,
) -> c_int {
    let Some(real) = real_sigtimedwait() else { return absent() as c_int };
    // SAFETY: the caller's arguments, passed on.
    time(libc::SYS_rt_sigtimedwait, set.addr(), timeout, |timeout| unsafe { real(set, info, timeout) })
}

/// As the system call.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semtimedop(
    semaphores: c_int,
    operations: *mut sembuf,
    count: usize,
    timeout: Time,
) -> c_int {
    let Some(real) = real_semtimedop() else { return absent() as c_int };
    // SAFETY: the caller's arguments, passed on.
    time(libc::SYS_semtimedop, semaphores as usize, timeout, |timeout| unsafe {
        real(semaphores, operations, count, timeout)
    })
}

/// As the system call.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn poll(files: *mut pollfd, count: libc::nfds_t, timeout: c_int) -> c_int {
    let Some(real) = real_poll() else { return absent() as c_int };
    // SAFETY: the caller's arguments, passed on.
    milliseconds(arch::SYS_POLL, files.addr(), timeout, || unsafe { real(files, count, timeout) })
}

/// As the C library's.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn nanosleep(wanted: Time, left: *mut timespec) -> c_int {
    // Under the name that stands for one system call in every version. It returns its error.
    // SAFETY: the caller's arguments, passed on.
    match unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, wanted, left) } {
        0 => 0,
        error => {
            set_errno(error);
            -1
        }
    }
}

/// As the C library's.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn clock_nanosleep(
    clock: c_int,
    flags: c_int,
    wanted: Time,
    left: *mut timespec,
) -> c_int {
    let Some(real) = real_clock_nanosleep() else { return libc::ENOSYS };
    // A time of day stays what it is, and the time that a process has used does not pass by itself.
    if flags != 0 || !matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME) {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { real(clock, flags, wanted, left) };
    }
    // How long is one thing by either clock, and musl makes another system call for the first (src/time/clock_nanosleep.c).
    let clock = if clock == libc::CLOCK_REALTIME { libc::CLOCK_MONOTONIC } else { clock };
    // SAFETY: the caller's arguments, passed on.
    time(libc::SYS_clock_nanosleep, clock as usize, wanted, |wanted| unsafe {
        real(clock, flags, wanted, left)
    })
}

/// nanosleep(2) for a time of ours, `ns` long.
fn sleep_for(time: Time, ns: u64, left: *mut timespec) -> c_int {
    let Some(real) = real_clock_nanosleep() else { return absent() as c_int };
    let (number, clock) = (libc::SYS_clock_nanosleep, libc::CLOCK_MONOTONIC);
    // SAFETY: times of ours, or the Call's.
    let sleep = |time| unsafe { real(clock, 0, time, left) };
    match wait(number, clock as usize, time, Some(ns).filter(|ns| *ns > 0), sleep) {
        0 => 0,
        error => {
            set_errno(error);
            -1
        }
    }
}

/// As the C library's, whose own would sleep in a call that nobody can interpose.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn usleep(microseconds: libc::useconds_t) -> c_int {
    let ns = u64::from(microseconds) * 1000;
    let time = timespec { tv_sec: (ns / NS) as libc::time_t, tv_nsec: (ns % NS) as c_long };
    sleep_for(&time, ns, core::ptr::null_mut())
}

/// As the C library's, whose own would sleep in a call that nobody can interpose. Returns the whole seconds that are left
/// when a handler has interrupted it.
///
/// # Safety
///
/// As in C.
pub(crate) unsafe extern "C" fn sleep(seconds: c_uint) -> c_uint {
    let mut time = timespec { tv_sec: libc::time_t::from(seconds), tv_nsec: 0 };
    let time_at = &raw mut time;
    // It may be both: the kernel has read the one when it writes the other (nanosleep(2)).
    match sleep_for(time_at, u64::from(seconds) * NS, time_at) {
        0 => 0,
        _ => time.tv_sec as c_uint,
    }
}

sleeping! { clock_nanosleep epoll_pwait epoll_pwait2 epoll_wait nanosleep poll sigtimedwait sleep usleep }
