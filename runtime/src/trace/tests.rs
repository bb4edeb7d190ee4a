//! Stacks of every shape, built by C, C++ and assembly, against libgcc's unwinder; and each step by rule against the
//! same step interpreted.

use std::cell::RefCell;
use std::ffi::{CString, c_void};
use std::process::Command;
use std::sync::OnceLock;

use crate::arch::CallerFrame;
use crate::arch::unwinding::{CALLEE_SAVED, STACK_POINTER};

use super::eh_frame::{self, Interpreted};
use super::*;

unsafe extern "C" {
    fn _dl_find_object(pc: usize, result: *mut find_object::DlFindObject) -> i32;
    fn _Unwind_Backtrace(
        each: unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32,
        argument: *mut c_void,
    ) -> i32;
    fn _Unwind_GetIPInfo(context: *mut c_void, before: *mut i32) -> usize;
}

/// One call of the hook: what we say, what libgcc says.
struct Seen {
    ours: Vec<usize>,
    theirs: Vec<usize>,
}

thread_local! {
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
    static TRACE: RefCell<ThreadTrace> = const { RefCell::new(ThreadTrace::new()) };
}

crate::entry_point!(standstill_trace_test_hook => on_hook);

extern "C" fn on_hook(_: usize, _: usize, _: usize, caller: &CallerFrame) {
    unsafe extern "C" fn each(context: *mut c_void, list: *mut c_void) -> i32 {
        let mut before = 0;
        // SAFETY: called by _Unwind_Backtrace with its context and the pointer that was passed.
        unsafe {
            let ip = _Unwind_GetIPInfo(context, &mut before);
            let list = &mut *list.cast::<Vec<usize>>();
            if ip != 0 {
                list.push(ip.wrapping_sub(usize::from(before == 0)));
            }
        }
        0
    }
    let mut theirs: Vec<usize> = vec![];
    // SAFETY: `each` has the callback's type.
    unsafe { _Unwind_Backtrace(each, (&raw mut theirs).cast()) };
    // Their list begins in this function; ours begins with the hook's caller.
    let start = theirs.iter().position(|pc| *pc == caller.return_address - 1).unwrap_or(theirs.len());
    theirs.drain(..start);
    TRACE.with_borrow_mut(|trace| {
        check_each_step(trace, caller);
        let mut frames = [0; MAX_DEPTH];
        let len = walk_only(trace, caller, 1, &mut frames);
        SEEN.with_borrow_mut(|seen| seen.push(Seen { ours: frames[1..len].to_vec(), theirs }));
        let id = capture(trace, caller, 1, 1);
        let mut kept = [0; MAX_DEPTH];
        let kept_len = super::frames(id, &mut kept);
        assert_eq!(kept[..kept_len], frames[..len.min(DEFAULT_DEPTH)]);
        assert_eq!(id, capture(trace, caller, 1, 1));
    });
}

/// A step by the cached rule leads to the same state as the interpreted row.
fn check_each_step(trace: &mut ThreadTrace, caller: &CallerFrame) {
    let mut log = [Logged::NONE; LONGEST];
    let stack = Stack::of_caller(&mut trace.own, caller.stack_pointer());
    let mut walker = Walker::new(caller, stack, &mut log, &mut trace.statistics);
    for _ in 0..MAX_DEPTH {
        let before = walker.state().unwrap();
        let mut other_own = OwnStack::new();
        let mut other = Stack::of_caller(&mut other_own, before.sp());
        let step = walker.step();
        let interpreted = eh_frame::interpret(&before, &mut other);
        match step {
            Step::Rule => {
                let expected = match interpreted {
                    Ok(Interpreted::Frame(expected)) => expected,
                    // By frame pointer.
                    Err(eh_frame::Missing::NoInformation) => continue,
                    _ => panic!("{before:x?}"),
                };
                let after = walker.state().unwrap();
                assert_eq!((after.pc, after.interrupted), (expected.pc, expected.interrupted));
                for register in CALLEE_SAVED.into_iter().chain([STACK_POINTER]) {
                    assert_eq!(after.registers[register], expected.registers[register], "{before:x?}");
                }
            }
            Step::Other => {}
            Step::Outermost | Step::NoFramePointer | Step::Stuck => {
                assert!(!matches!(interpreted, Ok(Interpreted::Frame(_))), "{before:x?}");
                break;
            }
        }
    }
}

crate::entry_point!(standstill_trace_test_capture => on_capture);

/// A hook that only captures, as malloc does.
extern "C" fn on_capture(_: usize, _: usize, _: usize, caller: &CallerFrame) {
    TRACE.with_borrow_mut(|trace| {
        capture(trace, caller, 1, 1);
    });
}

pub struct Library(*mut c_void);
// SAFETY: a handle of dlopen may be used by any thread.
unsafe impl Sync for Library {}
// SAFETY: as above.
unsafe impl Send for Library {}

impl Library {
    /// Compiles a text with a compiler and options, and loads it.
    pub fn build(name: &str, compiler: &str, text: &str, options: &[&str]) -> Library {
        let base = std::env::temp_dir().join(format!("standstill-trace-{}-{name}", std::process::id()));
        let source = base.with_extension(if compiler.contains("++") { "cc" } else { "c" });
        let library = base.with_extension("so");
        std::fs::write(&source, text).unwrap();
        let mut run = Command::new(compiler);
        run.args(options).args(["-w", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let status = run.status();
        let _ = std::fs::remove_file(&source);
        assert!(status.unwrap().success(), "{compiler} cannot compile the test programs");
        let path = CString::new(library.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: loads a library of ours, whose constructors do nothing.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        let _ = std::fs::remove_file(&library);
        assert!(!handle.is_null());
        modules_changed();
        Library(handle)
    }

    /// A function of the library, as type `F`.
    pub fn get<F: Copy>(&self, name: &str) -> F {
        let name = CString::new(name).unwrap();
        // SAFETY: the handle is open.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null() && size_of::<F>() == size_of::<usize>());
        // SAFETY: every use names the type that the C text gives the function.
        unsafe { std::mem::transmute_copy(&symbol) }
    }
}

/// The C programs, once for each way of compiling them.
fn libraries() -> &'static [Library] {
    static LIBRARIES: OnceLock<Vec<Library>> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        find_object::set(Some(_dl_find_object));
        let text = include_str!("tests/programs.c");
        let ways: [&[&str]; 4] = [
            &["-O2", "-fomit-frame-pointer", "-Wl,-z,lazy"],
            &["-O0", "-Wl,-z,lazy"],
            &["-O3", "-fomit-frame-pointer", "-mavx2", "-Wl,-z,lazy", "-Wl,-z,noseparate-code"],
            &["-Os", "-fcf-protection=full", "-fstack-clash-protection", "-Wl,-z,lazy"],
        ];
        let numbered = ways.iter().enumerate();
        let built = numbered.map(|(n, way)| Library::build(&format!("c{n}"), "gcc", text, way));
        built
            .inspect(|library| {
                library.get::<extern "C" fn(unsafe extern "C" fn())>("set_hook")(standstill_trace_test_hook)
            })
            .collect()
    })
}

type Plain = extern "C" fn();

/// Runs a scenario in each library on a thread of its own, and compares every stack seen. `exact`: both lists are equal
/// to the end; otherwise only ours must contain all of theirs up to where theirs ends.
fn scenario(stacks: usize, at_least: usize, run: impl Fn(&Library) + Sync) {
    for library in libraries() {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(4 << 20);
            let seen = thread
                .spawn_scoped(scope, || {
                    run(library);
                    SEEN.with_borrow_mut(std::mem::take)
                })
                .unwrap()
                .join()
                .unwrap();
            assert_eq!(seen.len(), stacks);
            assert!(seen.iter().any(|one| one.theirs.len() >= at_least));
            for one in seen {
                assert!(one.theirs.len() > 2, "the reference saw nothing");
                let same = one.ours.iter().zip(&one.theirs).take_while(|(a, b)| a == b).count();
                assert!(
                    one.ours == one.theirs || (same == MAX_DEPTH - 1),
                    "first {same} frames agree\nours   {:x?}\ntheirs {:x?}",
                    one.ours,
                    one.theirs
                );
            }
        });
    }
}

#[test]
fn recursion_without_frame_pointers() {
    scenario(3, 200, |library| {
        for depth in [0, 25, 1000] {
            library.get::<extern "C" fn(i32) -> i32>("recurse")(depth);
        }
    });
}

#[test]
fn all_callee_saved_registers_in_use() {
    type Busy = extern "C" fn(i64, i64, i64, i64, i64, i64, i32) -> i64;
    scenario(11, 13, |library| {
        library.get::<Busy>("busy")(1, 2, 3, 4, 5, 6, 10);
    });
}

#[test]
fn callbacks_of_qsort() {
    let sorted = |library: &Library| library.get::<Plain>("sort")();
    scenario(5, 4, sorted);
}

#[test]
fn frames_of_variable_and_aligned_and_large_size() {
    scenario(7, 4, |library| {
        for bytes in [1, 100, 5000] {
            library.get::<extern "C" fn(i32)>("variable")(bytes);
            library.get::<extern "C" fn(i32)>("aligned")(bytes);
        }
        library.get::<Plain>("large")();
    });
}

static SIGNALS: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn signal_handlers() {
    let _one = SIGNALS.lock();
    scenario(3, 6, |library| {
        library.get::<extern "C" fn(i32)>("raised")(0);
        library.get::<extern "C" fn(i32, i32)>("faults")(0, 0);
        library.get::<extern "C" fn(i32, i32)>("faults")(0, 1);
    });
}

#[test]
fn signal_handlers_on_an_alternate_stack() {
    let _one = SIGNALS.lock();
    scenario(2, 6, |library| {
        library.get::<Plain>("raised_on_altstack")();
        library.get::<Plain>("faults_on_altstack")();
    });
}

#[test]
fn contexts_and_fresh_stacks() {
    scenario(3, 100, |library| {
        let mut room = vec![0u8; 1 << 16];
        let context = library.get::<extern "C" fn(*mut u8, usize, i32)>("context");
        context(room.as_mut_ptr(), room.len(), 3);
        context(room.as_mut_ptr(), room.len(), 100);
        let top = (room.as_mut_ptr().addr() + room.len()) & !15;
        library.get::<extern "C" fn(usize)>("fresh")(top);
    });
}

#[test]
fn below_the_resolver_of_lazy_binding() {
    // Once for each library in a process: afterwards the call is bound.
    static FIRST: std::sync::Once = std::sync::Once::new();
    FIRST.call_once(|| {
        scenario(1, 6, |library| assert_eq!(library.get::<extern "C" fn() -> i32>("lazy")(), 6));
    });
}

#[test]
fn assembly_without_unwind_information() {
    for library in libraries() {
        library.get::<Plain>("through_bare_framed")();
        library.get::<Plain>("through_bare")();
        let seen = SEEN.with_borrow_mut(std::mem::take);
        assert_eq!(seen.len(), 2);
        // The frame pointer leads through the function, to its caller and on to the end of the stack.
        let framed = library.get::<usize>("bare_framed");
        let caller = library.get::<usize>("through_bare_framed");
        let ours = &seen[0].ours;
        let at = ours.iter().position(|pc| (framed..framed + 16).contains(pc)).expect("the bare frame");
        assert!((caller..caller + 64).contains(&ours[at + 1]), "{ours:x?}");
        assert!(ours.len() > at + 4, "{ours:x?}");
        // Without one nothing is promised but the frames up to there, and that the walk ends.
        let bare = library.get::<usize>("bare");
        let ours = &seen[1].ours;
        assert!(ours.iter().any(|pc| (bare..bare + 16).contains(pc)), "{ours:x?}");
    }
}

#[test]
fn exceptions_in_flight() {
    find_object::set(Some(_dl_find_object));
    let text = include_str!("tests/programs.cc");
    let library = Library::build("cc", "g++", text, &["-O2", "-fomit-frame-pointer"]);
    library.get::<extern "C" fn(unsafe extern "C" fn())>("set_hook_cc")(standstill_trace_test_hook);
    let number = library.get::<extern "C-unwind" fn() -> i32>("exceptions")();
    assert_eq!(number, 5);
    let seen = SEEN.with_borrow_mut(std::mem::take);
    assert_eq!(seen.len(), 6);
    for one in seen {
        assert_eq!(one.ours, one.theirs);
    }
}

#[test]
fn replayed_stacks_are_the_walked_ones() {
    let _one = VERIFYING.lock();
    REPLAY.store(Mode::Verify as u8, Relaxed);
    let mut all = Statistics::new();
    for library in libraries() {
        let set_hook = library.get::<extern "C" fn(unsafe extern "C" fn())>("set_hook_here");
        let wandering = library.get::<extern "C" fn(u64, i32, i32)>("wandering");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..4)
                .map(|seed| {
                    scope.spawn(move || {
                        set_hook(standstill_trace_test_capture);
                        // Shallow and often, so that stacks come again; and deeper than what is kept.
                        wandering(seed, 6, 300);
                        wandering(seed, 40, 3);
                        wandering(seed, 20, 30);
                        TRACE.with_borrow_mut(|trace| {
                            let statistics = trace.statistics();
                            trace.release();
                            statistics
                        })
                    })
                })
                .collect();
            for thread in threads {
                all.add(&thread.join().unwrap());
            }
        });
    }
    REPLAY.store(Mode::Use as u8, Relaxed);
    println!("{all:?}");
    assert_eq!(all.differences, 0, "{all:?}");
    assert!(
        all.captures > 10_000 && all.whole_hits() > all.captures / 20 && all.joined > all.captures / 10,
        "{all:?}"
    );
}

static VERIFYING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// How many bytes of stack a cold capture needs, on a stack that was painted before.
#[test]
fn the_slow_path_is_shallow() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    static SP: AtomicUsize = AtomicUsize::new(0);
    crate::entry_point!(standstill_trace_test_painted => on_painted);
    extern "C" fn on_painted(_: usize, _: usize, _: usize, caller: &CallerFrame) {
        let mut trace = ThreadTrace::new();
        SP.store(caller.stack_pointer(), SeqCst);
        modules_changed();
        capture(&mut trace, caller, 1, 1);
    }
    let library = &libraries()[0];
    let mut room = vec![0x5au8; 1 << 16];
    library.get::<extern "C" fn(unsafe extern "C" fn())>("set_hook_here")(standstill_trace_test_painted);
    library.get::<extern "C" fn(*mut u8, usize, i32)>("context")(room.as_mut_ptr(), room.len(), 3);
    let untouched = room.iter().take_while(|byte| **byte == 0x5a).count();
    let used = SP.load(SeqCst) - (room.as_ptr().addr() + untouched);
    println!("a cold capture used {used} bytes of stack");
    // Without optimisation frames are larger by far; the bound is for the code that is shipped.
    assert!(used < if cfg!(debug_assertions) { 20480 } else { 10240 }, "{used}");
}
