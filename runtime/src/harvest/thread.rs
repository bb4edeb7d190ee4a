//! A stopped thread, as the harvest looks at it.

use crate::arch::{self, Registers};
use crate::base::Addr;
use crate::stop::{StopKind, ThreadRecord, World};

/// See the module.
#[derive(Clone, Copy)]
pub struct Thread<'a> {
    /// Its id, as the process numbers it.
    pub tid: i32,
    /// The lowest address of its stack that is live; null when it is not known.
    pub live_from: Addr,
    /// Its control block; null when it is not known or there is none.
    pub thread_pointer: Addr,
    /// Its general registers.
    pub registers: &'a Registers,
    /// Its extended state, word by word.
    pub extended: &'a [u64],
    /// What of the registers proves something.
    pub state: State,
}

/// Where a thread was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// In a call of ours: only registers that calls keep are known, and nothing below its frame is its own.
    Asking,
    /// In the program's code: every register is live.
    Running,
    /// In a system call: what calls keep is live, the rest may be stale or belong to an inlined call.
    Blocked,
    /// Not stopped, or without registers: what is known is weak.
    Lost,
}

impl<'a> Thread<'a> {
    /// The thread of a record; `None` for tasks without a user stack.
    pub fn of(world: &'a World, record: &'a ThreadRecord) -> Option<Thread<'a>> {
        let state = match record.stop {
            StopKind::KernelWorker => return None,
            StopKind::Caller => State::Asking,
            _ if !record.has_registers() => State::Lost,
            _ if record.system_call().is_some() => State::Blocked,
            _ => State::Running,
        };
        let sp = record.stack_pointer();
        // The caller has called us: what was below its frame is ours.
        let below = if state == State::Asking { 0 } else { arch::RED_ZONE };
        Some(Thread {
            tid: record.tid.get(),
            live_from: if sp.is_null() { sp } else { sp.minus(below) },
            thread_pointer: record.thread_pointer(),
            registers: &record.registers,
            extended: world.extended(record),
            state,
        })
    }
}
