//! The bins: where thread caches get blocks from and give them back to, many at a time.
//!
//! Vocabulary: an *arena* is a set of bins, one a class; a thread uses the arena that it was given, and a block goes
//! back to the arena of its slab, whoever frees it. A *bin* is the list of an arena's slabs of one class that have a
//! free block; slabs without one are in no list and are found again by the address of a block.
//!
//! Contract: one lock a bin, held while a batch is moved; the pool's lock is taken behind it. A signal handler that has
//! interrupted the holder of a bin gets blocks of another arena, and keeps what it would give back.
//!
//! Why bins with locks and not slabs owned by threads: a lock for a batch of up to 64 blocks costs less than a
//! compare-exchange a block, there is no slab whose owner has gone, memory that another thread freed is usable by all
//! at once, and the common free need not read who owns what.
//!
//! A free block's number and its metadata word make the free list (word.rs); nothing is ever written into a block.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use super::cache::Entry;
use super::lock::{Guard, OwnerLock};
use super::lookup;
use super::pool;
use super::segment::{Segment, Unit};
use super::size_class::{CLASSES, TABLE};

/// Arenas that there can be.
pub(super) const ARENAS: usize = 16;

/// The first slab of a bin.
pub(super) struct List {
    first: AtomicPtr<Unit>,
}

/// All bins.
pub(super) static BINS: [[OwnerLock<List>; CLASSES]; ARENAS] =
    [const { [const { OwnerLock::new(List { first: AtomicPtr::new(null_mut()) }) }; CLASSES] }; ARENAS];

fn bin(arena: u8, class: usize) -> Option<Guard<'static, List>> {
    BINS[usize::from(arena) % ARENAS][class].lock()
}

/// Fills the front of `into` with free blocks of `class`; returns how many it got: 0 only when there is no memory.
pub(super) fn refill(arena: u8, class: usize, into: &mut [Entry]) -> usize {
    let others = (0..ARENAS as u8).map(|further| (arena + further) % ARENAS as u8);
    let Some((arena, list)) =
        others.map(|arena| (arena, bin(arena, class))).find_map(|(arena, list)| Some((arena, list?)))
    else {
        return 0;
    };
    let mut got = 0;
    while let Some(rest) = into.get_mut(got..).filter(|rest| !rest.is_empty()) {
        let slab = match list.first() {
            Some(slab) => slab,
            // What was got is enough: a new slab is only cut when there is nothing.
            None if got > 0 => break,
            None => match new_slab(arena, class) {
                Some(slab) => {
                    list.link(slab);
                    slab
                }
                None => break,
            },
        };
        got += pop(slab, rest);
        if slab.list.free.load(Relaxed) == slab.capacity.load(Relaxed) {
            list.unlink(slab);
        }
    }
    got
}

fn new_slab(arena: u8, class: usize) -> Option<&'static Unit> {
    let units = usize::from(TABLE[class].units);
    pool::take(units, 1, |run| run.segment.make_slab(run.first, class, arena, run.clean))
}

/// Takes free blocks from a slab.
fn pop(slab: &'static Unit, into: &mut [Entry]) -> usize {
    let base = slab.base.load(Relaxed);
    let block_size = slab.block_size.load(Relaxed) as usize;
    let capacity = slab.capacity.load(Relaxed);
    let mut index = slab.list.free.load(Relaxed);
    let mut got = 0;
    let mut furthest = 0;
    for entry in into {
        if index >= capacity {
            break;
        }
        // SAFETY: below the capacity, which is at most WIDE.
        let slot = unsafe { slab.slot(index as usize) };
        *entry = Entry { block: base + index as usize * block_size, slot };
        furthest = furthest.max(index as usize);
        index = slot.load().next(index).min(capacity);
        got += 1;
    }
    slab.note_used(furthest);
    slab.list.free.store(index, Relaxed);
    slab.list.used.store(slab.list.used.load(Relaxed) + got as u32, Relaxed);
    got
}

/// Gives free blocks of `class` back to their slabs. Returns how many it could not, which are then the first of
/// `blocks`.
pub(super) fn flush(class: usize, blocks: &mut [Entry]) -> usize {
    let mut held: Option<(u8, Option<Guard<'static, List>>)> = None;
    let mut kept = 0;
    for index in 0..blocks.len() {
        let Some(entry) = blocks.get(index).copied() else { break };
        // Only blocks of slabs come here, and a slab with a block out stays.
        let Some((segment, unit)) = lookup::unit(entry.block) else { continue };
        let slab = unit.head();
        let arena = slab.arena.load(Relaxed);
        if held.as_ref().is_none_or(|(of, _)| *of != arena) {
            // The old lock goes first: two bins are never held together.
            drop(held.take());
            held = Some((arena, bin(arena, class)));
        }
        match &held {
            Some((_, Some(list))) => push(list, segment, slab, &entry),
            _ => {
                if let Some(place) = blocks.get_mut(kept) {
                    *place = entry;
                    kept += 1;
                }
            }
        }
    }
    kept
}

fn push(list: &List, segment: &'static Segment, slab: &'static Unit, entry: &Entry) {
    let index = entry.slot.number() as u32;
    let free = slab.list.free.load(Relaxed);
    entry.slot.store_wide(entry.slot.load().linked(index, free));
    slab.list.free.store(index, Relaxed);
    let used = slab.list.used.load(Relaxed) - 1;
    slab.list.used.store(used, Relaxed);
    if !slab.list.listed.load(Relaxed) {
        list.link(slab);
    }
    if used == 0 && !(list.is_only(slab) && slab.units.load(Relaxed) == 1) {
        list.unlink(slab);
        pool::give(segment, segment.number(slab), usize::from(slab.units.load(Relaxed)));
    }
}

/// Gives every slab without a block in use back to the pool.
pub(super) fn trim() {
    for bins in &BINS {
        for bin in bins {
            let Some(list) = bin.lock() else { continue };
            let mut at = list.first();
            while let Some(slab) = at {
                // SAFETY: as in `first`.
                at = unsafe { slab.list.next.load(Relaxed).as_ref() };
                if slab.list.used.load(Relaxed) == 0 {
                    list.unlink(slab);
                    if let Some((segment, _)) = lookup::unit(slab.base.load(Relaxed)) {
                        pool::give(segment, segment.number(slab), usize::from(slab.units.load(Relaxed)));
                    }
                }
            }
        }
    }
}

impl List {
    fn first(&self) -> Option<&'static Unit> {
        // SAFETY: descriptors are never unmapped (segment.rs).
        unsafe { self.first.load(Relaxed).as_ref() }
    }

    fn is_only(&self, slab: &Unit) -> bool {
        slab.list.previous.load(Relaxed).is_null() && slab.list.next.load(Relaxed).is_null()
    }

    fn link(&self, slab: &'static Unit) {
        let this = core::ptr::from_ref(slab).cast_mut();
        let next = self.first.load(Relaxed);
        slab.list.next.store(next, Relaxed);
        slab.list.previous.store(null_mut(), Relaxed);
        // SAFETY: as in `first`.
        if let Some(next) = unsafe { next.as_ref() } {
            next.list.previous.store(this, Relaxed);
        }
        self.first.store(this, Relaxed);
        slab.list.listed.store(true, Relaxed);
    }

    fn unlink(&self, slab: &'static Unit) {
        let (previous, next) = (slab.list.previous.load(Relaxed), slab.list.next.load(Relaxed));
        // SAFETY: as in `first`.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.list.next.store(next, Relaxed),
            None => self.first.store(next, Relaxed),
        }
        // SAFETY: as in `first`.
        if let Some(next) = unsafe { next.as_ref() } {
            next.list.previous.store(previous, Relaxed);
        }
        slab.list.listed.store(false, Relaxed);
    }
}

/// In a forked child: the bins whose lock a thread held that did not come along are made anew. Calls `renewed` with the
/// arena and the class of each, of which no slab has a free block then.
pub(super) fn after_fork_in_child(mut renewed: impl FnMut(u8, usize)) {
    for (arena, bins) in BINS.iter().enumerate() {
        for (class, bin) in bins.iter().enumerate() {
            if bin.free_of_others()
                && let Some(list) = bin.lock()
            {
                list.first.store(null_mut(), Relaxed);
                drop(list);
                renewed(arena as u8, class);
            }
        }
    }
}

/// In a forked child: finds the free blocks of a slab of a bin that was made anew, by their words. No cache may hold
/// any of them.
pub(super) fn recover(slab: &'static Unit) {
    let class = usize::from(slab.class.load(Relaxed));
    let Some(list) = bin(slab.arena.load(Relaxed), class) else { return };
    let mut next = slab.used_words();
    let mut live = 0;
    for index in (0..next).rev() {
        // SAFETY: below the capacity: only words of blocks that were handed out are counted as used.
        let slot = unsafe { slab.slot(index as usize) };
        let found = slot.load();
        if found.is_live() {
            live += 1;
        } else {
            slot.store_wide(found.linked(index, next));
            next = index;
        }
    }
    slab.list.free.store(next, Relaxed);
    slab.list.used.store(live, Relaxed);
    slab.list.listed.store(false, Relaxed);
    if next < slab.capacity.load(Relaxed) {
        list.link(slab);
    }
}

/// As [`recover`], where a cache may hold some of them: none is handed out before it was freed anew.
pub(super) fn lose_free(slab: &'static Unit) {
    let capacity = slab.capacity.load(Relaxed);
    slab.list.free.store(capacity, Relaxed);
    slab.list.used.store(capacity, Relaxed);
    slab.list.listed.store(false, Relaxed);
}

/// How many arenas this machine's threads share: one a CPU that the process may run on.
pub(super) fn arenas() -> usize {
    crate::sys::process::cpus().clamp(1, ARENAS)
}
