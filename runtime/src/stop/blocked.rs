//! System calls that threads were inside before they were asked to stop, for a kernel that does not tell afterwards.
//!
//! arm64 forgets the call before a thread stops, and has read the result by then (arch/arm64/kernel/signal.c, do_signal):
//! the tracer cannot learn the call's number or its first argument from the registers, nor have the kernel decide about a
//! restart. So /proc is asked before the interrupt, and a call that would fail with EINTR because of the stop is made again
//! by setting the registers back: in the last moment, since a signal that comes after that does not end the call, and not
//! when a signal is already waiting. These threads are let go before all others, which stand still until the calls have
//! been made: a signal that one thread of the program sends to another at once is the one to be expected.
//!
//! On a kernel that decides by itself ([`KERNEL_DECIDES_RESTART`]) nothing is asked and nothing is kept.
//!
//! Not promised: a signal from elsewhere that comes between the mending and the call runs its handler, but the call goes
//! on; a thread that is freed by the helper's death sees its EINTR, and so does one that has entered its call between
//! the question and the interrupt, unless a wrapper tells (call.rs).

use crate::arch::{KERNEL_DECIDES_RESTART, Registers};
use crate::base::{Errno, Tid};
use crate::mem::MapVec;
use crate::sys::ptrace::{self, Queue};
use crate::sys::signals::SignalSet;
use crate::sys::{process, timer};

use super::notes::StopNotes;
use super::proc_files::ProcFiles;
use super::task_list::InSystemCall;
use super::tracees::Tracee;

/// See the module.
pub(super) struct BlockedCalls {
    /// By the index of the task in the table of tracees, rising.
    calls: MapVec<(u32, InSystemCall)>,
    /// Threads whose call is to be made again, by their id and how /proc names them, with the registers that do it.
    again: MapVec<(Tid, Tid, Registers)>,
}

impl BlockedCalls {
    /// Nothing known.
    pub(super) const fn new() -> BlockedCalls {
        BlockedCalls { calls: MapVec::new(), again: MapVec::new() }
    }

    /// Asks for the call of a thread that is about to be interrupted.
    pub(super) fn ask(proc: &ProcFiles, listed: Tid) -> Option<InSystemCall> {
        if KERNEL_DECIDES_RESTART {
            return None;
        }
        InSystemCall::of(proc, listed).filter(|call| call.number.is_some())
    }

    /// Keeps the answer for the task with the highest index so far.
    pub(super) fn keep(&mut self, index: usize, call: Option<InSystemCall>) -> Result<(), Errno> {
        call.map_or(Ok(()), |call| self.calls.push((index as u32, call)))
    }

    /// The call of the `index`th task, if that is where these registers are.
    pub(super) fn of(&self, index: usize, registers: &Registers) -> Option<InSystemCall> {
        let at = self.calls.binary_search_by_key(&(index as u32), |(index, _)| *index).ok()?;
        let (_, call) = self.calls.get(at)?;
        registers.is_at_call(call.pc, call.stack_pointer).then_some(*call)
    }

    /// Has the registers of a thread set when the work is done.
    pub(super) fn set_at_end(&mut self, task: Tracee, registers: Registers) -> Result<(), Errno> {
        self.again.push((task.tid, task.listed, registers))
    }

    /// Sets them, unless a signal waits that may have to end the call, and sees these threads back into their calls.
    pub(super) fn set_all(&self, proc: &ProcFiles, notes: &mut StopNotes) {
        for (tid, _, registers) in self.again.iter() {
            if !is_expected(*tid) && ptrace::set_registers(*tid, registers).is_ok() {
                notes.mended += 1;
                let _ = ptrace::detach(*tid);
            } else {
                notes.unlisted_eintr += 1;
            }
        }
        let until = process::monotonic_ns() + PATIENCE_NS;
        for (_, listed, _) in self.again.iter() {
            while InSystemCall::of(proc, *listed).is_none() && process::monotonic_ns() < until {
                timer::sleep(LOOK_NS);
            }
        }
    }
}

/// How long all of them are waited for. One that gets no CPU for so long, or is gone, is not worth the others' time.
const PATIENCE_NS: u64 = 20_000_000;
const LOOK_NS: u64 = 20_000;

/// True when a signal that the thread does not block waits for it or for its process.
fn is_expected(tid: Tid) -> bool {
    let Ok(blocked) = ptrace::signal_mask(tid).map(SignalSet) else { return true };
    // SAFETY: plain data, for which zero is a value.
    let mut batch: [libc::siginfo_t; 8] = unsafe { core::mem::zeroed() };
    [Queue::Thread, Queue::Process].into_iter().any(|queue| {
        let mut offset = 0;
        while let Ok(count @ 1..) = ptrace::peek_signals(tid, queue, offset, &mut batch) {
            if batch.iter().take(count).any(|info| !blocked.contains(info.si_signo)) {
                return true;
            }
            offset += count;
        }
        false
    })
}
