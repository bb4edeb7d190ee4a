//! Checks of a part of the heap: what was allocated since a baseline, or by one thread in one scope.
//!
//! A baseline makes every live block older by one, in the block's own metadata word; a block that is allocated later
//! begins young. So a block is told from another one that lay at its address before, at no cost to malloc. A scope is a
//! number ([`scopes`]) in the word of each block that its thread allocates meanwhile, and when it ends what is left of it
//! goes to the scope around it. Both are exact: no list of addresses, which free and malloc would make untrue, is kept.
//!
//! Contract: one check, baseline or end of a scope at a time: under the [`Turn`](super::turn::Turn).

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arch::CallerFrame;
use crate::base::Errno;
use crate::base::lock::Lock;
use crate::heap::{Chunk, HeapView, Provider, Scope};
use crate::init;
use crate::mem::{MapVec, Sum, Tally};
use crate::report;
use crate::report::survey::Grown;
use crate::threads;
use crate::threads::scopes::{self, Ending};

use super::analysis::Failure;
use super::remarks::Remarks;
use super::stopped::{Way, in_stopped_world};
use super::turn::Turn;
use super::{Occasion, refused};

/// Which chunks a check is about; all count as holders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Only {
    /// All.
    All,
    /// Those that were allocated after a baseline.
    Since(u32),
    /// Those that were allocated in scopes that end; what is left of them goes to another one.
    Scopes(Ending),
}

/// Baselines that blocks remember: an age has three bits, the last of which says "or older".
const REMEMBERED: u32 = 7;

/// How many baselines there were; they are numbered from 1.
static BASELINES: AtomicU32 = AtomicU32::new(0);

/// Live objects and bytes by call stack at the last baselines, by their number. Never taken in the stopped world.
static SUMS: Lock<[MapVec<Sum<u32>>; REMEMBERED as usize]> =
    Lock::new([const { MapVec::new() }; REMEMBERED as usize]);

/// The number of the last baseline.
pub(super) fn last_baseline() -> u32 {
    BASELINES.load(Relaxed)
}

/// True for the baselines that blocks remember: the last seven.
pub fn is_baseline(number: u32) -> bool {
    let last = last_baseline();
    (1..=last).contains(&number) && last - number < REMEMBERED
}

/// The baseline after which a chunk was allocated; 0 before the first, and where that is too long ago.
pub(super) fn born(chunk: &Chunk) -> u32 {
    let age = u32::from(chunk.age);
    if age < REMEMBERED { last_baseline().saturating_sub(age) } else { 0 }
}

impl Only {
    /// True for a chunk that the check is about.
    pub(super) fn includes(&self, chunk: &Chunk) -> bool {
        match *self {
            Only::All => true,
            Only::Since(number) => u32::from(chunk.age) <= last_baseline().saturating_sub(number),
            Only::Scopes(ending) => ending.includes(chunk.scope),
        }
    }
}

/// Makes a baseline and returns its number. `None` when the world could not be stopped; a line says why.
pub fn baseline(frame: &CallerFrame) -> Option<u32> {
    let occasion = Occasion::RECOVERABLE;
    let Some(_turn) = Turn::wait() else {
        refused(&occasion);
        return None;
    };
    let (mut remarks, mut sums) = (Remarks::new(), MapVec::new());
    let walked = walk(frame, &mut remarks, &mut |heap| {
        sums = by_stack(heap)?;
        heap.grow_older();
        Ok(())
    });
    if let Some(why) = remarks.failure() {
        report::say(format_args!("no baseline could be made: {why}"));
    }
    walked?;
    let number = BASELINES.fetch_add(1, Relaxed) + 1;
    if let Some(slot) = SUMS.lock().get_mut((number % REMEMBERED) as usize) {
        *slot = sums;
    }
    Some(number)
}

/// Works on the heap in the stopped world.
fn walk(
    frame: &CallerFrame,
    remarks: &mut Remarks,
    work: &mut dyn FnMut(&HeapView) -> Result<(), Failure>,
) -> Option<()> {
    in_stopped_world(
        &Occasion::RECOVERABLE,
        frame,
        init::options(),
        Way::Stop { extended_later: true },
        remarks,
        &mut |_, _| {},
        &mut |_, _, _| work(&HeapView::new()?),
    )
}

fn by_stack(heap: &HeapView) -> Result<MapVec<Sum<u32>>, Errno> {
    let (mut tally, mut full) = (Tally::new(), Ok(()));
    heap.for_each(&mut |_, chunk| {
        if full.is_ok() {
            full = tally.add(chunk.stack.0, chunk.size);
        }
    });
    full.map(|()| tally.sums())
}

/// The sums of a baseline, copied before the world stops.
pub(super) fn sums_of(only: &Only) -> Result<MapVec<Sum<u32>>, Errno> {
    let mut copy = MapVec::new();
    if let Only::Since(number) = *only {
        let sums = SUMS.lock();
        for sum in sums.get((number % REMEMBERED) as usize).into_iter().flat_map(|sums| sums.iter()) {
            copy.push(*sum)?;
        }
    }
    Ok(copy)
}

/// The call stacks of which more is alive than at the baseline, most bytes first.
pub(super) fn grown(heap: &HeapView, before: &[Sum<u32>]) -> Result<MapVec<Grown>, Errno> {
    let mut grown = MapVec::new();
    for sum in by_stack(heap)?.iter() {
        let old = before.binary_search_by_key(&sum.key, |old| old.key).ok().and_then(|at| before.get(at));
        let (objects, bytes) = old.map_or((0, 0), |old| (old.objects, old.bytes));
        if sum.bytes > bytes || sum.objects > objects {
            let difference = |now: usize, then: usize| now as isize - then as isize;
            grown.push(Grown {
                stack: sum.key,
                objects: difference(sum.objects, objects),
                bytes: difference(sum.bytes, bytes),
                now_objects: sum.objects,
                now_bytes: sum.bytes,
            })?;
        }
    }
    grown.sort_unstable_by_key(|group: &Grown| (core::cmp::Reverse(group.bytes), group.stack));
    Ok(grown)
}

/// Begins a scope of the calling thread: its number. `None` when as many are open as can be told apart.
pub fn begin_scope(frame: &CallerFrame) -> Option<Scope> {
    let begin = || {
        threads::with(|thread| {
            let scope = scopes::begin(thread.scope)?;
            thread.scope = scope;
            Some(scope)
        })
        .flatten()
    };
    begin().or_else(|| {
        take_back(frame);
        begin()
    })
}

/// Numbers that ended without a check are given again when no block has them any more.
#[cold]
fn take_back(frame: &CallerFrame) {
    let Some(left) = threads::with(|thread| scopes::left(thread.scope)) else { return };
    let turn = Turn::wait();
    let mut walked = None;
    if turn.is_some() && !left.is_nothing() {
        walked = walk(frame, &mut Remarks::new(), &mut |heap| {
            heap.move_scopes(|scope| left.goes_to(scope));
            Ok(())
        });
    }
    left.settle(walked.is_some());
}

/// Ends a scope of the calling thread, and those that it began later and did not end. A check is to follow, and
/// [`Ending::settle`]. `None` when it is no open scope of this thread.
pub fn leave_scope(scope: Scope) -> Option<Ending> {
    threads::with(|thread| {
        let (ending, outer) = scopes::end(scope, thread.scope)?;
        thread.scope = outer;
        Some(ending)
    })
    .flatten()
}
