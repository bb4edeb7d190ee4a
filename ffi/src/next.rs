//! Functions of the C library that ours stand before, and go on in.

/// Defines a function `$name() -> Option<$type>`: the definition of `$symbol` that comes after ours (dlsym(3), RTLD_NEXT).
macro_rules! next {
    ($(#[$doc:meta])* $name:ident: $type:ty = $symbol:literal) => {
        $(#[$doc])*
        #[inline]
        fn $name() -> Option<$type> {
            static FOUND: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
            let mut address = FOUND.load(core::sync::atomic::Ordering::Relaxed);
            if address == 0 {
                address = crate::start::next_symbol($symbol).map_or(0, |found| found.addr());
                FOUND.store(address, core::sync::atomic::Ordering::Relaxed);
            }
            // SAFETY: the C library's function of that name, whose type its standard gives.
            (address != 0).then(|| unsafe { core::mem::transmute::<usize, $type>(address) })
        }
    };
}

pub(crate) use next;

/// What a function returns that this C library does not have.
#[cold]
pub(crate) fn absent() -> isize {
    crate::malloc::set_errno(libc::ENOSYS);
    -1
}
