//! standstill.h.

use core::ffi::{c_int, c_void};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::base::{Addr, AddrRange};
use standstill_runtime::check::{self, Counts, Occasion, Only, Outcome};
use standstill_runtime::harvest::user_regions;
use standstill_runtime::heap::{self, Tag};
use standstill_runtime::init::options::Snapshot;
use standstill_runtime::report::say;
use standstill_runtime::sys::process::exit_group;
use standstill_runtime::{entry_point, init, threads};

use crate::process;

unsafe extern "C" fn check_once(_: usize, _: usize, _: usize, frame: &CallerFrame) {
    if let Some(status) = check::run(&Occasion::OneShot, frame).exit_status() {
        process::end(status);
    }
}

entry_point!(/// `void standstill_check(void)`
    standstill_check => check_once);

/// `struct standstill_check_options`
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct CheckOptions {
    size: usize,
    flags: u32,
    deadline_ms: u32,
    snapshot: u32,
    since: u32,
}

/// `struct standstill_check_result`
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct CheckResult {
    size: usize,
    direct_objects: u64,
    direct_bytes: u64,
    indirect_objects: u64,
    indirect_bytes: u64,
    possible_objects: u64,
    possible_bytes: u64,
    suppressed_objects: u64,
    suppressed_bytes: u64,
    pause_ns: u64,
    scan_ns: u64,
    copied_pages: u64,
    on_snapshot: u32,
    reserved: u32,
}

/// STANDSTILL_CHECK_QUIET
pub(crate) const QUIET: u32 = 1;

/// Values of `enum standstill_code`.
pub(crate) mod code {
    use core::ffi::c_int;
    /// CLEAN, of functions that are no checks.
    pub(crate) const DONE: c_int = 0;
    pub(crate) const CLEAN: c_int = 0;
    pub(crate) const LEAKS: c_int = 1;
    pub(crate) const INCOMPLETE: c_int = 2;
    pub(crate) const COULD_NOT_CHECK: c_int = 3;
    pub(crate) const TURNED_OFF: c_int = 4;
    pub(crate) const BAD_ARGUMENT: c_int = 5;
    pub(crate) const NO_OBJECT: c_int = 6;
}

unsafe extern "C" fn check_recoverable(
    options: *const CheckOptions,
    result: *mut CheckResult,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    let Some(occasion) = (unsafe { occasion(options) }) else { return code::BAD_ARGUMENT };
    // SAFETY: as above.
    if !unsafe { acceptable(result) } {
        return code::BAD_ARGUMENT;
    }
    let outcome = check::run(&occasion, frame);
    // SAFETY: checked above.
    unsafe { conclude(&outcome, result) }
}

/// The check that a program asks for; `None` when it asks for something that does not exist.
///
/// # Safety
///
/// - As [`read_versioned`].
pub(crate) unsafe fn occasion(options: *const CheckOptions) -> Option<Occasion> {
    // SAFETY: the caller's duty.
    let options = unsafe { read_versioned(options) }?;
    let snapshot = match options.snapshot {
        0 => None,
        1 => Some(Snapshot::Auto),
        2 => Some(Snapshot::Never),
        3 => Some(Snapshot::Always),
        _ => return None,
    };
    let only = match options.since {
        0 => Only::All,
        number if check::is_baseline(number) => Only::Since(number),
        _ => return None,
    };
    let known = options.flags & !QUIET == 0;
    let quiet = options.flags & QUIET != 0;
    known.then_some(Occasion::Recoverable { quiet, deadline_ms: options.deadline_ms, snapshot, only })
}

/// Writes the numbers of a check where there are some; its code.
///
/// # Safety
///
/// - `result` is null or was found acceptable, and is writable.
pub(crate) unsafe fn conclude(outcome: &Outcome, result: *mut CheckResult) -> c_int {
    if !matches!(outcome, Outcome::CouldNotCheck | Outcome::TurnedOff) {
        // SAFETY: the caller's duty.
        unsafe { write_versioned(result, &counted(&outcome.counts())) };
    }
    code_of(outcome)
}

/// As `enum standstill_code`.
pub(crate) fn code_of(outcome: &Outcome) -> c_int {
    match outcome {
        Outcome::Clean(_) => code::CLEAN,
        Outcome::Leaks { .. } => code::LEAKS,
        Outcome::Incomplete(_) => code::INCOMPLETE,
        Outcome::CouldNotCheck => code::COULD_NOT_CHECK,
        Outcome::TurnedOff => code::TURNED_OFF,
    }
}

fn counted(counts: &Counts) -> CheckResult {
    CheckResult {
        size: 0,
        direct_objects: counts.direct.objects,
        direct_bytes: counts.direct.bytes,
        indirect_objects: counts.indirect.objects,
        indirect_bytes: counts.indirect.bytes,
        possible_objects: counts.possible.objects,
        possible_bytes: counts.possible.bytes,
        suppressed_objects: counts.suppressed.objects,
        suppressed_bytes: counts.suppressed.bytes,
        pause_ns: counts.pause_ns,
        scan_ns: counts.scan_ns,
        copied_pages: counts.copied_pages,
        on_snapshot: u32::from(counts.on_snapshot),
        reserved: 0,
    }
}

entry_point!(/// `int standstill_check_recoverable(options, result)`
    standstill_check_recoverable => check_recoverable);

/// A struct of ours that begins with its size, as the caller's version of the header laid it: a smaller one is an older
/// caller's, whose missing members are zero; of a larger one the tail that we do not know must be zero.
///
/// # Safety
///
/// - `from` is null or points to as many readable bytes as its first word says.
pub(crate) unsafe fn read_versioned<T: Copy + Default>(from: *const T) -> Option<T> {
    let mut value = T::default();
    if from.is_null() {
        return Some(value);
    }
    // SAFETY: the caller's duty.
    if !unsafe { acceptable(from) } {
        return None;
    }
    // SAFETY: the first word is the size.
    let size = unsafe { from.cast::<usize>().read() };
    // SAFETY: `size` bytes are readable; T is plain integers.
    unsafe {
        core::ptr::copy_nonoverlapping(
            from.cast::<u8>(),
            (&raw mut value).cast::<u8>(),
            size.min(size_of::<T>()),
        )
    };
    Some(value)
}

/// # Safety
///
/// - `at` is null or points to as many readable bytes as its first word says.
pub(crate) unsafe fn acceptable<T>(at: *const T) -> bool {
    if at.is_null() {
        return true;
    }
    // SAFETY: the first word is the size.
    let size = unsafe { at.cast::<usize>().read() };
    // A megabyte is no struct of any version: an uninitialised size.
    if !(size_of::<usize>()..=1 << 20).contains(&size) {
        return false;
    }
    // SAFETY: inside the `size` bytes that the caller vouches for.
    (size_of::<T>()..size).all(|offset| unsafe { at.cast::<u8>().add(offset).read() } == 0)
}

/// Writes `value` but for its size, as far as the caller's struct reaches.
///
/// # Safety
///
/// - `to` is null or was found acceptable, and is writable.
pub(crate) unsafe fn write_versioned<T>(to: *mut T, value: &T) {
    if to.is_null() {
        return;
    }
    const HEAD: usize = size_of::<usize>();
    // SAFETY: the caller's duty.
    let size = unsafe { to.cast::<usize>().read() }.min(size_of::<T>());
    let from = core::ptr::from_ref(value).cast::<u8>();
    // SAFETY: HEAD..size lies inside both structs.
    unsafe { core::ptr::copy_nonoverlapping(from.add(HEAD), to.cast::<u8>().add(HEAD), size - HEAD) };
}

/// `void standstill_disable(void)`
#[unsafe(no_mangle)]
pub extern "C" fn standstill_disable() {
    threads::with(|thread| thread.disabled = thread.disabled.saturating_add(1));
}

/// `void standstill_enable(void)`
#[unsafe(no_mangle)]
pub extern "C" fn standstill_enable() {
    let matched = threads::with(|thread| {
        let matched = thread.disabled > 0;
        thread.disabled = thread.disabled.saturating_sub(1);
        matched
    });
    if matched == Some(false) {
        end(format_args!("Unmatched call to __lsan_enable() or standstill_enable()"));
    }
}

/// `void standstill_ignore_object(const void *object)`
#[unsafe(no_mangle)]
pub extern "C" fn standstill_ignore_object(object: *const c_void) {
    let found = heap::set_tag(Addr::of(object), Tag::Ignored);
    if !found && init::options().verbosity > 0 {
        say(format_args!("standstill_ignore_object: no heap object at {object:p}; ignored"));
    }
}

/// `void standstill_register_root_region(const void *start, size_t size)`
#[unsafe(no_mangle)]
pub extern "C" fn standstill_register_root_region(start: *const c_void, size: usize) {
    if size == 0 || start.addr().checked_add(size).is_none() {
        return end(format_args!("a root region at {start:p} of {size} bytes is empty or wraps around"));
    }
    if let Err(errno) = user_regions::register(AddrRange::sized(Addr::of(start), size)) {
        say(format_args!("the root region at {start:p} cannot be registered ({errno}): it is no root"));
    }
}

/// `void standstill_unregister_root_region(const void *start, size_t size)`
#[unsafe(no_mangle)]
pub extern "C" fn standstill_unregister_root_region(start: *const c_void, size: usize) {
    match user_regions::unregister(AddrRange::sized(Addr::of(start), size)) {
        Ok(true) => {}
        Ok(false) => end(format_args!(
            "the root region at {start:p} of {size} bytes is not registered, and is unregistered"
        )),
        Err(errno) => {
            say(format_args!(
                "the root region at {start:p} cannot be unregistered ({errno}): it stays a root"
            ));
        }
    }
}

/// A bug in the program's use of this interface: said in one line, and the process ends with the status of leaks. With
/// `exitcode=0` it goes on.
fn end(what: core::fmt::Arguments<'_>) {
    say(what);
    let status = init::options().exitcode;
    if status != 0 {
        exit_group(status.into());
    }
}

/// `uint32_t standstill_version(void)`
#[unsafe(no_mangle)]
pub extern "C" fn standstill_version() -> u32 {
    let part = |text: &str| text.parse().unwrap_or(0u32);
    10_000 * part(env!("CARGO_PKG_VERSION_MAJOR"))
        + 100 * part(env!("CARGO_PKG_VERSION_MINOR"))
        + part(env!("CARGO_PKG_VERSION_PATCH"))
}
