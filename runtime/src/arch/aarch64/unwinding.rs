//! What the unwinder needs of the CPU: registers by DWARF number, frames of signals, what a call looks like.
//!
//! References: DWARF for the Arm 64-bit Architecture (numbers; pointer authentication); AAPCS64, 6.1 (registers that calls
//! keep) and 6.4.6 (frame records); Linux, arch/arm64/kernel/signal.c and arch/arm64/include/uapi/asm/sigcontext.h.

use core::mem::offset_of;

use super::{CallerFrame, USER_END};

/// General registers, numbered as DWARF does: x0 to x30, sp.
pub const REGISTERS: usize = 32;
/// x29.
pub const FRAME_POINTER: usize = 29;
/// sp.
pub const STACK_POINTER: usize = 31;
/// The column of the return address: x30.
pub const RETURN_ADDRESS: usize = 30;
/// The number by which an expression means the pc.
pub const PC: usize = 32;
/// The registers that a call keeps, without the stack pointer: the frame pointer, x19 to x28.
pub const CALLEE_SAVED: [usize; 11] = [FRAME_POINTER, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28];
/// The place of the frame pointer in [`CALLEE_SAVED`].
pub const FRAME_POINTER_PLACE: usize = 0;
/// Columns that a row of .eh_frame may name: those above, d8 to d15, the state of signing, and room.
pub const COLUMNS: usize = 48;
/// Whose instructions .eh_frame may hold: DW_CFA_AARCH64_negate_ra_state is one.
pub const VENDOR: gimli::Vendor = gimli::Vendor::AArch64;
/// A frame without a rule for its return address still has it in x30, where it is a leaf.
pub const RETURN_ADDRESS_IN_REGISTER: bool = true;
/// A frame's record may lie anywhere in it, and compilers lay it first in memory: where the frame ends it does not tell.
pub const FRAME_RECORD_IS_LAST: bool = false;

/// A callee-saved register, by its place in [`CALLEE_SAVED`], as the caller of an entry point had it.
#[inline(always)]
pub fn callers_register(caller: &CallerFrame, place: usize) -> usize {
    match place {
        0 => caller.frame_pointer,
        place => caller.saved[(place - 1) % 10],
    }
}

/// Where in that record the register lies, in words.
pub const fn callers_register_at(place: usize) -> usize {
    match place {
        0 => offset_of!(CallerFrame, frame_pointer) / 8,
        place => offset_of!(CallerFrame, saved) / 8 + (place - 1) % 10,
    }
}

/// The record that an entry point would make for a frame. The vectors are `entry`'s: those that code between the two has
/// saved for itself are not followed.
pub fn caller_frame(registers: &[usize; REGISTERS], pc: usize, entry: &CallerFrame) -> CallerFrame {
    let [.., x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, frame_pointer, _, _] = *registers;
    let saved = [x19, x20, x21, x22, x23, x24, x25, x26, x27, x28];
    CallerFrame { vectors: entry.vectors, saved, frame_pointer, return_address: pc }
}

/// The part of a word of the stack that makes an address: a signed return address has its signature in the bits above
/// (Documentation/arch/arm64/pointer-authentication.rst), a tagged pointer its tag.
#[inline(always)]
pub const fn significant(word: usize) -> usize {
    word & (USER_END - 1)
}

/// Bytes of code that [`is_signal_return`] looks at.
pub const SIGNAL_RETURN: usize = 8;

/// True for the code that a signal handler returns to: `mov x8, #139; svc #0`. The kernel's own, in the vDSO, has no
/// unwind information on purpose (arch/arm64/kernel/vdso/sigreturn.S): libgcc and gdb know it by these instructions.
pub fn is_signal_return(code: [u8; SIGNAL_RETURN]) -> bool {
    matches!(code, [0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4])
}

/// Where the registers lie in a signal's frame, from the stack pointer: siginfo_t (128 bytes), 176 bytes into the
/// ucontext the sigcontext, and there behind the address of the fault.
pub const SIGNAL_REGISTERS_AT: usize = 128 + 176 + 8;
/// Their order there, by DWARF number; the pc follows.
pub const SIGNAL_REGISTERS: [u8; REGISTERS] = {
    let mut order = [0; REGISTERS];
    let mut register = 0;
    while register < REGISTERS {
        order[register] = register as u8;
        register += 1;
    }
    order
};

/// Bytes of code that [`is_call`] looks at.
pub const CALL: usize = 8;

/// True when the last of these bytes are a call instruction: BL, BLR, or BLR with authentication (Arm ARM, C6.2).
pub fn is_call(bytes: [u8; CALL]) -> bool {
    let [.., a, b, c, d] = bytes;
    let instruction = u32::from_le_bytes([a, b, c, d]);
    let is = |mask: u32, value: u32| instruction & mask == value;
    is(0xfc00_0000, 0x9400_0000) || is(0xffff_fc1f, 0xd63f_0000) || is(0xfeff_f800, 0xd63f_0800)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_recognised() {
        let behind = |instruction: u32| {
            let [a, b, c, d] = instruction.to_le_bytes();
            is_call([0, 0, 0, 0, a, b, c, d])
        };
        assert!(behind(0x9400_0010)); // bl
        assert!(behind(0x97ff_fff0)); // bl, backwards
        assert!(behind(0xd63f_0100)); // blr x8
        assert!(behind(0xd63f_091f)); // blraaz x8
        assert!(behind(0xd73f_0a1f)); // blraa x16, sp
        assert!(!behind(0x1400_0010)); // b
        assert!(!behind(0xd61f_0100)); // br x8
        assert!(!behind(0xd65f_03c0)); // ret
        assert!(!behind(0xaa00_03e1)); // mov x1, x0
    }

    #[test]
    fn signed_and_tagged_words_are_addresses() {
        assert_eq!(significant(0x00ab_ffff_8765_4320), 0xffff_8765_4320);
        assert_eq!(significant(0x5500_aaaa_0000_1000), 0xaaaa_0000_1000);
    }
}
