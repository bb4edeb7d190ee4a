//! Frames without unwind information: by the frame pointer, if that looks like one.
//!
//! Code made at run time (java, node) mostly keeps a frame pointer; hand-written assembly mostly leaves the
//! caller's in place, in which case the step leaves out one frame. What is found is taken only if everything fits: it is
//! aligned, lies in the live part of the current stack, and the word above it is the address behind a call instruction,
//! or at least of some memory while the caller's frame pointer fits as well.
//! Otherwise the stack ends here.

use crate::arch::unwinding::{CALL, CALLEE_SAVED, FRAME_POINTER, FRAME_POINTER_PLACE, is_call};
use crate::base::Addr;
use crate::sys::probe::is_readable;

use super::rule::Rule;
use super::stack_read::{Stack, code_bytes};
use super::state::State;

/// No frame of made code is larger.
const FARTHEST_FRAME: usize = 1 << 20;

/// What a frame with a frame pointer looks like, as a rule: the caller's frame pointer lies where the frame pointer
/// points to, the return address above it (psABI AMD64, 3.2.2; AAPCS64, 6.4.6). So a step that was found to fit is remembered as any other.
pub fn rule() -> Option<Rule> {
    let mut saved = [None; CALLEE_SAVED.len()];
    saved[FRAME_POINTER_PLACE] = Some(-16);
    Rule::new((FRAME_POINTER, 16), -8, saved)
}

/// True when `register` may be a frame pointer in a frame at `sp`. A process begins with none: it is zero in the first
/// frame (psABI AMD64, 3.4.1).
pub fn is_one(register: usize, sp: usize) -> bool {
    register >= sp && register.is_multiple_of(8)
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

/// True when the bytes before `pc` are a call instruction.
fn follows_call(pc: usize) -> bool {
    pc.checked_sub(CALL).and_then(code_bytes::<CALL>).is_some_and(is_call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_cannot_be_read_is_no_call() {
        (0..=16).for_each(|pc| assert!(!follows_call(pc)));
        assert!(!follows_call(0x1000));
    }
}
