//! Blocks that the heap refuses to free: freed before, not a block's beginning, or allocated by another family.
//!
//! A double free or a free inside a block is a bug that corrupts any other heap: it is reported with the stack of the
//! free and that of the allocation, and ends the process with the status of leaks (option `exitcode`; with 0 it goes on,
//! since nothing of ours was touched). A block of another allocator is that allocator's: a program with one inside hands
//! it to us by mistake of the linker, not of its own. A block of another family (malloc and delete) is freed as it was
//! allocated.

use core::ffi::c_int;
use core::ptr::NonNull;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::base::Addr;
use standstill_runtime::heap::{self, Misuse, Origin};
use standstill_runtime::report::{self, MisuseReport};
use standstill_runtime::sys::process::exit_group;
use standstill_runtime::trace::StackId;
use standstill_runtime::{entry_point, init, threads, trace};

use crate::modules;

/// What the heap said of freeing `block` by a function of `origin`.
#[cold]
#[inline(never)]
pub(crate) fn refused(misuse: Misuse, block: NonNull<u8>, origin: Origin) {
    match misuse {
        Misuse::NotOurs => {}
        Misuse::Mismatch { allocated } => {
            threads::with(|thread| heap::free(&mut thread.heap, block, allocated));
            if init::options().verbosity > 0 {
                report::say(format_args!(
                    "{block:p} was allocated by {} and is freed by {}",
                    family(allocated).0,
                    family(origin).1
                ));
            }
        }
        // SAFETY: entry points take what their implementations take.
        Misuse::DoubleFree => unsafe { call(report_double_free as *const (), block) },
        // SAFETY: as above.
        Misuse::Interior => unsafe { call(report_inside as *const (), block) },
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
unsafe fn call(entry: *const (), block: NonNull<u8>) {
    // SAFETY: the entry points below take a block and return nothing.
    let entry = unsafe { core::mem::transmute::<*const (), unsafe extern "C" fn(NonNull<u8>)>(entry) };
    // SAFETY: as above.
    unsafe { entry(block) };
}

entry_point!(/// Reports a block that is freed twice.
    local report_double_free => double_free);
entry_point!(/// Reports an address inside a block that is freed.
    local report_inside => inside);

unsafe extern "C" fn double_free(block: NonNull<u8>, _: usize, _: usize, frame: &CallerFrame) {
    end("double-free", block, frame);
}

unsafe extern "C" fn inside(block: NonNull<u8>, _: usize, _: usize, frame: &CallerFrame) {
    end("invalid free (an address inside a block)", block, frame);
}

fn end(what: &str, block: NonNull<u8>, frame: &CallerFrame) {
    let addr = Addr::of(block.as_ptr());
    let freed_by = threads::with(|thread| {
        trace::capture(&mut thread.trace, frame, crate::malloc::free as *const () as usize, usize::MAX)
    });
    let allocated_by = heap::last_owner(addr);
    modules::update();
    report::misuse(&MisuseReport {
        what,
        block: addr,
        freed_by: freed_by.unwrap_or(StackId::NONE),
        allocated_by: allocated_by.unwrap_or(StackId::NONE),
    });
    if init::options().exitcode != 0 {
        exit_group(init::options().exitcode as c_int);
    }
}
