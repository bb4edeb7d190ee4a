//! The one door to the kernel.
//!
//! In unit tests the next calls of a number can be let fail with an error without their being made; the rest of the runtime
//! then shows what it does about it. Elsewhere this is the bare instruction.

use crate::arch;
use crate::base::Errno;

/// Makes system call `nr` with up to six arguments.
///
/// # Safety
///
/// - The call and its arguments must be sound for the process: pointers valid for what the kernel does with them.
#[inline(always)]
pub unsafe fn syscall(nr: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    #[cfg(test)]
    if let Some(errno) = injection::take(nr) {
        return Err(errno);
    }
    // SAFETY: the caller's duty, passed on.
    Errno::split(unsafe { arch::syscall6(nr as usize, arguments) })
}

/// Chosen failures of system calls, of the whole process: for tests that run in a process of their own.
#[cfg(test)]
pub mod injection {
    use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

    use crate::base::Errno;

    static NUMBER: AtomicI32 = AtomicI32::new(-1);
    static ERRNO: AtomicI32 = AtomicI32::new(0);
    static SKIP: AtomicU32 = AtomicU32::new(0);
    static TIMES: AtomicU32 = AtomicU32::new(0);

    /// From now on: let `skip` calls of `nr` pass, then let `times` of them fail with `errno`.
    pub fn arm(nr: libc::c_long, errno: i32, skip: u32, times: u32) {
        TIMES.store(0, Relaxed);
        NUMBER.store(nr as i32, Relaxed);
        ERRNO.store(errno, Relaxed);
        SKIP.store(skip, Relaxed);
        TIMES.store(times, Relaxed);
    }

    /// How many failures are still to come; 0 says that all were used.
    pub fn left() -> u32 {
        TIMES.load(Relaxed)
    }

    pub(in crate::sys) fn take(nr: libc::c_long) -> Option<Errno> {
        if nr as i32 != NUMBER.load(Relaxed) || TIMES.load(Relaxed) == 0 {
            return None;
        }
        if SKIP.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok() {
            return None;
        }
        TIMES.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).ok()?;
        Some(Errno::new(ERRNO.load(Relaxed)))
    }
}
