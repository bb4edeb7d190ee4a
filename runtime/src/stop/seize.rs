//! Seizing every task: list and seize what is new, until nothing is; then interrupt all.
//!
//! No waiting here: all threads are asked to stop before the first is waited for. None is asked before all are seized: as
//! long as something can be refused, nobody is disturbed; and a signal that the program ignores wakes another thread when
//! it is sent to a tracee that has been asked to stop, while only a tracee's system call can be mended.
//!
//! A thread made meanwhile by a seized one arrives traced (PTRACE_O_TRACECLONE); one made by a thread not yet seized is
//! found by the next pass. The loop ends when the kernel's count says that all tasks are known, or when a whole pass finds
//! nothing new.
//!
//! Contract: runs in the helper with the watchdog armed, since PTRACE_SEIZE waits for an execve(2) of the target's process
//! to end, and that waits for the helper to reap the threads it has seized.

use core::sync::atomic::Ordering;

use crate::base::{Errno, Tid};
use crate::sys::wait::{self, Block};
use crate::sys::{file, task};

use super::blocked::BlockedCalls;
use super::collect::shares_memory;
use super::ending::{Ending, Outcome};
use super::notes::Missing;
use super::proc_files::{ProcFiles, number};
use super::session::{Body, Session};
use super::task_list::{LIST_BUFFER, Status, TaskList};
use super::tracees::{Seized, State, Tracee};

/// Seizes every task but the caller, then interrupts all. An ending says that nothing was interrupted and nothing can be
/// done.
pub(super) fn seize_all(session: &Session, body: &mut Body, deadline: u64) -> Result<(), Ending> {
    ask_for_waits(body.caller)?;
    find_all(session, body, deadline)?;
    interrupt_all(body);
    Ok(())
}

/// No stop could be seen where waiting is refused. The caller is no child of the helper's, which the kernel answers.
fn ask_for_waits(caller: Tid) -> Result<(), Ending> {
    let ask = || wait::tracee(caller, Block::Poll).map_err(Errno::get);
    match ask() {
        // Asked twice before it is believed, as an error may pass.
        Err(errno) if errno != libc::ECHILD && ask() == Err(errno) => {
            Err(Ending::errno(Outcome::Refused, Errno::new(errno)))
        }
        _ => Ok(()),
    }
}

fn find_all(session: &Session, body: &mut Body, deadline: u64) -> Result<(), Ending> {
    let list =
        TaskList::open(&body.world.proc, deadline).map_err(|errno| Ending::errno(Outcome::NoProc, errno))?;
    let own = own_number();
    let mut pass = Pass { session, body, own, refused: None, all_counted: true, added: 0 };
    let mut buffer = [0; LIST_BUFFER];
    loop {
        pass.added = 0;
        pass.body.world.notes.passes += 1;
        let listed = list.for_each(&mut buffer, &mut |listed| pass.visit(listed));
        if let Some(ending) = pass.hopeless() {
            return Err(ending);
        }
        match listed {
            Ok(()) => {}
            Err(errno) if pass.body.tracees.len() <= 1 => return Err(Ending::errno(Outcome::NoProc, errno)),
            Err(_) => {
                pass.body.world.notes.list_cut = true;
                return Ok(());
            }
        }
        let known = pass.body.tracees.iter().filter(|task| task.state != State::Gone).count();
        let living = known - (session.reaped.load(Ordering::Relaxed) as usize).min(known);
        if pass.added == 0 || (pass.all_counted && list.count() == Ok(living)) {
            return Ok(());
        }
        if pass.session.is_past(deadline) {
            pass.body.world.notes.list_cut = true;
            return Ok(());
        }
    }
}

/// Looks through the list once more for tasks that arrived traced and whose name in /proc is not known otherwise.
pub(super) fn find_arrived(session: &Session, body: &mut Body, deadline: u64) {
    let Ok(list) = TaskList::open(&body.world.proc, deadline) else { return };
    let own = own_number();
    let mut pass = Pass { session, body, own, refused: None, all_counted: true, added: 0 };
    let mut buffer = [0; LIST_BUFFER];
    let _ = list.for_each(&mut buffer, &mut |listed| pass.visit(listed));
    interrupt_all(body);
}

/// Asks every thread that was seized to stop. The answer is seen later, by waiting.
fn interrupt_all(body: &mut Body) {
    for index in 0..body.tracees.len() {
        let Some((task, seized)) = body.tracees.seized(index) else { continue };
        let call = BlockedCalls::ask(&body.world.proc, task.listed);
        let _ = seized.interrupt();
        body.tracees.set(index, State::Interrupted);
        if body.tracees.blocked.keep(index, call).is_err() {
            body.world.notes.miss(task.tid, Missing::NoMemory);
        }
    }
}

/// Seizes a process that shares the memory without being a thread of this one.
pub(super) fn seize_sharer(session: &Session, body: &mut Body, tid: Tid) -> Result<(), Errno> {
    if body.tracees.contains(tid) {
        return Ok(());
    }
    // The interrupt is seen later by waiting, as for every other.
    let _ = Seized::seize(tid)?.interrupt();
    session.watch(tid);
    body.tracees.add(Tracee { tid, listed: tid, state: State::Interrupted, foreign: true })
}

/// The helper as /proc numbers tasks, to be known again in the field TracerPid.
fn own_number() -> i32 {
    let mut target = [0; 16];
    file::read_link(c"/proc/self", &mut target).ok().and_then(number).unwrap_or(0)
}

struct Pass<'b> {
    session: &'b Session,
    body: &'b mut Body,
    own: i32,
    /// The first refusal, and who traces the thread, if somebody does.
    refused: Option<(Errno, i32)>,
    /// Every known task is one that stays in the kernel's count until we reap it, so that equal counts mean equal sets.
    all_counted: bool,
    added: u32,
}

impl Pass<'_> {
    fn visit(&mut self, listed: Tid) {
        if self.body.tracees.contains(listed) {
            return;
        }
        if self.body.world.proc.caller() == Some(listed) {
            let caller = self.body.caller;
            self.add(caller, listed, State::Apart);
            return;
        }
        let Some(tid) = self.translate(listed) else { return };
        match Seized::seize(tid) {
            Ok(_) => {
                // The id may have been given to a stranger between listing and seizure. A stranger is not interrupted;
                // it is let go, unharmed, with all others. A thread of ours cannot lose its id any more.
                if task::is_thread_of(self.session.pid, tid) {
                    self.add(tid, listed, State::Seized);
                }
            }
            Err(errno) if errno.get() == libc::ESRCH => {}
            Err(errno) => self.examine(tid, listed, errno),
        }
    }

    fn add(&mut self, tid: Tid, listed: Tid, state: State) {
        self.added += 1;
        if matches!(state, State::Seized | State::Arrived) {
            self.session.watch(tid);
        }
        if self.body.tracees.add(Tracee { tid, listed, state, foreign: false }).is_err() {
            self.all_counted = false;
            self.body.world.notes.miss(tid, Missing::NoMemory);
        }
    }

    /// EPERM has many reasons (ptrace(2)); only /proc tells them apart.
    fn examine(&mut self, tid: Tid, listed: Tid, errno: Errno) {
        let status = match status_of(&self.body.world.proc, listed) {
            Ok(status) => status,
            Err(_) if self.body.world.proc.is_there() => return,
            Err(_) if !shares_memory(tid) => {
                // On its way out, or a leader that stays until the last of its threads.
                if listed.get() == self.session.pid {
                    self.add(tid, listed, State::Exited);
                }
                return;
            }
            // Made by a thread that was seized, and so born traced, or there and nobody says why: only its tracer may wait.
            Err(_) if wait::tracee(tid, Block::Poll).map_err(Errno::get) != Err(libc::ECHILD) => {
                return self.add(tid, listed, State::Arrived);
            }
            Err(_) => Status { state: b'S', ..Status::default() },
        };
        match status.state {
            // A leader that has exited while threads live on. It stays until the last of them.
            b'Z' if listed.get() == self.body.world.proc.process() => self.add(tid, listed, State::Exited),
            b'Z' | b'X' => {}
            _ if status.tracer != 0 && status.tracer == self.own => self.add(tid, listed, State::Arrived),
            _ if status.kernel_worker => {
                self.all_counted = false;
                self.add(tid, listed, State::Apart);
            }
            _ => {
                self.all_counted = false;
                self.refused.get_or_insert((errno, status.tracer));
                let why = if status.tracer != 0 {
                    Missing::Traced(status.tracer)
                } else {
                    Missing::NotSeized(errno)
                };
                self.body.world.notes.miss(tid, why);
                self.add(tid, listed, State::Apart);
            }
        }
    }

    /// Its id in our own pid namespace.
    fn translate(&self, listed: Tid) -> Option<Tid> {
        if self.body.world.proc.is_native() {
            return Some(listed);
        }
        Tid::new(status_of(&self.body.world.proc, listed).ok()?.innermost)
    }

    /// Refused, and not one thread seized: nothing was disturbed, and it is better not to.
    fn hopeless(&self) -> Option<Ending> {
        let (errno, tracer) = self.refused?;
        let seized = self.body.tracees.iter().any(|t| matches!(t.state, State::Seized | State::Arrived));
        match (seized, tracer) {
            (true, _) => None,
            (false, 0) => Some(Ending::errno(Outcome::Refused, errno)),
            (false, pid) => Some(Ending::new(Outcome::AlreadyTraced, pid as usize)),
        }
    }
}

fn status_of(proc: &ProcFiles, listed: Tid) -> Result<Status, Errno> {
    Status::read(&proc.open_of_thread(listed, "status")?)
}
