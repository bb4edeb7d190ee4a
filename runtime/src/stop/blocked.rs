//! System calls that threads were inside before they were asked to stop, for a kernel that does not tell afterwards.
//!
//! arm64 forgets the call before a thread stops, and has read the result by then (arch/arm64/kernel/signal.c, do_signal):
//! the tracer cannot learn the call's number or its first argument from the registers, nor have the kernel decide about a
//! restart. So /proc is asked before the interrupt, and a call that would fail with EINTR because of the stop is made again
//! by setting the registers back: in the last moment, since a signal that comes after that does not end the call, and not
//! when a signal with a handler is already waiting. These threads run before all others, which stand still until the calls
//! have been made: a signal that one thread of the program sends to another at once is the one to be expected. They stay
//! traced meanwhile: as long as any thread is, the kernel keeps signals that the program ignores, above all SIGCHLD of a
//! child that ends now, and ends calls by them; such a call is mended once more.
//!
//! On a kernel that decides by itself ([`KERNEL_DECIDES_RESTART`]) nothing is asked and nothing is kept.
//!
//! Not promised: a signal from elsewhere that comes between the mending and the call runs its handler, but the call goes
//! on; a thread that is freed by the helper's death sees its EINTR, and so does one that has entered its call between
//! the question and the interrupt, unless a wrapper tells (call.rs).

use crate::arch::{KERNEL_DECIDES_RESTART, Registers};
use crate::base::{Errno, Tid};
use crate::mem::MapVec;
use crate::sys::signals::SignalSet;
use crate::sys::wait::{self, Block, Change};
use crate::sys::{process, ptrace, timer};

use super::notes::StopNotes;
use super::proc_files::ProcFiles;
use super::task_list::{InSystemCall, Status};
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
        for (tid, listed, registers) in self.again.iter() {
            if !is_handler_due(proc, *listed) && ptrace::set_registers(*tid, registers).is_ok() {
                notes.mended += 1;
                let _ = ptrace::go_on(*tid);
            } else {
                notes.unlisted_eintr += 1;
            }
        }
        let until = process::monotonic_ns() + PATIENCE_NS;
        for (tid, listed, _) in self.again.iter() {
            while !is_settled(proc, *tid, *listed) && process::monotonic_ns() < until {
                timer::sleep(LOOK_NS);
            }
        }
        for (tid, listed, registers) in self.again.iter() {
            if was_interrupted_for_nothing(proc, *tid, *listed, registers) {
                let _ = ptrace::set_registers(*tid, registers);
            }
        }
    }
}

/// Inside of a call, or standing still again, or gone.
fn is_settled(proc: &ProcFiles, tid: Tid, listed: Tid) -> bool {
    InSystemCall::of(proc, listed).is_some()
        || wait::tracee(tid, Block::Poll).is_ok_and(|found| found.is_some())
}

/// True when the call that the thread made again has failed since a signal came that the program ignores.
fn was_interrupted_for_nothing(proc: &ProcFiles, tid: Tid, listed: Tid, again: &Registers) -> bool {
    let Ok(Some(Change::Stopped { signal, event: 0 })) = wait::tracee(tid, Block::Poll) else { return false };
    does_nothing(proc, listed, signal)
        && ptrace::registers(tid).is_ok_and(|now| {
            now.result() == -(libc::EINTR as isize) && again.is_at_call(now.pc(), now.stack_pointer())
        })
}

/// True for a signal that the program ignores, by the default action: the kernel wakes a traced thread for it all the same
/// (kernel/signal.c, sig_ignored). It is not missed when the thread is let go without.
pub(super) fn does_nothing(proc: &ProcFiles, listed: Tid, signal: i32) -> bool {
    let status = || proc.open_of_thread(listed, "status").and_then(|file| Status::read(&file));
    matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH)
        && status().is_ok_and(|status| !SignalSet(status.caught).contains(signal))
}

/// How long all of them are waited for. One that gets no CPU for so long, or is gone, is not worth the others' time.
const PATIENCE_NS: u64 = 20_000_000;
const LOOK_NS: u64 = 20_000;

/// True when a signal waits that will run a handler in the thread, or may: that ends the call. Others do not, though they
/// are kept for a traced thread even where the program ignores them, as SIGCHLD of a child that ended during the stop
/// (kernel/signal.c, sig_ignored). The status file has the mask of the call itself, of epoll_pwait(2) for one;
/// PTRACE_GETSIGMASK the one that comes back after it.
fn is_handler_due(proc: &ProcFiles, listed: Tid) -> bool {
    let status = proc.open_of_thread(listed, "status").and_then(|file| Status::read(&file));
    status.map_or(true, |status| status.coming != 0)
}
