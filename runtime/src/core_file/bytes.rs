//! Bytes of a file in the making, in the byte order of this CPU.

use core::ops::Deref;

use crate::base::Errno;
use crate::mem::MapVec;

/// A growing run of bytes in memory of ours.
pub(super) struct Bytes(MapVec<u8>);

impl Bytes {
    pub(super) const fn new() -> Bytes {
        Bytes(MapVec::new())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.0.reserve(self.0.len() + bytes.len())?;
        bytes.iter().try_for_each(|byte| self.0.push(*byte))
    }

    pub(super) fn half(&mut self, value: u16) -> Result<(), Errno> {
        self.bytes(&value.to_ne_bytes())
    }

    pub(super) fn word(&mut self, value: u32) -> Result<(), Errno> {
        self.bytes(&value.to_ne_bytes())
    }

    pub(super) fn long(&mut self, value: u64) -> Result<(), Errno> {
        self.bytes(&value.to_ne_bytes())
    }

    /// `text`, cut or filled with zeros to `len` bytes.
    pub(super) fn text(&mut self, text: &[u8], len: usize) -> Result<(), Errno> {
        let fits = text.len().min(len);
        self.bytes(text.get(..fits).unwrap_or_default())?;
        self.zeros(len - fits)
    }

    pub(super) fn zeros(&mut self, count: usize) -> Result<(), Errno> {
        self.0.resize(self.0.len() + count, 0)
    }

    /// Zeros up to a multiple of `unit`.
    pub(super) fn align(&mut self, unit: usize) -> Result<(), Errno> {
        self.zeros(self.0.len().next_multiple_of(unit) - self.0.len())
    }

    /// Overwrites the word at `at`.
    pub(super) fn set_word(&mut self, at: usize, value: u32) {
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
