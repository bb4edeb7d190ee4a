//! Functions of the C library that ours stand before, and go on in.
//!
//! All are found at the start: dlsym(3) takes the loader's lock and may allocate, and the first call of a function may be
//! in a signal handler, in a forked child, or in a thread that the constructor of a library waits for, inside dlopen(3).
//! Only what a constructor calls that runs before ours, and what this C library does not have, is looked for at the call.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::weak::weak;

/// Defines functions `$name() -> Option<$type>`, the definition of `$symbol` that comes after ours (dlsym(3), RTLD_NEXT),
/// and `resolve`, which finds them all and must be called by [`resolve`]. `of $version`: in that version, where there is one.
macro_rules! nexts {
    ($($visible:vis $name:ident: $type:ty = $symbol:literal $(of $version:literal)?;)+) => {
        $(
            #[inline]
            $visible fn $name() -> Option<$type> {
                static FOUND: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
                let mut address = FOUND.load(core::sync::atomic::Ordering::Relaxed);
                if address == 0 {
                    let versions: &[&core::ffi::CStr] = &[$($version)?];
                    address = crate::next::find($symbol, versions.first().copied(), &FOUND);
                }
                // SAFETY: the C library's function of that name, whose type its standard gives.
                (address != 0).then(|| unsafe { core::mem::transmute::<usize, $type>(address) })
            }
        )+

        pub(crate) fn resolve() {
            $($name();)+
        }
    };
}

pub(crate) use nexts;

/// The address of `symbol`, which is stored in `found`; 0 for none.
#[cold]
#[inline(never)]
pub(crate) fn find(symbol: &CStr, version: Option<&CStr>, found: &AtomicUsize) -> usize {
    let of_version = version.and_then(|version| crate::start::next_symbol_of(symbol, version));
    let address = of_version.or_else(|| crate::start::next_symbol(symbol)).map_or(0, |found| found.addr());
    found.store(address, Relaxed);
    address
}

weak!(/// In the shared library alone, whose link defines it (shared.ld).
    shared_library: *const u8 = "standstill_shared_library");

/// In a program that holds the archive ours stand before nobody's.
pub(crate) fn in_shared_library() -> bool {
    shared_library().is_some()
}

/// Finds all functions before the program runs.
pub(crate) fn resolve() {
    if in_shared_library() {
        crate::descriptors::resolve();
        crate::descriptors::real::resolve();
        crate::exec::real::resolve();
        crate::joins::resolve();
        crate::joins::real::resolve();
        crate::mappings::resolve();
        crate::sleeping::resolve();
        crate::sockets::resolve();
        crate::timed::resolve();
        crate::transfers::resolve();
        crate::waits::real::resolve();
    }
}

/// What a function returns that this C library does not have.
#[cold]
pub(crate) fn absent() -> isize {
    crate::malloc::set_errno(libc::ENOSYS);
    -1
}
