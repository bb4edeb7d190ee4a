//! The way out of a library: the innermost frame of the calling thread that is not in it.
//!
//! Contract: as [`super::capture`].

use crate::arch::CallerFrame;
use crate::arch::unwinding::caller_frame;
use crate::base::Addr;

use super::replay::LONGEST;
use super::stack_read::Stack;
use super::walk::{Logged, Walker};
use super::{MAX_DEPTH, ThreadTrace};

/// Walks up from an entry point's caller while `inside` says that the code is the library's. Returns the registers and
/// the stack pointer of the first frame that is not; `None` when the stack ends before.
pub fn leave(
    thread: &mut ThreadTrace,
    caller: &CallerFrame,
    inside: impl Fn(usize) -> bool,
) -> Option<(CallerFrame, Addr)> {
    let stack = Stack::of_caller(&mut thread.own, caller.stack_pointer());
    let mut log = [Logged::NONE; LONGEST];
    let mut walker = Walker::new(caller, stack, &mut log, &mut thread.statistics);
    for _ in 0..MAX_DEPTH {
        if !inside(walker.lookup_pc()) {
            let state = walker.state()?;
            let frame = caller_frame(&state.registers, state.pc, caller);
            return Some((frame, Addr::new(state.sp())));
        }
        if walker.step().is_end() {
            return None;
        }
    }
    None
}
