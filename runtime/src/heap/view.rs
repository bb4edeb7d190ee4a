//! The heap as the scanner sees it in the stopped world.
//!
//! Contract: made and used while nobody changes the heap. Made from the radix table and the words alone, never from
//! lists, which a stopped thread may have left half done. Takes no lock. Making one writes the blocks' numbers into the
//! descriptors, so there is one view at a time.
//!
//! Numbers: each slab, span and large block gets as many as it has blocks, rounded up to a multiple of
//! [`GROUP`]. So a number finds its slab by one table lookup.
//!
//! The other way, from an address to a number, goes through a table of our own ([`unit_table`](super::unit_table)): a
//! marker asks for places all over the heap, and of the descriptors' lines only a part would stay in the CPU's cache.

use core::sync::atomic::Ordering::Relaxed;

use crate::base::{Addr, AddrRange, Errno};
use crate::mem::MapVec;

use super::large::Large;
use super::lookup::{self, Entry, decode};
use super::pool::RADIX;
use super::provider::{Census, Chunk, ChunkId, GROUP, Place, Provider, Scope, Slack};
use super::radix::STEP;
use super::segment::{Segment, UNITS, Unit};
use super::size_class::{self, SPAN_CLASS, TABLE, UNIT};
use super::unit_table::{UnitEntry, UnitTable};
use super::word::{Slot, Word};

/// Where a group of numbers belongs.
#[derive(Clone, Copy)]
enum Owner {
    Unit(&'static Unit),
    Large(&'static Large),
}

/// As many numbers as a view made at this moment would have, or a few more or less where threads are at work.
pub fn numbers_now() -> usize {
    let mut blocks = 0;
    RADIX.for_each(|step, entry| match decode(entry) {
        Entry::Nothing => {}
        Entry::Segment(segment) => {
            let capacities = segment.units.iter().map(|unit| unit.capacity.load(Relaxed) as usize);
            blocks += capacities.map(|capacity| capacity.next_multiple_of(GROUP)).sum::<usize>();
        }
        Entry::Large(large) => blocks += if large.base.load(Relaxed) == step { GROUP } else { 0 },
    });
    blocks
}

/// See the module.
pub struct HeapView {
    groups: MapVec<Owner>,
    units: UnitTable,
    bounds: AddrRange,
    /// Blocks and free memory.
    own: MapVec<AddrRange>,
    /// Where the heap keeps what it knows of them.
    records: MapVec<AddrRange>,
}

impl HeapView {
    /// Makes the view. Fails when there is no memory for it (16 bytes for 64 blocks), or when the heap has more than
    /// 2^32 blocks (EOVERFLOW).
    pub fn new() -> Result<HeapView, Errno> {
        let empty = AddrRange::new(Addr::new(usize::MAX), Addr::NULL);
        let mut view = HeapView {
            groups: MapVec::new(),
            units: UnitTable::empty(),
            bounds: empty,
            own: MapVec::new(),
            records: MapVec::new(),
        };
        let mut result = Ok(());
        RADIX.for_each(|step, entry| {
            if result.is_ok() {
                result = view.add(step, entry);
            }
        });
        result?;
        if view.bounds.is_empty() {
            view.bounds = AddrRange::default();
        }
        Ok(view)
    }

    /// Makes the table for [`Provider::place`], which knows nothing without it: markers then ask the heap itself for each
    /// address, which costs a miss or two of the cache more. Does without where there is no memory for it.
    pub fn index(&mut self) {
        self.units =
            UnitTable::new(self.bounds, |each| self.for_each_run(each)).unwrap_or(UnitTable::empty());
    }

    /// Calls `each` for each slab and each span: its first address, its units, and what the table has for the first.
    fn for_each_run(&self, each: &mut dyn FnMut(usize, usize, UnitEntry)) {
        self.for_each_unit(|unit| {
            let class = unit.class.load(Relaxed);
            let units = usize::from(unit.units.load(Relaxed));
            let count = if class == SPAN_CLASS { units as u32 } else { unit.capacity.load(Relaxed) };
            let entry =
                UnitEntry { ordinal: unit.ordinal.load(Relaxed), count: count as u16, class, back: 0 };
            each(unit.base.load(Relaxed), units, entry);
        });
    }

    /// Calls `each` for the head of each slab and each span.
    fn for_each_unit(&self, mut each: impl FnMut(&'static Unit)) {
        let mut before: *const Unit = core::ptr::null();
        for owner in self.groups.iter() {
            // A unit has several groups, which follow each other.
            if let Owner::Unit(unit) = owner
                && !core::ptr::eq(before, *unit)
            {
                before = *unit;
                each(unit);
            }
        }
    }

    fn add(&mut self, step: usize, entry: usize) -> Result<(), Errno> {
        match decode(entry) {
            Entry::Nothing => Ok(()),
            Entry::Segment(segment) => self.add_segment(segment),
            // Entered for each of its steps; counted at the first.
            Entry::Large(large) if large.base.load(Relaxed) == step => self.add_large(large),
            Entry::Large(_) => Ok(()),
        }
    }

    fn add_segment(&mut self, segment: &'static Segment) -> Result<(), Errno> {
        let data = segment.data();
        self.own.push(data)?;
        self.records.push(segment.area())?;
        self.cover(data);
        for unit in &segment.units {
            let capacity = unit.capacity.load(Relaxed) as usize;
            if capacity > 0 {
                unit.ordinal.store(self.number(capacity, Owner::Unit(unit))?, Relaxed);
            }
        }
        Ok(())
    }

    fn add_large(&mut self, large: &'static Large) -> Result<(), Errno> {
        let data = AddrRange::sized(Addr::new(large.base.load(Relaxed)), large.mapped.load(Relaxed));
        self.own.push(data)?;
        if large.slot().load().is_live() {
            self.cover(data);
            large.ordinal.store(self.number(1, Owner::Large(large))?, Relaxed);
        }
        Ok(())
    }

    fn cover(&mut self, range: AddrRange) {
        self.bounds.start = self.bounds.start.min(range.start);
        self.bounds.end = self.bounds.end.max(range.end);
    }

    fn number(&mut self, blocks: usize, owner: Owner) -> Result<u32, Errno> {
        let first = self.groups.len() * GROUP;
        for _ in 0..blocks.div_ceil(GROUP) {
            self.groups.push(owner)?;
        }
        u32::try_from(first + blocks).map_err(|_| Errno::new(libc::EOVERFLOW))?;
        Ok(first as u32)
    }

    /// The live block that contains `addr`: its number and its bytes.
    #[inline(always)]
    fn at(&self, addr: usize) -> Option<(ChunkId, AddrRange)> {
        let (base, size, number) = match lookup::entry(addr) {
            Entry::Nothing => return None,
            Entry::Segment(segment) => {
                let head = segment.units[addr % STEP / UNIT % UNITS].head();
                let (index, base) = head.block(addr)?;
                // SAFETY: `block` gives numbers below the capacity.
                let word = unsafe { head.slot(index) }.load();
                if !word.is_live() {
                    return None;
                }
                (base, word.size(), head.ordinal.load(Relaxed) + index as u32)
            }
            Entry::Large(large) => {
                if !large.slot().load().is_live() {
                    return None;
                }
                (large.base.load(Relaxed), large.size.load(Relaxed), large.ordinal.load(Relaxed))
            }
        };
        (addr.wrapping_sub(base) < size).then(|| (ChunkId(number), AddrRange::sized(Addr::new(base), size)))
    }

    /// Writes `change` of each live block's word in its place; only while nobody else changes the heap.
    fn rewrite(&self, change: impl Fn(Word) -> Word) {
        let word_of = |slot: Slot| {
            let old = slot.load();
            if old.is_live() {
                let new = change(old);
                // Pages of metadata that need no change are not written to.
                if new != old {
                    slot.store_wide(new);
                }
            }
        };
        self.for_each_unit(|unit| {
            for index in 0..unit.capacity.load(Relaxed) as usize {
                // SAFETY: below the capacity.
                word_of(unsafe { unit.slot(index) });
            }
        });
        for owner in self.groups.iter() {
            if let Owner::Large(large) = owner {
                word_of(large.slot());
            }
        }
    }

    /// A baseline: every live block is a baseline older. A thread that stands between reading and writing a word may
    /// write the old age later: its block then counts as allocated after the baseline.
    pub fn grow_older(&self) {
        self.rewrite(Word::aged);
    }

    /// Blocks of each scope belong to the one that `to` says from now on.
    pub fn move_scopes(&self, to: impl Fn(Scope) -> Scope) {
        self.rewrite(|word| word.moved_to(to(word.scope())));
    }

    fn of(&self, owner: Owner, id: ChunkId) -> Option<(usize, usize, Word)> {
        match owner {
            Owner::Unit(unit) => {
                let index = id.0.wrapping_sub(unit.ordinal.load(Relaxed));
                if index >= unit.capacity.load(Relaxed) {
                    return None;
                }
                // SAFETY: below the capacity.
                let word = unsafe { unit.slot(index as usize) }.load();
                let base = unit.base.load(Relaxed) + index as usize * unit.block_size.load(Relaxed) as usize;
                Some((base, word.size(), word))
            }
            Owner::Large(large) => {
                let word = large.slot().load();
                Some((large.base.load(Relaxed), large.size.load(Relaxed), word))
            }
        }
    }
}

impl Provider for HeapView {
    fn bounds(&self) -> AddrRange {
        self.bounds
    }

    fn ranges(&self, each: &mut dyn FnMut(AddrRange)) {
        self.own.iter().copied().for_each(each);
    }

    fn records(&self, each: &mut dyn FnMut(AddrRange)) {
        self.records.iter().copied().for_each(each);
    }

    fn slots(&self) -> usize {
        self.groups.len() * GROUP
    }

    #[inline]
    fn find(&self, addr: Addr) -> Option<ChunkId> {
        self.at(addr.get()).map(|(id, _)| id)
    }

    #[inline]
    fn chunk(&self, id: ChunkId) -> Chunk {
        let owner = self.groups.get(id.index() / GROUP);
        let (base, size, word) = owner.and_then(|owner| self.of(*owner, id)).unwrap_or((0, 0, Word::NEVER));
        lookup::chunk(base, size, word)
    }

    fn live(&self, id: ChunkId) -> Option<AddrRange> {
        let (base, size, word) = self.of(*self.groups.get(id.index() / GROUP)?, id)?;
        word.is_live().then(|| AddrRange::sized(Addr::new(base), size))
    }

    fn for_each(&self, each: &mut dyn FnMut(ChunkId, Chunk)) {
        for (group, owner) in self.groups.iter().enumerate() {
            let first = (group * GROUP) as u32;
            // Blocks that were never used have words that were never touched: reading them would make them resident.
            let numbers = match owner {
                Owner::Unit(unit) => (unit.ordinal.load(Relaxed) + unit.used_words()).saturating_sub(first),
                Owner::Large(_) => 1,
            };
            for number in 0..numbers.min(GROUP as u32) {
                let id = ChunkId(first + number);
                match self.of(*owner, id) {
                    Some((base, size, word)) if word.is_live() => each(id, lookup::chunk(base, size, word)),
                    Some(_) => {}
                    None => break,
                }
            }
        }
    }

    #[inline]
    fn locate(&self, addr: Addr) -> Option<(ChunkId, AddrRange)> {
        self.at(addr.get())
    }

    #[inline(always)]
    fn place(&self, addr: Addr) -> Option<Place> {
        let (entry, offset) = self.units.at(addr.get())?;
        let offset = offset + usize::from(entry.back) * UNIT;
        let head = addr.minus(offset);
        let Some(class) = TABLE.get(usize::from(entry.class)) else {
            let room = u32::from(entry.count) * UNIT as u32;
            return Some(Place { id: ChunkId(entry.ordinal), base: head, room });
        };
        let index = size_class::block_of(offset, class.reciprocal);
        (index < usize::from(entry.count)).then(|| Place {
            id: ChunkId(entry.ordinal + index as u32),
            base: head.plus(index * class.size as usize),
            room: class.size,
        })
    }

    fn group(&self, group: usize, into: &mut [Slack; GROUP], census: &mut Census) {
        match self.groups.get(group) {
            None => {}
            Some(Owner::Unit(unit)) => {
                let first = (group * GROUP) as u32 - unit.ordinal.load(Relaxed);
                let room = unit.block_size.load(Relaxed) as usize;
                // Blocks that were never used have words that were never touched: reading them would make them resident.
                let used = unit.used_words().min(unit.capacity.load(Relaxed)).saturating_sub(first);
                for (index, slack) in (first as usize..).zip(into.iter_mut().take(used as usize)) {
                    // SAFETY: below the capacity.
                    let word = unsafe { unit.slot(index) }.load();
                    if word.is_live() {
                        *slack = Slack::of(room - word.size().min(room));
                        census.add(word.size(), word.tag());
                    }
                }
            }
            Some(Owner::Large(large)) => {
                let word = large.slot().load();
                if word.is_live() {
                    into[0] = Slack::UNKNOWN;
                    census.add(large.size.load(Relaxed), word.tag());
                }
            }
        }
    }
}
