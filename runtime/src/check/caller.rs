//! From where on the stack of the asking thread is the program's.
//!
//! At exit the handler stands on the frames of exit(3), and those on the bytes of frames that are dead: main's, when it
//! has returned. Slots that libc's frames leave unwritten still hold its pointers and would hide leaks. So the stack is
//! taken from the frame that called exit, with the registers that it had.

use core::cell::Cell;

use crate::arch::CallerFrame;
use crate::base::Addr;
use crate::threads;
use crate::trace;

use super::Occasion;
use super::hooks;

/// exit(3) of glibc is a call of `__run_exit_handlers` and a few moves before it.
const LENGTH_OF_EXIT: usize = 64;

/// The frame at which the program's part of the stack begins: its registers and its stack pointer.
pub(super) fn program_frame(occasion: &Occasion, frame: &CallerFrame) -> (CallerFrame, Addr) {
    let asking = (*frame, Addr::new(frame.stack_pointer()));
    let Occasion::Exit = occasion else { return asking };
    let exit = hooks::exit_function();
    let Some(libc) = trace::modules::find(Addr::new(exit)) else { return asking };
    let range = libc.range();
    let is_static = trace::modules::all().next().is_none_or(|program| program.range() == range);
    let leave = |inside: &dyn Fn(usize) -> bool| {
        threads::with(|thread| trace::leave(&mut thread.trace, frame, inside)).flatten()
    };
    let outside = if is_static {
        // libc's code is not told from the program's: exit itself is the last frame of the way.
        let passed = Cell::new(false);
        leave(&|pc| !passed.replace(passed.get() || (exit..exit + LENGTH_OF_EXIT).contains(&pc)))
    } else {
        leave(&|pc| range.contains(Addr::new(pc)))
    };
    outside.unwrap_or(asking)
}
