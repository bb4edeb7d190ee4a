//! Functions that open or close a file descriptor, noted where an option asks for it. Otherwise those that open jump to
//! libc's: some allocate, and no frame of ours is to be among those of the program and libc.
//!
//! All of them are called with six words, as many as a function takes in registers, of which libc's takes those that it
//! knows: so variadic ones (open(2)) are no special case (psABI, "Variable Argument Lists": named and further integer
//! arguments go in the same registers).
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::Relaxed;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::entry_point_of_six;
use standstill_runtime::stop::call::Call;
use standstill_runtime::threads::resources::{self, Kind};

use crate::next::{absent, nexts};
use crate::resources::{gives_back, stack_of};

type Six = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;

nexts! {
    real_close: unsafe extern "C" fn(c_int) -> c_int = c"close";
    real_dirfd: unsafe extern "C" fn(*mut c_void) -> c_int = c"dirfd";
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

        /// libc's functions, where nothing is noted.
        #[allow(non_upper_case_globals)]
        mod libcs {
            use core::sync::atomic::AtomicUsize;

            $(pub(super) static $name: AtomicUsize = AtomicUsize::new(0);)+
        }

        /// From now on nothing is noted.
        pub(crate) fn pass_on() {
            $(passes_on!($name $(, $number)?);)+
        }

        /// From now on descriptors that are made of others are seen again: they have their timeouts.
        pub(crate) fn see_duplicates() {
            [&libcs::dup, &libcs::dup2, &libcs::dup3, &libcs::fcntl, &libcs::fcntl64]
                .into_iter()
                .for_each(|target| target.store(0, Relaxed));
        }

        $(
            entry_point_of_six!(/// As libc's, noted.
                $name => $implementation, or jumps to libcs::$name);

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

/// A stop must know of some in any case.
macro_rules! passes_on {
    ($name:ident) => {
        if let Some(real) = real::$name() {
            libcs::$name.store(real as *const () as usize, Relaxed);
        }
    };
    ($name:ident, $number:path) => {};
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

/// The descriptor of a new stream (fopen(3)) or directory (opendir(3)), which `number` tells.
fn inside_of(
    number: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    result: isize,
    entry: usize,
    frame: &CallerFrame,
) {
    if result != 0
        && resources::are_kept(Kind::Descriptor)
        && let Some(number) = number
    {
        // SAFETY: what the call has just made, and `number` is for.
        opened(unsafe { number(core::ptr::with_exposed_provenance_mut(result as usize)) }, entry, frame);
    }
}

fn stream(result: isize, _: [usize; 4], entry: usize, frame: &CallerFrame) {
    inside_of(real_fileno(), result, entry, frame);
}

fn directory(result: isize, _: [usize; 4], entry: usize, frame: &CallerFrame) {
    inside_of(real_dirfd(), result, entry, frame);
}

/// A descriptor that is made of another.
fn another(result: isize, arguments: [usize; 4], entry: usize, frame: &CallerFrame) {
    crate::sockets::inherit(arguments[0] as c_int, result as c_int);
    one(result, arguments, entry, frame);
}

/// fcntl(2) opens with two of its commands.
fn command(result: isize, [of, command, ..]: [usize; 4], entry: usize, frame: &CallerFrame) {
    if matches!(command as c_int, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        crate::sockets::inherit(of as c_int, result as c_int);
        opened(result as c_int, entry, frame);
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
    dup dup_for = c"dup" => another;
    dup2 dup2_for = c"dup2" => another;
    dup3 dup3_for = c"dup3" => another;
    accept accept_for = c"accept" as libc::SYS_accept => another;
    accept4 accept4_for = c"accept4" as libc::SYS_accept4 => another;
    socket socket_for = c"socket" => one;
    epoll_create epoll_create_for = c"epoll_create" => one;
    epoll_create1 epoll_create1_for = c"epoll_create1" => one;
    eventfd eventfd_for = c"eventfd" => one;
    inotify_init inotify_init_for = c"inotify_init" => one;
    inotify_init1 inotify_init1_for = c"inotify_init1" => one;
    memfd_create memfd_create_for = c"memfd_create" => one;
    signalfd signalfd_for = c"signalfd" => one;
    timerfd_create timerfd_create_for = c"timerfd_create" => one;
    pidfd_open pidfd_open_for = c"pidfd_open" => one;
    fanotify_init fanotify_init_for = c"fanotify_init" => one;
    open_by_handle_at open_by_handle_at_for = c"open_by_handle_at" => one;
    shm_open shm_open_for = c"shm_open" => one;
    mq_open mq_open_for = c"mq_open" => one;
    posix_openpt posix_openpt_for = c"posix_openpt" => one;
    mkstemp mkstemp_for = c"mkstemp" => one;
    mkstemp64 mkstemp64_for = c"mkstemp" => one;
    mkostemp mkostemp_for = c"mkostemp" => one;
    mkostemp64 mkostemp64_for = c"mkostemp" => one;
    mkstemps mkstemps_for = c"mkstemps" => one;
    mkstemps64 mkstemps64_for = c"mkstemps" => one;
    mkostemps mkostemps_for = c"mkostemps" => one;
    mkostemps64 mkostemps64_for = c"mkostemps" => one;
    fcntl fcntl_for = c"fcntl" => command;
    fcntl64 fcntl64_for = c"fcntl" => command;
    pipe pipe_for = c"pipe" => |result, [pair, ..], entry, frame| two(result, pair, entry, frame);
    pipe2 pipe2_for = c"pipe2" => |result, [pair, ..], entry, frame| two(result, pair, entry, frame);
    socketpair socketpair_for = c"socketpair" => |result, [.., pair], entry, frame| two(result, pair, entry, frame);
    fopen fopen_for = c"fopen" => stream;
    fopen64 fopen64_for = c"fopen" => stream;
    freopen freopen_for = c"freopen" => stream;
    freopen64 freopen64_for = c"freopen" => stream;
    tmpfile tmpfile_for = c"tmpfile" => stream;
    tmpfile64 tmpfile64_for = c"tmpfile" => stream;
    popen popen_for = c"popen" => stream;
    opendir opendir_for = c"opendir" => directory;
}

/// As the system call.
#[unsafe(no_mangle)]
pub extern "C" fn close(fd: c_int) -> c_int {
    let Some(real) = real_close() else { return absent() as c_int };
    // On Linux the descriptor is gone after an error as well, but for EBADF, when there was none (close(2)).
    // SAFETY: the caller's argument, passed on.
    gives_back(Kind::Descriptor, fd as usize, || unsafe { real(fd) } as isize, |_| true) as c_int
}
