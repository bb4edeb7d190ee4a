//! standstill_write_core: a core file of the running process.

use core::ffi::{CStr, c_char, c_int};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::base::Addr;
use standstill_runtime::core_file::{self, CouldNotWrite, Written};
use standstill_runtime::mem::with_room;
use standstill_runtime::report::say;
use standstill_runtime::stop::{self, Caller, StopNotes};
use standstill_runtime::sys::file;
use standstill_runtime::{entry_point, init};

use crate::api::{code, write_versioned};

/// `struct standstill_core_result`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct CoreResult {
    size: usize,
    threads: u64,
    threads_without_registers: u64,
    bytes: u64,
    unreadable_bytes: u64,
    pause_ns: u64,
}

unsafe extern "C" fn write_to_path(
    path: *const c_char,
    result: *mut CoreResult,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    if path.is_null() || !unsafe { crate::api::acceptable(result) } {
        return code::BAD_ARGUMENT;
    }
    // SAFETY: standstill.h: a C string.
    let path = unsafe { CStr::from_ptr(path) };
    // A core holds all that the process knows: for its user's eyes only.
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOCTTY;
    let file = match file::open(path, flags, 0o600) {
        Ok(file) => file,
        Err(errno) => {
            say(format_args!("standstill_write_core: the file cannot be opened for writing ({errno})"));
            return code::COULD_NOT_CHECK;
        }
    };
    write(file.raw(), result, frame)
}

entry_point!(/// `int standstill_write_core(path, result)`
    standstill_write_core => write_to_path);

unsafe extern "C" fn write_to_descriptor(
    descriptor: usize,
    result: *mut CoreResult,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    let descriptor = descriptor as c_int;
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    if descriptor < 0 || !unsafe { crate::api::acceptable(result) } {
        return code::BAD_ARGUMENT;
    }
    write(descriptor, result, frame)
}

entry_point!(/// `int standstill_write_core_fd(fd, result)`
    standstill_write_core_fd => write_to_descriptor);

fn write(descriptor: c_int, result: *mut CoreResult, frame: &CallerFrame) -> c_int {
    let caller = Caller { frame, stack_pointer: Addr::new(frame.stack_pointer()) };
    let mut answer = code::COULD_NOT_CHECK;
    with_room(&mut || answer = conclude(core_file::write(&caller, &options(), descriptor), result));
    answer
}

fn options() -> stop::Options {
    stop::Options {
        deadline_ns: u64::from(init::options().deadline_ms) * 1_000_000,
        ..stop::Options::DEFAULT
    }
}

fn conclude(written: Result<(Written, StopNotes), CouldNotWrite>, result: *mut CoreResult) -> c_int {
    let (written, notes) = match written {
        Ok(both) => both,
        Err(why) => {
            say(format_args!("standstill_write_core: {why}"));
            return code::COULD_NOT_CHECK;
        }
    };
    let told = CoreResult {
        size: 0,
        threads: u64::from(written.threads),
        threads_without_registers: u64::from(written.without_registers),
        bytes: written.bytes,
        unreadable_bytes: written.unreadable,
        pause_ns: if notes.threads > 1 { notes.stop_ns + notes.work_ns } else { 0 },
    };
    // SAFETY: found acceptable by both callers.
    unsafe { write_versioned(result, &told) };
    let whole = written.without_registers == 0 && written.unreadable == 0 && notes.is_complete();
    if whole { code::DONE } else { code::INCOMPLETE }
}
