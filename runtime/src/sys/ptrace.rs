//! ptrace(2): seizing a thread and reading it while it stands still.
//!
//! PTRACE_SEIZE, not PTRACE_ATTACH: no SIGSTOP is sent, a stopped process group stays stopped, and the tracer's end
//! frees everything without a trace. PTRACE_O_EXITKILL is never set: it would kill the program with its tracer.

use crate::arch::{REGISTER_SETS, Registers};
use crate::base::{Errno, Tid};

use super::invoke::syscall;

// <linux/ptrace.h>; the libc crate lacks some of them for musl.
const CONT: usize = 7;
const GETEVENTMSG: usize = 0x4201;
const GETSIGINFO: usize = 0x4202;
const GETREGSET: usize = 0x4204;
const SETREGSET: usize = 0x4205;
const SEIZE: usize = 0x4206;
const INTERRUPT: usize = 0x4207;
const PEEKSIGINFO: usize = 0x4209;
const GETSIGMASK: usize = 0x420a;

/// PTRACE_O_TRACEVFORK: a vfork child arrives traced.
pub const TRACE_VFORK: usize = 1 << 2;
/// PTRACE_O_TRACECLONE: a new thread arrives traced.
pub const TRACE_CLONE: usize = 1 << 3;

/// PTRACE_EVENT_VFORK.
pub const EVENT_VFORK: i32 = 2;
/// PTRACE_EVENT_CLONE.
pub const EVENT_CLONE: i32 = 3;
/// PTRACE_EVENT_STOP: an interrupt, a group-stop, or the first stop of a task that arrived traced.
pub const EVENT_STOP: i32 = 128;

#[repr(C)]
struct Vector {
    start: usize,
    len: usize,
}

/// `ptrace(PTRACE_SEIZE, tid, 0, options)`. EPERM: refused, or traced already, or exited and not reaped.
pub fn seize(tid: Tid, options: usize) -> Result<(), Errno> {
    // SAFETY: touches no memory of ours.
    unsafe { syscall(libc::SYS_ptrace, [SEIZE, tid.get() as usize, 0, options, 0, 0]) }.map(drop)
}

/// `ptrace(PTRACE_INTERRUPT, tid)`. ESRCH: the thread is gone.
pub fn interrupt(tid: Tid) -> Result<(), Errno> {
    // SAFETY: touches no memory of ours.
    unsafe { syscall(libc::SYS_ptrace, [INTERRUPT, tid.get() as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `ptrace(PTRACE_CONT, tid, 0, 0)`: a stopped thread goes on, traced, without the signal that it was about to receive.
pub fn go_on(tid: Tid) -> Result<(), Errno> {
    // SAFETY: touches no memory of ours.
    unsafe { syscall(libc::SYS_ptrace, [CONT, tid.get() as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `ptrace(PTRACE_GETREGSET, tid, set, &{into, len})`: how many bytes of the stopped thread's register set were written.
pub fn register_set(tid: Tid, set: usize, into: &mut [u8]) -> Result<usize, Errno> {
    let mut vector = Vector { start: into.as_mut_ptr().addr(), len: into.len() };
    let at = core::ptr::from_mut(&mut vector).addr();
    // SAFETY: the kernel writes at most `len` bytes to a buffer that we hold exclusively, and the length to the vector.
    unsafe { syscall(libc::SYS_ptrace, [GETREGSET, tid.get() as usize, set, at, 0, 0]) }?;
    Ok(vector.len.min(into.len()))
}

/// The general registers of a stopped thread. EIO when a set has not the length that its CPU's has.
pub fn registers(tid: Tid) -> Result<Registers, Errno> {
    let mut registers = Registers::NONE;
    for (set, first, len) in REGISTER_SETS {
        let words = registers.0.get_mut(first..first + len).unwrap_or_default();
        let bytes = size_of_val(words);
        let mut vector = Vector { start: words.as_mut_ptr().addr(), len: bytes };
        let at = core::ptr::from_mut(&mut vector).addr();
        // SAFETY: the kernel writes at most `len` bytes of plain words to a slice that we hold exclusively.
        unsafe { syscall(libc::SYS_ptrace, [GETREGSET, tid.get() as usize, set, at, 0, 0]) }?;
        if vector.len != bytes {
            return Err(Errno::new(libc::EIO));
        }
    }
    Ok(registers)
}

/// Sets the general registers of a stopped thread.
pub fn set_registers(tid: Tid, registers: &Registers) -> Result<(), Errno> {
    let [(set, first, len), ..] = REGISTER_SETS;
    let words = registers.0.get(first..first + len).unwrap_or_default();
    let mut vector = Vector { start: words.as_ptr().addr(), len: size_of_val(words) };
    let at = core::ptr::from_mut(&mut vector).addr();
    // SAFETY: the kernel reads `len` bytes; the registers are those of another task.
    unsafe { syscall(libc::SYS_ptrace, [SETREGSET, tid.get() as usize, set, at, 0, 0]) }.map(drop)
}

/// `ptrace(PTRACE_GETEVENTMSG)`: of EVENT_CLONE and EVENT_VFORK the new task's id.
pub fn event_message(tid: Tid) -> Result<usize, Errno> {
    let mut message = 0usize;
    let at = core::ptr::from_mut(&mut message).addr();
    // SAFETY: the kernel writes one word, which we hold exclusively.
    unsafe { syscall(libc::SYS_ptrace, [GETEVENTMSG, tid.get() as usize, 0, at, 0, 0]) }?;
    Ok(message)
}

/// `ptrace(PTRACE_GETSIGINFO)`: the signal that a thread in a signal-delivery-stop is about to receive. It is in no queue
/// any more.
pub fn signal_at_delivery(tid: Tid) -> Result<libc::siginfo_t, Errno> {
    // SAFETY: plain data, for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    let at = core::ptr::from_mut(&mut info).addr();
    // SAFETY: the kernel writes one siginfo_t, which we hold exclusively.
    unsafe { syscall(libc::SYS_ptrace, [GETSIGINFO, tid.get() as usize, 0, at, 0, 0]) }?;
    Ok(info)
}

/// Which queue of signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queue {
    /// Signals sent to the thread.
    Thread,
    /// Signals sent to its process.
    Process,
}

#[repr(C)]
struct PeekArguments {
    offset: u64,
    flags: u32,
    count: i32,
}

/// `ptrace(PTRACE_PEEKSIGINFO)`: queued signals of a stopped thread from the `offset`th on, without taking them.
/// Returns how many were written; 0 at the end of the queue.
pub fn peek_signals(
    tid: Tid,
    queue: Queue,
    offset: usize,
    into: &mut [libc::siginfo_t],
) -> Result<usize, Errno> {
    let flags = (queue == Queue::Process) as u32;
    let count = into.len().min(i32::MAX as usize) as i32;
    let mut arguments = PeekArguments { offset: offset as u64, flags, count };
    let at = core::ptr::from_mut(&mut arguments).addr();
    let into_at = into.as_mut_ptr().addr();
    // SAFETY: the kernel reads the arguments and writes at most `count` structures to a buffer that we hold exclusively.
    unsafe { syscall(libc::SYS_ptrace, [PEEKSIGINFO, tid.get() as usize, at, into_at, 0, 0]) }
}

/// `ptrace(PTRACE_GETSIGMASK)`: the signals that a stopped thread blocks.
pub fn signal_mask(tid: Tid) -> Result<u64, Errno> {
    let mut mask = 0u64;
    let at = core::ptr::from_mut(&mut mask).addr();
    // SAFETY: the kernel writes eight bytes, which we hold exclusively.
    unsafe { syscall(libc::SYS_ptrace, [GETSIGMASK, tid.get() as usize, size_of::<u64>(), at, 0, 0]) }?;
    Ok(mask)
}
