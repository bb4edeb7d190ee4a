//! Tasks that help to scan, and to ask about threads: clones of the task that works on the stopped world, be it the helper,
//! a snapshot's child or the only thread of the program.
//!
//! A worker shares memory and descriptors with its maker and nothing else. It is nobody's tracee, blocks all signals but
//! those of its own faults, has no handler of the program, leaves no core dump, and dies with its maker. It makes no system
//! call but to rest and to read in /proc, and ends when its work is done. The descriptors it shares are the helper's private table, or that of
//! a program which waits in its own check: none of the program's is held longer than the program itself holds it.
//!
//! Contract: one crew at a time in a process, in the stopped world; whoever runs it outlives it ([`Crew::run`] waits for all).
//! Should the maker be killed, its workers are killed by the kernel before a wait for the maker returns, and
//! [`await_none`] says when the last has let go of the memory.
//!
//! Not promised: that any worker can be had. Limits on processes and memory, or the kernel, may refuse.
//!
//! References: clone(2), prctl(2) PR_SET_PDEATHSIG; kernel/exit.c, forget_original_parent before the parent is a zombie.

use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno, WorkerDied, Workers};
use crate::mem::OwnMap;
use crate::sys::signals::{self, SignalSet};
use crate::sys::wait::{self, Block};
use crate::sys::{futex, memory, process, task, timer};

use super::{cgroup, watchdog};

/// Most tasks that work at once. More than this, memory is the limit.
pub const MOST: usize = 64;

const SIGNAL_STACK: usize = 64 << 10;
/// Marking needs a few KiB; pages that are never touched cost address space only.
const STACK: usize = 128 << 10;
/// guard | signal stack | guard | stack
fn room() -> usize {
    2 * page_size() + SIGNAL_STACK + STACK
}

/// How long a task rests that has nothing to do.
const REST_NS: u64 = 20_000;
/// Between looks at a worker that has not ended, and how long it may take before it is killed, and after.
const LOOK_NS: u64 = 50_000_000;
const LOOKS: u32 = 40;

/// What is known of a worker, outside of any memory that could be unmapped too early.
///
/// A worker that lives is told from one that died while others are still being started, so the order of stores matters:
///
/// | who | first | then |
/// |---|---|---|
/// | the maker, before clone(2) | alive = 1 | progress = STARTED |
/// | the maker, where clone(2) failed | progress = NONE | alive = 0 |
/// | the worker, and the kernel at its end | progress = DONE | alive = 0 |
///
/// [`Place::is_dead`] has the other half.
struct Place {
    /// 1 while the task lives; cleared and woken by the kernel (CLONE_CHILD_CLEARTID).
    alive: AtomicU32,
    progress: AtomicU32,
}

/// Progress of a worker.
const NONE: u32 = 0;
const STARTED: u32 = 1;
const DONE: u32 = 2;

impl Place {
    /// A task is about to be made.
    fn is_being_made(&self) {
        self.alive.store(1, Release);
        self.progress.store(STARTED, Release);
    }

    /// It could not be made.
    fn was_not_made(&self) {
        self.progress.store(NONE, Release);
        self.alive.store(0, Release);
    }

    /// Its work is done, and its end near.
    fn is_done(&self) {
        self.progress.store(DONE, Release);
    }

    /// True when the task died before its work was done. Whoever has seen STARTED has also seen that it was alive; whoever
    /// then sees it alive no more sees what was stored before that: NONE or DONE, unless it died.
    fn is_dead(&self) -> bool {
        let is_started = || self.progress.load(Acquire) == STARTED;
        is_started() && self.alive.load(Acquire) == 0 && is_started()
    }
}

static PLACES: [Place; MOST] =
    [const { Place { alive: AtomicU32::new(0), progress: AtomicU32::new(NONE) } }; MOST];

/// Who made the crew that was made last. In a forked child of the program places may look taken for good.
static MAKER: AtomicI32 = AtomicI32::new(0);

/// Waits until no worker of `maker` lives, at most some seconds; false when one still does. For who has seen the maker's
/// end.
pub(super) fn await_none(maker: i32) -> bool {
    if MAKER.load(Acquire) != maker {
        return true;
    }
    PLACES.iter().all(|place| {
        (0..LOOKS).any(|_| {
            let lives = place.alive.load(Acquire) != 0;
            if lives {
                let _ = futex::wait(&place.alive, 1, LOOK_NS);
            }
            !lives
        })
    })
}

/// See the module.
pub struct Crew {
    count: usize,
}

impl Crew {
    /// Of at most `count` tasks, the caller included, and not more than [`most`]; 0 for as many as the caller may use CPUs and
    /// its control group has time for, but for `busy` ones which others need, and at least one.
    ///
    /// Under a seccomp filter there is nobody but the caller: a filter that kills on clone(2) cannot be asked.
    pub fn new(count: usize, busy: usize) -> Crew {
        if task::seccomp_mode() != 0 {
            return Crew { count: 1 };
        }
        let count = if count == 0 { cpus().saturating_sub(busy) } else { count };
        Crew { count: count.clamp(1, most()) }
    }

    /// Finds out before the world stands what the next crew would ask for: some files, of some tens of microseconds each.
    pub fn look_ahead() {
        ALLOWED.store(allowed(), Relaxed);
    }
}

/// How many tasks work at once at most: two for each CPU that the caller may use. More would only take turns, while the
/// program stands still, and wait for each other; two are of use where a control group's share is guessed too low.
pub fn most() -> usize {
    task::usable_cpus().saturating_mul(2).clamp(1, MOST)
}

/// For how many CPUs the control group has time, where [`Crew::look_ahead`] has found it out; else 0.
static ALLOWED: AtomicUsize = AtomicUsize::new(0);

fn cpus() -> usize {
    let allowed = match ALLOWED.swap(0, Relaxed) {
        0 => allowed(),
        found => found,
    };
    task::usable_cpus().min(allowed)
}

fn allowed() -> usize {
    cgroup::cpus().unwrap_or(usize::MAX)
}

/// What a worker gets.
struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    number: usize,
    maker: i32,
    signal_stack: AddrRange,
}

impl Workers for Crew {
    fn count(&self) -> usize {
        self.count
    }

    fn run(&self, work: &(dyn Fn(usize) + Sync)) -> Result<(), WorkerDied> {
        if self.count == 1 {
            work(0);
            return Ok(());
        }
        let maker = process::pid();
        MAKER.store(maker, Release);
        for place in &PLACES {
            place.alive.store(0, Relaxed);
            place.progress.store(NONE, Relaxed);
        }
        let mut jobs = [const { None }; MOST];
        let mut tasks = [0; MOST];
        let stacks = OwnMap::new((self.count - 1) * room());
        if let Ok(stacks) = &stacks {
            for number in 1..self.count {
                let Ok(layout) = lay_out(stacks.range().start.plus((number - 1) * room())) else { break };
                let job = jobs[number].insert(Job { work, number, maker, signal_stack: layout.signal_stack });
                let Ok(task) = start(job, layout.stack_top) else { break };
                tasks[number] = task;
            }
        }
        work(0);
        let mut all_done = true;
        let mut all_ended = true;
        for (place, task) in PLACES.iter().zip(tasks).filter(|(_, task)| *task != 0) {
            all_ended &= reap(place, task);
            all_done &= place.progress.swap(NONE, Acquire) == DONE;
        }
        if !all_ended {
            // Killed and still in the kernel: its stack stays.
            core::mem::forget(stacks);
        }
        if all_done { Ok(()) } else { Err(WorkerDied) }
    }

    fn rest(&self) -> Result<(), WorkerDied> {
        if PLACES.iter().take(self.count).any(Place::is_dead) {
            return Err(WorkerDied);
        }
        timer::sleep(REST_NS);
        Ok(())
    }
}

struct Layout {
    signal_stack: AddrRange,
    stack_top: Addr,
}

fn lay_out(start: Addr) -> Result<Layout, Errno> {
    let signal_stack = AddrRange::sized(start.plus(page_size()), SIGNAL_STACK);
    for guard in [start, signal_stack.end] {
        // SAFETY: a page of a new mapping of ours, which nobody uses.
        unsafe { memory::protect(AddrRange::sized(guard, page_size()), libc::PROT_NONE) }?;
    }
    Ok(Layout { signal_stack, stack_top: start.plus(room()) })
}

fn start(job: &Job<'_>, stack_top: Addr) -> Result<i32, Errno> {
    let Some(place) = PLACES.get(job.number) else { return Err(Errno::new(libc::EAGAIN)) };
    place.is_being_made();
    let argument = core::ptr::from_ref(job).expose_provenance();
    // SAFETY: `run` keeps the job, the stack and what the job refers to until the task has ended; `main` uses no
    // thread-local storage; the word to clear is static.
    let made = unsafe { task::clone_helper(stack_top, &place.alive, main, argument) };
    if made.is_err() {
        place.was_not_made();
    }
    made
}

/// Where a worker begins.
extern "C" fn main(argument: usize) -> ! {
    // SAFETY: `start` passes the address of a job, which outlives the task.
    let job: &Job<'_> = unsafe { &*core::ptr::with_exposed_provenance(argument) };
    // One that cannot be made harmless does nothing: it was not needed.
    if set_up(job).is_ok() {
        (job.work)(job.number);
    }
    if let Some(place) = PLACES.get(job.number) {
        place.is_done();
    }
    process::exit_group(0)
}

fn set_up(job: &Job<'_>) -> Result<(), Errno> {
    task::die_with_parent(libc::SIGKILL)?;
    if task::parent() != job.maker {
        process::exit_group(1);
    }
    let _ = task::forbid_core();
    task::signal_stack(job.signal_stack.start, job.signal_stack.len())?;
    watchdog::replace_actions()?;
    signals::set_mask(SignalSet(SignalSet::ALL.0 & !watchdog::FAULT_SIGNALS.0)).map(drop)
}

/// Waits for a worker's end, which is near; false if even SIGKILL did not bring it about.
fn reap(place: &Place, task: i32) -> bool {
    for look in 0..2 * LOOKS {
        if place.alive.load(Relaxed) == 0 {
            // Ended, or about to: this returns when it is a zombie. An error says that somebody else has reaped it.
            let _ = wait::child(task, Block::Wait);
            return true;
        }
        if look == LOOKS {
            let _ = task::kill(task, libc::SIGKILL);
        }
        let _ = futex::wait(&place.alive, 1, LOOK_NS);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::sys::file;

    /// One crew at a time.
    static TURN: Mutex<()> = Mutex::new(());

    #[test]
    fn every_task_works_once_and_none_is_left() {
        let _turn = TURN.lock().unwrap_or_else(|poison| poison.into_inner());
        assert_eq!(Crew::new(0, 0).count(), cpus().min(MOST));
        assert_eq!(Crew::new(0, task::usable_cpus()).count(), 1);
        // What is asked for is had, within reason, whoever else is busy.
        assert_eq!(Crew::new(2, 100).count(), 2);
        assert_eq!(Crew::new(usize::MAX, 0).count(), (2 * task::usable_cpus()).min(MOST));
        for count in [1, 2, 5] {
            let worked = [const { AtomicUsize::new(0) }; 5];
            let crew = Crew { count };
            crew.run(&|number| {
                worked[number].fetch_add(1, Relaxed);
            })
            .unwrap();
            assert!(worked.iter().enumerate().all(|(at, n)| n.load(Relaxed) == usize::from(at < count)));
            assert!(await_none(process::pid()));
        }
    }

    #[test]
    fn a_worker_blocks_signals_and_has_no_handler_of_the_program() {
        let _turn = TURN.lock().unwrap_or_else(|poison| poison.into_inner());
        let (blocked, caught) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Crew { count: 2 }
            .run(&|number| {
                if number == 1 {
                    let mut text = [0; 4096];
                    let status = file::open(c"/proc/self/status", libc::O_RDONLY, 0).unwrap();
                    let len = file::read(&status, &mut text).unwrap();
                    let text = core::str::from_utf8(&text[..len]).unwrap();
                    let field = |name: &str| {
                        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
                        usize::from_str_radix(line[name.len()..].trim(), 16).unwrap()
                    };
                    blocked.store(field("SigBlk:"), Relaxed);
                    caught.store(field("SigCgt:"), Relaxed);
                }
            })
            .unwrap();
        let faults = watchdog::FAULT_SIGNALS.0 as usize;
        let unblockable = SignalSet::EMPTY.with(libc::SIGKILL).with(libc::SIGSTOP).0 as usize;
        assert_eq!(blocked.into_inner() | unblockable | faults, usize::MAX);
        let alarm = SignalSet::EMPTY.with(libc::SIGALRM).0 as usize;
        assert_eq!(caught.into_inner(), faults | alarm);
    }

    #[test]
    fn the_death_of_a_worker_is_noticed_by_who_waits() {
        let _turn = TURN.lock().unwrap_or_else(|poison| poison.into_inner());
        for fault in [true, false] {
            let crew = Crew { count: 3 };
            let result = crew.run(&|number| {
                if number == 1 {
                    if fault {
                        // SAFETY: none: the fault is what is tested. Nothing is mapped at this address.
                        unsafe { core::ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) };
                    }
                    let _ = task::kill(process::pid(), libc::SIGKILL);
                }
                while crew.rest().is_ok() {}
            });
            assert_eq!(result, Err(WorkerDied));
            assert!(await_none(process::pid()));
        }
    }

    /// Stores of one thread against looks of another. Each place is used once, as in a crew.
    #[test]
    fn a_worker_that_is_being_made_or_is_done_or_could_not_be_made_is_not_dead() {
        let new = || Place { alive: AtomicU32::new(0), progress: AtomicU32::new(NONE) };
        let places: Vec<Place> = (0..300_000).map(|_| new()).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (number, place) in places.iter().enumerate() {
                    next.store(number, Release);
                    place.is_being_made();
                    if number % 2 == 0 {
                        place.was_not_made();
                    } else {
                        place.is_done();
                        // As the kernel.
                        place.alive.store(0, Release);
                    }
                }
                next.store(places.len(), Release);
            });
            while let Some(place) = places.get(next.load(Acquire)) {
                assert!(!place.is_dead());
            }
        });
        let place = new();
        place.is_being_made();
        assert!(!place.is_dead());
        place.alive.store(0, Release);
        assert!(place.is_dead());
    }
}
