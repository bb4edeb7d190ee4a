//! futex(2): waiting for a word to change. Never FUTEX_PRIVATE: the kernel's own wake at a task's end
//! (CLONE_CHILD_CLEARTID) is a shared one, and a shared wait is not woken by a private wake.

use core::sync::atomic::AtomicU32;

use crate::base::Errno;

use super::invoke::syscall;

/// `futex(word, FUTEX_WAIT, value, timeout)`: sleeps while the word holds `value`, at most `timeout_ns`.
///
/// EAGAIN: it holds another value. ETIMEDOUT, EINTR: as they say.
pub fn wait(word: &AtomicU32, value: u32, timeout_ns: u64) -> Result<(), Errno> {
    let timeout = super::timer::timespec(timeout_ns);
    let (at, timeout_at) = (core::ptr::from_ref(word).addr(), core::ptr::from_ref(&timeout).addr());
    let wait = libc::FUTEX_WAIT as usize;
    // SAFETY: the word and the timeout live through the call; the kernel only reads them.
    unsafe { syscall(libc::SYS_futex, [at, wait, value as usize, timeout_at, 0, 0]) }.map(drop)
}

/// `futex(word, FUTEX_WAKE, count)`.
pub fn wake(word: &AtomicU32, count: i32) -> Result<usize, Errno> {
    let at = core::ptr::from_ref(word).addr();
    // SAFETY: names a word by its address; touches no memory.
    unsafe { syscall(libc::SYS_futex, [at, libc::FUTEX_WAKE as usize, count as usize, 0, 0, 0]) }
}
