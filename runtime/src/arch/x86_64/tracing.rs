//! What stopping the world needs of the CPU: the registers of a traced thread, a task on a stack of its own.
//!
//! # Safety
//!
//! The clone sequence cites clone(2): the child begins behind the same instruction with the new stack pointer and all
//! other registers as they were, except the result.

use core::arch::{asm, global_asm};
use core::sync::atomic::AtomicUsize;

use super::CallerFrame;

/// Words in [`Registers`].
pub const GENERAL_REGISTERS: usize = 27;

/// The general registers of a thread in the order of `struct user_regs_struct` (sys/user.h), which is also that of the
/// register set NT_PRSTATUS of ptrace(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Registers(pub [usize; GENERAL_REGISTERS]);

/// The register sets that fill [`Registers`]: the set's number (include/uapi/linux/elf.h), the first word, how many. The
/// first, NT_PRSTATUS, is the one that is written back.
pub const REGISTER_SETS: [(usize, usize, usize); 1] = [(1, 0, GENERAL_REGISTERS)];

/// The register sets that make the extended state, one after the other: NT_X86_XSTATE.
pub const EXTENDED_SETS: &[usize] = &[0x202];

/// A function call keeps some of the extended state (psABI 3.2.1: none).
pub const CALLS_KEEP_EXTENDED: bool = false;

/// A stopped thread's call that would fail with EINTR is started again by the kernel when the tracer stores
/// -ERESTARTNOHAND as its result.
pub const KERNEL_DECIDES_RESTART: bool = true;

/// epoll_wait(2), which newer CPUs' tables of calls lack.
pub const SYS_EPOLL_WAIT: libc::c_long = libc::SYS_epoll_wait;
/// See above.
pub const SYS_POLL: libc::c_long = libc::SYS_poll;
/// See above.
pub const SYS_PAUSE: libc::c_long = libc::SYS_pause;
/// vfork(2), likewise.
pub const SYS_VFORK: libc::c_long = libc::SYS_vfork;
/// io_pgetevents(2), which the libc crate lacks.
pub const SYS_IO_PGETEVENTS: libc::c_long = 333;

const R15: usize = 0;
const R14: usize = 1;
const R13: usize = 2;
const R12: usize = 3;
const RBP: usize = 4;
const RBX: usize = 5;
const R10: usize = 7;
const R9: usize = 8;
const R8: usize = 9;
const RAX: usize = 10;
const RCX: usize = 11;
const RDX: usize = 12;
const RSI: usize = 13;
const RDI: usize = 14;
const ORIG_RAX: usize = 15;
const RIP: usize = 16;
const CS: usize = 17;
const RSP: usize = 19;
const FS_BASE: usize = 21;
const GS_BASE: usize = 22;

/// Where a system call takes its arguments from (psABI A.2.1).
const ARGUMENTS: [usize; 6] = [RDI, RSI, RDX, R10, R8, R9];

/// Which words of [`Registers`] a function call keeps (psABI 3.2.1), for whoever tells live registers of a blocked
/// thread from left-overs; the base of gs, which programs use as a pointer of their own, is kept by all code. The stack pointer is not among them.
pub const KEPT_BY_CALLS: [usize; 7] = [RBX, RBP, R12, R13, R14, R15, GS_BASE];

/// Which words of [`Registers`] can hold a pointer of the program: all but flags, segments and the call's number.
pub const MAY_HOLD_POINTERS: [usize; 16] =
    [R15, R14, R13, R12, RBP, RBX, 6, R10, R9, R8, RAX, 11, RDX, RSI, RDI, GS_BASE];

impl Registers {
    /// All zero: nothing known.
    pub const NONE: Registers = Registers([0; GENERAL_REGISTERS]);

    /// The general registers in the order in which DWARF numbers them (psABI AMD64 1.0, figure 3.36).
    pub fn by_dwarf_number(&self) -> [usize; super::unwinding::REGISTERS] {
        const RCX: usize = 11;
        const ORDER: [usize; super::unwinding::REGISTERS] =
            [RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, 6, R12, R13, R14, R15];
        ORDER.map(|index| self.0[index])
    }

    /// The registers that a task kept over its call of us; the others are zero.
    pub fn of_caller(frame: &CallerFrame, stack_pointer: usize, thread_pointer: usize) -> Registers {
        let mut words = [0; GENERAL_REGISTERS];
        words[R15] = frame.r15;
        words[R14] = frame.r14;
        words[R13] = frame.r13;
        words[R12] = frame.r12;
        words[RBP] = frame.rbp;
        words[RBX] = frame.rbx;
        words[ORIG_RAX] = usize::MAX;
        words[RIP] = frame.return_address;
        words[RSP] = stack_pointer;
        words[FS_BASE] = thread_pointer;
        Registers(words)
    }

    /// What `/proc/PID/task/TID/syscall` tells of a thread inside a system call (proc(5)).
    pub fn of_system_call(
        number: usize,
        arguments: [usize; 6],
        stack_pointer: usize,
        pc: usize,
        thread_pointer: usize,
    ) -> Registers {
        let mut words = [0; GENERAL_REGISTERS];
        words[ORIG_RAX] = number;
        for (at, argument) in ARGUMENTS.into_iter().zip(arguments) {
            words[at] = argument;
        }
        words[RIP] = pc;
        words[RSP] = stack_pointer;
        words[FS_BASE] = thread_pointer;
        Registers(words)
    }

    /// rsp.
    pub fn stack_pointer(&self) -> usize {
        self.0[RSP]
    }

    /// rip.
    pub fn pc(&self) -> usize {
        self.0[RIP]
    }

    /// The base of fs.
    pub fn thread_pointer(&self) -> usize {
        self.0[FS_BASE]
    }

    /// The number of the system call in which the thread is, if in one. The kernel keeps a negative number in
    /// orig_rax otherwise (arch/x86/entry).
    pub fn system_call(&self) -> Option<usize> {
        usize::try_from(self.0[ORIG_RAX] as isize).ok()
    }

    /// The result register of the system call.
    pub fn result(&self) -> isize {
        self.0[RAX] as isize
    }

    /// With what of the extended state calls keep: nothing (psABI 3.2.1).
    pub fn with_extended(self, _state: &[u64]) -> Registers {
        self
    }

    /// True when the thread stands behind the instruction that made this call.
    pub fn is_at_call(&self, pc: usize, stack_pointer: usize) -> bool {
        self.0[RSP] == stack_pointer && self.0[RIP] == pc
    }

    /// True when the thread stands before the instruction that made call `number`, set back by the kernel to make it again.
    /// For a thread in a signal handler.
    pub fn stands_before_call(&self, number: usize, pc: usize, stack_pointer: usize) -> bool {
        let is_there = self.0[RIP].wrapping_add(INSTRUCTION) == pc && self.0[RSP] == stack_pointer;
        is_there && self.result() as usize == number
    }

    /// Has the kernel decide whether the call starts again. Only the result changes: the kernel has the first argument.
    pub fn restart_system_call(&mut self, _first_argument: usize) {
        /// -ERESTARTNOHAND (include/linux/errno.h), never seen by programs.
        const RESTART_UNLESS_HANDLER: isize = -514;
        self.0[RAX] = RESTART_UNLESS_HANDLER as usize;
    }

    /// An argument of the system call, counted from 0.
    pub fn argument(&self, index: usize) -> usize {
        self.0[ARGUMENTS[index]]
    }

    /// Replaces an argument of the system call, for when it is made again.
    pub fn set_argument(&mut self, index: usize, value: usize) {
        self.0[ARGUMENTS[index]] = value;
    }

    /// Has another call in the place of the one that is made again.
    pub fn set_call(&mut self, number: usize) {
        self.0[ORIG_RAX] = number;
    }

    /// True when the thread may stand right behind a system call of this number: the instruction leaves its own address in
    /// rcx (Intel SDM vol. 2, SYSCALL). For a thread in a signal handler, whose context does not tell the number.
    pub fn may_have_made(&self, _number: usize) -> bool {
        self.0[RCX] == self.0[RIP]
    }

    /// True when the thread runs 64-bit code. System calls made from 32-bit code have other numbers.
    pub fn is_native(&self) -> bool {
        const USER_CS: usize = 0x33;
        self.0[CS] == USER_CS
    }
}

/// Makes a task by clone(2) with `flags`, which runs `entry(argument)` on the stack that ends at `stack_top`. Returns
/// the raw result in the calling task.
///
/// `cleared` is the word that CLONE_CHILD_CLEARTID names.
///
/// # Safety
///
/// - `flags` hold neither CLONE_SETTLS nor CLONE_PARENT_SETTID.
/// - `stack_top` is a multiple of 16 and the end of memory that nobody else uses as long as the task lives.
/// - With CLONE_VM `entry` uses no thread-local storage: it has the caller's.
#[inline(never)]
pub unsafe fn clone_task(
    flags: usize,
    stack_top: usize,
    cleared: usize,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> usize {
    let result;
    // SAFETY: clone(2) with a raw system call: rdi flags, rsi stack, rdx and r8 unused, r10 the word to clear. The child
    // has nothing above its stack pointer, so it leaves by a call that never returns; r12 and r13 survive the system
    // call (psABI A.2.1). At a call rsp is a multiple of 16 (psABI 3.2.2).
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as usize => result,
            in("rdi") flags, in("rsi") stack_top, in("rdx") 0usize, in("r10") cleared, in("r8") 0usize,
            in("r12") argument, in("r13") entry, lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Calls `function(argument)` on the stack that ends at `stack_top`, and comes back. Unwinders find the caller through rbp.
///
/// # Safety
///
/// - `stack_top` is a multiple of 16 and the end of memory large enough for the call, which nobody else uses.
#[unsafe(naked)]
pub unsafe extern "C" fn call_on_stack(stack_top: usize, function: extern "C" fn(usize), argument: usize) {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        // leave: rsp from rbp, which the function has kept (psABI 3.2.1).
        "leave",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// The thread pointer of any task: `arch_prctl(ARCH_GET_FS)`, since a task without one (0) cannot read it.
pub fn any_thread_pointer() -> usize {
    const ARCH_GET_FS: usize = 0x1003;
    let mut pointer = 0usize;
    let at = core::ptr::from_mut(&mut pointer).addr();
    // SAFETY: the kernel writes one word, which we hold exclusively.
    unsafe { super::syscall6(libc::SYS_arch_prctl as usize, [ARCH_GET_FS, at, 0, 0, 0, 0]) };
    pointer
}

/// What a signal handler finds in the context of the code that it interrupted.
#[derive(Clone, Copy)]
pub struct InterruptedContext {
    /// The general registers; the number of a system call is not among them.
    pub registers: Registers,
    /// Where the extended state lies in the signal's frame, in the layout of XSAVE, and its bytes.
    pub extended: (usize, usize),
    /// The signals that the code blocked.
    pub blocked: u64,
}

impl InterruptedContext {
    /// Reads it.
    pub fn of(context: &libc::ucontext_t, thread_pointer: usize) -> InterruptedContext {
        let from = |index: i32| context.uc_mcontext.gregs[index as usize] as usize;
        let mut words = [0; GENERAL_REGISTERS];
        for (to, index) in [
            (R15, libc::REG_R15),
            (R14, libc::REG_R14),
            (R13, libc::REG_R13),
            (R12, libc::REG_R12),
            (RBP, libc::REG_RBP),
            (RBX, libc::REG_RBX),
            (6, libc::REG_R11),
            (R10, libc::REG_R10),
            (R9, libc::REG_R9),
            (R8, libc::REG_R8),
            (RAX, libc::REG_RAX),
            (11, libc::REG_RCX),
            (RDX, libc::REG_RDX),
            (RSI, libc::REG_RSI),
            (RDI, libc::REG_RDI),
            (RIP, libc::REG_RIP),
            (RSP, libc::REG_RSP),
        ] {
            words[to] = from(index);
        }
        words[ORIG_RAX] = usize::MAX;
        words[CS] = from(libc::REG_CSGSFS) & 0xffff;
        words[FS_BASE] = thread_pointer;
        // SAFETY: the kernel's set of 64 signals is the first word of libc's larger one.
        let blocked = unsafe { core::ptr::from_ref(&context.uc_sigmask).cast::<u64>().read() };
        InterruptedContext { registers: Registers(words), extended: extended_state(context), blocked }
    }
}

/// The extended state of a signal frame. Software bytes at the end of the legacy area say how long it is
/// (arch/x86/include/uapi/asm/sigcontext.h, struct _fpx_sw_bytes).
fn extended_state(context: &libc::ucontext_t) -> (usize, usize) {
    const LEGACY: usize = 512;
    const MAGIC_AT: usize = 464;
    const SIZE_AT: usize = 480;
    const MAGIC: u32 = 0x4650_5853;
    let start = context.uc_mcontext.fpregs;
    if start.is_null() {
        return (0, 0);
    }
    // SAFETY: the kernel laid at least the legacy area of 512 bytes there (sigreturn(2)), on the stack of this handler.
    let word = |at: usize| unsafe { start.cast::<u8>().add(at).cast::<u32>().read_unaligned() };
    (start.addr(), if word(MAGIC_AT) == MAGIC { word(SIZE_AT) as usize } else { LEGACY })
}

// A word for each thread: the call of ours that it is inside (stop/call.rs), or 0. Declared and addressed as the word of
// the thread's state is: initial-exec, so that it lies at one distance from every thread's pointer.
global_asm!(
    ".pushsection .tbss.standstill_call,\"awT\",@nobits",
    ".p2align 3",
    ".hidden standstill_call",
    ".globl standstill_call",
    ".type standstill_call,@object",
    ".size standstill_call,8",
    "standstill_call: .zero 8",
    ".popsection",
);

/// The distance of the word from the thread pointer, the same in all threads (ELF TLS ABI, 4.2: variant II, initial-exec).
#[inline(always)]
pub fn call_word_offset() -> usize {
    let offset;
    // SAFETY: a load from the global offset table.
    unsafe {
        asm!("mov {0}, qword ptr [rip + standstill_call@GOTTPOFF]", out(reg) offset,
            options(pure, readonly, nostack, preserves_flags));
    }
    offset
}

/// The calling thread's word.
#[inline(always)]
pub fn call_word() -> &'static AtomicUsize {
    // SAFETY: the word lies in the static TLS of the calling thread, which lives as long as it runs.
    unsafe { &*core::ptr::with_exposed_provenance(super::thread_pointer().wrapping_add(call_word_offset())) }
}

/// Makes interrupted code that stands behind a system call instruction make call `number`, with the arguments in
/// `registers`.
pub fn repeat_system_call(
    context: &mut libc::ucontext_t,
    number: usize,
    registers: &Registers,
    _first_argument: usize,
) {
    use libc::{REG_R8, REG_R9, REG_R10, REG_RDI, REG_RDX, REG_RSI};
    for (at, index) in [REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9].into_iter().zip(ARGUMENTS) {
        context.uc_mcontext.gregs[at as usize] = registers.0[index] as i64;
    }
    context.uc_mcontext.gregs[libc::REG_RAX as usize] = number as i64;
    context.uc_mcontext.gregs[libc::REG_RIP as usize] -= INSTRUCTION as i64;
}

/// Has the call of interrupted code that stands before its instruction, to make it again, fail with EINTR.
pub fn fail_system_call(context: &mut libc::ucontext_t) {
    context.uc_mcontext.gregs[libc::REG_RAX as usize] = -i64::from(libc::EINTR);
    context.uc_mcontext.gregs[libc::REG_RIP as usize] += INSTRUCTION as i64;
}

/// Bytes of the instruction that makes a system call.
const INSTRUCTION: usize = 2;

impl Registers {
    /// With the number of the system call that the thread is inside.
    pub fn in_system_call(mut self, number: usize) -> Registers {
        self.0[ORIG_RAX] = number;
        self
    }
}

#[cfg(test)]
impl Registers {
    /// With this result of the system call.
    pub(crate) fn with_result(mut self, result: isize) -> Registers {
        self.0[RAX] = result as usize;
        self
    }

    /// Of a thread that stands behind a system call with this result.
    pub(crate) fn behind_call(number: isize, result: isize) -> Registers {
        let mut registers = Registers::NONE;
        registers.0[RAX] = result as usize;
        registers.0[ORIG_RAX] = number as usize;
        registers.0[CS] = 0x33;
        registers
    }

    /// True when these are `before` but for what makes the call again: its result says so, and nothing else.
    pub(crate) fn makes_call_again(&self, before: &Registers, _first_argument: usize) -> bool {
        let mut expected = *before;
        expected.0[RAX] = -514isize as usize;
        *self == expected
    }

    /// True for a thread that was mended and has not run since.
    pub(crate) fn is_mended(&self) -> bool {
        self.result() == -514
    }

    /// True for a thread that stands before the instruction that makes its call again: the kernel has put the call's number
    /// where it belongs (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
    pub(crate) fn begins_call_again(&self, _first_argument: usize) -> bool {
        self.system_call() == Some(self.result() as usize)
    }

    /// True for a thread whose call the kernel starts again: it has a result that no program sees, or begins already.
    pub(crate) fn restarts(&self, first_argument: usize) -> bool {
        (-516..=-512).contains(&self.result()) || self.begins_call_again(first_argument)
    }
}

/// Spins for some tens of milliseconds with one mark in a general register and one in a vector.
#[cfg(test)]
pub(crate) fn spin_with_marks(general: u64, vector: u64) {
    // SAFETY: changes registers that it names.
    unsafe {
        asm!("movq xmm7, {vector}", "2:", "pause", "dec rcx", "jnz 2b", vector = in(reg) vector,
            inout("rcx") 1u64 << 20 => _, in("r15") general, out("xmm7") _, options(nostack, nomem));
    }
}

/// Stores `hidden ^ key`, which is in no register afterwards.
///
/// # Safety
///
/// - `to` is valid for a write.
#[cfg(test)]
#[inline(always)]
pub(crate) unsafe fn store_revealed(to: *mut usize, hidden: usize, key: usize) {
    // SAFETY: the caller's duty.
    unsafe {
        asm!("xor {w}, {k}", "mov [{to}], {w}", "xor {w}, {w}",
            w = inout(reg) hidden => _, k = in(reg) key, to = in(reg) to)
    };
}
