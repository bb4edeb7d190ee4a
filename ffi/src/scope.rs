//! standstill.h: baselines and scopes.

use core::ffi::c_int;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::check::{self, Occasion, Only, OpenScope, Outcome};
use standstill_runtime::entry_point;
use standstill_runtime::heap;

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

/// `int standstill_scope_begin(struct standstill_scope *scope)`
///
/// # Safety
///
/// - As standstill.h has it: `scope` is a struct whose first member tells its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_scope_begin(scope: *mut Scope) -> c_int {
    // SAFETY: the caller's duty.
    let Some(given) = (unsafe { given(scope) }) else { return code::BAD_ARGUMENT };
    if given.number != 0 {
        return code::BAD_ARGUMENT;
    }
    let Some(open) = check::begin_scope() else { return code::COULD_NOT_CHECK };
    let (number, outer) = (u32::from(open.scope.0), u32::from(open.outer.0));
    // SAFETY: the caller's own struct, which `given` found large enough.
    unsafe { scope.write(Scope { number, outer, thread: open.thread, ..given }) };
    code::DONE
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
    let Some(given) = given.filter(|_| fits) else { return code::BAD_ARGUMENT };
    let number = |number: u32| u8::try_from(number).ok().filter(|n| *n <= heap::Scope::MOST).map(heap::Scope);
    let (Some(own), Some(outer)) = (number(given.number), number(given.outer)) else {
        return code::BAD_ARGUMENT;
    };
    let open = OpenScope { scope: own, outer, thread: given.thread };
    if !check::is_innermost(&open) {
        return code::BAD_ARGUMENT;
    }
    check::leave_scope(&open);
    let only = Only::Scope { scope: open.scope, outer };
    let occasion =
        Occasion::Recoverable { quiet: given.flags & QUIET != 0, deadline_ms: 0, snapshot: None, only };
    let outcome = check::run(&occasion, frame);
    // After a check that failed, blocks may still have the number: it is not given again.
    if outcome != Outcome::CouldNotCheck {
        check::forget_scope(&open);
    }
    // SAFETY: as above; from now on the struct can begin another scope.
    unsafe { scope.write(Scope { number: 0, outer: 0, thread: 0, ..given }) };
    // SAFETY: found acceptable above.
    unsafe { conclude(&outcome, result) }
}

entry_point!(/// `int standstill_scope_end(scope, result)`
    standstill_scope_end => end_scope);
