//! # The C ABI of Standstill
#![no_std]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    standstill_runtime::sys::process::trap("a bug in the runtime itself (panic)")
}
