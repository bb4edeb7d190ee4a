//! Words that several tasks change at once.

use core::ops::Deref;
use core::sync::atomic::AtomicU64;

use crate::base::Errno;

use super::MapVec;

/// A fixed array of atomic words, zero at first, in a mapping of its own.
pub struct AtomicWords {
    /// Only ever seen as atomics while the array is shared.
    words: MapVec<u64>,
}

impl AtomicWords {
    /// `len` words.
    pub fn zeroed(len: usize) -> Result<AtomicWords, Errno> {
        Ok(AtomicWords { words: MapVec::zeroed(len)? })
    }

    /// The words, for who has them alone.
    pub fn exclusive(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

impl Deref for AtomicWords {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        let words: &[u64] = &self.words;
        // SAFETY: AtomicU64 has size and alignment of u64 (core::sync::atomic). The memory is a mapping, not a Rust
        // object, and no reference to plain words lives beside this one: `exclusive` takes `&mut self`.
        unsafe { core::slice::from_raw_parts(words.as_ptr().cast_mut().cast::<AtomicU64>(), words.len()) }
    }
}
