//! The chains that proved stacks last, one for each of a few leaves, looked at before all others and in as few instructions
//! as can be.
//!
//! A place that allocates in a loop, and what is allocated in pieces, has the same stack time after time. What [`Replay`]
//! asks of a chain each time is settled here when the chain is kept: that it is of the code that is loaded, that its words
//! lie in the thread's own stack, and where they end. A stack pointer that is the same says that they lie there again.
//!
//! The memory of the Replay begins with them:
//!
//! ```text
//! a header of zeros, which is no chain's | 256 entries: where a chain begins, where its proof ends | chains ...
//! ```
//!
//! # Safety
//!
//! - [`Recent::arm`] gets the memory of the Replay that this is part of; it does not move it before it calls
//!   [`Recent::disarm`], and it clears the entries before it overwrites chains.
//! - Entries are written by [`Recent::keep`] alone, and only for whole chains in that memory.
//! - The thread's own stack stays mapped as long as the thread runs, and only the thread itself looks.
//!
//! [`Replay`]: super::replay::Replay

use core::ptr;

use crate::arch::{self, Block, CallerFrame};

use super::chain::{Chain, ENTRY, HEADER, ID, Key, PC, SP};

/// Entries: as many as fit where a compiler's working set leaves room.
const ENTRIES: usize = 1 << BITS;
const BITS: u32 = 8;
/// Where they begin: behind the header of no chain, to which an entry of 0 leads.
const AT: usize = HEADER.next_multiple_of(8);
/// Words at the start of the memory that are not for chains.
pub const RESERVED: usize = AT + ENTRIES;

/// See the module. All zero: none.
pub struct Recent {
    /// Of the code that the chains belong to; 0: none may be asked.
    epoch: u32,
    memory: *const u64,
}

// SAFETY: the pointer is to memory that goes along: that of the Replay which this is part of.
unsafe impl Send for Recent {}

impl Recent {
    /// Without memory.
    pub const fn new() -> Recent {
        Recent { epoch: 0, memory: ptr::null() }
    }

    /// True when the chains are of the code that `key` is asked for, and are all that is asked.
    #[inline(always)]
    pub fn is_armed(&self, key: Key) -> bool {
        self.epoch == key.epoch
    }

    /// From now on stacks may be taken from the chains in `memory`, which are of the code of `key`.
    pub fn arm(&mut self, key: Key, memory: &[u64]) {
        debug_assert!(memory.len() >= RESERVED && key.epoch != 0);
        *self = Recent { epoch: key.epoch, memory: memory.as_ptr() };
    }

    /// From now on no stack may.
    pub fn disarm(&mut self) {
        *self = Recent::new();
    }

    /// Keeps the chain at `position` of `memory`, which has just proved the stack of `caller`, the thread's own.
    #[inline(always)]
    pub fn keep(memory: &mut [u64], position: u32, caller: &CallerFrame) {
        let proof = memory.get(position as usize..).and_then(Chain::new).and_then(Chain::proof_len);
        let Some(len) = proof else { return };
        if let Some(entry) = memory.get_mut(AT + place(caller)) {
            *entry = u64::from(position) | (u64::from(position) + len as u64) << 32;
        }
    }

    /// Forgets all of them.
    pub fn clear(memory: &mut [u64]) {
        memory.iter_mut().take(RESERVED).for_each(|word| *word = 0);
    }

    /// The stack of `caller`, if the chain of its leaf that was kept proves it.
    #[inline(always)]
    pub fn proves(&self, key: Key, caller: &CallerFrame) -> Option<u32> {
        if !self.is_armed(key) {
            return None;
        }
        // SAFETY: epochs of code are not 0, so there is memory, and it has all entries; see the module.
        let entry = unsafe { *self.memory.add(AT + place(caller)) };
        // SAFETY: a chain's header in the same memory, or the one of zeros.
        let header = unsafe { &*self.memory.add(entry as u32 as usize).cast::<[u64; HEADER]>() };
        // No return address is 0.
        if header[PC] != caller.return_address as u64
            || header[SP] != caller.stack_pointer() as u64
            || header[ENTRY] != key.entry as u64
        {
            return None;
        }
        let start = ptr::from_ref(header).wrapping_add(1).cast::<Block>();
        let end = self.memory.wrapping_add((entry >> 32) as usize).cast::<Block>();
        // SAFETY: the chain's whole blocks, which are aligned (chain.rs); and each word lies where it lay when the chain was
        // kept: in the own stack of this thread, which has the same stack pointer.
        unsafe { arch::is_unchanged(ptr::from_ref(caller).addr(), start, end) }.then_some(header[ID] as u32)
    }
}

/// Which entry is for the leaf of `caller`. Callers of one function differ in the stack pointer, calls in one function in the
/// return address.
#[inline(always)]
fn place(caller: &CallerFrame) -> usize {
    let leaf = (caller.return_address as u32).wrapping_add((caller.stack_pointer() as u32).wrapping_mul(8));
    (leaf.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)) as usize
}
