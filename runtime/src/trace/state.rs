//! The state of one frame: what an unwinder's step starts from and leads to.
//!
//! Registers are numbered as in DWARF (psABI AMD64 1.0, figure 3.36). The complete callee-saved set is kept, not only
//! rbp: ld.so's `_dl_runtime_resolve` has its CFA in rbx, and malloc is called below it. Caller-saved registers have a
//! meaning only where a signal interrupted the frame ([`State::interrupted`]); behind a call they are left-overs that no
//! sound row refers to.

use crate::arch::{CallerFrame, USER_END};

/// General registers, numbered as DWARF does.
pub const REGISTERS: usize = 16;
/// rbx.
pub const RBX: usize = 3;
/// rbp.
pub const RBP: usize = 6;
/// The stack pointer.
pub const RSP: usize = 7;
/// The column of the return address.
pub const RETURN_ADDRESS: usize = 16;
/// The registers that a call keeps, without the stack pointer, in the order used by [`super::rule::Rule`].
pub const CALLEE_SAVED: [usize; 6] = [RBX, RBP, 12, 13, 14, 15];

const LOWEST_CODE: usize = 4097;

/// A frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Where the frame goes on.
    pub pc: usize,
    /// True when `pc` was interrupted by a signal; false when it is a return address, behind a call that may be the
    /// last instruction of its function.
    pub interrupted: bool,
    /// General registers, by DWARF number; `registers[RSP]` is the stack pointer.
    pub registers: [usize; REGISTERS],
}

impl State {
    /// The frame of an entry point's caller. `stack_pointer` is [`CallerFrame::stack_pointer`] of the record itself.
    #[inline]
    pub fn of_caller(caller: &CallerFrame, stack_pointer: usize) -> State {
        let mut registers = [0; REGISTERS];
        registers[RBX] = caller.rbx;
        registers[RBP] = caller.rbp;
        registers[RSP] = stack_pointer;
        registers[12] = caller.r12;
        registers[13] = caller.r13;
        registers[14] = caller.r14;
        registers[15] = caller.r15;
        State { pc: caller.return_address, interrupted: false, registers }
    }

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
        self.registers[RSP]
    }
}
