//! The process as a whole: threads that end, fork, exit.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::check::{self, Occasion};
use standstill_runtime::harvest::{uncarried, user_regions};
use standstill_runtime::stop::exec;
use standstill_runtime::sys::process::exit_group;
use standstill_runtime::sys::{invoke::syscall, task};
use standstill_runtime::{entry_point, init, report, threads, trace};

use crate::start::is_musl;
use crate::weak::weak;

unsafe extern "C" {
    fn pthread_key_create(key: *mut u32, destructor: extern "C" fn(*mut c_void)) -> c_int;
    fn pthread_setspecific(key: u32, value: *const c_void) -> c_int;
    fn __cxa_atexit(handler: unsafe extern "C" fn(), argument: *mut c_void, dso: *mut c_void) -> c_int;
    fn exit(status: c_int) -> !;
}

// Before libc on the linker's command line, by its place in this crate.
#[link(name = "standstill_atfork", kind = "static")]
unsafe extern "C" {
    /// In the shared library that of atfork.c.
    fn pthread_atfork(prepare: ForkHandler, parent: ForkHandler, child: ForkHandler) -> c_int;
}

type ForkHandler = extern "C" fn();

/// The thread-specific key whose destructor tells of a thread's end.
static KEY: AtomicU32 = AtomicU32::new(0);
static HAS_KEY: AtomicBool = AtomicBool::new(false);

pub(crate) fn start() {
    exec::start();
    let mut key = 0;
    // SAFETY: pthread_key_create(3) with a destructor of the type it wants.
    if unsafe { pthread_key_create(&raw mut key, thread_ends) } == 0 {
        KEY.store(key, Relaxed);
        HAS_KEY.store(true, Release);
        threads::on_first_use(watch_thread);
    }
    // SAFETY: pthread_atfork(3).
    unsafe { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) };
    check::set_exit_function(exit as *const () as usize);
    if is_musl() {
        ENDS_BY_DESTRUCTOR.store(true, Relaxed);
        return;
    }
    // Registered first, so it runs last: after the program's handlers and all destructors of its libraries.
    // SAFETY: the Itanium C++ ABI's function; a null object means "at exit, not at dlclose".
    unsafe { __cxa_atexit(standstill_at_exit, core::ptr::null_mut(), core::ptr::null_mut()) };
}

/// Whether the check at exit is made by [`FINI`]: musl runs the destructors of libraries after all handlers of exit. It
/// constructs what is preloaded first and destroys it last; a program it destroys before its libraries.
static ENDS_BY_DESTRUCTOR: AtomicBool = AtomicBool::new(false);

// Of the destructors of one module the one with the lowest number runs last (GNU ld, SORT_BY_INIT_PRIORITY).
#[used]
#[unsafe(link_section = ".fini_array.00000")]
static FINI: unsafe extern "C" fn() = destructor;

entry_point!(local destructor => at_destruction);

unsafe extern "C" fn at_destruction(_: usize, _: usize, _: usize, frame: &CallerFrame) {
    if ENDS_BY_DESTRUCTOR.load(Relaxed) {
        // SAFETY: this frame is the caller's.
        unsafe { at_exit(0, 0, 0, frame) };
    }
}

/// On each thread that uses the runtime for the first time.
fn watch_thread() {
    if HAS_KEY.load(Acquire) {
        // SAFETY: the key was created. The value only has to differ from null for the destructor to run; it counts the
        // rounds. glibc keeps low keys in the thread's own block: no allocation (nptl, pthread_setspecific.c).
        unsafe { pthread_setspecific(KEY.load(Relaxed), core::ptr::without_provenance(1)) };
    }
}

/// Rounds in which libc calls destructors again as long as values are set (PTHREAD_DESTRUCTOR_ITERATIONS, limits.h).
const ROUNDS: usize = 4;

/// Runs as late as a destructor can: in the last round, since other destructors allocate and free.
extern "C" fn thread_ends(value: *mut c_void) {
    let round = value.addr();
    if round < ROUNDS {
        // SAFETY: as in `watch_thread`.
        unsafe { pthread_setspecific(KEY.load(Relaxed), core::ptr::without_provenance(round + 1)) };
    } else {
        threads::leaving();
    }
}

// Handlers of fork run on the forking thread, ours innermost: prepare handlers run in reverse order of registration,
// and ours was registered first (pthread_atfork(3)).
extern "C" fn before_fork() {
    check::before_fork();
    user_regions::before_fork();
}

extern "C" fn after_fork_in_parent() {
    user_regions::after_fork();
    check::after_fork();
}

extern "C" fn after_fork_in_child() {
    threads::after_fork_in_child();
    trace::after_fork_in_child();
    exec::start();
    threads::resources::after_fork_in_child();
    threads::mappings::after_fork_in_child();
    user_regions::after_fork();
    check::after_fork();
}

entry_point!(/// The handler of the process' end.
    standstill_at_exit => at_exit);

static EXITING: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn at_exit(_: usize, _: usize, _: usize, frame: &CallerFrame) {
    // `exit` below runs the handlers that are left: this one is not, but a program may register it again by forking.
    if init::options().verbosity >= 1 || init::options().verify_stacks {
        print_figures();
    }
    if EXITING.swap(true, AcqRel) {
        return;
    }
    report::say_what_was_left_out();
    if !init::options().leak_check_at_exit {
        return;
    }
    if let Some(status) = check::run(&Occasion::Exit, frame).exit_status() {
        end(status);
    }
}

/// Ends the process with `status`, its buffered output written: with glibc not by fflush, which waits for a thread that
/// reads stdin, but by exit(3) once more, which goes on where it was. musl since 1.2.6 crashes when a handler calls exit,
/// and its own end waits for such a thread too.
pub(crate) fn end(status: c_int) -> ! {
    if ENDS_BY_DESTRUCTOR.load(Relaxed) {
        write_streams();
        exit_group(status);
    }
    // SAFETY: exit from an exit handler is undefined in ISO C and defined by glibc: the handlers that are left run,
    // streams are written, and the new status counts.
    unsafe { exit(status) }
}

weak!(/// How musl's exit ends its streams. In a static program that has any; not to be seen in a dynamic one.
    end_streams: unsafe extern "C" fn() = "__stdio_exit");
weak!(/// fflush(3).
    fflush: unsafe extern "C" fn(*mut c_void) -> c_int = "fflush");
weak!(/// stdin(3).
    standard_input: *const *mut c_void = "stdin");

/// As musl's exit does it: what is written goes out, and what was read ahead of standard input is there for others.
fn write_streams() {
    if let Some(end) = end_streams() {
        // SAFETY: takes nothing; the process ends after it, as it does in exit (musl, src/exit/exit.c).
        return unsafe { end() };
    }
    let Some(fflush) = fflush() else { return };
    // SAFETY: libc's variable holds its stream from the start.
    let input = standard_input().map_or(core::ptr::null_mut(), |input| unsafe { *input });
    // SAFETY: fflush(3) with a stream, or with none for all that were written to.
    unsafe {
        fflush(input);
        fflush(core::ptr::null_mut());
    }
}

/// What call stacks have cost, in all threads.
#[cold]
#[inline(never)]
fn print_figures() {
    let mut all = trace::Statistics::new();
    threads::for_each(&mut |thread| all.add(&thread.trace.statistics()));
    let (stacks, bytes) = trace::depot::size();
    report::say(format_args!(
        "{} allocations, {} call stacks: {} replayed whole, {} joined, {} frames walked, {} unwinder steps, \
         {} interpreted, {} on other stacks, {} stuck, {} not remembered, {} not kept, {} differences; {stacks} distinct \
         in {} KiB",
        all.captures,
        all.taken(),
        all.whole_hits(),
        all.joined,
        all.walked,
        all.unwinder_steps,
        all.interpreted,
        all.foreign,
        all.stuck,
        all.unremembered,
        all.dropped,
        all.differences,
        bytes >> 10,
    ));
}

/// sigaltstack(2), noted: only the kernel holds the address of a stack for signals, and it tells no other thread.
///
/// # Safety
///
/// As in C: `new` and `old` are null or point to a `stack_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaltstack(new: *const libc::stack_t, old: *mut libc::stack_t) -> c_int {
    let arguments = [new.expose_provenance(), old.expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the caller's duty, passed on.
    match unsafe { syscall(libc::SYS_sigaltstack, arguments) } {
        Ok(_) => {
            if !new.is_null() {
                let start = task::alternate_stack().map_or(0, |stack| stack.start.get());
                threads::with(|thread| thread.alternate_stack = start);
            }
            0
        }
        Err(errno) => {
            crate::malloc::set_errno(errno.get());
            -1
        }
    }
}

/// madvise(2), noted: what is marked is missing in a forked copy, and only /proc/self/smaps tells, which is costly to read.
///
/// # Safety
///
/// As in C: memory that `advice` drops is needed by nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn madvise(start: *mut c_void, len: usize, advice: c_int) -> c_int {
    if matches!(advice, libc::MADV_DONTFORK | libc::MADV_WIPEONFORK) {
        uncarried::note_advice();
    }
    let arguments = [start.expose_provenance(), len, advice as usize, 0, 0, 0];
    // SAFETY: the caller's duty, passed on.
    match unsafe { syscall(libc::SYS_madvise, arguments) } {
        Ok(_) => 0,
        Err(errno) => {
            crate::malloc::set_errno(errno.get());
            -1
        }
    }
}
