//! A chain: a stack as it was read, in words of the replay cache.
//!
//! ```text
//! return address | sp | entry point | id, ended | counts | links | blocks of slots | tags, 4 a word
//! ```
//!
//! A *slot* is one word of the stack: its distance in words from the entry point's record (16 bits) and its value. Its
//! *tag* says what it is: a return address, with the registers that are live in the frame behind it, or a saved
//! register. Slots stand in the order in which an unwinder needs them: a saved register comes where a frame finds its
//! CFA through it, not where it was saved. So the slots before one, being equal, say where that one lies. A register
//! that was not saved before it is needed lies in the entry point's record, which is memory like any other.
//!
//! Slots are kept and compared in blocks of eight ([`Block`]). The slots that prove the frames that are kept fill whole blocks, and so do all:
//! the last slot is repeated ([`Tag::FILLING`]).

use crate::arch::unwinding::{
    CALLEE_SAVED, FRAME_POINTER_PLACE, FRAME_RECORD_IS_LAST, STACK_POINTER, significant,
};

use crate::arch::{Block, CallerFrame};

use super::rule::Rule;
use super::stack_read::Seen;
use super::state::State;
use super::walk::Walker;

/// The first words of a chain.
pub const PC: usize = 0;
/// See [`PC`].
pub const SP: usize = 1;
/// See [`PC`].
pub const ENTRY: usize = 2;
/// See [`PC`]; the lower half.
pub const ID: usize = 3;
const COUNTS: usize = 4;
const LINKS: usize = 5;
/// Words before the blocks; even, so that they are aligned.
pub const HEADER: usize = 6;

/// Slots in a block, and its words.
const BLOCK: usize = 8;
const BLOCK_WORDS: usize = size_of::<Block>() / 8;
/// Words of the tags of a block.
const TAG_WORDS: usize = BLOCK / 4;

/// A set of callee-saved registers: a bit for each place in [`CALLEE_SAVED`].
pub type Live = u16;

/// The set that has the frame pointer alone.
pub const FRAME_POINTER: Live = 1 << FRAME_POINTER_PLACE;

/// What is asked for, besides the state.
#[derive(Clone, Copy)]
pub struct Key {
    /// The entry point.
    pub entry: usize,
    /// [`super::rule_cache::RuleCache::epoch`].
    pub epoch: u32,
}

/// Spreads all bits of a product over its lower half.
#[inline(always)]
pub fn mix(word: u64) -> u64 {
    let product = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

impl Key {
    /// For the chain of a leaf that is looked at first.
    #[inline(always)]
    pub fn hash(self, caller: &CallerFrame) -> u64 {
        let stack = (caller.stack_pointer() as u64).rotate_left(20);
        mix(caller.return_address as u64 ^ stack ^ (self.entry as u64).rotate_left(40))
    }
}

/// What a slot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(u16);

impl Tag {
    const RETURNS: u16 = 0x8000;
    /// A slot once more.
    pub const FILLING: Tag = Tag(0x4000);

    /// A return address, behind which the registers of the set `live` matter.
    pub fn returns(live: Live) -> Tag {
        Tag(Self::RETURNS | live)
    }

    /// The callee-saved register with this place in [`CALLEE_SAVED`].
    pub fn saved(place: usize) -> Tag {
        Tag(place as u16)
    }

    /// True for a return address.
    pub fn is_return(self) -> bool {
        self.0 & Self::RETURNS != 0
    }

    /// The place of a saved register.
    pub fn place(self) -> Option<usize> {
        (usize::from(self.0) < CALLEE_SAVED.len()).then_some(usize::from(self.0))
    }

    /// The registers that are live behind a return address, by bit.
    pub fn live(self) -> Live {
        self.0 & (Self::FILLING.0 - 1)
    }
}

/// The place of a register that a rule finds the CFA through; `None` for the stack pointer.
pub fn place_of(register: u8) -> Option<usize> {
    CALLEE_SAVED.into_iter().position(|saved| saved == usize::from(register))
}

/// The registers that are live before a step: those that it uses to find the CFA, and those live behind it that it does
/// not load. `None` if it uses one that a call does not keep, or if the return address does not end where the caller's
/// frame begins on a CPU where chains take it so.
pub fn live_before(rule: &Rule, behind: Live) -> Option<Live> {
    let mut live = behind;
    for (place, slot) in rule.saved.into_iter().enumerate() {
        if slot != 0 {
            live &= !(1 << place);
        }
    }
    let used = match place_of(rule.cfa_register) {
        Some(place) => 1 << place,
        None if usize::from(rule.cfa_register) == STACK_POINTER => 0,
        None => return None,
    };
    (rule.return_address == -1 || !FRAME_RECORD_IS_LAST).then_some(live | used)
}

/// The counts of a chain, in a word.
#[derive(Clone, Copy)]
struct Counts(u64);

impl Counts {
    /// `blocks`: all. `room`: blocks that there is room for, behind which the tags lie. `checked`: blocks that prove the
    /// frames that are kept. Then the farthest offset of those, and of all.
    fn new(blocks: usize, room: usize, checked: usize, farthest_checked: u16, farthest: u16) -> Counts {
        Counts(
            u64::from(farthest_checked)
                | u64::from(farthest) << 16
                | (checked as u64) << 32
                | (blocks as u64) << 40
                | (room as u64) << 48,
        )
    }

    #[inline(always)]
    fn farthest_checked(self) -> u16 {
        self.0 as u16
    }

    fn farthest(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline(always)]
    fn checked(self) -> usize {
        usize::from((self.0 >> 32) as u8)
    }

    fn blocks(self) -> usize {
        usize::from((self.0 >> 40) as u8)
    }

    fn room(self) -> usize {
        usize::from((self.0 >> 48) as u8)
    }
}

/// Where slot number `n` of a chain lies: the word of its offset, the word of its value, and that of its tag with room for
/// `room` blocks.
fn slot_at(n: usize, room: usize) -> (usize, usize, usize) {
    let block = HEADER + n / BLOCK * BLOCK_WORDS;
    (block + n % BLOCK / 4, block + 2 + n % BLOCK, HEADER + room * BLOCK_WORDS + n / 4)
}

/// A chain in memory.
#[derive(Clone, Copy)]
pub struct Chain<'a> {
    words: &'a [u64],
    counts: Counts,
}

impl<'a> Chain<'a> {
    /// The chain that begins with the first of `words`.
    #[inline(always)]
    pub fn new(words: &'a [u64]) -> Option<Chain<'a>> {
        Some(Chain { words, counts: Counts(*words.get(COUNTS)?) })
    }

    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Of the chains of this one's leaf the one that was a proof last, if this is the first of them and another was; else 0.
    #[inline(always)]
    pub fn latest(self) -> u32 {
        self.word(LINKS) as u32
    }

    /// The first slot that is not compared with the chain before it in the tree: whoever agrees with this chain up to there
    /// comes by it.
    #[inline(always)]
    pub fn least(self) -> usize {
        (self.word(LINKS) >> 32) as usize
    }

    /// The stack it proves.
    #[inline(always)]
    pub fn id(self) -> u32 {
        self.word(ID) as u32
    }

    /// Where the entry point's record lay, from which slots are counted.
    pub fn record(self) -> usize {
        self.word(SP) as usize - size_of::<CallerFrame>()
    }

    /// All slots, with filling.
    pub fn slots(self) -> usize {
        self.counts.blocks() * BLOCK
    }

    /// True when the last frame is the outermost.
    pub fn ended(self) -> bool {
        self.word(ID) >> 32 != 0
    }

    /// The distance of slot number `n`, in words.
    pub fn offset(self, n: usize) -> usize {
        (self.word(slot_at(n, 0).0) >> (n % 4 * 16)) as usize & 0xffff
    }

    /// Where slot number `n` lies, if the chain's leaf is the caller's.
    pub fn address(self, n: usize) -> usize {
        self.record() + self.offset(n) * size_of::<usize>()
    }

    /// The word that slot number `n` held.
    pub fn held(self, n: usize) -> usize {
        self.word(slot_at(n, 0).1) as usize
    }

    /// As far as it makes an address.
    pub fn value(self, n: usize) -> usize {
        significant(self.held(n))
    }

    /// What slot number `n` is.
    pub fn tag(self, n: usize) -> Tag {
        Tag((self.word(slot_at(n, self.counts.room()).2) >> (n % 4 * 16)) as u16)
    }

    /// True when the chain begins at the entry point and the leaf of `caller`.
    #[inline(always)]
    pub fn is_of(self, key: Key, caller: &CallerFrame) -> bool {
        self.word(PC) == caller.return_address as u64
            && self.word(SP) == caller.stack_pointer() as u64
            && self.word(ENTRY) == key.entry as u64
    }

    /// Where the slots that prove what is kept end, for a record at `record`.
    #[inline(always)]
    pub fn end_of_checked(self, record: usize) -> usize {
        record + (usize::from(self.counts.farthest_checked()) + 1) * size_of::<usize>()
    }

    /// Where all slots end, if the chain's leaf is the caller's.
    pub fn end(self) -> usize {
        self.record() + (usize::from(self.counts.farthest()) + 1) * size_of::<usize>()
    }

    /// How many words the header and the blocks have that prove what is kept; `None` if they are not whole.
    #[inline(always)]
    pub fn proof_len(self) -> Option<usize> {
        let len = HEADER + self.counts.checked() * BLOCK_WORDS;
        (len <= self.words.len()).then_some(len)
    }

    /// The first block, of those that prove what is kept, with a word that has changed. `seen` reaches to
    /// [`Chain::end_of_checked`].
    #[inline(always)]
    pub fn first_changed_block(self, record: usize, seen: Seen) -> Option<usize> {
        self.changed_block(0, self.counts.checked(), record, self.counts.farthest_checked(), seen)
    }

    /// The first slot of a block whose word has changed, and what it holds.
    #[inline(always)]
    pub fn change_in(self, block: usize, record: usize, seen: Seen) -> Option<(usize, usize)> {
        let words = self.words.get(HEADER + block * BLOCK_WORDS..)?.first_chunk::<BLOCK_WORDS>()?;
        let [offsets, more_offsets, held @ ..] = words;
        let mut offsets = u128::from(*offsets) | u128::from(*more_offsets) << 64;
        for (n, held) in held.iter().enumerate() {
            let word = seen.word(record + usize::from(offsets as u16) * 8)?;
            if word as u64 != *held {
                return Some((block * BLOCK + n, word));
            }
            offsets >>= 16;
        }
        None
    }

    #[inline(always)]
    fn changed_block(
        self,
        from: usize,
        to: usize,
        record: usize,
        farthest: u16,
        seen: Seen,
    ) -> Option<usize> {
        let words = HEADER + from * BLOCK_WORDS..HEADER + to * BLOCK_WORDS;
        let Some(blocks) = self.words.get(words) else { return Some(from) };
        seen.first_changed_block(record, farthest, blocks, to - from).map(|block| from + block)
    }

    /// The first of the slots `from..to` whose word has changed, without those that lie below the address `bottom`: what
    /// they hold, [`Chain::leads_to`] has compared. `seen` reaches to [`Chain::end`].
    pub fn first_change_above(self, bottom: usize, from: usize, to: usize, seen: Seen) -> Option<usize> {
        let (mut block, end) = (from / BLOCK, to.div_ceil(BLOCK));
        while block < end {
            block = self.changed_block(block, end, self.record(), self.counts.farthest(), seen)?;
            let mut inside = (block * BLOCK).max(from)..(block * BLOCK + BLOCK).min(to);
            let changed =
                |n: &usize| self.address(*n) >= bottom && seen.word(self.address(*n)) != Some(self.held(*n));
            if let Some(n) = inside.find(changed) {
                return Some(n);
            }
            block += 1;
        }
        None
    }

    /// The slot of the return address at `address`; `at` is where to begin, and is moved on.
    pub fn slot_of_return(self, at: &mut usize, address: usize) -> Option<usize> {
        let wanted = address.wrapping_sub(self.record()) as isize >> 3;
        while *at < self.slots() {
            let n = *at;
            let offset = self.offset(n) as isize;
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

    /// Where the frame that `walker` is at has everything that later steps load from it or above it, if that frame begins
    /// where the frame behind return address `n` did. `None` if it does not, or if that cannot be told.
    ///
    /// Where a return address ends its frame it tells by itself. Otherwise the next step tells, which loads another one:
    /// if from where the chain has it, both frames have their CFA at the same place, and that is all that matters of them.
    #[inline(always)]
    pub fn bottom_behind(self, n: usize, walker: &mut Walker<'_, '_>) -> Option<usize> {
        if FRAME_RECORD_IS_LAST {
            return Some(walker.sp());
        }
        let next = (n + 1..self.slots()).find(|slot| self.tag(*slot).is_return())?;
        let (return_address, lowest) = walker.next_slots()?;
        (return_address == self.address(next)).then_some(lowest)
    }

    /// True when the frame behind return address `n` is the one that `walker` is at, as far as matters.
    pub fn leads_to(self, n: usize, walker: &mut Walker<'_, '_>) -> bool {
        let live = self.tag(n).live();
        !walker.interrupted()
            && self.value(n) == walker.pc()
            && (0..CALLEE_SAVED.len()).all(|place| {
                live >> place & 1 == 0
                    || self
                        .register_behind(n, place)
                        .is_some_and(|value| walker.register(place) == Some(value))
            })
    }

    /// A live register as it was in the frame behind slot `n`: as it is needed first from there on.
    fn register_behind(self, n: usize, place: usize) -> Option<usize> {
        let needed = (n + 1..self.slots()).find(|slot| self.tag(*slot) == Tag::saved(place))?;
        Some(self.value(needed))
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
                let pc = self.value(n);
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
    /// Blocks there is room for.
    room: usize,
    /// Slots so far.
    len: usize,
    farthest: u16,
    returns: usize,
    /// How many return addresses prove what is kept.
    proof: usize,
    /// Blocks up to there, and their farthest.
    checked: Option<(usize, u16)>,
}

impl Writer {
    /// Words of a chain of up to `most` slots; even, so that the next chain's blocks are aligned as well.
    pub const fn words(most: usize) -> usize {
        HEADER + Self::room(most) * (BLOCK_WORDS + TAG_WORDS)
    }

    /// Blocks with the filling behind the proof and at the end.
    const fn room(most: usize) -> usize {
        (most + 2 * BLOCK).div_ceil(BLOCK)
    }

    /// Begins a chain of at most `most` slots at word `at`, which is even. What is kept is proved by the slots up to the
    /// return address number `proof`; by all slots if there are fewer. `None`: too long.
    pub fn new(at: usize, most: usize, proof: usize) -> Option<Writer> {
        let room = Self::room(most);
        let checked = (proof == 0).then_some((0, 0));
        (room <= 0xff).then_some(Writer { at, room, len: 0, farthest: 0, returns: 0, proof, checked })
    }

    /// Return addresses so far.
    pub fn returns(&self) -> usize {
        self.returns
    }

    /// True when what is kept is proved.
    pub fn is_proof(&self) -> bool {
        self.checked.is_some()
    }

    /// Appends a slot. `None` if there is no room, or it is too far away.
    pub fn push(&mut self, words: &mut [u64], offset: usize, value: usize, tag: Tag) -> Option<()> {
        let offset = u16::try_from(offset).ok()?;
        self.put(words, offset, value as u64, tag)?;
        self.farthest = self.farthest.max(offset);
        if tag.is_return() {
            self.returns += 1;
            if self.returns == self.proof {
                self.fill(words)?;
                self.checked = Some((self.len / BLOCK, self.farthest));
            }
        }
        Some(())
    }

    fn put(&mut self, words: &mut [u64], offset: u16, value: u64, tag: Tag) -> Option<()> {
        let n = self.len;
        if n == self.room * BLOCK {
            return None;
        }
        let (offset_at, value_at, tag_at) = slot_at(n, self.room);
        let words = words.get_mut(self.at..)?;
        set_part(words.get_mut(offset_at)?, n, offset);
        *words.get_mut(value_at)? = value;
        set_part(words.get_mut(tag_at)?, n, tag.0);
        self.len += 1;
        Some(())
    }

    /// Fills the last block.
    fn fill(&mut self, words: &mut [u64]) -> Option<()> {
        let Some(last) = self.len.checked_sub(1) else { return Some(()) };
        let chain = Chain { words: words.get(self.at..)?, counts: Counts(0) };
        let (offset, value) = (chain.offset(last) as u16, chain.held(last) as u64);
        while !self.len.is_multiple_of(BLOCK) {
            self.put(words, offset, value, Tag::FILLING)?;
        }
        Some(())
    }

    /// Completes the chain of `caller`'s leaf, whose [`Chain::least`] is `least`. Returns its length in words, which is even.
    pub fn finish(
        mut self,
        words: &mut [u64],
        (key, caller, least): (Key, &CallerFrame, usize),
        ended: bool,
        id: u32,
    ) -> Option<usize> {
        self.fill(words)?;
        let blocks = self.len / BLOCK;
        let (checked, farthest_checked) = self.checked.unwrap_or((blocks, self.farthest));
        let header = words.get_mut(self.at..self.at + HEADER)?;
        header[PC] = caller.return_address as u64;
        header[SP] = caller.stack_pointer() as u64;
        header[ENTRY] = key.entry as u64;
        header[ID] = u64::from(id) | u64::from(ended) << 32;
        header[LINKS] = (least as u64) << 32;
        header[COUNTS] = Counts::new(blocks, self.room, checked, farthest_checked, self.farthest).0;
        Some(HEADER + self.room * (BLOCK_WORDS + TAG_WORDS))
    }
}

/// From now on `latest` is the [`Chain::latest`] of the chain that begins with the first of `words`.
#[inline(always)]
pub fn set_latest(words: &mut [u64], latest: u32) {
    if let Some(links) = words.get_mut(LINKS) {
        *links = *links & !u64::from(u32::MAX) | u64::from(latest);
    }
}

/// Sets the part of a word of four that number `n` is.
fn set_part(word: &mut u64, n: usize, part: u16) {
    let shift = n % 4 * 16;
    *word = *word & !(0xffff << shift) | u64::from(part) << shift;
}

const _: () = assert!(CALLEE_SAVED.len() < 14);
