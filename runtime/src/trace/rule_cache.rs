//! From a program counter to its rule: one global direct-mapped table of words.
//!
//! An entry is `program counter << 16 | rule id`, read and written as one word, so the table needs no lock and a torn
//! entry cannot exist. Addresses of user space fit 48 bits. Entries are found by the *lookup* address (a return address
//! minus one, or an interrupted pc itself), so that the same number in both roles never shares a row.
//!
//! [`RuleCache::flush`] forgets everything, because code may have gone and other code come in its place. An insertion
//! that began before a flush and ends after it takes its entry back (epoch).

use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::SeqCst,
};

use super::rule::RuleId;

const ENTRIES: usize = 1 << 15;

/// The table.
pub struct RuleCache {
    entries: [AtomicU64; ENTRIES],
    epoch: AtomicU32,
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
            epoch: AtomicU32::new(0),
            used: AtomicBool::new(false),
        }
    }

    #[inline(always)]
    fn entry(&self, pc: usize) -> &AtomicU64 {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
        let slot = (pc as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ENTRIES.trailing_zeros());
        &self.entries[slot as usize]
    }

    /// What is known of lookup address `pc`.
    #[inline(always)]
    pub fn get(&self, pc: usize) -> RuleId {
        // Acquire: the rule's slot was written before its id was stored.
        let entry = self.entry(pc).load(Acquire);
        if entry >> 16 == pc as u64 { RuleId(entry as u16) } else { RuleId::UNKNOWN }
    }

    /// How often the loaded code has changed. To be read before a row is looked for, and given to [`RuleCache::put`].
    #[inline(always)]
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Acquire)
    }

    /// Remembers the rule of `pc`, unless the loaded code has changed since `epoch`.
    pub fn put(&self, pc: usize, id: RuleId, epoch: u32) {
        if pc as u64 >> 48 != 0 {
            return;
        }
        let entry = self.entry(pc);
        let word = (pc as u64) << 16 | u64::from(id.0);
        if !self.used.load(SeqCst) {
            self.used.store(true, SeqCst);
        }
        entry.store(word, SeqCst);
        // Either the flush sees the word, or this sees the flush's epoch: all are sequentially consistent, and the flush
        // raises the epoch before it asks whether the table was used.
        if self.epoch.load(SeqCst) != epoch {
            let _ = entry.compare_exchange(word, 0, SeqCst, Relaxed);
        }
    }

    /// Forgets all.
    pub fn flush(&self) {
        self.epoch.fetch_add(1, SeqCst);
        // The first flush of a process finds nothing, and a look at every entry would be 64 page faults.
        if !self.used.swap(false, SeqCst) {
            return;
        }
        for entry in &self.entries {
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
        CACHE.put(0x1234, RuleId(9), epoch);
        CACHE.flush();
        assert_eq!(CACHE.get(0x1234), RuleId::UNKNOWN);
        CACHE.put(0x1234, RuleId(9), epoch);
        assert_eq!(CACHE.get(0x1234), RuleId::UNKNOWN);
        CACHE.put(1 << 50, RuleId(9), CACHE.epoch());
        assert_eq!(CACHE.get(1 << 50), RuleId::UNKNOWN);
    }
}
