//! Words of the stack that is being unwound, and nothing else.
//!
//! A word is read only if it lies in `[low, top)`: `low` is the stack pointer of the frame the walk began with, `top` is
//! as far as memory is known to be mapped. Two kinds of stack:
//!
//! - *The thread's own* ([`OwnStack`]): mapped for as long as the thread runs, so its range is found once and then a
//!   read is a comparison and a load. Its end is handed in, or is the thread pointer (glibc and musl put the TCB at the
//!   top of the stacks they allocate), or for the main thread the top of `[stack]` ([`set_main_stack`]). It counts as
//!   found only if every page up to that end can be read.
//! - *Any other* (makecontext, sigaltstack, split stacks): may be unmapped and mapped again between two calls, with
//!   another size, so nothing is remembered of it. Pages are probed ([`crate::sys::probe`]) as the walk reaches them,
//!   again in each walk: about 0.1 us a page, and thirty frames seldom span more than two.
//!
//! Why not a pthread attribute (pthread_getattr_np allocates and reads /proc/self/maps for the main thread) and why
//! not the fault-absorbing copy: in a running program the handlers of SIGSEGV are the program's.
//!
//! # Safety
//!
//! This file reads raw memory on behalf of the unwinder, so that the rest of the folder is safe code.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::arch::unwinding::significant;
use crate::arch::{self, Block, CallerFrame, page_size};
use crate::base::{Addr, AddrRange};
use crate::sys::probe::is_readable;

/// No stack is searched farther than this for its end, and no frame of a foreign stack is larger.
const FARTHEST: usize = 64 << 20;
const FARTHEST_FOREIGN: usize = 4 << 20;
const WORD: usize = size_of::<usize>();

static MAIN_STACK_TOP: AtomicUsize = AtomicUsize::new(0);

/// Tells where the main thread's stack ends: any address above all of its frames. Called once, at init.
///
/// Not rounded down to a page: the frames of main and what called it often lie in the same page as that address.
pub fn set_main_stack(top: usize) {
    MAIN_STACK_TOP.store(top & !(WORD - 1), Relaxed);
}

/// What a thread knows of its own stack. All zero: nothing yet.
pub struct OwnStack {
    low: usize,
    top: usize,
    /// An address below `low` that cannot be read: what lies below it is another stack.
    gap: usize,
    /// Nothing was found for the thread at first look: the page of the stack pointer, plus 1 if the main thread's stack
    /// was known then. Looked for again only for other ones: what allocates before init is often the main thread.
    missed: usize,
}

impl OwnStack {
    /// Nothing known.
    pub const fn new() -> OwnStack {
        OwnStack { low: 0, top: 0, gap: 0, missed: 0 }
    }

    /// Takes the range from who knows it: all of it stays mapped and readable above the stack pointer.
    pub fn set(&mut self, range: AddrRange) {
        let top = range.end.get() & !(WORD - 1);
        *self = OwnStack { low: range.start.get(), top, gap: range.start.get(), missed: 0 };
    }

    /// What is known to be readable, if `record`, the entry point's, is on the thread's own stack and it reaches up to
    /// `end`.
    #[inline(always)]
    pub fn seen(&self, record: usize, end: usize) -> Option<Seen> {
        let inside = self.low <= record && end <= self.top;
        inside.then_some(Seen { low: self.low, top: self.top })
    }

    /// Finds out whether `sp` is on the thread's own stack. True: `[sp, self.top)` can be read.
    #[inline]
    fn holds(&mut self, sp: usize) -> bool {
        (self.low <= sp && sp < self.top) || self.search(sp)
    }

    #[cold]
    #[inline(never)]
    fn search(&mut self, sp: usize) -> bool {
        let page = sp & !(page_size() - 1);
        if self.top == 0 {
            let main_top = MAIN_STACK_TOP.load(Relaxed);
            let missed = page | usize::from(main_top != 0);
            if missed == self.missed {
                return false;
            }
            let thread_pointer = arch::thread_pointer() & !(WORD - 1);
            for top in [thread_pointer, main_top] {
                let near = sp < top && top - sp <= FARTHEST;
                if near && (page..top).step_by(page_size()).all(|at| is_readable(Addr::new(at))) {
                    *self = OwnStack { low: page, top, gap: 0, missed: 0 };
                    return true;
                }
            }
            self.missed = missed;
            return false;
        }
        if sp >= self.top || sp < self.gap || self.low - sp > FARTHEST {
            return false;
        }
        // Deeper than ever before, or another stack below this one: then there is a gap.
        while self.low > page {
            let next = self.low - page_size();
            if !is_readable(Addr::new(next)) {
                self.gap = self.low;
                return false;
            }
            self.low = next;
        }
        true
    }
}

/// The stack that a walk is on.
pub struct Stack<'t> {
    own: &'t mut OwnStack,
    low: usize,
    top: usize,
    foreign: bool,
}

impl<'t> Stack<'t> {
    /// The stack with the stack pointer `sp` of an entry point's caller, below which the entry point's record lies.
    #[inline]
    pub fn of_caller(own: &'t mut OwnStack, sp: usize) -> Stack<'t> {
        let foreign = !own.holds(sp - size_of::<CallerFrame>());
        // The caller runs on this page, at and above sp at least up to its return address' slot.
        let top = if foreign { (sp | (page_size() - 1)) + 1 } else { own.top };
        Stack { own, low: sp, top, foreign }
    }

    /// Goes over to the stack that `sp` is on: behind a signal handler's frame, or where a function moved the stack
    /// pointer elsewhere. False if there is no memory.
    #[cold]
    #[inline(never)]
    pub fn switch_to(&mut self, sp: usize) -> bool {
        if !sp.is_multiple_of(WORD) || !is_readable(Addr::new(sp)) {
            return false;
        }
        self.foreign = !self.own.holds(sp);
        self.top = if self.foreign { (sp | (page_size() - 1)) + 1 } else { self.own.top };
        // A function that was interrupted may have saved registers below its stack pointer.
        let low = sp.saturating_sub(arch::RED_ZONE);
        self.low = if is_readable(Addr::new(low)) { low } else { sp };
        true
    }

    /// True for another stack than the thread's own.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// What of the stack was seen, if that reaches up to `end`. It begins at or below the entry point's record.
    #[inline]
    pub fn seen(&mut self, end: usize) -> Option<Seen> {
        if end > self.top && !self.extend(end - 1) {
            return None;
        }
        // Of the own stack also what lies below: a remembered leaf may have been deeper.
        let low = if self.foreign { self.low - size_of::<CallerFrame>() } else { self.own.low };
        Some(Seen { low, top: self.top })
    }

    /// The word at `at`, as far as it makes an address; `None` when it is outside the stack or not aligned.
    #[inline]
    pub fn word(&mut self, at: usize) -> Option<usize> {
        if !at.is_multiple_of(WORD) || at < self.low || (at >= self.top && !self.extend(at)) {
            return None;
        }
        // SAFETY:
        // - at is aligned, and a whole word below `top`, which is a multiple of the page size or of the word size.
        // - [low, top) was seen to be readable: the own stack stays mapped while its thread runs, which is this one;
        //   of a foreign stack each page was probed in this same walk.
        // - volatile, because the words belong to other frames, whose contents the compiler knows nothing of.
        Some(significant(unsafe { core::ptr::with_exposed_provenance::<usize>(at).read_volatile() }))
    }

    #[cold]
    #[inline(never)]
    fn extend(&mut self, at: usize) -> bool {
        if !self.foreign || at - self.top >= FARTHEST_FOREIGN {
            return false;
        }
        while self.top <= at {
            if !is_readable(Addr::new(self.top)) {
                return false;
            }
            self.top += page_size();
        }
        true
    }
}

/// Memory of the calling thread's current stack that can be read: the words of `[low, top)`.
#[derive(Clone, Copy)]
pub struct Seen {
    low: usize,
    top: usize,
}

impl Seen {
    /// The first of `count` blocks, which `words` are, with a word that is not what it was. Offsets count from `record`,
    /// and none of them may lie farther than `farthest`. What was not seen to be readable counts as changed.
    #[inline(always)]
    pub fn first_changed_block(
        self,
        record: usize,
        farthest: u16,
        words: &[u64],
        count: usize,
    ) -> Option<usize> {
        let end = record.wrapping_add((usize::from(farthest) + 1) * WORD);
        let start = words.as_ptr().cast::<Block>();
        let readable = record >= self.low && end <= self.top && end > record;
        if !readable || !start.is_aligned() || size_of_val(words) < count * size_of::<Block>() {
            return Some(0);
        }
        // SAFETY: any words are blocks, if they are aligned; there are enough of them.
        let stop = unsafe { start.add(count) };
        // SAFETY: as above; and `record` and `farthest` words behind it lie in [low, top), of which see `Stack::word`.
        // Other threads may write to the words of a stack.
        let changed = unsafe { arch::first_changed_block(record, farthest, start, stop) };
        (changed != stop).then(|| (changed.addr() - start.addr()) / size_of::<Block>())
    }

    /// The word at `at`.
    pub fn word(self, at: usize) -> Option<usize> {
        if !at.is_multiple_of(WORD) || at < self.low || at >= self.top {
            return None;
        }
        // SAFETY: an aligned word in [low, top), of which see `Stack::word`. Volatile, because it belongs to others.
        Some(unsafe { core::ptr::with_exposed_provenance::<usize>(at).read_volatile() })
    }
}

/// Bytes of an image that the loader has mapped, for reading its unwind tables.
///
/// # Safety
///
/// - `range` lies inside a loaded image, which stays loaded as long as the slice is used: code that has a frame on
///   the calling thread's stack keeps its image loaded (dlclose(3) of running code is the program's error), and the
///   tables of an image are in the same segment or another of its segments.
/// - Holes between segments may be part of the range, if nobody reads there.
pub unsafe fn image_bytes<'a>(range: AddrRange) -> &'a [u8] {
    // SAFETY: the caller's duty.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(range.start.get()), range.len()) }
}

/// The code bytes at `at`, where all of them can be read.
pub fn code_bytes<const N: usize>(at: usize) -> Option<[u8; N]> {
    let last = at.checked_add(N)?.checked_sub(WORD)?;
    if N < WORD || !is_readable(Addr::new(at)) || !is_readable(Addr::new(last)) {
        return None;
    }
    // SAFETY: both ends were just seen to be readable, and N bytes span at most two pages. Code that a thread is to
    // return to is not unmapped meanwhile; code that is written at the same time gives old or new bytes.
    Some(unsafe { core::ptr::with_exposed_provenance::<[u8; N]>(at).read_volatile() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_stack_is_found_and_bounded() {
        std::thread::spawn(|| {
            let marker = 0x1234_5678_usize;
            let at = Addr::of(&marker).get();
            let mut own = OwnStack::new();
            let mut stack = Stack::of_caller(&mut own, at);
            assert!(!stack.is_foreign());
            assert_eq!(stack.word(at), Some(marker));
            assert_eq!(stack.word(at + 1), None);
            assert_eq!(stack.word(at - 8), None);
            assert_eq!(stack.word(arch::thread_pointer() + page_size()), None);
            assert_eq!(stack.word(8), None);
            assert_eq!(stack.word(usize::MAX - 7), None);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_main_stack_is_found_once_it_is_known() {
        use crate::sys::memory;
        let map = memory::map_anonymous(Addr::NULL, 4 * page_size(), libc::PROT_READ | libc::PROT_WRITE, 0);
        let range = AddrRange::sized(map.unwrap(), 4 * page_size());
        let sp = range.end.get() - 64;
        let mut own = OwnStack::new();
        // What allocates before init does so on the page that main's frames are on as well.
        assert!(Stack::of_caller(&mut own, sp).is_foreign());
        set_main_stack(range.end.get());
        let found = !Stack::of_caller(&mut own, sp).is_foreign();
        set_main_stack(0);
        assert!(found);
        // SAFETY: the test's own mapping.
        unsafe { memory::unmap(range) }.unwrap();
    }

    #[test]
    fn foreign_stacks_end_where_memory_ends() {
        use crate::sys::memory;
        let map = memory::map_anonymous(Addr::NULL, 8 * page_size(), libc::PROT_READ | libc::PROT_WRITE, 0);
        let start = map.unwrap();
        let end = start.plus(7 * page_size());
        // SAFETY: the test's own mapping.
        unsafe { memory::protect(AddrRange::sized(end, page_size()), libc::PROT_NONE) }.unwrap();
        let mut own = OwnStack::new();
        let sp = start.plus(page_size() + 64).get();
        let mut stack = Stack::of_caller(&mut own, sp);
        assert!(stack.is_foreign());
        assert_eq!(stack.word(sp), Some(0));
        assert_eq!(stack.word(end.get() - 8), Some(0));
        assert_eq!(stack.word(end.get()), None);
        assert_eq!(stack.word(start.get()), None);
        assert!(stack.seen(end.get() + 8).is_none());
        let seen = stack.seen(end.get()).unwrap();
        let record = sp - size_of::<CallerFrame>();
        assert_eq!((seen.word(record), seen.word(record - 8)), (Some(0), None));
        assert_eq!((seen.word(end.get() - 8), seen.word(end.get())), (Some(0), None));
        let farthest = ((end.get() - record) / 8 - 1) as u16;
        let blocks = |offset: u16| {
            let mut words = crate::mem::MapVec::zeroed(10).unwrap();
            words[..2].fill(u64::from(offset));
            words
        };
        let changed = |record, farthest| seen.first_changed_block(record, farthest, &blocks(farthest), 1);
        assert_eq!(changed(record, farthest), None);
        assert_eq!(changed(record, farthest + 1), Some(0));
        assert_eq!(changed(record - 8, farthest), Some(0));
        // An offset that lies behind what was said to be the farthest.
        assert_eq!(seen.first_changed_block(record, 7, &blocks(8), 1), Some(0));
        assert_eq!(seen.first_changed_block(record, 8, &blocks(8), 1), None);
        assert_eq!(seen.first_changed_block(record, 8, &blocks(8), 2), Some(0));
        assert!(!stack.switch_to(end.get()));
        assert!(stack.switch_to(start.get()));
        // SAFETY: the test's own mapping.
        unsafe { memory::unmap(AddrRange::sized(start, 8 * page_size())) }.unwrap();
    }
}
