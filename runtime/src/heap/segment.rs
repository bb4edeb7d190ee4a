//! Segments: 64 units of memory for blocks, and apart from them their descriptors and metadata words.
//!
//! A segment is one aligned mapping of [`STEP`] bytes, or of a part of that where the kernel gives no more. Its
//! descriptor lies in an *area* of its own, with room for the metadata words of every block that could ever be cut from
//! it: areas are sparse, only what is used is touched.
//!
//! ```text
//! data:  | unit 0 | unit 1 | ... | unit 63 |                               the program's blocks, nothing else
//! area:  | Segment, 64 x Unit | 64 x 1.1 KiB compact metadata | 64 x 36 KiB wide metadata |
//! ```
//!
//! Metadata are a byte and a word for each block (word.rs), the bytes in front of the words. Slabs of blocks of at least
//! 512 bytes use the compact metadata of their first unit, smaller ones the wide metadata: a page for a few large blocks
//! would be a sixteenth of the memory. Wide words begin right behind the bytes that there are, so that a slab's metadata
//! are on as few pages as can be.
//!
//! # Safety
//!
//! An area is mapped for good and a descriptor stays a descriptor: `&'static` is what it says, also for a reader that
//! got it from the radix table just before the segment went away. All fields are atomics, changed under the locks that
//! their comments name; what a reader without a lock sees in a race is some mixture of old and new, so the pointer to
//! the words always has [`WIDE`] readable words behind it and as many bytes before it, whatever the index.

use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, Release},
};

use crate::base::{Addr, AddrRange};
use crate::sys::memory;

use super::radix::STEP;
use super::size_class::{self, CLASSES, COMPACT_FROM, GRANULE, SPAN_CLASS, TABLE, UNIT};
use super::word::{Slot, State, Word};

/// Units of a whole segment.
pub(super) const UNITS: usize = STEP / UNIT;

/// Words of a unit that is cut into the smallest blocks.
pub(super) const WIDE: usize = UNIT / GRANULE;

/// Words of a unit that is cut into blocks of [`COMPACT_FROM`] bytes and more.
const COMPACT: usize = UNIT / COMPACT_FROM;

/// Metadata of units that have none of their own. Never written.
static NO_METADATA: [AtomicU64; WIDE / 8 + WIDE] = [const { AtomicU64::new(0) }; WIDE / 8 + WIDE];

/// The descriptor of a unit; of a slab or span, when the unit is its first (its *head*).
#[repr(C, align(128))]
pub(super) struct Unit {
    /// For [`size_class::block_of`]. 0 in a unit that is no head, and for a span.
    pub(super) reciprocal: AtomicU64,
    /// The words of the slab's blocks.
    pub(super) words: AtomicPtr<AtomicU64>,
    /// Where the slab's first block begins.
    pub(super) base: AtomicUsize,
    /// Bytes of a block. 0 in a unit that is no head.
    pub(super) block_size: AtomicU32,
    /// Blocks. 0 in a unit that is no head; set last when a slab is made, and first to 0 when it is remade.
    pub(super) capacity: AtomicU32,
    /// The number of the first block in the view that was made last.
    pub(super) ordinal: AtomicU32,
    /// Size class, or [`SPAN_CLASS`].
    pub(super) class: AtomicU8,
    /// How many units before this one the head is.
    pub(super) back: AtomicU8,
    /// Units of the slab or span.
    pub(super) units: AtomicU8,
    /// Which arena's bin the slab belongs to.
    pub(super) arena: AtomicU8,
    /// What changes as blocks come and go, on a cache line of its own: the fields above are read by every free.
    pub(super) list: Listed,
}

/// The part of a slab's descriptor that its bin's lock protects.
#[repr(C, align(64))]
pub(super) struct Listed {
    /// The slab behind this one in its bin's list.
    pub(super) next: AtomicPtr<Unit>,
    /// The slab before.
    pub(super) previous: AtomicPtr<Unit>,
    /// The first free block; `capacity` when there is none.
    pub(super) free: AtomicU32,
    /// Blocks that are live or in a thread's cache.
    pub(super) used: AtomicU32,
    /// Compact words of this unit that may differ from zero, from the first on. So may as many bytes.
    pub(super) compact_used: AtomicU16,
    /// Wide words of this unit that may differ from zero.
    pub(super) wide_used: AtomicU16,
    /// Where these begin, in bytes from the start of the unit's wide metadata.
    wide_words_at: AtomicU16,
    /// The memory was zero when the slab was made, so that a block which was never used is zero.
    pub(super) clean: AtomicBool,
    /// The slab is in its bin's list.
    pub(super) listed: AtomicBool,
}

/// The descriptor of a segment.
#[repr(C, align(128))]
pub(super) struct Segment {
    /// Where the data begin. The fields here change under the pool's lock.
    pub(super) base: AtomicUsize,
    /// Units that the data have.
    pub(super) count: AtomicU32,
    /// The segment is in the list of those with free units.
    pub(super) listed: AtomicBool,
    /// Its data ask for huge pages.
    pub(super) huge: AtomicBool,
    /// Bit i: unit i is free.
    pub(super) free: AtomicU64,
    /// Bit i: unit i is free and its memory may differ from zero.
    pub(super) dirty: AtomicU64,
    /// The next segment with free units, or the next spare area.
    pub(super) next: AtomicPtr<Segment>,
    /// The previous one.
    pub(super) previous: AtomicPtr<Segment>,
    /// By number.
    pub(super) units: [Unit; UNITS],
}

static_assertions::const_assert_eq!(size_of::<Unit>(), 128);
static_assertions::const_assert!(WIDE <= u16::MAX as usize);

/// A multiple of every page size that a 64-bit Linux uses for small pages, so that areas can be cut there.
const COMPACT_AT: usize = size_of::<Segment>().next_multiple_of(4096);
/// Metadata of a unit: bytes and words.
const COMPACT_BYTES: usize = COMPACT + COMPACT * 8;
const WIDE_BYTES: usize = WIDE + WIDE * 8;
const WIDE_AT: usize = (COMPACT_AT + UNITS * COMPACT_BYTES).next_multiple_of(4096);
const AREA: usize = WIDE_AT + UNITS * WIDE_BYTES;
// So many bytes are readable before every word 0.
static_assertions::const_assert!(COMPACT_AT >= WIDE);

impl Segment {
    /// Maps an area for a descriptor of up to [`UNITS`] units.
    pub(super) fn map() -> Option<&'static Segment> {
        let start =
            memory::map_anonymous(Addr::NULL, AREA, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE)
                .ok()?;
        // SAFETY: our own new mapping. A huge page would make the sparse area resident; a refusal changes nothing else.
        let _ = unsafe { memory::advise(AddrRange::sized(start, AREA), libc::MADV_NOHUGEPAGE) };
        let segment = core::ptr::with_exposed_provenance::<Segment>(start.get());
        // SAFETY: mapped for good, page-aligned; all-zero bytes are valid atomics and null pointers.
        let segment = unsafe { &*segment };
        for unit in &segment.units {
            unit.clear(0);
        }
        Some(segment)
    }

    /// The memory of descriptor and words.
    pub(super) fn area(&self) -> AddrRange {
        AddrRange::sized(Addr::of(core::ptr::from_ref(self)), AREA)
    }

    /// The memory of the blocks.
    pub(super) fn data(&self) -> AddrRange {
        AddrRange::sized(Addr::new(self.base.load(Relaxed)), self.count.load(Relaxed) as usize * UNIT)
    }

    /// All units of the data.
    pub(super) fn all(&self) -> u64 {
        mask(0, self.count.load(Relaxed) as usize)
    }

    /// Makes the units of a mask units that are no heads.
    pub(super) fn clear_heads(&self, mut units: u64) {
        while let Some(unit) = self.units.get(units.trailing_zeros() as usize) {
            unit.clear(0);
            units &= units - 1;
        }
    }

    fn at(&self, offset: usize) -> *mut AtomicU64 {
        core::ptr::from_ref(self).cast::<u8>().wrapping_add(offset).cast::<AtomicU64>().cast_mut()
    }

    /// The wide metadata of units `first..first + count`, as memory.
    pub(super) fn wide_metadata(&self, first: usize, count: usize) -> AddrRange {
        AddrRange::sized(Addr::of(self.at(WIDE_AT + first * WIDE_BYTES)), count * WIDE_BYTES)
    }

    /// All metadata, as memory.
    pub(super) fn metadata(&self) -> AddrRange {
        AddrRange::sized(Addr::of(self.at(COMPACT_AT)), AREA - COMPACT_AT)
    }

    /// Zeroes what was used of a unit's compact or wide metadata, and returns where their words begin for `capacity` blocks.
    fn renew_metadata(&self, unit: usize, compact: bool, capacity: usize) -> *mut AtomicU64 {
        let list = &self.units[unit].list;
        let (start, words_at, used) = if compact {
            (COMPACT_AT + unit * COMPACT_BYTES, COMPACT, &list.compact_used)
        } else {
            (WIDE_AT + unit * WIDE_BYTES, list.wide_words_at.load(Relaxed).into(), &list.wide_used)
        };
        for index in 0..usize::from(used.load(Relaxed)) {
            // SAFETY: `used` counts what there was room for: it is the number of a block that was handed out.
            unsafe { Slot::new(self.at(start + words_at), index) }.store(Word::NEVER);
        }
        used.store(0, Relaxed);
        if compact {
            return self.at(start + COMPACT);
        }
        let words_at = capacity.next_multiple_of(size_of::<AtomicU64>());
        list.wide_words_at.store(words_at as u16, Relaxed);
        self.at(start + words_at)
    }

    /// Makes a slab of `class` from units `first..`, which the caller has taken. `clean` says that they are all zero.
    pub(super) fn make_slab(
        &'static self,
        first: usize,
        class: usize,
        arena: u8,
        clean: bool,
    ) -> &'static Unit {
        let fixed = &TABLE[class];
        let shape = Shape {
            block_size: fixed.size,
            capacity: fixed.capacity,
            reciprocal: fixed.reciprocal,
            class: class as u8,
            units: fixed.units,
        };
        self.make(first, shape, arena, clean)
    }

    /// Makes one block of units `first..first + count`, which the caller has taken.
    pub(super) fn make_span(&'static self, first: usize, count: usize, clean: bool) -> &'static Unit {
        let shape = Shape {
            block_size: (count * UNIT) as u32,
            capacity: 1,
            reciprocal: 0,
            class: SPAN_CLASS,
            units: count as u8,
        };
        self.make(first, shape, 0, clean)
    }

    /// Makes a live span `count` units long; the units behind it are the caller's to take and to give.
    pub(super) fn resize_span(&'static self, head: &'static Unit, count: usize) {
        let first = self.number(head);
        for (back, unit) in self.units.iter().skip(first).take(count).enumerate().skip(1) {
            unit.clear(back as u8);
        }
        head.block_size.store((count * UNIT) as u32, Relaxed);
        head.units.store(count as u8, Relaxed);
    }

    fn make(&'static self, first: usize, shape: Shape, arena: u8, clean: bool) -> &'static Unit {
        let head = &self.units[first];
        head.capacity.store(0, Release);
        let compact = shape.block_size as usize >= COMPACT_FROM;
        let words = self.renew_metadata(first, compact, shape.capacity as usize);
        for (back, unit) in self.units.iter().skip(first).take(shape.units as usize).enumerate().skip(1) {
            unit.clear(back as u8);
        }
        // The words first: a larger index than the old words had stays readable, see the module.
        head.reciprocal.store(0, Release);
        head.words.store(words, Release);
        head.base.store(self.base.load(Relaxed) + first * UNIT, Relaxed);
        head.block_size.store(shape.block_size, Relaxed);
        head.class.store(shape.class, Relaxed);
        head.back.store(0, Relaxed);
        head.units.store(shape.units, Relaxed);
        head.arena.store(arena, Relaxed);
        head.list.free.store(0, Relaxed);
        head.list.used.store(0, Relaxed);
        head.list.clean.store(clean, Relaxed);
        head.reciprocal.store(shape.reciprocal, Release);
        head.capacity.store(shape.capacity, Release);
        head
    }
}

struct Shape {
    block_size: u32,
    capacity: u32,
    reciprocal: u64,
    class: u8,
    units: u8,
}

impl Unit {
    /// Makes it a unit that is no head.
    pub(super) fn clear(&self, back: u8) {
        self.capacity.store(0, Release);
        self.reciprocal.store(0, Release);
        self.block_size.store(0, Relaxed);
        self.words.store(NO_METADATA[WIDE / 8..].as_ptr().cast_mut(), Relaxed);
        self.back.store(back, Release);
    }

    /// The head of the slab or span that this unit belongs to.
    #[inline]
    pub(super) fn head(&'static self) -> &'static Unit {
        let back = usize::from(self.back.load(Relaxed));
        let head = core::ptr::from_ref(self).wrapping_sub(back);
        // SAFETY: `back` counts units of the same segment: `make` never runs past its last unit.
        unsafe { &*head }
    }

    /// Where the metadata of block `index` are.
    ///
    /// # Safety
    ///
    /// - `index` is below [`WIDE`].
    #[inline(always)]
    pub(super) unsafe fn slot(&self, index: usize) -> Slot {
        debug_assert!(index < WIDE);
        // SAFETY: WIDE bytes before the pointer and WIDE words behind it stay mapped (module); the caller keeps the index
        // below.
        unsafe { Slot::new(self.words.load(Relaxed), index) }
    }

    /// State and origin of block `index`, and where its word is.
    ///
    /// # Safety
    ///
    /// - `index` is below [`WIDE`].
    #[inline(always)]
    pub(super) unsafe fn state(&self, index: usize) -> (&'static State, Slot) {
        debug_assert!(index < WIDE);
        let words = self.words.load(Relaxed);
        // SAFETY: as above.
        unsafe { (State::of(words, index), Slot::new(words, index)) }
    }

    /// The block that contains `addr`, which lies in this head's slab: its number and its first byte. `None` behind the
    /// last block.
    #[inline]
    pub(super) fn block(&self, addr: usize) -> Option<(usize, usize)> {
        let base = self.base.load(Relaxed);
        let index = size_class::block_of(addr.wrapping_sub(base), self.reciprocal.load(Relaxed));
        if index >= self.capacity.load(Relaxed) as usize {
            return None;
        }
        Some((index, base + index * self.block_size.load(Relaxed) as usize))
    }

    /// How many words from the first on may differ from zero, of those that the slab or span has now.
    fn used(&self) -> &AtomicU16 {
        let compact = self.block_size.load(Relaxed) as usize >= COMPACT_FROM;
        if compact { &self.list.compact_used } else { &self.list.wide_used }
    }

    /// Blocks from this number on were never handed out since the slab was made.
    pub(super) fn used_words(&self) -> u32 {
        u32::from(self.used().load(Relaxed))
    }

    /// Notes that words up to `index` are used, to be cleared when the units are cut anew. Before one of them says so.
    pub(super) fn note_used(&self, index: usize) {
        let used = self.used();
        if usize::from(used.load(Relaxed)) <= index {
            used.store(index as u16 + 1, Release);
        }
    }

    /// True for one of the slab classes.
    #[inline(always)]
    pub(super) fn is_slab(&self) -> bool {
        usize::from(self.class.load(Relaxed)) < CLASSES
    }
}

impl Segment {
    /// The number of one of this segment's units.
    pub(super) fn number(&self, unit: &Unit) -> usize {
        (core::ptr::from_ref(unit).addr() - self.units.as_ptr().addr()) / size_of::<Unit>()
    }
}

/// `count` bits from bit `first` on; `first + count <= 64`.
pub(super) const fn mask(first: usize, count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { ((1 << count) - 1) << first }
}
