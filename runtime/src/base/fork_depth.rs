//! What is held over fork(2), where forks may nest: a signal handler that interrupts fork between its handlers may fork
//! itself, on the same thread (signal-safety(7) allowed it up to POSIX.1-2024, and glibc's malloc/tst-mallocfork2 does
//! it). The inner fork finds what the outer one holds, and leaves it held.
//!
//! Contract: used by the thread that forks, which is one at a time since what is held has one holder.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many forks of the holding thread are between their handlers.
pub struct ForkDepth(AtomicU32);

impl ForkDepth {
    /// No fork.
    pub const fn none() -> ForkDepth {
        ForkDepth(AtomicU32::new(0))
    }

    /// Before fork. `taken`: this fork took what is held; false: its thread had it, by an outer fork or for another
    /// reason.
    ///
    /// A handler that forks just before the outer fork gets here counts nothing, neither here nor in `leave`.
    pub fn enter(&self, taken: bool) {
        let depth = self.0.load(Relaxed);
        if taken || depth > 0 {
            self.0.store(depth + 1, Relaxed);
        }
    }

    /// After fork, in both processes. True: what is held is to be given back now.
    pub fn leave(&self) -> bool {
        let depth = self.0.load(Relaxed);
        if depth > 0 {
            self.0.store(depth - 1, Relaxed);
        }
        depth == 1
    }

    /// What was held was found to be another process' own.
    pub fn forget(&self) {
        self.0.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fork_that_took_it_gives_it_back() {
        let depth = ForkDepth::none();
        depth.enter(true);
        depth.enter(false);
        depth.enter(false);
        assert_eq!([depth.leave(), depth.leave(), depth.leave()], [false, false, true]);
        // Held for another reason: a fork of its holder leaves it held.
        depth.enter(false);
        assert!(!depth.leave());
    }
}
