//! A pool of single pages for arrays that stay small.
//!
//! A check of a small process makes some thirty short arrays. A mapping for each costs two system calls and a change of
//! the process' list of mappings, which is most of what such a check costs; a page of the pool costs an atomic exchange.
//!
//! Contract: lock-free, for every phase. A page is zeroed when it is taken. A task that dies with a page in hand keeps
//! it for good: the pool is bounded, and whoever finds it empty maps memory of its own.

use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange};
use crate::sys::memory;

use super::{map_own_reserved, own};

/// A bit a page.
const PAGES: usize = 64;

/// Where the pool lies; 0 before the first use.
static START: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// Pages that were ever taken, and so may hold something.
static TOUCHED: AtomicU64 = AtomicU64::new(0);

/// A zeroed page. `None` when all are taken or there is no memory.
pub(super) fn take() -> Option<NonNull<u8>> {
    let start = start()?;
    let mut taken = TAKEN.load(Relaxed);
    let page = loop {
        let page = taken.trailing_ones() as usize;
        if page == PAGES {
            return None;
        }
        match TAKEN.compare_exchange_weak(taken, taken | 1 << page, AcqRel, Relaxed) {
            Ok(_) => break page,
            Err(now) => taken = now,
        }
    };
    let at = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(start + page * page_size()))?;
    if TOUCHED.fetch_or(1 << page, Relaxed) & 1 << page != 0 {
        // SAFETY: the page is inside the pool's mapping, and its bit says that it is ours alone.
        unsafe { at.write_bytes(0, page_size()) };
    }
    Some(at)
}

/// Has the kernel make the next `count` pages now, so that whoever takes them does not wait for it: after a fork it has to
/// copy each, or to see that nobody else has it any more.
pub fn warm(count: usize) {
    let mut pages = [None; PAGES];
    for (slot, page) in pages.iter_mut().zip(core::iter::from_fn(take).take(count)) {
        // SAFETY: taken, and so ours alone; a page of zeroes stays one. Volatile: the write is what is wanted.
        unsafe { page.write_volatile(0) };
        *slot = Some(page);
    }
    for page in pages.into_iter().flatten() {
        give(Addr::of(page.as_ptr()));
    }
}

/// Takes a page back; false when `at` is not the pool's.
pub(super) fn give(at: Addr) -> bool {
    let Some(page) = page_of(at) else { return false };
    TAKEN.fetch_and(!(1 << page), Release);
    true
}

/// True when `at` is in the pool.
pub(super) fn contains(at: Addr) -> bool {
    page_of(at).is_some()
}

fn page_of(at: Addr) -> Option<usize> {
    let start = START.load(Acquire);
    let page = at.get().checked_sub(start)? / page_size();
    (start != 0 && page < PAGES).then_some(page)
}

fn start() -> Option<usize> {
    match START.load(Acquire) {
        0 => {
            let made = Addr::of(map_own_reserved(PAGES * page_size()).ok()?.as_ptr());
            match START.compare_exchange(0, made.get(), AcqRel, Acquire) {
                Ok(_) => Some(made.get()),
                Err(other) => {
                    own::remove(made);
                    // SAFETY: just mapped, and nobody knows of it.
                    let _ = unsafe { memory::unmap(AddrRange::sized(made, PAGES * page_size())) };
                    Some(other)
                }
            }
        }
        start => Some(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_pages_are_given_back() {
        warm(PAGES);
        assert!(give(Addr::of(take().unwrap().as_ptr())));
    }

    #[test]
    fn pages_are_zeroed_distinct_and_come_back() {
        let pages: Vec<_> = core::iter::from_fn(take).take(20).collect();
        for page in &pages {
            // SAFETY: taken above.
            unsafe {
                assert!((0..page_size()).all(|byte| page.add(byte).read() == 0));
                page.write_bytes(0xaa, page_size());
            }
        }
        let mut sorted = pages.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), pages.len());
        assert!(pages.into_iter().all(|page| give(Addr::of(page.as_ptr()))));
        let again = take().unwrap();
        // SAFETY: taken above.
        assert!(unsafe { (0..page_size()).all(|byte| again.add(byte).read() == 0) });
        assert!(give(Addr::of(again.as_ptr())));
        assert!(!give(Addr::new(page_size())));
    }
}
