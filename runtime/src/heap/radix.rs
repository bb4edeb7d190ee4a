//! From an address to what the heap has there: a sparse table of two levels over the 47 or 48 bits of user addresses,
//! one entry for each [`STEP`].
//!
//! Contract: lookups are lock-free and may run on any thread, in the stopped world too. Entries are changed by one
//! thread at a time (the callers hold the lock of the pool or of the large blocks; two such lock holders never change
//! the same entry, and a table is installed by compare-exchange).
//!
//! An entry is published by one release store after what it points to is fully built, and cleared before the memory it
//! describes is unmapped. What it points to is never unmapped itself (descriptors are recycled as descriptors), so a
//! reader that loses the race against an unmapping sees old or new contents, never a fault.
//!
//! Why not one flat table: 2^25 entries or more are 256 MiB of address space, which `ulimit -v` would refuse. The first level
//! is 32 or 64 KiB of the library's .bss, of which programs touch a page or two; a table of the second level covers 32 GiB.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::sync::{AtomicPtr, AtomicUsize};

/// What one entry covers, in bytes; also the alignment of everything that is entered.
pub(super) const STEP: usize = 1 << STEP_SHIFT;
const STEP_SHIFT: u32 = 22;

#[cfg(not(loom))]
const LEAF_BITS: u32 = 13;
#[cfg(not(loom))]
const ROOT_BITS: u32 = crate::arch::USER_END.trailing_zeros() - STEP_SHIFT - LEAF_BITS;
// A model checker walks all of it: as small as can be.
#[cfg(loom)]
const LEAF_BITS: u32 = 1;
#[cfg(loom)]
const ROOT_BITS: u32 = 1;

/// Entries of a table of the second level.
pub(super) const LEAF: usize = 1 << LEAF_BITS;
const ROOT: usize = 1 << ROOT_BITS;

/// A table of the second level. All-zero bytes are an empty one.
pub(super) struct Leaf {
    pub(super) entries: [AtomicUsize; LEAF],
}

/// The table. An entry is a number to it: 0 for nothing, anything else is the caller's.
pub(super) struct Radix {
    pub(super) root: [AtomicPtr<Leaf>; ROOT],
    /// Steps that ever had an entry lie in between: the first as its complement (0 bytes are an empty range), and one
    /// behind the last. Widened before an entry is set.
    pub(super) not_first: AtomicUsize,
    pub(super) end: AtomicUsize,
}

impl Radix {
    /// The entry for `addr`; 0 for none and for addresses that no mapping can have.
    #[inline(always)]
    pub(super) fn get(&self, addr: usize) -> usize {
        let Some(root) = self.root.get(addr >> (STEP_SHIFT + LEAF_BITS)) else { return 0 };
        // SAFETY: a table is built before it is published by compare-exchange, and stays for good.
        let Some(leaf) = (unsafe { root.load(Acquire).as_ref() }) else { return 0 };
        leaf.entries[(addr >> STEP_SHIFT) % LEAF].load(Acquire)
    }

    /// Makes sure that the entries for `start..start + bytes` exist; `new_leaf` maps a zeroed table. False when it
    /// could not.
    pub(super) fn prepare(
        &self,
        start: usize,
        bytes: usize,
        mut new_leaf: impl FnMut() -> Option<*mut Leaf>,
    ) -> bool {
        let shift = STEP_SHIFT + LEAF_BITS;
        let last = (start + bytes - 1) >> shift;
        for at in start >> shift..=last {
            let Some(root) = self.root.get(at) else { return false };
            if !root.load(Acquire).is_null() {
                continue;
            }
            let Some(leaf) = new_leaf() else { return false };
            // Whoever comes second leaves a table of 64 KiB unused: once in a process, if ever.
            let _ = root.compare_exchange(core::ptr::null_mut(), leaf, AcqRel, Acquire);
        }
        true
    }

    /// Enters `entry` for each step of `start..start + bytes`, or clears them with 0. The range was prepared.
    pub(super) fn set(&self, start: usize, bytes: usize, entry: usize) {
        if entry != 0 {
            self.not_first.fetch_max(!(start >> STEP_SHIFT), Release);
            self.end.fetch_max((start + bytes).div_ceil(STEP), Release);
        }
        for addr in (start..start + bytes).step_by(STEP) {
            let Some(root) = self.root.get(addr >> (STEP_SHIFT + LEAF_BITS)) else { continue };
            // SAFETY: as in `get`.
            if let Some(leaf) = unsafe { root.load(Relaxed).as_ref() } {
                leaf.entries[(addr >> STEP_SHIFT) % LEAF].store(entry, Release);
            }
        }
    }

    /// Calls `each` for every step that has an entry, by address: (start of the step, entry). Looks at nothing outside of
    /// what was ever entered: the table is large, and a process that never touched it pays for each page.
    pub(super) fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        let end = self.end.load(Acquire);
        let mut step = !self.not_first.load(Acquire);
        while step < end {
            let Some(root) = self.root.get(step / LEAF) else { return };
            // SAFETY: as in `get`.
            let Some(leaf) = (unsafe { root.load(Acquire).as_ref() }) else {
                step = (step / LEAF + 1) * LEAF;
                continue;
            };
            let entry = leaf.entries[step % LEAF].load(Acquire);
            if entry != 0 {
                each(step << STEP_SHIFT, entry);
            }
            step += 1;
        }
    }
}
