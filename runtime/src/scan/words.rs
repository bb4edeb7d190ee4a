//! Reading ranges word by word.

use crate::arch::{page_size, untagged};
use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::Resident;
use crate::mem::{MapVec, ReadMemory};

/// Bytes of a word, and its alignment.
pub(crate) const WORD: usize = size_of::<usize>();

/// The words a piece is read in.
pub(super) const PIECE: usize = 512;

/// The whole, aligned words of a range.
#[inline]
pub(crate) fn aligned(range: AddrRange) -> AddrRange {
    AddrRange::new(range.start.align_up(WORD), range.end.align_down(WORD))
}

/// The parts of a chunk to read: all of a small one, which shares its page with others; of a larger one what is
/// resident.
pub(crate) fn parts_of_chunk(resident: &Resident, range: AddrRange) -> impl Iterator<Item = AddrRange> + '_ {
    let small = range.len() <= page_size();
    let paged = if small { AddrRange::default() } else { range };
    core::iter::once(range).filter(move |_| small).chain(resident.within(paged))
}

/// A buffer for [`for_each`]. The caller keeps it: one on the stack would have to be zeroed for every chunk, which costs
/// more than reading a small one.
pub(crate) fn buffer() -> Result<MapVec<usize>, Errno> {
    let mut buffer = MapVec::new();
    buffer.resize(PIECE, 0)?;
    Ok(buffer)
}

/// Words that are worth a look: those between two values.
#[derive(Clone, Copy)]
pub(crate) struct Filter {
    low: usize,
    span: usize,
}

impl Filter {
    /// Lets addresses in `range` pass.
    pub(crate) fn new(range: AddrRange) -> Filter {
        Filter { low: range.start.get(), span: range.len() }
    }

    #[inline(always)]
    fn passes(self, word: usize) -> bool {
        word.wrapping_sub(self.low) < self.span
    }

    /// Calls `each` for the words that pass. Most memory holds none for long stretches: a block is first tested as a
    /// whole, without a branch for each word.
    #[inline(always)]
    fn for_each(self, words: &[usize], mut each: impl FnMut(usize)) {
        let mut some = |words: &[usize]| {
            for word in words.iter().map(|word| untagged(*word)) {
                if self.passes(word) {
                    each(word);
                }
            }
        };
        let (blocks, rest) = words.as_chunks::<8>();
        for block in blocks {
            if block.iter().fold(false, |any, word| any | self.passes(untagged(*word))) {
                some(block);
            }
        }
        some(rest);
    }
}

/// Calls `each` for every word of `range` that can be read and passes `filter`; a page that cannot be read is passed
/// over. Returns the bytes read.
#[inline]
pub(crate) fn for_each(
    memory: &impl ReadMemory,
    range: AddrRange,
    buffer: &mut [usize],
    filter: Filter,
    mut each: impl FnMut(usize),
) -> usize {
    let AddrRange { start: mut at, end } = aligned(range);
    let mut total = 0;
    while at < end {
        let want = (AddrRange::new(at, end).len() / WORD).min(buffer.len());
        let Some(into) = buffer.get_mut(..want) else { break };
        let got = memory.read_words(at, into).min(want);
        filter.for_each(into.get(..got).unwrap_or_default(), &mut each);
        total += got * WORD;
        at = at.plus(got * WORD);
        if got < want {
            at = next_page(at);
        }
    }
    total
}

/// The first address of the page after the one of `at`, which cannot be read.
#[cold]
fn next_page(at: Addr) -> Addr {
    at.plus(1).align_up(page_size())
}
