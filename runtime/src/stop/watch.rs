//! Watching instead of stopping: threads that all sleep in the kernel need no stop, if it is certain afterwards that none
//! of them has run.
//!
//! A stop wakes each thread twice, which is most of what it costs, and is what a program could notice. The threads of a
//! pool, or those of a program that is about to end, mostly sleep. /proc tells their stack pointers without waking them;
//! what they keep in registers it does not tell. So this sees fewer roots than a stop, never more, and is enough where
//! everything is reached all the same: what is found clean so is clean. For all else the caller stops the world.
//!
//! ```text
//! caller: switches of all others        helper: all tasks sleep in a call -> work -> hop over the CPUs -> the same tasks?
//! caller: the same number of switches?
//! ```
//!
//! Why that is proof. A thread runs between being woken and being switched out, and the kernel counts each time one is
//! switched out; being asked in /proc proves that it is switched out at that moment (`task_current_syscall` calls
//! wait_task_inactive). One that still runs when the work ends is switched out, and counted, when the helper gets its CPU;
//! so the helper takes each CPU in turn before the caller counts again. One that ends instead is missing in the list of
//! tasks. Times of CPU use would not do: a hypervisor's stolen time can swallow a short run.
//!
//! Contract: as a stop's ([`super::tracer`]). The work may see memory that changes while it reads, and its result is
//! thrown away then; it is given a second.
//!
//! Not promised: that a thread is seen that may only use CPUs which are forbidden to the caller (cgroups of threads).
//!
//! References: getrusage(2), sched_setaffinity(2), proc(5); kernel/sched/core.c, __schedule; lib/syscall.c.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::arch::Registers;
use crate::base::lock::Lock;
use crate::base::{Errno, Tid, Workers};
use crate::mem::MapVec;
use crate::sys::{process, task};

use super::collect::{keep, record_caller};
use super::crew::{self, Crew};
use super::ending::{Ending, Outcome};
use super::notes::{CouldNotStop, StopNotes};
use super::record::{StopKind, ThreadRecord};
use super::session::Body;
use super::task_list::{LIST_BUFFER, TaskList};
use super::tracees::{State, Tracee};
use super::tracer::{Request, Way, attempt};
use super::{Options, Works};

/// From so many tasks on it is worth a try: making the helper costs as much as stopping a dozen threads.
const MANY: usize = 64;
/// And so many for each CPU: the helper's hop to it costs as much as stopping one or two threads.
const MANY_PER_CPU: usize = 4;

/// Whether so many tasks are worth a try.
pub(super) fn are_enough(tasks: usize) -> bool {
    tasks >= MANY && tasks >= MANY_PER_CPU * task::usable_cpus()
}

/// Time for the work: threads that sleep for longer are rare.
const WORK_NS: u64 = 1_000_000_000;

/// The caller's side: runs the work while all other threads sleep.
pub(super) fn run(request: &Request<'_>, works: &mut Works<'_, '_>) -> Result<StopNotes, CouldNotStop> {
    let options = Options { work_deadline_ns: WORK_NS, ..*request.options };
    let before = switches_of_others().ok_or(CouldNotStop::Awake)?;
    let notes = attempt(&Request { options: &options, ..*request }, works, Way::Watch)?;
    if switches_of_others() == Some(before) { Ok(notes) } else { Err(CouldNotStop::Awake) }
}

/// How often all other threads of the process, living and dead, were switched out.
fn switches_of_others() -> Option<u64> {
    const TRIES: u32 = 16;
    (0..TRIES).find_map(|_| {
        let own = process::switches(process::Whose::Thread).ok()?;
        let all = process::switches(process::Whose::Process).ok()?;
        // Otherwise the caller itself was switched out between the two.
        (process::switches(process::Whose::Thread) == Ok(own)).then(|| all.wrapping_sub(own))
    })
}

/// Threads that a task asks about in one go.
const PIECE: usize = 32;
/// Threads for which a task more is made: making it costs as much as asking about some ten.
const WORTH_A_TASK: usize = 4 * PIECE;

/// The helper's side: makes records of all threads, which must all sleep in a system call.
pub(super) fn record_sleepers(body: &mut Body) -> Result<(), Ending> {
    let awake = Ending::new(Outcome::Awake, 0);
    let list = TaskList::open(&body.world.proc).map_err(|errno| Ending::errno(Outcome::NoProc, errno))?;
    record_caller(body);
    let others = others(body, &list).map_err(|_| awake)?;
    // Asking costs some microseconds a thread, all of it in the kernel, which does it on as many CPUs as there are.
    let crew = Crew::new(task::usable_cpus().min(others.len() / WORTH_A_TASK).max(1), 0);
    let found = [const { Lock::new(MapVec::new()) }; crew::MOST];
    let sleepers = Sleepers { list: &list, others: &others, next: AtomicUsize::new(0), found: &found };
    crew.run(&|number| sleepers.ask(number)).map_err(|_| awake)?;
    for found in found {
        found.into_inner().iter().for_each(|record| keep(body, *record));
    }
    body.world.notes.threads = body.world.threads.len() as u32;
    let is_all = body.world.threads.len() == others.len() + 1;
    if is_all && list.count() == Ok(others.len() + 1) { Ok(()) } else { Err(awake) }
}

/// All tasks but the caller, which are entered so that they are known afterwards.
fn others(body: &mut Body, list: &TaskList) -> Result<MapVec<Tid>, Errno> {
    let caller = body.world.proc.caller();
    let mut others = MapVec::new();
    let mut full = others.reserve(body.tracees.room());
    let mut buffer = [0; LIST_BUFFER];
    list.for_each(&mut buffer, &mut |listed| {
        if full.is_ok() && caller != Some(listed) {
            let task = Tracee { tid: listed, listed, state: State::Apart, foreign: false };
            full = body.tracees.add(task).and_then(|_| others.push(listed));
        }
    })?;
    full.map(|()| others)
}

/// What is asked about all threads by several tasks at once.
struct Sleepers<'a> {
    list: &'a TaskList,
    others: &'a [Tid],
    /// The first that nobody has taken.
    next: AtomicUsize,
    /// What each task has found; nobody waits for another's, which may be killed.
    found: &'a [Lock<MapVec<ThreadRecord>>; crew::MOST],
}

impl Sleepers<'_> {
    /// Takes piece after piece until there are none, or one thread is awake.
    fn ask(&self, number: usize) {
        let Some(mut found) = self.found.get(number).and_then(Lock::try_lock) else { return };
        while let Some(piece) = self.others.get(self.next.fetch_add(PIECE, Relaxed)..) {
            for listed in piece.iter().take(PIECE) {
                let record = record_sleeper(self.list, *listed);
                if record.is_none_or(|record| found.push(record).is_err()) {
                    self.next.store(self.others.len(), Relaxed);
                    return;
                }
            }
        }
    }
}

/// None for a thread that does not sleep, or nobody knows where, or while a child uses its memory.
fn record_sleeper(list: &TaskList, listed: Tid) -> Option<ThreadRecord> {
    let call = list.system_call_of(listed).filter(|call| !call.makes_tasks())?;
    let number = call.number.filter(|_| call.stack_pointer != 0)?;
    let mut record = ThreadRecord::unknown(listed, listed, StopKind::Running);
    record.registers = Registers::of_system_call(number, call.arguments, call.stack_pointer, call.pc, 0);
    Some(record)
}

/// The helper's side, after the work: whoever runs is switched out, and nobody has ended. The rest is the caller's.
pub(super) fn see_that_they_sleep(body: &Body) -> Result<(), Ending> {
    let awake = Ending::new(Outcome::Awake, 0);
    if !task::visit_every_cpu() {
        return Err(awake);
    }
    let list = TaskList::open(&body.world.proc).map_err(|errno| Ending::errno(Outcome::NoProc, errno))?;
    let caller = body.world.proc.caller();
    let (mut known, mut strangers) = (0, 0);
    let mut buffer = [0; LIST_BUFFER];
    let mut look = |listed: Tid| {
        let is_known = caller == Some(listed) || body.tracees.contains(listed);
        *if is_known { &mut known } else { &mut strangers } += 1;
    };
    list.for_each(&mut buffer, &mut look).map_err(|_| awake)?;
    if strangers == 0 && known == body.world.threads.len() { Ok(()) } else { Err(awake) }
}
