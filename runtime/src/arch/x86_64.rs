//! x86-64: System V psABI (AMD64 supplement 1.0), Linux system call convention (syscall(2)).
//!
//! # Safety
//!
//! Each assembly block cites the clause of the ABI that makes it sound. `syscall` clobbers rcx and r11 and keeps all
//! other registers (psABI A.2.1); the thread pointer is the address in `fs`, whose first word holds that same address
//! (ELF TLS ABI, variant II).

mod compare;
mod core_file;
mod skip;
mod sleeping;
mod tracing;
pub mod unwinding;

use core::arch::{asm, global_asm};

pub use compare::{first_changed_block, is_unchanged};
pub use core_file::*;
pub use skip::*;
pub use sleeping::*;
pub use tracing::*;

/// Bytes below the stack pointer that a leaf function may use without moving it (psABI 3.2.2). They are live also in a
/// thread that is blocked in a system call: an inlined `syscall` does not move the stack pointer either.
pub const RED_ZONE: usize = 128;

/// The size of a page of memory, in bytes. The kernel has only this one on this CPU.
#[inline(always)]
pub const fn page_size() -> usize {
    4096
}

/// Addresses of user space are below this (canonical lower half; 5-level paging is used only by mappings that ask).
pub const USER_END: usize = 1 << 47;

/// Static TLS lies below the thread pointer, which is the control block's address (ELF TLS ABI, variant II).
pub const TLS_BELOW: bool = true;

/// A raw system call; the result register as it is.
///
/// # Safety
///
/// - The call and its arguments must be sound for the process: pointers valid for what the kernel does with them.
#[inline(always)]
pub unsafe fn syscall6(nr: usize, a: [usize; 6]) -> usize {
    let result;
    // SAFETY: psABI A.2.1 names these registers and clobbers; the caller answers for the call itself.
    unsafe {
        asm!("syscall", inlateout("rax") nr => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
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
    // SAFETY: every thread of a process with TLS has fs:0 = its own thread pointer (ELF TLS ABI, variant II).
    unsafe { asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags, pure)) };
    pointer
}

/// The stack pointer of the caller's frame, near enough to bound what lies above it.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nostack, nomem, preserves_flags)) };
    pointer
}

/// Says that the branch it stands in is seldom taken and easily foretold: it stays a branch, and becomes no choice between
/// two values that are both worked out.
#[inline(always)]
pub fn rarely() {
    // SAFETY: no instruction.
    unsafe { asm!("", options(nomem, nostack, preserves_flags)) };
}

/// Starts to bring the cache line of an address in; harmless for any address (Intel SDM vol. 2, PREFETCHh: no fault).
#[inline(always)]
pub fn prefetch(address: usize) {
    // SAFETY: a prefetch neither faults nor changes what the program can see.
    unsafe { asm!("prefetcht0 [{}]", in(reg) address, options(nostack, readonly, preserves_flags)) };
}

/// A pointer without its tag: none is ignored by the processor.
#[inline(always)]
pub const fn untagged(word: usize) -> usize {
    word
}

// The one thread-local of the runtime: a word that points to the thread's state (threads/current.rs). Stable Rust has
// no #[thread_local], so it is declared and addressed by hand with the initial-exec model: no call to __tls_get_addr,
// which may allocate, and which a preloaded library does not need.
global_asm!(
    ".pushsection .tbss.standstill_thread,\"awT\",@nobits",
    ".p2align 3",
    ".hidden standstill_thread",
    ".globl standstill_thread",
    ".type standstill_thread,@object",
    ".size standstill_thread,8",
    "standstill_thread: .zero 8",
    ".popsection",
);

/// The address of the calling thread's word. It is zero in a new thread.
#[inline(always)]
pub fn thread_word() -> *mut usize {
    let word: *mut usize;
    // SAFETY: initial-exec access (ELF TLS ABI, 4.2): offset from the GOT, plus the thread pointer at fs:0.
    unsafe {
        asm!("mov {0}, qword ptr [rip + standstill_thread@GOTTPOFF]", "add {0}, qword ptr fs:[0]",
            out(reg) word, options(pure, readonly, nostack));
    }
    word
}

global_asm!(
    ".pushsection .text.standstill_signal_restorer,\"ax\",@progbits",
    // The kernel pushed this address as the handler's return address; the frame above it is for rt_sigreturn
    // (arch/x86/kernel/signal_64.c). gdb and unwinders know these two instructions as a signal frame.
    ".hidden standstill_signal_restorer",
    ".globl standstill_signal_restorer",
    ".type standstill_signal_restorer,@function",
    "standstill_signal_restorer:",
    "mov rax, 15",
    "syscall",
    ".size standstill_signal_restorer, . - standstill_signal_restorer",
    ".popsection",
);

/// The address a signal handler returns to (`sa_restorer`), if the kernel wants one.
pub fn signal_restorer() -> Option<usize> {
    let address;
    // SAFETY: takes the address of a symbol of this object.
    unsafe { asm!("lea {}, [rip + standstill_signal_restorer]", out(reg) address, options(nostack, nomem)) };
    Some(address)
}

// Copies words and survives a fault in the source: the handler of mem/read.rs sends the thread to `..._fault`, which
// returns the count so far.
//   rdi: to, rsi: from, rdx: words  ->  rax: words copied before the first fault
global_asm!(
    ".pushsection .text.standstill_copy_words,\"ax\",@progbits",
    ".p2align 4",
    ".hidden standstill_copy_words",
    ".globl standstill_copy_words",
    ".type standstill_copy_words,@function",
    "standstill_copy_words:",
    "xor eax, eax",
    "test rdx, rdx",
    "jz 3f",
    "cmp rdx, 64",
    "jae 4f",
    "2:",
    "mov rcx, qword ptr [rsi + rax*8]",
    "mov qword ptr [rdi + rax*8], rcx",
    "inc rax",
    "cmp rax, rdx",
    "jb 2b",
    "3:",
    "ret",
    // From 512 bytes on the string move is the fastest way on every CPU of the last decade; rcx counts what is left,
    // also after a fault (Intel SDM vol. 2, REP).
    "4:",
    "mov rcx, rdx",
    "rep movsq",
    "5:",
    "mov rax, rdx",
    "sub rax, rcx",
    "ret",
    ".size standstill_copy_words, . - standstill_copy_words",
    ".popsection",
    // Where a fault may happen, and where it goes on.
    ".pushsection .data.rel.ro.standstill_copy_faults,\"aw\",@progbits",
    ".p2align 3",
    ".hidden standstill_copy_faults",
    ".globl standstill_copy_faults",
    "standstill_copy_faults:",
    ".quad 2b, 3b, 3b",
    ".quad 4b, 5b, 5b",
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
    // SAFETY: the routine writes at most `words` words to `to`; psABI calling convention.
    unsafe { standstill_copy_words(to, from, words) }
}

/// Called by a handler of SIGSEGV and SIGBUS: if the fault happened in [`copy_words`] or [`skip_words`], makes the thread
/// go on behind the copy or the look and returns true.
pub fn absorb_copy_fault(context: &mut libc::ucontext_t) -> bool {
    let Some(pc) = context.uc_mcontext.gregs.get_mut(libc::REG_RIP as usize) else { return false };
    // SAFETY: a read-only table of this object, relocated before any code of ours runs.
    let copies = unsafe { standstill_copy_faults };
    for [start, end, resume] in copies.into_iter().chain(faults()) {
        if (start..end).contains(&(*pc as usize)) {
            *pc = resume as i64;
            return true;
        }
    }
    false
}

/// The registers that a call must keep (psABI 3.2.1), as the caller of one of our entry points had them, and where it
/// goes on. Entry points of the C ABI store this on the stack before anything else: it is the exact state from which
/// the unwinder starts, so that our own frames are never unwound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CallerFrame {
    /// The caller's frame pointer, or whatever rbp holds.
    pub rbp: usize,
    /// Callee-saved.
    pub rbx: usize,
    /// Callee-saved.
    pub r12: usize,
    /// Callee-saved.
    pub r13: usize,
    /// Callee-saved.
    pub r14: usize,
    /// Callee-saved.
    pub r15: usize,
    /// Where the entry point returns to. Directly above it begins the caller's frame.
    pub return_address: usize,
}

impl CallerFrame {
    /// The caller's stack pointer after the return: the first byte above this record, which the entry point laid with
    /// its last word in the slot of the return address.
    ///
    /// Only meaningful on the record that the entry point made, not on a copy of it.
    pub fn stack_pointer(&self) -> usize {
        core::ptr::from_ref(self).addr() + size_of::<CallerFrame>()
    }
}

/// Assembly that stores what a [`CallerFrame`] holds below the return address, with its call frame information.
#[doc(hidden)]
#[macro_export]
macro_rules! push_caller_frame {
    () => {
        concat!(
            "push r15\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset r15, 0\n",
            "push r14\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset r14, 0\n",
            "push r13\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset r13, 0\n",
            "push r12\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset r12, 0\n",
            "push rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset rbx, 0\n",
            "push rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset rbp, 0\n",
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
                // The fourth argument. Alignment: at entry rsp is 8 modulo 16 (psABI 3.2.2), and six words keep it so.
                "mov rcx, rsp",
                "sub rsp, 8", ".cfi_adjust_cfa_offset 8",
                "call {implementation}",
                // Only the stack is unwound: the implementation has kept the six registers.
                "add rsp, 56", ".cfi_adjust_cfa_offset -56",
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
        // At entry rsp is 8 modulo 16 (psABI 3.2.2), and seven words make it 0.
        $crate::quick_entry_point!($(#[$doc])* $name => $quickly, $otherwise, {
            "mov rsi, rsp\npush rdi\n.cfi_adjust_cfa_offset 8",
            "pop rdi\n.cfi_adjust_cfa_offset -8",
        });
    };
    ($(#[$doc:meta])* $name:ident(a, b) => $quickly:path, else $otherwise:path) => {
        $crate::quick_entry_point!($(#[$doc])* $name => $quickly, $otherwise, {
            "mov rdx, rsp\npush rdi\n.cfi_adjust_cfa_offset 8\npush rsi\n.cfi_adjust_cfa_offset 8\nsub rsp, 8\n.cfi_adjust_cfa_offset 8",
            "add rsp, 8\n.cfi_adjust_cfa_offset -8\npop rsi\n.cfi_adjust_cfa_offset -8\npop rdi\n.cfi_adjust_cfa_offset -8",
        });
    };
    ($(#[$doc:meta])* $name:ident => $quickly:path, $otherwise:path, { $save:literal, $restore:literal, }) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                $crate::push_caller_frame!(),
                $save,
                "call {quickly}",
                $restore,
                // Only the stack is unwound: what was called has kept the six registers.
                "add rsp, 48", ".cfi_adjust_cfa_offset -48",
                "test rax, rax",
                "jz {otherwise}",
                "ret",
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
                // No argument is in r11, nor how many vector registers hold some (psABI 3.2.3).
                "mov r11, qword ptr [rip + {target}]",
                "test r11, r11",
                "jz 2f",
                "jmp r11",
                "2:",
                $crate::push_caller_frame!(),
                // The seventh argument is the first on the stack, which is aligned with it (psABI 3.2.2, 3.2.3).
                "mov rax, rsp",
                "push rax", ".cfi_adjust_cfa_offset 8",
                "call {implementation}",
                "add rsp, 56", ".cfi_adjust_cfa_offset -56",
                "ret",
                ".cfi_endproc",
                implementation = sym $implementation,
                target = sym $target,
            )
        }
    };
}
