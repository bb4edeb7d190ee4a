//! What the unwinder needs of the CPU: registers by DWARF number, frames of signals, what a call looks like.
//!
//! References: System V psABI AMD64 1.0, figure 3.36 (DWARF numbers), 3.2.1 (registers that calls keep); Linux,
//! arch/x86/include/asm/sigframe.h and arch/x86/include/uapi/asm/sigcontext.h (signal frames); Intel SDM, volume 2.

use core::mem::offset_of;

use super::CallerFrame;

/// General registers, numbered as DWARF does: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15.
pub const REGISTERS: usize = 16;
/// rbp.
pub const FRAME_POINTER: usize = 6;
/// rsp.
pub const STACK_POINTER: usize = 7;
/// The column of the return address.
pub const RETURN_ADDRESS: usize = 16;
/// The number by which an expression means the pc.
pub const PC: usize = 16;
/// The registers that a call keeps, without the stack pointer: rbx, rbp, r12 to r15.
pub const CALLEE_SAVED: [usize; 6] = [3, FRAME_POINTER, 12, 13, 14, 15];
/// The place of the frame pointer in [`CALLEE_SAVED`].
pub const FRAME_POINTER_PLACE: usize = 1;
/// Columns that a row of .eh_frame may name: those above, and some that a signal frame may add.
pub const COLUMNS: usize = 24;
/// Whose instructions .eh_frame may hold.
pub const VENDOR: gimli::Vendor = gimli::Vendor::Default;
/// A frame without a rule for its return address is the outermost: a call always stores one.
pub const RETURN_ADDRESS_IN_REGISTER: bool = false;
/// The frame pointer of a frame tells where the frame ends: the record it points to is laid first.
pub const FRAME_RECORD_IS_LAST: bool = true;

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

/// Where in that record the register lies, in words.
pub const fn callers_register_at(place: usize) -> usize {
    match place {
        0 => offset_of!(CallerFrame, rbx) / 8,
        1 => offset_of!(CallerFrame, rbp) / 8,
        2 => offset_of!(CallerFrame, r12) / 8,
        3 => offset_of!(CallerFrame, r13) / 8,
        4 => offset_of!(CallerFrame, r14) / 8,
        _ => offset_of!(CallerFrame, r15) / 8,
    }
}

/// The record that an entry point would make for a frame, beside `entry`'s.
pub fn caller_frame(registers: &[usize; REGISTERS], pc: usize, _entry: &CallerFrame) -> CallerFrame {
    let [_, _, _, rbx, _, _, rbp, .., r12, r13, r14, r15] = *registers;
    CallerFrame { rbp, rbx, r12, r13, r14, r15, return_address: pc }
}

/// The part of a word of the stack that makes an address.
#[inline(always)]
pub const fn significant(word: usize) -> usize {
    word
}

/// Bytes of code that [`is_signal_return`] looks at.
pub const SIGNAL_RETURN: usize = 9;

/// True for the code that a signal handler returns to: `mov $15, %rax; syscall`, or with `mov $15, %eax`, as gdb and
/// libgcc know it.
pub fn is_signal_return(code: [u8; SIGNAL_RETURN]) -> bool {
    matches!(code, [0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05] | [0xb8, 15, 0, 0, 0, 0x0f, 0x05, ..])
}

/// Where the registers lie in a signal's frame, from the stack pointer with the return address popped: the ucontext
/// begins there, and 40 bytes into it the registers.
pub const SIGNAL_REGISTERS_AT: usize = 40;
/// Their order there, by DWARF number: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp; rip follows.
pub const SIGNAL_REGISTERS: [u8; REGISTERS] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7];

/// Bytes of code that [`is_call`] looks at.
pub const CALL: usize = 8;

/// True when the last of these bytes are a call instruction: `E8 rel32`, or `FF /2` with any addressing (CALL).
pub fn is_call(bytes: [u8; CALL]) -> bool {
    if bytes[3] == 0xe8 {
        return true;
    }
    // FF, ModRM with reg = 2, then an optional SIB byte and a displacement of 0, 1 or 4 bytes.
    (2..=7).any(|length| {
        let (opcode, modrm) = (bytes[CALL - length], bytes[CALL - length + 1]);
        let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let sib = usize::from(mode != 3 && rm == 4);
        let displacement = match mode {
            0 if rm == 5 => 4,
            0 if sib == 1 && bytes.get(CALL - length + 2).is_some_and(|sib| sib & 7 == 5) => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        };
        opcode == 0xff && reg == 2 && length == 2 + sib + displacement
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_recognised() {
        let behind = |bytes: &[u8]| {
            let mut code = [0x90u8; CALL];
            code[CALL - bytes.len()..].copy_from_slice(bytes);
            is_call(code)
        };
        assert!(behind(&[0xe8, 1, 2, 3, 4]));
        assert!(behind(&[0xff, 0xd0])); // call *%rax
        assert!(behind(&[0x41, 0xff, 0xd3])); // call *%r11
        assert!(behind(&[0xff, 0x50, 0x18])); // call *0x18(%rax)
        assert!(behind(&[0xff, 0x15, 1, 2, 3, 4])); // call *x(%rip)
        assert!(behind(&[0xff, 0x14, 0xc8])); // call *(%rax,%rcx,8)
        assert!(behind(&[0xff, 0x94, 0xc8, 1, 2, 3, 4])); // call *x(%rax,%rcx,8)
        assert!(!behind(&[0xff, 0xe0])); // jmp *%rax
        assert!(!behind(&[0x48, 0x89, 0xc3]));
    }
}
