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
//!
//! Several tasks may mark at once; that one of them sees what another marked says nothing about other memory.

use core::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};

use crate::base::{Errno, WorkerDied, Workers};
use crate::harvest::Strength;
use crate::heap::{Census, ChunkId, GROUP, Provider, Slack};
use crate::mem::AtomicBytes;

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

/// See the module.
pub(super) struct States {
    bytes: AtomicBytes,
}

impl States {
    /// Nothing marked, for the chunks of `provider`.
    pub(super) fn new(provider: &impl Provider) -> Result<States, Errno> {
        Ok(States { bytes: AtomicBytes::zeroed(provider.slots())? })
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
        let bytes = self.bytes.get(group * GROUP..).unwrap_or_default();
        for (byte, slack) in bytes.iter().zip(slacks) {
            byte.store(slack.bits(), Relaxed);
        }
    }

    /// What is known of a chunk. Of one that cannot be: that there is none.
    #[inline(always)]
    pub(super) fn of(&self, id: ChunkId) -> State {
        State(self.bytes.get(id.index()).map_or(0, |byte| byte.load(Relaxed)))
    }

    /// Marks a chunk. Returns true to one of several callers, and to none when it has one of the marks `done` already.
    #[inline]
    pub(super) fn mark(&self, id: ChunkId, mark: Mark, done: Mark) -> bool {
        let Some(byte) = self.bytes.get(id.index()) else { return false };
        // The look first: a write takes the line from all other CPUs.
        byte.load(Relaxed) & done.0 == 0 && byte.fetch_or(mark.0, Relaxed) & done.0 == 0
    }

    /// Takes one mark off a chunk and leaves another. Not while others mark.
    pub(super) fn replace(&self, id: ChunkId, old: Mark, new: Mark) {
        if let Some(byte) = self.bytes.get(id.index()) {
            byte.store(byte.load(Relaxed) & !old.0 | new.0, Relaxed);
        }
    }

    /// A hint that [`States::of`] will be asked for a chunk shortly.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: ChunkId) {
        if let Some(byte) = self.bytes.get(id.index()) {
            crate::arch::prefetch(core::ptr::from_ref(byte).addr());
        }
    }

    /// Calls `each` for every live chunk that `is`.
    /// True when there is no chunk of which `is` holds.
    pub(super) fn none(&self, is: impl Fn(State) -> bool) -> bool {
        let is_one = |byte: u8| State(byte).slack() != Slack::NO_CHUNK && is(State(byte));
        !self.bytes.iter().any(|byte| is_one(byte.load(Relaxed)))
    }

    pub(super) fn select(&self, is: impl Fn(State) -> bool, mut each: impl FnMut(ChunkId)) {
        for (index, byte) in self.bytes.iter().enumerate() {
            let state = State(byte.load(Relaxed));
            if state.slack() != Slack::NO_CHUNK && is(state) {
                each(ChunkId(index as u32));
            }
        }
    }
}
