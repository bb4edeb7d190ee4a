//! Who freed a block: a note in the block itself, for a report of a second free.
//!
//! A free block's memory is nobody's, and its first eight bytes are there in every class. The note is no address (its
//! upper half has bits that none has), so it keeps nothing alive. It is gone when the block is handed out again, when its
//! pages go back to the system, and when the program writes to what it has freed: then nothing is said.
//!
//! Contract: [`note`] is called by who is about to free the block. [`find`] may look at a page that another thread gives
//! back at that moment: only for a process that is going to end, or wants to hear of its faults.

use core::ptr::NonNull;

use crate::base::Addr;
use crate::sys::probe;
use crate::trace::StackId;

use super::lookup;

/// The upper half of a note.
const NOTE: u64 = 0xf4ee_d0b1;

/// Notes in a live block, which begins at `block`, that `stack` is about to free it. Nothing happens to any other address.
pub fn note(block: NonNull<u8>, stack: StackId) {
    let Some(found) = lookup::block(block.addr().get()) else { return };
    if found.load().is_live() && found.base == block.addr().get() && found.room >= size_of::<u64>() {
        // SAFETY: a live block of that many bytes, whose owner gives it up with this call.
        unsafe { block.cast::<u64>().write(NOTE << 32 | u64::from(stack.0)) };
    }
}

/// The stack that freed the block which begins at `addr`, if it is noted.
pub fn find(addr: Addr) -> Option<StackId> {
    let found = lookup::block(addr.get())?;
    if !found.load().is_freed() || found.base != addr.get() || !probe::is_readable(addr) {
        return None;
    }
    // SAFETY: the page could be read a moment ago; the contract says who may bear that it cannot now.
    let word = unsafe { core::ptr::with_exposed_provenance::<u64>(addr.get()).read_volatile() };
    (word >> 32 == NOTE).then_some(StackId(word as u32))
}
