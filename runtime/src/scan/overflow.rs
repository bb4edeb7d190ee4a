//! Chunks that are marked and did not fit in a frontier: noted in their own bytes, which tasks sweep when they have nothing
//! else.
//!
//! In a large random graph most chunks pass through here. So a note is one atomic operation on the byte that has just
//! been marked, and each task counts for itself and sweeps from a place of its own. A sweep yields chunks in the order of
//! their addresses, which is the order in which memory is read fastest.
//!
//! The note is the pair of both marks, which no chunk has otherwise ([`super::states`]); the sweep leaves the one that it
//! was marked with.
//!
//! Contract: lock-free; no system call, no allocation after [`Overflow::new`]. A chunk that is noted goes to one taker.
//! `scan/model.rs` checks with loom that none is left behind when a task finds that nothing waits.

use super::atomics::{AtomicU64, Counts, Ordering};
use crate::base::Errno;

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Words of a task's own, two cache lines, so that no task waits for another to count.
const OWN: usize = 16;
/// Which of them say how many chunks the task has noted and taken, ever. Only it writes them.
const NOTED: usize = 0;
const TAKEN: usize = 1;

/// Words that are looked at between two looks at what others do.
const STRETCH: usize = 512;
/// Chunks that are taken at once; with the last word it may be seven more.
const ENOUGH: u32 = 57;
/// Bytes in a word, and in each of them both marks.
const BYTES: usize = size_of::<u64>();
const BOTH: u64 = 0xc0c0_c0c0_c0c0_c0c0;
const HIGHER: u64 = 0x8080_8080_8080_8080;

/// See the module.
pub(super) struct Overflow {
    counts: Counts,
}

impl Overflow {
    /// For so many tasks.
    pub(super) fn new(tasks: usize) -> Result<Overflow, Errno> {
        Ok(Overflow { counts: Counts::zeroed(tasks * OWN)? })
    }

    fn count(&self, own: usize, which: usize, more: u32) {
        if let Some(count) = self.counts.get(own * OWN + which) {
            count.store(count.load(Relaxed) + u64::from(more), Release);
        }
    }

    fn sum(&self, which: usize) -> u64 {
        self.counts.iter().skip(which).step_by(OWN).map(|count| count.load(Acquire)).sum()
    }

    /// Notes a chunk that task `own` has just marked; its byte is the `index`th of `states`.
    pub(super) fn note(&self, own: usize, states: &[AtomicU64], index: usize) {
        let Some(word) = states.get(index / BYTES) else { return };
        // Counted before the note can be seen: whoever takes it and counts that has seen this count too.
        self.count(own, NOTED, 1);
        word.fetch_or(BOTH & byte(index), AcqRel);
    }

    /// Hands the chunks of one word that are noted to `each`, in falling order, for task `own`, which sweeps on from the
    /// word `cursor`; they keep `mark`, as each byte of a word. False when it finds none: ask again as long as
    /// [`Overflow::is_waiting`].
    pub(super) fn take(
        &self,
        own: usize,
        states: &[AtomicU64],
        mark: u64,
        cursor: &mut usize,
        mut each: impl FnMut(usize),
    ) -> bool {
        let noted = |word: &AtomicU64| {
            let value = word.load(Relaxed);
            value & value << 1 & HIGHER
        };
        let len = states.len();
        let mut at = (*cursor).min(len);
        let mut left = len;
        while left > 0 {
            at = if at < len { at } else { 0 };
            let end = (at + STRETCH.min(left)).min(len);
            let stretch = states.get(at..end).unwrap_or_default();
            let mut taken = 0;
            for (index, word) in stretch.iter().enumerate() {
                let wanted = noted(word);
                if wanted == 0 {
                    continue;
                }
                let other = (wanted | wanted >> 1) & !mark;
                // Another task may have been faster: then the note is gone.
                let value = word.fetch_and(!other, AcqRel);
                let mut got = value & value << 1 & wanted;
                taken += got.count_ones();
                while got != 0 {
                    let bit = got.ilog2() as usize;
                    got &= !(1 << bit);
                    each((at + index) * BYTES + bit / 8);
                }
                if taken >= ENOUGH {
                    *cursor = at + index + 1;
                    break;
                }
            }
            if taken > 0 {
                if taken < ENOUGH {
                    *cursor = end;
                }
                self.count(own, TAKEN, taken);
                return true;
            }
            // Others write the counts that this question needs, so it is not asked for each word.
            if !self.is_waiting() {
                break;
            }
            left -= stretch.len();
            at = end;
        }
        false
    }

    /// Where task `own` begins to sweep `len` words, so that tasks meet late.
    pub(super) fn place(&self, own: usize, len: usize) -> usize {
        len / (self.counts.len() / OWN).max(1) * own
    }

    /// True while chunks are noted, as far as this task knows: what it has noted itself, and what tasks noted that have given
    /// up their tokens since.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        // What was taken first: of what is noted meanwhile too much is counted then, never too little.
        let taken = self.sum(TAKEN);
        taken != self.sum(NOTED)
    }

    /// How many were ever noted.
    pub(super) fn total(&self) -> usize {
        self.sum(NOTED) as usize
    }
}

/// The bits of a word that are its `index`th byte.
fn byte(index: usize) -> u64 {
    0xff << (index % BYTES * 8)
}
