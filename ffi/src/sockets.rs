//! The timeouts of sockets (SO_RCVTIMEO, SO_SNDTIMEO): each starts again in full when a stop makes the kernel start the call
//! again, and with checks more often than that it would never end.
//!
//! Only the kernel knows of them. So in a process that has ever set one, a call on a socket asks for it first, and tells the
//! stop when it is to end. A stop that falls into the call makes it a wait for the descriptor that ends then
//! (`stop::call`), and when that is over the call is made again here, or fails as it would have. (To ask only after a stop
//! costs nothing before a call, but then the thread is in no call while it asks, and a signal that comes there ends none.)
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_long, c_short, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use libc::{socklen_t, timeval};
use standstill_runtime::stop::call::Call;
use standstill_runtime::sys::invoke::syscall;
use standstill_runtime::sys::process::monotonic_ns;

use crate::malloc::set_errno;
use crate::next::{absent, nexts};

nexts! {
    real_setsockopt: unsafe extern "C" fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int = c"setsockopt";
}

/// Some socket has been given a timeout.
static TIMEOUTS: AtomicBool = AtomicBool::new(false);

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
        TIMEOUTS.store(true, Relaxed);
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { real(fd, level, name, value, len) }
}

/// Makes system call `number` on `fd`, around which `call` is. It is one that waits until the descriptor has `events`.
#[inline]
pub(crate) fn inside(
    call: &Call,
    number: c_long,
    fd: c_int,
    events: c_short,
    mut make: impl FnMut() -> isize,
) -> isize {
    if TIMEOUTS.load(Relaxed) { patiently(call, number, fd, events, &mut make) } else { call.inside(make) }
}

#[cold]
fn patiently(
    call: &Call,
    number: c_long,
    fd: c_int,
    events: c_short,
    make: &mut dyn FnMut() -> isize,
) -> isize {
    let Some(ns) = timeout(fd, events) else { return call.inside(make) };
    let deadline = monotonic_ns().saturating_add(ns);
    loop {
        call.on_socket(number, fd, events, deadline);
        let result = call.inside(&mut *make);
        if !call.became_wait() {
            return result;
        }
        match result {
            // Room for some bytes may be too little for these: then the time is over all the same.
            1.. if events == libc::POLLIN || monotonic_ns() < deadline => {}
            0.. => {
                set_errno(libc::EAGAIN);
                return -1;
            }
            // A handler has interrupted the wait, as it would have the call.
            _ => return result,
        }
    }
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
