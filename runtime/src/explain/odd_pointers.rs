//! A second opinion on what marking did not reach: chunks that only a word in an odd form leads to. They become possible.
//!
//! | form | what is tried |
//! |---|---|
//! | with a tag | the bits of the word that a mask leaves |
//! | not aligned | the eight bytes at every address, not only at multiples of eight |
//! | past the end | the address of the first byte behind a chunk or a mapping, whatever lies there |
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

/// Where a word stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spot {
    /// In memory: a multiple of the word size, or not.
    At(Addr),
    /// In [`Harvest::words`].
    Word(usize),
}

/// A word that leads somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) spot: Spot,
    /// As it stands there.
    pub(super) word: usize,
    pub(super) lead: Lead,
    /// Only in an odd form.
    pub(super) is_odd: bool,
}

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
    /// Addresses of the first byte behind a chunk or a mapping.
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
        flood(&mut Scanner::new(self, provider, memory, harvest)?, &mut &*marks)
    }
}

/// What a flood in all forms comes to.
pub(super) trait Reached {
    /// True for what was reached so far.
    fn has(&self, lead: Lead) -> bool;

    /// A word leads somewhere. True when that was not reached before.
    fn reach(&mut self, found: &Found) -> bool;
}

impl Reached for &Marks {
    fn has(&self, lead: Lead) -> bool {
        match lead {
            Lead::Chunk(id) => self.strong(id) || self.weak(id),
            Lead::Run(run) => self.run(run).is_some(),
        }
    }

    fn reach(&mut self, found: &Found) -> bool {
        match found.lead {
            Lead::Chunk(id) => self.reach_weakly(id),
            Lead::Run(run) => self.reach_run_weakly(run),
        }
    }
}

/// Follows words in all forms from the roots, and from all that was reached.
pub(super) fn flood(
    scanner: &mut Scanner<'_, impl Provider, impl ReadMemory>,
    reached: &mut dyn Reached,
) -> Result<(), Errno> {
    let (provider, harvest) = (scanner.leads.provider, scanner.leads.harvest);
    let (mut pending, mut full) = (MapVec::new(), Ok(()));
    let mut take = |reached: &mut dyn Reached, found: &Found| {
        if reached.reach(found) && full.is_ok() {
            full = pending.push(found.lead);
        }
    };
    for (index, root) in harvest.words.iter().enumerate() {
        scanner.word(Spot::Word(index), root.word, true, &mut |found| take(reached, &found));
    }
    for root in harvest.roots.iter() {
        scanner.memory(root.range, &mut |found| take(reached, &found));
    }
    for run in (0..harvest.runs).map(Lead::Run) {
        if reached.has(run) {
            scanner.holder(run, &mut |found| take(reached, &found));
        }
    }
    provider.for_each(&mut |id, _| {
        if reached.has(Lead::Chunk(id)) {
            scanner.holder(Lead::Chunk(id), &mut |found| take(reached, &found));
        }
    });
    while let Some(lead) = pending.pop() {
        scanner.holder(lead, &mut |found| {
            if reached.reach(&found) && full.is_ok() {
                full = pending.push(found.lead);
            }
        });
    }
    full
}

/// Reads memory for words that lead somewhere, in all forms that are tried. Few do: what is done with them is called, so that
/// there is one copy of the rest.
pub(super) struct Scanner<'a, P, M> {
    forms: OddPointers,
    /// What compressed pointers may count from.
    bases: MapVec<usize>,
    pub(super) leads: Leads<'a, P, M>,
    /// Chunks that are never read, sorted (see [`Harvest::kept`]).
    kept: MapVec<ChunkId>,
    buffer: MapVec<usize>,
}

impl<'a, P: Provider, M: ReadMemory> Scanner<'a, P, M> {
    pub(super) fn new(
        forms: OddPointers,
        provider: &'a P,
        memory: &'a M,
        harvest: &'a Harvest,
    ) -> Result<Self, Errno> {
        let leads = Leads::new(provider, memory, harvest)?;
        let bases = forms.compressed.map_or(Ok(MapVec::new()), |compressed| bases(compressed, provider))?;
        let mut kept = MapVec::new();
        for word in harvest.kept.iter() {
            if let Some(id) = provider.find(Addr::new(*word)) {
                kept.push(id)?;
            }
        }
        kept.sort_unstable();
        Ok(Scanner { forms, bases, leads, kept, buffer: words::buffer()? })
    }

    /// True when words are tried in another form than the plain one.
    pub(super) fn is_odd(&self) -> bool {
        self.forms != OddPointers::default()
    }

    /// Looks at all that can be read of a root or a mapping.
    pub(super) fn memory(&mut self, range: AddrRange, each: &mut dyn FnMut(Found)) {
        let harvest = self.leads.harvest;
        for part in harvest.resident.within(range) {
            self.part(part, each);
        }
    }

    /// Looks at a chunk, unless it is kept, or at the pieces of a run.
    pub(super) fn holder(&mut self, lead: Lead, each: &mut dyn FnMut(Found)) {
        let (provider, harvest) = (self.leads.provider, self.leads.harvest);
        match lead {
            Lead::Chunk(id) if self.kept.binary_search(&id).is_ok() => {}
            Lead::Chunk(id) => {
                for part in words::parts_of_chunk(&harvest.resident, provider.chunk(id).range()) {
                    self.part(part, each);
                }
            }
            Lead::Run(run) => {
                for piece in harvest.pieces(run) {
                    self.memory(piece.range, each);
                }
            }
        }
    }

    /// Looks at every word of a range, in every form.
    fn part(&mut self, range: AddrRange, each: &mut dyn FnMut(Found)) {
        let AddrRange { start: mut at, end } = words::aligned(range);
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut before = None;
        while at < end {
            let want = (AddrRange::new(at, end).len() / WORD).min(buffer.len());
            let Some(into) = buffer.get_mut(..want) else { break };
            let got = self.leads.memory.read_words(at, into).min(want);
            for (index, word) in into.iter().take(got).enumerate() {
                let place = at.plus(index * WORD);
                self.word(Spot::At(place), *word, true, each);
                if let Some(low) = before.replace(*word).filter(|_| self.forms.unaligned) {
                    self.between(low, *word, place, usize::BITS - 8, each);
                }
            }
            at = at.plus(got * WORD);
            if got < want {
                // This page cannot be read.
                at = at.plus(1).align_up(page_size());
                before = None;
            }
        }
        let left = AddrRange::new(end, range.end).len();
        // A part of a word is left, which lies in one block with the bytes behind it.
        let mut last = [0];
        let is_wanted =
            before.is_some() && self.forms.unaligned || self.forms.compressed.is_some() && left >= HALF;
        if left > 0 && is_wanted && self.leads.memory.read_words(end, &mut last) == 1 {
            if let Some(low) = before.filter(|_| self.forms.unaligned) {
                self.between(low, last[0], end, left as u32 * 8, each);
            }
            if left >= HALF {
                self.half(Spot::At(end), last[0], last[0] as u32, each);
            }
        }
        self.buffer = buffer;
    }

    /// The words that begin in `low` and end in the first so many `bits` of the word at `place` behind it.
    fn between(&mut self, low: usize, high: usize, place: Addr, bits: u32, each: &mut dyn FnMut(Found)) {
        for bits in (8..=bits).step_by(8) {
            let word = low >> bits | high << (usize::BITS - bits);
            self.word(Spot::At(place.minus(WORD).plus(bits as usize / 8)), word, false, each);
        }
    }

    /// Looks at a word in every form.
    pub(super) fn word(&mut self, spot: Spot, word: usize, is_aligned: bool, each: &mut dyn FnMut(Found)) {
        self.plain(spot, word, word, !is_aligned, each);
        if !is_aligned {
            return;
        }
        if self.forms.mask != 0 && word & self.forms.mask != word {
            self.plain(spot, word, word & self.forms.mask, true, each);
        }
        if self.forms.past_end
            && let Some(lead) = self.ends_at(word)
        {
            each(Found { spot, word, lead, is_odd: true });
        }
        if self.forms.compressed.is_some() {
            self.half(spot, word, word as u32, each);
            self.half(spot, word, (word >> u32::BITS) as u32, each);
        }
    }

    /// The chunk or the mapping whose last byte lies before `word`.
    fn ends_at(&self, word: usize) -> Option<Lead> {
        let last = Addr::new(word.checked_sub(1)?);
        let ends = |range: AddrRange| range.end.get() == word;
        if let Some((id, range)) = self.leads.provider.locate(last) {
            return ends(range).then_some(Lead::Chunk(id));
        }
        let run = self.leads.harvest.run_at(last.get())?;
        let is_end = self.leads.harvest.pieces(run).iter().any(|piece| ends(piece.range));
        is_end.then_some(Lead::Run(run))
    }

    /// Looks at 32 bits as a compressed pointer.
    fn half(&mut self, spot: Spot, word: usize, number: u32, each: &mut dyn FnMut(Found)) {
        let Some(Compressed { shift, .. }) = self.forms.compressed.filter(|_| number != 0) else { return };
        for index in 0..self.bases.len() {
            let base = self.bases.get(index).copied().unwrap_or(0);
            self.plain(spot, word, base.wrapping_add((number as usize) << shift), true, each);
        }
    }

    fn plain(&self, spot: Spot, word: usize, address: usize, is_odd: bool, each: &mut dyn FnMut(Found)) {
        if self.leads.is_near(address)
            && let Some(lead) = self.leads.of(address)
        {
            each(Found { spot, word, lead, is_odd });
        }
    }
}
