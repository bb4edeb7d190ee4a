//! Bytes that several tasks change at once.

use core::ops::Deref;
use core::sync::atomic::AtomicU8;

use crate::base::Errno;

use super::MapVec;

/// A fixed array of atomic bytes, zero at first, in a mapping of its own.
pub struct AtomicBytes {
    /// Only ever seen as atomic bytes.
    words: MapVec<u64>,
    len: usize,
}

impl AtomicBytes {
    /// `len` bytes.
    pub fn zeroed(len: usize) -> Result<AtomicBytes, Errno> {
        Ok(AtomicBytes { words: MapVec::zeroed(len.div_ceil(size_of::<u64>()))?, len })
    }
}

impl Deref for AtomicBytes {
    type Target = [AtomicU8];

    #[inline]
    fn deref(&self) -> &[AtomicU8] {
        // SAFETY: AtomicU8 has size and alignment of u8 (core::sync::atomic), and the words have `len` bytes. The memory is a
        // mapping, not a Rust object, and nobody has a reference to the plain words.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast_mut().cast::<AtomicU8>(), self.len) }
    }
}
