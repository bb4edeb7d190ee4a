//! From the list of threads of a stopped process to its records.

use crate::arch::Registers;
use crate::base::Errno;
use crate::sys::ptrace::{Lwp, Stopped};

use super::Request;
use super::notes::Missing;
use super::record::{Slice, StopKind, ThreadRecord, World};

/// Fills the records: the caller first, then the others in the kernel's order. They stand still, all of them, so one
/// pass is enough.
pub(super) fn collect(request: &Request, stopped: &Stopped, world: &mut World) {
    let mut caller = ThreadRecord::unknown(request.caller, request.caller, StopKind::Caller);
    caller.registers = request.registers;
    keep(world, caller);
    let mut last = None;
    loop {
        match stopped.next(last) {
            Ok(Some(lwp)) => {
                last = Some(lwp.id);
                if lwp.id != request.caller {
                    record(stopped, world, &lwp);
                }
            }
            Ok(None) => break,
            Err(_) => {
                world.notes.list_cut = true;
                break;
            }
        }
    }
    world.notes.passes = 1;
    world.notes.threads = world.threads.len() as u32;
}

fn record(stopped: &Stopped, world: &mut World, lwp: &Lwp) {
    let mut record = ThreadRecord::unknown(lwp.id, lwp.id, StopKind::Interrupted);
    record.blocked = Some(lwp.blocked);
    match stopped.registers(lwp.id) {
        Ok(general) => record.registers = Registers::new(general, lwp.thread_pointer),
        // A thread of the kernel's own (ptrace_update_lwp: LW_SYSTEM).
        Err(errno) if errno.get() == libc::EINVAL => record.stop = StopKind::KernelWorker,
        Err(errno) => world.notes.miss(lwp.id, Missing::NoRegisters(errno)),
    }
    if record.stop != StopKind::KernelWorker {
        match floating(stopped, world, lwp) {
            Ok(slice) => record.extended = slice,
            Err(errno) => world.notes.miss(lwp.id, Missing::NoRegisters(errno)),
        }
    }
    keep(world, record);
}

fn floating(stopped: &Stopped, world: &mut World, lwp: &Lwp) -> Result<Slice, Errno> {
    let state = stopped.floating(lwp.id)?;
    let used = state.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
    let start = world.extended.len();
    world.extended.extend(state.get(..used).unwrap_or_default())?;
    Ok(Slice { start: start as u32, len: used as u32 })
}

fn keep(world: &mut World, record: ThreadRecord) {
    if world.threads.push(record).is_err() {
        world.notes.miss(record.tid, Missing::NoMemory);
    }
}
