//! Where a word leads: the marker's notion of a pointer, one word at a time and with the place that it was read from.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::Harvest;
use crate::heap::{ChunkId, Provider};
use crate::mem::{MapVec, ReadMemory};
use crate::scan::words::{self, WORD};

/// What a word points into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lead {
    Chunk(ChunkId),
    Run(u32),
}

/// The seams of a flood, and a buffer to read into.
pub(super) struct Leads<'a, P, M> {
    pub(super) provider: &'a P,
    pub(super) memory: &'a M,
    pub(super) harvest: &'a Harvest,
    bounds: AddrRange,
    /// No word outside of it leads anywhere.
    hull: AddrRange,
    buffer: MapVec<usize>,
}

impl<'a, P: Provider, M: ReadMemory> Leads<'a, P, M> {
    pub(super) fn new(provider: &'a P, memory: &'a M, harvest: &'a Harvest) -> Result<Self, Errno> {
        let bounds = provider.bounds();
        // The word behind the last chunk is that of an empty array with a cookie.
        let mut hull = AddrRange::new(bounds.start, bounds.end.plus(WORD));
        if let (Some(first), Some(last)) = (harvest.nodes.first(), harvest.nodes.last()) {
            hull = AddrRange::new(hull.start.min(first.range.start), hull.end.max(last.range.end));
        }
        Ok(Leads { provider, memory, harvest, bounds, hull, buffer: words::buffer()? })
    }

    /// False for a word that certainly leads nowhere.
    #[inline]
    pub(super) fn is_near(&self, word: usize) -> bool {
        word.wrapping_sub(self.hull.start.get()) < self.hull.len()
    }

    /// Where `word` leads.
    #[inline]
    pub(super) fn of(&self, word: usize) -> Option<Lead> {
        if word.wrapping_sub(self.bounds.start.get()) < self.bounds.len() + WORD {
            let addr = Addr::new(word);
            if let Some(id) = self.provider.find(addr) {
                return Some(Lead::Chunk(id));
            }
            // `new T[0]` with a destructor to call: a chunk of one word, the count 0, and the program holds the address
            // behind it (Itanium C++ ABI, 2.7).
            if let Some((id, range)) = self.provider.locate(addr.minus(WORD)) {
                let mut cookie = [1];
                let is_cookie = range == AddrRange::new(addr.minus(WORD), addr)
                    && self.memory.read_words(range.start, &mut cookie) == 1
                    && cookie == [0];
                return is_cookie.then_some(Lead::Chunk(id));
            }
        }
        self.harvest.run_at(word).map(Lead::Run)
    }

    /// Calls `each` for every word of a chunk that leads somewhere, with the place where it lies.
    pub(super) fn in_chunk(&mut self, range: AddrRange, mut each: impl FnMut(Addr, usize, Lead)) {
        let harvest = self.harvest;
        for part in words::parts_of_chunk(&harvest.resident, range) {
            self.in_range(part, &mut each);
        }
    }

    /// Calls `each` for every word of a root or a mapping that leads somewhere, with the place where it lies.
    pub(super) fn in_memory(&mut self, range: AddrRange, mut each: impl FnMut(Addr, usize, Lead)) {
        let harvest = self.harvest;
        for part in harvest.resident.within(range) {
            self.in_range(part, &mut each);
        }
    }

    // One copy for all floods.
    fn in_range(&mut self, range: AddrRange, each: &mut dyn FnMut(Addr, usize, Lead)) {
        let AddrRange { start: mut at, end } = words::aligned(range);
        let mut buffer = core::mem::take(&mut self.buffer);
        while at < end {
            let want = (AddrRange::new(at, end).len() / WORD).min(buffer.len());
            let Some(into) = buffer.get_mut(..want) else { break };
            let got = self.memory.read_words(at, into).min(want);
            for (index, word) in into.iter().take(got).enumerate() {
                if self.is_near(*word)
                    && let Some(lead) = self.of(*word)
                {
                    each(at.plus(index * WORD), *word, lead);
                }
            }
            at = at.plus(got * WORD);
            if got < want {
                // This page cannot be read.
                at = at.plus(1).align_up(page_size());
            }
        }
        self.buffer = buffer;
    }

    /// Calls `each` for every word of the pieces of a run that leads somewhere.
    pub(super) fn in_run(&mut self, run: u32, mut each: impl FnMut(Addr, usize, Lead)) {
        let harvest = self.harvest;
        for piece in harvest.pieces(run) {
            self.in_memory(piece.range, &mut each);
        }
    }
}
