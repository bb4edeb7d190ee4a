//! A growable array in a mapping of its own, or in a page of the pool as long as it is small.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::sys::memory;

use super::{map_own, own, pool};

/// An array of plain values that grows by mremap(2) and is unmapped on drop. It allocates nothing until the first push.
///
/// `T` is `Copy`: no destructor runs, and memory moves bit for bit.
pub struct MapVec<T: Copy> {
    start: Addr,
    /// Bytes mapped.
    mapped: usize,
    len: usize,
    of: PhantomData<T>,
}

// SAFETY: MapVec owns its mapping alone, as Vec owns its buffer; T: Copy values have no thread affinity of their own.
unsafe impl<T: Copy + Send> Send for MapVec<T> {}
// SAFETY: shared access gives only &T.
unsafe impl<T: Copy + Sync> Sync for MapVec<T> {}

impl<T: Copy> MapVec<T> {
    /// An empty array; maps nothing.
    pub const fn new() -> Self {
        /// Of all CPUs.
        const SMALLEST_PAGE: usize = 4096;
        assert!(align_of::<T>() <= SMALLEST_PAGE && size_of::<T>() > 0);
        MapVec { start: Addr::NULL, mapped: 0, len: 0, of: PhantomData }
    }

    /// Makes room for at least `capacity` values in all.
    pub fn reserve(&mut self, capacity: usize) -> Result<(), Errno> {
        let wanted = capacity.checked_mul(size_of::<T>()).ok_or(Errno::new(libc::ENOMEM))?;
        if wanted <= self.mapped {
            return Ok(());
        }
        let bytes = Addr::new(wanted.max(self.mapped.saturating_mul(2))).align_up(page_size()).get();
        let old = AddrRange::sized(self.start, self.mapped);
        // SAFETY: the old memory is ours alone, and `&mut self` says that nobody holds a reference into it. What lies in
        // it are `len` values.
        self.start = unsafe { grown(old, self.len * size_of::<T>(), bytes) }?;
        self.mapped = bytes;
        Ok(())
    }

    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), Errno> {
        if (self.len + 1) * size_of::<T>() > self.mapped {
            self.reserve(self.len + 1)?;
        }
        // SAFETY: the check above made room for one more value behind the last.
        unsafe { self.pointer().add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    /// Takes the last value.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let last = *self.last()?;
        self.len -= 1;
        Some(last)
    }

    /// Appends all of `values`.
    pub fn extend(&mut self, values: &[T]) -> Result<(), Errno> {
        self.reserve(self.len + values.len())?;
        // SAFETY: there is room for them behind the last value, and `&mut self` says that they do not overlap.
        unsafe {
            core::ptr::copy_nonoverlapping(values.as_ptr(), self.pointer().add(self.len), values.len())
        };
        self.len += values.len();
        Ok(())
    }

    /// Makes the array `len` long, filling with `value`.
    pub fn resize(&mut self, len: usize, value: T) -> Result<(), Errno> {
        self.reserve(len)?;
        for index in self.len..len {
            // SAFETY: there is room for `len` values.
            unsafe { self.pointer().add(index).write(value) };
        }
        self.len = len;
        Ok(())
    }

    /// Keeps the first `len` values.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    fn pointer(&self) -> *mut T {
        if self.mapped == 0 {
            core::ptr::dangling_mut()
        } else {
            core::ptr::with_exposed_provenance_mut(self.start.get())
        }
    }
}

impl MapVec<u64> {
    /// Makes the array `len` words long, all zero, as fast as the kernel gives zeroed pages.
    pub fn zeroed(len: usize) -> Result<Self, Errno> {
        let mut array = Self::new();
        array.reserve(len)?;
        array.len = len;
        Ok(array)
    }
}

impl<T: Copy> Deref for MapVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` values were written (or are zeroed words), inside the mapping; an empty array is a
        // dangling, aligned pointer with length 0 (core::slice::from_raw_parts).
        unsafe { core::slice::from_raw_parts(self.pointer(), self.len) }
    }
}

impl<T: Copy> DerefMut for MapVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in deref, and `&mut self` is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.pointer(), self.len) }
    }
}

impl<T: Copy> Default for MapVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Drop for MapVec<T> {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: the memory is ours, and its owner is gone.
            unsafe { give_back(AddrRange::sized(self.start, self.mapped)) };
        }
    }
}

// The rest is the same for every type, and there once.

/// Memory of `bytes`, a multiple of the page, with the first `used` bytes of `old` (empty, a page of the pool or a
/// mapping), which is gone then. Nothing has happened when there is none.
///
/// # Safety
///
/// `old` is memory of a [`MapVec`] with no reference into it.
#[inline(never)]
unsafe fn grown(old: AddrRange, used: usize, bytes: usize) -> Result<Addr, Errno> {
    if old.is_empty() {
        let page = if bytes == page_size() { pool::take() } else { None };
        return Ok(Addr::of(page.map_or_else(|| map_own(bytes), Ok)?.as_ptr()));
    }
    if pool::contains(old.start) {
        let start = map_own(bytes)?;
        let from = core::ptr::with_exposed_provenance::<u8>(old.start.get());
        // SAFETY: `used` bytes lie in the old page, and the new memory has more room; they do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(from, start.as_ptr(), used) };
        pool::give(old.start);
        return Ok(Addr::of(start.as_ptr()));
    }
    // SAFETY: the mapping is ours alone, and the caller says that nobody holds a reference into it.
    let start = unsafe { memory::remap(old, bytes, libc::MREMAP_MAYMOVE) }?;
    own::remove(old.start);
    own::add(AddrRange::sized(start, bytes));
    Ok(start)
}

/// Gives memory back to where it came from.
///
/// # Safety
///
/// It is memory of a [`MapVec`] that is gone.
#[inline(never)]
unsafe fn give_back(range: AddrRange) {
    if !pool::give(range.start) {
        own::remove(range.start);
        // SAFETY: the mapping is ours, and its owner is gone.
        let _ = unsafe { memory::unmap(range) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_keeps_its_values() {
        let mut array = MapVec::new();
        for i in 0..100_000u64 {
            array.push(i * 3).unwrap();
        }
        assert!(array.iter().enumerate().all(|(i, v)| *v == i as u64 * 3));
        assert_eq!(array.pop(), Some(299_997));
        array.truncate(5);
        assert_eq!(&array[..], [0, 3, 6, 9, 12]);
        array.resize(7, 1).unwrap();
        assert_eq!(&array[4..], [12, 1, 1]);
    }

    #[test]
    fn is_in_the_list_of_own_mappings_while_it_lives() {
        let mut array = MapVec::<u64>::zeroed(1000).unwrap();
        array[999] = 7;
        let inside = Addr::of(array.as_ptr());
        assert!(own::ranges().any(|range| range.contains(inside)));
        drop(array);
        assert!(!own::ranges().any(|range| range.contains(inside)));
    }
}
