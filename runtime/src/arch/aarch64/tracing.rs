//! What stopping the world needs of the CPU: the registers of a traced thread, a task on a stack of its own.
//!
//! The kernel forgets that a thread is in a system call before it stops it (arch/arm64/kernel/signal.c, do_signal), so
//! the number of the call is no register here: it is what /proc told before, see [`Registers::in_system_call`].
//!
//! # Safety
//!
//! The clone sequence cites clone(2): the child begins behind the same instruction with the new stack pointer and all
//! other registers as they were, except the result.

use core::arch::{asm, global_asm};
use core::sync::atomic::AtomicUsize;

use super::CallerFrame;

/// Words in [`Registers`].
pub const GENERAL_REGISTERS: usize = 44;

/// The general registers of a thread: x0 to x30, sp, pc, pstate in the order of `struct user_pt_regs`, which is the
/// register set NT_PRSTATUS of ptrace(2); the thread pointer; the number of the system call it is in, plus one; the lower
/// halves of v8 to v15, which calls keep (AAPCS64, 6.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Registers(pub [usize; GENERAL_REGISTERS]);

const X8: usize = 8;
const X19: usize = 19;
const X29: usize = 29;
const SP: usize = 31;
const PC: usize = 32;
const PSTATE: usize = 33;
const THREAD_POINTER: usize = 34;
const SYSTEM_CALL: usize = 35;
const D8: usize = 36;

/// The register sets that fill [`Registers`]: the set's number (include/uapi/linux/elf.h), the first word, how many. The
/// first, NT_PRSTATUS, is the one that is written back; then NT_ARM_TLS.
pub const REGISTER_SETS: [(usize, usize, usize); 2] = [(1, 0, 34), (0x401, THREAD_POINTER, 1)];

/// The register sets that make the extended state, one after the other: NT_PRFPREG, and NT_ARM_SVE where the CPU has it.
pub const EXTENDED_SETS: &[usize] = &[2, 0x405];

/// A function call keeps some of the extended state (AAPCS64 6.1.2: the low halves of v8 to v15).
pub const CALLS_KEEP_EXTENDED: bool = true;

/// A stopped thread's call that would fail with EINTR is not started again by the kernel whatever the tracer stores as its
/// result: do_signal has read that before the stop.
pub const KERNEL_DECIDES_RESTART: bool = false;

/// epoll_wait(2) and vfork(2) are not in this CPU's table of calls, where no call has this number.
pub const SYS_EPOLL_WAIT: libc::c_long = -1;
/// See above: the C library makes ppoll(2) of it.
pub const SYS_POLL: libc::c_long = -2;
/// See above: the C library makes ppoll(2) of it.
pub const SYS_PAUSE: libc::c_long = -3;
/// See above.
pub const SYS_VFORK: libc::c_long = -1;
/// io_pgetevents(2), which the libc crate lacks.
pub const SYS_IO_PGETEVENTS: libc::c_long = 292;

/// Which words of [`Registers`] a function call keeps (AAPCS64, 6.1), for whoever tells live registers of a blocked
/// thread from left-overs. The stack pointer is not among them.
pub const KEPT_BY_CALLS: [usize; 19] =
    [19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, D8, D8 + 1, D8 + 2, D8 + 3, D8 + 4, D8 + 5, D8 + 6, D8 + 7];

/// Which words of [`Registers`] can hold a pointer of the program: all but sp, pc, flags, the thread pointer and the call.
pub const MAY_HOLD_POINTERS: [usize; 39] = {
    let mut words = [0; 39];
    let mut at = 0;
    while at < 31 {
        words[at] = at;
        at += 1;
    }
    while at < 39 {
        words[at] = D8 + at - 31;
        at += 1;
    }
    words
};

impl Registers {
    /// All zero: nothing known.
    pub const NONE: Registers = Registers([0; GENERAL_REGISTERS]);

    /// The registers that a task kept over its call of us; the others are zero.
    pub fn of_caller(frame: &CallerFrame, stack_pointer: usize, thread_pointer: usize) -> Registers {
        let mut words = [0; GENERAL_REGISTERS];
        for (word, saved) in words[X19..X29].iter_mut().zip(frame.saved) {
            *word = saved;
        }
        for (word, saved) in words[D8..].iter_mut().zip(frame.vectors) {
            *word = saved as usize;
        }
        words[X29] = frame.frame_pointer;
        words[PC] = frame.return_address;
        words[SP] = stack_pointer;
        words[THREAD_POINTER] = thread_pointer;
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
        for (word, argument) in words.iter_mut().zip(arguments) {
            *word = argument;
        }
        words[X8] = number;
        words[PC] = pc;
        words[SP] = stack_pointer;
        words[THREAD_POINTER] = thread_pointer;
        Registers(words).in_system_call(number)
    }

    /// With the number of the system call that the thread is inside.
    pub fn in_system_call(mut self, number: usize) -> Registers {
        self.0[SYSTEM_CALL] = number.wrapping_add(1);
        self
    }

    /// With what of the extended state calls keep.
    pub fn with_extended(mut self, state: &[u64]) -> Registers {
        // `struct user_fpsimd_state` begins with the vectors, 16 bytes each (arch/arm64/include/uapi/asm/ptrace.h).
        for register in 8..16 {
            if let Some(word) = state.get(register * 2) {
                self.0[D8 + register - 8] = *word as usize;
            }
        }
        self
    }

    /// The general registers in the order in which DWARF numbers them: x0 to x30, sp.
    pub fn by_dwarf_number(&self) -> [usize; super::unwinding::REGISTERS] {
        core::array::from_fn(|index| self.0[index])
    }

    /// sp.
    pub fn stack_pointer(&self) -> usize {
        self.0[SP]
    }

    /// pc.
    pub fn pc(&self) -> usize {
        self.0[PC]
    }

    /// tpidr_el0.
    pub fn thread_pointer(&self) -> usize {
        self.0[THREAD_POINTER]
    }

    /// The number of the system call in which the thread is, if in one, as far as it was told
    /// ([`Registers::in_system_call`]).
    pub fn system_call(&self) -> Option<usize> {
        self.0[SYSTEM_CALL].checked_sub(1)
    }

    /// The result register of the system call.
    pub fn result(&self) -> isize {
        self.0[0] as isize
    }

    /// True when the thread stands at, or behind, the instruction that made this call.
    pub fn is_at_call(&self, pc: usize, stack_pointer: usize) -> bool {
        self.0[SP] == stack_pointer && (self.0[PC] == pc || self.0[PC].wrapping_add(INSTRUCTION) == pc)
    }

    /// True when the thread stands before the instruction that made call `number`, set back by the kernel to make it again.
    /// For a thread in a signal handler.
    pub fn stands_before_call(&self, number: usize, pc: usize, stack_pointer: usize) -> bool {
        let is_there = self.0[PC].wrapping_add(INSTRUCTION) == pc && self.0[SP] == stack_pointer;
        is_there && self.0[X8] == number
    }

    /// Makes the thread, which stands behind its call's instruction, make the call again: whatever signal comes.
    pub fn restart_system_call(&mut self, first_argument: usize) {
        self.0[0] = first_argument;
        self.0[PC] = self.0[PC].wrapping_sub(INSTRUCTION);
    }

    /// An argument of the system call, counted from 0. The first is no more once the call has a result.
    pub fn argument(&self, index: usize) -> usize {
        self.0[index]
    }

    /// Replaces an argument of the system call, for when it is made again.
    pub fn set_argument(&mut self, index: usize, value: usize) {
        self.0[index] = value;
    }

    /// Has another call in the place of the one that is made again.
    pub fn set_call(&mut self, number: usize) {
        self.0[X8] = number;
    }

    /// True when the thread may stand right behind a system call of this number, which is still in x8. For a thread in a
    /// signal handler.
    pub fn may_have_made(&self, number: usize) -> bool {
        self.0[X8] == number
    }

    /// True when the thread runs 64-bit code (PSR_MODE32_BIT is clear).
    pub fn is_native(&self) -> bool {
        self.0[PSTATE] & 0x10 == 0
    }
}

/// Bytes of an instruction.
const INSTRUCTION: usize = 4;

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
    // SAFETY: clone(2) with a raw system call: x0 flags, x1 stack, x2 and x3 unused, x4 the word to clear (clone(2),
    // "C library/kernel differences"). The child has nothing above its stack pointer, so it leaves by a call that never
    // returns; x20 and x21 survive the system call.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            // The end of the chain of frame records (AAPCS64, 6.4.6).
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            inlateout("x0") flags => result,
            in("x1") stack_top, in("x2") 0usize, in("x3") 0usize, in("x4") cleared,
            in("x8") libc::SYS_clone as usize, in("x20") argument, in("x21") entry,
        );
    }
    result
}

/// Calls `function(argument)` on the stack that ends at `stack_top`, and comes back. Unwinders find the caller through x29.
///
/// # Safety
///
/// - `stack_top` is a multiple of 16 and the end of memory large enough for the call, which nobody else uses.
#[unsafe(naked)]
pub unsafe extern "C" fn call_on_stack(stack_top: usize, function: extern "C" fn(usize), argument: usize) {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset x29, -16",
        ".cfi_offset x30, -8",
        "mov x29, sp",
        ".cfi_def_cfa_register x29",
        "mov sp, x0",
        "mov x0, x2",
        "blr x1",
        // x29 is as the function found it (AAPCS64, 6.1.1).
        "mov sp, x29",
        ".cfi_def_cfa_register sp",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore x29",
        ".cfi_restore x30",
        "ret",
        ".cfi_endproc",
    )
}

/// The thread pointer of any task, also of one that was made without.
pub fn any_thread_pointer() -> usize {
    super::thread_pointer()
}

/// What a signal handler finds in the context of the code that it interrupted.
#[derive(Clone, Copy)]
pub struct InterruptedContext {
    /// The general registers; the number of a system call is not among them.
    pub registers: Registers,
    /// Where the vectors lie in the signal's frame, as in `struct user_fpsimd_state`, and their bytes; (0, 0) if they do not.
    pub extended: (usize, usize),
    /// The signals that the code blocked.
    pub blocked: u64,
}

impl InterruptedContext {
    /// Reads it.
    pub fn of(context: &libc::ucontext_t, thread_pointer: usize) -> InterruptedContext {
        let machine = &context.uc_mcontext;
        let mut words = [0; GENERAL_REGISTERS];
        for (word, register) in words.iter_mut().zip(machine.regs) {
            *word = register as usize;
        }
        words[SP] = machine.sp as usize;
        words[PC] = machine.pc as usize;
        words[PSTATE] = machine.pstate as usize;
        words[THREAD_POINTER] = thread_pointer;
        let vectors = vectors(context);
        let mut registers = Registers(words);
        for (word, register) in registers.0[D8..].iter_mut().zip(8..) {
            // SAFETY: a record of FPSIMD state holds 32 registers of 16 bytes; no record, no address.
            *word = if vectors == 0 { 0 } else { unsafe { read(vectors + register * 16) } };
        }
        // SAFETY: the kernel's set of 64 signals is the first word of libc's larger one.
        let blocked = unsafe { core::ptr::from_ref(&context.uc_sigmask).cast::<u64>().read() };
        let extended = (vectors, if vectors == 0 { 0 } else { 32 * 16 });
        InterruptedContext { registers, extended, blocked }
    }
}

/// A word of the signal's frame.
///
/// # Safety
///
/// - It is one.
unsafe fn read(at: usize) -> usize {
    // SAFETY: the caller's duty; records are multiples of 16 bytes, aligned so.
    unsafe { core::ptr::with_exposed_provenance::<usize>(at).read() }
}

/// The address of the vectors in a signal frame; 0 for none. Behind the registers lies a list of records, which ends with
/// one of magic 0 (arch/arm64/include/uapi/asm/sigcontext.h).
fn vectors(context: &libc::ucontext_t) -> usize {
    const FPSIMD_MAGIC: u32 = 0x4650_8001;
    const VECTORS_AT: usize = 16;
    const ROOM: usize = 4096;
    // `__reserved`, which the libc crate keeps private, is aligned to 16 and the last field.
    let registers = core::ptr::from_ref(&context.uc_mcontext.pstate).expose_provenance();
    let mut at = (registers + size_of::<u64>()).next_multiple_of(16);
    let end = at + ROOM;
    while at < end {
        // SAFETY: the kernel laid a list of records there, and its end inside the room.
        let head = unsafe { read(at) };
        let (magic, size) = (head as u32, head >> 32);
        match magic {
            FPSIMD_MAGIC => return at + VECTORS_AT,
            0 => break,
            _ => at += size.max(VECTORS_AT),
        }
    }
    0
}

// A word for each thread: the call of ours that it is inside (stop/call.rs), or 0. Declared and addressed as the word of
// the thread's state is: initial-exec, so that it lies at one distance from every thread's pointer.
global_asm!(
    ".pushsection .tbss.standstill_call,\"awT\",%nobits",
    ".p2align 3",
    ".hidden standstill_call",
    ".globl standstill_call",
    ".type standstill_call,%object",
    ".size standstill_call,8",
    "standstill_call: .zero 8",
    ".popsection",
);

/// The distance of the word from the thread pointer, the same in all threads (ELF TLS ABI, variant I, initial-exec).
#[inline(always)]
pub fn call_word_offset() -> usize {
    let offset;
    // SAFETY: a load from the global offset table.
    unsafe {
        asm!("adrp {0}, :gottprel:standstill_call", "ldr {0}, [{0}, :gottprel_lo12:standstill_call]", out(reg) offset,
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

/// Makes interrupted code that stands behind a system call instruction make call `number`, with this first argument and the
/// others from `registers`.
pub fn repeat_system_call(
    context: &mut libc::ucontext_t,
    number: usize,
    registers: &Registers,
    first_argument: usize,
) {
    context.uc_mcontext.regs[0] = first_argument as u64;
    for index in 1..6 {
        context.uc_mcontext.regs[index] = registers.0[index] as u64;
    }
    context.uc_mcontext.regs[X8] = number as u64;
    context.uc_mcontext.pc -= INSTRUCTION as u64;
}

/// Has the call of interrupted code that stands before its instruction, to make it again, fail with EINTR.
pub fn fail_system_call(context: &mut libc::ucontext_t) {
    context.uc_mcontext.regs[0] = -i64::from(libc::EINTR) as u64;
    context.uc_mcontext.pc += INSTRUCTION as u64;
}

#[cfg(test)]
impl Registers {
    /// With this result of the system call.
    pub(crate) fn with_result(mut self, result: isize) -> Registers {
        self.0[0] = result as usize;
        self
    }

    /// Of a thread that stands behind a system call with this result.
    pub(crate) fn behind_call(number: isize, result: isize) -> Registers {
        let mut registers = Registers::NONE;
        registers.0[0] = result as usize;
        registers.0[X8] = number as usize;
        registers.0[PC] = 0x1234;
        registers.in_system_call(number as usize)
    }

    /// True when these are `before` but for what makes the call again: its first argument, and the pc at its instruction.
    pub(crate) fn makes_call_again(&self, before: &Registers, first_argument: usize) -> bool {
        let mut expected = *before;
        expected.0[0] = first_argument;
        expected.0[PC] -= INSTRUCTION;
        *self == expected
    }

    /// True for a thread that was mended and has not run since: nothing tells it from one that was not in a call.
    pub(crate) fn is_mended(&self) -> bool {
        self.system_call().is_none()
    }

    /// True for a thread that stands before the instruction that makes its call again: where the kernel starts the call again
    /// it has set it back before the stop (arch/arm64/kernel/signal.c, do_signal).
    pub(crate) fn begins_call_again(&self, first_argument: usize) -> bool {
        self.0[0] == first_argument
    }

    /// True for a thread whose call the kernel starts again.
    pub(crate) fn restarts(&self, first_argument: usize) -> bool {
        self.begins_call_again(first_argument)
    }
}

/// Spins for some tens of milliseconds with one mark in a general register and one in a vector.
#[cfg(test)]
pub(crate) fn spin_with_marks(general: u64, vector: u64) {
    // SAFETY: changes registers that it names.
    unsafe {
        asm!("fmov d7, {vector}", "2:", "isb", "subs {rounds}, {rounds}, #1", "b.ne 2b", vector = in(reg) vector,
            rounds = inout(reg) 1u64 << 20 => _, in("x27") general, out("v7") _, options(nostack, nomem));
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
        asm!("eor {w}, {w}, {k}", "str {w}, [{to}]", "mov {w}, xzr",
            w = inout(reg) hidden => _, k = in(reg) key, to = in(reg) to)
    };
}
