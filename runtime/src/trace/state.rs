//! The state of one frame: what an unwinder's step starts from and leads to.
//!
//! Registers are numbered as in DWARF (psABI AMD64 1.0, figure 3.36). The complete callee-saved set is kept, not only
//! rbp: ld.so's `_dl_runtime_resolve` has its CFA in rbx, and malloc is called below it. Caller-saved registers have a
//! meaning only where a signal interrupted the frame ([`State::interrupted`]); behind a call they are left-overs that no
//! sound row refers to.
//!
//! A whole state is made only where a row must be interpreted: a walk by rules carries a pc and a stack pointer (walk.rs).

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

/// A callee-saved register, by its place in [`CALLEE_SAVED`], as the caller of an entry point had it. One word is read,
/// not the record: its words were pushed one by one, and a wider load would wait for them to reach the cache.
#[inline(always)]
pub fn callers_register(caller: &CallerFrame, place: usize) -> usize {
    match place {
        0 => caller.rbx,
        1 => caller.rbp,
        2 => caller.r12,
        3 => caller.r13,
        4 => caller.r14,
        _ => caller.r15,
    }
}

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
