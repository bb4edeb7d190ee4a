//! From an address to the block that contains it, in a running process.
//!
//! Contract: lock-free, any thread, any phase. The answer is about the moment of the question: only who owns the block
//! knows that it stays true.

use core::sync::atomic::Ordering::Relaxed;

use crate::arch;
use crate::base::Addr;

use super::large::Large;
use super::pool::RADIX;
use super::provider::Chunk;
use super::radix::STEP;
use super::segment::{Segment, UNITS, Unit};
use super::size_class::UNIT;
use super::word::{Slot, Word};

/// The bit that tells a large block's descriptor from a segment's in the radix table.
pub(super) const LARGE: usize = 1;

/// What the radix table has for an address.
pub(super) enum Entry {
    /// Nothing of ours.
    Nothing,
    /// Units.
    Segment(&'static Segment),
    /// One block with a mapping of its own.
    Large(&'static Large),
}

/// Reads the radix table.
#[inline(always)]
pub(super) fn entry(addr: usize) -> Entry {
    decode(RADIX.get(addr))
}

/// What an entry of the radix table says.
#[inline(always)]
pub(super) fn decode(entry: usize) -> Entry {
    if entry == 0 {
        arch::rarely();
        return Entry::Nothing;
    }
    let descriptor = core::ptr::with_exposed_provenance::<u8>(entry & !LARGE);
    if entry & LARGE == 0 {
        // SAFETY: entries without the bit are segments' descriptors, which are never unmapped.
        Entry::Segment(unsafe { &*descriptor.cast::<Segment>() })
    } else {
        // SAFETY: entries with the bit are large blocks' descriptors, which are never unmapped.
        Entry::Large(unsafe { &*descriptor.cast::<Large>() })
    }
}

/// The unit that contains `addr`, if a segment does.
#[inline(always)]
pub(super) fn unit(addr: usize) -> Option<(&'static Segment, &'static Unit)> {
    match entry(addr) {
        Entry::Segment(segment) => Some((segment, &segment.units[addr % STEP / UNIT % UNITS])),
        _ => None,
    }
}

/// A block, live or not.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Its first byte.
    pub(super) base: usize,
    /// Where its metadata are.
    pub(super) slot: Slot,
    /// Bytes that may be used.
    pub(super) room: usize,
    /// Who it belongs to.
    pub(super) home: Home,
}

/// Who a block belongs to.
#[derive(Clone, Copy)]
pub(super) enum Home {
    /// A slab or a span, by its head.
    Unit(&'static Segment, &'static Unit),
    /// Itself.
    Large(&'static Large),
}

/// The block that contains `addr`.
pub(super) fn block(addr: usize) -> Option<Block> {
    match entry(addr) {
        Entry::Nothing => None,
        Entry::Segment(segment) => {
            let head = segment.units[addr % STEP / UNIT % UNITS].head();
            let (index, base) = head.block(addr)?;
            // SAFETY: `block` gives numbers below the capacity.
            let slot = unsafe { head.slot(index) };
            let room = head.block_size.load(Relaxed) as usize;
            Some(Block { base, slot, room, home: Home::Unit(segment, head) })
        }
        Entry::Large(large) => {
            let (base, room) = (large.base.load(Relaxed), large.mapped.load(Relaxed));
            (addr.wrapping_sub(base) < room).then_some(Block {
                base,
                slot: large.slot(),
                room,
                home: Home::Large(large),
            })
        }
    }
}

impl Block {
    /// Its metadata.
    pub(super) fn load(&self) -> Word {
        self.slot.load()
    }

    /// Bytes asked for, by its word.
    pub(super) fn size(&self, word: Word) -> usize {
        match self.home {
            Home::Unit(..) => word.size(),
            Home::Large(large) => large.size.load(Relaxed),
        }
    }

    /// The chunk, when it is live.
    pub(super) fn chunk(&self) -> Option<Chunk> {
        let word = self.load();
        word.is_live().then(|| chunk(self.base, self.size(word), word))
    }
}

/// A live block as the scanner sees it.
pub(super) fn chunk(base: usize, size: usize, word: Word) -> Chunk {
    let (stack, tag, origin) = (word.stack(), word.tag(), word.origin());
    Chunk { base: Addr::new(base), size, stack, tag, origin, age: word.age(), scope: word.scope() }
}
