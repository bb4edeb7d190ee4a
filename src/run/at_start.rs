//! What this process was started with, read before Rust's runtime changes it.
//!
//! Rust's `main` is called after SIGPIPE has been ignored (std's runtime), and nothing tells afterwards what it did
//! before. A program that we start must get it as we got it, or `standstill run -- yes | head` ends another way than
//! `yes | head`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use signal_hook::consts::SIGPIPE;
use standstill_runtime::sys::signals;

/// SIG_IGN in the kernel's structure (asm-generic/signal-defs.h).
pub const IGNORED: usize = 1;

static AT_START: AtomicUsize = AtomicUsize::new(0);

extern "C" fn record() {
    AT_START.store(signals::action(SIGPIPE).map_or(0, |action| action.handler), Relaxed);
}

// SAFETY of the section: the loader calls each word of `.init_array` as a function without needed arguments before main
// (System V gABI, "Initialization and Termination Functions"); the function makes one raw system call and one store.
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

/// SIG_DFL or SIG_IGN, whichever SIGPIPE had when this process was started.
pub fn sigpipe() -> usize {
    AT_START.load(Relaxed)
}
