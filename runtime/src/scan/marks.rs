//! The result of marking: one bit a chunk.

use crate::base::Errno;
use crate::heap::{ChunkId, Provider};
use crate::mem::MapVec;

/// A dense set of ordinals.
pub struct Bits {
    words: MapVec<u64>,
}

impl Bits {
    /// An empty set that can hold `0..len`.
    pub fn new(len: usize) -> Result<Bits, Errno> {
        Ok(Bits { words: MapVec::zeroed(len.div_ceil(64))? })
    }

    /// True when `index` is in the set; false for an index outside of it.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// Puts `index` in. Returns true when it was not in (and can be).
    #[inline]
    pub fn insert(&mut self, index: usize) -> bool {
        let Some(word) = self.words.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes the lowest index that is at least `from` out of the set.
    pub fn take_from(&mut self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut keep = u64::MAX << (from % 64);
        while let Some(word) = self.words.get_mut(at) {
            let bits = *word & keep;
            if bits != 0 {
                let bit = bits.trailing_zeros();
                *word &= !(1 << bit);
                return Some(at * 64 + bit as usize);
            }
            at += 1;
            keep = u64::MAX;
        }
        None
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// What marking did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of roots and nodes that were read.
    pub root_bytes: usize,
    /// Bytes of chunks that were read.
    pub chunk_bytes: usize,
    /// Chunks that did not fit in the frontier and were found again by a sweep.
    pub overflows: usize,
    /// Mappings that something reachable pointed into.
    pub runs_reached: usize,
}

/// Which chunks are reachable.
pub struct Marks {
    /// From strong roots, from mappings they reach, or from ignored chunks.
    pub strong: Bits,
    /// From weak roots, and not strong.
    pub weak: Bits,
    /// What it took.
    pub statistics: Statistics,
}

impl Marks {
    /// Nothing reached, for the chunks of `provider`.
    pub fn new(provider: &impl Provider) -> Result<Marks, Errno> {
        let slots = provider.slots();
        Ok(Marks { strong: Bits::new(slots)?, weak: Bits::new(slots)?, statistics: Statistics::default() })
    }

    /// Reached in any way.
    #[inline]
    pub fn reached(&self, id: ChunkId) -> bool {
        self.strong.contains(id.index()) || self.weak.contains(id.index())
    }
}
