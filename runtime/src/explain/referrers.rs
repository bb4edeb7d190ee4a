//! Who points here: every word that leads to one chunk.
//!
//! Roots first, then mappings, then chunks, live ones and leaked ones alike: a pointer in a leaked chunk is a pointer.

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
    let mut leads = Leads::new(provider, memory, harvest)?;
    let own = provider.chunk(id).range();
    let mut found = Found { hops: MapVec::new(), count: 0, limit, full: Ok(()) };
    for (index, root) in harvest.words.iter().enumerate() {
        if leads.of(root.word) == Some(Lead::Chunk(id)) {
            found.add(word_of(harvest, index));
        }
    }
    for root in harvest.roots.iter() {
        leads.in_memory(root.range, |at, word, lead| {
            if lead == Lead::Chunk(id) {
                found.add(holder(provider, harvest, at, &word).0);
            }
        });
    }
    let mut add = |at: Addr, word: usize, lead: Lead| {
        // What lies in a root was counted there.
        if lead == Lead::Chunk(id) && !own.contains(at) && super::paths::root_at(harvest, at).is_none() {
            found.add(holder(provider, harvest, at, &word).0);
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
    found.full.map(|()| (found.hops, found.count))
}

struct Found {
    hops: MapVec<Hop>,
    count: usize,
    limit: usize,
    full: Result<(), Errno>,
}

impl Found {
    fn add(&mut self, hop: Hop) {
        self.count += 1;
        if self.hops.len() < self.limit && self.full.is_ok() {
            self.full = self.hops.push(hop);
        }
    }
}
