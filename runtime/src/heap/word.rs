//! The metadata word of a block: state, origin, requested size, stack.
//!
//! One word of 64 bits a block, apart from the blocks. The state is what tells a live block from a free one, for every
//! reader; it changes by one plain store, so that a thread which is stopped between any two instructions leaves either
//! the old word or the new one.
//!
//! | bits | live | free |
//! |---|---|---|
//! | 0..2 | state | state |
//! | 2..4 | origin | origin of the last owner |
//! | 4..25 | bytes asked for | where the next free block is, as a difference (4..32) |
//! | 25..28 | age: baselines that it has lived through, up to 7 | |
//! | 28..32 | scope in which it was allocated; 0 none | |
//! | 32..64 | stack | stack of the last owner |
//!
//! A word of zero is a block that was never used since its slab was cut: its next free block is the one behind it. So
//! a zeroed page of metadata is a free list already, and slabs cost nothing until they are used.

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

    /// This live block, freed, in no list.
    #[inline(always)]
    pub(super) const fn freed(self) -> Word {
        Word(self.0 & !(FIELD << SIZE_SHIFT) | FREED)
    }

    /// This free block `index`, in a list before `next`.
    #[inline(always)]
    pub(super) const fn linked(self, index: u32, next: u32) -> Word {
        let difference = (next.wrapping_sub(index).wrapping_sub(1)) as u64 & FIELD;
        Word(self.freed().0 | difference << SIZE_SHIFT)
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

    /// Was live and was freed.
    pub(super) const fn is_freed(self) -> bool {
        self.0 & STATE == FREED
    }

    /// Live, not ignored, and from `origin`: the common case of a free, in one comparison.
    #[inline(always)]
    pub(super) const fn is_plain(self, origin: Origin) -> bool {
        self.0 & (STATE | ORIGIN) == ALLOCATED | (origin as u64) << ORIGIN_SHIFT
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
                    assert_eq!(word.is_plain(origin), tag == Tag::Allocated);
                    assert!(word.tagged(Tag::Ignored).is_live() && !word.freed().is_live());
                    assert_eq!(word.freed().stack(), word.stack());
                }
            }
        }
    }

    #[test]
    fn free_words_link_in_both_directions() {
        assert!(!Word::NEVER.is_live() && !Word::NEVER.is_freed());
        assert_eq!(Word::NEVER.next(7), 8);
        for (index, next) in [(0, 1), (0, 4096), (4095, 0), (17, 17), (4095, 4096)] {
            let word = Word::live(5, Tag::Allocated, Scope::NONE, Origin::New, StackId(9))
                .aged()
                .linked(index, next);
            assert!(word.is_freed());
            assert_eq!(word.next(index), next);
            assert_eq!(word.stack(), StackId(9));
        }
    }
}
