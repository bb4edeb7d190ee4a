//! Mappings of our own.

use core::ptr::NonNull;

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::sys::memory;

use super::own;

/// A private, zeroed, readable and writable mapping of ours, unmapped on drop.
pub struct OwnMap {
    range: AddrRange,
}

impl OwnMap {
    /// Maps at least `bytes`, rounded up to whole pages.
    pub fn new(bytes: usize) -> Result<OwnMap, Errno> {
        let start = map_own(bytes)?;
        Ok(OwnMap { range: AddrRange::sized(Addr::of(start.as_ptr()), round(bytes)) })
    }

    /// Where it lies.
    pub fn range(&self) -> AddrRange {
        self.range
    }

    /// Its first byte.
    pub fn start(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.range.start.get())
    }

    /// Keeps the mapping for good.
    pub fn leak(self) -> *mut u8 {
        let start = self.start();
        core::mem::forget(self);
        start
    }
}

impl Drop for OwnMap {
    fn drop(&mut self) {
        own::remove(self.range.start);
        // SAFETY: the range came from map_own, and the value that owned it is gone.
        let _ = unsafe { memory::unmap(self.range) };
    }
}

fn round(bytes: usize) -> usize {
    Addr::new(bytes.max(1)).align_up(page_size()).get()
}

/// Maps at least `bytes` of zeroed memory for good, entered in the list of our own mappings. Pages that are never
/// touched cost address space only.
pub fn map_own(bytes: usize) -> Result<NonNull<u8>, Errno> {
    map_with(bytes, 0)
}

/// As [`map_own`], without a claim on swap or commit (MAP_NORESERVE): for sparse tables of which little is touched.
pub fn map_own_reserved(bytes: usize) -> Result<NonNull<u8>, Errno> {
    map_with(bytes, libc::MAP_NORESERVE)
}

#[inline(never)]
fn map_with(bytes: usize, flags: libc::c_int) -> Result<NonNull<u8>, Errno> {
    let len = round(bytes);
    let start = memory::map_anonymous(Addr::NULL, len, libc::PROT_READ | libc::PROT_WRITE, flags)?;
    own::add(AddrRange::sized(start, len));
    NonNull::new(core::ptr::with_exposed_provenance_mut(start.get())).ok_or(Errno::new(libc::ENOMEM))
}
