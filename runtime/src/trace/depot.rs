//! The stack depot: each distinct stack is kept once and named by a [`StackId`].
//!
//! A record is a run of words: hash, length, four links, and the frames. The records are themselves the nodes of a hash
//! trie: from the root that the hash's first bits choose, two further bits of the hash choose the link to follow, until
//! a record is equal or a link is empty; there the new record is linked by one compare-and-exchange. Nothing is ever
//! moved or removed, so lookup and insertion are lock-free, a reader in the stopped world sees either a record or none,
//! and two threads that insert the same stack end with the same id (the loser finds the winner's record in its way, and
//! its own reserved words are lost).
//!
//! The id is the index of the record's first word, so no table maps ids to records.
//!
//! Contract: usable in every phase. Bounded: past [`set_limit`], or out of memory, a stack is not kept (`None`).
//!
//! Why a trie and not buckets: it grows without being rebuilt, and costs four links a record.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, Ordering};

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Where the records lie. A seam, so that the insertion can be model-checked over a small made-up memory.
pub trait Store {
    /// Words side by side, all zero; the index of the first, never 0.
    fn reserve(&self, words: usize) -> Option<u32>;
    /// Words that were reserved.
    fn words(&self, index: u32, count: usize) -> Option<&[AtomicU32]>;
    /// The links of the first level.
    fn roots(&self) -> &[AtomicU32];
}

const HASH: usize = 0;
const LENGTH: usize = 1;
const LINKS: usize = 2;
const FRAMES: usize = 6;
const FANOUT_BITS: u32 = 2;

/// The id of `frames`, which are kept if they are new: `(id, new?)`. `None` when they cannot be kept.
pub fn intern<S: Store>(store: &S, frames: &[usize], hash: u64) -> Option<(u32, bool)> {
    let roots = store.roots();
    let mut link = roots.get(hash as usize % roots.len())?;
    let mut path = hash;
    let mut own = 0;
    loop {
        let mut next = link.load(Ordering::Acquire);
        if next == 0 {
            if own == 0 {
                own = write(store, frames, hash)?;
            }
            // Release: whoever follows the link sees the record written.
            match link.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some((own, true)),
                Err(other) => next = other,
            }
        }
        let record = store.words(next, FRAMES)?;
        if record[HASH].load(Ordering::Relaxed) == hash as u32 && holds(store, next, frames) {
            return Some((next, false));
        }
        // From the top bits down, since the lowest have chosen the root; then over again: equal hashes form a list.
        path = path.rotate_left(FANOUT_BITS);
        link = &record[LINKS + (path & ((1 << FANOUT_BITS) - 1)) as usize];
    }
}

fn write<S: Store>(store: &S, frames: &[usize], hash: u64) -> Option<u32> {
    let index = store.reserve(FRAMES + 2 * frames.len())?;
    let record = store.words(index, FRAMES + 2 * frames.len())?;
    record[HASH].store(hash as u32, Ordering::Relaxed);
    record[LENGTH].store(frames.len() as u32, Ordering::Relaxed);
    for (pair, frame) in record[FRAMES..].chunks_exact(2).zip(frames) {
        pair[0].store(*frame as u32, Ordering::Relaxed);
        pair[1].store((*frame >> 32) as u32, Ordering::Relaxed);
    }
    Some(index)
}

fn holds<S: Store>(store: &S, index: u32, frames: &[usize]) -> bool {
    let Some(record) = store.words(index, FRAMES + 2 * frames.len()) else { return false };
    record[LENGTH].load(Ordering::Relaxed) as usize == frames.len()
        && record[FRAMES..].chunks_exact(2).zip(frames).all(|(pair, frame)| frame_of(pair) == *frame)
}

fn frame_of(pair: &[AtomicU32]) -> usize {
    pair[0].load(Ordering::Relaxed) as usize | (pair[1].load(Ordering::Relaxed) as usize) << 32
}

/// The frames of record `index`, leaf first, into `into`; returns how many were written. 0 for an id that names none.
pub fn frames<S: Store>(store: &S, index: u32, into: &mut [usize]) -> usize {
    let Some(head) = store.words(index, FRAMES) else { return 0 };
    let len = (head[LENGTH].load(Ordering::Relaxed) as usize).min(super::MAX_DEPTH).min(into.len());
    let Some(record) = store.words(index, FRAMES + 2 * len) else { return 0 };
    for (frame, pair) in into.iter_mut().zip(record[FRAMES..].chunks_exact(2)) {
        *frame = frame_of(pair);
    }
    len
}

/// The hash of a stack: order matters, all bits of all frames do.
#[inline]
pub fn hash(frames: &[usize]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    // Two lanes, since a multiplication waits for the one before it.
    let mut lanes = [frames.len() as u64, ODD];
    let mut pairs = frames.chunks_exact(2);
    for pair in &mut pairs {
        for (lane, frame) in lanes.iter_mut().zip(pair) {
            *lane = (lane.rotate_left(23) ^ *frame as u64).wrapping_mul(ODD);
        }
    }
    let last = pairs.remainder().first().copied().unwrap_or(0) as u64;
    let mixed = (lanes[0] ^ lanes[1].rotate_left(32) ^ last).wrapping_mul(ODD);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ mixed >> 32
}

static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// At most about this many bytes of records.
pub fn set_limit(bytes: usize) {
    LIMIT.store(bytes / size_of::<u32>(), Relaxed);
}

#[cfg(not(loom))]
mod process {
    use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

    use crate::mem::ForeverWords;

    /// 4096 roots are four pages, and make the trie one level deep for most programs.
    const ROOTS: usize = 4096;
    /// 2 GiB of records; ids are 32 bits.
    const CHUNKS: usize = 2048;

    struct Process {
        roots: [AtomicU32; ROOTS],
        words: ForeverWords<CHUNKS>,
        stacks: AtomicUsize,
    }

    static DEPOT: Process = Process {
        roots: [const { AtomicU32::new(0) }; ROOTS],
        words: ForeverWords::new(),
        stacks: AtomicUsize::new(0),
    };

    impl super::Store for Process {
        fn reserve(&self, words: usize) -> Option<u32> {
            let limit = super::LIMIT.load(Relaxed);
            match self.words.reserve(words, limit)? {
                // Index 0 is "no stack".
                0 => self.words.reserve(words, limit),
                index => Some(index),
            }
        }

        fn words(&self, index: u32, count: usize) -> Option<&[AtomicU32]> {
            self.words.words(index, count)
        }

        fn roots(&self) -> &[AtomicU32] {
            &self.roots
        }
    }

    /// The id of `frames` in the process' depot.
    pub fn keep(frames: &[usize]) -> Option<u32> {
        let (id, new) = super::intern(&DEPOT, frames, super::hash(frames))?;
        if new {
            DEPOT.stacks.fetch_add(1, Relaxed);
        }
        Some(id)
    }

    /// The frames of an id of the process' depot.
    pub fn look_up(id: u32, into: &mut [usize]) -> usize {
        if id == 0 { 0 } else { super::frames(&DEPOT, id, into) }
    }

    /// Distinct stacks, and bytes of records.
    pub fn size() -> (usize, usize) {
        (DEPOT.stacks.load(Relaxed), DEPOT.words.len() * size_of::<u32>())
    }
}

#[cfg(not(loom))]
pub use process::{keep, look_up, size};
