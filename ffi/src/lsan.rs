//! LeakSanitizer's names (`sanitizer/lsan_interface.h`) for what standstill.h offers.

use core::ffi::{c_int, c_void};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::check::{self, Occasion};
use standstill_runtime::entry_point;

use crate::{api, process, start};

/// `__lsan_disable()`
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_disable() {
    api::standstill_disable();
}

/// `__lsan_enable()`
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_enable() {
    api::standstill_enable();
}

/// `__lsan_ignore_object(p)`
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_ignore_object(object: *const c_void) {
    api::standstill_ignore_object(object);
}

/// `__lsan_register_root_region(p, size)`
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_register_root_region(region: *const c_void, size: usize) {
    api::standstill_register_root_region(region, size);
}

/// `__lsan_unregister_root_region(p, size)`
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_unregister_root_region(region: *const c_void, size: usize) {
    api::standstill_unregister_root_region(region, size);
}

/// `__lsan_init()`: LSan's runtime is started by it; ours is started already, or now.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_init() {
    start::start(0, core::ptr::null(), core::ptr::null());
}

unsafe extern "C" fn do_leak_check(_: usize, _: usize, _: usize, frame: &CallerFrame) {
    if let Some(status) = check::run(&Occasion::OneShot, frame).exit_status() {
        process::end(status);
    }
}

entry_point!(/// `__lsan_do_leak_check()`
    __lsan_do_leak_check => do_leak_check);

unsafe extern "C" fn do_recoverable_leak_check(_: usize, _: usize, _: usize, frame: &CallerFrame) -> c_int {
    c_int::from(check::run(&Occasion::RECOVERABLE, frame).found_leaks())
}

entry_point!(/// `int __lsan_do_recoverable_leak_check()`: 1 when there are leaks. 0 also says "could not check"; the text
    /// on standard error tells the two apart, and standstill_check_recoverable does in its result.
    __lsan_do_recoverable_leak_check => do_recoverable_leak_check);
