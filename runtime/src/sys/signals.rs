//! Signals: rt_sigaction(2), rt_sigprocmask(2), sigaltstack(2) by raw calls, on the kernel's own structures.
//!
//! Raw, not through libc: libc keeps its internal signals (32 and 33 with glibc) out of every mask and action that it
//! is given, and a helper without thread-local storage may not call it at all.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::arch;
use crate::base::Errno;

use super::invoke::syscall;

/// A set of signals, as the kernel lays it out: bit `n - 1` is signal `n`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: SignalSet = SignalSet(0);
    /// Every signal. SIGKILL and SIGSTOP cannot be blocked whatever the mask says (signal(7)).
    pub const ALL: SignalSet = SignalSet(u64::MAX);

    /// With `signal` (1..=64) added.
    pub const fn with(self, signal: i32) -> SignalSet {
        SignalSet(self.0 | 1 << (signal - 1))
    }

    /// With `signal` (1..=64) removed.
    pub const fn without(self, signal: i32) -> SignalSet {
        SignalSet(self.0 & !(1 << (signal - 1)))
    }

    /// Those that programs queue with a value: without those that kernel, terminal and kill(1) send, with a siginfo of their own
    /// making, or that libc keeps for itself. A daemon that blocks SIGTERM, or a program whose SIGALRM has come, has queued
    /// nothing.
    pub fn with_values(self) -> SignalSet {
        const WITHOUT: [i32; 15] = [
            libc::SIGHUP,
            libc::SIGINT,
            libc::SIGQUIT,
            libc::SIGPIPE,
            libc::SIGALRM,
            libc::SIGTERM,
            libc::SIGCHLD,
            libc::SIGCONT,
            libc::SIGTSTP,
            libc::SIGTTIN,
            libc::SIGTTOU,
            libc::SIGURG,
            libc::SIGVTALRM,
            libc::SIGPROF,
            libc::SIGWINCH,
        ];
        WITHOUT.into_iter().chain(32..=libc_internal()).fold(self, SignalSet::without)
    }

    /// True when `signal` (1..=64) is in the set.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 & 1 << (signal - 1) != 0
    }
}

/// What a signal does: `struct sigaction` of the kernel (include/linux/signal_types.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Action {
    /// SIG_DFL, SIG_IGN or the address of a handler.
    pub handler: usize,
    /// SA_* bits.
    pub flags: u64,
    /// Where a handler returns to; calls rt_sigreturn.
    pub restorer: usize,
    /// Blocked while the handler runs.
    pub mask: SignalSet,
}

/// A handler with SA_SIGINFO. The third argument is the interrupted context, `ucontext_t`.
pub type Handler = unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::ucontext_t);

impl Action {
    /// The default action.
    pub const DEFAULT: Action =
        Action { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: SignalSet::EMPTY };

    /// Runs `handler` with `flags` added to SA_SIGINFO, and `mask` blocked meanwhile.
    pub fn handle(handler: Handler, flags: libc::c_int, mask: SignalSet) -> Action {
        const SA_RESTORER: u64 = 0x0400_0000;
        let restorer = arch::signal_restorer();
        let flags = (flags | libc::SA_SIGINFO) as u64 | if restorer.is_some() { SA_RESTORER } else { 0 };
        Action { handler: handler as usize, flags, restorer: restorer.unwrap_or(0), mask }
    }
}

/// `rt_sigaction(signal, new, old, 8)`: sets the action when there is a new one, returns the old one.
///
/// # Safety
///
/// - A handler must be a function of type [`Handler`] that may run whenever `signal` is delivered to any task that
///   shares this table of handlers.
pub unsafe fn set_action(signal: i32, new: Option<&Action>) -> Result<Action, Errno> {
    let mut old = Action::DEFAULT;
    let new = new.map_or(0, |action| core::ptr::from_ref(action).addr());
    let old_at = core::ptr::from_mut(&mut old).addr();
    // SAFETY: both structures are the kernel's and live through the call; the handler is the caller's duty.
    unsafe { syscall(libc::SYS_rt_sigaction, [signal as usize, new, old_at, size_of::<SignalSet>(), 0, 0]) }?;
    Ok(old)
}

/// What `signal` does now.
pub fn action(signal: i32) -> Result<Action, Errno> {
    // SAFETY: sets nothing.
    unsafe { set_action(signal, None) }
}

/// `rt_sigprocmask(SIG_SETMASK, new, old, 8)`: replaces the calling thread's mask, returns the old one.
pub fn set_mask(new: SignalSet) -> Result<SignalSet, Errno> {
    let mut old = SignalSet::EMPTY;
    let how = libc::SIG_SETMASK as usize;
    let (new_at, old_at) = (core::ptr::from_ref(&new).addr(), core::ptr::from_mut(&mut old).addr());
    // SAFETY: both sets live through the call; a mask changes only when handlers run.
    unsafe { syscall(libc::SYS_rt_sigprocmask, [how, new_at, old_at, size_of::<SignalSet>(), 0, 0]) }?;
    Ok(old)
}

/// `rt_sigpending(set, 8)`: the signals that wait for the calling thread or its process.
pub fn pending() -> Result<SignalSet, Errno> {
    let mut set = SignalSet::EMPTY;
    let arguments = [core::ptr::from_mut(&mut set).addr(), size_of::<SignalSet>(), 0, 0, 0, 0];
    // SAFETY: the kernel writes one set, which we hold exclusively.
    unsafe { syscall(libc::SYS_rt_sigpending, arguments) }?;
    Ok(set)
}

/// `rt_sigtimedwait(set, NULL, {0, 0}, 8)`: takes one pending signal of `set` without waiting and returns its number.
/// EAGAIN when none is pending.
pub fn take_pending(set: SignalSet) -> Result<i32, Errno> {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let (set_at, zero_at) = (core::ptr::from_ref(&set).addr(), core::ptr::from_ref(&zero).addr());
    let arguments = [set_at, 0, zero_at, size_of::<SignalSet>(), 0, 0];
    // SAFETY: set and time live through the call; no information about the signal is asked for.
    unsafe { syscall(libc::SYS_rt_sigtimedwait, arguments) }.map(|signal| signal as i32)
}

/// The signals that do nothing now: ignored by the program, or by default.
pub fn ignored() -> SignalSet {
    const BY_DEFAULT: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    let does_nothing = |signal: i32| match action(signal).map(|action| action.handler) {
        Ok(libc::SIG_IGN) => true,
        Ok(libc::SIG_DFL) => BY_DEFAULT.contains(&signal),
        _ => false,
    };
    (1..=64).filter(|signal| does_nothing(*signal)).fold(SignalSet::EMPTY, SignalSet::with)
}

/// The signals to block in a thread where no handler of the program may run: all but those that do nothing.
///
/// One that does nothing is dropped when it is sent, unless the thread it is sent to blocks it: then it waits, and the
/// kernel wakes another thread for it, whose system call ends early though no handler runs (kernel/signal.c, sig_ignored
/// and complete_signal). SIGCHLD is sent to the thread that made the child.
pub fn handleable() -> SignalSet {
    SignalSet(SignalSet::ALL.0 & !ignored().0)
}

/// Blocks every signal that does something on the calling thread until dropped.
pub struct AllBlocked(SignalSet);

impl AllBlocked {
    /// Blocks them.
    pub fn new() -> Result<AllBlocked, Errno> {
        // What the thread blocks stays blocked.
        let old = set_mask(SignalSet::ALL)?;
        set_mask(SignalSet(handleable().0 | old.0)).inspect_err(|_| {
            let _ = set_mask(old);
        })?;
        Ok(AllBlocked(old))
    }

    /// The mask as it was.
    pub fn previous(&self) -> SignalSet {
        self.0
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        let _ = set_mask(self.0);
    }
}

/// glibc's signal for changing the user of all threads (nptl, internaltypes.h).
pub const SIGSETXID: i32 = 33;
/// musl's signal for running code on all threads (src/internal/pthread_impl.h).
pub const SIGSYNCCALL: i32 = 34;

/// Has the calling task's children be waited for, whatever was done with SIGCHLD before: where it is ignored, nobody's end can be
/// (wait(2)).
pub fn keep_ended_children() {
    // SAFETY: the new action is no handler.
    let _ = unsafe { set_action(libc::SIGCHLD, Some(&Action::DEFAULT)) };
}

static LIBC_INTERNAL: AtomicI32 = AtomicI32::new(SIGSETXID);

/// The signal that libc keeps for itself to run code on every thread, and so out of every mask and every set to wait for
/// that a program can name: [`SIGSETXID`] unless [`set_libc_internal`] has said otherwise.
pub fn libc_internal() -> i32 {
    LIBC_INTERNAL.load(Relaxed)
}

/// Tells which signal that is. Called once, at init.
pub fn set_libc_internal(signal: i32) {
    LIBC_INTERNAL.store(signal, Relaxed);
}

/// `rt_tgsigqueueinfo(group, tid, signal, {SI_QUEUE, value})`: a queued signal to one thread. EAGAIN: the queue is full.
pub fn queue(group: i32, tid: crate::base::Tid, signal: i32, value: usize) -> Result<(), Errno> {
    // siginfo_t: signo, errno, code, pad, pid, uid, value (include/uapi/asm-generic/siginfo.h).
    let mut info = [0u64; 16];
    info[0] = signal as u64;
    info[1] = u64::from(libc::SI_QUEUE as u32);
    info[2] = super::process::pid() as u64;
    info[3] = value as u64;
    let arguments = [group as usize, tid.get() as usize, signal as usize, info.as_ptr().addr(), 0, 0];
    // SAFETY: the kernel reads one siginfo_t of 128 bytes.
    unsafe { syscall(libc::SYS_rt_tgsigqueueinfo, arguments) }.map(drop)
}
