//! Size classes: which block serves a request.
//!
//! 16-byte steps to 128 bytes, then four classes a doubling to 1 KiB: more would be more lists for each thread to hold in the
//! CPU's caches. From there eight a doubling up to [`SMALL`]: at most an eighth of a block is slack, all of it resident (pages
//! of databases are 4 KiB and some words). Above that a block has whole pages that are never touched when a request is
//! smaller, so classes ([`BIG`]) are few and chosen to fill slabs of one to three units: what a large slab has free is of
//! use to no other class. A slab of a class is a run of units that is cut into equal blocks from its first byte on, so a
//! block's alignment is the largest power of two that divides its class' size (slabs begin at multiples of [`UNIT`]):
//! aligned requests need no code of their own, only another class.
//!
//! Blocks of a new slab are handed out by their addresses in batches of a multiple of four (but of large ones), which are
//! whole cache lines whatever the class.
//!
//! The block that contains an offset is found by a multiplication instead of a division: `offset * reciprocal >>
//! RECIPROCAL_SHIFT` is exact as long as `offset * size < 2^40`, which slabs keep (asserted below).

/// The unit that slabs are made of, in bytes. A multiple of every page size in use.
pub(super) const UNIT: usize = 64 << 10;

/// How many classes there are.
pub(super) const CLASSES: usize = FIRST_BIG + BIG.len();

/// Classes below this have blocks that are smaller than a cache line, so that two threads' blocks may share one.
pub(super) const SHARING: usize = 64 / GRANULE - 1;

/// The class number of a span that is one block.
pub(super) const SPAN_CLASS: u8 = CLASSES as u8;

/// The largest block that comes from a slab.
pub(super) const LARGEST: usize = 64 << 10;

/// The largest alignment that a slab can give.
pub(super) const LARGEST_ALIGN: usize = UNIT;

/// Every block's alignment: that of `max_align_t`.
pub(super) const GRANULE: usize = 16;

/// See the module.
pub(super) const RECIPROCAL_SHIFT: u32 = 40;

/// Blocks of this size and more have few enough metadata words for the compact area of a segment.
pub(super) const COMPACT_FROM: usize = 512;

/// Up to this size there is a class for each multiple of [`GRANULE`].
const FINE: usize = 128;
/// From there to [`COARSE`] so many classes in each doubling, then twice as many up to [`SMALL`].
const STEPS: usize = 4;
const COARSE: usize = 1 << 10;
const SMALL: usize = 8 << 10;

/// The number of the first class above each of them.
const FIRST_STEP: usize = FINE / GRANULE;
const FIRST_HALF_STEP: usize = FIRST_STEP + STEPS * (COARSE / FINE).ilog2() as usize;
const FIRST_BIG: usize = FIRST_HALF_STEP + 2 * STEPS * (SMALL / COARSE).ilog2() as usize;

/// The classes above: bytes of a block, units of a slab. 7, 6, 5, 4, 3 blocks in a unit, 5 in two, 2 in one, 3 in two, 4 in
/// three, and one.
const BIG: [(usize, usize); 10] = [
    (9360, 1),
    (10912, 1),
    (13104, 1),
    (16384, 1),
    (21840, 1),
    (26208, 2),
    (32768, 1),
    (43680, 2),
    (49152, 3),
    (65536, 1),
];

/// Bytes of free blocks that a thread may keep of a class: of small blocks more, of which a batch is soon used up.
const KEEP_SMALL: usize = UNIT;
const KEEP: usize = UNIT / 2;

/// What is fixed for a class.
#[derive(Clone, Copy)]
pub(super) struct Class {
    /// Bytes of a block.
    pub(super) size: u32,
    /// Blocks in a slab.
    pub(super) capacity: u32,
    /// For [`block_of`].
    pub(super) reciprocal: u64,
    /// Units in a slab.
    pub(super) units: u8,
    /// Blocks that a thread may keep.
    pub(super) keep: u8,
}

/// All classes, by number.
pub(super) static TABLE: [Class; CLASSES] = build();

const fn build() -> [Class; CLASSES] {
    let empty = Class { size: 0, capacity: 0, reciprocal: 0, units: 0, keep: 0 };
    let mut table = [empty; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let (size, units) = match class {
            0..FIRST_STEP => ((class + 1) * GRANULE, 1),
            FIRST_STEP..FIRST_HALF_STEP => (stepped(FINE, STEPS, class - FIRST_STEP), 1),
            FIRST_HALF_STEP..FIRST_BIG => (stepped(COARSE, 2 * STEPS, class - FIRST_HALF_STEP), 1),
            _ => BIG[class - FIRST_BIG],
        };
        let keep = if size <= COARSE { KEEP_SMALL } else { KEEP } / size;
        let keep = if keep > super::cache::STRIDE {
            super::cache::STRIDE
        } else if keep < 1 {
            1
        } else {
            keep
        };
        assert!(units * UNIT * size < 1 << RECIPROCAL_SHIFT);
        table[class] = Class {
            size: size as u32,
            capacity: (units * UNIT / size) as u32,
            reciprocal: reciprocal(size),
            units: units as u8,
            keep: keep as u8,
        };
        class += 1;
    }
    assert!(table[CLASSES - 1].size as usize == LARGEST);
    assert!(table[SHARING].size == 64);
    table
}

/// The size of class `number` behind `start`, with `steps` in each doubling.
const fn stepped(start: usize, steps: usize, number: usize) -> usize {
    let doubling = start << (number / steps);
    doubling + (number % steps + 1) * (doubling / steps)
}

const fn reciprocal(size: usize) -> u64 {
    (1u64 << RECIPROCAL_SHIFT).div_ceil(size as u64)
}

/// The index of the block that contains `offset`, counted from the start of its slab.
#[inline(always)]
pub(super) const fn block_of(offset: usize, reciprocal: u64) -> usize {
    ((offset as u64 * reciprocal) >> RECIPROCAL_SHIFT) as usize
}

/// Requests up to this size find their class in a table.
const TABLED: usize = 1024;

static BY_GRANULES: [u8; TABLED / GRANULE + 1] = {
    let mut table = [0; TABLED / GRANULE + 1];
    let mut granules = 1;
    while granules < table.len() {
        table[granules] = by_shifts(granules * GRANULE) as u8;
        granules += 1;
    }
    table
};

/// The class for `size` bytes, 0..=[`LARGEST`].
#[inline(always)]
pub(super) fn of(size: usize) -> usize {
    debug_assert!(size <= LARGEST);
    match BY_GRANULES.get(size.div_ceil(GRANULE)) {
        Some(class) => usize::from(*class),
        None => by_shifts(size),
    }
}

/// The class for `size` bytes, if it is one that the table tells.
#[inline(always)]
pub(super) fn tabled(size: usize) -> Option<usize> {
    if size > TABLED {
        return None;
    }
    // SAFETY: TABLED is a multiple of GRANULE, and has an entry.
    Some(unsafe { *BY_GRANULES.get_unchecked(size.div_ceil(GRANULE)) }.into())
}

#[inline]
const fn by_shifts(size: usize) -> usize {
    if size <= FINE {
        return if size == 0 { 0 } else { (size - 1) / GRANULE };
    }
    if size <= COARSE {
        return FIRST_STEP + step_of(FINE, STEPS, size);
    }
    if size <= SMALL { FIRST_HALF_STEP + step_of(COARSE, 2 * STEPS, size) } else { by_search(size) }
}

/// The opposite of [`stepped`].
#[inline]
const fn step_of(start: usize, steps: usize, size: usize) -> usize {
    let last = size - 1;
    let doubling = (last.ilog2() - start.ilog2()) as usize;
    doubling * steps + (last >> (doubling + (start / steps).ilog2() as usize)) % steps
}

const fn by_search(size: usize) -> usize {
    let mut class = 0;
    while BIG[class].0 < size {
        class += 1;
    }
    FIRST_BIG + class
}

/// The smallest class whose blocks hold `size` bytes at multiples of `align`; `None` when no slab can.
#[inline]
pub(super) fn aligned(size: usize, align: usize) -> Option<usize> {
    if size > LARGEST || align > LARGEST_ALIGN {
        return None;
    }
    let first = of(size);
    if align <= GRANULE {
        return Some(first);
    }
    (first..CLASSES).find(|class| (TABLE[*class].size as usize).is_multiple_of(align))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 0..=LARGEST {
            let class = of(size);
            assert!(TABLE[class].size as usize >= size);
            assert_eq!(tabled(size), (size <= TABLED).then_some(class));
            assert!(class == 0 || (TABLE[class - 1].size as usize) < size);
            assert_eq!(TABLE[class].size as usize % GRANULE, 0);
        }
    }

    #[test]
    fn reciprocals_divide_exactly() {
        for class in &TABLE {
            let size = class.size as usize;
            for offset in 0..class.units as usize * UNIT {
                assert_eq!(block_of(offset, class.reciprocal), offset / size);
            }
        }
    }

    #[test]
    fn aligned_classes_are_aligned() {
        for shift in 0..=16 {
            for size in [0, 1, 17, 100, 1000, 4097, 40_000, LARGEST] {
                let class = aligned(size, 1 << shift).unwrap();
                assert!(TABLE[class].size as usize >= size);
                assert_eq!(TABLE[class].size as usize % (1 << shift), 0);
            }
        }
        assert_eq!(aligned(1, 2 * LARGEST_ALIGN), None);
        assert_eq!(aligned(LARGEST + 1, 1), None);
    }
}
