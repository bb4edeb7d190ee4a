//! A check without a stop: while all other threads sleep, nothing moves ([`stop::watch_the_world`]).
//!
//! It sees fewer roots than a check that stops the threads, so only one of its results counts: nothing is lost, and
//! nothing is in doubt. Everything else is for a stop to find out.
//!
//! Contract: as [`in_stopped_world`]; the work reads memory that may change, in which case its result is not used.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arch::CallerFrame;
use crate::harvest;
use crate::init::options::{self, Options};
use crate::mem::{ProcessMemory, WithFile};
use crate::stop::{self, Crew, ProcFile, World};

use super::Occasion;
use super::analysis::{self, Analysis};
use super::hooks;
use super::only::Only;
use super::outcome::Total;
use super::prospect::{self, Wish};
use super::remarks::Remarks;
use super::snapshot;
use super::stopped::{Prepared, Way, in_stopped_world};

/// Checks that stop the threads at once after a try that came to nothing: in a program whose threads are awake, or that
/// has leaks, the next would too.
const AFTER_FAILURE: u32 = 8;

static LEFT_OUT: AtomicU32 = AtomicU32::new(0);

/// The whole check up to the report; `None` when the threads have to be stopped.
pub(super) fn scan(
    occasion: &Occasion,
    wish: Wish,
    frame: &CallerFrame,
    options: &Options,
    remarks: &mut Remarks,
) -> Option<Analysis> {
    if !is_wanted(occasion, wish, options)
        || LEFT_OUT.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    {
        return None;
    }
    // Read once, before the first check of either kind. Without it the thread-local storage of nobody is found.
    hooks::read_layout();
    hooks::layout().lists.as_ref()?;
    let (mut asked, mut micros) = (0, 0);
    let mut look_and_scan = |world: &World, memory: &ProcessMemory<'_>, prepared: &Prepared<'_>| {
        (asked, micros) = (world.notes().asked, world.notes().stop_ns / 1000);
        let memory = WithFile::new(memory, world.open_file(ProcFile::Memory).ok());
        let baseline = Default::default();
        let mut seen = analysis::look(world, &memory, prepared, options, None, Only::All, baseline)?;
        snapshot::timed(world, &mut seen, &memory, options)
    };
    // What keeps a try from coming to something is for the stop behind it to find out, and to tell.
    let kept = &mut Remarks::new();
    let found = in_stopped_world(
        occasion,
        frame,
        options,
        Way::Watch,
        kept,
        &mut |_, _| Crew::look_ahead(),
        &mut look_and_scan,
    );
    let clean = found.filter(is_clean);
    match &clean {
        Some(clean) => {
            let threads = clean.totals.threads;
            remarks.note(format_args!(
                "all {threads} threads slept, and none was stopped; {asked} were asked for in /proc, and it took {micros} us to know them all"
            ))
        }
        None => LEFT_OUT.store(AFTER_FAILURE, Relaxed),
    }
    clean
}

/// What is asked for can be answered by "clean", and soon: threads that sleep for a second are rare.
fn is_wanted(occasion: &Occasion, wish: Wish, options: &Options) -> bool {
    let only_leaks = !options.report_reachable
        && options.report_retained == 0
        && options.explain.as_str().is_empty()
        && !options.report_mappings;
    options.watch
        && options.ptrace
        && only_leaks
        && occasion.only() == Only::All
        && wish.choice != options::Snapshot::Always
        && stop::worth_watching().is_some_and(prospect::is_small)
}

fn is_clean(analysis: &Analysis) -> bool {
    let Analysis {
        leaks,
        counts,
        harvest: harvest::Notes { lost_stacks, lost_tls, odd_lines, .. },
        doubts,
        ..
    } = analysis;
    let none = Total::default();
    leaks.is_empty()
        && [counts.direct, counts.indirect, counts.possible] == [none; 3]
        && (*lost_stacks, *lost_tls, *odd_lines, doubts.unreadable) == (0, 0, 0, 0)
}
