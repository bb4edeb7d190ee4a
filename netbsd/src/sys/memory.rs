//! mmap(2).

use crate::base::{Addr, Errno};

use super::last_error;

/// Who sees what is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// This process; a forked child gets a copy.
    Private,
    /// A forked child too.
    WithChildren,
}

/// Maps zeroed memory.
pub fn map(bytes: usize, sharing: Sharing) -> Result<Addr, Errno> {
    let flags = match sharing {
        Sharing::Private => libc::MAP_PRIVATE,
        Sharing::WithChildren => libc::MAP_SHARED,
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping where the kernel likes (mmap(2)).
    let at = unsafe { libc::mmap(core::ptr::null_mut(), bytes, protection, flags | libc::MAP_ANON, -1, 0) };
    if at == libc::MAP_FAILED { Err(last_error()) } else { Ok(Addr::new(at.expose_provenance())) }
}

/// Unmaps.
///
/// # Safety
///
/// The mapping is the caller's, with no reference into it.
pub unsafe fn unmap(start: Addr, bytes: usize) {
    // SAFETY: the caller's duty.
    unsafe { libc::munmap(core::ptr::with_exposed_provenance_mut(start.get()), bytes) };
}
