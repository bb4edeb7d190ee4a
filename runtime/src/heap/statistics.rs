//! What the heap holds, for mallinfo2(3), and giving back what it does not need, for malloc_trim(3).

use core::sync::atomic::Ordering::Relaxed;

use super::lookup::{Entry, decode};
use super::pool::{MAPPED, POOL, RADIX};
use super::size_class::UNIT;
use super::{central, large, pool};

/// A moment's numbers; with other threads at work, of slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes mapped for blocks that share mappings.
    pub small_mapped: usize,
    /// Bytes of those in blocks that are live or in a thread's cache.
    pub in_use: usize,
    /// Live blocks with a mapping of their own.
    pub large_blocks: usize,
    /// Bytes mapped for them.
    pub large_mapped: usize,
}

/// Counts.
pub fn statistics() -> Statistics {
    let mut in_use = 0;
    {
        // The pool's lock keeps units from being cut anew meanwhile.
        let _pool = POOL.lock();
        RADIX.for_each(|_, entry| {
            let Entry::Segment(segment) = decode(entry) else { return };
            let free = segment.free.load(Relaxed);
            for (number, unit) in segment.units.iter().enumerate() {
                if free >> number & 1 == 1 {
                    continue;
                }
                in_use += if unit.is_slab() {
                    unit.list.used.load(Relaxed) as usize * unit.block_size.load(Relaxed) as usize
                } else {
                    usize::from(unit.units.load(Relaxed)) * UNIT * unit.capacity.load(Relaxed) as usize
                };
            }
        });
    }
    Statistics {
        small_mapped: MAPPED.load(Relaxed),
        in_use,
        large_blocks: large::BLOCKS.load(Relaxed),
        large_mapped: large::BYTES.load(Relaxed),
    }
}

/// Gives free memory back to the system; says whether there was any. What threads have cached stays with them.
pub fn trim() -> bool {
    central::trim();
    let units = pool::trim();
    large::trim() || units
}
