//! Blocks that the heap refuses to free: freed before, not a block's beginning, or allocated by another family.
//!
//! What follows is the user's choice, for each of the three (options `misuse`, `mismatch`, `foreign`): nothing, a report with
//! the stacks of the free and of the allocation, or the end of the process. The heap is whole afterwards: a double free or
//! a free inside a block, which corrupt any other heap, touch nothing of ours; a block of another family is freed as it
//! was allocated; an address of another allocator is that allocator's.

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use standstill_runtime::arch::{self, CallerFrame};
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

/// Who frees: what call stacks begin with.
#[derive(Clone, Copy)]
pub(crate) struct Freer {
    /// The function of the C ABI that the program called.
    entry: usize,
    /// A stack pointer inside its frame: what lies deeper is ours, and not shown.
    above: usize,
}

impl Freer {
    /// An entry point that was called from `frame`; without one, `entry` itself, which this is inlined into.
    #[inline(always)]
    pub(crate) fn of(entry: usize, frame: Option<&CallerFrame>) -> Freer {
        let above = match frame {
            Some(frame) => frame.stack_pointer() - 1,
            None => arch::stack_pointer(),
        };
        Freer { entry, above }
    }
}

/// Each free is to be noted with its stack.
#[inline(always)]
pub(crate) fn notes_frees() -> bool {
    NOTES.load(Relaxed)
}

/// Notes the stack of a free that is about to happen, if that is wanted.
pub(crate) fn before_free(block: NonNull<u8>, by: Freer) {
    if notes_frees() {
        note(block, by);
    }
}

#[cold]
#[inline(never)]
fn note(block: NonNull<u8>, by: Freer) {
    // SAFETY: the entry point takes a block and who frees it.
    unsafe { call(note_free, block, &by) };
}

/// What is wrong with a free, for the report.
struct Wrong {
    misuse: Misuse,
    freed: Origin,
    by: Freer,
    ends: bool,
}

/// What the heap said of freeing `block` by a function of `origin`. A block of another family is still live.
#[cold]
#[inline(never)]
pub(crate) fn refused(misuse: Misuse, block: NonNull<u8>, origin: Origin, by: Freer) {
    let options = init::options();
    let consequence = match misuse {
        Misuse::NotOurs => options.foreign,
        Misuse::Mismatch { .. } => options.mismatch,
        Misuse::DoubleFree | Misuse::Interior => options.misuse,
    };
    if consequence != Consequence::Ignore {
        let ends = match consequence {
            Consequence::Abort => true,
            Consequence::Exit => options.exitcode != 0,
            Consequence::Ignore | Consequence::Warn => false,
        };
        let wrong = Wrong { misuse, freed: origin, by, ends };
        // SAFETY: the entry point takes a block and what is wrong with freeing it.
        unsafe { call(report_misuse, block, &wrong) };
        if ends {
            end(consequence);
        }
    } else if let Misuse::Mismatch { allocated } = misuse
        && options.verbosity > 0
    {
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
        _ => exit_group(init::options().exitcode.into()),
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
/// - `entry` is one of the entry points below, which takes a `T`.
unsafe fn call<T>(entry: unsafe extern "C" fn(), block: NonNull<u8>, of: &T) {
    type Entry<T> = unsafe extern "C" fn(NonNull<u8>, &T);
    // SAFETY: an entry point is declared without the arguments that it hands on; these here, as the caller promises.
    let entry = unsafe { core::mem::transmute::<unsafe extern "C" fn(), Entry<T>>(entry) };
    // SAFETY: as above.
    unsafe { entry(block, of) };
}

entry_point!(/// Reports a misuse.
    local report_misuse => tell);
entry_point!(/// Notes who frees a block.
    local note_free => freed);

unsafe extern "C" fn freed(block: NonNull<u8>, by: &Freer, _: usize, frame: &CallerFrame) {
    heap::freed_by::note(block, stack_of(*by, frame));
}

fn stack_of(by: Freer, frame: &CallerFrame) -> StackId {
    let stack = threads::with(|thread| trace::capture_above(&mut thread.trace, frame, by.entry, by.above));
    stack.unwrap_or(StackId::NONE)
}

unsafe extern "C" fn tell(block: NonNull<u8>, wrong: &Wrong, _: usize, frame: &CallerFrame) {
    let addr = Addr::of(block.as_ptr());
    let (what, detail) = match wrong.misuse {
        Misuse::DoubleFree => ("double-free", Text::<128>::new()),
        Misuse::Interior => ("invalid free (an address inside a block)", Text::new()),
        Misuse::NotOurs => {
            ("free of a foreign address", Text::of(format_args!(", which no allocation returned")))
        }
        Misuse::Mismatch { allocated } => {
            let families = Families { allocated, freed: wrong.freed };
            ("mismatched free", Text::of(format_args!(", which was {families}")))
        }
    };
    let report = MisuseReport {
        what,
        detail: detail.as_str(),
        block: addr,
        ends: wrong.ends,
        freed_by: stack_of(wrong.by, frame),
        freed_before_by: heap::freed_by::find(addr).unwrap_or(StackId::NONE),
        allocated_by: heap::last_owner(addr).unwrap_or(StackId::NONE),
    };
    report::misuse(&report, &check::Known);
}
