//! The replay cache: whole stacks of one thread, as the unwinder read them.
//!
//! An unwinder's step is a function of the frame's state and of the words that it reads. So a *chain* (chain.rs), that
//! is a leaf with all words that were read on the way up and that mattered, proves a stack: if the leaf is the same, and
//! each of those words still has the value it had, unwinding again would read the same words and give the same stack.
//! Nothing is guessed; what a chain says is exactly what a walk would say. The words that matter are every return
//! address, and every callee-saved register that some frame finds its CFA through. Most code needs none of those, so a
//! loop that counts in rbp still hits.
//!
//! # Finding the chain
//!
//! Many stacks have the same leaf: what differs between them is who called the callers. So the chains of one leaf form
//! a tree. The first is found by the leaf (return address, stack pointer, entry point). Where its first changed slot is
//! number `n`, holding `v`, the next is found by (that chain, `n`, `v`): both agree before `n`, so whoever comes to that
//! chain with `v` in slot `n` belongs there, and nobody else does. The slots before it say where slot `n` lies, so what
//! is looked at is never a word without meaning. Each chain on the way is compared in full; the tree decides only where
//! to look.
//!
//! A place that allocates in a loop has the same stack time after time, wherever that is in the tree. So the first chain of a
//! leaf knows which was found last, and that is looked at before it. If it is not the one, the search goes on below it where
//! the stack agrees with it beyond the slot that it hangs by, since then it came by it; else at the first.
//!
//! *Join:* a stack that is not found is walked, and each frame is looked for in the chain that came nearest, or was used
//! last. If a frame is in it, with the same live registers and unchanged slots from there on, the rest is taken from
//! it. Chains reach [`OVERHANG`] frames beyond the depth that is kept, so that a leaf that is less deep still finds all
//! of its frames.
//!
//! Only steps by rule on one stack are remembered; a stack with any other step (signal frames, rows with expressions,
//! changes of stack) is walked each time. A step by frame pointer counts as one by rule once it was found to fit: what
//! its two words are is compared, and where they lie is inside the stack; that the code before the return address is
//! still a call is taken for granted.
//!
//! Contract: per thread, no locks. The memory is an own mapping, made when a thread has captured [`WARM_UP`] stacks,
//! dropped with the thread. When it is full it doubles, up to a limit, and begins anew: what it held is soon found
//! again. When code was loaded or unloaded it begins anew as well.

use crate::arch::CallerFrame;
use crate::arch::unwinding::callers_register_at;
use crate::mem::MapVec;

use super::chain::{self, Chain, Key, Live, Tag, Writer, live_before, mix, place_of};
use super::recent::Recent;
use super::rule::Rule;
use super::stack_read::{Seen, Stack};
use super::walk::{Logged, Walker};

/// Frames remembered beyond the depth that is kept.
pub const OVERHANG: usize = 16;
/// Captures before a thread gets a cache.
pub const WARM_UP: u64 = 64;
/// The longest walk that is remembered.
pub const LONGEST: usize = super::MAX_DEPTH + OVERHANG;
/// Words for chains at first (64 KiB, touched as they are filled), and how often they may double (to 4 MiB).
const SMALLEST: u32 = 1 << 13;
const LARGEST: u32 = SMALLEST << 6;
/// One word of index for this many words of chains.
const WORDS_AN_INDEX: usize = 32;
const WAYS: usize = 4;
/// Where chains begin: position 0 is none.
const FIRST: u32 = super::recent::RESERVED as u32;
/// An index word: the upper half of the hash, then the position.
const POSITION: u64 = u32::MAX as u64;

/// The rest of a stack, in a chain: from the slot after `slot` on. What lies below the address `bottom` was saved by the
/// frames before.
#[derive(Clone, Copy)]
pub struct Tail {
    position: u32,
    slot: usize,
    bottom: usize,
}

/// Where a stack that was not found belongs.
#[derive(Clone, Copy)]
pub struct Place {
    /// By what it would have been found.
    hash: u64,
    /// The chain that came nearest, 0 for none, and its slot that differs.
    nearest: u32,
    slot: usize,
}

/// Where in a chain a walk looks for its frames.
pub struct Cursor {
    position: u32,
    slot: usize,
}

/// A walk that is to be remembered: `log`ged steps from `caller`, then the tail of another chain, or the end of the stack
/// (`ended`), or the end of what was asked for.
pub struct Walk<'a> {
    /// The leaf, by the entry point's own record.
    pub caller: &'a CallerFrame,
    /// Its steps.
    pub log: &'a [Logged],
    /// What follows them.
    pub tail: Option<Tail>,
    /// True when the last step led to the outermost frame.
    pub ended: bool,
    /// The registers that this was seen by.
    pub last_live: Live,
    /// Frames asked for, the entry point counted.
    pub depth: usize,
    /// Frames had of those.
    pub kept: usize,
}

/// A thread's cache. All zero: empty.
pub struct Replay {
    /// The chains behind those that are looked at first, then the index.
    memory: MapVec<u64>,
    /// Words for chains, a power of two; 0 as long as there is no memory.
    room: u32,
    /// Where the next chain goes.
    used: u32,
    /// The chain that was used last; 0 for none.
    recent: u32,
    /// Of the code that all chains belong to.
    epoch: u32,
    refused: bool,
    /// The chains that are looked at first.
    last: Recent,
}

impl Replay {
    /// Empty, without memory.
    pub const fn new() -> Replay {
        Replay {
            memory: MapVec::new(),
            room: 0,
            used: FIRST,
            recent: 0,
            epoch: 0,
            refused: false,
            last: Recent::new(),
        }
    }

    /// True when the chains are of the code that `key` is asked for, and are all that is asked.
    #[inline(always)]
    pub fn is_armed(&self, key: Key) -> bool {
        self.last.is_armed(key)
    }

    /// Says whether the next stack may be taken from a chain without more ado.
    pub fn arm(&mut self, key: Key, may: bool) {
        if may && self.room != 0 && self.epoch == key.epoch {
            self.last.arm(key, &self.memory);
        } else {
            self.last.disarm();
        }
    }

    /// True when there is a cache for the code of `epoch`; makes one when `captures` say that it is worth it.
    pub fn is_ready(&mut self, captures: u64, key: Key) -> bool {
        if self.room == 0 && (captures < WARM_UP || self.refused || !self.make(SMALLEST)) {
            return false;
        }
        if self.epoch != key.epoch {
            self.begin_anew();
            self.epoch = key.epoch;
        }
        true
    }

    /// Forgets all chains, and keeps the memory.
    pub fn forget(&mut self) {
        self.last.disarm();
        // Of no code: begun anew before the next use.
        self.epoch = 0;
    }

    fn make(&mut self, room: u32) -> bool {
        let words = room as usize;
        match MapVec::zeroed(words + words / WORDS_AN_INDEX) {
            Ok(memory) => {
                self.last.disarm();
                (self.memory, self.room) = (memory, room);
                (self.used, self.recent) = (FIRST, 0);
                true
            }
            // Not asked for again: a thread without a cache walks, and is right.
            Err(_) => {
                self.refused = true;
                false
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_anew(&mut self) {
        Recent::clear(&mut self.memory);
        if let Some(index) = self.memory.get_mut(self.room as usize..) {
            // A look before the store: most of a large index may never have been touched.
            index.iter_mut().filter(|word| **word != 0).for_each(|word| *word = 0);
        }
        (self.used, self.recent) = (FIRST, 0);
    }

    /// Makes room for `words` more, or begins anew: then what was known of positions is worth nothing, and it is false.
    fn has_room(&mut self, words: usize) -> bool {
        if self.used as usize + words <= self.room as usize {
            return true;
        }
        if self.room == LARGEST || self.refused || !self.make(self.room * 2) {
            self.begin_anew();
        }
        false
    }

    #[inline(always)]
    fn chain(&self, position: u32) -> Option<Chain<'_>> {
        self.memory.get(position as usize..).and_then(Chain::new)
    }

    #[inline(always)]
    fn bucket(&self, hash: u64) -> usize {
        let entries = self.room as usize / WORDS_AN_INDEX;
        self.room as usize + (hash as usize & entries.wrapping_sub(1) & !(WAYS - 1))
    }

    #[inline(always)]
    fn look_up(&self, hash: u64) -> Option<u32> {
        let bucket = self.bucket(hash);
        let ways = self.memory.get(bucket..bucket + WAYS)?;
        let found = ways.iter().find(|way| (**way ^ hash) >> 32 == 0)?;
        Some((found & POSITION) as u32)
    }

    fn enter(&mut self, hash: u64, position: u32) {
        let bucket = self.bucket(hash);
        let Some(ways) = self.memory.get_mut(bucket..bucket + WAYS) else { return };
        let same = ways.iter().position(|way| (*way ^ hash) >> 32 == 0);
        // The oldest falls out.
        let last = same.unwrap_or(WAYS - 1);
        ways.copy_within(..last, 1);
        ways[0] = hash & !POSITION | u64::from(position);
    }

    /// The stack of `caller`, if the chain of its leaf that proved a stack last proves it too.
    #[inline(always)]
    pub fn find_recent(&self, key: Key, caller: &CallerFrame) -> Option<u32> {
        self.last.proves(key, caller)
    }

    /// After [`Replay::find`] has found a stack of the thread's own: the next of this leaf may be the same.
    #[inline(always)]
    pub fn keep_found(&mut self, caller: &CallerFrame) {
        Recent::keep(&mut self.memory, self.recent, caller);
    }

    /// In `verify` mode, for a stack of the thread's own: true when [`Replay::find_recent`] would have said something else than
    /// `id`. Keeps the chain as the usual way does.
    pub fn differs_recently(&mut self, key: Key, caller: &CallerFrame, id: u32) -> bool {
        if self.room == 0 || self.epoch != key.epoch {
            return false;
        }
        let mut recent = Recent::new();
        recent.arm(key, &self.memory);
        let differs = recent.proves(key, caller).is_some_and(|found| found != id);
        if self.chain(self.recent).is_some_and(|chain| chain.is_of(key, caller) && chain.id() == id) {
            self.keep_found(caller);
        }
        differs
    }

    /// The stack of `caller`, if a chain proves it; else where it belongs. `reach` as above.
    #[inline(always)]
    pub fn find(
        &mut self,
        key: Key,
        caller: &CallerFrame,
        mut reach: impl FnMut(usize) -> Option<Seen>,
    ) -> Result<u32, Option<Place>> {
        let record = core::ptr::from_ref(caller).addr();
        let mut place = Place { hash: key.hash(caller), nearest: 0, slot: 0 };
        let Some(first) = self.look_up(place.hash) else { return Err(Some(place)) };
        let Some(mut chain) = self.chain(first) else { return Err(None) };
        if !chain.is_of(key, caller) {
            // Another leaf with the same hash. One of them will be found.
            return Err(Some(place));
        }
        let latest = chain.latest();
        let (mut position, mut least) = (first, 0);
        if latest != 0
            && let Some(other) = self.chain(latest)
        {
            (position, chain, least) = (latest, other, other.least());
        }
        loop {
            let Some(seen) = reach(chain.end_of_checked(record)) else { return Err(None) };
            let Some(block) = chain.first_changed_block(record, seen) else {
                let id = chain.id();
                self.recent = position;
                let found = if position == first { 0 } else { position };
                if found != latest
                    && let Some(words) = self.memory.get_mut(first as usize..)
                {
                    chain::set_latest(words, found);
                }
                return Ok(id);
            };
            let Some((slot, word)) = chain.change_in(block, record, seen) else { return Err(None) };
            if slot < least {
                if place.nearest != 0 || position == first {
                    return Err(Some(place));
                }
                let Some(again) = self.chain(first) else { return Err(None) };
                (position, chain, least) = (first, again, 0);
                continue;
            }
            least = slot + 1;
            place = Place {
                hash: mix(mix((u64::from(position) << 16 | slot as u64) ^ 1 << 63) ^ word as u64),
                nearest: position,
                slot,
            };
            let Some(next) = self.look_up(place.hash) else { return Err(Some(place)) };
            let Some(other) = self.chain(next) else { return Err(None) };
            if !other.is_of(key, caller) {
                return Err(Some(place));
            }
            (position, chain) = (next, other);
        }
    }

    /// Begins to look for frames in the chain that came nearest, or else the one used last.
    pub fn cursor(&self, place: Option<Place>) -> Cursor {
        match place {
            Some(Place { nearest, slot, .. }) if nearest != 0 => Cursor { position: nearest, slot: slot + 1 },
            _ => Cursor { position: self.recent, slot: 0 },
        }
    }

    /// Looks for the frame that `walker` is at. If it is there, and its callers are as they were, they fill `frames`,
    /// unless the stack ends before; their number and the rest of the chain are returned.
    pub fn join(
        &self,
        cursor: &mut Cursor,
        walker: &mut Walker<'_, '_>,
        frames: &mut [usize],
    ) -> Option<(usize, Tail)> {
        if cursor.position == 0 {
            return None;
        }
        let chain = self.chain(cursor.position)?;
        // The first frame is the leaf, by which the chain was not found.
        let last = *walker.log().last()?;
        let return_address = Rule::at(last.rule().return_address, last.cfa());
        let slot = chain.slot_of_return(&mut cursor.slot, return_address)?;
        if !chain.leads_to(slot, walker) {
            return None;
        }
        let bottom = chain.bottom_behind(slot, walker)?;
        let (len, end) = chain.callers(slot + 1, frames);
        if len < frames.len() && !(chain.ended() && end == chain.slots()) {
            // It does not reach far enough; nor would it from a later frame.
            cursor.position = 0;
            return None;
        }
        let seen = walker.stack().seen(chain.end())?;
        match chain.first_change_above(bottom, slot + 1, end, seen) {
            None => Some((len, Tail { position: cursor.position, slot, bottom })),
            Some(change) => {
                cursor.slot = change + 1;
                None
            }
        }
    }

    /// Remembers a walk, which has become the stack `id`, where it belongs. False if that cannot be.
    pub fn remember(
        &mut self,
        key: Key,
        place: Place,
        walk: &Walk<'_>,
        stack: &mut Stack<'_>,
        id: u32,
    ) -> bool {
        let tail = walk.tail.and_then(|tail| Some(self.chain(tail.position)?.slots() - tail.slot));
        // Each step has one slot, and another if it needs a register; so has the end.
        let needing = |step: &&Logged| place_of(step.rule().cfa_register).is_some();
        let registers = walk.log.iter().filter(needing).count();
        let most = walk.log.len() + registers + 1 + tail.unwrap_or(0);
        if !self.has_room(Writer::words(most)) {
            return false;
        }
        // The first of a leaf hangs nowhere.
        let least = if place.nearest == 0 { 0 } else { place.slot + 1 };
        let Some(len) = self.write(most, (key, least), walk, stack, id) else { return false };
        self.recent = self.used;
        self.enter(place.hash, self.used);
        self.used += len as u32;
        true
    }

    /// Writes the chain where the next one goes; its length in words. `None` if the walk cannot be one.
    fn write(
        &mut self,
        most: usize,
        (key, least): (Key, usize),
        walk: &Walk<'_>,
        stack: &mut Stack<'_>,
        id: u32,
    ) -> Option<usize> {
        // Backwards: which registers are live behind each step.
        let mut live = match walk.tail {
            Some(tail) => self.chain(tail.position)?.tag(tail.slot).live(),
            None => walk.last_live,
        };
        let mut live_behind = [0; LONGEST];
        for (behind, step) in live_behind.iter_mut().zip(walk.log).rev() {
            *behind = live;
            live = live_before(step.rule(), live)?;
        }
        // The entry point and the leaf are in the key. A stack that is less deep than asked for is proved by all slots,
        // the end included.
        let proof = if walk.kept < walk.depth { usize::MAX } else { walk.depth.saturating_sub(2) };
        let mut out = Output {
            writer: Writer::new(self.used as usize, most, proof)?,
            memory: &mut self.memory,
            record: core::ptr::from_ref(walk.caller).addr(),
            stack,
        };
        for (n, (behind, step)) in live_behind.iter().zip(walk.log).enumerate() {
            let rule = step.rule();
            if let Some(place) = place_of(rule.cfa_register) {
                out.push_register(place, walk.log.get(..n)?)?;
            }
            out.push(Rule::at(rule.return_address, step.cfa()), Tag::returns(*behind))?;
        }
        let mut ended = walk.ended;
        match walk.tail {
            Some(tail) => ended = out.push_tail(tail, walk)?,
            None => {
                for place in (0..Live::BITS as usize).filter(|place| walk.last_live >> place & 1 != 0) {
                    out.push_register(place, walk.log)?;
                }
            }
        }
        let writer = out.writer;
        // What is kept must be proved by the slots that there are.
        if !writer.is_proof() && !ended {
            return None;
        }
        writer.finish(&mut self.memory, (key, walk.caller, least), ended, id)
    }
}

/// A chain that is being written.
struct Output<'a, 's> {
    writer: Writer,
    memory: &'a mut [u64],
    record: usize,
    stack: &'a mut Stack<'s>,
}

impl Output<'_, '_> {
    /// Appends the word at an address.
    fn push(&mut self, at: usize, tag: Tag) -> Option<()> {
        let word = self.stack.seen(at + size_of::<usize>())?.word(at)?;
        self.put(at, word, tag)
    }

    fn put(&mut self, at: usize, word: usize, tag: Tag) -> Option<()> {
        self.writer.push(self.memory, at.checked_sub(self.record)? / size_of::<usize>(), word, tag)
    }

    /// Appends a register that is needed behind the steps `before`: where it was saved last.
    fn push_register(&mut self, place: usize, before: &[Logged]) -> Option<()> {
        let saved = before.iter().rev().find_map(|step| {
            let words = *step.rule().saved.get(place)?;
            (words != 0).then(|| Rule::at(words, step.cfa()))
        });
        let at = saved.unwrap_or(self.record + callers_register_at(place) * size_of::<usize>());
        self.push(at, Tag::saved(place))
    }

    /// Appends what follows slot `tail.slot` in its chain, as far as it is wanted. True when it went to the chain's end and
    /// that is the stack's.
    fn push_tail(&mut self, tail: Tail, walk: &Walk<'_>) -> Option<bool> {
        let old = Chain::new(self.memory.get(tail.position as usize..)?)?;
        let (slots, ended) = (old.slots(), old.ended());
        for n in tail.slot + 1..slots {
            let old = Chain::new(self.memory.get(tail.position as usize..)?)?;
            let (address, word, tag) = (old.address(n), old.held(n), old.tag(n));
            if tag == Tag::FILLING {
                continue;
            }
            match tag.place() {
                // Saved among the steps of this walk.
                Some(place) if address < tail.bottom => self.push_register(place, walk.log)?,
                // What it held then, not what it holds now: beyond the frames that are kept nobody has compared it.
                _ => self.put(address, word, tag)?,
            }
            if self.writer.returns() + 2 >= walk.depth + OVERHANG {
                return Some(ended && n + 1 == slots);
            }
        }
        Some(ended)
    }
}
