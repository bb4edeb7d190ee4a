//! What this process was started with, read before Rust's runtime changes it.
//!
//! Rust's `main` is called after SIGPIPE has been ignored (std's runtime), and nothing tells afterwards what it did
//! before. A program that we start must get it as we got it, or `standstill run -- yes | head` ends another way than
//! `yes | head`. Before main it also opens /dev/null for each standard descriptor that is closed.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::io::{FdFlags, fcntl_setfd};
use signal_hook::consts::SIGPIPE;
use standstill_runtime::sys::{file, signals};

/// SIG_IGN in the kernel's structure (asm-generic/signal-defs.h).
pub const IGNORED: usize = 1;

static AT_START: AtomicUsize = AtomicUsize::new(0);
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

extern "C" fn record() {
    AT_START.store(signals::action(SIGPIPE).map_or(0, |action| action.handler), Relaxed);
    for (number, closed) in CLOSED.iter().enumerate() {
        closed.store(!file::is_open(number as i32), Relaxed);
    }
}

// SAFETY of the section: the loader calls each word of `.init_array` as a function without needed arguments before main
// (System V gABI, "Initialization and Termination Functions"); the function makes raw system calls and stores.
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

/// SIG_DFL or SIG_IGN, whichever SIGPIPE had when this process was started.
pub fn sigpipe() -> usize {
    AT_START.load(Relaxed)
}

/// Standard descriptors that were closed are closed in the program that is started next, too.
pub fn pass_on_closed() {
    let [stdin, stdout, stderr] = [0, 1, 2].map(|number| CLOSED[number].load(Relaxed));
    // Whoever has closed them meanwhile has done it for us.
    if stdin {
        let _ = fcntl_setfd(io::stdin(), FdFlags::CLOEXEC);
    }
    if stdout {
        let _ = fcntl_setfd(io::stdout(), FdFlags::CLOEXEC);
    }
    if stderr {
        let _ = fcntl_setfd(io::stderr(), FdFlags::CLOEXEC);
    }
}
