//! How a check ended, for whoever asked for it.

/// Objects and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Total {
    /// How many.
    pub objects: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

impl Total {
    /// With one more object.
    pub fn add(&mut self, bytes: usize) {
        self.objects += 1;
        self.bytes += bytes as u64;
    }
}

/// What a check found, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Lost, and no other lost object leads there.
    pub direct: Total,
    /// Lost, reached from a direct leak.
    pub indirect: Total,
    /// Held by a doubtful root only.
    pub possible: Total,
    /// Lost and suppressed.
    pub suppressed: Total,
    /// How long other threads stood still, in nanoseconds.
    pub pause_ns: u64,
    /// A copy of the memory was scanned, the program running meanwhile.
    pub on_snapshot: bool,
    /// How long marking and classifying took, in nanoseconds.
    pub scan_ns: u64,
    /// Pages of the program that a scanned copy had; 0 without one.
    pub resident_pages: u64,
    /// Pages that the kernel copied since the program wrote to them before the scan was done.
    pub copied_pages: u64,
}

impl Counts {
    /// Takes out what a suppression covers: objects and bytes of direct and of indirect leaks.
    pub(super) fn suppress(&mut self, covered: [(usize, usize); 2]) {
        for (total, (objects, bytes)) in [&mut self.direct, &mut self.indirect].into_iter().zip(covered) {
            total.objects = total.objects.saturating_sub(objects as u64);
            total.bytes = total.bytes.saturating_sub(bytes as u64);
            self.suppressed.objects += objects as u64;
            self.suppressed.bytes += bytes as u64;
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything was seen, nothing is lost.
    Clean(Counts),
    /// Something is lost.
    Leaks {
        /// How much.
        counts: Counts,
        /// What the process should exit with, if the occasion wants that.
        exit_status: Option<i32>,
    },
    /// Nothing seen is lost, but not everything was seen.
    Incomplete(Counts),
    /// There is no result.
    CouldNotCheck,
    /// Checks are off.
    TurnedOff,
}

impl Outcome {
    /// The status with which the process should end now.
    pub fn exit_status(&self) -> Option<i32> {
        match self {
            Outcome::Leaks { exit_status, .. } => *exit_status,
            _ => None,
        }
    }

    /// True when something is lost.
    pub fn found_leaks(&self) -> bool {
        matches!(self, Outcome::Leaks { .. })
    }

    /// The numbers; zero where there is no result.
    pub fn counts(&self) -> Counts {
        match self {
            Outcome::Clean(counts) | Outcome::Incomplete(counts) | Outcome::Leaks { counts, .. } => *counts,
            Outcome::CouldNotCheck | Outcome::TurnedOff => Counts::default(),
        }
    }
}
