//! Weak symbols: functions and data of libc, of the C++ library or of the program that may be missing.
//!
//! The address is loaded from the global offset table in assembly. A null test on a Rust `extern fn` would be folded
//! to "present", and a call would jump to address 0.

/// Defines a function `$name() -> Option<$type>` that returns the C function or the address of the data `$symbol`, where
/// the process has it.
macro_rules! weak {
    ($(#[$doc:meta])* $name:ident: $type:ty = $symbol:literal) => {
        $(#[$doc])*
        fn $name() -> Option<$type> {
            let address: *const ();
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a load from the global offset table; an absent weak symbol reads as 0 (ELF gABI, symbol binding).
            unsafe {
                core::arch::asm!(concat!(".weak ", $symbol), concat!("mov {}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                    out(reg) address, options(nostack, readonly, pure, preserves_flags));
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            unsafe {
                core::arch::asm!(concat!(".weak ", $symbol), concat!("adrp {0}, :got:", $symbol),
                    concat!("ldr {0}, [{0}, :got_lo12:", $symbol, "]"),
                    out(reg) address, options(nostack, readonly, pure, preserves_flags));
            }
            // SAFETY: not null, so it is the function or the data of that name, whose type its standard gives.
            (!address.is_null()).then(|| unsafe { core::mem::transmute::<*const (), $type>(address) })
        }
    };
}

pub(crate) use weak;
