//! The pool of units: which runs of units are free, and when memory goes back to the system.
//!
//! Contract: one lock, taken behind a bin's lock or alone, held over a few bit operations and at worst over the system
//! calls that map, unmap and discard memory. A signal handler that has interrupted its holder gets no units; what it
//! gives is taken in by the next holder.
//!
//! Purging: free units keep their contents (and their pages) until more than a bound of them is dirty; then half of them
//! are discarded, in runs, together with their metadata. Whoever needs units gets dirty ones as long as there are
//! any that fit: clean ones would become resident beside them. A segment of which every unit is free is
//! unmapped when there is another such segment: the one that is kept stops a program that allocates and frees around a
//! border from mapping and unmapping all the time.
//!
//! Huge pages: a heap that has outgrown [`SMALL_HEAP`] asks for them in each further segment: fewer misses of the address
//! translation for the program and for a scan, fewer entries for a fork to copy. A segment of which something was
//! discarded asks for none any more, or khugepaged would fill the holes again. [`do_without_huge_pages`] ends all that.

use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::mem;

use super::lock::{Guard, OwnerLock};
use super::lookup::{self, Entry, decode};
use super::mapping::{self, advise_huge, discard, map_aligned, unmap};
use super::radix::{Leaf, Radix, STEP};
use super::segment::{Segment, UNITS, Unit, mask};
use super::size_class::UNIT;

/// What the heap has at an address: 0, a [`Segment`], or a large block's descriptor with bit 0 set.
pub(super) static RADIX: Radix = Radix::new();

/// See [`Pool`].
pub(super) static POOL: OwnerLock<Pool> = OwnerLock::new(Pool { spare: None, dirty: 0, mapped: 0, empty: 0 });

/// Runs of units that a signal handler gave back while its thread held the lock: the next holder takes them in.
static LATER: AtomicPtr<Unit> = AtomicPtr::new(null_mut());

/// The segments with free units. Changed under the pool's lock.
static FIRST: AtomicPtr<Segment> = AtomicPtr::new(null_mut());

/// Bytes of data in segments, for statistics.
pub(super) static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// What the lock protects, beside the segments' own fields.
pub(super) struct Pool {
    /// Areas without data.
    spare: Option<&'static Segment>,
    /// Units that are free and dirty.
    dirty: usize,
    /// Units in all.
    mapped: usize,
    /// Segments of which every unit is free.
    empty: usize,
}

/// Dirty units that are always kept: a MiB. glibc keeps an eighth of that at the top of its heap, but cannot give back
/// what lies below.
const KEEP_DIRTY: usize = 16;
/// Of more units than those a part: one in so many.
const KEEP_DIRTY_OF: usize = 32;

/// Segments that are asked for dirty units before any units are taken.
const ASKED: usize = 64;

/// Units of a heap that is served by small pages: below 32 MiB a huge page that is half used costs more than it saves.
const SMALL_HEAP: usize = 8 * UNITS;
/// From so many units on segments stay as they are: each that differs from its neighbours is a mapping more, and the
/// program needs some of the 65530 that it may have (vm.max_map_count).
const MANY: usize = 2048 * UNITS;

/// A run of units that the caller has.
pub(super) struct Run {
    pub(super) segment: &'static Segment,
    pub(super) first: usize,
    /// Every byte is zero.
    pub(super) clean: bool,
}

/// A mapping of a zeroed table for the radix tree.
pub(super) fn new_leaf() -> Option<*mut Leaf> {
    mem::map_own_reserved(size_of::<Leaf>()).ok().map(|start| start.cast::<Leaf>().as_ptr())
}

/// Waits for the lock. `None`: the calling thread holds it already.
fn lock() -> Option<Guard<'static, Pool>> {
    let mut pool = POOL.lock()?;
    if !LATER.load(Relaxed).is_null() {
        let mut at = LATER.swap(null_mut(), Acquire);
        // SAFETY: descriptors are never unmapped (segment.rs).
        while let Some(unit) = unsafe { at.as_ref() } {
            at = unit.list.next.load(Relaxed);
            if let Some((segment, unit)) = lookup::unit(unit.base.load(Relaxed)) {
                pool.release(segment, segment.number(unit), usize::from(unit.units.load(Relaxed)));
            }
        }
    }
    Some(pool)
}

/// From now on the heap has no huge pages: it asks for none, and tells the kernel to give none where all mappings have
/// them (/sys/kernel/mm/transparent_hugepage/enabled: always). At the start; of large blocks only those to come.
pub fn do_without_huge_pages() {
    mapping::forbid_huge();
    let Some(_pool) = lock() else { return };
    RADIX.for_each(|_, entry| {
        if let Entry::Segment(segment) = decode(entry) {
            advise_huge(segment.base.load(Relaxed), segment.count.load(Relaxed) as usize * UNIT, false);
            segment.huge.store(false, Relaxed);
        }
    });
}

/// Takes `count` units (at most [`UNITS`]) whose first is a multiple of `align` units; `make` cuts them under the lock.
pub(super) fn take(
    count: usize,
    align: usize,
    make: impl FnOnce(Run) -> &'static Unit,
) -> Option<&'static Unit> {
    let mut pool = lock()?;
    let (segment, first) = match find(count, align, pool.dirty) {
        Some(found) => found,
        None => {
            let segment = pool.grow(count)?;
            (segment, 0)
        }
    };
    let clean = pool.claim(segment, first, count);
    Some(make(Run { segment, first, clean }))
}

/// Gives `count` units back.
pub(super) fn give(segment: &'static Segment, first: usize, count: usize) {
    if let Some(mut pool) = lock() {
        return pool.release(segment, first, count);
    }
    let unit = &segment.units[first];
    unit.units.store(count as u8, Relaxed);
    unit.base.store(segment.base.load(Relaxed) + first * UNIT, Relaxed);
    let mut newest = LATER.load(Relaxed);
    loop {
        unit.list.next.store(newest, Relaxed);
        let this = core::ptr::from_ref(unit).cast_mut();
        match LATER.compare_exchange_weak(newest, this, Release, Relaxed) {
            Ok(_) => return,
            Err(now) => newest = now,
        }
    }
}

/// In a forked child: when a thread that did not come along was inside, free units are forgotten: which they are is
/// only half written. What is given back from now on is taken.
pub(super) fn after_fork_in_child() {
    if !POOL.free_of_others() {
        return;
    }
    let Some(mut pool) = POOL.lock() else { return };
    *pool = Pool { spare: None, dirty: 0, mapped: pool.mapped, empty: 0 };
    FIRST.store(null_mut(), Relaxed);
    RADIX.for_each(|_, entry| {
        if let Entry::Segment(segment) = decode(entry) {
            // What a free unit was once must not be taken for a slab now that it does not count as free.
            segment.clear_heads(segment.free.load(Relaxed));
            segment.free.store(0, Relaxed);
            segment.dirty.store(0, Relaxed);
            segment.listed.store(false, Relaxed);
        }
    });
}

/// Lengthens a run that ends before unit `end` by `count` units, when they are free; `change` publishes it under the
/// lock. Says whether that was done.
pub(super) fn extend(segment: &'static Segment, end: usize, count: usize, change: impl FnOnce()) -> bool {
    if end + count > UNITS {
        return false;
    }
    let Some(mut pool) = lock() else { return false };
    let wanted = mask(end, count);
    if segment.free.load(Relaxed) & wanted != wanted {
        return false;
    }
    pool.claim(segment, end, count);
    change();
    true
}

/// Discards all free memory and unmaps what is wholly free. Says whether there was any.
pub(super) fn trim() -> bool {
    let Some(mut pool) = lock() else { return false };
    let before = pool.dirty + pool.empty;
    pool.purge(0);
    let mut at = first();
    while let Some(segment) = at {
        at = next(segment);
        if segment.free.load(Relaxed) == segment.all() {
            pool.remove(segment);
        }
    }
    before > 0
}

fn first() -> Option<&'static Segment> {
    // SAFETY: descriptors are never unmapped (segment.rs).
    unsafe { FIRST.load(Relaxed).as_ref() }
}

fn next(segment: &Segment) -> Option<&'static Segment> {
    // SAFETY: descriptors are never unmapped (segment.rs).
    unsafe { segment.next.load(Relaxed).as_ref() }
}

/// A run that fits: a dirty one if one of the first segments has any, which costs no page faults and no memory; else the
/// first.
fn find(count: usize, align: usize, dirty: usize) -> Option<(&'static Segment, usize)> {
    let aligned = every(align);
    let mut any = None;
    let mut asked = if dirty >= count { ASKED } else { 0 };
    let mut at = first();
    while let Some(segment) = at {
        let free = segment.free.load(Relaxed);
        let dirty = run_starts(segment.dirty.load(Relaxed) & free, count) & aligned;
        if dirty != 0 {
            return Some((segment, dirty.trailing_zeros() as usize));
        }
        let starts = run_starts(free, count) & aligned;
        if starts != 0 && any.is_none() {
            any = Some((segment, starts.trailing_zeros() as usize));
        }
        if any.is_some() && asked == 0 {
            break;
        }
        asked = asked.saturating_sub(1);
        at = next(segment);
    }
    any
}

/// Bit i is set when bits i..i + count of `free` are.
fn run_starts(free: u64, count: usize) -> u64 {
    let mut starts = free;
    let mut have = 1;
    while have < count {
        let step = have.min(count - have);
        starts &= starts >> step;
        have += step;
    }
    starts
}

/// Every `align`-th bit.
fn every(align: usize) -> u64 {
    match align {
        0 | 1 => u64::MAX,
        _ => (0..64).step_by(align).fold(0, |bits, bit| bits | 1 << bit),
    }
}

impl Pool {
    fn claim(&mut self, segment: &'static Segment, first: usize, count: usize) -> bool {
        let taken = mask(first, count);
        let free = segment.free.load(Relaxed);
        if free == segment.all() {
            self.empty -= 1;
        }
        let dirty = segment.dirty.load(Relaxed);
        // While they are free: a process forked from here on finds no slab of old among units that are not.
        segment.clear_heads(taken);
        segment.free.store(free & !taken, Release);
        segment.dirty.store(dirty & !taken, Relaxed);
        self.dirty -= (dirty & taken).count_ones() as usize;
        if free & !taken == 0 {
            unlink(segment);
        }
        dirty & taken == 0
    }

    fn release(&mut self, segment: &'static Segment, first: usize, count: usize) {
        let given = mask(first, count);
        let free = segment.free.load(Relaxed) | given;
        segment.free.store(free, Relaxed);
        segment.dirty.store(segment.dirty.load(Relaxed) | given, Relaxed);
        self.dirty += count;
        if !segment.listed.load(Relaxed) {
            link(segment);
        }
        if free == segment.all() {
            self.empty += 1;
            if self.empty > 1 {
                self.remove(segment);
            }
        }
        let bound = KEEP_DIRTY.max(self.mapped / KEEP_DIRTY_OF);
        if self.dirty > bound {
            self.purge(bound / 2);
        }
    }

    /// Maps a segment with at least `count` units; smaller ones when the kernel gives no whole one.
    fn grow(&mut self, count: usize) -> Option<&'static Segment> {
        let segment = match self.spare {
            Some(segment) => segment,
            None => Segment::map()?,
        };
        // Kept as a spare until all that can fail is done.
        let behind = next(segment);
        if self.spare.is_none() {
            self.spare = Some(segment);
        }
        let (base, units) = [UNITS, 16, 8, 1]
            .into_iter()
            .filter(|units| *units >= count)
            .find_map(|units| Some((map_aligned(units * UNIT, STEP)?, units)))?;
        if !RADIX.prepare(base, STEP, new_leaf) {
            unmap(base, units * UNIT);
            return None;
        }
        let huge = units == UNITS && self.mapped >= SMALL_HEAP;
        segment.huge.store(huge && advise_huge(base, units * UNIT, true), Relaxed);
        self.spare = behind;
        segment.next.store(null_mut(), Relaxed);
        segment.base.store(base, Relaxed);
        segment.count.store(units as u32, Relaxed);
        segment.free.store(mask(0, units), Relaxed);
        segment.dirty.store(0, Relaxed);
        self.mapped += units;
        self.empty += 1;
        MAPPED.fetch_add(units * UNIT, Relaxed);
        link(segment);
        RADIX.set(base, STEP, core::ptr::from_ref(segment).expose_provenance());
        Some(segment)
    }

    /// Unmaps a segment of which every unit is free.
    fn remove(&mut self, segment: &'static Segment) {
        unlink(segment);
        let (base, units) = (segment.base.load(Relaxed), segment.count.load(Relaxed) as usize);
        RADIX.set(base, STEP, 0);
        unmap(base, units * UNIT);
        self.dirty -= segment.dirty.load(Relaxed).count_ones() as usize;
        self.mapped -= units;
        self.empty -= 1;
        MAPPED.fetch_sub(units * UNIT, Relaxed);
        let metadata = segment.metadata();
        let zeroed = discard(metadata.start.get(), metadata.len());
        for unit in &segment.units {
            unit.clear(0);
            if zeroed {
                unit.list.compact_used.store(0, Relaxed);
                unit.list.wide_used.store(0, Relaxed);
            }
        }
        segment.base.store(0, Relaxed);
        segment.count.store(0, Relaxed);
        segment
            .next
            .store(self.spare.map_or(null_mut(), |spare| core::ptr::from_ref(spare).cast_mut()), Relaxed);
        self.spare = Some(segment);
    }

    /// Discards dirty units until no more than `kept` are left.
    fn purge(&mut self, kept: usize) {
        let mut at = first();
        while let Some(segment) = at
            && self.dirty > kept
        {
            at = next(segment);
            let mut left = segment.dirty.load(Relaxed);
            if left != 0 && segment.huge.load(Relaxed) && self.mapped < MANY {
                segment.huge.store(!advise_huge(segment.base.load(Relaxed), UNITS * UNIT, false), Relaxed);
            }
            while left != 0 {
                let first = left.trailing_zeros() as usize;
                let count = (left >> first).trailing_ones() as usize;
                let run = mask(first, count);
                left &= !run;
                if discard(segment.base.load(Relaxed) + first * UNIT, count * UNIT) {
                    segment.dirty.store(segment.dirty.load(Relaxed) & !run, Relaxed);
                    self.dirty -= count;
                    purge_metadata(segment, first, count);
                }
            }
        }
    }
}

/// Discards the wide metadata of free units.
fn purge_metadata(segment: &Segment, first: usize, count: usize) {
    let units = segment.units.iter().skip(first).take(count);
    if units.clone().all(|unit| unit.list.wide_used.load(Relaxed) == 0) {
        return;
    }
    let metadata = segment.wide_metadata(first, count);
    if discard(metadata.start.get(), metadata.len()) {
        units.for_each(|unit| unit.list.wide_used.store(0, Relaxed));
    }
}

fn link(segment: &'static Segment) {
    let this = core::ptr::from_ref(segment).cast_mut();
    let behind = FIRST.load(Relaxed);
    segment.next.store(behind, Relaxed);
    segment.previous.store(null_mut(), Relaxed);
    // SAFETY: descriptors are never unmapped (segment.rs).
    if let Some(behind) = unsafe { behind.as_ref() } {
        behind.previous.store(this, Relaxed);
    }
    FIRST.store(this, Relaxed);
    segment.listed.store(true, Relaxed);
}

fn unlink(segment: &'static Segment) {
    let (previous, next) = (segment.previous.load(Relaxed), segment.next.load(Relaxed));
    // SAFETY: descriptors are never unmapped (segment.rs).
    match unsafe { previous.as_ref() } {
        Some(previous) => previous.next.store(next, Relaxed),
        None => FIRST.store(next, Relaxed),
    }
    // SAFETY: as above.
    if let Some(next) = unsafe { next.as_ref() } {
        next.previous.store(previous, Relaxed);
    }
    segment.listed.store(false, Relaxed);
}
