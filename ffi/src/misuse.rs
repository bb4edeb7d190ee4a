//! Blocks that the heap refuses to free: freed before, not a block's beginning, or allocated by another family.
//!
//! What follows is the user's choice, for each of the three (options `misuse`, `mismatch`, `foreign`): nothing, a report with
//! the stacks of the free and of the allocation, or the end of the process. The heap is whole afterwards: a double free or
//! a free inside a block, which corrupt any other heap, touch nothing of ours; a block of another family is freed as it
//! was allocated; an address of another allocator is that allocator's.

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::base::Addr;
use standstill_runtime::base::text::Text;
use standstill_runtime::heap::{self, Misuse, Origin};
use standstill_runtime::init::options::Consequence;
use standstill_runtime::report::{self, MisuseReport};
use standstill_runtime::sys::process::exit_group;
use standstill_runtime::trace::StackId;
use standstill_runtime::{check, entry_point, init, threads, trace};

/// Each free is noted with its stack.
static NOTES: AtomicBool = AtomicBool::new(false);

/// At the start of the process, when the options are known.
pub(crate) fn start() {
    NOTES.store(init::options().free_stacks, Relaxed);
}

/// Notes the stack of a free that is about to happen, if that is wanted.
#[inline(always)]
pub(crate) fn before_free(block: NonNull<u8>) {
    if NOTES.load(Relaxed) {
        note(block);
    }
}

#[cold]
#[inline(never)]
fn note(block: NonNull<u8>) {
    // SAFETY: entry points take what their implementations take.
    unsafe { call(note_free as *const (), block, Origin::Malloc, Origin::Malloc) };
}

/// What the heap said of freeing `block` by a function of `origin`. A block of another family is still live.
#[cold]
#[inline(never)]
pub(crate) fn refused(misuse: Misuse, block: NonNull<u8>, origin: Origin) {
    let options = init::options();
    let (report, consequence, allocated) = match misuse {
        Misuse::NotOurs => (report_foreign as *const (), options.foreign, origin),
        Misuse::Mismatch { allocated } => (report_mismatch as *const (), options.mismatch, allocated),
        Misuse::DoubleFree => (report_double_free as *const (), options.misuse, origin),
        Misuse::Interior => (report_inside as *const (), options.misuse, origin),
    };
    if consequence != Consequence::Ignore {
        // SAFETY: entry points take what their implementations take.
        unsafe { call(report, block, allocated, origin) };
        end(consequence);
    } else if matches!(misuse, Misuse::Mismatch { .. }) && options.verbosity > 0 {
        report::say(format_args!("{block:p} was {}", Families { allocated, freed: origin }));
    }
}

fn end(consequence: Consequence) {
    unsafe extern "C" {
        fn abort() -> !;
    }
    match consequence {
        // SAFETY: abort(3) takes nothing.
        Consequence::Abort => unsafe { abort() },
        Consequence::Exit if init::options().exitcode != 0 => exit_group(init::options().exitcode.into()),
        _ => {}
    }
}

/// Who allocated a block, and who frees it.
struct Families {
    allocated: Origin,
    freed: Origin,
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "allocated by {} and is freed by {}", family(self.allocated).0, family(self.freed).1)
    }
}

/// Names of the functions that allocate and free.
fn family(origin: Origin) -> (&'static str, &'static str) {
    match origin {
        Origin::Malloc => ("malloc", "free"),
        Origin::New => ("operator new", "operator delete"),
        Origin::NewArray => ("operator new[]", "operator delete[]"),
    }
}

/// # Safety
///
/// - `entry` is one of the entry points below.
unsafe fn call(entry: *const (), block: NonNull<u8>, allocated: Origin, freed: Origin) {
    type Entry = unsafe extern "C" fn(NonNull<u8>, usize, usize);
    // SAFETY: the entry points below take a block and two numbers, and return nothing.
    let entry = unsafe { core::mem::transmute::<*const (), Entry>(entry) };
    // SAFETY: as above.
    unsafe { entry(block, allocated as usize, freed as usize) };
}

entry_point!(/// Reports a block that is freed twice.
    local report_double_free => double_free);
entry_point!(/// Reports an address inside a block that is freed.
    local report_inside => inside);
entry_point!(/// Reports a block that is freed by another family.
    local report_mismatch => mismatch);
entry_point!(/// Reports an address that is freed and in no block.
    local report_foreign => foreign);
entry_point!(/// Notes who frees a block.
    local note_free => freed);

unsafe extern "C" fn double_free(block: NonNull<u8>, _: usize, _: usize, frame: &CallerFrame) {
    tell("double-free", format_args!(""), block, frame);
}

unsafe extern "C" fn inside(block: NonNull<u8>, _: usize, _: usize, frame: &CallerFrame) {
    tell("invalid free (an address inside a block)", format_args!(""), block, frame);
}

unsafe extern "C" fn mismatch(block: NonNull<u8>, allocated: usize, freed: usize, frame: &CallerFrame) {
    let families = Families { allocated: origin(allocated), freed: origin(freed) };
    tell("mismatched free", format_args!(", which was {families}"), block, frame);
}

unsafe extern "C" fn foreign(block: NonNull<u8>, _: usize, _: usize, frame: &CallerFrame) {
    tell("free of a foreign address", format_args!(", which no allocation returned"), block, frame);
}

unsafe extern "C" fn freed(block: NonNull<u8>, _: usize, _: usize, frame: &CallerFrame) {
    heap::freed_by::note(block, stack_of(frame));
}

fn origin(number: usize) -> Origin {
    [Origin::Malloc, Origin::New, Origin::NewArray]
        .into_iter()
        .find(|o| *o as usize == number)
        .unwrap_or_default()
}

fn stack_of(frame: &CallerFrame) -> StackId {
    let entry = crate::malloc::free as *const () as usize;
    let stack = threads::with(|thread| trace::capture(&mut thread.trace, frame, entry, usize::MAX));
    stack.unwrap_or(StackId::NONE)
}

fn tell(what: &str, detail: fmt::Arguments<'_>, block: NonNull<u8>, frame: &CallerFrame) {
    let addr = Addr::of(block.as_ptr());
    let freed_by = stack_of(frame);
    let detail = Text::<128>::of(detail);
    let report = MisuseReport {
        what,
        detail: detail.as_str(),
        block: addr,
        freed_by,
        freed_before_by: heap::freed_by::find(addr).unwrap_or(StackId::NONE),
        allocated_by: heap::last_owner(addr).unwrap_or(StackId::NONE),
    };
    report::misuse(&report, &check::Known);
}
