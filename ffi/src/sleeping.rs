//! Functions in which threads sleep, noted while they do: where nothing else keeps them awake, a check need not ask the
//! kernel for their stacks (`threads/asleep.rs`). Those that other modules stand before are noted there.
//!
//! And functions that leave such a call for good when a signal handler calls them.
//!
//! Not among them: pthread_mutex_lock(3) and its like, which mostly do not sleep, and syscall(2), whose seventh argument is on
//! the stack. Who sleeps there is asked for.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libc::{fd_set, sigset_t, timespec, timeval};
use standstill_runtime::sys::process;
use standstill_runtime::threads;

use crate::next::{self, absent, nexts};

/// An exception or a cancellation comes by (Itanium C++ ABI: Exception Handling, 2.5.2): the call that its frame notes is
/// over once it is unwound.
pub(crate) unsafe extern "C" fn left(
    _version: c_int,
    actions: c_int,
    _class: u64,
    _exception: *mut c_void,
    _context: *mut c_void,
) -> c_int {
    const CLEANUP_PHASE: c_int = 2;
    const CONTINUE_UNWIND: c_int = 8;
    if actions & CLEANUP_PHASE != 0 {
        threads::asleep::leave();
    }
    CONTINUE_UNWIND
}

/// Exports the functions of these names of the module around it, noted.
macro_rules! sleeping {
    ($($name:ident)+) => {
        standstill_runtime::sleeping! {
            word at standstill_runtime::threads::asleep::ASLEEP, left by crate::sleeping::left: $($name)+
        }
    };
}

pub(crate) use sleeping;

/// Exports functions that go on in the C library's of the same name; the one in parentheses returns what there is none.
macro_rules! sleeps {
    ($($name:ident($($argument:ident: $type:ty),*) or $absent:expr => $symbol:literal $(of $version:literal)?;)+) => {
        pub(crate) mod real {
            use super::*;

            nexts! {
                $(pub(super) $name: unsafe extern "C" fn($($type),*) -> c_int = $symbol $(of $version)?;)+
            }
        }

        $(
            /// As the C library's.
            unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
                let Some(real) = real::$name() else { return $absent };
                // SAFETY: the caller's arguments, passed on.
                unsafe { real($($argument),*) }
            }
        )+

        sleeping! { $($name)+ }
    };
}

type Time = *const timespec;

sleeps! {
    cnd_timedwait(condition: usize, mutex: usize, until: Time) or 2 => c"cnd_timedwait";
    cnd_wait(condition: usize, mutex: usize) or 2 => c"cnd_wait";
    pthread_barrier_wait(barrier: usize) or libc::ENOSYS => c"pthread_barrier_wait";
    pthread_cond_clockwait(condition: usize, mutex: usize, clock: c_int, until: Time) or libc::ENOSYS => c"pthread_cond_clockwait";
    // There was another kind of condition before (glibc on x86-64, 2002).
    pthread_cond_timedwait(condition: usize, mutex: usize, until: Time) or libc::ENOSYS => c"pthread_cond_timedwait" of c"GLIBC_2.3.2";
    pthread_cond_wait(condition: usize, mutex: usize) or libc::ENOSYS => c"pthread_cond_wait" of c"GLIBC_2.3.2";
    select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) or absent() as c_int => c"select";
    sem_clockwait(semaphore: usize, clock: c_int, until: Time) or absent() as c_int => c"sem_clockwait";
    sem_timedwait(semaphore: usize, until: Time) or absent() as c_int => c"sem_timedwait";
    sem_wait(semaphore: usize) or absent() as c_int => c"sem_wait";
    sigwait(set: *const sigset_t, signal: *mut c_int) or libc::ENOSYS => c"sigwait";
}

/// Exports functions that leave the calls around them, and go on in the C library's by a jump: some return twice, or look at
/// their caller's frame.
macro_rules! leaves {
    ($($name:ident = $number:literal => $symbol:literal;)+) => {
        standstill_runtime::leaving! { target from crate::sleeping::leave: $($name = $number)+ }

        const LEAVING: [&core::ffi::CStr; [$($number),+].len()] = [$($symbol),+];
    };
}

leaves! {
    __longjmp_chk = 0 => c"__longjmp_chk";
    _longjmp = 1 => c"_longjmp";
    longjmp = 2 => c"longjmp";
    pthread_exit = 3 => c"pthread_exit";
    setcontext = 4 => c"setcontext";
    siglongjmp = 5 => c"siglongjmp";
    swapcontext = 6 => c"swapcontext";
}

static FOUND: [AtomicUsize; LEAVING.len()] = [const { AtomicUsize::new(0) }; LEAVING.len()];

pub(crate) fn resolve() {
    real::resolve();
    (0..LEAVING.len()).for_each(|number| {
        found(number);
    });
}

/// Where the function of this number goes on; 0 for nowhere.
fn found(number: usize) -> usize {
    let (Some(found), Some(symbol)) = (FOUND.get(number), LEAVING.get(number)) else { return 0 };
    match found.load(Relaxed) {
        0 => next::find(symbol, None, found),
        address => address,
    }
}

/// What the functions above begin with.
unsafe extern "C" fn leave(number: usize) -> usize {
    threads::asleep::leave();
    match found(number) {
        0 => process::trap("a function that this C library does not have"),
        address => address,
    }
}
