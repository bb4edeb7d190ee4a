//! From where on the stack of the asking thread is the program's.
//!
//! At exit the handler stands on the frames of exit(3), and those on the bytes of frames that are dead: main's, when it
//! has returned. Slots that libc's frames leave unwritten still hold its pointers and would hide leaks. So the stack is
//! taken from the frame that called exit, with the registers that it had.

use crate::arch::CallerFrame;
use crate::base::Addr;
use crate::threads;
use crate::trace;

use super::Occasion;
use super::hooks;

/// The frame at which the program's part of the stack begins: its registers and its stack pointer.
pub(super) fn program_frame(occasion: &Occasion, frame: &CallerFrame) -> (CallerFrame, Addr) {
    let asking = (*frame, Addr::new(frame.stack_pointer()));
    let Occasion::Exit = occasion else { return asking };
    // In a static program libc's code is not told from the program's.
    let Some(libc) = trace::modules::find(Addr::new(hooks::exit_function())) else { return asking };
    if trace::modules::all().next().is_none_or(|program| program.range() == libc.range()) {
        return asking;
    }
    let range = libc.range();
    let outside =
        threads::with(|thread| trace::leave(&mut thread.trace, frame, |pc| range.contains(Addr::new(pc))));
    outside.flatten().unwrap_or(asking)
}
