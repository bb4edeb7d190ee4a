//! The metadata word of a block: state, origin, requested size, stack.
//!
//! 64 bits a block, apart from the blocks. The state is what tells a live block from a free one, for every
//! reader; it changes by one plain store, so that a thread which is stopped between any two instructions leaves either
//! the old state or the new one.
//!
//! | bits | live | free |
//! |---|---|---|
//! | 0..2 | state | state |
//! | 2..4 | origin | origin of the last owner |
//! | 4..25 | bytes asked for | where the next free block is, as a difference (4..32); of a block in a cache, anything |
//! | 25..28 | age: baselines that it has lived through, up to 7 | |
//! | 28..32 | scope in which it was allocated; 0 none | |
//! | 32..64 | stack | stack of the last owner |
//!
//! A word of zero is a block that was never used since its slab was cut: its next free block is the one behind it. So
//! a zeroed page of metadata is a free list already, and slabs cost nothing until they are used.
//!
//! # In memory
//!
//! The low four bits lie in a byte of their own ([`Slot`]), the others in a word of 64 bits whose low four are zero:
//!
//! ```text
//! | ... | byte 2 | byte 1 | byte 0 | word 0 | word 1 | word 2 | ... |
//! ```
//!
//! free() needs nothing but the byte, and bytes lie eight times as close as words: those of a hundred thousand blocks stay in
//! the CPU's second cache, where their words would not. Bytes grow downwards so that both are found from one address, and
//! so that those of a slab's first blocks share a page.
//!
//! Who makes a block live writes the word before the byte: a byte that says "live" has a word that is the block's. What frees
//! it writes the byte alone.

use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::heap::provider::{Origin, Scope, Tag};
use crate::trace::StackId;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Word(pub(super) u64);

const STATE: u64 = 0b11;
const ALLOCATED: u64 = 1;
const IGNORED: u64 = 2;
const FREED: u64 = 3;
const ORIGIN_SHIFT: u32 = 2;
const ORIGIN: u64 = 0b11 << ORIGIN_SHIFT;
const SIZE_SHIFT: u32 = 4;
const FIELD: u64 = (1 << 28) - 1;
const SIZE: u64 = (1 << 21) - 1;
const AGE_SHIFT: u32 = 25;
const SCOPE_SHIFT: u32 = 28;
const STACK_SHIFT: u32 = 32;

/// The age at which blocks stop growing older: so many baselines ago, or more.
pub(super) const OLDEST: u8 = 7;

/// The largest size that a word can hold; larger blocks keep theirs elsewhere.
pub(super) const LARGEST_SIZE: usize = SIZE as usize;

impl Word {
    /// A block that was never used.
    pub(super) const NEVER: Word = Word(0);

    /// What is not in the byte.
    const WIDE: u64 = !(STATE | ORIGIN);

    const fn byte(self) -> u8 {
        (self.0 & (STATE | ORIGIN)) as u8
    }

    const fn of_origin(origin: Origin) -> Word {
        Word((origin as u64) << ORIGIN_SHIFT)
    }

    /// A live block.
    #[inline(always)]
    pub(super) const fn live(size: usize, tag: Tag, scope: Scope, origin: Origin, stack: StackId) -> Word {
        let state = match tag {
            Tag::Allocated => ALLOCATED,
            Tag::Ignored => IGNORED,
        };
        let size = (size as u64 & SIZE) << SIZE_SHIFT | (scope.0 as u64) << SCOPE_SHIFT;
        Word(state | (origin as u64) << ORIGIN_SHIFT | size | (stack.0 as u64) << STACK_SHIFT)
    }

    /// This live block, freed.
    #[inline(always)]
    pub(super) const fn freed(self) -> Word {
        Word(self.0 | FREED)
    }

    /// This free block `index`, in a list before `next`.
    #[inline(always)]
    pub(super) const fn linked(self, index: u32, next: u32) -> Word {
        let difference = (next.wrapping_sub(index).wrapping_sub(1)) as u64 & FIELD;
        Word(self.0 & !(FIELD << SIZE_SHIFT) | difference << SIZE_SHIFT)
    }

    /// The free block behind this one, which has number `index`.
    #[inline(always)]
    pub(super) const fn next(self, index: u32) -> u32 {
        // Sign-extends 28 bits; a word of zero gives index + 1.
        let difference = ((self.0 as u32) as i32 >> SIZE_SHIFT) as u32;
        index.wrapping_add(1).wrapping_add(difference)
    }

    /// Allocated or ignored.
    #[inline(always)]
    pub(super) const fn is_live(self) -> bool {
        (self.0.wrapping_sub(1) & STATE) < 2
    }

    /// Was never live since its slab was cut.
    pub(super) const fn is_unused(self) -> bool {
        self.0 & STATE == 0
    }

    /// Was live and was freed.
    pub(super) const fn is_freed(self) -> bool {
        self.0 & STATE == FREED
    }

    /// Bytes asked for; only of a live block.
    #[inline(always)]
    pub(super) const fn size(self) -> usize {
        (self.0 >> SIZE_SHIFT & SIZE) as usize
    }

    /// How many baselines it has lived through; only of a live block.
    pub(super) const fn age(self) -> u8 {
        (self.0 >> AGE_SHIFT & OLDEST as u64) as u8
    }

    /// A live block that has lived through one baseline more.
    pub(super) const fn aged(self) -> Word {
        if self.age() == OLDEST { self } else { Word(self.0 + (1 << AGE_SHIFT)) }
    }

    /// In which scope it was allocated; only of a live block.
    pub(super) const fn scope(self) -> Scope {
        Scope((self.0 >> SCOPE_SHIFT & Scope::MOST as u64) as u8)
    }

    /// A live block that belongs to another scope.
    pub(super) const fn moved_to(self, scope: Scope) -> Word {
        Word(self.0 & !((Scope::MOST as u64) << SCOPE_SHIFT) | (scope.0 as u64) << SCOPE_SHIFT)
    }

    /// Who allocated it.
    pub(super) const fn stack(self) -> StackId {
        StackId((self.0 >> STACK_SHIFT) as u32)
    }

    /// By which function.
    pub(super) const fn origin(self) -> Origin {
        match (self.0 & ORIGIN) >> ORIGIN_SHIFT {
            0 => Origin::Malloc,
            1 => Origin::New,
            _ => Origin::NewArray,
        }
    }

    /// Only of a live block.
    pub(super) const fn tag(self) -> Tag {
        if self.0 & STATE == IGNORED { Tag::Ignored } else { Tag::Allocated }
    }

    /// A live block with another tag.
    pub(super) const fn tagged(self, tag: Tag) -> Word {
        let state = match tag {
            Tag::Allocated => ALLOCATED,
            Tag::Ignored => IGNORED,
        };
        Word(self.0 & !STATE | state)
    }
}

/// Where the metadata of a block lie: the address of its word, and above that its number, by which its byte is found.
#[derive(Clone, Copy)]
pub(super) struct Slot(usize);

/// User addresses end below this.
const NUMBER_SHIFT: u32 = 48;

impl Slot {
    /// Of no block; not to be asked.
    pub(super) const NOWHERE: Slot = Slot(0);

    /// Of block `number`, of those whose word 0 is at `words`.
    ///
    /// # Safety
    ///
    /// - `number` is below 2^16. From its byte to its word all is mapped for good and changed by atomic stores only.
    #[inline(always)]
    pub(super) unsafe fn new(words: *const AtomicU64, number: usize) -> Slot {
        Slot(words.wrapping_add(number).expose_provenance() + (number << NUMBER_SHIFT))
    }

    /// The block's number.
    #[inline(always)]
    pub(super) const fn number(self) -> usize {
        self.0 >> NUMBER_SHIFT
    }

    /// Where its word lies.
    #[inline(always)]
    pub(super) const fn address(self) -> usize {
        self.0 & ((1 << NUMBER_SHIFT) - 1)
    }

    #[inline(always)]
    fn word(self) -> &'static AtomicU64 {
        // SAFETY: who made it has answered for it.
        unsafe { &*core::ptr::with_exposed_provenance(self.address()) }
    }

    #[inline(always)]
    fn byte(self) -> &'static AtomicU8 {
        let address = self.address() - 1 - self.number() * (size_of::<AtomicU64>() + 1);
        // SAFETY: as above.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    /// All of the metadata.
    #[inline(always)]
    pub(super) fn load(self) -> Word {
        // In this order: a byte that says "live" was written after the word.
        let byte = self.byte().load(Acquire);
        Word(self.word().load(Relaxed) | u64::from(byte))
    }

    /// Writes all. In a stopped world the block is live from the store of the byte on.
    #[inline(always)]
    pub(super) fn store(self, word: Word) {
        self.store_wide(word);
        self.byte().store(word.byte(), Release);
    }

    /// Writes all but state and origin.
    #[inline(always)]
    pub(super) fn store_wide(self, word: Word) {
        self.word().store(word.0 & Word::WIDE, Relaxed);
    }

    /// Marks a block of `origin` freed.
    #[inline(always)]
    pub(super) fn store_freed(self, origin: Origin) {
        self.byte().store(Word::of_origin(origin).freed().byte(), Release);
    }

    /// Changes the tag of a live block, whoever owns it: one that is freed meanwhile stays freed. False when it is not live.
    pub(super) fn set_tag(self, tag: Tag) -> bool {
        let tagged = |byte: u8| {
            let word = Word(byte.into());
            word.is_live().then(|| word.tagged(tag).byte())
        };
        self.byte().fetch_update(Relaxed, Relaxed, tagged).is_ok()
    }
}

/// The metadata of a block that has no others beside it. Lives for good.
#[repr(C)]
pub(super) struct Single {
    /// The last of them is the block's; the others align the word.
    bytes: [AtomicU8; 8],
    word: AtomicU64,
}

impl Single {
    /// Where they are.
    pub(super) fn slot(&'static self) -> Slot {
        // SAFETY: the byte lies before the word, and a reference that lives for good says that both are mapped.
        unsafe { Slot::new(&raw const (*core::ptr::from_ref(self)).word, 0) }
    }
}

static_assertions::const_assert_eq!(core::mem::offset_of!(Single, word), 8);

/// The byte of a block: what free() looks at and changes, in as few instructions as can be.
#[repr(transparent)]
pub(super) struct State(AtomicU8);

impl State {
    /// That of block `number`, of those whose word 0 is at `words`.
    ///
    /// # Safety
    ///
    /// - The byte is mapped for good and changed by atomic stores only.
    #[inline(always)]
    pub(super) unsafe fn of(words: *const AtomicU64, number: usize) -> &'static State {
        // SAFETY: the caller's duty.
        unsafe { &*words.cast::<State>().wrapping_sub(number + 1) }
    }

    /// Live, not ignored, and from `origin`.
    #[inline(always)]
    pub(super) fn is_plain(&self, origin: Origin) -> bool {
        self.0.load(Relaxed) == Word::of_origin(origin).byte() | ALLOCATED as u8
    }

    /// Freed, by a function of `origin`.
    #[inline(always)]
    pub(super) fn set_freed(&self, origin: Origin) {
        self.0.store(Word::of_origin(origin).freed().byte(), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_word_gives_back_what_it_was_made_of() {
        for origin in [Origin::Malloc, Origin::New, Origin::NewArray] {
            for tag in [Tag::Allocated, Tag::Ignored] {
                for size in [0, 1, 65_536, LARGEST_SIZE] {
                    let word = Word::live(size, tag, Scope(Scope::MOST), origin, StackId(u32::MAX - 1));
                    assert!(word.is_live() && !word.is_freed());
                    assert_eq!((word.size(), word.tag(), word.origin()), (size, tag, origin));
                    assert_eq!(word.stack(), StackId(u32::MAX - 1));
                    assert_eq!((word.age(), word.scope()), (0, Scope(Scope::MOST)));
                    let old = (0..9).fold(word, |word, _| word.aged()).moved_to(Scope(3));
                    assert_eq!((old.age(), old.scope(), old.size()), (OLDEST, Scope(3), size));
                    assert_eq!((old.stack(), old.tag(), old.origin()), (word.stack(), tag, origin));
                    assert!(word.tagged(Tag::Ignored).is_live() && !word.freed().is_live());
                    assert_eq!(word.freed().stack(), word.stack());
                }
            }
        }
    }

    #[test]
    fn what_is_stored_of_one_block_leaves_its_neighbours_alone() {
        const COUNT: usize = 100;
        let memory: &'static [AtomicU64] = Box::leak((0..COUNT * 2).map(|_| AtomicU64::new(0)).collect());
        let slots: Vec<Slot> = (0..COUNT)
            // SAFETY: as many words in front of word 0 as behind it, for good.
            .map(|number| unsafe { Slot::new(&raw const memory[COUNT], number) })
            .collect();
        let word = |number: usize| {
            let origin = [Origin::Malloc, Origin::New, Origin::NewArray][number % 3];
            Word::live(number + 1, Tag::Allocated, Scope(5), origin, StackId(u32::MAX - number as u32))
        };
        for number in (0..COUNT).rev() {
            assert!(slots[number].load() == Word::NEVER && slots[number].number() == number);
            slots[number].store(word(number));
        }
        for (number, slot) in slots.iter().enumerate() {
            assert!(slot.load() == word(number));
            // SAFETY: as above.
            let state = unsafe { State::of(&raw const memory[COUNT], number) };
            assert!(state.is_plain(word(number).origin()));
        }
        assert!(slots[7].set_tag(Tag::Ignored) && slots[7].load().tag() == Tag::Ignored);
        slots[7].store_freed(Origin::New);
        assert!(slots[7].load().is_freed() && slots[7].load().stack() == word(7).stack());
        assert!(!slots[7].set_tag(Tag::Allocated), "what is free stays free");
        slots[7].store_wide(slots[7].load().linked(7, 3));
        assert!(slots[7].load().is_freed() && slots[7].load().next(7) == 3);
        assert!(slots[6].load() == word(6) && slots[8].load() == word(8));
    }

    #[test]
    fn free_words_link_in_both_directions() {
        assert!(!Word::NEVER.is_live() && !Word::NEVER.is_freed());
        assert_eq!(Word::NEVER.next(7), 8);
        for (index, next) in [(0, 1), (0, 4096), (4095, 0), (17, 17), (4095, 4096)] {
            let word = Word::live(5, Tag::Allocated, Scope::NONE, Origin::New, StackId(9))
                .aged()
                .freed()
                .linked(index, next);
            assert!(word.is_freed());
            assert_eq!(word.next(index), next);
            assert_eq!(word.stack(), StackId(9));
        }
    }
}
