//! The state of one frame: what an unwinder's step starts from and leads to.
//!
//! Registers are numbered as in DWARF (arch::unwinding). The complete callee-saved set is kept, not only the frame
//! pointer: on x86-64 ld.so's `_dl_runtime_resolve` has its CFA in rbx, and malloc is called below it. Caller-saved registers have a
//! meaning only where a signal interrupted the frame ([`State::interrupted`]); behind a call they are left-overs that no
//! sound row refers to.
//!
//! A whole state is made only where a row must be interpreted: a walk by rules carries a pc and a stack pointer (walk.rs).

use crate::arch::USER_END;
use crate::arch::unwinding::{REGISTERS, STACK_POINTER};

const LOWEST_CODE: usize = 4097;

/// A frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Where the frame goes on.
    pub pc: usize,
    /// True when `pc` was interrupted by a signal; false when it is a return address, behind a call that may be the
    /// last instruction of its function.
    pub interrupted: bool,
    /// General registers, by DWARF number; `registers[STACK_POINTER]` is the stack pointer.
    pub registers: [usize; REGISTERS],
}

impl State {
    /// The address whose unwind row describes this frame: inside the call instruction, or the interrupted instruction.
    #[inline]
    pub fn lookup_pc(&self) -> usize {
        self.pc.wrapping_sub(usize::from(!self.interrupted))
    }

    /// True when there may be code at `pc`: nothing can be mapped below vm.mmap_min_addr, where calls through null
    /// pointers and the ends of chains lie, nor in the kernel's half.
    #[inline]
    pub fn is_code(pc: usize) -> bool {
        (LOWEST_CODE..USER_END).contains(&pc)
    }

    /// The stack pointer.
    #[inline]
    pub fn sp(&self) -> usize {
        self.registers[STACK_POINTER]
    }
}
