//! Memory that can be read up to a point in time: for work that may take long, and that the program is not to wait for.
//!
//! Contract: when the time is up nothing more can be read, so that whoever reads comes to an end soon and need not look at
//! the clock. What came of it then is not to be believed: ask [`UpTo::passed`] when the work is done.

use core::cell::Cell;

use crate::base::Addr;
use crate::sys::process;

use super::filter::Filter;
use super::read::ReadMemory;

/// The clock is looked at once in so many reads: a system call takes as long as some of them.
const READS: u32 = 64;

/// See the module.
pub struct UpTo<'a, M> {
    memory: &'a M,
    deadline_ns: u64,
    reads: Cell<u32>,
    passed: Cell<bool>,
}

impl<'a, M: ReadMemory> UpTo<'a, M> {
    /// The same memory, up to a time of CLOCK_MONOTONIC.
    pub fn new(memory: &'a M, deadline_ns: u64) -> UpTo<'a, M> {
        UpTo { memory, deadline_ns, reads: Cell::new(0), passed: Cell::new(false) }
    }

    /// True when something was not read for want of time.
    pub fn passed(&self) -> bool {
        self.passed.get()
    }

    fn is_over(&self) -> bool {
        let reads = self.reads.get();
        self.reads.set(reads.wrapping_add(1));
        if reads.is_multiple_of(READS) && process::monotonic_ns() >= self.deadline_ns {
            self.passed.set(true);
        }
        self.passed.get()
    }
}

impl<M: ReadMemory> ReadMemory for UpTo<'_, M> {
    #[inline]
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize {
        if self.is_over() { 0 } else { self.memory.read_words(from, into) }
    }

    #[inline]
    fn skip_words(&self, from: Addr, words: usize, filter: Filter) -> usize {
        self.memory.skip_words(from, words, filter)
    }

    #[inline]
    fn prefetch(&self, addr: Addr) {
        self.memory.prefetch(addr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;

    impl ReadMemory for Sevens {
        fn read_words(&self, _: Addr, into: &mut [usize]) -> usize {
            into.fill(7);
            into.len()
        }
    }

    #[test]
    fn what_is_read_in_time_is_read_and_nothing_after_it() {
        let mut words = [0; 3];
        let endless = UpTo::new(&Sevens, u64::MAX);
        for _ in 0..1000 {
            assert_eq!(endless.read_words(Addr::new(8), &mut words), 3);
        }
        assert!(!endless.passed());
        assert_eq!(words, [7; 3]);
        let over = UpTo::new(&Sevens, process::monotonic_ns());
        assert!(!over.passed());
        assert_eq!(over.read_words(Addr::new(8), &mut words), 0);
        assert!(over.passed());
        // A time that comes while somebody reads.
        let short = UpTo::new(&Sevens, process::monotonic_ns() + 20_000_000);
        while short.read_words(Addr::new(8), &mut words) == 3 {}
        assert!(short.passed() && process::monotonic_ns() >= short.deadline_ns);
    }
}
