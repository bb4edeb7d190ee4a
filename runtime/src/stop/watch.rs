//! Watching instead of stopping: threads that all sleep in the kernel need no stop, if it is certain afterwards that none
//! of them has run.
//!
//! A stop wakes each thread twice, which is most of what it costs, and is what a program could notice. The threads of a
//! pool, or those of a program that is about to end, mostly sleep. Where their stacks end is known without waking them: from
//! the record of the call that they sleep in ([`asleep`]), where the preload stands before it, or from /proc. What they keep
//! in registers is in the record too, and /proc does not tell it. So this sees fewer roots than a stop, never more, and is
//! enough where everything is reached all the same: what is found clean so is clean. For all else the caller stops the world.
//!
//! ```text
//! caller: switches of all others     helper: all tasks are in a call that sleeps -> work -> hop over the CPUs -> the same tasks?
//! caller: the same number of switches?
//! ```
//!
//! Why that is proof. A thread runs between being given a CPU and being switched out, and the kernel counts each time one is
//! switched out. One that runs at any moment of the work either runs on when the work ends, and is switched out, and counted,
//! when the helper gets its CPU: so the helper takes each CPU in turn before the caller counts again. Or it was switched out
//! before, and counted. Or it has ended, and is missing among the tasks; whoever it made is one too many. Times of CPU use
//! would not do: a hypervisor's stolen time can swallow a short run.
//!
//! So no thread has to be asked whether it sleeps: one that is ready to run and is not given a CPU moves nothing either. /proc
//! is asked for the stack pointer, which it tells of a thread that is switched out (`task_current_syscall` calls
//! wait_task_inactive); a record is its thread's own word, of the time before the first count, for if it had changed the
//! word since, it had run.
//!
//! A thread that is inside a recorded call may be deeper than that: in a handler that has interrupted it, in malloc there, or
//! waiting for a child of vfork(2) that uses its memory. Of the first two the frames below the record are not seen. The child
//! may move pointers: then, as with any memory that changes, "clean" says of each block that it was reached at one
//! moment of the look, and what was lost before it is reached at none.
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
use crate::mem::{MapVec, ReadMemory};
use crate::sys::{process, task};
use crate::threads::asleep::{self, Asleep};

use super::collect::{keep, record_caller};
use super::crew::{self, Crew};
use super::ending::{Ending, Outcome};
use super::notes::{CouldNotStop, StopNotes};
use super::record::{StopKind, ThreadRecord};
use super::session::Body;
use super::task_list::{LIST_BUFFER, TaskList};
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

/// The helper's side: makes records of all threads, which must all sleep in a system call, or be in a call of ours.
pub(super) fn record_sleepers(body: &mut Body, memory: &impl ReadMemory) -> Result<(), Ending> {
    let awake = Ending::new(Outcome::Awake, 0);
    record_caller(body);
    let known = asleep::all(memory).map_err(|_| awake)?;
    let caller = body.caller;
    let all_known = known.iter().filter(|one| one.tid != caller).count() + 1 == count(body)?;
    for one in known.iter().filter(|one| one.tid != caller) {
        // Whether one of them has died is looked at afterwards; it only matters before to who looks for others.
        if all_known || exists(body, one.tid) {
            let mut record = ThreadRecord::unknown(one.tid, one.tid, StopKind::Running);
            record.registers = Registers::of_system_call(usize::MAX, [0; 6], one.from.get(), 0, 0);
            keep(body, record);
        }
    }
    if !all_known {
        record_others(body, &known).map_err(|_| awake)?;
    }
    body.world.notes.threads = body.world.threads.len() as u32;
    if body.world.threads.len() == count(body)? { Ok(()) } else { Err(awake) }
}

/// How many tasks there are.
fn count(body: &Body) -> Result<usize, Ending> {
    body.world.proc.count_tasks().map_err(|errno| Ending::errno(Outcome::NoProc, errno))
}

fn exists(body: &Body, tid: Tid) -> bool {
    task::is_thread_of(body.pid, tid)
}

/// Asks about all threads that are not `known`.
fn record_others(body: &mut Body, known: &[Asleep]) -> Result<(), Errno> {
    const AWAKE: Errno = Errno::new(libc::EAGAIN);
    let list = TaskList::open(&body.world.proc, 0)?;
    let (others, caller) = (&mut MapVec::new(), body.world.proc.caller());
    let mut full = Ok(());
    list.for_each(&mut [0; LIST_BUFFER], &mut |listed| {
        if full.is_ok()
            && caller != Some(listed)
            && known.binary_search_by_key(&listed, |one| one.tid).is_err()
        {
            full = others.push(listed);
        }
    })?;
    full?;
    body.world.notes.asked = others.len() as u32;
    // Asking costs some microseconds a thread, all of it in the kernel, which does it on as many CPUs as there are.
    let crew = Crew::new(task::usable_cpus().min(others.len() / WORTH_A_TASK).max(1), 0);
    let found = [const { Lock::new(MapVec::new()) }; crew::MOST];
    let sleepers = Sleepers { list: &list, others, next: AtomicUsize::new(0), found: &found };
    crew.run(&|number| sleepers.ask(number)).map_err(|_| AWAKE)?;
    for found in found {
        found.into_inner().iter().for_each(|record| keep(body, *record));
    }
    Ok(())
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
    let all_live = body.world.threads.iter().all(|thread| exists(body, thread.tid));
    if all_live && count(body)? == body.world.threads.len() { Ok(()) } else { Err(awake) }
}
