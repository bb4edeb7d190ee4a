//! The malloc family (malloc(3), posix_memalign(3), malloc_usable_size(3), mallopt(3), malloc_trim(3)); what tells of the
//! heap as a whole is in `heap_figures`.
//!
//! All of malloc.o's public names of glibc are defined, also its `__libc_` aliases: one that was missing would come
//! from libc's own heap (dynamic) or break the link (static).

use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use standstill_runtime::arch::{CallerFrame, page_size};
use standstill_runtime::heap::{self, Misuse, Origin, Request, Scope, Tag};
use standstill_runtime::trace::StackId;
use standstill_runtime::{entry_point, quick_entry_point};
use standstill_runtime::{init, threads, trace};

use crate::misuse::{self, Freer};

/// The smallest alignment that any block has: that of `max_align_t`.
pub(crate) const ALIGN: usize = 16;

/// All memory is handed out zeroed.
static ZEROED: AtomicBool = AtomicBool::new(false);

/// At the start of the process, when the options are known.
pub(crate) fn start() {
    ZEROED.store(init::options().zero, Relaxed);
    if !init::options().huge_pages {
        heap::do_without_huge_pages();
    }
}

#[inline(always)]
fn is_zeroed() -> bool {
    ZEROED.load(Relaxed)
}

/// Allocates for the caller that `frame` describes. Null when there is no memory; errno is not touched.
#[inline]
pub(crate) fn allocate(
    frame: &CallerFrame,
    entry: usize,
    size: usize,
    align: usize,
    zeroed: bool,
    origin: Origin,
) -> *mut c_void {
    // Nothing asked for counts as a byte, as in LeakSanitizer: such a block can leak too.
    let size = size.max(1);
    let Some(mut thread) = threads::enter() else { return null_mut() };
    let stack = trace::capture(&mut thread.trace, frame, entry, size);
    let tag = if thread.disabled == 0 { Tag::Allocated } else { Tag::Ignored };
    let scope = thread.scope;
    let request = Request { size, align, zeroed: zeroed || is_zeroed(), origin, tag, scope, stack };
    let block = heap::allocate(&mut thread.heap, &request);
    block.map_or(null_mut(), |block| block.as_ptr().cast())
}

/// Allocates in the common case: for the caller that `frame` describes, who has the stack that the thread had last or one
/// that it had before, a block that the thread's cache has. Null, and nothing done: that is for [`allocate`] to do.
///
/// It makes no call unless the stack is another than the last, so it has no register to save.
#[inline(always)]
pub(crate) fn allocate_quickly(
    frame: &CallerFrame,
    entry: usize,
    size: usize,
    origin: Origin,
) -> *mut c_void {
    let Some(thread) = threads::enter_quickly() else { return null_mut() };
    match trace::capture_again(&thread.trace, frame, entry) {
        StackId::NONE => by_leaf(thread, frame, entry, size, origin),
        stack => hand_out(thread, size, origin, stack),
    }
}

#[inline(never)]
fn by_leaf(
    mut thread: threads::Inside,
    frame: &CallerFrame,
    entry: usize,
    size: usize,
    origin: Origin,
) -> *mut c_void {
    match trace::capture_by_leaf(&mut thread.trace, frame, entry) {
        StackId::NONE => null_mut(),
        stack => hand_out(thread, size, origin, stack),
    }
}

/// True when a block is to have nothing but a size and a stack.
#[inline(always)]
fn is_plain(thread: &threads::Inside) -> bool {
    thread.disabled == 0 && thread.scope == Scope::NONE && !is_zeroed()
}

#[inline(always)]
fn hand_out(mut thread: threads::Inside, size: usize, origin: Origin, stack: StackId) -> *mut c_void {
    if !is_plain(&thread) {
        return null_mut();
    }
    let Some(block) = heap::allocate_quickly(&mut thread.heap, size, origin, stack) else {
        return null_mut();
    };
    trace::count(&mut thread.trace);
    block.as_ptr().cast()
}

/// As C functions report a lack of memory.
#[inline]
fn or_no_memory(block: *mut c_void) -> *mut c_void {
    if block.is_null() {
        set_errno(libc::ENOMEM);
    }
    block
}

pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the address of the calling thread's errno (LSB, __errno_location), in glibc and musl.
    unsafe { *__errno_location() = value }
}

/// The calling thread's errno.
pub(crate) fn errno() -> c_int {
    // SAFETY: as in set_errno.
    unsafe { *__errno_location() }
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Frees a block of any origin, for `entry`, the function of the C ABI that this is inlined into.
#[inline(always)]
pub(crate) fn release(block: *mut c_void, origin: Origin, entry: usize) {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
    if !misuse::notes_frees()
        && let Some(mut thread) = threads::enter_quickly()
        && heap::free_quickly(&mut thread.heap, block, origin)
    {
        return;
    }
    release_for(block, origin, Freer::of(entry, None));
}

/// As [`release`], in all cases.
#[inline(never)]
fn release_for(block: NonNull<u8>, origin: Origin, by: Freer) {
    misuse::before_free(block, by);
    let Some(Err(misuse)) = threads::with(|thread| heap::free(&mut thread.heap, block, origin)) else {
        return;
    };
    misuse::refused(misuse, block, origin, by);
    if let Misuse::Mismatch { allocated } = misuse {
        threads::with(|thread| heap::free(&mut thread.heap, block, allocated));
    }
}

unsafe extern "C" fn malloc_for(size: usize, _: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    or_no_memory(allocate(frame, malloc as *const () as usize, size, ALIGN, false, Origin::Malloc))
}

unsafe extern "C" fn calloc_for(count: usize, size: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    // An overflowing product asks for more than there can be.
    let size = count.saturating_mul(size);
    or_no_memory(allocate(frame, calloc as *const () as usize, size, ALIGN, true, Origin::Malloc))
}

unsafe extern "C" fn realloc_for(block: *mut u8, size: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    let entry = realloc as *const () as usize;
    let Some(old) = NonNull::new(block) else {
        return or_no_memory(allocate(frame, entry, size, ALIGN, false, Origin::Malloc));
    };
    if size == 0 {
        // glibc frees and returns null; programs that expect musl's empty block test for null anyway.
        release_for(old, Origin::Malloc, Freer::of(entry, Some(frame)));
        return null_mut();
    }
    let reallocate = |origin| {
        threads::with(|thread| {
            let stack = trace::capture(&mut thread.trace, frame, entry, size);
            let tag = if thread.disabled == 0 { Tag::Allocated } else { Tag::Ignored };
            let scope = thread.scope;
            let request = Request { size, align: ALIGN, zeroed: is_zeroed(), origin, tag, scope, stack };
            heap::reallocate(&mut thread.heap, old, &request)
        })
    };
    let mut moved = reallocate(Origin::Malloc);
    if let Some(Err(misuse @ Misuse::Mismatch { allocated })) = moved {
        misuse::refused(misuse, old, Origin::Malloc, Freer::of(entry, Some(frame)));
        moved = reallocate(allocated);
    }
    match moved {
        Some(Ok(Some(new))) => new.as_ptr().cast(),
        Some(Ok(None)) | None => or_no_memory(null_mut()),
        Some(Err(misuse)) => {
            misuse::refused(misuse, old, Origin::Malloc, Freer::of(entry, Some(frame)));
            or_no_memory(null_mut())
        }
    }
}

unsafe extern "C" fn reallocarray_for(
    block: *mut u8,
    count: usize,
    size: usize,
    frame: &CallerFrame,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: as realloc.
        Some(size) => unsafe { realloc_for(block, size, 0, frame) },
        None => or_no_memory(null_mut()),
    }
}

unsafe extern "C" fn memalign_for(align: usize, size: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    aligned(memalign as *const () as usize, align, size, frame)
}

unsafe extern "C" fn aligned_alloc_for(
    align: usize,
    size: usize,
    _: usize,
    frame: &CallerFrame,
) -> *mut c_void {
    if !align.is_power_of_two() {
        set_errno(libc::EINVAL);
        return null_mut();
    }
    aligned(aligned_alloc as *const () as usize, align, size, frame)
}

/// memalign(3): an alignment that is no power of two is rounded up to one, as glibc does.
fn aligned(entry: usize, align: usize, size: usize, frame: &CallerFrame) -> *mut c_void {
    match align.max(ALIGN).checked_next_power_of_two() {
        Some(align) => or_no_memory(allocate(frame, entry, size, align, false, Origin::Malloc)),
        None => {
            set_errno(libc::EINVAL);
            null_mut()
        }
    }
}

unsafe extern "C" fn posix_memalign_for(
    result: *mut *mut c_void,
    align: usize,
    size: usize,
    frame: &CallerFrame,
) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let entry = posix_memalign as *const () as usize;
    // Beside the result errno is set as well, as glibc does: there are programs that look at it alone.
    let block = or_no_memory(allocate(frame, entry, size, align.max(ALIGN), false, Origin::Malloc));
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: posix_memalign(3): the caller passes where the result goes.
    unsafe { *result = block };
    0
}

unsafe extern "C" fn valloc_for(size: usize, _: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    or_no_memory(allocate(frame, valloc as *const () as usize, size, page_size(), false, Origin::Malloc))
}

unsafe extern "C" fn pvalloc_for(size: usize, _: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    let size = size.max(1).checked_next_multiple_of(page_size()).unwrap_or(usize::MAX);
    or_no_memory(allocate(frame, pvalloc as *const () as usize, size, page_size(), false, Origin::Malloc))
}

extern "C" fn malloc_quickly(size: usize, frame: &CallerFrame) -> *mut c_void {
    allocate_quickly(frame, malloc as *const () as usize, size, Origin::Malloc)
}

entry_point!(/// malloc, when it is more than a block of the thread's cache for a stack that is remembered.
    local malloc_otherwise => malloc_for);
quick_entry_point!(/// malloc(3)
    malloc(a) => malloc_quickly, else malloc_otherwise);
entry_point!(/// malloc under glibc's internal name.
    __libc_malloc => malloc_for);
entry_point!(/// calloc(3)
    calloc => calloc_for);
entry_point!(/// calloc under glibc's internal name.
    __libc_calloc => calloc_for);
extern "C" fn realloc_quickly(block: *mut c_void, size: usize, frame: &CallerFrame) -> *mut c_void {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return null_mut() };
    let Some(mut thread) = threads::enter_quickly() else { return null_mut() };
    let stack = trace::capture_again(&thread.trace, frame, realloc as *const () as usize);
    if stack == StackId::NONE || !is_plain(&thread) {
        return null_mut();
    }
    let Some(moved) = heap::reallocate_quickly(&mut thread.heap, block, size, Origin::Malloc, stack) else {
        return null_mut();
    };
    trace::count(&mut thread.trace);
    moved.as_ptr().cast()
}

entry_point!(/// realloc, where its short way ends.
    local realloc_otherwise => realloc_for);
quick_entry_point!(/// realloc(3)
    realloc(a, b) => realloc_quickly, else realloc_otherwise);
entry_point!(/// realloc under glibc's internal name.
    __libc_realloc => realloc_for);
entry_point!(/// reallocarray(3)
    reallocarray => reallocarray_for);
entry_point!(/// reallocarray under glibc's internal name.
    __libc_reallocarray => reallocarray_for);
entry_point!(/// memalign(3)
    memalign => memalign_for);
entry_point!(/// memalign under glibc's internal name.
    __libc_memalign => memalign_for);
entry_point!(/// aligned_alloc(3)
    aligned_alloc => aligned_alloc_for);
entry_point!(/// posix_memalign(3)
    posix_memalign => posix_memalign_for);
entry_point!(/// valloc(3)
    valloc => valloc_for);
entry_point!(/// valloc under glibc's internal name.
    __libc_valloc => valloc_for);
entry_point!(/// pvalloc(3)
    pvalloc => pvalloc_for);
entry_point!(/// pvalloc under glibc's internal name.
    __libc_pvalloc => pvalloc_for);

/// free(3). Keeps errno, as POSIX.1-2024 asks: nothing here touches it.
#[unsafe(no_mangle)]
pub extern "C" fn free(block: *mut c_void) {
    release(block, Origin::Malloc, free as *const () as usize);
}

/// free under glibc's internal name.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_free(block: *mut c_void) {
    release(block, Origin::Malloc, __libc_free as *const () as usize);
}

/// cfree(3), gone from glibc since 2.26 and still linked by old programs.
#[unsafe(no_mangle)]
pub extern "C" fn cfree(block: *mut c_void) {
    release(block, Origin::Malloc, cfree as *const () as usize);
}

/// free_sized (C23 7.24.3.4).
#[unsafe(no_mangle)]
pub extern "C" fn free_sized(block: *mut c_void, _size: usize) {
    release(block, Origin::Malloc, free_sized as *const () as usize);
}

/// free_aligned_sized (C23 7.24.3.5).
#[unsafe(no_mangle)]
pub extern "C" fn free_aligned_sized(block: *mut c_void, _align: usize, _size: usize) {
    release(block, Origin::Malloc, free_aligned_sized as *const () as usize);
}

/// malloc_usable_size(3): the size that was asked for, so that a program which fills it stays inside what is scanned.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    NonNull::new(block.cast()).map_or(0, heap::usable_size)
}

/// malloc_trim(3): gives free memory back; 1 when there was some.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(heap::trim())
}

/// mallopt(3). The parameters tune glibc's heap, and change nothing here. The answer is glibc's for all that it takes, and
/// for what it does not know: programs that ask for it give up on 0.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(_parameter: c_int, _value: c_int) -> c_int {
    1
}
