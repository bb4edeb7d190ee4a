//! standstill.h: baselines and scopes.

use core::ffi::c_int;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::check::{self, Occasion, Only, Outcome};
use standstill_runtime::entry_point;
use standstill_runtime::heap;
use standstill_runtime::report::say;
use standstill_runtime::sys::process;

use crate::api::{CheckResult, QUIET, acceptable, code, conclude};

unsafe extern "C" fn baseline(_: usize, _: usize, _: usize, frame: &CallerFrame) -> u32 {
    check::baseline(frame).unwrap_or(0)
}

entry_point!(/// `uint32_t standstill_baseline(void)`
    standstill_baseline => baseline);

/// `struct standstill_scope`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Scope {
    size: usize,
    flags: u32,
    number: u32,
    outer: u32,
    thread: i32,
}

/// The number of a scope that was begun while checks were off: the end of it is none either.
const OFF: u32 = u32::MAX;

unsafe extern "C" fn begin_scope(scope: *mut Scope, _: usize, _: usize, frame: &CallerFrame) -> c_int {
    // SAFETY: standstill.h: a struct whose first member tells its size.
    let Some(given) = (unsafe { given(scope) }) else { return bad("begin", "the struct is wrong") };
    if given.number != 0 {
        return bad("begin", "the struct's scope is open already");
    }
    let number = if check::is_off() {
        OFF
    } else if let Some(open) = check::begin_scope(frame) {
        u32::from(open.0)
    } else {
        say(format_args!(
            "no leak scope was begun: {} are open already, or ended without a check",
            heap::Scope::MOST
        ));
        return code::COULD_NOT_CHECK;
    };
    // SAFETY: the caller's own struct, which `given` found large enough.
    unsafe { scope.write(Scope { number, thread: process::tid().get(), ..given }) };
    code::DONE
}

entry_point!(/// `int standstill_scope_begin(scope)`
    standstill_scope_begin => begin_scope);

/// A bug in a test must not look like a test that passed.
fn bad(what: &str, why: &str) -> c_int {
    say(format_args!("standstill_scope_{what}: {why}; nothing was done, and nothing is known of leaks"));
    code::BAD_ARGUMENT
}

/// # Safety
///
/// - `scope` is null or a struct whose first member tells its size.
unsafe fn given(scope: *mut Scope) -> Option<Scope> {
    // SAFETY: the caller's duty.
    if scope.is_null() || !unsafe { acceptable(scope) } {
        return None;
    }
    // SAFETY: not null; its size is its first word.
    if unsafe { scope.cast::<usize>().read() } < size_of::<Scope>() {
        return None;
    }
    // SAFETY: as large as it says.
    let given = unsafe { scope.read() };
    (given.flags & !QUIET == 0).then_some(given)
}

unsafe extern "C" fn end_scope(
    scope: *mut Scope,
    result: *mut CheckResult,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: standstill.h: structs whose first members tell their sizes.
    let (given, fits) = unsafe { (given(scope), acceptable(result)) };
    let Some(given) = given.filter(|_| fits) else { return bad("end", "a struct is wrong") };
    // SAFETY: found large enough; from the end on the struct can begin another scope.
    let done = || unsafe { scope.write(Scope { number: 0, thread: 0, ..given }) };
    if given.number == OFF {
        done();
        return code::TURNED_OFF;
    }
    let number = u8::try_from(given.number).ok().filter(|_| given.thread == process::tid().get());
    let Some(ending) = number.and_then(|number| check::leave_scope(heap::Scope(number))) else {
        return bad(
            "end",
            "no scope of this thread is open in the struct: another one around it may have ended before",
        );
    };
    let only = Only::Scopes(ending);
    let occasion =
        Occasion::Recoverable { quiet: given.flags & QUIET != 0, deadline_ms: 0, snapshot: None, only };
    let outcome = check::run(&occasion, frame);
    ending.settle(!matches!(outcome, Outcome::CouldNotCheck | Outcome::TurnedOff));
    done();
    // SAFETY: found acceptable above.
    unsafe { conclude(&outcome, result) }
}

entry_point!(/// `int standstill_scope_end(scope, result)`
    standstill_scope_end => end_scope);
