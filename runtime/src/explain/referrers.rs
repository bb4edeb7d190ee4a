//! Who points here: every word that leads to one chunk, or to one of several.
//!
//! Roots first, then mappings, then chunks, live ones and leaked ones alike: a pointer in a leaked chunk is a pointer.
//!
//! Contract: reads all that can be read once, however many chunks are asked for.

use crate::base::{Addr, Errno};
use crate::harvest::Harvest;
use crate::heap::{ChunkId, Provider};
use crate::mem::{MapVec, ReadMemory};

use super::hop::Hop;
use super::leads::{Lead, Leads};
use super::paths::{holder, word_of};

/// The words that lead to chunk `id`: at most `limit` of them, and how many there are. Words of the chunk itself do not
/// count.
pub fn find(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    id: ChunkId,
    limit: usize,
) -> Result<(MapVec<Hop>, usize), Errno> {
    let mut hops = MapVec::new();
    let counts = find_each(provider, memory, harvest, &[id], limit, &mut |_, hop| hops.push(hop))?;
    Ok((hops, counts.first().copied().unwrap_or(0)))
}

/// The words that lead to each of `wanted`, which is sorted: how many there are. At most `limit` of them for each are given
/// to `each`, with the index of the chunk in `wanted`; not those of one chunk together.
pub fn find_each(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    wanted: &[ChunkId],
    limit: usize,
    each: &mut dyn FnMut(usize, Hop) -> Result<(), Errno>,
) -> Result<MapVec<usize>, Errno> {
    let mut leads = Leads::new(provider, memory, harvest)?;
    let index_of = |lead: Lead| match lead {
        Lead::Chunk(id) => wanted.binary_search(&id).ok(),
        Lead::Run(_) => None,
    };
    let mut counts = MapVec::new();
    counts.resize(wanted.len(), 0)?;
    let mut found = Found { counts, limit, each, full: Ok(()) };
    for (number, root) in harvest.words.iter().enumerate() {
        if let Some(index) = leads.of(root.word).and_then(index_of) {
            found.add(index, || word_of(harvest, number));
        }
    }
    for root in harvest.roots.iter() {
        leads.in_memory(root.range, |at, word, lead| {
            if let Some(index) = index_of(lead) {
                found.add(index, || holder(provider, harvest, at, &word).0);
            }
        });
    }
    let mut add = |at: Addr, word: usize, lead: Lead| {
        let Some(index) = index_of(lead) else { return };
        let own = wanted.get(index).is_some_and(|id| provider.chunk(*id).range().contains(at));
        // What lies in a root was counted there.
        if !own && super::paths::root_at(harvest, at).is_none() {
            found.add(index, || holder(provider, harvest, at, &word).0);
        }
    };
    for run in 0..harvest.runs {
        leads.in_run(run, &mut add);
    }
    let mut chunks = MapVec::new();
    let mut full = Ok(());
    provider.for_each(&mut |_, chunk| {
        if full.is_ok() {
            full = chunks.push(chunk.range());
        }
    });
    full?;
    for range in chunks.iter() {
        leads.in_chunk(*range, &mut add);
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
