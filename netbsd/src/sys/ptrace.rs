//! ptrace(2) of a whole process: one attach, one detach, and what can be asked in between.
//!
//! The types follow the kernel's rule (ptrace_allowed): everything but the attach needs a tracee that stands still and was
//! waited for.

use core::ffi::{c_int, c_void};

use crate::arch::{FLOATING_BYTES, GENERAL_REGISTERS};
use crate::base::{Addr, Errno, Tid};

use super::process::{self, Change};
use super::{last_error, signals::SignalSet};

// sys/ptrace.h; the libc crate has those from 13 on.
const PT_CONTINUE: c_int = 7;
const PT_ATTACH: c_int = 9;
const PT_DETACH: c_int = 10;
const PT_IO: c_int = 11;
const PIOD_READ_D: c_int = 1;

/// `struct ptrace_io_desc` (sys/ptrace.h).
#[repr(C)]
struct Transfer {
    operation: c_int,
    there: *mut c_void,
    here: *mut c_void,
    len: usize,
}

/// One thread, as PT_LWPNEXT tells of it (`struct ptrace_lwpstatus`).
#[derive(Clone, Copy, Debug)]
pub struct Lwp {
    /// Its id.
    pub id: Tid,
    /// Its thread control block.
    pub thread_pointer: usize,
    /// Signals that wait for it.
    pub pending: SignalSet,
    /// Signals that it blocks.
    pub blocked: SignalSet,
}

/// A request whose answer is written to `data`, or none.
///
/// # Safety
///
/// `address` and `data` are what ptrace(2) says of the request.
unsafe fn request(number: c_int, pid: i32, address: *mut c_void, data: c_int) -> Result<(), Errno> {
    // SAFETY: the caller's duty.
    let result = unsafe { libc::ptrace(number, pid, address, data) };
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// A process that was attached to and is about to stand still.
pub struct Attached(i32);

impl Attached {
    /// PT_ATTACH: sends SIGSTOP to the process as a whole.
    pub fn new(pid: i32) -> Result<Attached, Errno> {
        // SAFETY: takes neither address nor data.
        unsafe { request(PT_ATTACH, pid, core::ptr::null_mut(), 0) }?;
        Ok(Attached(pid))
    }

    /// Waits until the process stands still. Other signals that come first are given to it.
    ///
    /// # Errors
    ///
    /// The process is gone. Past the deadline there is none to give: the wait goes on, since a tracer that ends here kills
    /// the process (exit1); what stands still within microseconds has not been seen to take longer.
    pub fn stopped(self) -> Result<Stopped, Change> {
        loop {
            match process::wait(self.0, true) {
                Ok(Change::Stopped(libc::SIGSTOP)) => return Ok(Stopped(self.0)),
                Ok(Change::Stopped(signal)) => {
                    // SAFETY: address 1 is "where it stood"; the signal is the one that it was about to get.
                    let _ =
                        unsafe { request(PT_CONTINUE, self.0, core::ptr::without_provenance_mut(1), signal) };
                }
                Ok(Change::None) => {}
                Ok(end) => return Err(end),
                Err(_) => return Err(Change::None),
            }
        }
    }
}

/// A process that stands still until this is dropped.
pub struct Stopped(i32);

impl Stopped {
    /// The thread behind `after` in the kernel's list, or the first; `None` at its end.
    pub fn next(&self, after: Option<Tid>) -> Result<Option<Lwp>, Errno> {
        // SAFETY: plain data, for which zero is a value.
        let mut status: libc::ptrace_lwpstatus = unsafe { core::mem::zeroed() };
        status.pl_lwpid = after.map_or(0, Tid::get);
        let size = size_of_val(&status) as c_int;
        // SAFETY: reads the id and writes the structure, whose size is the data.
        unsafe { request(libc::PT_LWPNEXT, self.0, (&raw mut status).cast(), size) }?;
        Ok(Tid::new(status.pl_lwpid).map(|id| Lwp {
            id,
            thread_pointer: status.pl_private.addr(),
            pending: SignalSet::of(&status.pl_sigpend),
            blocked: SignalSet::of(&status.pl_sigmask),
        }))
    }

    /// PT_GETREGS of one thread.
    pub fn registers(&self, lwp: Tid) -> Result<[usize; GENERAL_REGISTERS], Errno> {
        let mut words = [0; GENERAL_REGISTERS];
        // SAFETY: writes `struct reg`, 26 words; the data is the thread.
        unsafe { request(libc::PT_GETREGS, self.0, words.as_mut_ptr().cast(), lwp.get()) }?;
        Ok(words)
    }

    /// PT_GETFPREGS of one thread: floating point and SSE, as FXSAVE lays them out.
    pub fn floating(&self, lwp: Tid) -> Result<[u64; FLOATING_BYTES / 8], Errno> {
        let mut words = [0; FLOATING_BYTES / 8];
        // SAFETY: writes `struct fpreg`, 512 bytes; the data is the thread.
        unsafe { request(libc::PT_GETFPREGS, self.0, words.as_mut_ptr().cast(), lwp.get()) }?;
        Ok(words)
    }

    /// Reads memory; returns how many bytes were there.
    pub fn read(&self, at: Addr, into: &mut [u8]) -> Result<usize, Errno> {
        let mut transfer = Transfer {
            operation: PIOD_READ_D,
            there: core::ptr::without_provenance_mut(at.get()),
            here: into.as_mut_ptr().cast(),
            len: into.len(),
        };
        // SAFETY: writes at most `len` bytes to `into`, and to `len` how many there were.
        unsafe { request(PT_IO, self.0, (&raw mut transfer).cast(), 0) }?;
        Ok(transfer.len.min(into.len()))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: address 1 is "where it stood", and no signal: the SIGSTOP was ours.
        let _ = unsafe { request(PT_DETACH, self.0, core::ptr::without_provenance_mut(1), 0) };
    }
}
