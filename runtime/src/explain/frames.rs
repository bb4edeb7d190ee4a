//! Which frame of which thread a word of a stack lies in.

use crate::harvest::RootKind;
use crate::stop::{ThreadRecord, World};
use crate::trace;

use super::hop::{Holder, Hop};

/// Enters the frame into each hop that lies in the stack of a thread of `world`.
pub fn name(world: &World, hops: &mut [Hop]) {
    for hop in hops.iter_mut().filter(|hop| hop.holder == Holder::Root(RootKind::Stack)) {
        let own = world.threads().iter().find(|record| record.tid.get() == hop.tid);
        let Some(record) = own.filter(|record| record.has_registers()) else { continue };
        hop.pc = frame_at(record, hop.at.get());
    }
}

/// The lookup address of the frame that `at` lies in; 0 when the walk does not come there.
fn frame_at(record: &ThreadRecord, at: usize) -> usize {
    let (mut found, mut reached) = (0, false);
    let interrupted = record.stop != crate::stop::StopKind::Caller;
    trace::frames_of(&record.registers, interrupted, &mut |stack_pointer, pc| {
        // A frame reaches from its stack pointer to its caller's; what lies below the first is its red zone.
        if stack_pointer > at {
            reached = true;
            found = if found == 0 { pc } else { found };
            return false;
        }
        found = pc;
        true
    });
    if reached { found } else { 0 }
}
