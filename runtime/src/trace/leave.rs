//! The way out of a library: the innermost frame of the calling thread that is not in it.
//!
//! Contract: as [`super::capture`].

use crate::arch::CallerFrame;
use crate::base::Addr;

use super::stack_read::Stack;
use super::state::{RBP, RBX, State};
use super::walk::{Step, step};
use super::{MAX_DEPTH, ThreadTrace};

/// Walks up from an entry point's caller while `inside` says that the code is the library's. Returns the registers and
/// the stack pointer of the first frame that is not; `None` when the stack ends before.
pub fn leave(
    thread: &mut ThreadTrace,
    caller: &CallerFrame,
    inside: impl Fn(usize) -> bool,
) -> Option<(CallerFrame, Addr)> {
    let mut state = State::of_caller(caller, caller.stack_pointer());
    let mut stack = Stack::of_caller(&mut thread.own, state.sp());
    for _ in 0..MAX_DEPTH {
        if !inside(state.lookup_pc()) {
            let [.., r12, r13, r14, r15] = state.registers;
            let (rbp, rbx) = (state.registers[RBP], state.registers[RBX]);
            let frame = CallerFrame { rbp, rbx, r12, r13, r14, r15, return_address: state.pc };
            return Some((frame, Addr::new(state.sp())));
        }
        match step(&mut state, &mut stack, &mut thread.statistics) {
            Step::Rule(_) | Step::Other => {}
            Step::Outermost | Step::Stuck => return None,
        }
    }
    None
}
