//! The frames of a thread that stands still, from its registers.
//!
//! Contract: in the stopped world, or in a program with one thread. As [`super::capture`]: no lock that is waited for.

use crate::arch::{CallerFrame, Registers};

use super::MAX_DEPTH;
use super::replay::LONGEST;
use super::stack_read::{OwnStack, Stack};
use super::state::State;
use super::statistics::Statistics;
use super::walk::{Logged, Walker};

/// Calls `each` with the stack pointer and the lookup address of each frame, innermost first, until it says false.
/// `interrupted`: the thread stands at an instruction of the program's; false where its pc is a return address.
pub fn frames_of(registers: &Registers, interrupted: bool, each: &mut dyn FnMut(usize, usize) -> bool) {
    let state = State { pc: registers.pc(), interrupted, registers: registers.by_dwarf_number() };
    let (mut own, mut log) = (OwnStack::new(), [Logged::NONE; LONGEST]);
    let (nobody, mut uncounted) = (CallerFrame::default(), Statistics::new());
    // False where there is no memory at the stack pointer: not a stack.
    let mut stack = Stack::of_caller(&mut own, state.sp());
    if !stack.switch_to(state.sp()) {
        return;
    }
    let mut walker = Walker::at(state, &nobody, stack, &mut log, &mut uncounted);
    for _ in 0..MAX_DEPTH {
        if !State::is_code(walker.pc()) || !each(walker.sp(), walker.lookup_pc()) || walker.step().is_end() {
            return;
        }
    }
}
