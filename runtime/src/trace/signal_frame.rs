//! Signal frames without unwind information: return trampolines of musl, of the runtime itself, and of programs that
//! call rt_sigaction(2) on their own.
//!
//! They are known by their two instructions, `mov $15, %rax; syscall` (or with `mov $15, %eax`), as gdb and libgcc know
//! them. The kernel has laid a `struct rt_sigframe` there (arch/x86/include/asm/sigframe.h): at the stack pointer, with
//! the return address popped, lies the ucontext, and 40 bytes into it the registers.

use super::stack_read::{Stack, code_bytes};
use super::state::{REGISTERS, State};

/// Offset of the first register in `ucontext_t`, and the order of the registers there, by DWARF number
/// (arch/x86/include/uapi/asm/sigcontext.h): r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp; then rip.
const REGISTERS_AT: usize = 40;
const ORDER: [u8; REGISTERS] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7];

/// True when the code at `pc` returns from a signal handler.
pub fn is_signal_return(pc: usize) -> bool {
    matches!(
        code_bytes::<9>(pc),
        Some([0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05] | [0xb8, 15, 0, 0, 0, 0x0f, 0x05, ..])
    )
}

/// The interrupted frame.
pub fn step(state: &State, stack: &mut Stack<'_>) -> Option<State> {
    let at = state.sp().checked_add(REGISTERS_AT)?;
    let mut interrupted = State { pc: 0, interrupted: true, registers: [0; REGISTERS] };
    for (slot, register) in ORDER.into_iter().enumerate() {
        interrupted.registers[usize::from(register)] = stack.word(at + slot * 8)?;
    }
    interrupted.pc = stack.word(at + REGISTERS * 8)?;
    Some(interrupted)
}
