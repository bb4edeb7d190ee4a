//! A chain: a stack as it was read, in words of the replay cache.
//!
//! ```text
//! return address | sp | entry point | epoch, id | shape | farthest | live registers | tags, 8 a word | slots
//! ```
//!
//! A *slot* is one word of the stack: its distance from the leaf's stack pointer in words (16 bits) and its value (48
//! bits; a word that needs more ends no chain and is not remembered). Its *tag* says what it is: a return address, with
//! the registers that are live in the frame behind it, or a saved register.
//!
//! Slots of return addresses rise, since frames do. `farthest` bounds the distances, so that one comparison with the
//! stack's end makes all reads sound.

use crate::arch::unwinding::{CALLEE_SAVED, FRAME_POINTER_PLACE, STACK_POINTER, callers_register};
use crate::arch::{CallerFrame, USER_END};

use super::rule::Rule;
use super::stack_read::Stack;
use super::state::State;
use super::walk::Walker;

const PC: usize = 0;
const SP: usize = 1;
const ENTRY: usize = 2;
const EPOCH_ID: usize = 3;
const SHAPE: usize = 4;
const FARTHEST: usize = 5;
/// Words before the live registers.
pub const HEADER: usize = 6;

/// The set of live registers that has the frame pointer alone.
pub const FRAME_POINTER: u8 = 1 << FRAME_POINTER_PLACE;

/// What is asked for, besides the state.
#[derive(Clone, Copy)]
pub struct Key {
    /// The entry point.
    pub entry: usize,
    /// [`super::rule_cache::RuleCache::epoch`].
    pub epoch: u32,
}

impl Key {
    /// All bits of the result depend on all bits of the key.
    #[inline]
    pub fn hash(&self, caller: &CallerFrame) -> u64 {
        let code = (caller.return_address as u64 ^ (self.entry as u64).rotate_left(20))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (code ^ code >> 32 ^ caller.stack_pointer() as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^ hash >> 32
    }
}

/// A word of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(u64);

impl Slot {
    /// The farthest distance, in words.
    pub const FARTHEST: usize = 0xffff;

    /// `None` if it does not fit.
    pub fn new(offset: usize, value: usize) -> Option<Slot> {
        let fits = offset <= Self::FARTHEST && value as u64 >> 48 == 0;
        fits.then_some(Slot((value as u64) << 16 | offset as u64))
    }

    /// Words from the stack pointer.
    #[inline(always)]
    pub fn offset(self) -> usize {
        self.0 as usize & Self::FARTHEST
    }

    /// What it held.
    #[inline(always)]
    pub fn value(self) -> usize {
        (self.0 >> 16) as usize
    }
}

/// What a slot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(u8);

impl Tag {
    const RETURNS: u8 = 0x80;

    /// A return address, behind which the registers of the set `live` matter.
    pub fn returns(live: u8) -> Tag {
        Tag(Self::RETURNS | live)
    }

    /// The callee-saved register with this place in [`CALLEE_SAVED`].
    pub fn saved(place: usize) -> Tag {
        Tag(place as u8)
    }

    /// True for a return address.
    pub fn is_return(self) -> bool {
        self.0 & Self::RETURNS != 0
    }

    /// The registers that are live behind a return address, by bit.
    pub fn live(self) -> u8 {
        self.0 & 0x3f
    }
}

/// The registers that are live before a step: those that it uses to find the CFA, and those live behind it that it does
/// not load. `None` if it uses one that a call does not keep, or if the return address does not end where the caller's
/// frame begins, as chains take it.
pub fn live_before(rule: &Rule, behind: u8) -> Option<u8> {
    let mut live = behind;
    let mut used = 0;
    for (place, (register, slot)) in CALLEE_SAVED.into_iter().zip(rule.saved).enumerate() {
        if slot != 0 {
            live &= !(1 << place);
        }
        if usize::from(rule.cfa_register) == register {
            used = 1 << place;
        }
    }
    let known = used != 0 || usize::from(rule.cfa_register) == STACK_POINTER;
    (known && rule.return_address == -1).then_some(live | used)
}

/// A chain in memory.
#[derive(Clone, Copy)]
pub struct Chain<'a> {
    words: &'a [u64],
    shape: u64,
}

impl<'a> Chain<'a> {
    /// The chain that begins with the first of `words`.
    #[inline]
    pub fn new(words: &'a [u64]) -> Option<Chain<'a>> {
        Some(Chain { words, shape: *words.get(SHAPE)? })
    }

    #[inline]
    fn word(self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// The stack it proves.
    pub fn id(self) -> u32 {
        self.word(EPOCH_ID) as u32
    }

    /// The epoch of the code that its rules belong to.
    pub fn epoch(self) -> u32 {
        (self.word(EPOCH_ID) >> 32) as u32
    }

    /// The leaf's stack pointer.
    pub fn sp(self) -> usize {
        self.word(SP) as usize
    }

    /// The registers of the leaf that matter, by bit.
    fn live(self) -> u8 {
        self.shape as u8 & 0x3f
    }

    /// Slots that prove the frames that are kept.
    fn checked(self) -> usize {
        (self.shape >> 8) as usize & 0xffff
    }

    /// All slots.
    pub fn slots(self) -> usize {
        (self.shape >> 24) as usize & 0xffff
    }

    /// True when the last frame is the outermost.
    pub fn ended(self) -> bool {
        self.shape & 0x80 != 0
    }

    fn tag_words(self) -> usize {
        (self.shape >> 40) as usize & 0xffff
    }

    fn tags_at(self) -> usize {
        HEADER + self.live().count_ones() as usize
    }

    /// Where its slots begin, in words from its own first.
    pub fn slots_at(self) -> usize {
        self.tags_at() + self.tag_words()
    }

    /// Slot number `n`.
    pub fn slot(self, n: usize) -> Slot {
        Slot(self.word(self.slots_at() + n))
    }

    /// What slot number `n` is.
    pub fn tag(self, n: usize) -> Tag {
        Tag((self.word(self.tags_at() + n / 8) >> (n % 8 * 8)) as u8)
    }

    /// True when the chain is that of the key, and of the caller whose record `caller` is.
    #[inline]
    pub fn is_of(self, key: Key, caller: &CallerFrame) -> bool {
        self.word(PC) == caller.return_address as u64
            && self.sp() == caller.stack_pointer()
            && self.word(ENTRY) == key.entry as u64
            && self.epoch() == key.epoch
            && (self.live() == 0 || self.live_registers_equal(caller))
    }

    fn live_registers_equal(self, caller: &CallerFrame) -> bool {
        let live = (0..CALLEE_SAVED.len()).filter(|place| self.live() >> place & 1 != 0);
        live.zip(HEADER..).all(|(place, at)| self.word(at) as usize == callers_register(caller, place))
    }

    /// True when the frames that are kept are what they were.
    #[inline]
    pub fn is_unchanged(self, stack: &mut Stack<'_>) -> bool {
        self.compare(0, self.checked(), self.word(FARTHEST) as usize & 0xffff, stack).is_none()
    }

    /// The first slot of `from..to` whose word has changed.
    pub fn first_change(self, from: usize, to: usize, stack: &mut Stack<'_>) -> Option<usize> {
        let farthest = (from..to).map(|n| self.slot(n).offset()).max()?;
        self.compare(from, to, farthest, stack)
    }

    #[inline]
    fn compare(self, from: usize, to: usize, farthest: usize, stack: &mut Stack<'_>) -> Option<usize> {
        if from >= to {
            return None;
        }
        let start = self.slots_at();
        let (Some(slots), Some(words)) = (
            self.words.get(start + from..start + to),
            stack.words(self.sp(), self.sp() + (farthest + 1) * 8),
        ) else {
            return Some(from);
        };
        let changed = super::stack_read::first_difference(slots, words);
        changed.map(|n| from + n)
    }

    /// The slot of a return address that ends at address `frame`; `at` is where to begin, and is moved on.
    pub fn slot_of_return(self, at: &mut usize, frame: usize) -> Option<usize> {
        let wanted = (frame.wrapping_sub(8).wrapping_sub(self.sp()) as isize) >> 3;
        while *at < self.slots() {
            let n = *at;
            let offset = self.slot(n).offset() as isize;
            if self.tag(n).is_return() && offset >= wanted {
                if offset > wanted {
                    return None;
                }
                *at += 1;
                return Some(n);
            }
            *at += 1;
        }
        None
    }

    /// True when the frame behind return address `n` is the one that `walker` is at, as far as matters.
    pub fn leads_to(self, n: usize, walker: &mut Walker<'_, '_>) -> bool {
        let live = self.tag(n).live();
        !walker.interrupted()
            && self.slot(n).value() == walker.pc()
            && (0..CALLEE_SAVED.len()).all(|place| {
                live >> place & 1 == 0
                    || self
                        .register_behind(n, place)
                        .is_some_and(|value| walker.register(place) == Some(value))
            })
    }

    /// A register as it was in the frame behind slot `n`.
    fn register_behind(self, n: usize, place: usize) -> Option<usize> {
        if let Some(below) = (0..n).rev().find(|below| self.tag(*below) == Tag::saved(place)) {
            return Some(self.slot(below).value());
        }
        let before = (self.live() & ((1 << place) - 1)).count_ones() as usize;
        (self.live() >> place & 1 != 0).then(|| self.word(HEADER + before) as usize)
    }

    /// Writes the lookup addresses of the frames that slot `from` and the following lead to, until `frames` is full or
    /// the chain ends. Their number, and the first slot that was not needed.
    pub fn callers(self, from: usize, frames: &mut [usize]) -> (usize, usize) {
        let mut len = 0;
        for n in from..self.slots() {
            if len == frames.len() {
                return (len, n);
            }
            if self.tag(n).is_return() {
                let pc = self.slot(n).value();
                if !State::is_code(pc) {
                    return (len, self.slots());
                }
                frames[len] = pc - 1;
                len += 1;
            }
        }
        (len, self.slots())
    }
}

/// Writes a chain into words that other chains lie in as well.
pub struct Writer {
    at: usize,
    tags_at: usize,
    slots_at: usize,
    /// Slots there is room for, and written.
    most: usize,
    len: usize,
    returns: usize,
    farthest: usize,
    /// How many return addresses prove what is kept.
    proof: usize,
    /// Slots up to there, and their farthest.
    checked: Option<(usize, usize)>,
    live: u8,
}

impl Writer {
    /// Words that a chain of `most` slots may need.
    pub const fn room(most: usize) -> usize {
        HEADER + CALLEE_SAVED.len() + most.div_ceil(8) + most
    }

    /// Begins a chain at word `at`, of at most `most` slots, for a leaf whose registers `live` matter. What is kept is
    /// proved by the slots up to the return address number `proof`; by all slots if there are fewer.
    pub fn new(at: usize, most: usize, live: u8, proof: usize) -> Writer {
        let tags_at = at + HEADER + live.count_ones() as usize;
        let slots_at = tags_at + most.div_ceil(8);
        let checked = (proof == 0).then_some((0, 0));
        Writer { at, tags_at, slots_at, most, len: 0, returns: 0, farthest: 0, proof, checked, live }
    }

    /// Return addresses so far.
    pub fn returns(&self) -> usize {
        self.returns
    }

    /// True when what is kept is proved.
    pub fn is_proof(&self) -> bool {
        self.checked.is_some()
    }

    /// Appends a slot. `None` if there is no room.
    pub fn push(&mut self, words: &mut [u64], slot: Slot, tag: Tag) -> Option<()> {
        if self.len == self.most {
            return None;
        }
        *words.get_mut(self.slots_at + self.len)? = slot.0;
        let tags = words.get_mut(self.tags_at + self.len / 8)?;
        let shift = self.len % 8 * 8;
        // The word may hold anything of an older chain.
        let below = if shift == 0 { 0 } else { *tags & ((1 << shift) - 1) };
        *tags = below | u64::from(tag.0) << shift;
        self.len += 1;
        self.farthest = self.farthest.max(slot.offset());
        if tag.is_return() {
            self.returns += 1;
            if self.returns == self.proof {
                self.checked = Some((self.len, self.farthest));
            }
        }
        Some(())
    }

    /// Completes the chain. Returns its length in words.
    pub fn finish(
        self,
        words: &mut [u64],
        key: Key,
        caller: &CallerFrame,
        ended: bool,
        id: u32,
    ) -> Option<usize> {
        let (checked, farthest) = self.checked.unwrap_or((self.len, self.farthest));
        let header = [
            caller.return_address as u64,
            caller.stack_pointer() as u64,
            key.entry as u64,
            u64::from(key.epoch) << 32 | u64::from(id),
            u64::from(self.live)
                | u64::from(ended) << 7
                | (checked as u64) << 8
                | (self.len as u64) << 24
                | ((self.slots_at - self.tags_at) as u64) << 40,
            farthest as u64,
        ];
        let live = (0..CALLEE_SAVED.len()).filter(|place| self.live >> place & 1 != 0);
        let registers = live.map(|place| callers_register(caller, place) as u64);
        for (to, word) in
            words.get_mut(self.at..self.tags_at)?.iter_mut().zip(header.into_iter().chain(registers))
        {
            *to = word;
        }
        Some(self.slots_at + self.len - self.at)
    }
}

const _: () = assert!(USER_END <= 1 << 48);
