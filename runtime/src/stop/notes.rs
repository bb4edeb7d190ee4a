//! What a stop was like, and why one could not be.
//!
//! The sentences are for people: what is the matter, then what to do.

use core::fmt;

use crate::base::{Errno, Tid};

/// By which means the world was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// There was only the caller.
    #[default]
    Alone,
    /// ptrace(2).
    Ptrace,
    /// A signal to each thread.
    Signal,
    /// None: all slept before, and slept on.
    Watch,
}

/// Why one thread's state is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// It could not be seized.
    NotSeized(Errno),
    /// It could not be sent the signal that stops.
    NotSignalled(Errno),
    /// Any system call but four would kill it, so also the signal that stops.
    StrictSeccomp,
    /// Another process traces it.
    Traced(i32),
    /// It did not stop before the deadline.
    NotStopped,
    /// It stopped, and its registers could not be read.
    NoRegisters(Errno),
    /// It stopped, and the signals that wait for it or for its process could not be read.
    NoSignals(Errno),
    /// It waits for a child that shares its memory and could not be stopped.
    VforkChild,
    /// There was no memory for its record.
    NoMemory,
}

/// How many threads are remembered by name in [`StopNotes`]; the rest is only counted.
const NAMED: usize = 8;

/// What happened during a stop.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopNotes {
    /// The means.
    pub backend: Backend,
    /// Threads in the records, the caller too.
    pub threads: u32,
    /// Of a world that was only watched: threads of which /proc was asked where they sleep.
    pub asked: u32,
    /// Passes over the list of tasks.
    pub passes: u32,
    /// System calls that were made to go on instead of failing with EINTR.
    pub mended: u32,
    /// System calls that failed with EINTR and are not in the list of those that the stop makes fail.
    pub unlisted_eintr: u32,
    /// Threads whose state is not whole.
    pub missing: u32,
    /// The first of them.
    pub named: [Option<(Tid, Missing)>; NAMED],
    /// The list of tasks could not be read to its end.
    pub list_cut: bool,
    /// From the first seizure until all threads stood still and were read.
    pub stop_ns: u64,
    /// As long as the work took.
    pub work_ns: u64,
}

impl StopNotes {
    /// True when every thread stood still and was read.
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && !self.list_cut
    }

    pub(super) fn miss(&mut self, tid: Tid, why: Missing) {
        if let Some(slot) = self.named.get_mut(self.missing as usize) {
            *slot = Some((tid, why));
        }
        self.missing += 1;
    }

    /// The threads whose state is not whole, as far as they are remembered.
    pub fn missing(&self) -> impl Iterator<Item = (Tid, Missing)> {
        self.named.into_iter().flatten()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::NotSeized(errno) => write!(f, "could not be seized ({errno})"),
            Missing::NotSignalled(errno) => {
                write!(
                    f,
                    "could not be sent the stop signal ({errno}): allow rt_tgsigqueueinfo in the sandbox's profile"
                )
            }
            Missing::StrictSeccomp => f.write_str(
                "is in seccomp's strict mode, where the stop signal would end it: only ptrace can stop it",
            ),
            Missing::Traced(pid) => write!(f, "is traced by process {pid}: detach that, or set ptrace=0"),
            Missing::NotStopped => f.write_str("did not stop in time: a longer deadline_ms waits for it"),
            Missing::NoRegisters(errno) => write!(f, "has registers that could not be read ({errno})"),
            Missing::NoSignals(errno) => {
                write!(
                    f,
                    "has pending signals that could not be read ({errno}): allow ptrace in the sandbox's profile"
                )
            }
            Missing::VforkChild => f.write_str(
                "waits for a vfork child that could not be stopped: check when that has called exec",
            ),
            Missing::NoMemory => f.write_str("found no memory for its record: raise the limit on memory"),
        }
    }
}

/// How a helper ended without having done its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// Killed by this signal, from outside or by a seccomp filter (SIGSYS).
    Signal(i32),
    /// It caught a fault of its own: signal, address.
    Fault(i32, usize),
    /// Its watchdog ended it: the deadline had passed.
    Deadline,
    /// It did not end, and not even SIGKILL ended it in time: it hangs in the kernel.
    Stuck,
    /// It found the thread that asked for the stop gone.
    Orphaned,
    /// This system call failed while it set itself up.
    Setup(&'static str, Errno),
    /// It ended in a way that is not one of the others.
    Exit(i32),
}

/// Who refused to let us trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Yama with this ptrace_scope.
    Yama(u32),
    /// The process is not dumpable (set-user-ID, changed user, PR_SET_DUMPABLE): this value.
    NotDumpable(usize),
    /// A seccomp filter is in force.
    Seccomp,
    /// Something else: a security module, a container.
    Unknown,
}

/// Why the world could not be stopped. Every thread runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CouldNotStop {
    /// /proc is not there, or not that of this process.
    NoProc(Errno),
    /// A debugger or tracer has the process.
    AlreadyTraced(i32),
    /// ptrace was refused.
    Refused(Errno, Refusal),
    /// The calling process shares its memory with another that is not its thread, as a vfork child does.
    SharedMemory,
    /// No memory for the helper or its tables.
    NoMemory(Errno),
    /// The helper could not be made.
    NoHelper(Errno),
    /// The calling thread could not block its signals or catch faults.
    NoSignals(Errno),
    /// The helper ended early.
    HelperDied(Death),
    /// The snapshot that was being worked on ended early.
    SnapshotDied(Death),
    /// Another stop was going on for as long as the deadline allows.
    Busy,
    /// A signal of ours was not answered by any thread.
    NoSignalAnswer,
    /// It could be sent to none.
    NoSignalSent(Errno),
    /// Threads that were to be watched only do not sleep, or did not sleep on.
    Awake,
}

impl CouldNotStop {
    /// True when it is ptrace that cannot be had, before any thread was disturbed, so that another way may work.
    pub(super) fn forbids_ptrace(&self) -> bool {
        matches!(
            self,
            CouldNotStop::AlreadyTraced(_)
                | CouldNotStop::Refused(..)
                | CouldNotStop::HelperDied(Death::Signal(libc::SIGSYS) | Death::Fault(libc::SIGSYS, _))
        )
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Signal(libc::SIGSYS) => f.write_str("it was killed by a seccomp filter (SIGSYS)"),
            Death::Signal(signal) => write!(f, "it was killed by signal {signal}"),
            Death::Fault(libc::SIGSYS, _) => f.write_str("a seccomp filter refused one of its system calls"),
            Death::Fault(signal, at) => write!(f, "it caught signal {signal} at address {at:#x}"),
            Death::Deadline => f.write_str("it did not finish before its deadline"),
            Death::Stuck => f.write_str("it hangs inside the kernel"),
            Death::Orphaned => f.write_str("the thread that had asked for it was gone"),
            Death::Setup(call, errno) if matches!(errno.get(), libc::EPERM | libc::EACCES | libc::ENOSYS) => {
                write!(f, "{call} failed ({errno}): allow it in the sandbox's profile")
            }
            Death::Setup(call, errno) => write!(f, "{call} failed ({errno})"),
            Death::Exit(status) => write!(f, "it exited with status {status}"),
        }
    }
}

impl fmt::Display for CouldNotStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CouldNotStop::NoProc(errno) if matches!(errno.get(), libc::EMFILE | libc::ENFILE) => {
                write!(f, "/proc cannot be read ({errno}): raise the limit on open files (ulimit -n)")
            }
            CouldNotStop::NoProc(errno) if matches!(errno.get(), libc::EPERM | libc::EACCES | libc::ENOSYS) => {
                write!(f, "/proc cannot be read ({errno}): allow openat, getdents64 and read of /proc/self in the sandbox's profile")
            }
            CouldNotStop::NoProc(errno) => {
                write!(f, "/proc cannot be read ({errno}): mount it where the program runs, before a chroot")
            }
            CouldNotStop::AlreadyTraced(pid) => {
                write!(f, "the process is already traced by process {pid} (a debugger or strace): run it without")
            }
            CouldNotStop::Refused(errno, Refusal::Yama(scope)) => write!(
                f,
                "ptrace was refused ({errno}) by Yama (kernel.yama.ptrace_scope = {scope}): set it to 1 or lower"
            ),
            CouldNotStop::Refused(errno, Refusal::NotDumpable(_)) => write!(
                f,
                "ptrace was refused ({errno}): the process is not dumpable (it changed its user or asked for that); run it as one user throughout"
            ),
            CouldNotStop::Refused(errno, Refusal::Seccomp) => write!(
                f,
                "ptrace was refused ({errno}), and a seccomp filter is in force: allow ptrace in the sandbox's profile (docker: --cap-add SYS_PTRACE)"
            ),
            CouldNotStop::Refused(errno, Refusal::Unknown) => {
                write!(f, "ptrace was refused ({errno}): a security module or container forbids it")
            }
            CouldNotStop::SharedMemory => f.write_str(
                "the process shares its memory with its parent (it is a vfork child): check after execve, or in the parent",
            ),
            CouldNotStop::NoMemory(errno) if matches!(errno.get(), libc::EPERM | libc::EACCES | libc::ENOSYS) => {
                write!(f, "no memory for stopping the world ({errno}): allow mmap and mprotect in the sandbox's profile")
            }
            CouldNotStop::NoMemory(errno) => {
                write!(f, "no memory for stopping the world ({errno}): raise the limit on memory or address space (ulimit -v)")
            }
            CouldNotStop::NoHelper(errno) => {
                write!(f, "no helper task could be made ({errno}): look at the limits on processes (ulimit -u, pids.max)")
            }
            CouldNotStop::NoSignals(errno) => write!(f, "signals could not be held off ({errno})"),
            CouldNotStop::HelperDied(death) => write!(f, "the helper task ended early: {death}"),
            CouldNotStop::SnapshotDied(death) => write!(f, "the snapshot's process ended early: {death}"),
            CouldNotStop::Busy => f.write_str("another check was still going on when the deadline passed"),
            CouldNotStop::NoSignalSent(errno) => write!(
                f,
                "the stop signal could not be sent ({errno}): allow rt_tgsigqueueinfo in the sandbox's profile"
            ),
            CouldNotStop::NoSignalAnswer => f.write_str("the threads did not answer the stop signal"),
            CouldNotStop::Awake => f.write_str("not all threads slept, or one woke"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_the_first_and_count_the_rest() {
        let mut notes = StopNotes::default();
        for tid in 1..20 {
            notes.miss(Tid::new(tid).unwrap(), Missing::NotStopped);
        }
        assert_eq!(notes.missing, 19);
        assert_eq!(notes.missing().count(), NAMED);
        assert!(!notes.is_complete());
    }
}
