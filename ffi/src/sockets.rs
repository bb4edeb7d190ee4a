//! The timeouts of sockets (SO_RCVTIMEO, SO_SNDTIMEO): each starts again in full when a stop makes the kernel start the call
//! again, and with checks more often than that it would never end.
//!
//! Only the kernel knows of them. So of a descriptor that may have one (it was set, or that of the descriptor which this was
//! made of) a call asks first, and tells the stop when it is to end. A stop that falls into the call makes it a wait for the
//! descriptor that ends then (`stop::call`). When the wait is over the call is made again here; after its time without
//! waiting, since what a wait calls ready is less than what a call can move. (To ask only after a stop costs nothing before a
//! call, but then the thread is in no call while it asks, and a signal that comes there ends none.)
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_long, c_short, c_void};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use libc::{socklen_t, timeval};
use standstill_runtime::stop::call::Call;
use standstill_runtime::sys::invoke::syscall;
use standstill_runtime::sys::process::monotonic_ns;

use crate::next::{absent, nexts};

nexts! {
    real_setsockopt: unsafe extern "C" fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int = c"setsockopt";
}

/// Some socket has been given a timeout.
static TIMEOUTS: AtomicBool = AtomicBool::new(false);
/// The descriptors that may have one, a bit each. It stays when they are closed: then one is asked in vain.
static MARKED: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// The word of a descriptor and its bit. `None`: of so many none is told apart.
fn mark_of(fd: c_int) -> Option<(&'static AtomicU64, u64)> {
    Some((MARKED.get(usize::try_from(fd).ok()? / 64)?, 1 << (fd % 64)))
}

fn is_marked(fd: c_int) -> bool {
    mark_of(fd).is_none_or(|(word, bit)| word.load(Relaxed) & bit != 0)
}

fn mark(fd: c_int) {
    if let Some((word, bit)) = mark_of(fd) {
        word.fetch_or(bit, Relaxed);
    }
    if !TIMEOUTS.swap(true, Relaxed) {
        crate::descriptors::see_duplicates();
    }
}

/// `new` was made of `old`, and has its timeouts: by dup(2) or accept(2).
pub(crate) fn inherit(old: c_int, new: c_int) {
    if TIMEOUTS.load(Relaxed) && new >= 0 && is_marked(old) {
        mark(new);
    }
}

/// The options of 32-bit time made anew for 64 bits (include/uapi/asm-generic/socket.h).
const SO_RCVTIMEO_NEW: c_int = 66;
const SO_SNDTIMEO_NEW: c_int = 67;

/// As the system call.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    let Some(real) = real_setsockopt() else { return absent() as c_int };
    let names = [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW];
    if level == libc::SOL_SOCKET && names.contains(&name) {
        mark(fd);
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { real(fd, level, name, value, len) }
}

/// When a call that waits until `fd` has `events` is to end, if it has a timeout: CLOCK_MONOTONIC nanoseconds.
#[inline]
pub(crate) fn deadline(fd: c_int, events: c_short) -> Option<u64> {
    if TIMEOUTS.load(Relaxed) { asked_deadline(fd, events) } else { None }
}

#[cold]
fn asked_deadline(fd: c_int, events: c_short) -> Option<u64> {
    let ns = is_marked(fd).then(|| timeout(fd, events)).flatten()?;
    Some(monotonic_ns().saturating_add(ns))
}

/// Makes system call `number` on `fd`, around which `call` is. It is one that waits until the descriptor has `events`, up to
/// `deadline`. `make` gets a flag of send(2) and recv(2) to be added: none, or MSG_DONTWAIT.
#[inline]
pub(crate) fn inside(
    call: &Call,
    number: c_long,
    (fd, events, deadline): (c_int, c_short, Option<u64>),
    mut make: impl FnMut(c_int) -> isize,
) -> isize {
    match deadline {
        None => call.inside(|| make(0)),
        Some(deadline) => patiently(call, number, (fd, events, deadline), &mut make),
    }
}

#[cold]
fn patiently(
    call: &Call,
    number: c_long,
    (fd, events, deadline): (c_int, c_short, u64),
    make: &mut dyn FnMut(c_int) -> isize,
) -> isize {
    while monotonic_ns() < deadline {
        call.on_socket(number, fd, events, deadline);
        let result = call.inside(|| make(0));
        // A handler has interrupted the wait, as it would have the call.
        if !call.became_wait() || result < 0 {
            return result;
        }
    }
    make(libc::MSG_DONTWAIT)
}

/// The socket's timeout for this direction in nanoseconds, where it has one.
fn timeout(fd: c_int, events: c_short) -> Option<u64> {
    let name = if events == libc::POLLIN { libc::SO_RCVTIMEO } else { libc::SO_SNDTIMEO };
    let mut time = timeval { tv_sec: 0, tv_usec: 0 };
    let mut len = size_of::<timeval>() as socklen_t;
    let (time_at, len_at) = (core::ptr::from_mut(&mut time).addr(), core::ptr::from_mut(&mut len).addr());
    let arguments = [fd as usize, libc::SOL_SOCKET as usize, name as usize, time_at, len_at, 0];
    // SAFETY: getsockopt(2) writes one timeval and its length, which we hold exclusively.
    unsafe { syscall(libc::SYS_getsockopt, arguments) }.ok()?;
    let ns = (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_usec as u64 * 1000);
    (ns > 0).then_some(ns)
}
