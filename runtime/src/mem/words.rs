//! Words that are there for good: a growing array of atomic words that is never moved and never unmapped.
//!
//! Contract: every operation is lock-free and may be used in every phase; an index once reserved stays valid, so a
//! reader needs nothing but the index, also in the stopped world. Memory comes in chunks by mmap(2), zeroed; pages that
//! were not written cost address space only.
//!
//! Why not one large reservation: `ulimit -v` must work.

use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};

use super::map::OwnMap;

/// Words a chunk: 1 MiB.
pub const CHUNK_WORDS: usize = 1 << 18;

/// Up to `CHUNKS` chunks of words.
pub struct ForeverWords<const CHUNKS: usize> {
    chunks: [AtomicPtr<AtomicU32>; CHUNKS],
    used: AtomicUsize,
}

impl<const CHUNKS: usize> ForeverWords<CHUNKS> {
    /// No words; maps nothing.
    pub const fn new() -> Self {
        ForeverWords {
            chunks: [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS],
            used: AtomicUsize::new(0),
        }
    }

    /// Reserves `count` words that lie side by side and are zero; returns the index of the first. `None` when the array
    /// may not grow further, or the system has no memory.
    pub fn reserve(&self, count: usize, limit: usize) -> Option<u32> {
        if count > CHUNK_WORDS {
            return None;
        }
        let limit = limit.min(CHUNKS * CHUNK_WORDS).min(u32::MAX as usize);
        let mut used = self.used.load(Relaxed);
        loop {
            let left = CHUNK_WORDS - used % CHUNK_WORDS;
            let start = if count <= left { used } else { used + left };
            if start + count > limit || !self.ensure(start / CHUNK_WORDS) {
                return None;
            }
            match self.used.compare_exchange_weak(used, start + count, AcqRel, Relaxed) {
                Ok(_) => return Some(start as u32),
                Err(now) => used = now,
            }
        }
    }

    fn ensure(&self, chunk: usize) -> bool {
        let Some(slot) = self.chunks.get(chunk) else { return false };
        if !slot.load(Acquire).is_null() {
            return true;
        }
        let Ok(map) = OwnMap::new(CHUNK_WORDS * size_of::<u32>()) else { return false };
        let start = map.start().cast::<AtomicU32>();
        // Who loses the race unmaps its own again.
        if slot.compare_exchange(core::ptr::null_mut(), start, AcqRel, Acquire).is_ok() {
            map.leak();
        }
        true
    }

    /// `count` words from `index` on; `None` if they were not reserved, or not side by side.
    #[inline]
    pub fn words(&self, index: u32, count: usize) -> Option<&[AtomicU32]> {
        let index = index as usize;
        let offset = index % CHUNK_WORDS;
        if offset + count > CHUNK_WORDS || index + count > self.used.load(Acquire) {
            return None;
        }
        let chunk = self.chunks.get(index / CHUNK_WORDS)?.load(Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: a chunk is CHUNK_WORDS zeroed words, aligned to a page, never unmapped; atomics may be shared.
        Some(unsafe { core::slice::from_raw_parts(chunk.add(offset), count) })
    }

    /// Words reserved so far, the unused ends of chunks included.
    pub fn len(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// True before the first reservation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<const CHUNKS: usize> Default for ForeverWords<CHUNKS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_never_cross_a_chunk() {
        static WORDS: ForeverWords<2> = ForeverWords::new();
        let first = WORDS.reserve(3, usize::MAX).unwrap();
        assert_eq!(first, 0);
        let second = WORDS.reserve(CHUNK_WORDS - 2, usize::MAX).unwrap();
        assert_eq!(second as usize, CHUNK_WORDS);
        assert_eq!(WORDS.reserve(3, usize::MAX), None);
        assert_eq!(WORDS.reserve(2, 2 * CHUNK_WORDS - 1), None);
        assert!(WORDS.words(second, CHUNK_WORDS - 2).unwrap().iter().all(|word| word.load(Relaxed) == 0));
        assert!(WORDS.words(second, CHUNK_WORDS).is_none());
        assert!(WORDS.words(u32::MAX, 1).is_none());
    }
}
