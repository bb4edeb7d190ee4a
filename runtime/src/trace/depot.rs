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

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, Ordering::Relaxed};

/// An atomic word. A seam, so that the insertion can be model-checked.
pub trait Word {
    /// Reads it.
    fn load(&self, order: Ordering) -> u32;
    /// Writes it.
    fn store(&self, value: u32, order: Ordering);
    /// Writes `value` if it is `current`; else gives what it is.
    fn exchange(&self, current: u32, value: u32, order: Ordering, failed: Ordering) -> Result<u32, u32>;
}

impl Word for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }

    #[inline]
    fn exchange(&self, current: u32, value: u32, order: Ordering, failed: Ordering) -> Result<u32, u32> {
        self.compare_exchange(current, value, order, failed)
    }
}

/// Where the records lie.
pub trait Store {
    /// Of what they are made.
    type Word: Word;
    /// Words side by side, all zero; the index of the first, never 0.
    fn reserve(&self, words: usize) -> Option<u32>;
    /// Words that were reserved.
    fn words(&self, index: u32, count: usize) -> Option<&[Self::Word]>;
    /// The links of the first level.
    fn roots(&self) -> &[Self::Word];
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
            match link.exchange(0, own, Ordering::AcqRel, Ordering::Acquire) {
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

fn frame_of<W: Word>(pair: &[W]) -> usize {
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
        type Word = AtomicU32;

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

pub use process::{keep, look_up, size};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_have_one_id_among_threads() {
        let stack =
            |n: usize| -> Vec<usize> { (0..n % 30 + 1).map(|at| 0x7f00_0000_0000 + n * 64 + at).collect() };
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || (0..5000).map(|n| keep(&stack(n)).unwrap()).collect::<Vec<_>>())
            })
            .collect();
        let ids: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(ids.iter().all(|one| *one == ids[0]));
        for (n, id) in ids[0].iter().enumerate() {
            let mut frames = [0; crate::trace::MAX_DEPTH];
            let len = look_up(*id, &mut frames);
            assert_eq!(frames[..len], stack(n));
        }
        let distinct: std::collections::BTreeSet<_> = ids[0].iter().collect();
        assert_eq!(distinct.len(), 5000);
        assert_eq!(look_up(0, &mut [0; 4]), 0);
        assert_eq!(look_up(u32::MAX, &mut [0; 4]), 0);
    }

    #[test]
    fn equal_hashes_are_told_apart() {
        struct Small(Vec<AtomicU32>, AtomicUsize);
        impl Store for Small {
            type Word = AtomicU32;
            fn reserve(&self, words: usize) -> Option<u32> {
                let start = self.1.fetch_add(words, Relaxed);
                (start + words <= self.0.len()).then_some(start as u32)
            }
            fn words(&self, index: u32, count: usize) -> Option<&[AtomicU32]> {
                self.0.get(index as usize..index as usize + count)
            }
            fn roots(&self) -> &[AtomicU32] {
                &self.0[..1]
            }
        }
        let store = Small((0..4096).map(|_| AtomicU32::new(0)).collect(), AtomicUsize::new(1));
        let ids: Vec<_> = (0..100).map(|n| intern(&store, &[n, 7], 42).unwrap()).collect();
        for (n, &(id, new)) in ids.iter().enumerate() {
            assert!(new);
            assert_eq!(intern(&store, &[n, 7], 42), Some((id, false)));
            let mut frames = [0; 2];
            assert_eq!(super::frames(&store, id, &mut frames), 2);
            assert_eq!(frames, [n, 7]);
        }
        // Full: refused, and what is there stays.
        assert!((100..1000).any(|n| intern(&store, &[n, 7], 42).is_none()));
        assert_eq!(intern(&store, &[5, 7], 42), Some((ids[5].0, false)));
    }
}

/// Every interleaving of two insertions: `RUSTFLAGS="--cfg loom" cargo test -p standstill-runtime loom`.
#[cfg(all(test, loom))]
mod loom_model {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, AtomicUsize};

    use super::*;

    impl Word for AtomicU32 {
        fn load(&self, order: Ordering) -> u32 {
            self.load(order)
        }

        fn store(&self, value: u32, order: Ordering) {
            self.store(value, order);
        }

        fn exchange(&self, current: u32, value: u32, order: Ordering, failed: Ordering) -> Result<u32, u32> {
            self.compare_exchange(current, value, order, failed)
        }
    }

    struct Small {
        root: Vec<AtomicU32>,
        words: Vec<AtomicU32>,
        used: AtomicUsize,
    }

    impl Store for Small {
        type Word = AtomicU32;

        fn reserve(&self, words: usize) -> Option<u32> {
            Some(self.used.fetch_add(words, Ordering::Relaxed) as u32)
        }

        fn words(&self, index: u32, count: usize) -> Option<&[AtomicU32]> {
            self.words.get(index as usize..index as usize + count)
        }

        fn roots(&self) -> &[AtomicU32] {
            &self.root
        }
    }

    fn model(first: &'static [usize], second: &'static [usize]) {
        loom::model(move || {
            let store = Arc::new(Small {
                root: vec![AtomicU32::new(0)],
                words: (0..2 * (FRAMES + 2) + 1).map(|_| AtomicU32::new(0)).collect(),
                used: AtomicUsize::new(1),
            });
            let other = store.clone();
            let thread = loom::thread::spawn(move || intern(&*other, second, 7).unwrap());
            let mine = intern(&*store, first, 7).unwrap();
            // A reader that has the id sees the frames.
            let mut seen = [0; 1];
            assert_eq!((frames(&*store, mine.0, &mut seen), &seen[..]), (1, first));
            let theirs = thread.join().unwrap();
            assert_eq!(mine.0 == theirs.0, first == second);
            assert_eq!(mine.1 && theirs.1, first != second);
            assert_eq!(intern(&*store, first, 7), Some((mine.0, false)));
            assert_eq!(intern(&*store, second, 7), Some((theirs.0, false)));
        });
    }

    #[test]
    fn loom_equal_stacks_get_one_id() {
        model(&[5], &[5]);
    }

    #[test]
    fn loom_different_stacks_get_two() {
        model(&[5], &[6]);
    }
}
