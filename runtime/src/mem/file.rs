//! Memory that the program has closed to itself (PROT_NONE) and that still holds something.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::base::Addr;
use crate::sys::file::{self, Fd};

use super::{Filter, ReadMemory};

/// Reads as `M` does, and where that fails through /proc/PID/mem, which does not ask for the protection of a page (a
/// kernel with `proc_mem.force_override=never` does: then such pages stay unread).
pub struct WithFile<'a, M> {
    memory: &'a M,
    file: Option<Fd>,
    /// Pages got through the file.
    pages: AtomicUsize,
}

impl<'a, M: ReadMemory> WithFile<'a, M> {
    /// With /proc/PID/mem, where there is one.
    pub fn new(memory: &'a M, file: Option<Fd>) -> WithFile<'a, M> {
        WithFile { memory, file, pages: AtomicUsize::new(0) }
    }

    /// How many reads were served by the file.
    pub fn served(&self) -> usize {
        self.pages.load(Relaxed)
    }

    #[cold]
    fn by_file(&self, from: Addr, into: &mut [usize]) -> usize {
        const WORD: usize = size_of::<usize>();
        let Some(file) = &self.file else { return 0 };
        // To the end of the page at most: the next may be open again.
        let page = from.plus(1).align_up(crate::arch::page_size()).get() - from.get();
        let mut bytes = [0; 512];
        let want = bytes.len().min(page).min(into.len() * WORD);
        let got = match file::read_at(file, bytes.get_mut(..want).unwrap_or_default(), from.get() as u64) {
            Ok(got) => got / WORD,
            Err(_) => 0,
        };
        for (word, bytes) in into.iter_mut().zip(bytes.as_chunks::<WORD>().0).take(got) {
            *word = usize::from_ne_bytes(*bytes);
        }
        self.pages.fetch_add(usize::from(got > 0), Relaxed);
        got
    }
}

impl<M: ReadMemory> ReadMemory for WithFile<'_, M> {
    #[inline]
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize {
        let mut got = self.memory.read_words(from, into);
        while got < into.len() {
            let at = from.plus(got * size_of::<usize>());
            let rest = into.get_mut(got..).unwrap_or_default();
            let more = self.by_file(at, rest);
            if more == 0 {
                break;
            }
            got += more;
        }
        got
    }

    #[inline]
    fn skip_words(&self, from: Addr, words: usize, filter: Filter) -> usize {
        self.memory.skip_words(from, words, filter)
    }

    #[inline]
    fn prefetch(&self, addr: Addr) {
        self.memory.prefetch(addr);
    }
}
