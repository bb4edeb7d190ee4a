//! What capturing has cost, for `verbosity=1` and for the tests.

/// Counters of one thread; added up by whoever shows them. All zero: nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Statistics {
    /// Stacks asked for.
    pub captures: u64,
    /// Of these, not taken: the block was not sampled.
    pub skipped: u64,
    /// Of those that were taken, not replayed whole.
    pub missed: u64,
    /// Of those taken, on another stack than the thread's own, of which each page is asked for again each time.
    pub foreign: u64,
    /// Of the missed ones, joined to a remembered stack after some frames.
    pub joined: u64,
    /// Frames walked by rules or otherwise, in all captures.
    pub walked: u64,
    /// Rows looked up in .eh_frame.
    pub unwinder_steps: u64,
    /// Rows interpreted, since no rule says what they say.
    pub interpreted: u64,
    /// Walks that ended where nothing said how to go on.
    pub stuck: u64,
    /// Stacks that could not be remembered: of other steps than by rule, or too far apart.
    pub unremembered: u64,
    /// Stacks that were not kept: no room in the depot.
    pub dropped: u64,
    /// In `verify` mode: replayed stacks that differ from unwound ones. Any is a bug.
    pub differences: u64,
}

impl Statistics {
    /// All zero.
    pub const fn new() -> Statistics {
        Statistics {
            captures: 0,
            skipped: 0,
            missed: 0,
            foreign: 0,
            joined: 0,
            walked: 0,
            unwinder_steps: 0,
            interpreted: 0,
            stuck: 0,
            unremembered: 0,
            dropped: 0,
            differences: 0,
        }
    }

    /// Stacks that were taken.
    pub fn taken(&self) -> u64 {
        self.captures.saturating_sub(self.skipped)
    }

    /// Stacks that were replayed whole.
    pub fn whole_hits(&self) -> u64 {
        self.taken().saturating_sub(self.missed)
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: &Statistics) {
        self.captures += other.captures;
        self.skipped += other.skipped;
        self.missed += other.missed;
        self.foreign += other.foreign;
        self.joined += other.joined;
        self.walked += other.walked;
        self.unwinder_steps += other.unwinder_steps;
        self.interpreted += other.interpreted;
        self.stuck += other.stuck;
        self.unremembered += other.unremembered;
        self.dropped += other.dropped;
        self.differences += other.differences;
    }
}
