//! The replay cache: whole stacks of one thread, as the unwinder read them.
//!
//! An unwinder's step is a function of the frame's state and of the words that it reads. So a *chain*, that is a state
//! with all words that were read on the way up and that mattered, proves a stack: if the state is the same, and each of
//! those words still has the value it had, unwinding again would read the same words and give the same stack. Nothing
//! is guessed; what a chain says is exactly what a walk would say. A chain (chain.rs) holds:
//!
//! - its key: return address, stack pointer, entry point, the epoch of loaded code, and those of the caller's
//!   callee-saved registers that the walk depended on. Most code depends on none: a register matters only if some frame
//!   finds its CFA through it before it was loaded from the stack. Going back over the steps, as for the liveness of
//!   variables, tells which. A loop that counts in rbp therefore still hits.
//! - its slots, upwards: every return address, and every saved register that is live above.
//!
//! *Whole hit:* the key is equal and all slots are: one pass over a flat array.
//! *Join:* else the stack is walked, and each frame is looked for in the chain that was used last, since stacks of one
//! thread differ near the leaf. If a frame is in it, with the same live registers and unchanged slots from there on, the
//! rest is taken from it. Chains reach [`OVERHANG`] frames beyond the depth that is kept, so that a leaf that is less
//! deep still finds all of its frames.
//!
//! Only steps by rule on one stack are remembered; a stack with any other step (signal frames, rows with expressions,
//! changes of stack) is walked each time. A step by frame pointer counts as one by rule once it was found to fit: what
//! its two words are is compared, and where they lie is inside the stack; that the code before the return address is
//! still a call is taken for granted.
//!
//! Contract: per thread, no locks. The memory is an own mapping, made when a thread has captured [`WARM_UP`] stacks,
//! doubled while the ring of chains goes round faster than it is used, dropped with the thread. Chains lie in a ring,
//! the oldest is overwritten; the index names them by positions that only grow, so that a stale one is known.

use crate::arch::CallerFrame;
use crate::mem::MapVec;

use super::chain::{Chain, Key, Slot, Tag, Writer, live_before};
use super::rule::Rule;
use super::stack_read::Stack;
use super::walk::{Logged, Walker};

/// Frames remembered beyond the depth that is kept.
pub const OVERHANG: usize = 16;
/// Captures before a thread gets a cache.
pub const WARM_UP: u64 = 64;
/// The longest walk that is remembered.
pub const LONGEST: usize = super::MAX_DEPTH + OVERHANG;
/// Words of the smallest ring (32 KiB), and how often it may double (to 1 MiB).
const SMALLEST: usize = 4096;
const DOUBLINGS: u8 = 5;
/// One word of index for this many words of the ring.
const WORDS_AN_INDEX: usize = 32;
const WAYS: usize = 2;
/// An index word: the upper bits of the hash, then the position.
const POSITION: u64 = (1 << 48) - 1;

/// The rest of a stack, in a chain: from the slot after `slot` on.
#[derive(Clone, Copy)]
pub struct Tail {
    position: u64,
    slot: usize,
}

/// Where in the chain used last a walk looks for its frames.
pub struct Cursor {
    position: u64,
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
    pub last_live: u8,
    /// Frames asked for, the entry point counted.
    pub depth: usize,
    /// Frames had of those.
    pub kept: usize,
}

/// A thread's cache. All zero: empty.
pub struct Replay {
    /// The ring, then the index.
    memory: MapVec<u64>,
    /// Where the next chain goes; only grows. It begins at the ring's length, so that position 0 is none.
    head: u64,
    /// The chain that was used last.
    recent: u64,
    doublings: u8,
    refused: bool,
}

impl Replay {
    /// Empty, without memory.
    pub const fn new() -> Replay {
        Replay { memory: MapVec::new(), head: 0, recent: 0, doublings: 0, refused: false }
    }

    /// True when there is a cache; makes one when `captures` say that it is worth it.
    #[inline]
    pub fn is_ready(&mut self, captures: u64) -> bool {
        self.head != 0 || (captures >= WARM_UP && !self.refused && self.grow())
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> bool {
        let doublings = if self.head == 0 { 0 } else { self.doublings + 1 };
        let ring = SMALLEST << doublings;
        let Ok(memory) = MapVec::zeroed(ring + ring / WORDS_AN_INDEX) else {
            // Not asked for again: a thread without a cache walks, and is right.
            self.refused = true;
            return self.head != 0;
        };
        *self = Replay { memory, head: ring as u64, recent: 0, doublings, refused: false };
        true
    }

    /// Words of the ring, a power of two; the index lies behind it.
    #[inline]
    fn ring_len(&self) -> u64 {
        (SMALLEST as u64) << (self.doublings & 7)
    }

    #[inline]
    fn place(&self, position: u64) -> usize {
        (position & (self.ring_len() - 1)) as usize
    }

    /// The chain at a position, if it was not overwritten.
    #[inline]
    fn chain(&self, position: u64) -> Option<Chain<'_>> {
        if position == 0 || self.head - position > self.ring_len() {
            return None;
        }
        self.memory.get(self.place(position)..).and_then(Chain::new)
    }

    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        let ring = self.ring_len() as usize;
        ring + (hash as usize & (ring / WORDS_AN_INDEX - 1) & !(WAYS - 1))
    }

    /// The stack of `caller`, if a chain proves it.
    #[inline]
    pub fn find(&mut self, key: Key, caller: &CallerFrame, stack: &mut Stack<'_>) -> Option<u32> {
        let hash = key.hash(caller);
        let bucket = self.bucket(hash);
        for way in bucket..bucket + WAYS {
            let entry = *self.memory.get(way)?;
            if (entry ^ hash) >> 48 != 0 {
                continue;
            }
            let Some(chain) = self.chain(entry & POSITION) else { continue };
            if chain.is_of(key, caller) && chain.is_unchanged(stack) {
                let id = chain.id();
                self.recent = entry & POSITION;
                return Some(id);
            }
        }
        None
    }

    /// Begins to look for frames in the chain that was used last.
    pub fn cursor(&self, key: Key) -> Cursor {
        let usable = self.chain(self.recent).is_some_and(|chain| chain.epoch() == key.epoch);
        Cursor { position: if usable { self.recent } else { 0 }, slot: 0 }
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
        // A frame begins where the slot of the return address that led to it ends.
        let slot = chain.slot_of_return(&mut cursor.slot, walker.sp())?;
        if !chain.leads_to(slot, walker) {
            return None;
        }
        let (len, end) = chain.callers(slot + 1, frames);
        if len < frames.len() && !(chain.ended() && end == chain.slots()) {
            // It does not reach far enough; nor would it from a later frame.
            cursor.position = 0;
            return None;
        }
        match chain.first_change(slot + 1, end, walker.stack()) {
            None => Some((len, Tail { position: cursor.position, slot })),
            Some(change) => {
                cursor.slot = change + 1;
                None
            }
        }
    }

    /// Remembers a walk, which has become the stack `id`. False if that cannot be.
    pub fn remember(&mut self, key: Key, walk: &Walk<'_>, stack: &mut Stack<'_>, id: u32) -> bool {
        let most = 2 * (walk.depth + OVERHANG);
        let room = Writer::room(most) as u64;
        let ring = self.ring_len();
        let left = ring - self.head % ring;
        let position = if left < room { self.head + left } else { self.head };
        if room > ring / 4 || walk.tail.is_some_and(|tail| position + room - tail.position > ring) {
            return false;
        }
        if position > ring * 4 && self.doublings < DOUBLINGS {
            // Three times round: there are more stacks than the ring holds. What it held is soon found again.
            self.grow();
            return false;
        }
        let len = self.write(position, most, key, walk, stack, id);
        // Also what was written in vain has overwritten older chains.
        self.head = position + len.map_or(room, |len| len as u64);
        if len.is_none() {
            return false;
        }
        self.recent = position;
        let hash = key.hash(walk.caller);
        let bucket = self.bucket(hash);
        if let Some([first, second]) = self.memory.get_mut(bucket..bucket + WAYS) {
            *second = *first;
            *first = hash & !POSITION | position & POSITION;
        }
        true
    }

    /// Writes the chain; its length in words. `None` if the walk cannot be one.
    fn write(
        &mut self,
        position: u64,
        most: usize,
        key: Key,
        walk: &Walk<'_>,
        stack: &mut Stack<'_>,
        id: u32,
    ) -> Option<usize> {
        let sp = walk.caller.stack_pointer();
        // Backwards: which registers are live behind each step.
        let mut live = match walk.tail {
            Some(tail) => self.chain(tail.position)?.tag(tail.slot).live(),
            None => walk.last_live,
        };
        let mut live_behind = [0u8; LONGEST];
        for (behind, step) in live_behind.iter_mut().zip(walk.log).rev() {
            *behind = live;
            live = live_before(step.rule(), live)?;
        }
        // The entry point and the leaf are in the key. A stack that is less deep than asked for is proved by all slots,
        // the end included.
        let proof = if walk.kept < walk.depth { usize::MAX } else { walk.depth.saturating_sub(2) };
        let mut writer = Writer::new(self.place(position), most, live, proof);
        // Forwards: the slots.
        let mut push = |memory: &mut [u64], at: usize, tag: Tag| {
            let slot = Slot::new(at.checked_sub(sp)? >> 3, stack.word(at)?)?;
            writer.push(memory, slot, tag)
        };
        for (behind, step) in live_behind.iter().zip(walk.log) {
            let rule = step.rule();
            for (place, words) in rule.saved.into_iter().enumerate() {
                if words != 0 && behind >> place & 1 != 0 {
                    push(&mut self.memory, Rule::at(words, step.cfa()), Tag::saved(place))?;
                }
            }
            push(&mut self.memory, Rule::at(rule.return_address, step.cfa()), Tag::returns(*behind))?;
        }
        let mut ended = walk.ended;
        if let Some(tail) = walk.tail {
            ended = self.copy_tail(&mut writer, tail, sp, walk.depth + OVERHANG)?;
        }
        // What is kept must be proved by the slots that there are.
        if !writer.is_proof() && !ended {
            return None;
        }
        writer.finish(&mut self.memory, key, walk.caller, ended, id)
    }

    /// Appends what follows slot `tail.slot` in its chain, for a leaf at `sp`, as far as there is room. True when it went
    /// to the chain's end and that is the stack's.
    fn copy_tail(&mut self, writer: &mut Writer, tail: Tail, sp: usize, most_frames: usize) -> Option<bool> {
        let chain = self.chain(tail.position)?;
        let (slots, ended) = (chain.slots(), chain.ended());
        // Both stack pointers are aligned, and the difference may be negative.
        let shift = (chain.sp().wrapping_sub(sp) as isize) >> 3;
        for n in tail.slot + 1..slots {
            let chain = self.chain(tail.position)?;
            let (slot, tag) = (chain.slot(n), chain.tag(n));
            let moved =
                slot.offset().checked_add_signed(shift).and_then(|offset| Slot::new(offset, slot.value()));
            let Some(moved) = moved else { return Some(false) };
            if writer.returns() + 2 >= most_frames || writer.push(&mut self.memory, moved, tag).is_none() {
                return Some(false);
            }
        }
        Some(ended)
    }
}
