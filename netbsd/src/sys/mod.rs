//! Typed system calls, no policy.
//!
//! # Safety
//!
//! Each block cites the man page. libc's wrappers touch errno only, which in the tracer is a copy of the caller's.

pub mod memory;
pub mod process;
pub mod ptrace;
pub mod signals;

use crate::base::Errno;

/// The error of the call that has just failed.
pub(crate) fn last_error() -> Errno {
    // SAFETY: errno(2) of this thread.
    Errno::new(unsafe { *libc::__errno() })
}
