//! The bins: where thread caches get blocks from and give them back to, many at a time.
//!
//! Vocabulary: an *arena* is a set of bins, one a class; a thread uses the arena that it was given, and a block goes
//! back to the arena of its slab, whoever frees it. A *bin* is the list of an arena's slabs of one class that have a
//! free block; slabs without one are in no list and are found again by the address of a block.
//!
//! Contract: one lock a bin, held while a batch is moved; the pool's lock is taken behind it.
//!
//! Why bins with locks and not slabs owned by threads: a lock for a batch of up to 64 blocks costs less than a
//! compare-exchange a block, there is no slab whose owner has gone, memory that another thread freed is usable by all
//! at once, and the common free need not read who owns what.
//!
//! A free block's number and its metadata word make the free list (word.rs); nothing is ever written into a block.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use crate::base::lock::{Guard, Lock};

use super::cache::Entry;
use super::lookup;
use super::pool;
use super::segment::{Segment, Unit};
use super::size_class::{CLASSES, TABLE};
use super::word::Word;

/// Arenas that there can be.
pub(super) const ARENAS: usize = 16;

/// The first slab of a bin.
pub(super) struct List {
    first: AtomicPtr<Unit>,
}

/// All bins.
pub(super) static BINS: [[Lock<List>; CLASSES]; ARENAS] =
    [const { [const { Lock::new(List { first: AtomicPtr::new(null_mut()) }) }; CLASSES] }; ARENAS];

fn bin(arena: u8, class: usize) -> Guard<'static, List> {
    BINS[usize::from(arena) % ARENAS][class].lock()
}

/// Fills the front of `into` with free blocks of `class`; returns how many it got: 0 only when there is no memory.
pub(super) fn refill(arena: u8, class: usize, into: &mut [Entry]) -> usize {
    let list = bin(arena, class);
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
        let word = unsafe { slab.word(index as usize) };
        *entry = Entry { block: base + index as usize * block_size, word: core::ptr::from_ref(word) };
        furthest = furthest.max(index as usize);
        index = Word(word.load(Relaxed)).next(index).min(capacity);
        got += 1;
    }
    slab.note_used(furthest);
    slab.list.free.store(index, Relaxed);
    slab.list.used.store(slab.list.used.load(Relaxed) + got as u32, Relaxed);
    got
}

/// Gives free blocks of `class` back to their slabs.
pub(super) fn flush(class: usize, blocks: &[Entry]) {
    let mut held: Option<(u8, Guard<'static, List>)> = None;
    for entry in blocks {
        // Only blocks of slabs come here, and a slab with a block out stays.
        let Some((segment, unit)) = lookup::unit(entry.block) else { continue };
        let slab = unit.head();
        let arena = slab.arena.load(Relaxed);
        if held.as_ref().is_none_or(|(of, _)| *of != arena) {
            // The old lock goes first: two bins are never held together.
            drop(held.take());
            held = Some((arena, bin(arena, class)));
        }
        if let Some((_, list)) = &held {
            push(list, segment, slab, entry);
        }
    }
}

fn push(list: &List, segment: &'static Segment, slab: &'static Unit, entry: &Entry) {
    let index = (entry.word.addr() - slab.words.load(Relaxed).addr()) / size_of::<AtomicU64>();
    // SAFETY: the number of a block of this slab.
    let word = unsafe { slab.word(index) };
    let free = slab.list.free.load(Relaxed);
    word.store(Word(word.load(Relaxed)).linked(index as u32, free).0, Relaxed);
    slab.list.free.store(index as u32, Relaxed);
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
            let list = bin.lock();
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

/// Takes every bin's lock, before fork(2).
pub(super) fn lock_all() {
    for bin in BINS.as_flattened() {
        core::mem::forget(bin.lock());
    }
}

/// Frees every bin's lock.
///
/// # Safety
///
/// - The calling thread, or in a forked child the thread that it is a copy of, took them by [`lock_all`].
pub(super) unsafe fn unlock_all() {
    for bin in BINS.as_flattened() {
        // SAFETY: the caller's duty.
        unsafe { bin.force_unlock() };
    }
}

/// How many arenas this machine's threads share: one a CPU that the process may run on.
pub(super) fn arenas() -> usize {
    crate::sys::process::cpus().clamp(1, ARENAS)
}
