//! Signal frames without unwind information: return trampolines of musl, of the kernel's vDSO on arm64, of the runtime
//! itself, and of programs that call rt_sigaction(2) on their own.
//!
//! They are known by their two instructions. The kernel has laid a `struct rt_sigframe` there: at a fixed distance from
//! the stack pointer lie the registers (arch::unwinding).

use crate::arch::unwinding;
use crate::arch::unwinding::{REGISTERS, SIGNAL_REGISTERS, SIGNAL_REGISTERS_AT, SIGNAL_RETURN};

use super::stack_read::{Stack, code_bytes};
use super::state::State;

/// True when the code at `pc` returns from a signal handler.
pub fn is_signal_return(pc: usize) -> bool {
    code_bytes::<SIGNAL_RETURN>(pc).is_some_and(unwinding::is_signal_return)
}

/// The interrupted frame.
pub fn step(state: &State, stack: &mut Stack<'_>) -> Option<State> {
    let at = state.sp().checked_add(SIGNAL_REGISTERS_AT)?;
    let mut interrupted = State { pc: 0, interrupted: true, registers: [0; REGISTERS] };
    for (slot, register) in SIGNAL_REGISTERS.into_iter().enumerate() {
        *interrupted.registers.get_mut(usize::from(register))? = stack.word(at + slot * 8)?;
    }
    interrupted.pc = stack.word(at + REGISTERS * 8)?;
    Some(interrupted)
}
