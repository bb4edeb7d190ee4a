//! Where a check scans: on a copy of the memory while the program runs, or in place while it stands still.
//!
//! A copy costs the program a pause for the fork, and then a copy of each page that it writes to before the scan is
//! done. It pays where there is much to scan. Whatever speaks against it, or keeps it from being made, the scan is made
//! in place.
//!
//! A snapshot may also come to nothing: its process is killed, or has no memory (a limit, a container's, is smaller than two
//! of us). That is no reason to know nothing: the check is made again, in place ([`NoResult`]).
//!
//! Contract: [`scan`] runs in the stopped world, [`result`] when the program runs again.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::arch::page_size;
use crate::base::Errno;
use crate::harvest::uncarried;
use crate::heap::Provider;
use crate::init::options::{self, Options};
use crate::mem::{ProcessMemory, ReadMemory, WithFile};
use crate::stop::snapshot::{self, Copies, Handover, Limits, Pending};
use crate::stop::{CouldNotStop, Death, World};
use crate::sys::process;

use super::analysis::{Analysis, Failure, Seen};
use super::patience::Patience;
use super::prospect::Prospect;

/// What a fork does not carry over is read while the program stands still: no more than this.
const MOST_UNCARRIED: usize = 64 << 20;
/// The scan's own needs, of address space: for each number of a block, and whatever the heap is like. The worst is a heap of
/// which every block is lost: lists of leaks are kept for each, and grow by doubling.
const SCAN_MEMORY_PER_SLOT: usize = 240;
const SCAN_MEMORY: usize = 512 << 20;
/// Time for the scan.
const DEADLINE_NS: u64 = 120_000_000_000;
/// Checks that are made in place after one whose copy was for the most part written to, or came to nothing.
const AFTER_COSTLY: u32 = 8;

/// Checks that are still to be made in place since the program writes much, or the last snapshot came to nothing.
static COSTLY: AtomicU32 = AtomicU32::new(0);
/// It is the latter.
static CAME_TO_NOTHING: AtomicBool = AtomicBool::new(false);

fn avoid(came_to_nothing: bool) {
    CAME_TO_NOTHING.store(came_to_nothing, Relaxed);
    COSTLY.store(AFTER_COSTLY, Relaxed);
}

/// Why a check that might have been made on a copy was made in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InPlace {
    /// Not wanted.
    NotWanted,
    /// It would not pay: nobody else runs, or little is to be scanned.
    NotWorth,
    /// The last copy was for the most part written to.
    Costly,
    /// The last copy came to nothing.
    CameToNothing,
    /// Too much memory that a fork does not carry over: bytes.
    Uncarried(usize),
    /// Some of that memory cannot be read.
    Unreadable,
    /// The flags of mappings could not be read.
    NoFlags(Errno),
    /// Pages are filled by userfaultfd.
    Watched,
    /// Only so many bytes are left to the system, or to the control group.
    Scarce(usize),
    /// The control group is killed as a whole when its memory runs out.
    DiesAsOne,
    /// No memory for the results or for what has to be saved.
    NoMemory(Errno),
    /// The fork failed.
    NoFork(Errno),
}

impl InPlace {
    /// True when somebody may wonder.
    pub(super) fn is_notable(self) -> bool {
        !matches!(self, InPlace::NotWanted | InPlace::NotWorth)
    }
}

impl fmt::Display for InPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InPlace::NotWanted => f.write_str("no snapshot was wanted"),
            InPlace::NotWorth => f.write_str("a snapshot would not pay"),
            InPlace::Costly => {
                f.write_str("the program wrote to most of its memory during the last snapshot")
            }
            InPlace::CameToNothing => f.write_str("the last snapshot's process had no memory, or was killed"),
            InPlace::Uncarried(bytes) => {
                write!(f, "a fork does not carry over {} MiB of its memory as they are", bytes >> 20)
            }
            InPlace::Unreadable => {
                f.write_str("a fork does not carry over some of its memory, which cannot be read either")
            }
            InPlace::NoFlags(errno) => write!(f, "/proc/self/smaps cannot be read ({errno})"),
            InPlace::Watched => f.write_str("some of its memory is filled by userfaultfd"),
            InPlace::Scarce(bytes) => write!(f, "only {} MiB of memory are left to it", bytes >> 20),
            InPlace::DiesAsOne => {
                f.write_str("its control group is killed as a whole when memory runs out (memory.oom.group)")
            }
            InPlace::NoMemory(errno) => write!(f, "there is no memory for a snapshot's results ({errno})"),
            InPlace::NoFork(errno) => write!(f, "the process could not be forked ({errno})"),
        }
    }
}

/// A scan that is done or goes on.
// Without an allocator there is no box; one value lives at a time.
#[allow(clippy::large_enum_variant)]
pub(super) enum Scan {
    /// In place.
    Done(Analysis),
    /// On a copy.
    Pending(Pending),
}

/// Scans as is wished and possible; and why in place, if so.
pub(super) fn scan(
    world: &World,
    memory: &(impl ReadMemory + Sync),
    seen: &mut Seen,
    prospect: &mut Prospect,
    options: &Options,
) -> (Result<Scan, Failure>, Option<InPlace>) {
    match attempt(world, memory, seen, prospect, options) {
        Ok(pending) => (Ok(Scan::Pending(pending)), None),
        Err(why) => {
            let done = seen.find_pages(world).and_then(|()| timed(world, seen, memory, options));
            (done.map(Scan::Done), Some(why))
        }
    }
}

/// In place.
pub(super) fn timed(
    world: &World,
    seen: &mut Seen,
    memory: &(impl ReadMemory + Sync),
    options: &Options,
) -> Result<Analysis, Failure> {
    let start = process::monotonic_ns();
    let mut analysis = seen.analyse(world, memory, options)?;
    analysis.counts.scan_ns = process::monotonic_ns() - start;
    Ok(analysis)
}

fn attempt(
    world: &World,
    memory: &(impl ReadMemory + Sync),
    seen: &mut Seen,
    prospect: &mut Prospect,
    options: &Options,
) -> Result<Pending, InPlace> {
    let wish = prospect.wish;
    if wish.choice == options::Snapshot::Never {
        return Err(InPlace::NotWanted);
    }
    let auto = wish.choice == options::Snapshot::Auto;
    let resident = prospect.resident;
    if auto {
        if !prospect.may_pay(world) {
            return Err(InPlace::NotWorth);
        }
        if COSTLY.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            let nothing = CAME_TO_NOTHING.load(Relaxed);
            return Err(if nothing { InPlace::CameToNothing } else { InPlace::Costly });
        }
        // A program that writes to a quarter of its memory meanwhile must not bring the system down.
        if let Some(left) = prospect.available.filter(|left| *left < resident / 4) {
            return Err(InPlace::Scarce(left));
        }
        // The copy offers itself to the kernel as the first to be killed, which saves the program only where it dies alone.
        if prospect.dies_as_one {
            return Err(InPlace::DiesAsOne);
        }
    }
    let marked = uncarried::was_advised() || seen.faults_elsewhere;
    let smaps = marked.then(|| world.proc().open_of_memory("smaps"));
    let uncarried = uncarried::find(&seen.harvest, smaps).map_err(InPlace::NoFlags)?;
    if uncarried.watched {
        return Err(InPlace::Watched);
    }
    if marked {
        // Some of what is marked may have to be read now.
        seen.find_pages(world).map_err(|_| InPlace::NoMemory(Errno::new(libc::ENOMEM)))?;
    }
    let unsaved = uncarried.bytes(&seen.harvest);
    if auto && unsaved > MOST_UNCARRIED {
        return Err(InPlace::Uncarried(unsaved));
    }
    let odd_pointers =
        options.pointer_mask != 0 || options.use_unaligned || options.compressed_pointers.is_some();
    let saved = uncarried::save(&uncarried, odd_pointers, &seen.harvest, &seen.heap, memory)
        .map_err(InPlace::NoMemory)?
        .ok_or(InPlace::Unreadable)?;
    let slots = seen.heap.slots();
    let handover = prospect.handover(slots).map_err(InPlace::NoMemory)?;
    let limits = Limits {
        deadline_ns: DEADLINE_NS,
        outlives_thread: wish.later,
        memory: slots * SCAN_MEMORY_PER_SLOT + resident / 2 + SCAN_MEMORY,
    };
    snapshot::fork(world, handover, &limits, &saved, &mut |handover, copy| {
        // Tasks that take turns with the program's would cost it more than the copies of its pages.
        seen.busy = world.busy() + usize::from(wish.later);
        on_copy(world, copy, seen, handover, options);
    })
    .map_err(InPlace::NoFork)
}

/// The rest of the check, in the snapshot.
fn on_copy(
    world: &World,
    memory: ProcessMemory<'_>,
    seen: &mut Seen,
    handover: &Handover,
    options: &Options,
) {
    let copies = Copies::begin();
    seen.patience = Patience::new(options);
    // Of this process: it has a map and a memory of its own.
    let memory = WithFile::new(&memory, world.proc().open_of_memory("mem").ok());
    let mut result = look_again(world, seen).and_then(|()| timed(world, seen, &memory, options));
    if let Ok(analysis) = &mut result {
        analysis.counts.on_snapshot = true;
        analysis.counts.resident_pages = (seen.harvest.resident.bytes() / page_size()) as u64;
        analysis.counts.copied_pages = copies.pages().unwrap_or(0);
        analysis.fit(handover);
    }
    // What cannot be written is missed by the reader.
    let _ = Analysis::hand_over(&result, handover);
}

/// Finds out what the copy has; an error when it lacks something.
fn look_again(world: &World, seen: &mut Seen) -> Result<(), Failure> {
    let maps = world.proc().open_of_memory("maps").map_err(Failure::Maps)?;
    if !uncarried::is_whole(&seen.harvest, &seen.heap, &maps).map_err(Failure::Maps)? {
        return Err(Failure::Hole);
    }
    seen.find_pages(world)
}

/// Why a snapshot came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoResult {
    /// Its work failed.
    Failed(Failure),
    /// Its process ended early.
    Died(CouldNotStop),
}

impl NoResult {
    /// Whether a check in place may do better. Not so when the time was up: the program would stand still as long, and its
    /// memory may be what a task hangs on. Nor in a process that has no part in the snapshot: who began the check may
    /// finish it.
    pub(super) fn is_for_in_place(self) -> bool {
        !matches!(
            self,
            NoResult::Died(CouldNotStop::SnapshotDied(Death::Deadline | Death::Stuck | Death::Orphaned))
        )
    }
}

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoResult::Failed(Failure::Hole) => f.write_str("the snapshot lacked memory that the program has"),
            NoResult::Failed(Failure::Memory(errno)) => {
                write!(f, "the snapshot's process had no memory for the scan ({errno})")
            }
            NoResult::Failed(Failure::Maps(errno)) => {
                write!(f, "the snapshot's process could not read /proc/self/maps ({errno})")
            }
            NoResult::Failed(Failure::Time) => f.write_str("the scan of the snapshot took too long"),
            NoResult::Failed(Failure::Worker) => {
                f.write_str("a task that helped to scan the snapshot was killed")
            }
            NoResult::Died(why) => write!(f, "{why}"),
        }
    }
}

/// Waits for a snapshot's end: what it came to. A hole says that the program marks memory unseen: from now on the flags are
/// read.
pub(super) fn result(pending: Pending) -> Result<Analysis, NoResult> {
    let handover = pending.finish().map_err(NoResult::Died);
    let result = handover.and_then(|handover| Analysis::take_over(&handover).map_err(NoResult::Failed));
    match &result {
        Err(NoResult::Failed(Failure::Hole)) => uncarried::note_advice(),
        Err(why) if why.is_for_in_place() => avoid(true),
        Ok(Analysis { counts, .. }) if 2 * counts.copied_pages > counts.resident_pages => avoid(false),
        _ => {}
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_becomes_of_a_snapshot_the_check_is_made_in_place_unless_that_would_not_help() {
        let died = |death| NoResult::Died(CouldNotStop::SnapshotDied(death));
        let enomem = Errno::new(libc::ENOMEM);
        for why in [
            NoResult::Failed(Failure::Memory(enomem)),
            NoResult::Failed(Failure::Worker),
            NoResult::Failed(Failure::Hole),
            NoResult::Died(CouldNotStop::NoMemory(enomem)),
            died(Death::Signal(libc::SIGKILL)),
            died(Death::Fault(libc::SIGBUS, 0)),
            died(Death::Setup("setitimer", enomem)),
            died(Death::Exit(1)),
        ] {
            assert!(why.is_for_in_place(), "{why}");
        }
        for death in [Death::Deadline, Death::Stuck, Death::Orphaned] {
            assert!(!died(death).is_for_in_place());
        }
    }
}
