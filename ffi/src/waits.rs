//! Calls that fail with EINTR after any signal handler, whatever SA_RESTART says (signal(7)): a stop by signal must know
//! that a thread is inside one to make it go on. Where the world is stopped by ptrace nothing of this is needed.
//!
//! Only functions that every version of the C library turns into the same system call, since that is made again by its
//! number: select(2) and semop(2) are not among them.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_long, c_void};

use libc::{fd_set, nfds_t, pollfd, siginfo_t, sigset_t, timespec};
use standstill_runtime::arch;
use standstill_runtime::stop::call::Call;

use crate::next::{absent, nexts};
use crate::sleeping::sleeping;

/// The first argument as the kernel gets it; 0 for none.
macro_rules! first {
    () => {
        0
    };
    ($first:ident $(, $others:ident)*) => {
        $first as usize
    };
}

/// Exports functions that go on in the C library's of the same name, known to a stop as the system call `$number`.
macro_rules! waits {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $number:expr, $symbol:literal;)+) => {
        pub(crate) mod real {
            use super::*;

            nexts! {
                $(pub(super) $name: unsafe extern "C" fn($($type),*) -> $result = $symbol;)+
            }
        }

        $(
            /// As the system call.
            ///
            /// # Safety
            ///
            /// As in C.
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                let Some(real) = real::$name() else { return absent() as $result };
                // SAFETY: the caller's arguments, passed on.
                Call::untimed($number, first!($($argument),*)).inside(|| unsafe { real($($argument),*) })
            }
        )+

        sleeping! { $($name)+ }
    };
}

waits! {
    msgrcv(queue: c_int, into: *mut c_void, size: usize, kind: c_long, flags: c_int) -> isize = libc::SYS_msgrcv, c"msgrcv";
    msgsnd(queue: c_int, message: *const c_void, size: usize, flags: c_int) -> c_int = libc::SYS_msgsnd, c"msgsnd";
    pause() -> c_int = arch::SYS_PAUSE, c"pause";
    ppoll(files: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int = libc::SYS_ppoll, c"ppoll";
    pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int = libc::SYS_pselect6, c"pselect";
    sigsuspend(mask: *const sigset_t) -> c_int = libc::SYS_rt_sigsuspend, c"sigsuspend";
    sigwaitinfo(set: *const sigset_t, info: *mut siginfo_t) -> c_int = libc::SYS_rt_sigtimedwait, c"sigwaitinfo";
}
