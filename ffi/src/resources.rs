//! Functions that open or close a file descriptor, or start, join or detach a thread, noted where an option asks for it.
//! Otherwise each only goes on in libc's.
//!
//! All of them are called with six words, as many as a function takes in registers, of which libc's takes those that it
//! knows: so variadic ones (open(2)) are no special case (psABI, "Variable Argument Lists": named and further integer
//! arguments go in the same registers).
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_int, c_void};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::stop::call::Call;
use standstill_runtime::threads::resources::{self, Kind};
use standstill_runtime::trace::StackId;
use standstill_runtime::{entry_point_of_six, init, threads, trace};

use crate::next::{absent, next};

type Six = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;

/// At the start of the process, when the options are known.
pub(crate) fn start() {
    let options = init::options();
    for (kind, wanted) in
        [(Kind::Descriptor, options.report_descriptors), (Kind::Thread, options.report_threads)]
    {
        if wanted {
            resources::keep(kind);
        }
    }
}

/// The call stack of the function `entry`, which `frame` describes.
#[cold]
fn stack_of(entry: usize, frame: &CallerFrame) -> StackId {
    threads::enter().map_or(StackId::NONE, |mut thread| trace::capture(&mut thread.trace, frame, entry, 1))
}

#[inline]
fn opened(fd: c_int, entry: usize, frame: &CallerFrame) {
    if fd >= 0 && resources::are_kept(Kind::Descriptor) {
        resources::add(Kind::Descriptor, fd as usize, stack_of(entry, frame));
    }
}

/// Calls `real`, which gives back what `key` names; nothing was given back when it says so.
#[inline]
fn gives_back(
    kind: Kind,
    key: usize,
    real: impl FnOnce() -> isize,
    failed: impl FnOnce(isize) -> bool,
) -> isize {
    if !resources::are_kept(kind) {
        return real();
    }
    let taken = resources::take(kind, key);
    let result = real();
    if failed(result)
        && let Some(taken) = taken
    {
        resources::put_back(taken);
    }
    result
}

/// Exports functions that go on in libc's `$symbol`. `$after` sees the result, the arguments, the entry and the frame.
macro_rules! noted {
    ($($name:ident $implementation:ident = $symbol:literal => $after:expr;)+) => {
        $(
            entry_point_of_six!(/// As libc's, noted.
                $name => $implementation);

            unsafe extern "C" fn $implementation(
                a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, frame: &CallerFrame,
            ) -> isize {
                next!(real: Six = $symbol);
                let Some(real) = real() else { return absent() };
                // SAFETY: the caller's arguments, passed on.
                let result = unsafe { real(a, b, c, d, e, f) };
                let after: fn(isize, [usize; 4], usize, &CallerFrame) = $after;
                after(result, [a, b, c, d], $name as *const () as usize, frame);
                result
            }
        )+
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
    next!(real_fileno: unsafe extern "C" fn(*mut c_void) -> c_int = c"fileno");
    if result != 0
        && resources::are_kept(Kind::Descriptor)
        && let Some(fileno) = real_fileno()
    {
        // SAFETY: a stream that fopen(3) has just made.
        opened(unsafe { fileno(core::ptr::with_exposed_provenance_mut(result as usize)) }, entry, frame);
    }
}

noted! {
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
    pthread_create pthread_create_for = c"pthread_create" => created;
}

/// accept(2) and accept4(2), which a stop must know of as well: see [`crate::waits`].
macro_rules! accepts {
    ($($name:ident $implementation:ident = $number:expr, $symbol:literal;)+) => {
        $(
            entry_point_of_six!(/// As the system call, noted.
                $name => $implementation);

            unsafe extern "C" fn $implementation(
                a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, frame: &CallerFrame,
            ) -> isize {
                next!(real: Six = $symbol);
                let Some(real) = real() else { return absent() };
                // SAFETY: the caller's arguments, passed on.
                let result = Call::untimed($number, a).inside(|| unsafe { real(a, b, c, d, e, f) });
                opened(result as c_int, $name as *const () as usize, frame);
                result
            }
        )+
    };
}

accepts! {
    accept accept_for = libc::SYS_accept, c"accept";
    accept4 accept4_for = libc::SYS_accept4, c"accept4";
}

/// As the system call.
#[unsafe(no_mangle)]
pub extern "C" fn close(fd: c_int) -> c_int {
    next!(real: unsafe extern "C" fn(c_int) -> c_int = c"close");
    let Some(real) = real() else { return absent() as c_int };
    // On Linux the descriptor is gone after an error as well, but for EBADF, when there was none (close(2)).
    // SAFETY: the caller's argument, passed on.
    gives_back(Kind::Descriptor, fd as usize, || unsafe { real(fd) } as isize, |_| false) as c_int
}

fn created(result: isize, [thread, attributes, ..]: [usize; 4], entry: usize, frame: &CallerFrame) {
    if result as c_int != 0 || !resources::are_kept(Kind::Thread) {
        return;
    }
    let mut state = libc::PTHREAD_CREATE_JOINABLE;
    next!(get_state: unsafe extern "C" fn(usize, *mut c_int) -> c_int = c"pthread_attr_getdetachstate");
    if attributes != 0
        && let Some(get_state) = get_state()
    {
        // SAFETY: the caller's attributes, which it has just used.
        unsafe { get_state(attributes, &mut state) };
    }
    if state == libc::PTHREAD_CREATE_JOINABLE {
        // SAFETY: the caller's variable, which the call has just set.
        let thread = unsafe { core::ptr::with_exposed_provenance::<usize>(thread).read_unaligned() };
        resources::add(Kind::Thread, thread, stack_of(entry, frame));
    }
}

/// Exports functions that wait for a thread.
macro_rules! joins {
    ($($name:ident($($argument:ident),*) = $symbol:literal;)+) => {
        $(
            /// As libc's.
            ///
            /// # Safety
            ///
            /// As in C.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(thread: usize $(, $argument: usize)*) -> c_int {
                next!(real: unsafe extern "C" fn(usize $(, replace!($argument usize))*) -> c_int = $symbol);
                let Some(real) = real() else { return libc::ENOSYS };
                // SAFETY: the caller's arguments, passed on.
                let join = || unsafe { real(thread $(, $argument)*) } as isize;
                gives_back(Kind::Thread, thread, join, |result| result as c_int != 0) as c_int
            }
        )+
    };
}

macro_rules! replace {
    ($argument:ident $with:ty) => {
        $with
    };
}

joins! {
    pthread_join(value) = c"pthread_join";
    pthread_tryjoin_np(value) = c"pthread_tryjoin_np";
    pthread_timedjoin_np(value, until) = c"pthread_timedjoin_np";
    pthread_clockjoin_np(value, clock, until) = c"pthread_clockjoin_np";
}

/// As libc's.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_detach(thread: usize) -> c_int {
    next!(real: unsafe extern "C" fn(usize) -> c_int = c"pthread_detach");
    let Some(real) = real() else { return libc::ENOSYS };
    if resources::are_kept(Kind::Thread) && resources::take(Kind::Thread, thread).is_none() {
        resources::returned_early(thread);
    }
    // SAFETY: the caller's argument, passed on. It can only fail for what is no thread that can be joined.
    unsafe { real(thread) }
}
