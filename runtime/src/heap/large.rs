//! Large blocks: one mapping each, at a multiple of [`STEP`], entered in the radix table for every step.
//!
//! Contract: one lock, taken alone. Descriptors are recycled as descriptors and never unmapped. A signal handler that has
//! interrupted the lock's holder gets no block; what it frees is put away by the next holder.
//!
//! Freed mappings are kept for the next request of about that size, up to [`KEPT_BYTES`]; only the newest
//! [`KEPT_DIRTY`] bytes of them keep their contents, the others' pages go back at once. A kept mapping stays entered
//! with a word that says "freed", so that a second free of it is told from a free of something foreign.
//!
//! Growing: within the mapping, then by mremap(2) in place, then by moving the pages to a larger mapping. The new one is
//! entered as live before the pages move, and the old one is removed after: a world that is stopped in between sees
//! two live blocks, one of them unreadable, and no pointer of the program dangles.

use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange};
use crate::mem;
use crate::sys::memory;

use super::lock::{Guard, OwnerLock};
use super::lookup::LARGE;
use super::mapping::{advise_huge, discard, map_aligned, unmap};
use super::pool::{RADIX, new_leaf};
use super::radix::STEP;
use super::word::{Single, Slot, Word};

/// A large block.
#[repr(C, align(64))]
pub(super) struct Large {
    /// Its first byte, where the mapping begins.
    pub(super) base: AtomicUsize,
    /// Bytes mapped.
    pub(super) mapped: AtomicUsize,
    /// Bytes asked for.
    pub(super) size: AtomicUsize,
    /// Its metadata, but for the size.
    metadata: Single,
    /// Its number in the view that was made last.
    pub(super) ordinal: AtomicU32,
    /// The mapping may differ from zero. Set for good once the program had it, until it is discarded.
    dirty: AtomicBool,
    /// The next of the kept or of the spare ones.
    next: AtomicPtr<Large>,
}

impl Large {
    /// Where its metadata are.
    pub(super) fn slot(&'static self) -> Slot {
        self.metadata.slot()
    }
}

/// Bytes of freed mappings that are kept.
const KEPT_BYTES: usize = 64 << 20;

/// Bytes of freed mappings that keep their contents.
const KEPT_DIRTY: usize = 16 << 20;

/// See [`State`].
static STATE: OwnerLock<State> = OwnerLock::new(State { spare: None, kept: None, kept_bytes: 0 });

/// Live blocks, and their bytes mapped. For statistics.
pub(super) static BLOCKS: AtomicUsize = AtomicUsize::new(0);
pub(super) static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Freed blocks that a signal handler could not put away, since its thread held the lock.
static LATER: AtomicPtr<Large> = AtomicPtr::new(null_mut());

/// What the lock protects, beside the descriptors in its lists.
struct State {
    spare: Option<&'static Large>,
    /// Freed mappings, the newest first.
    kept: Option<&'static Large>,
    kept_bytes: usize,
}

/// Waits for the lock. `None`: the calling thread holds it already.
fn lock() -> Option<Guard<'static, State>> {
    let mut state = STATE.lock()?;
    if !LATER.load(Relaxed).is_null() {
        let mut at = LATER.swap(null_mut(), Acquire);
        // SAFETY: descriptors are never unmapped.
        while let Some(large) = unsafe { at.as_ref() } {
            at = large.next.load(Relaxed);
            state.keep(large);
        }
        state.limit(KEPT_BYTES, KEPT_DIRTY);
    }
    Some(state)
}

#[cfg(all(test, not(loom)))]
pub(super) fn while_locked(act: impl FnOnce()) {
    let _held = STATE.lock();
    act();
}

/// In a forked child: when a thread that did not come along was inside, what was kept is forgotten.
pub(super) fn after_fork_in_child() {
    if STATE.free_of_others()
        && let Some(mut state) = STATE.lock()
    {
        *state = State { spare: None, kept: None, kept_bytes: 0 };
    }
}

/// A block of at least `size` bytes at a multiple of `align`, with its word still to be written, and whether it is all
/// zero. `None` when the kernel refuses.
pub(super) fn allocate(size: usize, align: usize, zeroed: bool) -> Option<(&'static Large, bool)> {
    let bytes = size.checked_next_multiple_of(page_size())?;
    let align = align.max(STEP);
    let mut state = lock()?;
    if let Some(large) = state.reuse(bytes, align) {
        drop(state);
        count(large);
        large.size.store(size, Relaxed);
        let mut clean = !large.dirty.load(Relaxed);
        if zeroed && !clean {
            clean = discard(large.base.load(Relaxed), large.mapped.load(Relaxed));
        }
        large.dirty.store(true, Relaxed);
        return Some((large, clean));
    }
    let large = state.descriptor()?;
    drop(state);
    let Some(base) = map_large(bytes, align) else {
        put_away(large);
        return None;
    };
    large.base.store(base, Relaxed);
    large.mapped.store(bytes, Relaxed);
    large.size.store(size, Relaxed);
    large.slot().store(Word::NEVER);
    large.dirty.store(true, Relaxed);
    RADIX.set(base, bytes, entry(large));
    count(large);
    Some((large, true))
}

/// Takes back a block whose word says "freed".
pub(super) fn free(large: &'static Large) {
    let bytes = large.mapped.load(Relaxed);
    BLOCKS.fetch_sub(1, Relaxed);
    BYTES.fetch_sub(bytes, Relaxed);
    if bytes > KEPT_BYTES / 2 {
        return release(large);
    }
    if let Some(mut state) = lock() {
        state.keep(large);
        return state.limit(KEPT_BYTES, KEPT_DIRTY);
    }
    let mut newest = LATER.load(Relaxed);
    loop {
        large.next.store(newest, Relaxed);
        match LATER.compare_exchange_weak(newest, pointer(Some(large)), Release, Relaxed) {
            Ok(_) => return,
            Err(now) => newest = now,
        }
    }
}

/// Puts a descriptor that is in no list away; in a signal handler that has interrupted the lock's holder it is lost.
fn put_away(large: &'static Large) {
    if let Some(mut state) = lock() {
        state.put_away(large);
    }
}

fn count(large: &Large) {
    BLOCKS.fetch_add(1, Relaxed);
    BYTES.fetch_add(large.mapped.load(Relaxed), Relaxed);
}

/// Gives all kept mappings back. Says whether there were any.
pub(super) fn trim() -> bool {
    let Some(mut state) = lock() else { return false };
    let had = state.kept_bytes > 0;
    state.limit(0, 0);
    had
}

/// Changes the size of a live block to `size` bytes without copying. `word` is its new word; what comes back is where
/// it is then. `None`: unchanged. `transit` is a root of the calling thread: a block that moves is in it until the caller
/// holds its address and clears it.
pub(super) fn resize(
    large: &'static Large,
    size: usize,
    word: Word,
    transit: &AtomicUsize,
) -> Option<&'static Large> {
    let mapped = large.mapped.load(Relaxed);
    let bytes = size.checked_next_multiple_of(page_size())?;
    if bytes <= mapped {
        large.size.store(size, Relaxed);
        large.slot().store(word);
        if bytes <= mapped / 4 * 3 {
            cut(large, bytes);
        }
        return Some(large);
    }
    if grow_in_place(large, bytes) {
        large.size.store(size, Relaxed);
        large.slot().store(word);
        return Some(large);
    }
    move_to_larger(large, size, bytes, word, transit)
}

/// Gives the pages behind `bytes` back.
fn cut(large: &'static Large, bytes: usize) {
    let (base, mapped) = (large.base.load(Relaxed), large.mapped.load(Relaxed));
    large.mapped.store(bytes, Release);
    let first_step = (base + bytes).next_multiple_of(STEP);
    if first_step < base + mapped {
        RADIX.set(first_step, base + mapped - first_step, 0);
    }
    unmap(base + bytes, mapped - bytes);
    BYTES.fetch_sub(mapped - bytes, Relaxed);
}

fn grow_in_place(large: &'static Large, bytes: usize) -> bool {
    let (base, mapped) = (large.base.load(Relaxed), large.mapped.load(Relaxed));
    if !RADIX.prepare(base, bytes, new_leaf) {
        return false;
    }
    let old = AddrRange::sized(Addr::new(base), mapped);
    // SAFETY: the mapping is ours; without MREMAP_MAYMOVE it stays where it is, and grows only into free addresses.
    if unsafe { memory::remap(old, bytes, 0) }.is_err() {
        return false;
    }
    RADIX.set(base, bytes, entry(large));
    large.mapped.store(bytes, Release);
    BYTES.fetch_add(bytes - mapped, Relaxed);
    true
}

fn move_to_larger(
    old: &'static Large,
    size: usize,
    bytes: usize,
    word: Word,
    transit: &AtomicUsize,
) -> Option<&'static Large> {
    let new = lock()?.descriptor()?;
    let Some(base) = map_large(bytes, STEP) else {
        put_away(new);
        return None;
    };
    let (old_base, old_bytes) = (old.base.load(Relaxed), old.mapped.load(Relaxed));
    new.base.store(base, Relaxed);
    new.mapped.store(bytes, Relaxed);
    new.size.store(size, Relaxed);
    new.dirty.store(true, Relaxed);
    new.slot().store(word);
    transit.store(base, Release);
    RADIX.set(base, bytes, entry(new));
    let from = AddrRange::sized(Addr::new(old_base), old_bytes);
    // SAFETY: both mappings are ours; the caller of realloc gives up its pointers into the old one, and nobody has one
    // into the new one.
    if unsafe { memory::remap_to(from, bytes, Addr::new(base)) }.is_err() {
        // The kernel may have unmapped the target before it failed, and somebody may have got the addresses since:
        // unmapping could hit a stranger. At worst address space is lost.
        new.slot().store_freed(word.origin());
        RADIX.set(base, bytes, 0);
        put_away(new);
        return None;
    }
    old.slot().store_freed(word.origin());
    RADIX.set(old_base, old_bytes, 0);
    BYTES.fetch_add(bytes - old_bytes, Relaxed);
    put_away(old);
    Some(new)
}

fn map_large(bytes: usize, align: usize) -> Option<usize> {
    let base = map_aligned(bytes, align)?;
    if !RADIX.prepare(base, bytes, new_leaf) {
        unmap(base, bytes);
        return None;
    }
    if bytes >= STEP {
        let _ = advise_huge(base, bytes, true);
    }
    Some(base)
}

/// Unmaps a block that is in no list.
fn release(large: &'static Large) {
    let (base, bytes) = (large.base.load(Relaxed), large.mapped.load(Relaxed));
    RADIX.set(base, bytes, 0);
    unmap(base, bytes);
    put_away(large);
}

fn entry(large: &'static Large) -> usize {
    core::ptr::from_ref(large).expose_provenance() | LARGE
}

fn pointer(large: Option<&'static Large>) -> *mut Large {
    large.map_or(null_mut(), |large| core::ptr::from_ref(large).cast_mut())
}

fn next(large: &Large) -> Option<&'static Large> {
    // SAFETY: descriptors are never unmapped.
    unsafe { large.next.load(Relaxed).as_ref() }
}

impl State {
    fn keep(&mut self, large: &'static Large) {
        large.next.store(pointer(self.kept), Relaxed);
        self.kept = Some(large);
        self.kept_bytes += large.mapped.load(Relaxed);
    }

    /// The kept mapping that fits best, at most a quarter larger than asked for.
    fn reuse(&mut self, bytes: usize, align: usize) -> Option<&'static Large> {
        let fits = |large: &Large| {
            let mapped = large.mapped.load(Relaxed);
            mapped >= bytes && mapped - bytes <= bytes / 4 && large.base.load(Relaxed).is_multiple_of(align)
        };
        let mut best: Option<&'static Large> = None;
        let mut at = self.kept;
        while let Some(large) = at {
            let better = |best: &'static Large| large.mapped.load(Relaxed) < best.mapped.load(Relaxed);
            if fits(large) && best.is_none_or(better) {
                best = Some(large);
            }
            at = next(large);
        }
        self.drop_kept(best?);
        best
    }

    /// Takes a mapping out of the kept ones.
    fn drop_kept(&mut self, gone: &'static Large) {
        self.kept_bytes -= gone.mapped.load(Relaxed);
        let behind = next(gone);
        let mut at = self.kept;
        if at.is_some_and(|first| core::ptr::eq(first, gone)) {
            self.kept = behind;
            return;
        }
        while let Some(large) = at {
            at = next(large);
            if at.is_some_and(|next| core::ptr::eq(next, gone)) {
                large.next.store(pointer(behind), Relaxed);
                return;
            }
        }
    }

    /// Keeps the newest mappings up to `bytes` in all, and the contents of the newest up to `dirty`.
    fn limit(&mut self, bytes: usize, dirty: usize) {
        let (mut seen, mut seen_dirty) = (0, 0);
        let mut at = self.kept;
        while let Some(large) = at {
            at = next(large);
            let mapped = large.mapped.load(Relaxed);
            seen += mapped;
            if seen > bytes {
                self.drop_kept(large);
                let base = large.base.load(Relaxed);
                RADIX.set(base, mapped, 0);
                unmap(base, mapped);
                self.put_away(large);
                continue;
            }
            if large.dirty.load(Relaxed) {
                seen_dirty += mapped;
                if seen_dirty > dirty && discard(large.base.load(Relaxed), mapped) {
                    large.dirty.store(false, Relaxed);
                }
            }
        }
    }

    /// An unused descriptor.
    fn descriptor(&mut self) -> Option<&'static Large> {
        if self.spare.is_none() {
            const BATCH: usize = 64;
            let first = mem::map_own(BATCH * size_of::<Large>()).ok()?.cast::<Large>();
            for index in 0..BATCH {
                // SAFETY: inside the new mapping, which stays for good; zeroed bytes are valid.
                self.put_away(unsafe { first.add(index).as_ref() });
            }
        }
        let large = self.spare?;
        self.spare = next(large);
        large.next.store(null_mut(), Relaxed);
        Some(large)
    }

    fn put_away(&mut self, large: &'static Large) {
        large.next.store(pointer(self.spare), Relaxed);
        large.base.store(0, Relaxed);
        large.mapped.store(0, Relaxed);
        self.spare = Some(large);
    }
}
