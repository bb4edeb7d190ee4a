//! Stacks for some blocks only: on the average one for so many bytes that are allocated.
//!
//! Each thread counts down the bytes to its next stack. The distances vary evenly between nothing and twice the average,
//! so that a program which allocates in a rhythm does not have the same line sampled again and again; a block of twice
//! the average or more always has a stack. What has no stack is found as a leak all the same.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// 0: every block has a stack.
static EVERY: AtomicUsize = AtomicUsize::new(0);

/// From now on a stack is taken for each `bytes` on the average; 0 and 1: for every block.
pub fn set(bytes: usize) {
    EVERY.store(if bytes == 1 { 0 } else { bytes }, Relaxed);
}

/// True when some blocks may have no stack.
pub fn is_on() -> bool {
    EVERY.load(Relaxed) != 0
}

/// A thread's countdown. All zero: the next block has a stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Countdown {
    left: usize,
    random: u64,
}

impl Countdown {
    /// Not begun.
    pub const fn new() -> Countdown {
        Countdown { left: 0, random: 0 }
    }

    /// True when a block of `size` bytes has a stack.
    pub fn is_due(&mut self, size: usize) -> bool {
        self.is_due_each(size, EVERY.load(Relaxed))
    }

    fn is_due_each(&mut self, size: usize, every: usize) -> bool {
        if every == 0 {
            return true;
        }
        if size < self.left {
            self.left -= size;
            return false;
        }
        // A linear congruential generator modulo 2^64 (Knuth, TAOCP 2, 3.3.4); its upper half is what varies well.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let twice = (every as u128) << 1;
        self.left = ((u128::from(self.random >> 32) * twice) >> 32) as usize;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Countdown;

    #[test]
    fn one_stack_for_so_many_bytes() {
        for (size, every) in [(48, 1000), (16, 4096), (1000, 64), (100_000, 1 << 20)] {
            let mut countdown = Countdown::new();
            let blocks = 200_000;
            let sampled = (0..blocks).filter(|_| countdown.is_due_each(size, every)).count();
            // The countdown begins anew with the block that ends it, so each distance is rounded up to whole blocks.
            let expected = blocks as f64 * size as f64 / (every as f64 + size as f64);
            let ratio = sampled as f64 / expected;
            assert!((0.8..1.6).contains(&ratio), "{size} {every}: {sampled} of {expected}");
        }
    }

    #[test]
    fn large_blocks_are_always_sampled() {
        let mut countdown = Countdown::new();
        assert!((0..1000).all(|_| countdown.is_due_each(8192, 4096)));
        assert!((0..1000).all(|_| countdown.is_due_each(1, 0)));
        assert!(countdown.is_due_each(usize::MAX, usize::MAX));
    }
}
