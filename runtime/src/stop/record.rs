//! What is handed on about a stopped thread, and about the stopped world.
//!
//! A record holds what must be read while the thread stands still and is cheap: registers, extended state, queued
//! signals. Names, states and times cost more than the stop itself and are read from /proc by whoever wants them
//! ([`World::proc`]).
//!
//! Contract: lives as long as the work on the stopped world; nothing here points into the program.

use crate::arch::Registers;
use crate::base::{Addr, Tid};
use crate::mem::MapVec;
use crate::sys::signals::SignalSet;

use super::notes::StopNotes;
use super::proc_files::{OpenedAhead, ProcFiles};

/// How a thread came to stand still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopKind {
    /// It asked for the stop, and waits. Its registers are those it kept over the call; the rest is dead by the ABI.
    Caller,
    /// Interrupted, in user mode or in a system call.
    Interrupted,
    /// It was already standing still by job control (SIGSTOP), and will go on doing so.
    GroupStopped,
    /// About to receive this signal, which it will when the world goes on.
    SignalDelivery(i32),
    /// Inside clone(2) or vfork(2), the new task made; the result register does not hold the result yet.
    Cloning,
    /// It did not stop in time, or was not asked to. What is known of its registers is what
    /// `/proc/PID/task/TID/syscall` told.
    Running,
    /// It did not stop since it waits for its vfork child, which stands still too ([`ThreadRecord::shares_memory`]).
    VforkParent,
    /// A thread of the kernel's own (io_uring), without a user stack: no roots.
    KernelWorker,
}

/// One thread of the stopped world.
#[derive(Clone, Copy, Debug)]
pub struct ThreadRecord {
    /// Its id.
    pub tid: Tid,
    /// Its id as /proc numbers it; differs from `tid` where /proc belongs to an outer pid namespace.
    pub listed: Tid,
    /// How it stands still.
    pub stop: StopKind,
    /// The general registers; [`Registers::NONE`] when nothing is known. Of a [`StopKind::Running`] thread only the
    /// arguments of its system call, pc and stack pointer.
    pub registers: Registers,
    /// The signals it blocks, when that was asked for.
    pub blocked: Option<SignalSet>,
    /// The signals that wait for it alone, where they are known without their siginfo ([`World::queued_signals`]).
    pub pending: Option<SignalSet>,
    /// A vfork child or another process that shares the memory, not a thread of this process.
    pub shares_memory: bool,
    pub(super) extended: Slice,
    /// Its extended state was not read yet.
    pub(super) extended_later: bool,
}

/// A piece of an arena of [`World`].
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Slice {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl ThreadRecord {
    pub(super) fn unknown(tid: Tid, listed: Tid, stop: StopKind) -> ThreadRecord {
        ThreadRecord {
            tid,
            listed,
            stop,
            registers: Registers::NONE,
            blocked: None,
            pending: None,
            shares_memory: false,
            extended: Slice::default(),
            extended_later: false,
        }
    }

    /// The stack pointer; 0 when it is not known or the thread has no user stack.
    pub fn stack_pointer(&self) -> Addr {
        Addr::new(self.registers.stack_pointer())
    }

    /// Where it goes on; 0 when that is not known.
    pub fn pc(&self) -> Addr {
        Addr::new(self.registers.pc())
    }

    /// Its thread control block; 0 when that is not known.
    pub fn thread_pointer(&self) -> Addr {
        Addr::new(self.registers.thread_pointer())
    }

    /// The system call that it is inside, if any. Then caller-saved registers hold nothing that a call through libc
    /// left alive, though an inlined system call may have.
    pub fn system_call(&self) -> Option<usize> {
        self.registers.system_call()
    }

    /// True when the general registers are whole.
    pub fn has_registers(&self) -> bool {
        !matches!(self.stop, StopKind::Running | StopKind::VforkParent) && self.registers != Registers::NONE
    }
}

/// A signal that waits to be delivered, or is about to be.
#[derive(Clone, Copy)]
pub struct QueuedSignal {
    /// The thread it was sent to; `None` when it was sent to the process.
    pub tid: Option<Tid>,
    /// All that the kernel keeps about it.
    pub info: libc::siginfo_t,
}

impl QueuedSignal {
    /// The word that sigqueue(3), timer_create(2) and mq_notify(3) carry: `si_value`. It may be a pointer that only the
    /// kernel holds.
    pub fn value(&self) -> usize {
        // siginfo_t on 64-bit Linux: three ints and a pad, then pid and uid or timer id and overrun, then the value, at
        // byte 24 (include/uapi/asm-generic/siginfo.h).
        const VALUE_AT: usize = 24;
        // SAFETY: siginfo_t is 128 bytes of initialised plain data: the kernel writes it whole.
        let bytes: &[u8; 128] = unsafe { &*core::ptr::from_ref(&self.info).cast() };
        bytes.get(VALUE_AT..VALUE_AT + 8).and_then(|b| b.try_into().ok()).map_or(0, usize::from_ne_bytes)
    }
}

static_assertions::const_assert_eq!(size_of::<libc::siginfo_t>(), 128);

/// The stopped world, as the work sees it.
pub struct World {
    pub(super) threads: MapVec<ThreadRecord>,
    pub(super) extended: MapVec<u64>,
    pub(super) queued: MapVec<QueuedSignal>,
    pub(super) unread: SignalSet,
    /// The work is done by a helper, not by the caller.
    pub(super) away: bool,
    pub(super) notes: StopNotes,
    pub(super) proc: ProcFiles,
    pub(super) ahead: OpenedAhead,
}

impl World {
    pub(super) fn new(proc: ProcFiles) -> World {
        World {
            threads: MapVec::new(),
            extended: MapVec::new(),
            queued: MapVec::new(),
            unread: SignalSet(0),
            away: false,
            notes: StopNotes::default(),
            proc,
            ahead: OpenedAhead::nothing(),
        }
    }

    /// Every thread, the caller first, the others in the order of their discovery.
    pub fn threads(&self) -> &[ThreadRecord] {
        &self.threads
    }

    /// The extended state of a thread (XSAVE layout: floating point, vectors, tiles) as words, without its trailing
    /// zeros; empty when it was not had, or is left for [`World::late_extended`].
    pub fn extended(&self, thread: &ThreadRecord) -> &[u64] {
        let start = thread.extended.start as usize;
        self.extended.get(start..start + thread.extended.len as usize).unwrap_or_default()
    }

    /// Threads that had a CPU, or waited for one, when they were stopped: so many CPUs the program will use at once when it
    /// goes on. The caller, which waits for the end of the check, is none of them.
    pub fn busy(&self) -> usize {
        let busy = |thread: &&ThreadRecord| {
            let goes_on = matches!(thread.stop, StopKind::Interrupted | StopKind::SignalDelivery(_));
            goes_on && thread.has_registers() && thread.system_call().is_none()
        };
        self.threads.iter().filter(busy).count()
    }

    /// Signals that wait to be delivered to the process or to one of its threads.
    pub fn queued_signals(&self) -> &[QueuedSignal] {
        &self.queued
    }

    /// Signals that wait to be delivered and whose siginfo was not read: their values may be pointers.
    pub fn unread_signals(&self) -> SignalSet {
        self.unread
    }

    /// True when no pointer in a thread's registers can have been missed, but for those of [`World::vfork_parents`].
    pub fn has_all_registers(&self) -> bool {
        let is_known = |thread: &ThreadRecord| match thread.stop {
            StopKind::VforkParent | StopKind::KernelWorker => true,
            _ => thread.has_registers(),
        };
        self.notes.is_complete() && self.threads.iter().all(is_known)
    }

    /// Threads that wait for a vfork child, which stands still as they do. Of their registers only the kernel knows what
    /// the call keeps for them.
    pub fn vfork_parents(&self) -> usize {
        self.threads.iter().filter(|thread| thread.stop == StopKind::VforkParent).count()
    }

    /// The id of the process, which is also that of its first thread, as the program itself sees it. /proc of an outer
    /// pid namespace has another.
    pub fn process(&self) -> i32 {
        let listed = self.proc.process();
        let first = self.threads.iter().find(|thread| thread.listed.get() == listed);
        first.map_or(listed, |thread| thread.tid.get())
    }

    /// The way into /proc.
    pub fn proc(&self) -> &ProcFiles {
        &self.proc
    }

    /// What was seen and what was not.
    pub fn notes(&self) -> &StopNotes {
        &self.notes
    }
}
