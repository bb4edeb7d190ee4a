//! mmap(2) and its like, noted where an option asks for it. Otherwise each only goes on in libc's.
//!
//! They are called before everything else, by constructors that run before ours, and in signal handlers: so libc's are
//! looked for at the start and never later; until then, and where there are none, the system call itself is made, which
//! is all that libc's do.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in. What libc
//! and the loader map for themselves does not pass here.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use standstill_runtime::arch::{self, CallerFrame, page_size};
use standstill_runtime::base::{Addr, AddrRange, Errno};
use standstill_runtime::threads::mappings;
use standstill_runtime::{entry_point_of_six, init};

use crate::resources::stack_of;

type Six = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;

/// A function of libc that makes one system call.
struct Real {
    symbol: &'static CStr,
    number: libc::c_long,
    /// libc's function; 0: not found yet.
    found: AtomicUsize,
    /// The same where nothing is noted, to jump to.
    target: &'static AtomicUsize,
}

impl Real {
    const fn new(symbol: &'static CStr, number: libc::c_long, target: &'static AtomicUsize) -> Real {
        Real { symbol, number, found: AtomicUsize::new(0), target }
    }

    fn resolve(&self) {
        self.found.store(crate::start::next_symbol(self.symbol).map_or(0, |found| found.addr()), Relaxed);
    }

    /// # Safety
    ///
    /// As for the system call.
    unsafe fn call(&self, [a, b, c, d, e, f]: [usize; 6]) -> isize {
        match self.found.load(Relaxed) {
            0 => {
                // SAFETY: the caller's duty, passed on.
                let result = unsafe { arch::syscall6(self.number as usize, [a, b, c, d, e, f]) };
                Errno::split(result).map_or_else(
                    |errno| {
                        crate::malloc::set_errno(errno.get());
                        -1
                    },
                    |value| value as isize,
                )
            }
            address => {
                // SAFETY: libc's function of that name: it takes those of six words that it knows (psABI, "Variable
                // Argument Lists": variadic arguments go in the same registers).
                let real = unsafe { core::mem::transmute::<usize, Six>(address) };
                // SAFETY: the caller's duty, passed on.
                unsafe { real(a, b, c, d, e, f) }
            }
        }
    }
}

static MMAP_TARGET: AtomicUsize = AtomicUsize::new(0);
static MUNMAP_TARGET: AtomicUsize = AtomicUsize::new(0);
static MREMAP_TARGET: AtomicUsize = AtomicUsize::new(0);

// On 64-bit systems mmap64 is mmap.
static MMAP: Real = Real::new(c"mmap", libc::SYS_mmap, &MMAP_TARGET);
static MUNMAP: Real = Real::new(c"munmap", libc::SYS_munmap, &MUNMAP_TARGET);
static MREMAP: Real = Real::new(c"mremap", libc::SYS_mremap, &MREMAP_TARGET);
const ALL: [&Real; 3] = [&MMAP, &MUNMAP, &MREMAP];

/// At the start of the process, when the options are known.
pub(crate) fn start() {
    if init::options().report_mappings {
        mappings::keep();
    } else {
        ALL.into_iter().for_each(|real| real.target.store(real.found.load(Relaxed), Relaxed));
    }
}

/// As the others: see [`crate::next::resolve`].
pub(crate) fn resolve() {
    ALL.into_iter().for_each(Real::resolve);
}

/// Whole pages, as the kernel counts.
fn pages(start: usize, bytes: usize) -> AddrRange {
    let end = Addr::new(start.saturating_add(bytes).min(usize::MAX - page_size())).align_up(page_size());
    AddrRange::new(Addr::new(start), end)
}

entry_point_of_six!(/// As mmap(2).
    mmap => mmap_for, or jumps to MMAP_TARGET);
entry_point_of_six!(/// As mmap(2).
    mmap64 => mmap64_for, or jumps to MMAP_TARGET);
entry_point_of_six!(/// As munmap(2).
    munmap => munmap_for, or jumps to MUNMAP_TARGET);
entry_point_of_six!(/// As mremap(2).
    mremap => mremap_for, or jumps to MREMAP_TARGET);

unsafe extern "C" fn mmap_for(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    frame: &CallerFrame,
) -> isize {
    // SAFETY: the caller's arguments, passed on.
    unsafe { map([a, b, c, d, e, f], mmap as *const () as usize, frame) }
}

unsafe extern "C" fn mmap64_for(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    frame: &CallerFrame,
) -> isize {
    // SAFETY: the caller's arguments, passed on.
    unsafe { map([a, b, c, d, e, f], mmap64 as *const () as usize, frame) }
}

/// # Safety
///
/// As for mmap(2).
unsafe fn map(arguments: [usize; 6], entry: usize, frame: &CallerFrame) -> isize {
    // SAFETY: the caller's duty, passed on.
    let result = unsafe { MMAP.call(arguments) };
    let [hint, bytes, ..] = arguments;
    if result != -1 && mappings::are_kept() {
        // A wish that was granted is a choice as well.
        let asked = hint != 0 && hint == result as usize;
        mappings::add(pages(result as usize, bytes), stack_of(entry, frame), asked);
    }
    result
}

unsafe extern "C" fn munmap_for(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    _: &CallerFrame,
) -> isize {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { MUNMAP.call([a, b, c, d, e, f]) };
    // The kernel refuses what does not begin with a page.
    if !mappings::are_kept() || !a.is_multiple_of(page_size()) {
        return call();
    }
    let taken = mappings::take(pages(a, b));
    let result = call();
    // munmap(3) gives an int.
    if result as i32 != 0 {
        mappings::put_back(&taken);
    }
    result
}

unsafe extern "C" fn mremap_for(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    frame: &CallerFrame,
) -> isize {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { MREMAP.call([a, b, c, d, e, f]) };
    // The kernel refuses what does not begin with a page.
    if !mappings::are_kept() || !a.is_multiple_of(page_size()) {
        return call();
    }
    let taken = mappings::take(pages(a, b));
    let result = call();
    // The old place stays mapped, with MREMAP_DONTUNMAP; of an old size of 0 nothing was taken.
    if result == -1 || d & libc::MREMAP_DONTUNMAP as usize != 0 {
        mappings::put_back(&taken);
    }
    if result != -1 {
        mappings::moved(&taken, pages(result as usize, c), stack_of(mremap as *const () as usize, frame));
    }
    result
}
