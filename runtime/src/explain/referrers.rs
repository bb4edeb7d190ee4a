//! Who points here: every word that leads to one chunk, or to one of several.
//!
//! Roots first, then mappings, then chunks, live ones and leaked ones alike: a pointer in a leaked chunk is a pointer. Words
//! in odd forms count where these are asked for, and are doubtful.
//!
//! Contract: reads all that can be read once, however many chunks are asked for.

use crate::base::Errno;
use crate::harvest::{Harvest, Strength};
use crate::heap::{ChunkId, Provider};
use crate::mem::{MapVec, ReadMemory};

use super::hop::Hop;
use super::leads::Lead;
use super::odd_pointers::{Found as Word, OddPointers, Scanner, Spot};
use super::paths::{holder, word_of};
use super::roots::Roots;

/// The words that lead to chunk `id`: at most `limit` of them, and how many there are. Words of the chunk itself do not
/// count.
pub fn find(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    forms: OddPointers,
    id: ChunkId,
    limit: usize,
) -> Result<(MapVec<Hop>, usize), Errno> {
    let mut hops = MapVec::new();
    let counts = find_each(provider, memory, harvest, forms, &[id], limit, &mut |_, hop| hops.push(hop))?;
    Ok((hops, counts.first().copied().unwrap_or(0)))
}

/// The words that lead to each of `wanted`, which is sorted: how many there are. At most `limit` of them for each are given
/// to `each`, with the index of the chunk in `wanted`; not those of one chunk together.
#[allow(clippy::too_many_arguments)]
pub fn find_each(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    forms: OddPointers,
    wanted: &[ChunkId],
    limit: usize,
    each: &mut dyn FnMut(usize, Hop) -> Result<(), Errno>,
) -> Result<MapVec<usize>, Errno> {
    let mut scanner = Scanner::new(forms, provider, memory, harvest)?;
    let roots = Roots::new(harvest)?;
    let index_of = |lead: Lead| match lead {
        Lead::Chunk(id) => wanted.binary_search(&id).ok(),
        Lead::Run(_) => None,
    };
    let mut counts = MapVec::new();
    counts.resize(wanted.len(), 0)?;
    let mut found = Found { counts, limit, each, full: Ok(()) };
    let mut add = |word: Word, is_in_root: bool| {
        let Some(index) = index_of(word.lead) else { return };
        let hop = || match word.spot {
            Spot::At(at) => holder(provider, harvest, &roots, at, word.word).0,
            Spot::Word(number) => word_of(harvest, number),
        };
        if let Spot::At(at) = word.spot
            && !is_in_root
        {
            let own = wanted.get(index).is_some_and(|id| provider.chunk(*id).range().contains(at));
            // What lies in a root was counted there.
            if own || roots.at(harvest, at).is_some() {
                return;
            }
        }
        found.add(index, || if word.is_odd { Hop { strength: Strength::Weak, ..hop() } } else { hop() });
    };
    for (number, root) in harvest.words.iter().enumerate() {
        scanner.word(Spot::Word(number), root.word, true, &mut |word| add(word, true));
    }
    for root in harvest.roots.iter() {
        scanner.memory(root.range, &mut |word| add(word, true));
    }
    let mut chunks = MapVec::new();
    let mut full = Ok(());
    provider.for_each(&mut |id, _| {
        if full.is_ok() {
            full = chunks.push(id);
        }
    });
    full?;
    for lead in (0..harvest.runs).map(Lead::Run).chain(chunks.iter().copied().map(Lead::Chunk)) {
        scanner.holder(lead, &mut |word| add(word, false));
    }
    found.full.map(|()| found.counts)
}

struct Found<'a> {
    /// For each that is wanted.
    counts: MapVec<usize>,
    limit: usize,
    each: &'a mut dyn FnMut(usize, Hop) -> Result<(), Errno>,
    full: Result<(), Errno>,
}

impl Found<'_> {
    fn add(&mut self, index: usize, hop: impl FnOnce() -> Hop) {
        let Some(count) = self.counts.get_mut(index) else { return };
        if *count < self.limit && self.full.is_ok() {
            self.full = (self.each)(index, hop());
        }
        *count += 1;
    }
}
