//! Reading ranges word by word.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::Resident;
use crate::mem::{Filter, MapVec, ReadMemory};

/// Bytes of a word, and its alignment.
pub(crate) const WORD: usize = size_of::<usize>();

/// The words a piece is read in.
pub(super) const PIECE: usize = 512;

/// Ranges of so many words are worth passing over by vectors.
const LONG: usize = 128;

/// Words looked at where vectors stopped: the widest of their blocks.
const BLOCK: usize = 32;

/// Words of a cache line: vectors are slow across its borders.
const LINE: usize = 8;

/// The whole, aligned words of a range.
#[inline]
pub(crate) fn aligned(range: AddrRange) -> AddrRange {
    AddrRange::new(range.start.align_up(WORD), range.end.align_down(WORD))
}

/// The parts of a chunk to read: all of a small one, which shares its page with others; of a larger one what is
/// resident.
pub(crate) fn parts_of_chunk(resident: &Resident, range: AddrRange) -> impl Iterator<Item = AddrRange> + '_ {
    let small = resident.is_granted(aligned(range).len());
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
        let left = AddrRange::new(at, end).len() / WORD;
        let (skipped, want) = if left < LONG { (0, left) } else { skip(memory, at, left, filter) };
        at = at.plus(skipped * WORD);
        let want = want.min(left - skipped).min(buffer.len());
        let Some(into) = buffer.get_mut(..want) else { break };
        let got = memory.read_words(at, into).min(want);
        filter.for_each(into.get(..got).unwrap_or_default(), &mut each);
        total += (skipped + got) * WORD;
        at = at.plus(got * WORD);
        if got < want {
            at = next_page(at);
        }
    }
    total
}

/// How many words need no look, and how many behind them to look at.
fn skip(memory: &impl ReadMemory, at: Addr, left: usize, filter: Filter) -> (usize, usize) {
    let unaligned = at.get() / WORD % LINE;
    if unaligned != 0 {
        return (0, LINE - unaligned);
    }
    let skipped = memory.skip_words(at, left, filter);
    // Where pointers lie side by side a look at each block would cost more than it saves.
    (skipped, if skipped < LONG { PIECE } else { BLOCK })
}

/// The first address of the page after the one of `at`, which cannot be read.
#[cold]
fn next_page(at: Addr) -> Addr {
    at.plus(1).align_up(page_size())
}
