//! The snapshot: a copy of the stopped world that somebody works on while the program runs again.
//!
//! ```text
//! caller                 helper (stopped world)         snapshot (own process, memory as it was)
//! stop_the_world
//!   waits                work: ... fork  ------------->  empty descriptors, own handlers, timer, limits
//!   <------------------- exit: the program runs          work on the copy
//! finish: waits  <-------------------------------------  lists in shared memory, a word, exit
//! ```
//!
//! Contract: [`fork`] is called by the work on a stopped world. The snapshot is a child of the *program*, not of the
//! helper (CLONE_PARENT): it sends no signal, no wait without `__WALL` sees it, and it ends when the program does.
//!
//! What a fork does not carry over is found by [`crate::harvest::uncarried`] and put back in the copy.
//!
//! Not promised: a program that asks `waitpid(-1, .., __WALL)` sees the snapshot. Pages that the program writes to while
//! the snapshot lives are copied by the kernel, which costs the program time and memory.
//!
//! References: clone(2); kernel/fork.c (copy_process, dup_mmap), kernel/exit.c (forget_original_parent).

mod child;
mod copies;

use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64,
    Ordering::{Relaxed, Release},
};

use crate::base::{Addr, AddrRange, Errno};
use crate::mem::{MapVec, ProcessMemory, SharedMap, Zeroed};
use crate::sys::file::Fd;
use crate::sys::wait::Change;
use crate::sys::{process, task};

use super::await_end::{End, await_end};
use super::ending::{Outcome, Said};
use super::notes::{CouldNotStop, Death};
use super::record::World;

pub use copies::Copies;

/// Where the snapshot puts its results.
pub type Handover = SharedMap<Head>;

/// Words that program and snapshot share.
pub struct Head {
    /// 1 until the snapshot is about to end.
    alive: AtomicU32,
    said: Said,
    /// CLOCK_MONOTONIC time after which the snapshot ends itself.
    hard_deadline: AtomicU64,
    /// getpid() of the program.
    program: AtomicI32,
    /// The thread that asked, where the snapshot ends with it; 0 where it does not.
    thread: AtomicI32,
}

// SAFETY: atomic integers only.
unsafe impl Zeroed for Head {}

/// What a snapshot may cost and how long it may last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nanoseconds after which it ends itself.
    pub deadline_ns: u64,
    /// It lives as long as the process, and not only as long as the thread that asked.
    pub outlives_thread: bool,
    /// Bytes that it may map beyond what it was born with.
    pub memory: usize,
}

/// Memory that the fork does not carry over, to be put back in the copy.
pub struct Saved {
    ranges: MapVec<AddrRange>,
    words: MapVec<(Addr, usize)>,
}

impl Saved {
    /// Nothing to put back.
    pub const fn nothing() -> Saved {
        Saved { ranges: MapVec::new(), words: MapVec::new() }
    }

    /// Whole pages that are to be zero but for the words of [`Saved::add_word`].
    pub fn add_range(&mut self, range: AddrRange) -> Result<(), Errno> {
        self.ranges.push(range)
    }

    /// A word in one of the ranges.
    pub fn add_word(&mut self, at: Addr, word: usize) -> Result<(), Errno> {
        self.words.push((at, word))
    }
}

/// The work on a snapshot. It runs in a process of its own; all that comes home of it is what it hands over.
pub type Work<'w> = dyn FnMut(&Handover, ProcessMemory<'_>) + 'w;

/// Beyond the snapshot's own deadline.
const GRACE_NS: u64 = 2_000_000_000;

/// Copies the process with its memory as it is and runs `work` there. Returns at once in the process that asked.
/// `handover` was made for this snapshot and has room for all results.
///
/// # Errors
///
/// Of clone(2): limits on processes or memory, a seccomp filter. Nothing was done then.
pub fn fork(
    world: &World,
    handover: Handover,
    limits: &Limits,
    saved: &Saved,
    work: &mut Work<'_>,
) -> Result<Pending, Errno> {
    let program = if world.away { task::parent() } else { process::pid() };
    let head = handover.head();
    head.alive.store(1, Relaxed);
    head.program.store(program, Relaxed);
    let asking = world.threads().first().filter(|_| !limits.outlives_thread);
    head.thread.store(asking.map_or(0, |record| record.tid.get()), Relaxed);
    head.hard_deadline.store(process::monotonic_ns().saturating_add(limits.deadline_ns), Release);
    // SAFETY: the copy runs child::run, which makes raw system calls only and never returns here. The work keeps to the
    // rules of a stopped world.
    match unsafe { task::fork(world.away) } {
        Ok(0) => {
            // Its table of descriptors is another.
            world.ahead.forget();
            child::run(&handover, limits, saved, work)
        }
        Ok(pid) => Ok(Pending { pid, program, handover: Some(handover) }),
        Err(errno) => Err(errno),
    }
}

/// A snapshot that is being worked on. Dropped unfinished it is ended.
pub struct Pending {
    pid: i32,
    program: i32,
    handover: Option<Handover>,
}

impl Pending {
    /// A descriptor that becomes readable when the snapshot has ended (pidfd_open(2), Linux 5.3).
    pub fn descriptor(&self) -> Result<Fd, Errno> {
        task::open_process(self.pid)
    }

    /// False in a forked child of the program, whose child the snapshot is not.
    pub fn belongs_here(&self) -> bool {
        process::pid() == self.program
    }

    /// Waits for the end. The results, or why there are none.
    pub fn finish(mut self) -> Result<Handover, CouldNotStop> {
        let Some(handover) = self.handover.take() else {
            return Err(CouldNotStop::SnapshotDied(Death::Stuck));
        };
        if !self.belongs_here() {
            return Err(CouldNotStop::SnapshotDied(Death::Orphaned));
        }
        let head = handover.head();
        let limit = || head.hard_deadline.load(Relaxed).saturating_add(GRACE_NS);
        let end = await_end(&head.alive, self.pid, &limit);
        let ending = head.said.ending();
        if let Some(CouldNotStop::HelperDied(death)) = ending.reason() {
            return Err(CouldNotStop::SnapshotDied(death));
        }
        let death = match (ending.outcome, end) {
            (Outcome::Done, _) => return Ok(handover),
            (_, End::Stuck) => Death::Stuck,
            (_, End::Ended(Change::Killed(signal))) => Death::Signal(signal),
            (_, End::Ended(Change::Exited(status))) => Death::Exit(status),
            _ => Death::Exit(-1),
        };
        Err(CouldNotStop::SnapshotDied(death))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(handover) = self.handover.take()
            && self.belongs_here()
        {
            let _ = task::kill(self.pid, libc::SIGKILL);
            let limit = process::monotonic_ns().saturating_add(GRACE_NS);
            await_end(&handover.head().alive, self.pid, &|| limit);
        }
    }
}
