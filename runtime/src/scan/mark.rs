//! The driver of marking: two floods one after the other, from strong roots and then from weak ones, by as many tasks as
//! there are.
//!
//! Every task runs the same code: it takes roots as long as there are any, floods from them, and then works off what
//! others give it. No task waits for another between the floods: a flood is over when nobody holds a token of its sharing,
//! and from then on nobody marks for it.
//!
//! A task that cannot be started or has no memory is done without; only the first must be able to work. A task that dies
//! takes pieces with it that nobody else has: whoever notices says so to all, and each goes home when it has no work, with
//! or without a token.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::arch::untagged;
use crate::base::{Addr, AddrRange, Alone, Errno, WorkerDied, Workers};
use crate::harvest::{Harvest, RootWord, Strength};
use crate::heap::{Provider, Tag};
use crate::mem::{Filter, ReadMemory};

use super::marker::Marker;
use super::marks::{Marks, Runs};
use super::overflow::Overflow;
use super::piece::Piece;
use super::sharing::Sharing;
use super::states::{Mark, States};
use super::words::WORD;

/// Why marking came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CouldNotMark {
    /// No memory for our own arrays.
    Memory(Errno),
    /// A task died in the middle.
    WorkerDied,
}

impl From<Errno> for CouldNotMark {
    fn from(errno: Errno) -> CouldNotMark {
        CouldNotMark::Memory(errno)
    }
}

impl From<WorkerDied> for CouldNotMark {
    fn from(_: WorkerDied) -> CouldNotMark {
        CouldNotMark::WorkerDied
    }
}

/// Marks all that `harvest` reaches.
pub fn mark(
    provider: &(impl Provider + Sync),
    memory: &(impl ReadMemory + Sync),
    harvest: &Harvest,
    workers: &(impl Workers + Sync),
    marks: &mut Marks,
) -> Result<(), CouldNotMark> {
    // A thirty-second of the chunks, 16 bytes each: half a byte a chunk. And room for some steps through pointers.
    let limit = ((provider.slots() / 32).min(1 << 20) / workers.count()).max(4096);
    // A probe costs some nanoseconds a chunk: not before as much was lost by waiting.
    let bounds = Bounds { frontier: limit, patience: (provider.slots() / 128).max(1024) };
    mark_with(provider, memory, harvest, workers, marks, bounds)
}

/// Marks what `words`, weak roots that came to light after [`mark`], reach.
pub fn mark_late(
    provider: &(impl Provider + Sync),
    memory: &(impl ReadMemory + Sync),
    harvest: &Harvest,
    words: &[RootWord],
    marks: &mut Marks,
) -> Result<(), CouldNotMark> {
    // All that is new hangs off these words: nothing to share.
    let bounds = Bounds { frontier: 4096, patience: usize::MAX };
    let late = Flood::of_words(Strength::Weak, Mark::ANY, harvest);
    flood(provider, memory, harvest, words, &Alone, marks, bounds, &[&late])
}

/// What a task may use and bear.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Pieces in each task's frontier.
    pub frontier: usize,
    /// Steps with nothing else to do meanwhile, before it probes.
    pub patience: usize,
}

/// As [`mark`], with given bounds.
pub fn mark_with(
    provider: &(impl Provider + Sync),
    memory: &(impl ReadMemory + Sync),
    harvest: &Harvest,
    workers: &(impl Workers + Sync),
    marks: &mut Marks,
    bounds: Bounds,
) -> Result<(), CouldNotMark> {
    // Marked before anything else, they are never read.
    for word in harvest.kept.iter() {
        if let Some((id, _)) = provider.locate(Addr::new(*word)) {
            marks.states.mark(id, Mark::STRONG, Mark::STRONG);
        }
    }
    marks.runs = Runs::new(harvest.runs as usize)?;
    let strong = Flood::new(Strength::Strong, Mark::STRONG);
    let weak = Flood::new(Strength::Weak, Mark::ANY);
    flood(provider, memory, harvest, &harvest.words, workers, marks, bounds, &[&strong, &weak])
}

#[allow(clippy::too_many_arguments)]
fn flood(
    provider: &(impl Provider + Sync),
    memory: &(impl ReadMemory + Sync),
    harvest: &Harvest,
    words: &[RootWord],
    workers: &(impl Workers + Sync),
    marks: &mut Marks,
    bounds: Bounds,
    floods: &[&Flood],
) -> Result<(), CouldNotMark> {
    let world = World {
        provider,
        memory,
        harvest,
        words,
        states: &marks.states,
        has_ignored: marks.census.ignored > 0,
        workers,
        bounds: provider.bounds(),
        filter: Filter::new(hull(provider, harvest)),
        overflow: Overflow::new(workers.count())?,
        runs: &marks.runs,
        limit: bounds.frontier,
        patience: bounds.patience,
        is_probed: AtomicBool::new(false),
        bytes: AtomicUsize::new(0),
        unreadable: AtomicUsize::new(0),
        tasks: AtomicUsize::new(0),
        one_died: AtomicBool::new(false),
    };
    let first = AtomicUsize::new(0);
    workers.run(&|task| {
        if let Err(errno) = work(&world, floods, task)
            && task == 0
        {
            first.store(errno.get() as usize, Relaxed);
        }
    })?;
    if world.one_died.into_inner() {
        return Err(CouldNotMark::WorkerDied);
    }
    if let Ok(errno @ 1..) = i32::try_from(first.into_inner()) {
        return Err(CouldNotMark::Memory(Errno::new(errno)));
    }
    marks.statistics.bytes += world.bytes.into_inner();
    marks.statistics.unreadable += world.unreadable.into_inner();
    marks.statistics.overflows += world.overflow.total();
    marks.statistics.tasks = marks.statistics.tasks.max(world.tasks.into_inner());
    marks.statistics.runs_reached = marks.runs.count();
    Ok(())
}

/// The smallest range with all chunks, the word behind the last (an empty array with a cookie), and all nodes.
fn hull(provider: &impl Provider, harvest: &Harvest) -> AddrRange {
    let bounds = provider.bounds();
    let chunks = AddrRange::new(bounds.start, bounds.end.plus(WORD));
    match (harvest.nodes.first(), harvest.nodes.last()) {
        (Some(first), Some(last)) => {
            AddrRange::new(chunks.start.min(first.range.start), chunks.end.max(last.range.end))
        }
        _ => chunks,
    }
}

/// What all tasks share.
pub(super) struct World<'a, P, M, W> {
    pub(super) provider: &'a P,
    pub(super) memory: &'a M,
    pub(super) harvest: &'a Harvest,
    /// Single words that are roots.
    words: &'a [RootWord],
    pub(super) states: &'a States,
    has_ignored: bool,
    pub(super) workers: &'a W,
    pub(super) bounds: AddrRange,
    /// Lets all words pass that may point to a chunk or a node.
    pub(super) filter: Filter,
    pub(super) overflow: Overflow,
    pub(super) runs: &'a Runs,
    /// Of each task's frontier.
    pub(super) limit: usize,
    pub(super) patience: usize,
    is_probed: AtomicBool,
    bytes: AtomicUsize,
    unreadable: AtomicUsize,
    tasks: AtomicUsize,
    /// Somebody has noticed that a task died: marking will come to nothing, and no flood to its end.
    one_died: AtomicBool,
}

impl<P, M, W: Workers> World<'_, P, M, W> {
    /// Lets a little time pass for a task that has nothing to do; false when it need not wait any longer, since one died.
    fn rest(&self) -> bool {
        if self.workers.rest().is_err() {
            self.one_died.store(true, Relaxed);
        }
        !self.one_died.load(Relaxed)
    }
}

impl<P, M, W> World<'_, P, M, W> {
    /// One task probes at a time: the memory for it is the larger part of all that marking needs.
    pub(super) fn one_probe(&self, probe: impl FnOnce()) {
        if !self.is_probed.swap(true, Relaxed) {
            probe();
            self.is_probed.store(false, Relaxed);
        }
    }
}

/// One of the two floods.
pub(super) struct Flood {
    pub(super) strength: Strength,
    /// What has one of these marks is done with.
    pub(super) done: Mark,
    pub(super) sharing: Sharing,
    /// Roots and runs that were taken so far.
    roots: AtomicUsize,
    weak_runs: AtomicUsize,
}

impl Flood {
    fn new(strength: Strength, done: Mark) -> Flood {
        let (roots, weak_runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Flood { strength, done, sharing: Sharing::new(), roots, weak_runs }
    }

    /// One that begins with the single words only.
    fn of_words(strength: Strength, done: Mark, harvest: &Harvest) -> Flood {
        let flood = Flood::new(strength, done);
        flood.roots.store(harvest.roots.len(), Relaxed);
        flood.weak_runs.store(harvest.runs as usize, Relaxed);
        flood
    }

    /// What it leaves.
    #[inline]
    pub(super) fn mark(&self) -> Mark {
        Mark::of(self.strength)
    }
}

/// One task's part of all floods.
fn work<P: Provider, M: ReadMemory, W: Workers>(
    world: &World<'_, P, M, W>,
    floods: &[&Flood],
    task: usize,
) -> Result<(), Errno> {
    let Some(begin) = floods.first() else { return Ok(()) };
    let mut marker = Marker::new(world, begin, task)?;
    world.tasks.fetch_add(1, Relaxed);
    for flood in floods {
        marker.flood = flood;
        // The first task has a token from the start.
        if task > 0 && !flood.sharing.join() {
            continue;
        }
        seeds(&mut marker, flood, task == 0);
        if !marker.until_all_is_done() {
            return Ok(());
        }
    }
    world.bytes.fetch_add(marker.bytes, Relaxed);
    world.unreadable.fetch_add(marker.unreadable, Relaxed);
    Ok(())
}

/// Where a flood begins: single words and ignored chunks for the first task, everything else for who comes.
fn seeds<P: Provider, M: ReadMemory, W: Workers>(
    marker: &mut Marker<'_, P, M, W>,
    flood: &Flood,
    is_first: bool,
) {
    let harvest = marker.world.harvest;
    let of_this = |strength| strength == flood.strength;
    if is_first {
        for root in marker.world.words.iter().filter(|root| of_this(root.strength)) {
            marker.word(untagged(root.word));
        }
    }
    while let Some(root) = harvest.roots.get(flood.roots.fetch_add(1, Relaxed)) {
        if of_this(root.strength) {
            marker.root(root.range);
        }
    }
    match flood.strength {
        Strength::Strong if is_first && marker.world.has_ignored => {
            marker.world.provider.for_each(&mut |id, chunk| {
                if chunk.tag == Tag::Ignored {
                    marker.reach(id, chunk.range());
                    marker.relieve();
                }
            })
        }
        Strength::Weak if harvest.weak_nodes => {
            while let Some(run) = u32::try_from(flood.weak_runs.fetch_add(1, Relaxed)).ok()
                && run < harvest.runs
            {
                marker.reach_run(run);
                marker.drain();
            }
        }
        _ => {}
    }
}

impl<P: Provider, M: ReadMemory, W: Workers> Marker<'_, P, M, W> {
    /// Works until no task has work; false when one died, so that not all can be done any more.
    fn until_all_is_done(&mut self) -> bool {
        loop {
            self.drain();
            if self.world.overflow.is_waiting() {
                // Another task is about to note or to take it: a token must not be given up before that is settled.
                if self.world.rest() {
                    continue;
                }
                // With its token: the others must not take this flood for finished. They are told, too.
                return false;
            }
            let (world, flood) = (self.world, self.flood);
            let each = |words| self.contents(Piece::from_words(words));
            let mut patience = PATIENCE;
            let found = flood.sharing.wait(
                each,
                || world.overflow.is_waiting(),
                || {
                    patience -= 1;
                    if patience > 0 {
                        core::hint::spin_loop();
                        return true;
                    }
                    patience = 1;
                    world.rest()
                },
            );
            if !found {
                return !self.world.one_died.load(Relaxed);
            }
        }
    }
}

/// Looks for work before a task that has none lets the others have the CPU: a few microseconds.
const PATIENCE: u32 = 200;
