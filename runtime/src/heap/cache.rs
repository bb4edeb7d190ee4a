//! A thread's cache: a stack of free blocks for each class.
//!
//! Contract: used by one thread at a time, the owner of the [`super::ThreadHeap`] that holds it. Caches are mapped for good and
//! recycled. They hold addresses of free blocks, so they are our own memory and never roots.
//!
//! Two threads that write to blocks of one cache line slow each other down tenfold. Batches never share a line (see
//! [`super::size_class`]), but a block that one thread frees may have neighbours of the thread that allocated it: where
//! blocks are smaller than a line, those of another arena are not kept for use but gathered and sent home
//! ([`FOREIGN`]).
//!
//! A cache grows with use: the bound of a class starts small and doubles each time it is hit, up to
//! [`super::size_class::Class::keep`] blocks, which is 32 or 64 KiB or 128 blocks. A program with thousands of threads pays
//! for what each thread uses.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::arch;
use crate::mem;

use super::central;
use super::lock::OwnerLock;
use super::lookup;
use super::segment::Unit;
use super::size_class::{CLASSES, SHARING, SPAN_CLASS, TABLE};
use super::word::Slot;

/// Entries that a class has room for.
pub(super) const STRIDE: usize = 128;

/// The first bound of a class.
const FIRST_BOUND: u32 = 8;

/// The first row of blocks that go home. Before it lie those of blocks that are kept for use, one a class, and one that
/// stays empty: that of spans.
const FOREIGN: usize = SPAN_CLASS as usize + 1;
const ROWS: usize = FOREIGN + SHARING;

/// A free block.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Its first byte.
    pub(super) block: usize,
    /// Where its metadata are, so that malloc need not look for them.
    pub(super) slot: Slot,
}

/// The fill of a class.
#[derive(Clone, Copy)]
pub(super) struct Fill {
    /// Entries in use.
    pub(super) len: u32,
    /// How many there may be.
    pub(super) bound: u32,
}

/// See the module. All-zero bytes are an empty one.
#[repr(C, align(64))]
pub(super) struct Cache {
    fill: [Fill; ROWS],
    arena: u8,
    /// The next unused cache.
    next: Option<NonNull<Cache>>,
    entries: [[Entry; STRIDE]; ROWS],
}

/// Caches that nobody uses. The pointers are to memory of ours that stays mapped.
struct Unused {
    /// Those that were used before.
    again: Option<NonNull<Cache>>,
    /// Where the next one that never was used lies, and how many do. They are not touched: a process with one thread
    /// pays for one.
    new: Option<NonNull<Cache>>,
    new_left: usize,
}

// SAFETY: a cache in this list is reached through the list's lock only.
unsafe impl Send for Unused {}

/// See [`Unused`].
static UNUSED: OwnerLock<Unused> = OwnerLock::new(Unused { again: None, new: None, new_left: 0 });

#[cfg(all(test, not(loom)))]
pub(super) fn while_locked(act: impl FnOnce()) {
    let _held = UNUSED.lock();
    act();
}

/// In a forked child: when a thread that did not come along was inside, the unused ones are forgotten.
pub(super) fn after_fork_in_child() {
    if UNUSED.free_of_others()
        && let Some(mut unused) = UNUSED.lock()
    {
        *unused = Unused { again: None, new: None, new_left: 0 };
    }
}

/// Counts threads, to spread them over the arenas.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// An empty cache for the calling thread. `None` when there is no memory for one, and in a signal handler that has
/// interrupted this.
#[cold]
pub(super) fn take() -> Option<NonNull<Cache>> {
    let mut cache = UNUSED.lock()?.pop()?;
    // SAFETY: no list has it any more, so it is the caller's alone.
    let this = unsafe { cache.as_mut() };
    this.arena = (TAKEN.fetch_add(1, Relaxed) % central::arenas()) as u8;
    Some(cache)
}

impl Unused {
    fn pop(&mut self) -> Option<NonNull<Cache>> {
        if let Some(mut cache) = self.again {
            // SAFETY: caches in the list belong to the list, whose lock is held.
            self.again = unsafe { cache.as_mut() }.next.take();
            return Some(cache);
        }
        if self.new_left == 0 {
            // A mapping for each of thousands of threads would fill the list of ours.
            let (first, count) = [8, 1].into_iter().find_map(|count| {
                Some((mem::map_own(count * size_of::<Cache>()).ok()?.cast::<Cache>(), count))
            })?;
            self.new = Some(first);
            self.new_left = count;
        }
        let cache = self.new?;
        self.new_left -= 1;
        // SAFETY: inside the mapping (page-aligned, and zeroed bytes are a valid cache), or one past its end, where it
        // is not used any more.
        self.new = Some(unsafe { cache.add(1) });
        Some(cache)
    }
}

/// Puts an emptied cache away. In a signal handler that has interrupted [`take`] it is lost.
///
/// # Safety
///
/// - The cache came from [`take`], is empty, and the caller drops its pointer.
pub(super) unsafe fn put(mut cache: NonNull<Cache>) {
    let Some(mut unused) = UNUSED.lock() else { return };
    // SAFETY: the caller's duty: nobody else uses it.
    unsafe { cache.as_mut() }.next = unused.again;
    unused.again = Some(cache);
}

impl Cache {
    /// A free block of `class`, if there is one.
    #[inline(always)]
    pub(super) fn pop(&mut self, class: usize) -> Option<Entry> {
        debug_assert!(class < CLASSES);
        // SAFETY: classes come from size_class.rs, whose tables name those that there are.
        let fill = unsafe { self.fill.get_unchecked_mut(class) };
        fill.len = fill.len.checked_sub(1)?;
        // SAFETY: as above, and len < bound <= STRIDE.
        Some(unsafe { *self.entries.get_unchecked(class).get_unchecked(fill.len as usize) })
    }

    /// The row for free blocks of a slab, by its head. For a span it is one that takes none.
    #[inline(always)]
    pub(super) fn row(&self, slab: &Unit) -> usize {
        let class = usize::from(slab.class.load(Relaxed));
        // A branch on the arena alone, which for most threads is always the same: which class comes next is anybody's guess,
        // and a wrong one would wait for the descriptor.
        if slab.arena.load(Relaxed) != self.arena {
            arch::rarely();
            return class + usize::from(class < SHARING) * FOREIGN;
        }
        class
    }

    /// True when [`Cache::push`] will keep a block.
    #[inline(always)]
    pub(super) fn has_room(&self, row: usize) -> bool {
        debug_assert!(row < ROWS);
        // SAFETY: as in `push`.
        let fill = unsafe { self.fill.get_unchecked(row) };
        fill.len < fill.bound
    }

    /// Keeps a free block; false when the row is full.
    #[inline(always)]
    pub(super) fn push(&mut self, row: usize, entry: Entry) -> bool {
        debug_assert!(row < ROWS);
        // SAFETY: rows come from `row`: a descriptor's class is one of CLASSES, or SPAN_CLASS, which is the next.
        let fill = unsafe { self.fill.get_unchecked_mut(row) };
        if fill.len >= fill.bound {
            return false;
        }
        // SAFETY: as above, and len < bound <= STRIDE.
        unsafe { *self.entries.get_unchecked_mut(row).get_unchecked_mut(fill.len as usize) = entry };
        fill.len += 1;
        true
    }

    /// Gets blocks of an empty class from its bin. False when there is no memory.
    pub(super) fn refill(&mut self, class: usize) -> bool {
        self.widen(class);
        let (Some(fill), Some(entries)) = (self.fill.get_mut(class), self.entries.get_mut(class)) else {
            return false;
        };
        let wanted = (fill.bound as usize / 2).max(1);
        let room = entries.get_mut(..wanted).unwrap_or_default();
        let got = central::refill(self.arena, class, room);
        fill.len = got as u32;
        got > 0
    }

    /// Makes room in a full row: a higher bound, or the older half goes back to the bins; of those that go home all.
    pub(super) fn make_room(&mut self, row: usize) {
        if self.widen(row) {
            return;
        }
        let (Some(fill), Some(entries)) = (self.fill.get_mut(row), self.entries.get_mut(row)) else {
            return;
        };
        let len = fill.len as usize;
        let going = if row >= FOREIGN { len } else { len.div_ceil(2) };
        let Some(old) = entries.get_mut(..going) else { return };
        let kept = central::flush(row % FOREIGN, old);
        entries.copy_within(going..len, kept);
        fill.len = (kept + len - going) as u32;
    }

    /// Gives everything back. False when a signal handler could not, since its thread is at a bin: the rest stays.
    pub(super) fn empty(&mut self) -> bool {
        let mut emptied = true;
        for row in 0..ROWS {
            let (Some(fill), Some(entries)) = (self.fill.get_mut(row), self.entries.get_mut(row)) else {
                continue;
            };
            let Some(blocks) = entries.get_mut(..fill.len as usize) else { continue };
            fill.len = central::flush(row % FOREIGN, blocks) as u32;
            fill.bound = fill.len;
            emptied &= fill.len == 0;
        }
        emptied
    }

    /// Forgets the blocks of an arena's slabs of a class.
    pub(super) fn forget(&mut self, arena: u8, class: usize) {
        for row in [class, FOREIGN + class] {
            let (Some(fill), Some(entries)) = (self.fill.get_mut(row), self.entries.get_mut(row)) else {
                continue;
            };
            let mut kept = 0;
            for index in 0..fill.len as usize {
                let Some(entry) = entries.get(index).copied() else { break };
                let of = lookup::unit(entry.block).map(|(_, unit)| unit.head().arena.load(Relaxed));
                if of != Some(arena)
                    && let Some(place) = entries.get_mut(kept)
                {
                    *place = entry;
                    kept += 1;
                }
            }
            fill.len = kept as u32;
        }
    }

    /// Doubles the bound of a row; false when it is as high as it gets.
    fn widen(&mut self, row: usize) -> bool {
        let (Some(fill), Some(fixed)) = (self.fill.get_mut(row), TABLE.get(row % FOREIGN)) else {
            return false;
        };
        let keep = u32::from(fixed.keep);
        if fill.bound >= keep {
            return false;
        }
        fill.bound = (fill.bound * 2).clamp(FIRST_BOUND.min(keep), keep);
        true
    }
}
