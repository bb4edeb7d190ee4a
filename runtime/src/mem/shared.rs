//! Memory through which a forked child hands its results back.
//!
//! A shared mapping is made before the fork and so has the same address in both processes. The child appends lists of
//! plain values; when it is known to have finished, the parent takes them out in the same order.
//!
//! Contract: one process writes, the other reads what was written so far: each list is published whole. A list is kept
//! with the identity of its type, so that nothing is read as what it is not.

use core::any::TypeId;
use core::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Release};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::sys::memory;

use super::{MapVec, own};

/// A place to write lists to, behind a head of type `H` that both processes use at any time.
///
/// `H` is made of atomics: zeroed memory is its first value.
pub struct SharedMap<H: Zeroed> {
    range: AddrRange,
    head: core::marker::PhantomData<H>,
}

/// A type of which zeroed memory is a value, and which may be shared between processes.
///
/// # Safety
///
/// - Made of atomic integers only.
pub unsafe trait Zeroed: Sync {}

/// Bytes before the first list.
const HEAD: usize = 4096;
/// What values are aligned to.
const ALIGN: usize = 16;
/// Bytes before the values of a list.
const BEFORE: usize = size_of::<Title>();

/// Stands before the values of a list.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Title {
    of: TypeId,
    len: usize,
}

impl<H: Zeroed> SharedMap<H> {
    /// Maps room for the head and `bytes` of lists.
    pub fn new(bytes: usize) -> Result<SharedMap<H>, Errno> {
        const { assert!(size_of::<H>() + size_of::<AtomicUsize>() <= HEAD) };
        let len = Addr::new(bytes.saturating_add(HEAD)).align_up(page_size()).get();
        let range = AddrRange::sized(memory::map_shared(len)?, len);
        own::add(range);
        let map = SharedMap { range, head: core::marker::PhantomData };
        // The kernel makes the first page now, and not when somebody may stand and wait for it.
        map.used().store(0, Release);
        Ok(map)
    }

    /// Bytes of lists that fit.
    pub fn room(&self) -> usize {
        self.range.len() - HEAD
    }

    /// Bytes that a list takes of it.
    pub const fn needed<T>(values: usize) -> usize {
        BEFORE + Addr::new(values.saturating_mul(size_of::<T>())).align_up(ALIGN).get()
    }

    /// Bytes of lists that still fit.
    pub fn left(&self) -> usize {
        self.room() - self.used().load(Acquire)
    }

    /// The head.
    pub fn head(&self) -> &H {
        // SAFETY: the mapping begins with HEAD zeroes, which is a value of H, and lives as long as self.
        unsafe { &*core::ptr::with_exposed_provenance(self.range.start.get()) }
    }

    /// Bytes of lists so far. The last word before them.
    fn used(&self) -> &AtomicUsize {
        let at = self.range.start.plus(HEAD - size_of::<AtomicUsize>());
        // SAFETY: inside the mapping and behind H (asserted in new), aligned; atomics may be shared.
        unsafe { &*core::ptr::with_exposed_provenance(at.get()) }
    }

    /// Appends a list. ENOSPC when it does not fit.
    pub fn write<T: Copy + 'static>(&self, values: &[T]) -> Result<(), Errno> {
        const { assert!(align_of::<T>() <= ALIGN) };
        let used = self.used().load(Acquire);
        let end = used + SharedMap::<H>::needed::<T>(values.len());
        if HEAD + end > self.range.len() {
            return Err(Errno::new(libc::ENOSPC));
        }
        let at = self.range.start.plus(HEAD + used).get();
        // SAFETY: `used..end` behind HEAD lies in the mapping and was not handed out yet; the one process that
        // writes is this one. Aligned to 16, as pages are.
        unsafe {
            let title = Title { of: TypeId::of::<T>(), len: values.len() };
            core::ptr::with_exposed_provenance_mut::<Title>(at).write(title);
            let to = core::ptr::with_exposed_provenance_mut::<T>(at + BEFORE);
            core::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
        }
        self.used().store(end, Release);
        Ok(())
    }

    /// Takes the lists out again, from the first on.
    pub fn lists(&self) -> Lists<'_, H> {
        Lists { map: self, at: 0 }
    }
}

impl<H: Zeroed> Drop for SharedMap<H> {
    fn drop(&mut self) {
        own::remove(self.range.start);
        // SAFETY: mapped by new, and its owner is gone. The other process has a mapping of its own.
        let _ = unsafe { memory::unmap(self.range) };
    }
}

/// See [`SharedMap::lists`].
pub struct Lists<'a, H: Zeroed> {
    map: &'a SharedMap<H>,
    at: usize,
}

impl<H: Zeroed> Lists<'_, H> {
    /// The next list. EINVAL when there is none, or it is a list of another type.
    pub fn take<T: Copy + 'static>(&mut self) -> Result<MapVec<T>, Errno> {
        let none = Errno::new(libc::EINVAL);
        let used = self.map.used().load(Acquire);
        if self.at + BEFORE > used {
            return Err(none);
        }
        let at = self.map.range.start.plus(HEAD + self.at).get();
        // SAFETY: `write` put a title here before it made `used` larger, and nothing changes it any more.
        let title = unsafe { core::ptr::with_exposed_provenance::<Title>(at).read() };
        if title.of != TypeId::of::<T>() {
            return Err(none);
        }
        let mut list = MapVec::new();
        // SAFETY: `len` values of this very type were written here, as for the title. A value of a program's type is
        // the same value in its forked child.
        let values = unsafe {
            core::slice::from_raw_parts(core::ptr::with_exposed_provenance(at + BEFORE), title.len)
        };
        list.extend(values)?;
        self.at += BEFORE + Addr::new(size_of_val(values)).align_up(ALIGN).get();
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    struct Head(AtomicU32);
    // SAFETY: one atomic integer.
    unsafe impl Zeroed for Head {}

    #[test]
    fn lists_come_out_as_they_were_written() {
        let map = SharedMap::<Head>::new(4096).unwrap();
        assert_eq!(map.head().0.load(Relaxed), 0);
        map.write(&[1u8, 2, 3]).unwrap();
        map.write::<u64>(&[]).unwrap();
        map.write(&[(1u64, 2u32), (3, 4)]).unwrap();
        let mut lists = map.lists();
        assert!(lists.take::<i8>().is_err());
        assert_eq!(&lists.take::<u8>().unwrap()[..], [1, 2, 3]);
        assert!(lists.take::<u64>().unwrap().is_empty());
        assert_eq!(&lists.take::<(u64, u32)>().unwrap()[..], [(1, 2), (3, 4)]);
        assert!(lists.take::<u8>().is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_the_rest() {
        let map = SharedMap::<Head>::new(100).unwrap();
        assert_eq!(map.write(&[0u64; 1000]), Err(Errno::new(libc::ENOSPC)));
        let before = map.left();
        map.write(&[7u64]).unwrap();
        assert_eq!(before - map.left(), SharedMap::<Head>::needed::<u64>(1));
        // What is said to fit fits, to the last byte.
        let rest = (0..).take_while(|n| SharedMap::<Head>::needed::<u8>(*n) <= map.left()).last().unwrap();
        assert!(map.write(&vec![0u8; rest + 16]).is_err() && map.write(&vec![0u8; rest]).is_ok());
        assert_eq!(&map.lists().take::<u64>().unwrap()[..], [7]);
    }

    #[test]
    fn a_forked_child_hands_over() {
        let map = SharedMap::<Head>::new(1 << 20).unwrap();
        // SAFETY: the copy makes no call but those of the test, which take no lock.
        let pid = unsafe { crate::sys::task::fork(false) }.unwrap();
        if pid == 0 {
            let written = map.write(&[5u32; 1000]).is_ok();
            crate::sys::process::exit_group(i32::from(!written));
        }
        let ended = crate::sys::wait::child(pid, crate::sys::wait::Block::Wait).unwrap();
        assert_eq!(ended, Some(crate::sys::wait::Change::Exited(0)));
        assert_eq!(&map.lists().take::<u32>().unwrap()[..], [5; 1000]);
    }
}
