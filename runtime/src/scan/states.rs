//! What is known of each chunk, a byte each: whether it is marked, whether there is one at all, and how long it is.
//!
//! Most words of a graph lead to chunks that are marked, and most others to chunks that are short. For both this byte is
//! all that is looked at, and bytes lie eight times as close as the metadata that they are copied from.
//!
//! | bits | |
//! |---|---|
//! | 0..6 | [`Slack`] |
//! | 6 | reached, by weak roots only |
//! | 7 | reached by strong roots |
//! | both | reached, and noted as not read yet ([`super::overflow`]): during a flood only |
//!
//! Several tasks may mark at once; that one of them sees what another marked says nothing about other memory.

use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};

use crate::base::{Errno, WorkerDied, Workers};
use crate::harvest::Strength;
use crate::heap::{Census, ChunkId, GROUP, Provider, Slack};
use crate::mem::AtomicWords;

/// Groups that a task copies at once.
const BATCH: usize = 256;

/// Marks, as bits of a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u8);

impl Mark {
    pub(super) const STRONG: Mark = Mark(1 << 7);
    pub(super) const WEAK: Mark = Mark(1 << 6);
    pub(super) const ANY: Mark = Mark(Mark::STRONG.0 | Mark::WEAK.0);

    /// What a flood leaves.
    pub(super) const fn of(strength: Strength) -> Mark {
        match strength {
            Strength::Strong => Mark::STRONG,
            Strength::Weak => Mark::WEAK,
        }
    }

    /// It in each byte of a word.
    pub(super) const fn everywhere(self) -> u64 {
        self.0 as u64 * 0x0101_0101_0101_0101
    }
}

/// What the byte of a chunk says.
#[derive(Clone, Copy)]
pub(super) struct State(u8);

impl State {
    /// Is it marked in one of these ways?
    #[inline(always)]
    pub(super) const fn has(self, marks: Mark) -> bool {
        self.0 & marks.0 != 0
    }

    #[inline(always)]
    pub(super) const fn slack(self) -> Slack {
        Slack::from_bits(self.0)
    }
}

/// See the module. A chunk's byte is the one of its ordinal, counted from the lowest bits of the words.
pub(super) struct States {
    words: AtomicWords,
}

/// Bytes in a word.
const BYTES: usize = size_of::<u64>();

/// How far up in its word a chunk's byte is.
#[inline(always)]
const fn shift(index: usize) -> usize {
    index % BYTES * 8
}

impl States {
    /// Nothing marked, for the chunks of `provider`.
    pub(super) fn new(provider: &impl Provider) -> Result<States, Errno> {
        Ok(States { words: AtomicWords::zeroed(provider.slots().div_ceil(BYTES))? })
    }

    /// Copies what the heap says of its chunks. Once, before anything else.
    pub(super) fn copy(
        &self,
        provider: &(impl Provider + Sync),
        workers: &impl Workers,
    ) -> Result<Census, WorkerDied> {
        let groups = provider.slots().div_ceil(GROUP);
        let next = AtomicUsize::new(0);
        let [chunks, bytes, ignored] = [const { AtomicUsize::new(0) }; 3];
        workers.run(&|_| {
            let mut census = Census::default();
            loop {
                let first = next.fetch_add(BATCH, Relaxed);
                if first >= groups {
                    break;
                }
                for group in first..(first + BATCH).min(groups) {
                    self.copy_group(provider, group, &mut census);
                }
            }
            chunks.fetch_add(census.chunks, AcqRel);
            bytes.fetch_add(census.bytes, AcqRel);
            ignored.fetch_add(census.ignored, AcqRel);
        })?;
        let [chunks, bytes, ignored] = [chunks, bytes, ignored].map(AtomicUsize::into_inner);
        Ok(Census { chunks, bytes, ignored })
    }

    fn copy_group(&self, provider: &impl Provider, group: usize, census: &mut Census) {
        let mut slacks = [Slack::NO_CHUNK; GROUP];
        let before = census.chunks;
        provider.group(group, &mut slacks, census);
        if census.chunks == before {
            // Pages that say of nothing but free blocks are not touched.
            return;
        }
        let words = self.words.get(group * GROUP / BYTES..).unwrap_or_default();
        for (word, slacks) in words.iter().zip(slacks.as_chunks::<BYTES>().0) {
            word.store(u64::from_le_bytes(slacks.map(Slack::bits)), Relaxed);
        }
    }

    /// All bytes, in words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    /// What is known of a chunk. Of one that cannot be: that there is none.
    #[inline(always)]
    pub(super) fn of(&self, id: ChunkId) -> State {
        let index = id.index();
        State(self.words.get(index / BYTES).map_or(0, |word| (word.load(Relaxed) >> shift(index)) as u8))
    }

    /// Marks a chunk. Returns true to one of several callers, and to none when it has one of the marks `done` already.
    #[inline]
    pub(super) fn mark(&self, id: ChunkId, mark: Mark, done: Mark) -> bool {
        let shift = shift(id.index());
        let [mark, done] = [mark, done].map(|mark| u64::from(mark.0) << shift);
        let Some(word) = self.words.get(id.index() / BYTES) else { return false };
        // The look first: a write takes the line from all other CPUs.
        word.load(Relaxed) & done == 0 && word.fetch_or(mark, Relaxed) & done == 0
    }

    /// Takes one mark off a chunk and leaves another. Not while others mark.
    pub(super) fn replace(&self, id: ChunkId, old: Mark, new: Mark) {
        let shift = shift(id.index());
        let [old, new] = [old, new].map(|mark| u64::from(mark.0) << shift);
        if let Some(word) = self.words.get(id.index() / BYTES) {
            word.store(word.load(Relaxed) & !old | new, Relaxed);
        }
    }

    /// A hint that [`States::of`] will be asked for a chunk shortly.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: ChunkId) {
        if let Some(word) = self.words.get(id.index() / BYTES) {
            crate::arch::prefetch(core::ptr::from_ref(word).addr());
        }
    }

    /// True when there is no live chunk of which `is` holds.
    pub(super) fn none(&self, is: impl Fn(State) -> bool) -> bool {
        !self.words.iter().flat_map(states_of).any(|state| state.slack() != Slack::NO_CHUNK && is(state))
    }

    /// Calls `each` for every live chunk of which `is` holds.
    pub(super) fn select(&self, is: impl Fn(State) -> bool, mut each: impl FnMut(ChunkId)) {
        for (index, state) in self.words.iter().flat_map(states_of).enumerate() {
            if state.slack() != Slack::NO_CHUNK && is(state) {
                each(ChunkId(index as u32));
            }
        }
    }
}

fn states_of(word: &AtomicU64) -> [State; BYTES] {
    word.load(Relaxed).to_le_bytes().map(State)
}
