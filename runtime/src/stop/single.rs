//! A process with a single task: nothing to stop, so no helper, no ptrace, no permission asked of anybody.
//!
//! The work runs in place, on a stack of our own (the caller may be a coroutine with a few KiB), with faults of our reads
//! absorbed by our own actions for SIGSEGV and SIGBUS, and all other signals blocked: a handler of the program would be
//! a second task.

use crate::arch::{self, Registers, page_size};
use crate::base::{AddrRange, Tid};
use crate::mem::{FaultGuard, OwnMap, ProcessMemory};
use crate::sys::{memory, process};

use super::Works;
use super::notes::{Backend, CouldNotStop, StopNotes};
use super::proc_files::ProcFiles;
use super::record::{StopKind, ThreadRecord, World};

const STACK: usize = 1 << 20;

struct Call<'a, 'b, 'w> {
    world: &'a World,
    memory: ProcessMemory<'a>,
    works: &'a mut Works<'b, 'w>,
}

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
    let stack = OwnMap::new(page_size() + STACK).map_err(CouldNotStop::NoMemory)?;
    // SAFETY: a page of the new mapping, which nobody uses.
    unsafe { memory::protect(AddrRange::sized(stack.range().start, page_size()), libc::PROT_NONE) }
        .map_err(CouldNotStop::NoMemory)?;
    let start = process::monotonic_ns();
    {
        let guard = FaultGuard::install().map_err(CouldNotStop::NoSignals)?;
        let mut call = Call { world: &world, memory: guard.memory(), works };
        // SAFETY: the new mapping's end is a page border and the memory is used by nobody else.
        unsafe {
            arch::call_on_stack(stack.range().end.get(), on_own_stack, (&raw mut call).expose_provenance())
        };
    }
    world.notes.work_ns = process::monotonic_ns() - start;
    Ok(world.notes)
}

extern "C" fn on_own_stack(argument: usize) {
    // SAFETY: run passes the address of its Call, which it does not touch until this returns.
    let call: &mut Call<'_, '_, '_> = unsafe { &mut *core::ptr::with_exposed_provenance_mut(argument) };
    (call.works.ahead)(call.world, call.memory);
    (call.works.work)(call.world, call.memory);
}
