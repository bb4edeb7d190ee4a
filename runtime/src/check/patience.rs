//! How long a check may be at what is asked beside its verdict. The program stands still meanwhile, or its copy takes memory,
//! and the work of a stop is ended by force in the end, with all that it has found.
//!
//! Contract: as [`super::analysis`].

use crate::init::options::Options;
use crate::sys::process;

/// From the beginning of the work, of the two minutes that it has (`stop::Options`, `check/snapshot.rs`). The leaks are still to
/// be told apart after the second look, and to be handed over after the survey.
const SECOND_LOOK_NS: u64 = 60_000_000_000;
const SURVEY_NS: u64 = 100_000_000_000;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patience {
    begun_ns: u64,
    each_ns: u64,
}

impl Patience {
    /// From now on.
    pub(super) fn new(options: &Options) -> Patience {
        let each = u64::from(options.survey_deadline_ms);
        let each_ns = if each == 0 { u64::MAX } else { each * 1_000_000 };
        Patience { begun_ns: process::monotonic_ns(), each_ns }
    }

    /// When a second look at what seems lost, which begins now, is given up.
    pub(super) fn second_look(self) -> u64 {
        self.until(process::monotonic_ns(), SECOND_LOOK_NS)
    }

    /// When a survey that begins now is cut short.
    pub(super) fn survey(self) -> u64 {
        self.until(process::monotonic_ns(), SURVEY_NS)
    }

    fn until(self, now: u64, latest: u64) -> u64 {
        now.saturating_add(self.each_ns).min(self.begun_ns.saturating_add(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_time_and_none_goes_beyond_the_time_of_the_check() {
        let patience = Patience { begun_ns: 1_000, each_ns: 30_000_000_000 };
        assert_eq!(patience.until(5_000, SURVEY_NS), 30_000_005_000);
        assert_eq!(patience.until(90_000_000_000, SURVEY_NS), 100_000_001_000);
        assert_eq!(patience.until(90_000_000_000, SECOND_LOOK_NS), 60_000_001_000);
        let endless = Patience { each_ns: u64::MAX, ..patience };
        assert_eq!(endless.until(5_000, SURVEY_NS), 100_000_001_000);
    }
}
