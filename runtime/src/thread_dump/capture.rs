//! What must be taken while a thread stands still.

use crate::arch::Registers;
use crate::base::{Errno, Tid};
use crate::mem::MapVec;
use crate::stop::{ProcFiles, StopKind, World};
use crate::trace;

/// One thread.
#[derive(Clone, Copy, Debug)]
pub struct CapturedThread {
    /// Its id.
    pub tid: Tid,
    /// Its id as /proc numbers it.
    pub listed: Tid,
    /// How it stood still.
    pub stop: StopKind,
    /// The system call that it was inside.
    pub system_call: Option<usize>,
    /// Its thread pointer: the base of its thread-local storage; 0 when not known.
    pub thread_pointer: usize,
    /// Signals that it blocks, bit n - 1 for signal n; `None` when not known.
    pub blocked: Option<u64>,
    /// Signals that wait for it alone.
    pub pending: u64,
    frames: (usize, usize),
}

/// All threads, and what belongs to none of them.
pub struct Captured {
    threads: MapVec<CapturedThread>,
    frames: MapVec<usize>,
    /// Signals that wait for the process.
    pub pending: u64,
    /// The way into /proc.
    pub proc: ProcFiles,
}

impl Captured {
    /// Nothing yet.
    pub const fn new() -> Captured {
        Captured { threads: MapVec::new(), frames: MapVec::new(), pending: 0, proc: ProcFiles::NONE }
    }

    /// The threads, the caller first.
    pub fn threads(&self) -> &[CapturedThread] {
        &self.threads
    }

    /// The lookup addresses of a thread's frames, innermost first.
    pub fn frames(&self, thread: &CapturedThread) -> &[usize] {
        self.frames.get(thread.frames.0..thread.frames.1).unwrap_or_default()
    }
}

impl Default for Captured {
    fn default() -> Self {
        Captured::new()
    }
}

/// Takes it. `interrupted`: the registers of the asking thread, where a signal handler asks on its behalf.
pub fn capture(world: &World, interrupted: Option<&Registers>, into: &mut Captured) -> Result<(), Errno> {
    into.proc = *world.proc();
    for signal in world.queued_signals().iter().filter(|signal| signal.tid.is_none()) {
        into.pending |= bit(signal.info.si_signo);
    }
    for record in world.threads() {
        let own = world.queued_signals().iter().filter(|signal| signal.tid == Some(record.tid));
        let pending = own.fold(0, |set, signal| set | bit(signal.info.si_signo));
        let is_caller = record.stop == StopKind::Caller;
        let at = interrupted.filter(|_| is_caller);
        let first = into.frames.len();
        let mut full = Ok(());
        if record.has_registers() {
            let registers = at.unwrap_or(&record.registers);
            trace::frames_of(registers, !is_caller || at.is_some(), &mut |_, pc| {
                full = into.frames.push(pc);
                full.is_ok()
            });
        }
        full?;
        into.threads.push(CapturedThread {
            tid: record.tid,
            listed: record.listed,
            stop: record.stop,
            system_call: record.system_call().filter(|_| !is_caller),
            thread_pointer: record.thread_pointer().get(),
            blocked: record.blocked.map(|blocked| blocked.0),
            pending,
            frames: (first, into.frames.len()),
        })?;
    }
    Ok(())
}

/// A signal's bit in a set.
fn bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|shift| 1u64.checked_shl(shift)).unwrap_or(0)
}
