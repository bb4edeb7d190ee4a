//! Call stacks: complete, without frame pointers, cheap enough for every allocation.
//!
//! ```text
//! entry point (exact registers)            state.rs, arch::CallerFrame
//!   -> a stack for this block?             sampling.rs
//!   -> the whole stack is as remembered?   recent.rs, replay.rs, per thread
//!   -> else frame by frame:                walk.rs
//!        rule of this pc known?            rule_cache.rs, rule.rs
//!        else its row of .eh_frame         find_object.rs, search_table.rs, eh_frame.rs, expression.rs
//!        else signal, frame pointer        signal_frame.rs, frame_pointer.rs
//!      words come from                     stack_read.rs
//!   -> each distinct stack once            depot.rs
//! ```
//!
//! Contract: [`capture`] runs inside malloc: no lock that is waited for, no libc, no allocation, no call of the loader
//! but `_dl_find_object`. [`frames`] and [`modules`] are lock-free reads for every phase.
//!
//! Not promised: frames of code without unwind information beyond what its frame pointers give; stacks of other
//! threads.

mod chain;
pub mod depot;
mod eh_frame;
mod expression;
pub mod find_object;
mod frame_pointer;
mod leave;
pub mod modules;
mod recent;
mod replay;
mod rule;
mod rule_cache;
mod running;
mod sampling;
mod search_table;
mod signal_frame;
mod stack_read;
mod state;
mod statistics;
mod stopped;
mod walk;

#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use crate::arch::CallerFrame;
use crate::base::AddrRange;

use chain::Key;
use replay::{LONGEST, OVERHANG, Place, Replay, Walk};
use sampling::Countdown;
use stack_read::{OwnStack, Stack};
use state::State;
use walk::{Logged, Step, Walker};

pub use leave::leave;
pub use running::{enter_images_of, for_each_image};
pub use statistics::Statistics;
pub use stopped::frames_of;

/// The deepest stack that can be asked for.
pub const MAX_DEPTH: usize = 256;
/// As deep as stacks are kept unless an option says otherwise.
pub const DEFAULT_DEPTH: usize = 30;
/// Most stacks are kept in an array of this size while they are walked.
const USUAL_DEPTH: usize = 32;

/// What is done with remembered stacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Mode {
    /// They are used.
    #[default]
    Use = 0,
    /// Nothing is remembered: each stack is walked.
    Off = 1,
    /// Each stack is walked as well, and [`Statistics::differences`] counts those that were not the same.
    Verify = 2,
}

static REPLAY: AtomicU8 = AtomicU8::new(Mode::Use as u8);
static DEPTH: AtomicUsize = AtomicUsize::new(DEFAULT_DEPTH);

/// The name of a stack; equal stacks have equal names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct StackId(pub u32);

impl StackId {
    /// No stack: none was asked for, or there was no room.
    pub const NONE: StackId = StackId(0);
}

/// What is set once, at init.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Frames kept of each stack, the entry point included; 1..=[`MAX_DEPTH`].
    pub depth: usize,
    /// `_dl_find_object`, where the libc has it.
    pub find_object: Option<find_object::FindObject>,
    /// Where the program's headers are (AT_PHDR), or 0 if it is not known.
    pub program_headers: usize,
    /// An address just past the main thread's stack, or 0 if it is not known.
    pub main_stack_top: usize,
    /// At most this many bytes of stacks.
    pub depot_bytes: usize,
    /// What is done with remembered stacks.
    pub replay: Mode,
    /// A stack for each so many bytes on the average; 0: for every block.
    pub stack_every: usize,
}

/// Sets up; captures before it work with the defaults.
pub fn init(setup: &Setup) {
    DEPTH.store(setup.depth.clamp(1, MAX_DEPTH), Relaxed);
    find_object::set(setup.find_object);
    running::set_program_headers(setup.program_headers);
    stack_read::set_main_stack(setup.main_stack_top);
    depot::set_limit(setup.depot_bytes);
    REPLAY.store(setup.replay as u8, Relaxed);
    sampling::set(setup.stack_every);
    modules_changed();
}

/// What a thread has for capturing its stacks. All zero bytes are a valid new one.
pub struct ThreadTrace {
    own: OwnStack,
    replay: Replay,
    statistics: Statistics,
    countdown: Countdown,
}

impl ThreadTrace {
    /// Knows nothing, holds nothing.
    pub const fn new() -> ThreadTrace {
        ThreadTrace {
            own: OwnStack::new(),
            replay: Replay::new(),
            statistics: Statistics::new(),
            countdown: Countdown::new(),
        }
    }

    /// Takes the range of the thread's own stack from who knows it. Without it, it is found out.
    pub fn set_stack(&mut self, range: AddrRange) {
        self.own.set(range);
    }

    /// What capturing has cost this thread.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Forgets on which stack its thread runs, and what it has proved there: the next use is another thread's.
    pub fn leave_stack(&mut self) {
        self.own = OwnStack::new();
        self.replay.forget();
    }

    /// Gives back what it holds; for a thread that ends. It works on afterwards, and may be released again.
    pub fn release(&mut self) {
        self.own = OwnStack::new();
        self.replay = Replay::new();
    }
}

impl Default for ThreadTrace {
    fn default() -> Self {
        Self::new()
    }
}

/// The stack of an entry point's caller: frame 0 is `entry`, then come the calls that led there. `caller` must be the
/// record that the entry point made, on the stack of the calling thread, whose `thread` is. None for a block of `size`
/// bytes that is not sampled.
#[inline]
pub fn capture(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize, size: usize) -> StackId {
    thread.statistics.captures += 1;
    match capture_again(thread, caller, entry) {
        StackId::NONE => {}
        id => return id,
    }
    match capture_otherwise(thread, caller, entry) {
        StackId::NONE => slow_capture(thread, caller, entry, size),
        id => id,
    }
}

/// A function of its own, so that the slow way needs none of its stack.
#[inline(never)]
fn capture_otherwise(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize) -> StackId {
    capture_by_leaf(thread, caller, entry)
}

/// The stack, if it is the one that the thread had last of this leaf; else none. Whoever takes it says so ([`count`]).
///
/// Short of stores above all: a program that writes to fresh blocks has its store buffer full of misses, and each further
/// store waits behind those.
#[inline(always)]
pub fn capture_again(thread: &ThreadTrace, caller: &CallerFrame, entry: usize) -> StackId {
    let key = Key { entry, epoch: rule_cache::CACHE.epoch() };
    thread.replay.find_recent(key, caller).map_or(StackId::NONE, StackId)
}

/// The stack, if it is the thread's own and a chain of its leaf proves it; else none. Counted as above.
#[inline(always)]
pub fn capture_by_leaf(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize) -> StackId {
    let key = Key { entry, epoch: rule_cache::CACHE.epoch() };
    if !thread.replay.is_armed(key) {
        return StackId::NONE;
    }
    let (own, record) = (&thread.own, core::ptr::from_ref(caller).addr());
    match thread.replay.find(key, caller, |end| own.seen(record, end)) {
        Ok(id) => {
            thread.replay.keep_found(caller);
            StackId(id)
        }
        Err(_) => StackId::NONE,
    }
}

/// One stack more was captured by [`capture_again`] or [`capture_by_leaf`].
#[inline(always)]
pub fn count(thread: &mut ThreadTrace) {
    thread.statistics.captures += 1;
}

/// Any stack, in any mode.
#[cold]
#[inline(never)]
fn slow_capture(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize, size: usize) -> StackId {
    if !thread.countdown.is_due(size) {
        thread.statistics.skipped += 1;
        return StackId::NONE;
    }
    let mode = REPLAY.load(Relaxed);
    let key = Key { entry, epoch: rule_cache::CACHE.epoch() };
    let mut stack = Stack::of_caller(&mut thread.own, caller.stack_pointer());
    let foreign = stack.is_foreign();
    thread.statistics.foreign += u64::from(foreign);
    let (mut found, mut place) = (None, None);
    if mode != Mode::Off as u8 && thread.replay.is_ready(thread.statistics.captures, key) {
        thread.replay.arm(key, mode == Mode::Use as u8 && !sampling::is_on());
        match thread.replay.find(key, caller, |end| stack.seen(end)) {
            Ok(id) => found = Some(id),
            Err(missed) => place = missed,
        }
    }
    if found.is_none() {
        thread.statistics.missed += 1;
        found = if DEPTH.load(Relaxed) <= USUAL_DEPTH {
            walk_and_keep::<USUAL_DEPTH, { USUAL_DEPTH + OVERHANG }>(thread, caller, key, place)
        } else {
            walk_and_keep::<MAX_DEPTH, LONGEST>(thread, caller, key, place)
        };
    }
    let Some(id) = found else {
        thread.statistics.dropped += 1;
        return StackId::NONE;
    };
    if mode == Mode::Verify as u8 {
        if !foreign {
            thread.statistics.differences += u64::from(thread.replay.differs_recently(key, caller, id));
        }
        verify(thread, caller, key.entry, id);
    }
    StackId(id)
}

/// A stack that no chain proves. It is remembered at `place`, if there is one. `N`: at least the depth. `L`: with the
/// overhang. Never inlined: the arrays of the deep one would lie on the stack of all.
#[inline(never)]
fn walk_and_keep<const N: usize, const L: usize>(
    thread: &mut ThreadTrace,
    caller: &CallerFrame,
    key: Key,
    place: Option<Place>,
) -> Option<u32> {
    let depth = DEPTH.load(Relaxed).min(N);
    let mut frames = [0; N];
    let mut log = [Logged::NONE; L];
    let mut kept = 1;
    let (mut ended, mut last_live, mut tail) = (false, 0, None);
    frames[0] = key.entry;
    // True as long as what has happened can be remembered.
    let mut remembers = place.is_some();
    let replay = &mut thread.replay;
    let mut cursor = replay.cursor(place);
    let stack = Stack::of_caller(&mut thread.own, caller.stack_pointer());
    let mut walker = Walker::new(caller, stack, &mut log, &mut thread.statistics);
    loop {
        if !State::is_code(walker.pc()) {
            ended = true;
            break;
        }
        if kept < depth {
            frames[kept] = walker.lookup_pc();
            kept += 1;
        } else if !remembers || walker.log().len() + 2 >= depth + OVERHANG {
            break;
        }
        if remembers
            && let Some(rest) = frames.get_mut(kept..depth)
            && let Some((len, rest)) = replay.join(&mut cursor, &mut walker, rest)
        {
            kept += len;
            tail = Some(rest);
            walker.statistics().joined += 1;
            break;
        }
        match walker.step() {
            Step::Rule => {}
            Step::Other => remembers = false,
            Step::Outermost => {
                ended = true;
                break;
            }
            Step::NoFramePointer => {
                ended = true;
                last_live = chain::FRAME_POINTER;
                break;
            }
            Step::Stuck => {
                walker.statistics().stuck += 1;
                remembers = false;
                break;
            }
        }
    }
    let id = depot::keep(frames.get(..kept)?)?;
    let mut remembered = false;
    if let Some(place) = place
        && remembers
    {
        let steps = walker.log().len();
        let mut stack = walker.into_stack();
        let walk = Walk { caller, log: log.get(..steps)?, tail, ended, last_live, depth, kept };
        remembered = replay.remember(key, place, &walk, &mut stack, id);
    }
    thread.statistics.unremembered += u64::from(!remembered);
    Some(id)
}

/// Walks the stack once more, by rules alone, and counts a difference to the frames of `id`.
#[cold]
#[inline(never)]
fn verify(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize, id: u32) {
    let (mut walked, mut kept) = ([0; MAX_DEPTH], [0; MAX_DEPTH]);
    let len = walk_only(thread, caller, entry, walked.get_mut(..DEPTH.load(Relaxed)).unwrap_or_default());
    let kept_len = frames(StackId(id), &mut kept);
    thread.statistics.differences += u64::from(walked.get(..len) != kept.get(..kept_len));
}

/// As [`capture`], from a function of ours that was called by a plain function of ours: frames whose end does not lie above
/// `above`, a stack pointer inside that function's frame, are left out, and `entry` is named in their place. Walked anew
/// each time: for what is rare.
#[cold]
#[inline(never)]
pub fn capture_above(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize, above: usize) -> StackId {
    let (mut log, mut uncounted) = ([Logged::NONE; LONGEST], Statistics::new());
    let mut frames = [0; MAX_DEPTH];
    let frames = frames.get_mut(..DEPTH.load(Relaxed)).unwrap_or_default();
    let Some((first, rest)) = frames.split_first_mut() else { return StackId::NONE };
    *first = entry;
    let stack = Stack::of_caller(&mut thread.own, caller.stack_pointer());
    let mut walker = Walker::new(caller, stack, &mut log, &mut uncounted);
    let mut ended = false;
    while walker.sp() <= above && !ended {
        ended = walker.step().is_end();
    }
    let kept = 1 + if ended { 0 } else { walker.walk(rest) };
    frames.get(..kept).and_then(depot::keep).map_or(StackId::NONE, StackId)
}

/// The frames by rules alone; what that costs is not counted.
fn walk_only(thread: &mut ThreadTrace, caller: &CallerFrame, entry: usize, frames: &mut [usize]) -> usize {
    let Some((first, rest)) = frames.split_first_mut() else { return 0 };
    *first = entry;
    let (mut log, mut uncounted) = ([Logged::NONE; LONGEST], Statistics::new());
    let stack = Stack::of_caller(&mut thread.own, caller.stack_pointer());
    1 + Walker::new(caller, stack, &mut log, &mut uncounted).walk(rest)
}

/// The frames of a stack, leaf first: frame 0 is the entry point's address, all others lie inside the call that leads
/// to the frame before (a return address minus one), or are interrupted instructions. Returns how many were written;
/// 0 for no stack.
pub fn frames(id: StackId, into: &mut [usize]) -> usize {
    depot::look_up(id.0, into)
}

/// To be called after code was loaded or unloaded: what is remembered of code is dropped.
pub fn modules_changed() {
    rule_cache::CACHE.flush();
}

/// In a forked child: locks that threads of the parent may have held are free.
pub fn after_fork_in_child() {
    rule::RULES.after_fork_in_child();
    eh_frame::after_fork_in_child();
    modules::after_fork_in_child();
}
