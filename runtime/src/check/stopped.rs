//! The way into the stopped world and out of it, for every question that needs it.

use crate::arch::CallerFrame;
use crate::base::AddrRange;
use crate::harvest::user_regions;
use crate::init::options::Options;
use crate::mem::ProcessMemory;
use crate::stop::{self, World};
use crate::sys::task;
use crate::threads::mappings::{self, Mapping};

use super::analysis::Failure;
use super::remarks::Remarks;
use super::{Occasion, caller, hooks};

/// What is handed into the stopped world: lists that were copied before it.
pub(super) struct Prepared<'a> {
    /// What the program registered.
    pub(super) regions: &'a [AddrRange],
    /// Where the alternate signal stack of the asking thread begins: only a thread itself can ask for it. Of the others
    /// is known what they set.
    pub(super) kept: &'a [usize],
    /// What the program is known to have mapped.
    pub(super) mappings: &'a [Mapping],
}

/// How the world is kept from moving.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All threads are stopped. `extended_later`: as in [`stop::Options`].
    Stop {
        /// See there.
        extended_later: bool,
    },
    /// Not at all: all sleep ([`stop::watch_the_world`]). That this cannot be is no failure of the check, and not said.
    Watch,
}

/// Runs `ahead` before the stop, as [`stop::Works`] says, and `work` while the world stands still. `None` when it did not come
/// to that, or `work` failed; why is in `remarks`.
pub(super) fn in_stopped_world<T>(
    occasion: &Occasion,
    frame: &CallerFrame,
    options: &Options,
    way: Way,
    remarks: &mut Remarks,
    ahead: &mut stop::Work<'_>,
    work: &mut dyn FnMut(&World, &ProcessMemory<'_>, &Prepared<'_>) -> Result<T, Failure>,
) -> Option<T> {
    // What takes a lock or asks the loader comes first, while all threads run.
    hooks::update_modules();
    hooks::read_layout();
    let (regions, mappings) =
        match user_regions::snapshot().and_then(|regions| Ok((regions, mappings::all()?))) {
            Ok(lists) => lists,
            Err(user_regions::IN_USE) => {
                remarks.fail(format_args!(
                    "the signal handler that asks interrupted the registering of a root region: ask after it"
                ));
                return None;
            }
            Err(errno) => {
                remarks.no_memory(errno);
                return None;
            }
        };
    let (frame, stack_pointer) = caller::program_frame(occasion, frame);
    let caller = stop::Caller { frame: &frame, stack_pointer };
    let kept = [task::alternate_stack().map_or(0, |stack| stack.start.get())];
    let prepared = Prepared { regions: &regions, kept: &kept, mappings: &mappings };
    let mut result = None;
    let mut keep_result = |world: &World, memory: ProcessMemory<'_>| {
        result = Some(work(world, &memory, &prepared));
    };
    let works = &mut stop::Works { ahead, work: &mut keep_result };
    let stop_options = stop_options(occasion, options);
    let stopped = match way {
        Way::Watch => {
            stop::watch_the_world(&caller, &stop_options, works).ok()?;
            return result?.ok();
        }
        Way::Stop { extended_later } => {
            let stop_options = stop::Options { extended_later, ..stop_options };
            stop::stop_the_world_prepared(&caller, &stop_options, works)
        }
    };
    // The program runs again.
    remarks.stopped(&stopped);
    match result? {
        Ok(value) => Some(value),
        Err(failure) => {
            remarks.failed(failure);
            None
        }
    }
}

fn stop_options(occasion: &Occasion, options: &Options) -> stop::Options {
    let milliseconds = match occasion {
        Occasion::Recoverable { deadline_ms, .. } if *deadline_ms > 0 => *deadline_ms,
        _ => options.deadline_ms,
    };
    let means = if options.ptrace { stop::Means::Any } else { stop::Means::Signal };
    stop::Options { deadline_ns: u64::from(milliseconds) * 1_000_000, means, ..stop::Options::DEFAULT }
}
