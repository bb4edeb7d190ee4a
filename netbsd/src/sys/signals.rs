//! Sets of signals.

/// Bit `n - 1` is signal `n`, as in the runtime: NetBSD has 63 signals, and its `sigset_t` four 32-bit words that begin so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// Of the kernel's set (signal.h: `__bits[4]`).
    pub fn of(set: &libc::sigset_t) -> SignalSet {
        const { assert!(size_of::<libc::sigset_t>() == 16) };
        // SAFETY: four words of plain data, of which the first two make the number.
        let words = unsafe { *core::ptr::from_ref(set).cast::<[u32; 4]>() };
        SignalSet(u64::from(words[0]) | u64::from(words[1]) << 32)
    }
}

/// Blocks every signal in the calling thread: one that killed the tracer would kill the program with it (exit1,
/// "orphaned traced process").
pub fn block_all() {
    // SAFETY: sigfillset(3) writes the set, sigprocmask(2) reads it.
    unsafe {
        let mut all: libc::sigset_t = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, core::ptr::null_mut());
    }
}
