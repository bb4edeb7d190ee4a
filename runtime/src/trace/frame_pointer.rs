//! Frames without unwind information: by the frame pointer, if that looks like one.
//!
//! Code made at run time (java, node) mostly keeps rbp as a frame pointer; hand-written assembly mostly leaves the
//! caller's in place, in which case the step leaves out one frame. What is found is taken only if everything fits: rbp is
//! aligned, lies in the live part of the current stack, and the word above it is the address behind a call instruction,
//! or at least of some memory while the caller's frame pointer fits as well.
//! Otherwise the stack ends here.

use crate::base::Addr;
use crate::sys::probe::is_readable;

use super::rule::Rule;
use super::stack_read::{Stack, code_bytes};
use super::state::{RBP, State};

/// No frame of made code is larger.
const FARTHEST_FRAME: usize = 1 << 20;

/// What a frame with a frame pointer looks like, as a rule: the caller's rbp lies where rbp points to, the return
/// address above it. So a step that was found to fit is remembered as any other.
pub fn rule() -> Option<Rule> {
    Rule::new((RBP, 16), -8, [None, Some(-16), None, None, None, None])
}

/// True when rbp may be a frame pointer in a frame at `sp`. A process begins with none: rbp is zero in its first frame
/// (psABI 3.4.1).
pub fn is_one(rbp: usize, sp: usize) -> bool {
    rbp >= sp && rbp.is_multiple_of(8)
}

/// True when what `frame` points to looks like a frame. `known` says of a lookup address that it was returned to before.
pub fn fits(frame: usize, stack: &mut Stack<'_>, known: impl FnOnce(usize) -> bool) -> bool {
    let Some(callers_frame) = stack.word(frame) else { return false };
    let Some(pc) = frame.checked_add(8).and_then(|at| stack.word(at)) else { return false };
    if !State::is_code(pc) {
        return false;
    }
    // Interpreters (HotSpot's) push return addresses that follow no call; then the frame pointers must be a chain.
    let mut chained = || {
        callers_frame > frame
            && callers_frame - frame < FARTHEST_FRAME
            && stack.word(callers_frame).is_some()
            && is_readable(Addr::new(pc))
    };
    known(pc - 1) || follows_call(pc) || chained()
}

/// True when the bytes before `pc` are a call instruction: `E8 rel32`, or `FF /2` with any addressing (Intel SDM,
/// volume 2, CALL).
fn follows_call(pc: usize) -> bool {
    const LONGEST: usize = 8;
    let Some(bytes) = pc.checked_sub(LONGEST).and_then(code_bytes::<LONGEST>) else { return false };
    if bytes[3] == 0xe8 {
        return true;
    }
    // FF, ModRM with reg = 2, then an optional SIB byte and a displacement of 0, 1 or 4 bytes.
    (2..=7).any(|length| {
        let (opcode, modrm) = (bytes[LONGEST - length], bytes[LONGEST - length + 1]);
        let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let sib = usize::from(mode != 3 && rm == 4);
        let displacement = match mode {
            0 if rm == 5 => 4,
            0 if sib == 1 && bytes.get(LONGEST - length + 2).is_some_and(|sib| sib & 7 == 5) => 4,
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
            let mut code = [0x90u8; 32];
            code[8 + 8 - bytes.len()..16].copy_from_slice(bytes);
            follows_call(code.as_ptr().addr() + 16)
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
        (0..=16).for_each(|pc| assert!(!follows_call(pc)));
        assert!(!follows_call(0x1000));
    }
}
