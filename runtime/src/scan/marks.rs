//! The result of marking, and sets of numbers.

use core::sync::atomic::Ordering::Relaxed;

use crate::base::{Errno, Workers};
use crate::harvest::Strength;
use crate::heap::{Census, ChunkId, Provider};
use crate::mem::AtomicWords;

use super::mark::CouldNotMark;
use super::states::{Mark, States};

/// A dense set of ordinals.
///
/// Several tasks may add and remove at once; that one of them sees what another added says nothing about other memory.
pub struct Bits {
    words: AtomicWords,
}

impl Bits {
    /// An empty set that can hold `0..len`.
    pub fn new(len: usize) -> Result<Bits, Errno> {
        Ok(Bits { words: AtomicWords::zeroed(len.div_ceil(64))? })
    }

    /// True when `index` is in the set; false for an index outside of it.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word.load(Relaxed) >> (index % 64) & 1 != 0)
    }

    /// Puts `index` in. Returns true when it was not in (and can be): to one of several callers only.
    #[inline]
    pub fn add(&self, index: usize) -> bool {
        let Some(word) = self.words.get(index / 64) else { return false };
        let bit = 1 << (index % 64);
        // The look first: most edges lead to what is marked, and a write takes the line from all other CPUs.
        word.load(Relaxed) & bit == 0 && word.fetch_or(bit, Relaxed) & bit == 0
    }

    /// As [`Bits::add`], for who has the set alone.
    #[inline]
    pub fn insert(&mut self, index: usize) -> bool {
        let Some(word) = self.words.exclusive().get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.load(Relaxed).count_ones() as usize).sum()
    }
}

/// What marking did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of roots, mappings and chunks that were read.
    pub bytes: usize,
    /// Bytes of roots and chunks that should have been read and could not be.
    pub unreadable: usize,
    /// Chunks that did not fit in the frontier and were found again by a sweep.
    pub overflows: usize,
    /// Mappings that something reachable pointed into.
    pub runs_reached: usize,
    /// Tasks that took part.
    pub tasks: usize,
}

/// Which chunks are reachable.
pub struct Marks {
    pub(super) states: States,
    /// What there is.
    pub census: Census,
    /// What it took.
    pub statistics: Statistics,
    /// Runs of mappings by the flood that reached them.
    pub(super) runs: Runs,
}

/// Runs of mappings that something reachable points into.
pub(super) struct Runs {
    strong: Bits,
    weak: Bits,
}

impl Runs {
    /// None of so many.
    pub(super) fn new(len: usize) -> Result<Runs, Errno> {
        Ok(Runs { strong: Bits::new(len)?, weak: Bits::new(len)? })
    }

    /// A flood reaches one. True when no flood has, to one of several callers.
    pub(super) fn add(&self, run: u32, strength: Strength) -> bool {
        match strength {
            Strength::Strong => self.strong.add(run as usize),
            Strength::Weak => !self.strong.contains(run as usize) && self.weak.add(run as usize),
        }
    }

    /// How many strong roots reach.
    pub(super) fn count(&self) -> usize {
        self.strong.count()
    }
}

impl Marks {
    /// Nothing reached yet, for the chunks of `provider`.
    pub fn new(provider: &(impl Provider + Sync), workers: &impl Workers) -> Result<Marks, CouldNotMark> {
        let states = States::new(provider)?;
        let census = states.copy(provider, workers)?;
        Ok(Marks { states, census, statistics: Statistics::default(), runs: Runs::new(0)? })
    }

    /// Reached by strong roots, by mappings they reach, or by ignored chunks.
    #[inline]
    pub fn strong(&self, id: ChunkId) -> bool {
        self.states.of(id).has(Mark::STRONG)
    }

    /// Reached by weak roots, and not strong.
    #[inline]
    pub fn weak(&self, id: ChunkId) -> bool {
        self.states.of(id).has(Mark::WEAK)
    }

    /// What reaches a run of mappings, if anything does.
    pub fn run(&self, run: u32) -> Option<Strength> {
        let Runs { strong, weak } = &self.runs;
        let of_strong = strong.contains(run as usize).then_some(Strength::Strong);
        of_strong.or_else(|| weak.contains(run as usize).then_some(Strength::Weak))
    }

    /// Says of a run that nothing reaches that weak roots do. True when that is new.
    pub fn reach_run_weakly(&self, run: u32) -> bool {
        self.runs.add(run, Strength::Weak)
    }

    /// Says of a chunk that nothing reaches that weak roots do. True when that is new.
    pub fn reach_weakly(&self, id: ChunkId) -> bool {
        self.states.mark(id, Mark::WEAK, Mark::ANY)
    }

    /// Says of all chunks that nothing reaches that weak roots do.
    pub fn doubt_all(&self) {
        self.for_each_unreached(|id| {
            self.reach_weakly(id);
        });
    }

    /// Says that strong roots do not reach a chunk, and weak ones do.
    pub fn weaken(&self, id: ChunkId) {
        self.states.replace(id, Mark::STRONG, Mark::WEAK);
    }

    /// True when every live chunk is reached.
    pub fn all_reached(&self) -> bool {
        self.states.none(|state| !state.has(Mark::ANY))
    }

    /// Calls `each` for every live chunk that nothing reaches.
    pub fn for_each_unreached(&self, each: impl FnMut(ChunkId)) {
        self.states.select(|state| !state.has(Mark::ANY), each);
    }

    /// Calls `each` for every live chunk that weak roots reach, and no strong ones.
    pub fn for_each_weak(&self, each: impl FnMut(ChunkId)) {
        self.states.select(|state| state.has(Mark::WEAK), each);
    }
}
