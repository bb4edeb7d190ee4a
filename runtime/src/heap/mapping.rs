//! Mappings for blocks: anonymous memory at multiples of a large alignment.
//!
//! Contract: system calls only. The memory is the program's (it may fork, lock and scan it), so it is not entered in the
//! list of our own mappings.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange};
use crate::sys::memory;

const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

/// Where the next mapping is tried: just below the last one, where the kernel's top-down search would look too. A wish,
/// so no order is needed. Kept as its complement (0: none yet): in a static link this word lies among the program's own
/// data, and the address itself, which is that of a block, would keep that block from ever being a leak.
static HINT: AtomicUsize = AtomicUsize::new(0);

/// True once memory for a block was mapped: the program has allocated from this heap.
pub fn has_served() -> bool {
    HINT.load(Relaxed) != 0
}

/// Where the last mapping lies; 0 for none.
fn last() -> usize {
    match HINT.load(Relaxed) {
        0 => 0,
        complement => !complement,
    }
}

/// No mapping is to have huge pages, not even where the system gives them to all.
static WITHOUT_HUGE: AtomicBool = AtomicBool::new(false);

/// From now on mappings are made without huge pages.
pub(super) fn forbid_huge() {
    WITHOUT_HUGE.store(true, Relaxed);
}

/// Maps `bytes` (whole pages) at a multiple of `align`. `None` when the kernel refuses.
pub(super) fn map_aligned(bytes: usize, align: usize) -> Option<usize> {
    let start = map_somewhere(bytes, align)?;
    if WITHOUT_HUGE.load(Relaxed) {
        advise_huge(start, bytes, false);
    }
    Some(start)
}

fn map_somewhere(bytes: usize, align: usize) -> Option<usize> {
    let hint = last().saturating_sub(bytes) & !(align - 1);
    let first = map(hint, bytes)?;
    if first.is_multiple_of(align) {
        HINT.store(!first, Relaxed);
        return Some(first);
    }
    unmap(first, bytes);
    // A second wish: the aligned place inside what was just given and taken back, and below it.
    let below = first & !(align - 1);
    if let Some(start) = map(below, bytes) {
        if start.is_multiple_of(align) {
            HINT.store(!start, Relaxed);
            return Some(start);
        }
        unmap(start, bytes);
    }
    // Map more than needed and cut off both ends.
    let wide = bytes.checked_add(align)?;
    let start = map(0, wide)?;
    let inside = start.checked_next_multiple_of(align)?;
    if inside > start {
        unmap(start, inside - start);
    }
    let end = inside + bytes;
    if start + wide > end {
        unmap(end, start + wide - end);
    }
    HINT.store(!inside, Relaxed);
    Some(inside)
}

fn map(hint: usize, bytes: usize) -> Option<usize> {
    memory::map_anonymous(Addr::new(hint), bytes, READ_WRITE, libc::MAP_NORESERVE).ok().map(Addr::get)
}

/// Unmaps what [`map_aligned`] gave, or a part. The caller has made sure that nobody uses it any more.
///
/// A refusal (splitting one mapping too many, ENOMEM) leaves the memory mapped and unused: its contents are dropped.
pub(super) fn unmap(start: usize, bytes: usize) {
    let range = AddrRange::sized(Addr::new(start), bytes);
    // SAFETY: the range is from `map_aligned` and unused, as the contract says.
    if unsafe { memory::unmap(range) }.is_err() {
        discard(start, bytes);
    }
}

/// Drops the contents; the memory reads as zero afterwards. False when the kernel refuses (mlockall(2)), or when the range
/// is not of whole pages: the kernel would round its end up (madvise(2)).
pub(super) fn discard(start: usize, bytes: usize) -> bool {
    if !bytes.is_multiple_of(page_size()) {
        return false;
    }
    let range = AddrRange::sized(Addr::new(start), bytes);
    // SAFETY: the callers own the range and nobody needs its contents.
    unsafe { memory::advise(range, libc::MADV_DONTNEED) }.is_ok()
}

/// Asks for huge pages in a whole mapping, or for none any more; a wish. False when the kernel knows of no such thing, or
/// when they are forbidden.
pub(super) fn advise_huge(start: usize, bytes: usize, wanted: bool) -> bool {
    if wanted && WITHOUT_HUGE.load(Relaxed) {
        return false;
    }
    let range = AddrRange::sized(Addr::new(start), bytes);
    let advice = if wanted { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
    // SAFETY: the callers own the range; only how it is backed changes.
    unsafe { memory::advise(range, advice) }.is_ok()
}
