//! The driver: a check from the question to the verdict.
//!
//! [`run`] is the map of the runtime: its body is the list of stages. Each stage is one call with the results of the
//! stages before it; each failure ends in an outcome that is never "clean".
//!
//! Contract: may be called on any thread, also at exit; one check at a time, others wait for their turn. A check that is
//! asked for on a thread that is inside a check (from a signal handler, say) is refused with a sentence.

mod analysis;
mod asleep;
mod begun;
mod caller;
mod doubt;
mod dump;
mod hooks;
mod only;
mod outcome;
mod patience;
mod prospect;
mod question;
mod remarks;
mod snapshot;
mod stopped;
mod survey;
mod turn;

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::arch::CallerFrame;
use crate::heap;
use crate::init;
use crate::init::options::{Options, Snapshot};
use crate::mem::with_room;
use crate::report::{self, Findings, Verdict};
use crate::sys::process;

pub use analysis::{Known, Remembered};
pub use begun::Begun;
pub use dump::{Asker, dump_threads};
pub use hooks::{
    on_default_suppressions, on_layout, on_module_update, on_turned_off, set_exit_function, set_layout,
};
pub use only::{Only, baseline, begin_scope, is_baseline, leave_scope};
pub use outcome::{Counts, Outcome, Total};
pub use question::{Answer, Question, ask};
pub use turn::{after_fork, before_fork};

use analysis::Analysis;
use remarks::Remarks;
use turn::Turn;

/// Why a check is made, which decides what follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// The process ends.
    Exit,
    /// The program asked for its one check, which ends it when there are leaks; no check at exit then.
    OneShot,
    /// The program asked and goes on.
    Recoverable {
        /// Print nothing.
        quiet: bool,
        /// Longest time to wait for threads, in milliseconds; 0 for the option's.
        deadline_ms: u32,
        /// On a copy of the memory or in place; `None` for what the option says.
        snapshot: Option<Snapshot>,
        /// Which chunks it is about.
        only: Only,
    },
}

impl Occasion {
    /// As `__lsan_do_recoverable_leak_check` has it.
    pub const RECOVERABLE: Occasion =
        Occasion::Recoverable { quiet: false, deadline_ms: 0, snapshot: None, only: Only::All };

    fn only(&self) -> Only {
        match self {
            Occasion::Recoverable { only, .. } => *only,
            Occasion::Exit | Occasion::OneShot => Only::All,
        }
    }

    fn is_quiet(&self) -> bool {
        matches!(self, Occasion::Recoverable { quiet: true, .. })
    }
}

/// Makes a check for the caller that `frame` describes.
// Once, not in each entry point.
#[inline(never)]
pub fn run(occasion: &Occasion, frame: &CallerFrame) -> Outcome {
    let mut outcome = Outcome::TurnedOff;
    // Most of the small programs that a build starts end here.
    if init::options().detect_leaks {
        with_room(&mut || {
            outcome = match begin(occasion, false, frame) {
                Ok(begun) => begun.finish(frame),
                Err(outcome) => outcome,
            }
        });
    }
    outcome
}

/// The first half of a check: the world was stopped and runs again, and the scan is done or goes on. `later`: the caller
/// does something else before it asks for the result.
///
/// # Errors
///
/// There is no check.
pub fn begin(occasion: &Occasion, later: bool, frame: &CallerFrame) -> Result<Begun, Outcome> {
    let options = init::options();
    if is_off() || is_repeated(occasion) {
        return Err(Outcome::TurnedOff);
    }
    let Some(_turn) = Turn::wait() else { return Err(refused(occasion)) };

    let mut begun = Begun::new(occasion, later, options);
    if heap::has_served() || options.report_mappings {
        begun.stop_and_scan(frame, options);
    }
    // Otherwise nothing was ever allocated, so nothing can be lost: most of the small programs that a build starts.
    Ok(begun)
}

/// No check is made in this process, or not now.
pub fn is_off() -> bool {
    !init::options().detect_leaks || hooks::turned_off()
}

/// The one-shot check is the last one of its process, and so is the check at exit. A forked child has its own.
fn is_repeated(occasion: &Occasion) -> bool {
    static DONE_IN: AtomicI32 = AtomicI32::new(0);
    match occasion {
        Occasion::Exit | Occasion::OneShot => DONE_IN.swap(process::pid(), Relaxed) == process::pid(),
        Occasion::Recoverable { .. } => false,
    }
}

/// Says what was found, and what follows.
fn conclude(occasion: &Occasion, options: &Options, mut analysis: Analysis, remarks: &Remarks) -> Outcome {
    analysis.survey.add_resources();
    let outcome = match remarks.failure() {
        Some(why) => report::Outcome::CouldNotCheck { why, advice: "" },
        None => report::Outcome::Checked,
    };
    let mut counts = Counts { pause_ns: remarks.pause_ns(), ..analysis.counts };
    let findings = Findings {
        outcome,
        leaks: analysis.leaks,
        totals: analysis.totals,
        reasons: remarks.reasons(),
        notes: remarks.notes(),
        default_suppressions: hooks::default_suppressions(),
        stacks: &analysis::Depot,
        modules: &analysis::Remembered,
        survey: analysis.survey.view(options),
        quiet: occasion.is_quiet(),
    };
    let delivered = report::deliver(findings, options);
    counts.suppress(delivered.suppressed);
    match delivered.verdict {
        Verdict::Clean => Outcome::Clean(counts),
        Verdict::Incomplete => Outcome::Incomplete(counts),
        Verdict::CouldNotCheck => Outcome::CouldNotCheck,
        Verdict::Leaks => Outcome::Leaks { counts, exit_status: exit_status(occasion, options) },
    }
}

fn exit_status(occasion: &Occasion, options: &Options) -> Option<i32> {
    let ends = matches!(occasion, Occasion::Exit | Occasion::OneShot);
    (ends && options.exit_on_leaks && options.exitcode != 0).then_some(options.exitcode.into())
}

/// The thread that asks is inside a check already.
fn refused(occasion: &Occasion) -> Outcome {
    if !occasion.is_quiet() {
        report::say(format_args!(
            "a check was asked for inside a check, from a signal handler perhaps; it is refused"
        ));
    }
    Outcome::CouldNotCheck
}
