//! The list of mappings that are ours.
//!
//! A lock-free, fixed list of ranges: entries are added by an atomic claim and cleared when unmapped. The harvest reads
//! it in the stopped world, where a thread may stand between claiming a slot and filling it: such a slot reads as
//! empty, and its mapping is at most scanned in vain, since no pointer of ours is in it yet.
//!
//! Why not by name (PR_SET_VMA_ANON_NAME): not every kernel has it, and a name splits nothing but tells everything.

use core::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Release};

use crate::base::{Addr, AddrRange};

/// Mappings of ours are large and grow by doubling or by segments of metadata; thousands suffice for terabytes.
const CAPACITY: usize = 4096;

struct Slot {
    start: AtomicUsize,
    /// Bytes; 0 while the slot is being filled. Not the end: that is where a block of the program may begin, and in a
    /// static link this list lies among the program's data, where the number would keep that block from being a leak.
    len: AtomicUsize,
}

static SLOTS: [Slot; CAPACITY] =
    [const { Slot { start: AtomicUsize::new(0), len: AtomicUsize::new(0) } }; CAPACITY];
static USED: AtomicUsize = AtomicUsize::new(0);

// Both stand beside a system call: a copy of them at each would cost more than the jump.

/// Enters a mapping. When the list is full the mapping is only not excluded from the roots.
#[inline(never)]
pub fn add(range: AddrRange) {
    for slot in &SLOTS {
        if slot.start.compare_exchange(0, range.start.get(), Release, Acquire).is_ok() {
            slot.len.store(range.len(), Release);
            let index = core::ptr::from_ref(slot).addr() - SLOTS.as_ptr().addr();
            USED.fetch_max(index / size_of::<Slot>() + 1, Release);
            return;
        }
    }
}

/// Removes a mapping that was entered with this start, before it is unmapped.
#[inline(never)]
pub fn remove(start: Addr) {
    for slot in SLOTS.iter().take(USED.load(Acquire)) {
        if slot.start.load(Acquire) == start.get() {
            slot.len.store(0, Release);
            slot.start.store(0, Release);
            return;
        }
    }
}

/// Every mapping of ours, in no order.
pub fn ranges() -> impl Iterator<Item = AddrRange> {
    SLOTS.iter().take(USED.load(Acquire)).filter_map(|slot| {
        let range = AddrRange::sized(Addr::new(slot.start.load(Acquire)), slot.len.load(Acquire));
        (!range.is_empty()).then_some(range)
    })
}
