//! Size classes: which block serves a request.
//!
//! 16-byte steps to 128 bytes, then four classes a doubling up to [`LARGEST`]: at most a fifth of a block is slack, and
//! a class is found by a few shifts. A slab of a class is a run of units that is cut into equal blocks from its first
//! byte on, so a block's alignment is the largest power of two that divides its class' size (slabs begin at multiples
//! of [`UNIT`]): aligned requests need no code of their own, only another class.
//!
//! Blocks of a new slab are handed out by their addresses in batches of a multiple of four (but of large ones), which are
//! whole cache lines whatever the class.
//!
//! The block that contains an offset is found by a multiplication instead of a division: `offset * reciprocal >>
//! RECIPROCAL_SHIFT` is exact as long as `offset * size < 2^40`, which slabs keep (asserted below).

/// The unit that slabs are made of, in bytes. A multiple of every page size in use.
pub(super) const UNIT: usize = 64 << 10;

/// How many classes there are.
pub(super) const CLASSES: usize = 44;

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

/// Classes up to this size live in slabs of one unit.
const ONE_UNIT: usize = 8 << 10;

/// Units of a slab of larger blocks.
const SEVERAL_UNITS: usize = 8;

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
        let size = if class < 8 {
            (class + 1) * GRANULE
        } else {
            let doubling = 7 + (class - 8) / 4;
            (1 << doubling) + ((class - 8) % 4 + 1) * (1 << (doubling - 2))
        };
        let units = if size <= ONE_UNIT { 1 } else { SEVERAL_UNITS };
        let keep = UNIT / size;
        let keep = if keep > super::cache::STRIDE {
            super::cache::STRIDE
        } else if keep < 2 {
            2
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

#[inline]
const fn by_shifts(size: usize) -> usize {
    if size <= 128 {
        return if size == 0 { 0 } else { (size - 1) / GRANULE };
    }
    let last = size - 1;
    let doubling = last.ilog2() as usize;
    8 + (doubling - 7) * 4 + ((last >> (doubling - 2)) & 3)
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
