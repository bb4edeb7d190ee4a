//! A process with a single task: nothing to stop, so no helper, no ptrace, no permission asked of anybody.
//!
//! The work runs in place, on a stack of our own (the caller may be a coroutine with a few KiB), with faults of our reads
//! absorbed by our own actions for SIGSEGV and SIGBUS, and all other signals blocked: a handler of the program would be
//! a second task.

use crate::arch::Registers;
use crate::base::Tid;
use crate::mem::{FaultGuard, OwnStack};
use crate::sys::{process, signals};

use super::Works;
use super::notes::{Backend, CouldNotStop, StopNotes};
use super::proc_files::ProcFiles;
use super::record::{StopKind, ThreadRecord, World};

/// Runs the work on a world of one.
pub(super) fn run(
    tid: Tid,
    registers: Registers,
    proc: ProcFiles,
    works: &mut Works<'_, '_>,
) -> Result<StopNotes, CouldNotStop> {
    let mut world = World::new(proc);
    let mut record = ThreadRecord::unknown(tid, proc.caller().unwrap_or(tid), StopKind::Caller);
    record.registers = registers;
    world.threads.push(record).map_err(CouldNotStop::NoMemory)?;
    world.notes.backend = Backend::Alone;
    world.notes.threads = 1;
    // Nobody can be sent one by whom the values could be read.
    world.unread = signals::pending().unwrap_or(signals::SignalSet::ALL);
    let stack = OwnStack::new().map_err(CouldNotStop::NoMemory)?;
    let start = process::monotonic_ns();
    {
        let guard = FaultGuard::install().map_err(CouldNotStop::NoSignals)?;
        stack.run(&mut || {
            (works.ahead)(&world, guard.memory());
            (works.work)(&world, guard.memory());
        });
    }
    world.notes.work_ns = process::monotonic_ns() - start;
    Ok(world.notes)
}
