//! Memory of the tracer's own, and reads of the stopped process.

use core::marker::PhantomData;
use core::ops::Deref;

use crate::base::{Addr, Errno};
use crate::sys::{memory, ptrace::Stopped};

const SMALLEST: usize = 64 << 10;

/// An array of plain values in a mapping of its own; moves to one of twice the size when it is full.
pub struct MapVec<T: Copy> {
    start: Addr,
    mapped: usize,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Copy> MapVec<T> {
    /// An empty array; maps nothing.
    pub const fn new() -> Self {
        assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0);
        MapVec { start: Addr::NULL, mapped: 0, len: 0, of: PhantomData }
    }

    /// Appends a value.
    pub fn push(&mut self, value: T) -> Result<(), Errno> {
        self.extend(&[value])
    }

    /// Appends all of `values`.
    pub fn extend(&mut self, values: &[T]) -> Result<(), Errno> {
        let needed = (self.len + values.len()) * size_of::<T>();
        if needed > self.mapped {
            let bytes = needed.next_power_of_two().max(SMALLEST);
            let start = memory::map(bytes, memory::Sharing::Private)?;
            let used = self.len * size_of::<T>();
            if self.mapped > 0 {
                // SAFETY: the values lie in the old mapping, the new one has more room; they do not overlap. The old
                // one is ours alone, and `&mut self` says that nobody holds a reference into it.
                unsafe {
                    core::ptr::copy_nonoverlapping(pointer::<u8>(self.start), pointer::<u8>(start), used);
                    memory::unmap(self.start, self.mapped);
                }
            }
            (self.start, self.mapped) = (start, bytes);
        }
        // SAFETY: there is room for them behind the last value, and `&mut self` says that they do not overlap.
        unsafe {
            let end = pointer::<T>(self.start).add(self.len);
            core::ptr::copy_nonoverlapping(values.as_ptr(), end, values.len());
        }
        self.len += values.len();
        Ok(())
    }
}

fn pointer<T>(at: Addr) -> *mut T {
    core::ptr::with_exposed_provenance_mut(at.get())
}

impl<T: Copy> Default for MapVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Deref for MapVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.mapped == 0 {
            return &[];
        }
        // SAFETY: the first `len` values were written, inside the mapping.
        unsafe { core::slice::from_raw_parts(pointer(self.start), self.len) }
    }
}

impl<T: Copy> Drop for MapVec<T> {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: the mapping is ours, and its owner is gone.
            unsafe { memory::unmap(self.start, self.mapped) };
        }
    }
}

/// The memory of the stopped process. The tracer's own is a copy from before the stop.
#[derive(Clone, Copy)]
pub struct ProcessMemory<'a>(&'a Stopped);

impl<'a> ProcessMemory<'a> {
    pub(crate) fn new(stopped: &'a Stopped) -> ProcessMemory<'a> {
        ProcessMemory(stopped)
    }

    /// Reads words from `at` on; returns how many could be read.
    pub fn read_words(&self, at: Addr, into: &mut [usize]) -> usize {
        // SAFETY: the same memory as bytes: any bytes are valid words.
        let bytes =
            unsafe { core::slice::from_raw_parts_mut(into.as_mut_ptr().cast::<u8>(), size_of_val(into)) };
        self.0.read(at, bytes).unwrap_or(0) / size_of::<usize>()
    }
}
