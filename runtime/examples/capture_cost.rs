//! What a stack costs, in nanoseconds a capture: `cargo run --release -p standstill-runtime --example capture_cost`.
//!
//! For each depth of the stack: replayed whole; by turns from several callers below a common stack (joined when it is
//! the first time, else whole); walked by cached rules; and without any cache, which is what a new program counter
//! costs. The best of several rounds is printed.

use std::cell::RefCell;
use std::hint::black_box;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::trace::{self, Mode, Setup, StackId, ThreadTrace, find_object};

unsafe extern "C" {
    fn _dl_find_object(pc: usize, result: *mut find_object::DlFindObject) -> i32;
}

thread_local! {
    static TRACE: RefCell<ThreadTrace> = const { RefCell::new(ThreadTrace::new()) };
}

standstill_runtime::entry_point!(
    /// Captures the stack of its caller.
    standstill_bench_capture => on_capture);

static mut CURRENT: *mut ThreadTrace = std::ptr::null_mut();

extern "C" fn on_capture(_: usize, _: usize, _: usize, caller: &CallerFrame) -> u32 {
    // SAFETY: one thread, which set the pointer and holds no other reference.
    let StackId(id) =
        trace::capture(unsafe { &mut *CURRENT }, caller, standstill_bench_capture as *const () as usize, 1);
    id
}

fn hook() {
    // SAFETY: a function of this file, that keeps all registers that a call keeps.
    unsafe { standstill_bench_capture() };
}

#[inline(never)]
fn recurse(depth: usize, leaf: &mut dyn FnMut()) -> usize {
    if depth == 0 {
        leaf();
        return black_box(1);
    }
    // Not the last thing it does, so that it stays a call.
    black_box(recurse(black_box(depth - 1), leaf)) + 1
}

fn best(mut round: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..9).map(|_| round()).collect();
    all.sort_by(f64::total_cmp);
    all[0]
}

/// CPU time, since other programs run as well.
fn timed(times: usize, mut what: impl FnMut(usize)) -> f64 {
    let now = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let start = now();
    for n in 0..times {
        what(n);
    }
    (now() - start) / times as f64
}

fn setup(depth: usize, replay: Mode) {
    trace::init(&Setup {
        depth,
        find_object: Some(_dl_find_object),
        program_headers: 0,
        main_stack_top: 0,
        depot_bytes: 1 << 30,
        replay,
        stack_every: 0,
    });
    // SAFETY: as above.
    unsafe { (*CURRENT).release() };
    for _ in 0..200 {
        hook();
    }
}

fn main() {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    thread.spawn(run).unwrap().join().unwrap();
}

fn run() {
    TRACE.with_borrow_mut(|trace| {
        // SAFETY: the only thread that uses it; the borrow lasts through the run.
        unsafe { CURRENT = trace };
        println!(
            "{:>6} {:>10} {:>10} {:>12} {:>10} {:>10}",
            "depth", "replayed", "by turns", "joined", "by rules", "cold"
        );
        for depth in [5, 30, 100] {
            let kept = depth.max(30);
            let calls = depth - 3;
            setup(kept, Mode::Use);

            let mut whole = 0.0;
            recurse(calls, &mut || whole = best(|| timed(100_000, |_| hook())));
            let mut turns = 0.0;
            recurse(calls - 2, &mut || {
                turns = best(|| {
                    timed(100_000, |n| {
                        recurse(n % 2, &mut hook);
                    })
                })
            });
            let mut joined = 0.0;
            recurse(calls - 2, &mut || {
                // Each has a leaf of its own: a stack pointer that does not come again soon.
                joined = best(|| timed(20_000, |n| with_room(n % 4000, &mut hook)))
            });
            setup(kept, Mode::Off);
            let mut rules = 0.0;
            recurse(calls, &mut || rules = best(|| timed(100_000, |_| hook())));
            let mut cold = 0.0;
            recurse(calls, &mut || {
                cold = best(|| {
                    timed(100, |_| {
                        trace::modules_changed();
                        hook();
                    })
                }) - best(|| timed(100, |_| trace::modules_changed()));
            });
            println!("{depth:>6} {whole:>10.1} {turns:>10.1} {joined:>12.1} {rules:>10.1} {cold:>10.1}");
        }
        println!("{:?}", trace.statistics());
        println!("stacks, bytes: {:?}", trace::depot::size());
    });
}

/// Calls with the stack pointer moved down by 16 bytes for each of `steps`.
#[inline(never)]
fn with_room(steps: usize, leaf: &mut dyn FnMut()) {
    #[inline(never)]
    fn four_kib(steps: usize, leaf: &mut dyn FnMut()) {
        let room = black_box([0u8; 64]);
        with_room(steps, leaf);
        black_box(room);
    }
    match steps {
        0..8 => leaf(),
        _ => four_kib(steps / 8, leaf),
    }
    black_box(steps);
}
