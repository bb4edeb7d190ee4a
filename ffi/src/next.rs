//! Functions of the C library that ours stand before, and go on in.

/// Defines a function `$name() -> Option<$type>`: the definition of `$symbol` that comes after ours (dlsym(3), RTLD_NEXT).
macro_rules! next {
    ($(#[$doc:meta])* $visible:vis $name:ident: $type:ty = $symbol:literal) => {
        $(#[$doc])*
        #[inline]
        $visible fn $name() -> Option<$type> {
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

/// Defines several such functions, and `resolve`, which finds them all.
macro_rules! nexts {
    ($($name:ident: $type:ty = $symbol:literal;)+) => {
        $($crate::next::next!($name: $type = $symbol);)+

        pub(crate) fn resolve() {
            $($name();)+
        }
    };
}

pub(crate) use {next, nexts};

/// Finds all functions before the program runs. dlsym(3) takes the loader's lock and may allocate, and the first use may
/// be in a signal handler or in a forked child.
pub(crate) fn resolve() {
    // In a program that holds the archive ours stand before nobody's.
    let ours = crate::timed::poll as *const () as *const core::ffi::c_void;
    if crate::start::symbol(c"poll").is_some_and(|first| core::ptr::eq(first, ours)) {
        crate::exec::resolve();
        crate::timed::resolve();
        crate::transfers::resolve();
        crate::waits::resolve();
    }
}

/// What a function returns that this C library does not have.
#[cold]
pub(crate) fn absent() -> isize {
    crate::malloc::set_errno(libc::ENOSYS);
    -1
}
