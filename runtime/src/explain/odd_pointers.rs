//! A second opinion on what marking did not reach: chunks that only a word in an odd form leads to. They become possible.
//!
//! | form | what is tried |
//! |---|---|
//! | with a tag | the bits of the word that a mask leaves |
//! | not aligned | the eight bytes at every address, not only at multiples of eight |
//! | past the end | the address of the first byte behind a chunk, whatever lies there |
//! | compressed | each half of a word, shifted, as an offset from a base, as virtual machines and engines keep references |
//!
//! Each form is found by chance too, the more often the larger the heap: that is why it is an option, and why its finds
//! are possible and not reachable. What such a chunk points to, in any form, is possible as well.
//!
//! Contract: as [`crate::scan::mark`], after it. Reads all that can be read once more, on one CPU.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::Harvest;
use crate::heap::{ChunkId, Provider};
use crate::init::compressed::{Base, Compressed};
use crate::mem::{MapVec, ReadMemory};
use crate::scan::Marks;
use crate::scan::words::{self, WORD};

use super::leads::{Lead, Leads};

/// Bytes of a compressed pointer.
const HALF: usize = 4;

/// The addresses that compressed pointers may count from.
fn bases(of: Compressed, provider: &impl Provider) -> Result<MapVec<usize>, Errno> {
    let mut bases = MapVec::<usize>::new();
    match of.base {
        Base::At(at) => bases.push(at)?,
        Base::Heap => {
            let reach = 1usize << (u32::BITS + of.shift);
            let mut full = Ok(());
            provider.ranges(&mut |range| {
                let mut at = range.start.get() & !(reach - 1);
                // Most heaps have one or two.
                while at < range.end.get() && full.is_ok() {
                    if !bases.contains(&at) {
                        full = bases.push(at);
                    }
                    at += reach;
                }
            });
            full?;
        }
    }
    Ok(bases)
}

/// Which forms are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OddPointers {
    /// The bits of a word that are an address; 0: all.
    pub mask: usize,
    /// Words that are not aligned.
    pub unaligned: bool,
    /// Addresses of the first byte behind a chunk.
    pub past_end: bool,
    /// Halves of words.
    pub compressed: Option<Compressed>,
}

impl OddPointers {
    /// Marks as weak what only such words lead to.
    pub fn mark(
        self,
        provider: &impl Provider,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        marks: &Marks,
    ) -> Result<(), Errno> {
        if self == OddPointers::default() {
            return Ok(());
        }
        let leads = Leads::new(provider, memory, harvest)?;
        let bases = self.compressed.map_or(Ok(MapVec::new()), |compressed| bases(compressed, provider))?;
        let mut kept = MapVec::new();
        for word in harvest.kept.iter() {
            if let Some(id) = provider.find(Addr::new(*word)) {
                kept.push(id)?;
            }
        }
        kept.sort_unstable();
        let mut flood = Flood {
            forms: self,
            bases,
            leads,
            marks,
            kept,
            pending: MapVec::new(),
            runs: MapVec::new(),
            buffer: words::buffer()?,
            full: Ok(()),
        };
        for root in harvest.words.iter() {
            flood.word(root.word, true);
        }
        for root in harvest.roots.iter() {
            flood.memory(root.range);
        }
        for run in (0..harvest.runs).filter(|run| marks.run(*run).is_some()) {
            flood.run(run);
        }
        provider.for_each(&mut |id, _| {
            if flood.marks.strong(id) || flood.marks.weak(id) {
                flood.chunk(id);
            }
        });
        loop {
            if let Some(id) = flood.pending.pop() {
                flood.chunk(id);
            } else if let Some(run) = flood.runs.pop() {
                flood.run(run);
            } else {
                return flood.full;
            }
        }
    }
}

struct Flood<'a, P, M> {
    forms: OddPointers,
    /// What compressed pointers may count from.
    bases: MapVec<usize>,
    leads: Leads<'a, P, M>,
    marks: &'a Marks,
    /// Chunks that are never read, sorted (see [`Harvest::kept`]).
    kept: MapVec<ChunkId>,
    pending: MapVec<ChunkId>,
    runs: MapVec<u32>,
    buffer: MapVec<usize>,
    full: Result<(), Errno>,
}

impl<P: Provider, M: ReadMemory> Flood<'_, P, M> {
    fn memory(&mut self, range: AddrRange) {
        let harvest = self.leads.harvest;
        for part in harvest.resident.within(range) {
            self.part(part);
        }
    }

    fn run(&mut self, run: u32) {
        let harvest = self.leads.harvest;
        for piece in harvest.pieces(run) {
            self.memory(piece.range);
        }
    }

    fn chunk(&mut self, id: ChunkId) {
        if self.kept.binary_search(&id).is_ok() {
            return;
        }
        let harvest = self.leads.harvest;
        for part in words::parts_of_chunk(&harvest.resident, self.leads.provider.chunk(id).range()) {
            self.part(part);
        }
    }

    /// Looks at every word of a range, in every form.
    fn part(&mut self, range: AddrRange) {
        let AddrRange { start: mut at, end } = words::aligned(range);
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut before = None;
        while at < end {
            let want = (AddrRange::new(at, end).len() / WORD).min(buffer.len());
            let Some(into) = buffer.get_mut(..want) else { break };
            let got = self.leads.memory.read_words(at, into).min(want);
            for word in into.iter().take(got) {
                self.word(*word, true);
                if let Some(low) = before.replace(*word).filter(|_| self.forms.unaligned) {
                    for bits in (8..usize::BITS).step_by(8) {
                        self.word(low >> bits | word << (usize::BITS - bits), false);
                    }
                }
            }
            at = at.plus(got * WORD);
            if got < want {
                // This page cannot be read.
                at = at.plus(1).align_up(page_size());
                before = None;
            }
        }
        if let Some(low) = before.filter(|_| self.forms.unaligned) {
            self.tail(low, end, range.end);
        }
        if self.forms.compressed.is_some() && AddrRange::new(end, range.end).len() >= HALF {
            // Half a word is left, of a block with the bytes behind it.
            let mut last = [0];
            if self.leads.memory.read_words(end, &mut last) == 1 {
                self.half(last[0] as u32);
            }
        }
        self.buffer = buffer;
    }

    /// The words that reach into the last bytes of a range whose length is no multiple of a word's: `from` up to `end`, behind
    /// the word `low`. They lie in one block with the bytes behind them.
    fn tail(&mut self, low: usize, from: Addr, end: Addr) {
        let mut last = [0];
        if from < end && self.leads.memory.read_words(from, &mut last) == 1 {
            let bits = AddrRange::new(from, end).len() as u32 * 8;
            for bits in (8..=bits).step_by(8) {
                self.word(low >> bits | last[0] << (usize::BITS - bits), false);
            }
        }
    }

    fn word(&mut self, word: usize, is_aligned: bool) {
        self.plain(word);
        if !is_aligned {
            return;
        }
        if self.forms.mask != 0 && word & self.forms.mask != word {
            self.plain(word & self.forms.mask);
        }
        if self.forms.past_end
            && let Some(last) = word.checked_sub(1)
            && let Some((id, range)) = self.leads.provider.locate(Addr::new(last))
            && range.end.get() == word
        {
            self.reach(id);
        }
        if self.forms.compressed.is_some() {
            self.half(word as u32);
            self.half((word >> u32::BITS) as u32);
        }
    }

    /// Looks at 32 bits as a compressed pointer.
    fn half(&mut self, number: u32) {
        let Some(Compressed { shift, .. }) = self.forms.compressed.filter(|_| number != 0) else { return };
        for index in 0..self.bases.len() {
            let base = self.bases.get(index).copied().unwrap_or(0);
            self.plain(base.wrapping_add((number as usize) << shift));
        }
    }

    fn plain(&mut self, word: usize) {
        if !self.leads.is_near(word) {
            return;
        }
        match self.leads.of(word) {
            Some(Lead::Chunk(id)) => self.reach(id),
            Some(Lead::Run(run)) if self.marks.reach_run_weakly(run) && self.full.is_ok() => {
                self.full = self.runs.push(run);
            }
            _ => {}
        }
    }

    fn reach(&mut self, id: ChunkId) {
        if self.marks.reach_weakly(id) && self.full.is_ok() {
            self.full = self.pending.push(id);
        }
    }
}
