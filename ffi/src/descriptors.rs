//! Functions that open or close a file descriptor, noted where an option asks for it. Otherwise each only goes on in libc's.
//!
//! All of them are called with six words, as many as a function takes in registers, of which libc's takes those that it
//! knows: so variadic ones (open(2)) are no special case (psABI, "Variable Argument Lists": named and further integer
//! arguments go in the same registers).
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_void};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::entry_point_of_six;
use standstill_runtime::stop::call::Call;
use standstill_runtime::threads::resources::{self, Kind};

use crate::next::{absent, nexts};
use crate::resources::{gives_back, stack_of};

type Six = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;

nexts! {
    real_close: unsafe extern "C" fn(c_int) -> c_int = c"close";
    real_fileno: unsafe extern "C" fn(*mut c_void) -> c_int = c"fileno";
}

#[inline]
fn opened(fd: c_int, entry: usize, frame: &CallerFrame) {
    if fd >= 0 && resources::are_kept(Kind::Descriptor) {
        resources::add(Kind::Descriptor, fd as usize, stack_of(entry, frame));
    }
}

/// Exports functions that go on in libc's `$symbol`, known to a stop as the system call `$number` where that must know
/// (see [`crate::waits`]). `$after` sees the result, the arguments, the entry and the frame.
macro_rules! opens {
    ($($name:ident $implementation:ident = $symbol:literal $(as $number:path)? => $after:expr;)+) => {
        pub(crate) mod real {
            use super::*;

            nexts! {
                $(pub(super) $name: Six = $symbol;)+
            }
        }

        $(
            entry_point_of_six!(/// As libc's, noted.
                $name => $implementation);

            unsafe extern "C" fn $implementation(
                a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, frame: &CallerFrame,
            ) -> isize {
                let Some(real) = real::$name() else { return absent() };
                // SAFETY: the caller's arguments, passed on.
                let call = || unsafe { real(a, b, c, d, e, f) };
                let result = inside!(call, a $(, $number)?);
                let after: fn(isize, [usize; 4], usize, &CallerFrame) = $after;
                after(result, [a, b, c, d], $name as *const () as usize, frame);
                result
            }
        )+
    };
}

macro_rules! inside {
    ($call:ident, $first:ident) => {
        $call()
    };
    ($call:ident, $first:ident, $number:path) => {
        Call::untimed($number, $first).inside($call)
    };
}

fn one(result: isize, _: [usize; 4], entry: usize, frame: &CallerFrame) {
    opened(result as c_int, entry, frame);
}

/// Two descriptors at `pair`, when the call has succeeded.
fn two(result: isize, pair: usize, entry: usize, frame: &CallerFrame) {
    if result as c_int == 0 && resources::are_kept(Kind::Descriptor) {
        // SAFETY: the caller's array, which the call has just filled (pipe(2), socketpair(2)).
        let pair = unsafe { core::ptr::with_exposed_provenance::<[c_int; 2]>(pair).read_unaligned() };
        pair.into_iter().for_each(|fd| opened(fd, entry, frame));
    }
}

fn stream(result: isize, _: [usize; 4], entry: usize, frame: &CallerFrame) {
    if result != 0
        && resources::are_kept(Kind::Descriptor)
        && let Some(fileno) = real_fileno()
    {
        // SAFETY: a stream that fopen(3) has just made.
        opened(unsafe { fileno(core::ptr::with_exposed_provenance_mut(result as usize)) }, entry, frame);
    }
}

opens! {
    open open_for = c"open" => one;
    open64 open64_for = c"open" => one;
    __open_2 open_2_for = c"__open_2" => one;
    __open64_2 open64_2_for = c"__open64_2" => one;
    openat openat_for = c"openat" => one;
    openat64 openat64_for = c"openat" => one;
    __openat_2 openat_2_for = c"__openat_2" => one;
    __openat64_2 openat64_2_for = c"__openat64_2" => one;
    creat creat_for = c"creat" => one;
    creat64 creat64_for = c"creat" => one;
    dup dup_for = c"dup" => one;
    dup2 dup2_for = c"dup2" => one;
    dup3 dup3_for = c"dup3" => one;
    accept accept_for = c"accept" as libc::SYS_accept => one;
    accept4 accept4_for = c"accept4" as libc::SYS_accept4 => one;
    socket socket_for = c"socket" => one;
    epoll_create epoll_create_for = c"epoll_create" => one;
    epoll_create1 epoll_create1_for = c"epoll_create1" => one;
    eventfd eventfd_for = c"eventfd" => one;
    inotify_init inotify_init_for = c"inotify_init" => one;
    inotify_init1 inotify_init1_for = c"inotify_init1" => one;
    memfd_create memfd_create_for = c"memfd_create" => one;
    signalfd signalfd_for = c"signalfd" => one;
    timerfd_create timerfd_create_for = c"timerfd_create" => one;
    mkstemp mkstemp_for = c"mkstemp" => one;
    mkstemp64 mkstemp64_for = c"mkstemp" => one;
    pipe pipe_for = c"pipe" => |result, [pair, ..], entry, frame| two(result, pair, entry, frame);
    pipe2 pipe2_for = c"pipe2" => |result, [pair, ..], entry, frame| two(result, pair, entry, frame);
    socketpair socketpair_for = c"socketpair" => |result, [.., pair], entry, frame| two(result, pair, entry, frame);
    fopen fopen_for = c"fopen" => stream;
    fopen64 fopen64_for = c"fopen" => stream;
}

/// As the system call.
#[unsafe(no_mangle)]
pub extern "C" fn close(fd: c_int) -> c_int {
    let Some(real) = real_close() else { return absent() as c_int };
    // On Linux the descriptor is gone after an error as well, but for EBADF, when there was none (close(2)).
    // SAFETY: the caller's argument, passed on.
    gives_back(Kind::Descriptor, fd as usize, || unsafe { real(fd) } as isize, |_| true) as c_int
}
