//! From a program counter to its rule: one global direct-mapped table of words.
//!
//! An entry is `program counter << 16 | rule id`, read and written as one word, so the table needs no lock and a torn
//! entry cannot exist. Addresses of user space fit 48 bits. Entries are found by the *lookup* address (a return address
//! minus one, or an interrupted pc itself), so that the same number in both roles never shares a row.
//!
//! Entries are spread evenly, so all of the table would be resident in a program that has a few hundred. It begins with
//! [`FIRST`] entries and doubles when so many were put as there are: an entry lies at the upper bits of its hash, so what
//! was there is looked for elsewhere from then on, which costs one more look at its row; what is left behind is as true as
//! it was.
//!
//! [`RuleCache::flush`] forgets everything, because code may have gone and other code come in its place. An insertion
//! that began before a flush and ends after it takes its entry back (epoch).

use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::SeqCst,
};

use super::rule::RuleId;

const ENTRIES: usize = 1 << 15;
/// Entries in use at first: two pages.
const FIRST: usize = 1 << 10;

/// The table.
pub struct RuleCache {
    entries: [AtomicU64; ENTRIES],
    /// How often those in use have doubled, and how many were put since.
    doubled: AtomicU32,
    put: AtomicU32,
    flushes: AtomicU32,
    /// Something was put since the last flush.
    used: AtomicBool,
}

/// The table of the process.
pub static CACHE: RuleCache = RuleCache::new();

impl RuleCache {
    /// An empty table; all zero, so that it costs no pages.
    pub const fn new() -> RuleCache {
        RuleCache {
            entries: [const { AtomicU64::new(0) }; ENTRIES],
            doubled: AtomicU32::new(0),
            put: AtomicU32::new(0),
            flushes: AtomicU32::new(0),
            used: AtomicBool::new(false),
        }
    }

    #[inline(always)]
    fn entry(&self, pc: usize, doubled: u32) -> &AtomicU64 {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
        let hash = (pc as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = hash >> (64 - FIRST.trailing_zeros() - doubled);
        &self.entries[slot as usize % ENTRIES]
    }

    /// Notes that an entry more is put; how often the table has doubled.
    fn count(&self) -> u32 {
        let doubled = self.doubled.load(SeqCst);
        let in_use = FIRST << doubled;
        // A count that two threads lose is no harm.
        let put = self.put.load(Relaxed) + 1;
        self.put.store(put, Relaxed);
        if put as usize >= in_use && in_use < ENTRIES {
            self.put.store(0, Relaxed);
            return self.doubled.fetch_max(doubled + 1, SeqCst).max(doubled + 1);
        }
        doubled
    }

    /// What is known of lookup address `pc`.
    #[inline(always)]
    pub fn get(&self, pc: usize) -> RuleId {
        // Acquire: the rule's slot was written before its id was stored.
        let entry = self.entry(pc, self.doubled.load(Relaxed)).load(Acquire);
        if entry >> 16 == pc as u64 { RuleId(entry as u16) } else { RuleId::UNKNOWN }
    }

    /// How often the loaded code has changed, never 0. To be read before a row is looked for, and given to [`RuleCache::put`].
    #[inline(always)]
    pub fn epoch(&self) -> u32 {
        // The static is all zero, or it would lie in the file.
        self.flushes.load(Acquire).wrapping_add(1)
    }

    /// Remembers the rule of `pc`, unless the loaded code has changed since `epoch`.
    pub fn put(&self, pc: usize, id: RuleId, epoch: u32) {
        if pc as u64 >> 48 != 0 {
            return;
        }
        let entry = self.entry(pc, self.count());
        let word = (pc as u64) << 16 | u64::from(id.0);
        if !self.used.load(SeqCst) {
            self.used.store(true, SeqCst);
        }
        entry.store(word, SeqCst);
        // Either the flush sees the word, or this sees the flush's epoch: all are sequentially consistent, and the flush
        // raises the epoch before it asks whether the table was used, and how far.
        if self.flushes.load(SeqCst).wrapping_add(1) != epoch {
            let _ = entry.compare_exchange(word, 0, SeqCst, Relaxed);
        }
    }

    /// Forgets all.
    pub fn flush(&self) {
        // An epoch of 0 is passed over.
        if self.flushes.fetch_add(1, SeqCst) == u32::MAX - 1 {
            self.flushes.fetch_add(1, SeqCst);
        }
        // The first flush of a process finds nothing, and a look at the entries would be a page fault for each page.
        if !self.used.swap(false, SeqCst) {
            return;
        }
        for entry in self.entries.iter().take(FIRST << self.doubled.load(SeqCst)) {
            if entry.load(SeqCst) != 0 {
                entry.store(0, SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_exact() {
        static CACHE: RuleCache = RuleCache::new();
        let epoch = CACHE.epoch();
        for pc in (0x5555_5555_0000_usize..).step_by(7).take(100_000) {
            CACHE.put(pc, RuleId((pc % 60000) as u16), epoch);
            assert_eq!(CACHE.get(pc), RuleId((pc % 60000) as u16));
            assert_eq!(CACHE.get(pc + 1), RuleId::UNKNOWN);
        }
        assert_eq!(FIRST << CACHE.doubled.load(Relaxed), ENTRIES);
        CACHE.put(0x1234, RuleId(9), epoch);
        CACHE.flush();
        assert!(CACHE.entries.iter().all(|entry| entry.load(Relaxed) == 0));
        assert_eq!(CACHE.get(0x1234), RuleId::UNKNOWN);
        CACHE.put(0x1234, RuleId(9), epoch);
        assert_eq!(CACHE.get(0x1234), RuleId::UNKNOWN);
        CACHE.put(1 << 50, RuleId(9), CACHE.epoch());
        assert_eq!(CACHE.get(1 << 50), RuleId::UNKNOWN);
    }
}
