//! AArch64: AAPCS64 (release 2024Q3), ELF for the Arm 64-bit Architecture, Linux system call convention (syscall(2)).
//!
//! # Safety
//!
//! Each assembly block cites the clause that makes it sound. `svc #0` changes x0 alone; the thread pointer is `tpidr_el0`,
//! which every task may read (ELF TLS, variant I: it points to the control block, static TLS lies above).

mod core_file;
mod sleeping;
mod tracing;
pub mod unwinding;

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use super::plain::{first_changed_block, is_unchanged};
pub use core_file::*;
pub use sleeping::*;
pub use tracing::*;

/// Bytes below the stack pointer that code may use without moving it: none (AAPCS64, 6.4.5.1).
pub const RED_ZONE: usize = 0;

/// Addresses of user space are below this; larger ones are given only to mappings that ask
/// (Documentation/arch/arm64/memory.rst, "52-bit VA support").
pub const USER_END: usize = 1 << 48;

/// Static TLS lies above the thread pointer, and what the C library keeps of a thread below (ELF TLS ABI, variant I).
pub const TLS_BELOW: bool = false;

/// The page size, once asked for; 0 before.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// The size of a page of memory, in bytes: 4, 16 or 64 KiB, as the kernel was built.
#[inline(always)]
pub fn page_size() -> usize {
    match PAGE.load(Relaxed) {
        0 => ask_page_size(),
        size => size,
    }
}

/// Asks the kernel in a way that works in every phase: mprotect(2) of no bytes refuses an address that is not of a whole
/// page, and otherwise does nothing (mm/mprotect.c). The auxiliary vector would have to be found first.
#[cold]
fn ask_page_size() -> usize {
    const LARGEST: usize = 64 << 10;
    let is_whole = |address: usize| {
        // SAFETY: an empty range has no memory whose protection could change.
        unsafe { syscall6(libc::SYS_mprotect as usize, [address, 0, 0, 0, 0, 0]) == 0 }
    };
    let size = [4 << 10, 16 << 10].into_iter().find(|size| is_whole(*size)).unwrap_or(LARGEST);
    PAGE.store(size, Relaxed);
    size
}

/// A raw system call; the result register as it is.
///
/// # Safety
///
/// - The call and its arguments must be sound for the process: pointers valid for what the kernel does with them.
#[inline(always)]
pub unsafe fn syscall6(nr: usize, a: [usize; 6]) -> usize {
    let result;
    // SAFETY: syscall(2) names these registers; the kernel keeps all others (arch/arm64/kernel/entry.S). The caller
    // answers for the call itself.
    unsafe {
        asm!("svc #0", inlateout("x0") a[0] => result, in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4],
            in("x5") a[5], in("x8") nr, options(nostack));
    }
    result
}

/// sched_yield(2).
#[inline]
pub fn yield_now() {
    // SAFETY: sched_yield takes no argument and touches no memory.
    unsafe { syscall6(libc::SYS_sched_yield as usize, [0; 6]) };
}

/// The thread pointer: the address of the thread control block.
#[inline]
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register that user code may read.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem, preserves_flags, pure)) };
    pointer
}

/// The stack pointer of the caller's frame, near enough to bound what lies above it.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register. The function has a frame then, so that this lies below what was the caller's when it was
    // called: one without keeps its return address in x30 alone.
    unsafe { asm!("mov {}, sp", out(reg) pointer, out("x30") _, options(nostack, nomem, preserves_flags)) };
    pointer
}

/// Says that the branch it stands in is seldom taken and easily foretold: it stays a branch, and becomes no choice between
/// two values that are both worked out.
#[inline(always)]
pub fn rarely() {
    // SAFETY: no instruction.
    unsafe { asm!("", options(nomem, nostack, preserves_flags)) };
}

/// Starts to bring the cache line of an address in; harmless for any address (Arm ARM, C6.2, PRFM: a hint).
#[inline(always)]
pub fn prefetch(address: usize) {
    // SAFETY: a prefetch neither faults nor changes what the program can see.
    unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, readonly, preserves_flags)) };
}

/// A pointer without its tag: the processor ignores the top byte of an address, and programs may keep something there
/// (Documentation/arch/arm64/tagged-address-abi.rst).
#[inline(always)]
pub const fn untagged(word: usize) -> usize {
    word & (usize::MAX >> 8)
}

// The one thread-local of the runtime: a word that points to the thread's state (threads/current.rs). Stable Rust has
// no #[thread_local], so it is declared and addressed by hand with the initial-exec model: no TLS descriptor, whose
// resolver may allocate, and which a preloaded library does not need.
global_asm!(
    ".pushsection .tbss.standstill_thread,\"awT\",%nobits",
    ".p2align 3",
    ".hidden standstill_thread",
    ".globl standstill_thread",
    ".type standstill_thread,%object",
    ".size standstill_thread,8",
    "standstill_thread: .zero 8",
    ".popsection",
);

/// The address of the calling thread's word. It is zero in a new thread.
#[inline(always)]
pub fn thread_word() -> *mut usize {
    let word: *mut usize;
    // SAFETY: initial-exec access (ELF for the Arm 64-bit Architecture, "Thread-local storage"): offset from the GOT,
    // plus the thread pointer.
    unsafe {
        asm!("adrp {0}, :gottprel:standstill_thread", "ldr {0}, [{0}, :gottprel_lo12:standstill_thread]",
            "mrs {1}, tpidr_el0", "add {0}, {0}, {1}",
            out(reg) word, out(reg) _, options(pure, readonly, nostack, preserves_flags));
    }
    word
}

/// The address a signal handler returns to (`sa_restorer`): none, the kernel takes its vDSO's
/// (arch/arm64/kernel/signal.c, setup_return), which unwinders know.
pub fn signal_restorer() -> Option<usize> {
    None
}

// Copies words and survives a fault in the source: the handler of mem/read.rs sends the thread to where the table says.
//   x0: to, x1: from, x2: words  ->  x0: words copied before the first fault
global_asm!(
    ".pushsection .text.standstill_copy_words,\"ax\",%progbits",
    ".p2align 4",
    ".hidden standstill_copy_words",
    ".globl standstill_copy_words",
    ".type standstill_copy_words,%function",
    "standstill_copy_words:",
    "mov x3, xzr",
    "2:",
    "add x4, x3, #8",
    "cmp x4, x2",
    "b.hi 4f",
    "add x5, x1, x3, lsl #3",
    "add x6, x0, x3, lsl #3",
    // A fault in a block: its words are then tried one by one.
    "3:",
    "ldp q0, q1, [x5]",
    "ldp q2, q3, [x5, #32]",
    "stp q0, q1, [x6]",
    "stp q2, q3, [x6, #32]",
    "mov x3, x4",
    "b 2b",
    "4:",
    "cmp x3, x2",
    "b.hs 6f",
    "5:",
    "ldr x5, [x1, x3, lsl #3]",
    "str x5, [x0, x3, lsl #3]",
    "add x3, x3, #1",
    "b 4b",
    "6:",
    "mov x0, x3",
    "ret",
    ".size standstill_copy_words, . - standstill_copy_words",
    ".popsection",
    // Where a fault may happen, and where it goes on.
    ".pushsection .data.rel.ro.standstill_copy_faults,\"aw\",%progbits",
    ".p2align 3",
    ".hidden standstill_copy_faults",
    ".globl standstill_copy_faults",
    "standstill_copy_faults:",
    ".quad 3b, 3b + 8, 4b",
    ".quad 5b, 5b + 4, 6b",
    ".popsection",
);

unsafe extern "C" {
    fn standstill_copy_words(to: *mut usize, from: usize, words: usize) -> usize;
    static standstill_copy_faults: [[usize; 3]; 2];
}

/// Copies up to `words` words from an address that may be bad. Returns how many it got before the first fault, provided
/// that SIGSEGV and SIGBUS come to [`absorb_copy_fault`]; otherwise a fault is fatal.
///
/// # Safety
///
/// - `to` is valid for writes of `words` words. Nothing is asked of `from`.
#[inline]
pub unsafe fn copy_words(to: *mut usize, from: usize, words: usize) -> usize {
    // SAFETY: the routine writes at most `words` words to `to`; AAPCS64 calling convention.
    unsafe { standstill_copy_words(to, from, words) }
}

/// How many words from `from` on are certain not to lie in `low..low + span`: nothing is known without a look at each.
/// What a plain loop over a copy costs here was not measured against vectors.
#[inline]
pub fn skip_words(_from: usize, _words: usize, _low: usize, _span: usize) -> usize {
    0
}

/// There are no wider vectors to ask for.
pub fn widen() {}

/// Called by a handler of SIGSEGV and SIGBUS: if the fault happened in [`copy_words`], makes the thread go on behind
/// the copy and returns true.
pub fn absorb_copy_fault(context: &mut libc::ucontext_t) -> bool {
    let pc = &mut context.uc_mcontext.pc;
    // SAFETY: a read-only table of this object, relocated before any code of ours runs.
    let faults = unsafe { &standstill_copy_faults };
    for [start, end, resume] in faults {
        if (*start..*end).contains(&(*pc as usize)) {
            *pc = *resume as u64;
            return true;
        }
    }
    false
}

/// The registers that a call must keep (AAPCS64, 6.1), as the caller of one of our entry points had them, and where it
/// goes on. Entry points of the C ABI store this on the stack before anything else: it is the exact state from which
/// the unwinder starts, so that our own frames are never unwound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CallerFrame {
    /// The lower halves of v8 to v15.
    pub vectors: [u64; 8],
    /// x19 to x28.
    pub saved: [usize; 10],
    /// The caller's frame pointer, or whatever x29 holds. With the next word it is a frame record (6.4.6).
    pub frame_pointer: usize,
    /// Where the entry point returns to. Directly above it begins the caller's frame.
    pub return_address: usize,
}

impl CallerFrame {
    /// The caller's stack pointer after the return: the first byte above this record, which the entry point laid there.
    ///
    /// Only meaningful on the record that the entry point made, not on a copy of it.
    pub fn stack_pointer(&self) -> usize {
        core::ptr::from_ref(self).addr() + size_of::<CallerFrame>()
    }
}

static_assertions::const_assert_eq!(size_of::<CallerFrame>(), 160);

/// Stores a [`CallerFrame`] and lays a frame record; `sp` is a multiple of 16 before and after (AAPCS64, 6.4.5.1).
#[macro_export]
#[doc(hidden)]
macro_rules! push_caller_frame {
    () => {
        concat!(
            "sub sp, sp, #160\n.cfi_adjust_cfa_offset 160\n",
            "stp x29, x30, [sp, #144]\n.cfi_rel_offset x29, 144\n.cfi_rel_offset x30, 152\n",
            "stp x27, x28, [sp, #128]\n.cfi_rel_offset x27, 128\n.cfi_rel_offset x28, 136\n",
            "stp x25, x26, [sp, #112]\n.cfi_rel_offset x25, 112\n.cfi_rel_offset x26, 120\n",
            "stp x23, x24, [sp, #96]\n.cfi_rel_offset x23, 96\n.cfi_rel_offset x24, 104\n",
            "stp x21, x22, [sp, #80]\n.cfi_rel_offset x21, 80\n.cfi_rel_offset x22, 88\n",
            "stp x19, x20, [sp, #64]\n.cfi_rel_offset x19, 64\n.cfi_rel_offset x20, 72\n",
            "stp d14, d15, [sp, #48]\n.cfi_rel_offset d14, 48\n.cfi_rel_offset d15, 56\n",
            "stp d12, d13, [sp, #32]\n.cfi_rel_offset d12, 32\n.cfi_rel_offset d13, 40\n",
            "stp d10, d11, [sp, #16]\n.cfi_rel_offset d10, 16\n.cfi_rel_offset d11, 24\n",
            "stp d8, d9, [sp]\n.cfi_rel_offset d8, 0\n.cfi_rel_offset d9, 8\n",
            "add x29, sp, #144\n",
        )
    };
}

/// Takes the frame back: only the stack is unwound, since the code in between has kept the other registers.
#[macro_export]
#[doc(hidden)]
macro_rules! pop_caller_frame {
    () => {
        concat!(
            "ldp x29, x30, [sp, #144]\nadd sp, sp, #160\n.cfi_adjust_cfa_offset -160\n",
            // What was below is overwritten by the next signal.
            ".cfi_restore x19\n.cfi_restore x20\n.cfi_restore x21\n.cfi_restore x22\n.cfi_restore x23\n.cfi_restore x24\n",
            ".cfi_restore x25\n.cfi_restore x26\n.cfi_restore x27\n.cfi_restore x28\n.cfi_restore x29\n.cfi_restore x30\n",
            ".cfi_restore d8\n.cfi_restore d9\n.cfi_restore d10\n.cfi_restore d11\n",
            ".cfi_restore d12\n.cfi_restore d13\n.cfi_restore d14\n.cfi_restore d15\n",
        )
    };
}

/// Defines an exported entry point of the C ABI that hands its implementation the caller's registers:
/// `entry_point!(malloc, implementation)` exports `malloc`, which calls
/// `implementation(argument 0, argument 1, argument 2, &CallerFrame)` with up to three arguments and returns its result.
/// With `local` before the name it is not exported.
#[macro_export]
macro_rules! entry_point {
    ($(#[$doc:meta])* $name:ident => $implementation:path) => {
        $crate::entry_point!($(#[$doc])* #[unsafe(no_mangle)] local $name => $implementation);
    };
    ($(#[$attribute:meta])* local $name:ident => $implementation:path) => {
        $(#[$attribute])*
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                $crate::push_caller_frame!(),
                // The fourth argument.
                "mov x3, sp",
                "bl {implementation}",
                $crate::pop_caller_frame!(),
                "ret",
                ".cfi_endproc",
                implementation = sym $implementation,
            )
        }
    };
}

/// Defines an exported entry point of one argument or two with a short way: `$quickly(arguments, &CallerFrame)` gives the
/// result, or null, and then `$otherwise`, an entry point itself, is gone on in as if it had been called in the first place.
#[macro_export]
macro_rules! quick_entry_point {
    ($(#[$doc:meta])* $name:ident(a) => $quickly:path, else $otherwise:path) => {
        $crate::quick_entry_point!($(#[$doc])* $name => $quickly, $otherwise, {
            "mov x2, x0\nmov x1, sp\nstp x2, xzr, [sp, #-16]!\n.cfi_adjust_cfa_offset 16",
        });
    };
    ($(#[$doc:meta])* $name:ident(a, b) => $quickly:path, else $otherwise:path) => {
        $crate::quick_entry_point!($(#[$doc])* $name => $quickly, $otherwise, {
            "mov x2, sp\nstp x0, x1, [sp, #-16]!\n.cfi_adjust_cfa_offset 16",
        });
    };
    ($(#[$doc:meta])* $name:ident => $quickly:path, $otherwise:path, { $save:literal, }) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                $crate::push_caller_frame!(),
                $save,
                "bl {quickly}",
                "mov x9, x0",
                "ldp x0, x1, [sp], #16", ".cfi_adjust_cfa_offset -16",
                $crate::pop_caller_frame!(),
                "cbz x9, 2f",
                "mov x0, x9",
                "ret",
                "2:",
                "b {otherwise}",
                ".cfi_endproc",
                quickly = sym $quickly,
                otherwise = sym $otherwise,
            )
        }
    };
}

/// As [`entry_point`](crate::entry_point), for functions of up to six arguments; the frame is the seventh. Where `$target`
/// (an `AtomicUsize`) holds an address, the function jumps there and does nothing else.
#[macro_export]
macro_rules! entry_point_of_six {
    ($(#[$attribute:meta])* $name:ident => $implementation:path, or jumps to $target:path) => {
        $(#[$attribute])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "adrp x16, {target}",
                "ldr x16, [x16, :lo12:{target}]",
                "cbz x16, 2f",
                "br x16",
                "2:",
                $crate::push_caller_frame!(),
                "mov x6, sp",
                "bl {implementation}",
                $crate::pop_caller_frame!(),
                "ret",
                ".cfi_endproc",
                implementation = sym $implementation,
                target = sym $target,
            )
        }
    };
}
