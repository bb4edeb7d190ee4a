//! Work sharing: tasks that have much give to tasks that have nothing.
//!
//! Each task works on a frontier of its own. One that has run out counts itself as hungry; others see that at their next
//! step and put a batch of pieces into a free slot, from which one of the hungry takes it. Nothing is shared while all are busy,
//! which is nearly always.
//!
//! The end is found by *tokens*: each task at work holds one, and so does each full slot. A task that gives adds the
//! slot's token first; one that takes a slot has its token; one that runs out gives its token up. When there is no token
//! left there is no work left, and nobody can make any.
//!
//! Contract: lock-free; no system call, no allocation. The pieces themselves lie in atomic words, so the code is safe;
//! a slot's state says who may touch them. `scan/model.rs` checks it with loom.

use super::atomics::{AtomicU8, AtomicUsize, Ordering};

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Pieces in one slot.
pub(super) const BATCH: usize = if cfg!(loom) { 2 } else { 32 };
const SLOTS: usize = if cfg!(loom) { 2 } else { 32 };

/// States of a slot, in their order.
const EMPTY: u8 = 0;
const BEING_FILLED: u8 = 1;
const FULL: u8 = 2;
const BEING_EMPTIED: u8 = 3;

/// A piece, as the slots hold it.
pub(super) type Words = [usize; 2];

struct Slot {
    state: AtomicU8,
    len: AtomicUsize,
    pieces: [[AtomicUsize; 2]; BATCH],
}

/// See the module.
pub(super) struct Sharing {
    tokens: AtomicUsize,
    /// Tasks that have nothing to do.
    hungry: AtomicUsize,
    /// Slots that are full, or about to be.
    full: AtomicUsize,
    slots: [Slot; SLOTS],
}

impl Sharing {
    /// With one token, which belongs to the first task.
    pub(super) fn new() -> Sharing {
        Sharing {
            tokens: AtomicUsize::new(1),
            hungry: AtomicUsize::new(0),
            full: AtomicUsize::new(0),
            slots: core::array::from_fn(|_| Slot {
                state: AtomicU8::new(EMPTY),
                len: AtomicUsize::new(0),
                pieces: core::array::from_fn(|_| [AtomicUsize::new(0), AtomicUsize::new(0)]),
            }),
        }
    }

    /// A token for one more task. False when all work is done.
    pub(super) fn join(&self) -> bool {
        self.tokens.fetch_update(AcqRel, Acquire, |tokens| (tokens > 0).then(|| tokens + 1)).is_ok()
    }

    /// True when a batch would find a taker.
    #[inline(always)]
    pub(super) fn is_wanted(&self) -> bool {
        let hungry = self.hungry.load(Relaxed);
        hungry > 0 && self.full.load(Relaxed) < hungry
    }

    /// Gives away what `next` yields, at most [`BATCH`] pieces. The caller holds a token. `next` is not asked when there
    /// is no room.
    pub(super) fn give(&self, mut next: impl FnMut() -> Option<Words>) {
        let claim = |slot: &&Slot| slot.state.compare_exchange(EMPTY, BEING_FILLED, Acquire, Relaxed).is_ok();
        let Some(slot) = self.slots.iter().find(claim) else { return };
        let mut len = 0;
        for place in &slot.pieces {
            let Some(words) = next() else { break };
            for (to, word) in place.iter().zip(words) {
                to.store(word, Relaxed);
            }
            len += 1;
        }
        if len == 0 {
            slot.state.store(EMPTY, Release);
            return;
        }
        slot.len.store(len, Relaxed);
        // The token before the slot can be seen: it must not be taken, worked off and given up meanwhile.
        self.tokens.fetch_add(1, AcqRel);
        self.full.fetch_add(1, Relaxed);
        slot.state.store(FULL, Release);
    }

    /// Takes a full slot and its token, and hands its pieces to `each`.
    fn take(&self, each: &mut impl FnMut(Words)) -> bool {
        let claim = |slot: &&Slot| {
            slot.state.load(Relaxed) == FULL
                && slot.state.compare_exchange(FULL, BEING_EMPTIED, Acquire, Relaxed).is_ok()
        };
        let Some(slot) = self.slots.iter().find(claim) else { return false };
        self.full.fetch_sub(1, Relaxed);
        for [start, end] in slot.pieces.iter().take(slot.len.load(Relaxed)) {
            each([start.load(Relaxed), end.load(Relaxed)]);
        }
        slot.state.store(EMPTY, Release);
        true
    }

    /// Called by a task that has run out of work; gives up its token. Returns true with a token and pieces handed to
    /// `each`, or with a token alone when `is_more` says that there is work elsewhere; false when all work is done, or
    /// when `rest`, which is called while there is nothing to do, says to give up.
    pub(super) fn wait(
        &self,
        mut each: impl FnMut(Words),
        is_more: impl Fn() -> bool,
        mut rest: impl FnMut() -> bool,
    ) -> bool {
        self.hungry.fetch_add(1, Relaxed);
        self.tokens.fetch_sub(1, AcqRel);
        let found = loop {
            if self.take(&mut each) || is_more() && self.join() {
                break true;
            }
            if self.tokens.load(Acquire) == 0 || !rest() {
                break false;
            }
        };
        self.hungry.fetch_sub(1, Relaxed);
        found
    }
}
