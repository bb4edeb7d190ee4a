//! The chain that proved the thread's stack last, looked at before all others and in as few instructions as can be.
//!
//! A loop that allocates, and what is allocated in pieces, has the same stack time after time. What [`Replay`] asks of a
//! chain each time is settled here when the chain is taken: that it is of the code that is loaded, that its words lie
//! in the thread's own stack, and where they end. A stack pointer that is the same says that they lie there again.
//!
//! # Safety
//!
//! - A chain that is taken lies in the memory of the thread's [`Replay`], which does not move it, and drops this before it
//!   overwrites or frees chains ([`Recent::drop_chain`]).
//! - The thread's own stack stays mapped as long as the thread runs, and only the thread itself looks.
//!
//! [`Replay`]: super::replay::Replay

use core::ptr;

use crate::arch::{self, Block, CallerFrame};

use super::chain::{Chain, ENTRY, HEADER, ID, Key, PC, SP};

/// See the module. All zero: none.
pub struct Recent {
    /// Of the code that the chain belongs to; 0 for no chain.
    epoch: u32,
    chain: *const [u64; HEADER],
    /// Where the blocks end that prove what is kept.
    end: *const Block,
}

// SAFETY: the pointers are to memory that goes along: that of the Replay which this is part of.
unsafe impl Send for Recent {}

impl Recent {
    /// No chain.
    pub const fn new() -> Recent {
        Recent { epoch: 0, chain: ptr::null(), end: ptr::null() }
    }

    /// Takes a chain that has just proved a stack of the thread's own, to its end, for the code of `key`.
    pub fn take(&mut self, key: Key, chain: Chain<'_>) {
        let Some((header, blocks)) = chain.proof() else { return self.drop_chain() };
        let blocks = blocks.as_ptr_range();
        if !blocks.start.cast::<Block>().is_aligned() {
            return self.drop_chain();
        }
        *self = Recent { epoch: key.epoch, chain: header, end: blocks.end.cast() };
    }

    /// Before the memory of chains is used anew, and where no stack may be taken from one.
    pub fn drop_chain(&mut self) {
        *self = Recent::new();
    }

    /// The stack of `caller`, if the chain proves it.
    #[inline(always)]
    pub fn proves(&self, key: Key, caller: &CallerFrame) -> Option<u32> {
        if self.epoch != key.epoch {
            return None;
        }
        // SAFETY: epochs of code are not 0, so there is a chain; see the module.
        let header = unsafe { &*self.chain };
        if header[PC] != caller.return_address as u64
            || header[SP] != caller.stack_pointer() as u64
            || header[ENTRY] != key.entry as u64
        {
            return None;
        }
        let record = ptr::from_ref(caller).addr();
        // SAFETY: one past the header the blocks begin, see `take`.
        let start = unsafe { self.chain.add(1) }.cast::<Block>();
        // SAFETY: the blocks are whole, and each word lies where it lay when the chain was taken: in the own stack of this
        // thread, which has the same stack pointer.
        unsafe { arch::is_unchanged(record, start, self.end) }.then_some(header[ID] as u32)
    }
}
