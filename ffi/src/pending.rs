//! standstill.h: a check in two calls.

use core::ffi::c_int;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::check::{self, Begun};
use standstill_runtime::entry_point;
use standstill_runtime::mem::{OwnMap, with_room};

use crate::api::{CheckOptions, CheckResult, acceptable, code, code_of, conclude, occasion};

/// `struct standstill_pending`: lies at the start of a mapping of its own.
pub struct Pending {
    begun: Begun,
    map: OwnMap,
}

unsafe extern "C" fn begin(
    options: *const CheckOptions,
    pending: *mut *mut Pending,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    let Some(occasion) = (unsafe { occasion(options) }) else { return code::BAD_ARGUMENT };
    if pending.is_null() {
        return code::BAD_ARGUMENT;
    }
    // First, so that nothing is begun that cannot be finished.
    let Ok(map) = OwnMap::new(size_of::<Pending>()) else { return code::COULD_NOT_CHECK };
    let at: *mut Pending = map.start().cast();
    let (mut map, mut answer) = (Some(map), code::COULD_NOT_CHECK);
    with_room(&mut || {
        answer = match check::begin(&occasion, true, frame) {
            Ok(begun) => {
                if let Some(map) = map.take() {
                    // SAFETY: the mapping begins at a page and has room; `pending` is writable (standstill.h).
                    unsafe {
                        at.write(Pending { begun, map });
                        pending.write(at);
                    }
                }
                code::DONE
            }
            Err(outcome) => code_of(&outcome),
        }
    });
    answer
}

entry_point!(/// `int standstill_check_begin(options, pending)`
    standstill_check_begin => begin);

/// `int standstill_check_descriptor(pending)`
///
/// # Safety
///
/// - standstill.h: `pending` came from `standstill_check_begin` and is not finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_check_descriptor(pending: *const Pending) -> c_int {
    // SAFETY: the caller's duty.
    let pending = unsafe { pending.as_ref() };
    pending.and_then(|pending| pending.begun.descriptor()).map_or(-1, |fd| fd.into_raw())
}

unsafe extern "C" fn finish(
    pending: *mut Pending,
    result: *mut CheckResult,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    if pending.is_null() || !unsafe { acceptable(result) } {
        return code::BAD_ARGUMENT;
    }
    let mut answer = code::COULD_NOT_CHECK;
    with_room(&mut || {
        // SAFETY: standstill.h: from standstill_check_begin, and given up by this call; once.
        let Pending { begun, map } = unsafe { pending.read() };
        drop(map);
        let outcome = begun.finish(frame);
        // SAFETY: checked above.
        answer = unsafe { conclude(&outcome, result) };
    });
    answer
}

entry_point!(/// `int standstill_check_finish(pending, result)`
    standstill_check_finish => finish);
