//! From an address to what the heap has there, for markers: a sparse table with 8 bytes a unit.
//!
//! Contract: filled once, before anybody looks; lookups take no lock and are two loads, of which the first hits the CPU's
//! cache: one number a [`SECTION`] of 4 GiB. Sections without units cost nothing else, so a heap may lie at both ends of
//! the address space with a reservation of terabytes in between.
//!
//! A wish: where there is no memory for the table, or too many sections have units, some addresses are not in it, and
//! markers ask the heap itself for them, which costs a miss or two of the cache more.

use crate::base::{AddrRange, Errno};
use crate::mem::MapVec;

use super::size_class::UNIT;

/// What the table has for a unit of a slab or span. As a word of zero: of none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct UnitEntry {
    /// Number of the first block.
    pub(super) ordinal: u32,
    /// Blocks of the slab, or units of the span.
    pub(super) count: u16,
    pub(super) class: u8,
    /// How many units before this one the first is.
    pub(super) back: u8,
}

impl UnitEntry {
    const fn to_word(self) -> u64 {
        self.ordinal as u64 | (self.count as u64) << 32 | (self.class as u64) << 48 | (self.back as u64) << 56
    }

    #[inline(always)]
    const fn from_word(word: u64) -> UnitEntry {
        let (count, class) = ((word >> 32) as u16, (word >> 48) as u8);
        UnitEntry { ordinal: word as u32, count, class, back: (word >> 56) as u8 }
    }
}

/// Units of a section.
const SECTION: usize = 1 << 16;

/// The most sections with units: 256 MiB of address space for 2 TiB of blocks.
const MOST_SECTIONS: usize = 512;

/// In place of a section that has no entries: behind the last that any table has.
const NONE: usize = usize::MAX / 2;

/// See the module.
pub(super) struct UnitTable {
    /// By sections from the start of the bounds: where in `entries` the section begins.
    sections: MapVec<usize>,
    /// Of sections with units, one after the other: [`UnitEntry`].
    entries: MapVec<u64>,
    start: usize,
}

impl UnitTable {
    /// Knows nothing.
    pub(super) const fn empty() -> UnitTable {
        UnitTable { sections: MapVec::new(), entries: MapVec::new(), start: 0 }
    }

    /// For units in `bounds`. `runs` calls its argument for each run of units: its first address, how many, and the entry of
    /// its first.
    pub(super) fn new(
        bounds: AddrRange,
        runs: impl Fn(&mut dyn FnMut(usize, usize, UnitEntry)),
    ) -> Result<UnitTable, Errno> {
        let start = bounds.start.get();
        let mut sections = MapVec::new();
        sections.resize(bounds.len().div_ceil(UNIT * SECTION), NONE)?;
        let each_unit = |each: &mut dyn FnMut(usize, UnitEntry)| {
            runs(&mut |base, units, entry| {
                for back in 0..units {
                    each(base.wrapping_sub(start) / UNIT + back, UnitEntry { back: back as u8, ..entry });
                }
            });
        };
        let mut used = 0;
        each_unit(&mut |unit, _| {
            if let Some(section) = sections.get_mut(unit / SECTION)
                && *section == NONE
                && used < MOST_SECTIONS
            {
                *section = used * SECTION;
                used += 1;
            }
        });
        let mut entries = MapVec::zeroed(used * SECTION)?;
        each_unit(&mut |unit, entry| {
            let section = sections.get(unit / SECTION).copied().unwrap_or(NONE);
            if let Some(slot) = entries.get_mut(section + unit % SECTION) {
                *slot = entry.to_word();
            }
        });
        Ok(UnitTable { sections, entries, start })
    }

    /// What is in the unit that contains `addr`, and where in the unit that is; `None` when nothing is known.
    #[inline(always)]
    pub(super) fn at(&self, addr: usize) -> Option<(UnitEntry, usize)> {
        let offset = addr.wrapping_sub(self.start);
        let section = self.sections.get(offset / (UNIT * SECTION))?;
        let word = self.entries.get(section + offset / UNIT % SECTION)?;
        Some((UnitEntry::from_word(*word), offset % UNIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Addr;

    const ENTRY: UnitEntry = UnitEntry { ordinal: 640, count: 7, class: 43, back: 0 };

    fn table(bounds: AddrRange, runs: &[(usize, usize, u32)]) -> UnitTable {
        UnitTable::new(bounds, |each| {
            for (base, units, ordinal) in runs {
                each(*base, *units, UnitEntry { ordinal: *ordinal, ..ENTRY });
            }
        })
        .unwrap()
    }

    /// From the lowest address to the highest that a process can have.
    fn everywhere() -> AddrRange {
        AddrRange::new(Addr::new(0x1_0000), Addr::new(crate::arch::USER_END))
    }

    #[test]
    fn units_at_both_ends_of_the_address_space_are_found() {
        let last = crate::arch::USER_END - 8 * UNIT;
        // The second run lies in two sections.
        let middle = 0x1_0000 + 5 * SECTION * UNIT - UNIT;
        let table = table(everywhere(), &[(0x1_0000, 1, 64), (middle, 8, 128), (last, 8, 192)]);
        for (base, units, ordinal) in [(0x1_0000, 1, 64), (middle, 8, 128), (last, 8, 192)] {
            for back in 0..units {
                let entry = UnitEntry { ordinal, back: back as u8, ..ENTRY };
                assert_eq!(table.at(base + back * UNIT + 17), Some((entry, 17)));
            }
        }
        // None is there, whether the section has others or not.
        for addr in [0x2_0000, middle - 1, middle + 8 * UNIT, 1 << 40, last - 1] {
            assert!(table.at(addr).is_none_or(|(entry, _)| entry.count == 0), "{addr:#x}");
        }
        assert!(table.at(0).is_none() && table.at(usize::MAX).is_none());
    }

    #[test]
    fn more_sections_than_there_is_room_for_are_done_without() {
        let bytes = SECTION * UNIT;
        let count = MOST_SECTIONS + 10;
        let runs: Vec<_> = (0..count).map(|i| (0x1_0000 + i * bytes, 1, i as u32 * 64)).collect();
        let table = table(everywhere(), &runs);
        for (base, _, ordinal) in runs {
            let expected = (ordinal < MOST_SECTIONS as u32 * 64).then_some(UnitEntry { ordinal, ..ENTRY });
            assert_eq!(table.at(base).map(|(entry, _)| entry), expected);
        }
    }
}
