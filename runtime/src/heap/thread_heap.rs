//! A thread's part of the heap, and the operations on blocks.
//!
//! Contract: a [`ThreadHeap`] is used by one thread at a time. Nothing here allocates from anywhere else, touches
//! errno or panics.
//!
//! # What a stopped world sees
//!
//! A block is live from the store of its word until the store of the next one. Before a word says "live" the block's
//! address is in a register or on the stack of the thread ([`hold`] makes sure of it), and stays there until malloc
//! returns it: both are roots, so a block in transit is never a false leak. free() loses no child: the program had
//! loaded what it still needs before. realloc has both blocks live, with both addresses held, until the old one is
//! freed. What moves by mremap(2), and so passes through a system call in which registers count for less, is published
//! in [`ThreadHeap::in_transit`] meanwhile.
//!
//! Not promised: two threads that free the same block at the same instant are not told of it (words are plain stores);
//! one after the other is always seen.

use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, Release},
};

use crate::base::Addr;
use crate::trace::StackId;

use super::cache::{self, Cache, Entry};
use super::large;
use super::lookup::{self, Block, Home};
use super::pool;
use super::provider::{Chunk, Origin, Scope, Tag};
use super::radix::STEP;
use super::request::{Misuse, Request};
use super::segment::Unit;
use super::size_class::{self, GRANULE, LARGEST, SPAN_CLASS, TABLE, UNIT};
use super::word::{Slot, State, Word};

/// Blocks above this have mappings of their own.
const LARGEST_SPAN: usize = 1 << 20;

/// See the module. All-zero bytes are a valid, new one.
pub struct ThreadHeap {
    cache: Option<NonNull<Cache>>,
    in_transit: [AtomicUsize; 2],
}

// SAFETY: the cache is reached through this value only, and has no thread affinity.
unsafe impl Send for ThreadHeap {}

impl ThreadHeap {
    /// One that has nothing yet.
    pub const fn new() -> Self {
        ThreadHeap { cache: None, in_transit: [const { AtomicUsize::new(0) }; 2] }
    }

    /// Addresses of blocks that an operation of the thread has in hand in a stopped world; 0 for none. They are roots.
    pub fn in_transit(&self) -> [usize; 2] {
        [0, 1].map(|index: usize| self.in_transit[index].load(Relaxed))
    }

    /// In a forked child: forgets cached blocks of an arena's slabs of a class.
    pub(super) fn forget(&mut self, arena: u8, class: usize) {
        if let Some(cache) = self.cache() {
            cache.forget(arena, class);
        }
    }

    #[inline(always)]
    fn cache(&mut self) -> Option<&mut Cache> {
        // SAFETY: a cache that was taken is this value's alone, and stays mapped.
        self.cache.map(|mut cache| unsafe { cache.as_mut() })
    }

    #[cold]
    #[inline(never)]
    fn new_cache(&mut self) -> Option<&mut Cache> {
        if self.cache.is_none() {
            self.cache = cache::take();
        }
        self.cache()
    }
}

impl Default for ThreadHeap {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the compiler have `addr` in a register here, and everything that follows in the program follow.
#[inline(always)]
fn hold(addr: usize) -> usize {
    let held;
    // SAFETY: no instruction; without `nomem` memory accesses are not moved across it.
    unsafe {
        core::arch::asm!("/* {0} */", inlateout(reg) addr => held, options(nostack, preserves_flags));
    }
    held
}

#[inline(always)]
fn non_null(addr: usize) -> Option<NonNull<u8>> {
    NonNull::new(core::ptr::with_exposed_provenance_mut(addr))
}

/// Allocates. `None`: there is no memory (ENOMEM).
#[inline(always)]
pub fn allocate(heap: &mut ThreadHeap, request: &Request) -> Option<NonNull<u8>> {
    // The request is copied for who needs it in memory, so that it is in registers elsewhere.
    if request.size <= LARGEST && request.align <= GRANULE {
        let class = size_class::of(request.size);
        if let Some(entry) = heap.cache().and_then(|cache| cache.pop(class)) {
            return hand_out(entry, request);
        }
        return allocate_from_bin(heap, class, &{ *request });
    }
    allocate_otherwise(heap, &{ *request })
}

/// Makes a cached block live.
#[inline(always)]
fn hand_out(entry: Entry, request: &Request) -> Option<NonNull<u8>> {
    let block = hold(entry.block);
    if request.zeroed {
        clear(block, entry.slot.load(), request.size);
    }
    entry.slot.store(request.word(request.size.max(1)));
    non_null(block)
}

/// Zeroes a free block of a slab, unless it is zero already. Its old contents are no pointers of anybody.
#[inline(never)]
fn clear(block: usize, word: Word, size: usize) {
    if word.is_unused()
        && let Some((_, unit)) = lookup::unit(block)
        && unit.head().list.clean.load(Relaxed)
    {
        return;
    }
    // SAFETY: a block of at least `size` bytes that nobody has.
    unsafe { core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u8>(block), 0, size) };
}

#[inline(never)]
fn allocate_from_bin(heap: &mut ThreadHeap, class: usize, request: &Request) -> Option<NonNull<u8>> {
    let Some(cache) = heap.new_cache() else { return allocate_uncached(class, request) };
    // A class that is not the tightest may have blocks already (aligned requests come here too).
    if let Some(entry) = cache.pop(class) {
        return hand_out(entry, request);
    }
    if !cache.refill(class) {
        return allocate_without_pool(request);
    }
    hand_out(cache.pop(class)?, request)
}

/// Without a cache: there is no memory for one, or a signal handler has interrupted its thread while that took one.
#[cold]
fn allocate_uncached(class: usize, request: &Request) -> Option<NonNull<u8>> {
    let mut block = [Entry { block: 0, slot: Slot::NOWHERE }];
    if super::central::refill(0, class, &mut block) == 0 {
        return allocate_without_pool(request);
    }
    hand_out(block[0], request)
}

/// The pool gave nothing. To a signal handler that has interrupted its thread at the pool that does not mean that there
/// is no memory: it gets a mapping.
#[cold]
fn allocate_without_pool(request: &Request) -> Option<NonNull<u8>> {
    if pool::POOL.is_mine() { allocate_large(request) } else { None }
}

#[inline(never)]
fn allocate_otherwise(heap: &mut ThreadHeap, request: &Request) -> Option<NonNull<u8>> {
    if request.size > isize::MAX as usize || !request.align.is_power_of_two() {
        return None;
    }
    if let Some(class) = size_class::aligned(request.size, request.align) {
        return allocate_from_bin(heap, class, request);
    }
    if request.size <= LARGEST_SPAN && request.align <= LARGEST_SPAN {
        allocate_span(request)
    } else {
        allocate_large(request)
    }
}

fn allocate_span(request: &Request) -> Option<NonNull<u8>> {
    let units = request.size.div_ceil(UNIT).max(1);
    let make = |run: pool::Run| run.segment.make_span(run.first, units, run.clean);
    let Some(span) = pool::take(units, request.align / UNIT, make) else {
        return allocate_without_pool(request);
    };
    let block = hold(span.base.load(Relaxed));
    if request.zeroed && !span.list.clean.load(Relaxed) {
        // SAFETY: the span is the caller's alone and holds `size` bytes.
        unsafe {
            core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u8>(block), 0, request.size)
        };
    }
    span.note_used(0);
    // SAFETY: a span has metadata for one block.
    unsafe { span.slot(0) }.store(request.word(request.size.max(1)));
    non_null(block)
}

fn allocate_large(request: &Request) -> Option<NonNull<u8>> {
    let (large, clean) = large::allocate(request.size.max(1), request.align, request.zeroed)?;
    let block = hold(large.base.load(Relaxed));
    if request.zeroed && !clean {
        // SAFETY: the block is the caller's alone and holds `size` bytes.
        unsafe {
            core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u8>(block), 0, request.size)
        };
    }
    large.slot().store(request.word(0));
    non_null(block)
}

/// As [`allocate`], of a plain request of a usual size, as far as the cache has it: without a call, and so without a
/// register to save. `None`: that is for [`allocate`] to do.
#[inline(always)]
pub fn allocate_quickly(
    heap: &mut ThreadHeap,
    size: usize,
    origin: Origin,
    stack: StackId,
) -> Option<NonNull<u8>> {
    let class = size_class::tabled(size)?;
    let entry = heap.cache()?.pop(class)?;
    let block = hold(entry.block);
    entry.slot.store(Word::live(size.max(1), Tag::Allocated, Scope::NONE, origin, stack));
    non_null(block)
}

/// A live block of a slab at `addr`, not ignored, that functions of `origin` may free.
#[inline(always)]
fn plain_block(addr: usize, origin: Origin) -> Option<(&'static Unit, &'static State, Slot)> {
    let (_, unit) = lookup::unit(addr)?;
    let offset = addr % UNIT;
    let index = size_class::block_of(offset, unit.reciprocal.load(Relaxed));
    // SAFETY: an offset below UNIT divided by a block size of at least GRANULE, or times 0.
    let (state, slot) = unsafe { unit.state(index) };
    let exact = index * unit.block_size.load(Relaxed) as usize == offset;
    (exact && state.is_plain(origin)).then_some((unit, state, slot))
}

/// Frees a block that functions of `origin` may free, in the common case: it is one, and the cache has room. False, and
/// nothing done: that is for [`free`] to do or to refuse.
#[inline(always)]
pub fn free_quickly(heap: &mut ThreadHeap, block: NonNull<u8>, origin: Origin) -> bool {
    let addr = block.addr().get();
    let Some((unit, state, slot)) = plain_block(addr, origin) else { return false };
    let Some(cache) = heap.cache() else { return false };
    let row = cache.row(unit);
    if !cache.push(row, Entry { block: addr, slot }) {
        return false;
    }
    // Whoever gets the block will write to both; what a free list inside of the block would have fetched now.
    crate::arch::prefetch(addr);
    crate::arch::prefetch(slot.address());
    state.set_freed(origin);
    // Until here it is live, and the address a root.
    hold(addr);
    true
}

/// As [`reallocate`], of a plain block to a usual size, in place or from the cache and back to it; as `allocate_quickly`.
#[inline(always)]
pub fn reallocate_quickly(
    heap: &mut ThreadHeap,
    block: NonNull<u8>,
    size: usize,
    origin: Origin,
    stack: StackId,
) -> Option<NonNull<u8>> {
    let class = size_class::tabled(size).filter(|_| size != 0)?;
    let addr = block.addr().get();
    let (unit, state, slot) = plain_block(addr, origin)?;
    let word = Word::live(size, Tag::Allocated, Scope::NONE, origin, stack);
    let room = unit.block_size.load(Relaxed) as usize;
    if size <= room && (size > room / 2 || usize::from(unit.class.load(Relaxed)) == class) {
        slot.store_wide(word);
        return Some(block);
    }
    let cache = heap.cache()?;
    let row = cache.row(unit);
    if !cache.has_room(row) {
        return None;
    }
    let entry = cache.pop(class)?;
    let moved = hold(entry.block);
    entry.slot.store(word);
    let granules = slot.load().size().min(size).div_ceil(GRANULE);
    for granule in 0..granules {
        let (from, to) = (addr + granule * GRANULE, moved + granule * GRANULE);
        // SAFETY: two blocks of whole granules, the program's that called and one that nobody has yet. Volatile, so that no
        // call of memcpy is made of it, for which registers would have to be saved.
        unsafe {
            let granule = core::ptr::with_exposed_provenance::<[u64; 2]>(from).read_volatile();
            core::ptr::with_exposed_provenance_mut::<[u64; 2]>(to).write_volatile(granule);
        }
    }
    cache.push(row, Entry { block: addr, slot });
    state.set_freed(origin);
    hold(addr);
    non_null(moved)
}

/// Frees a block that functions of `origin` may free. On an error nothing was done.
pub fn free(heap: &mut ThreadHeap, block: NonNull<u8>, origin: Origin) -> Result<(), Misuse> {
    let block = live_block(block.addr().get(), origin)?;
    retire(heap, block);
    Ok(())
}

/// The stack that allocated the block which `addr` is in: a live one, or one that was freed and not handed out again.
pub fn last_owner(addr: Addr) -> Option<StackId> {
    let word = lookup::block(addr.get())?.load();
    (word.is_live() || word.is_freed()).then(|| word.stack())
}

/// The live block that begins at `addr` and that functions of `origin` may free.
fn live_block(addr: usize, origin: Origin) -> Result<Block, Misuse> {
    let block = lookup::block(addr).ok_or(Misuse::NotOurs)?;
    let word = block.load();
    if word.is_live() {
        if block.base != addr {
            return Err(Misuse::Interior);
        }
        if word.origin() != origin {
            return Err(Misuse::Mismatch { allocated: word.origin() });
        }
        return Ok(block);
    }
    if word.is_freed() && block.base == addr { Err(Misuse::DoubleFree) } else { Err(Misuse::NotOurs) }
}

/// Frees a live block of any kind.
fn retire(heap: &mut ThreadHeap, block: Block) {
    block.slot.store_freed(block.load().origin());
    match block.home {
        Home::Large(large) => large::free(large),
        Home::Unit(segment, head) if head.class.load(Relaxed) == SPAN_CLASS => {
            pool::give(segment, segment.number(head), usize::from(head.units.load(Relaxed)));
        }
        Home::Unit(_, head) => {
            let class = usize::from(head.class.load(Relaxed));
            let entry = Entry { block: block.base, slot: block.slot };
            if let Some(cache) = heap.new_cache() {
                let row = cache.row(head);
                if cache.push(row, entry) {
                    return;
                }
                cache.make_room(row);
                if cache.push(row, entry) {
                    return;
                }
            }
            // Without a cache (no memory for one) the block goes straight back. A signal handler without one, or with a
            // full one, that has interrupted its thread at the bin loses the block: nobody gets it again.
            super::central::flush(class, &mut [entry]);
        }
    }
}

/// Changes a block's size; it may move. `Ok(None)`: there is no memory, and the old block is as it was. The new block
/// has the request's stack and tag; bytes behind the old size are zero if the request says so, else unspecified.
pub fn reallocate(
    heap: &mut ThreadHeap,
    block: NonNull<u8>,
    request: &Request,
) -> Result<Option<NonNull<u8>>, Misuse> {
    let old = live_block(block.addr().get(), request.origin)?;
    if request.size > isize::MAX as usize {
        return Ok(None);
    }
    let size = request.size.max(1);
    let had = old.size(old.load());
    let clear_from_old_end = |base: NonNull<u8>, end: usize| {
        if request.zeroed && end > had {
            // SAFETY: all callers say that the block has `end` bytes, and it is the program's that called.
            unsafe { base.add(had).write_bytes(0, end - had) };
        }
    };
    // What the program told us about the object holds for the object that it becomes.
    let tag = if old.load().tag() == Tag::Ignored { Tag::Ignored } else { request.tag };
    let request = &Request { tag, ..*request };
    let word = request.word(size);
    if old.base.is_multiple_of(request.align.max(1)) {
        match old.home {
            Home::Unit(_, head) if head.is_slab() => {
                if size <= old.room
                    && (size > old.room / 2 || size_class::of(size) == usize::from(head.class.load(Relaxed)))
                {
                    clear_from_old_end(block, size);
                    old.slot.store(word);
                    return Ok(Some(block));
                }
            }
            Home::Unit(segment, head) => {
                if size > LARGEST && size <= LARGEST_SPAN && resize_span(segment, head, size) {
                    clear_from_old_end(block, size);
                    old.slot.store(word);
                    return Ok(Some(block));
                }
            }
            Home::Large(large) => {
                if size > LARGEST_SPAN / 2 {
                    heap.in_transit[0].store(old.base, Release);
                    let resized = large::resize(large, size, word, &heap.in_transit[1]);
                    let moved = resized.map_or(0, |large| hold(large.base.load(Relaxed)));
                    heap.in_transit.iter().for_each(|slot| slot.store(0, Release));
                    if let Some(moved) = non_null(moved) {
                        // What is added to the mapping is zero.
                        clear_from_old_end(moved, size.min(old.room));
                        return Ok(Some(moved));
                    }
                }
            }
        }
    }
    let kept = had.min(size);
    let Some(new) = allocate(heap, request) else { return Ok(None) };
    // SAFETY: two live blocks of at least `kept` bytes, one of which nobody else has.
    unsafe { core::ptr::copy_nonoverlapping(block.as_ptr(), new.as_ptr(), kept) };
    retire(heap, old);
    Ok(Some(new))
}

/// Changes the units of a span to what `size` needs, in place.
fn resize_span(
    segment: &'static super::segment::Segment,
    head: &'static super::segment::Unit,
    size: usize,
) -> bool {
    let have = usize::from(head.units.load(Relaxed));
    let need = size.div_ceil(UNIT);
    let first = segment.number(head);
    if need > have {
        return pool::extend(segment, first + have, need - have, || segment.resize_span(head, need));
    }
    if need < have {
        segment.resize_span(head, need);
        pool::give(segment, first + need, have - need);
    }
    true
}

/// The bytes that may be used of a live block: what was asked for, so that nothing lies outside of what is scanned. 0
/// for what is no live block.
pub fn usable_size(block: NonNull<u8>) -> usize {
    chunk_at(Addr::of(block.as_ptr())).map_or(0, |chunk| chunk.size)
}

/// The live chunk that contains `addr`, at this moment.
pub fn chunk_at(addr: Addr) -> Option<Chunk> {
    let chunk = lookup::block(addr.get())?.chunk()?;
    chunk.range().contains(addr).then_some(chunk)
}

/// Tags the live chunk that contains `addr`. False when there is none.
pub fn set_tag(addr: Addr, tag: Tag) -> bool {
    if chunk_at(addr).is_none() {
        return false;
    }
    let Some(block) = lookup::block(addr.get()) else { return false };
    block.slot.set_tag(tag)
}

/// Gives everything that the thread's part holds back. It works afterwards as a new one does; what a signal handler
/// cannot give back (lock.rs) stays for whoever uses it next.
pub fn thread_exit(heap: &mut ThreadHeap) {
    let emptied = heap.cache().is_none_or(Cache::empty);
    if emptied && let Some(cache) = heap.cache.take() {
        // SAFETY: taken by this value, emptied, and the pointer is gone.
        unsafe { cache::put(cache) };
    }
    for slot in &heap.in_transit {
        slot.store(0, Relaxed);
    }
}

static_assertions::const_assert!(LARGEST_SPAN < STEP);
static_assertions::const_assert!(LARGEST_SPAN <= super::word::LARGEST_SIZE);
static_assertions::const_assert!(TABLE.len() == SPAN_CLASS as usize);
