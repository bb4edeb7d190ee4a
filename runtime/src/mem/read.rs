//! Reads of the program's memory that survive anything: pages that are gone, protected, guarded
//! (MADV_GUARD_INSTALL, which /proc/PID/maps does not show) or behind the end of a truncated file.
//!
//! Contract: the seam between the stages that know how memory is got and the ones that only look at words. `scan`,
//! `classify` and `report` take a [`ReadMemory`] and are safe code; tests hand them a made-up memory.
//!
//! Not promised: a read of a page that was never touched may wait for the program (userfaultfd, FUSE). Whoever asks for
//! whole mappings asks [`crate::harvest`] first which pages are present.
//!
//! Why by fault handler and not process_vm_readv(2): a call for each small block would cost more than scanning it, and
//! seccomp filters may refuse it.

use crate::arch;
use crate::base::{Addr, Errno};
use crate::sys::probe;
use crate::sys::signals::{self, Action, SignalSet};

use super::filter::Filter;

/// Memory that can be asked for words.
pub trait ReadMemory {
    /// Fills `into` from address `from` (a multiple of the word size) on. Returns how many words were read before the
    /// first that cannot be; the rest of `into` is unspecified.
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize;

    /// How many words from address `from` on, of `words` at most, can be read and do not pass `filter`: an underestimate.
    /// Where it says 0 the words must be read to know.
    #[inline]
    fn skip_words(&self, _from: Addr, _words: usize, _filter: Filter) -> usize {
        0
    }

    /// A hint that words at `addr`, which may be bad, will be asked for shortly.
    #[inline]
    fn prefetch(&self, _addr: Addr) {}
}

/// The memory of the process itself, also as seen by a helper that shares it. Exists only while faults are absorbed.
#[derive(Clone, Copy)]
pub struct ProcessMemory<'a> {
    guard: core::marker::PhantomData<&'a ()>,
}

impl ProcessMemory<'_> {
    /// For a task whose own handlers of SIGSEGV and SIGBUS begin with [`arch::absorb_copy_fault`], such as the helper.
    ///
    /// # Safety
    ///
    /// - Those handlers stay in place as long as the value is used.
    pub unsafe fn with_own_handlers() -> ProcessMemory<'static> {
        ProcessMemory { guard: core::marker::PhantomData }
    }
}

impl ReadMemory for ProcessMemory<'_> {
    #[inline]
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize {
        // SAFETY: `into` is valid for its length; a fault in the source is absorbed, as the type promises.
        unsafe { arch::copy_words(into.as_mut_ptr(), from.get(), into.len()) }
    }

    #[inline]
    fn skip_words(&self, from: Addr, words: usize, filter: Filter) -> usize {
        // What lies across more than half of all addresses is no heap, and the routines may then not be exact.
        if filter.span() > usize::MAX / 4 {
            return 0;
        }
        arch::skip_words(from.get(), words, filter.low(), filter.span())
    }

    #[inline]
    fn prefetch(&self, addr: Addr) {
        arch::prefetch(addr.get());
    }
}

/// The memory of the process for a thread that looks at what is its own, such as its stack: each page is asked for before it
/// is read, by a system call. Nobody else takes it away meanwhile.
#[derive(Clone, Copy)]
pub struct OwnMemory;

impl ReadMemory for OwnMemory {
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize {
        for (index, word) in into.iter_mut().enumerate() {
            let at = from.plus(index * size_of::<usize>());
            if !probe::is_readable(at) {
                return index;
            }
            let at = core::ptr::with_exposed_provenance::<usize>(at.get());
            // SAFETY: the kernel could read it just now, and what is the thread's own stays. Any bytes are a word.
            *word = unsafe { at.read_volatile() };
        }
        into.len()
    }
}

/// Absorbs faults of our reads in the calling process until dropped, by its own actions for SIGSEGV and SIGBUS.
///
/// For a process with a single task that scans itself: no thread of the program can fault meanwhile. A fault that is
/// not ours goes to the program's own action, as it was.
pub struct FaultGuard {
    segv: Action,
    bus: Action,
    mask: SignalSet,
}

impl FaultGuard {
    /// Puts the handlers in place. SIGSEGV and SIGBUS are unblocked meanwhile: a blocked one would kill the process.
    pub fn install() -> Result<FaultGuard, Errno> {
        let absorb = Action::handle(on_fault, libc::SA_NODEFER, SignalSet::EMPTY);
        // SAFETY: on_fault has the handler's type, touches only its context, and no other task runs.
        let segv = unsafe { signals::set_action(libc::SIGSEGV, Some(&absorb)) }?;
        // SAFETY: as above.
        let bus = match unsafe { signals::set_action(libc::SIGBUS, Some(&absorb)) } {
            Ok(bus) => bus,
            Err(errno) => {
                // SAFETY: puts back what the program had.
                let _ = unsafe { signals::set_action(libc::SIGSEGV, Some(&segv)) };
                return Err(errno);
            }
        };
        let mask = signals::set_mask(SignalSet::ALL.without(libc::SIGSEGV).without(libc::SIGBUS))?;
        Ok(FaultGuard { segv, bus, mask })
    }

    /// The memory of the process, readable as long as the guard stands.
    pub fn memory(&self) -> ProcessMemory<'_> {
        ProcessMemory { guard: core::marker::PhantomData }
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        // SAFETY: puts back what the program had.
        let _ = unsafe { signals::set_action(libc::SIGSEGV, Some(&self.segv)) };
        // SAFETY: puts back what the program had.
        let _ = unsafe { signals::set_action(libc::SIGBUS, Some(&self.bus)) };
        let _ = signals::set_mask(self.mask);
    }
}

unsafe extern "C" fn on_fault(signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes the interrupted context to a handler with SA_SIGINFO (sigaction(2)), on the stack and
    // exclusively ours until we return.
    let context = unsafe { context.as_mut() };
    if context.is_some_and(arch::absorb_copy_fault) {
        return;
    }
    // A fault of our own making: let it kill as it would have, at the instruction that made it.
    // SAFETY: the default action has no handler.
    let _ = unsafe { signals::set_action(signal, Some(&Action::DEFAULT)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AddrRange;
    use crate::sys::memory;

    #[test]
    fn reads_stop_at_the_first_bad_page() {
        let page = arch::page_size();
        let start =
            memory::map_anonymous(Addr::NULL, 3 * page, libc::PROT_READ | libc::PROT_WRITE, 0).unwrap();
        // SAFETY: the test's own mapping.
        unsafe { memory::protect(AddrRange::sized(start.plus(2 * page), page), libc::PROT_NONE) }.unwrap();
        let guard = FaultGuard::install().unwrap();
        let memory = guard.memory();
        let mut words = [1usize; 1024];
        assert_eq!(memory.read_words(start, &mut words), 1024);
        assert!(words.iter().all(|word| *word == 0));
        // Both ways of copying: long and short.
        assert_eq!(memory.read_words(start.plus(page), &mut words), 1024.min(page / 8));
        assert_eq!(memory.read_words(start.plus(2 * page - 24), &mut words[..20]), 3);
        assert_eq!(memory.read_words(Addr::new(8), &mut words), 0);
        assert_eq!(memory.read_words(Addr::new(1 << 62), &mut words), 0);
        drop(guard);
        // SAFETY: the test's own mapping.
        unsafe { memory::unmap(AddrRange::sized(start, 3 * page)) }.unwrap();
    }
}
