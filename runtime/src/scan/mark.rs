//! The marker: a flood from the roots over chunks and mappings.
//!
//! ```text
//! word -> candidates (ring, provider's metadata prefetched) -> locate, test and set mark
//!      -> frontier (stack)                                  -> ring (contents prefetched) -> read its words
//! ```
//!
//! The real code differs in three ways: words outside of the heap's bounds are dropped before anything else, or looked
//! up among the mappings; a range longer than a piece puts its rest back before its words are followed, so that a large
//! array does not flood the frontier; ranges of several pages are read only where pages are resident.
//!
//! Why two rings: a random graph misses the cache once for the chunk's metadata and once for its contents. Both misses
//! are started `RING` steps before the value is needed, and so overlap.

use crate::arch::{page_size, untagged};
use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::{Harvest, Strength};
use crate::heap::{ChunkId, Provider, Tag};
use crate::mem::{Filter, MapVec, ReadMemory};

use super::frontier::Frontier;
use super::marks::{Bits, Marks};
use super::words::{self, WORD};

/// How many cache misses are kept under way: as many as a core has line fill buffers, rounded to a power of two.
const RING: usize = 16;

/// Bytes of a chunk that are read at once; the rest waits in the frontier.
const STEP: usize = words::PIECE * WORD;

/// Marks all that `harvest` reaches. Fails only when memory for our own arrays cannot be had.
pub fn mark(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    marks: &mut Marks,
) -> Result<(), Errno> {
    // A thirty-second of the chunks, 16 bytes each: half a byte a chunk.
    mark_with(provider, memory, harvest, marks, (provider.slots() / 32).clamp(1024, 1 << 20))
}

/// As [`mark`], with a frontier of `limit` ranges.
pub(super) fn mark_with(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    marks: &mut Marks,
    limit: usize,
) -> Result<(), Errno> {
    let mut buffer = words::buffer()?;
    let mut marker = Marker {
        provider,
        memory,
        harvest,
        bounds: provider.bounds(),
        filter: Filter::new(hull(provider, harvest)),
        before: None,
        now: &mut marks.strong,
        frontier: Frontier::new(provider.slots(), limit)?,
        candidates: Ring::new(),
        buffer: &mut buffer,
        runs: Bits::new(harvest.runs as usize)?,
        reached_runs: MapVec::new(),
        chunk_bytes: 0,
        root_bytes: 0,
    };
    // Room for every run now, so that no push can fail later.
    marker.reached_runs.reserve(harvest.runs as usize)?;

    // Marked before anything else, they are never read.
    for word in harvest.kept.iter() {
        if let Some((id, _)) = provider.locate(Addr::new(*word)) {
            marker.now.insert(id.index());
        }
    }
    marker.roots(Strength::Strong);
    provider.for_each(&mut |id, chunk| {
        if chunk.tag == Tag::Ignored && marker.now.insert(id.index()) {
            marker.frontier.push(id, chunk.range());
            marker.drain();
        }
    });

    let Marker { frontier, runs, root_bytes, chunk_bytes, .. } = marker;
    marks.statistics.runs_reached = runs.count();
    let mut marker = Marker {
        provider,
        memory,
        harvest,
        bounds: provider.bounds(),
        filter: Filter::new(hull(provider, harvest)),
        before: Some(&marks.strong),
        now: &mut marks.weak,
        frontier,
        candidates: Ring::new(),
        buffer: &mut buffer,
        runs,
        reached_runs: MapVec::new(),
        chunk_bytes,
        root_bytes,
    };
    marker.reached_runs.reserve(harvest.runs as usize)?;
    marker.roots(Strength::Weak);
    if harvest.weak_nodes {
        for run in 0..harvest.runs {
            marker.reach_run(run);
        }
        marker.drain();
    }
    marks.statistics.root_bytes += marker.root_bytes;
    marks.statistics.chunk_bytes += marker.chunk_bytes;
    marks.statistics.overflows += marker.frontier.overflows;
    Ok(())
}

/// The smallest range with all chunks, the word behind the last (an empty array with a cookie), and all nodes.
fn hull(provider: &impl Provider, harvest: &Harvest) -> AddrRange {
    let bounds = provider.bounds();
    let chunks = AddrRange::new(bounds.start, bounds.end.plus(WORD));
    match (harvest.nodes.first(), harvest.nodes.last()) {
        (Some(first), Some(last)) => {
            AddrRange::new(chunks.start.min(first.range.start), chunks.end.max(last.range.end))
        }
        _ => chunks,
    }
}

/// A first-in, first-out queue of fixed size.
struct Ring<T: Copy> {
    slots: [Option<T>; RING],
    /// How many were put in and how many taken out, ever.
    put: usize,
    taken: usize,
}

impl<T: Copy> Ring<T> {
    const fn new() -> Self {
        Ring { slots: [None; RING], put: 0, taken: 0 }
    }

    /// Puts a value in; from a full ring the oldest comes out.
    #[inline(always)]
    fn push(&mut self, value: T) -> Option<T> {
        let oldest = if self.put - self.taken == RING { self.pop() } else { None };
        self.slots[self.put % RING] = Some(value);
        self.put += 1;
        oldest
    }

    /// Takes the oldest out, before its time: for when there is nothing better to do.
    #[inline(always)]
    fn pop(&mut self) -> Option<T> {
        if self.put == self.taken {
            return None;
        }
        self.taken += 1;
        self.slots[(self.taken - 1) % RING]
    }
}

struct Marker<'a, P, M> {
    provider: &'a P,
    memory: &'a M,
    harvest: &'a Harvest,
    bounds: AddrRange,
    /// Lets all words pass that may point to a chunk or a node.
    filter: Filter,
    /// What an earlier phase marked is done with.
    before: Option<&'a Bits>,
    now: &'a mut Bits,
    frontier: Frontier,
    candidates: Ring<Addr>,
    /// Where words are copied to. Empty while a range is read.
    buffer: &'a mut [usize],
    runs: Bits,
    reached_runs: MapVec<u32>,
    chunk_bytes: usize,
    root_bytes: usize,
}

impl<P: Provider, M: ReadMemory> Marker<'_, P, M> {
    /// Floods from all roots of one strength.
    fn roots(&mut self, strength: Strength) {
        let harvest = self.harvest;
        for root in harvest.words.iter().filter(|root| root.strength == strength) {
            self.word(untagged(root.word));
        }
        self.drain();
        for root in harvest.roots.iter().filter(|root| root.strength == strength) {
            self.memory_range(root.range);
        }
        self.drain();
    }

    /// Reads the resident part of a root or a node, following what it holds as it goes.
    fn memory_range(&mut self, range: AddrRange) {
        let harvest = self.harvest;
        for mut part in harvest.resident.within(range) {
            while !part.is_empty() {
                let end = part.start.plus(STEP).min(part.end);
                self.root_bytes += self.read(AddrRange::new(part.start, end));
                part.start = end;
                if self.frontier.is_half_full() {
                    self.chunks();
                }
            }
        }
    }

    /// Empties candidates, frontier and reached mappings.
    fn drain(&mut self) {
        loop {
            self.chunks();
            let Some(run) = self.reached_runs.pop() else { break };
            let harvest = self.harvest;
            for node in harvest.pieces(run) {
                self.memory_range(node.range);
            }
        }
    }

    /// Empties candidates and frontier.
    fn chunks(&mut self) {
        let mut contents = Ring::new();
        loop {
            // A list gives one chunk at a time: it must not have to pass through the rings' whole length.
            let due = if let Some(range) = self.frontier.pop(self.provider) {
                self.memory.prefetch(range.start);
                self.memory.prefetch(range.end.minus(1));
                contents.push(range)
            } else if let Some(addr) = self.candidates.pop() {
                // Nothing else is under way, so that its contents may be fetched together with its metadata.
                self.memory.prefetch(addr);
                self.locate(addr);
                None
            } else if let Some(range) = contents.pop() {
                Some(range)
            } else {
                break;
            };
            if let Some(range) = due {
                self.contents(range);
            }
        }
    }

    /// Reads a chunk, or the first step of it.
    #[inline]
    fn contents(&mut self, range: AddrRange) {
        if range.len() <= page_size() {
            self.chunk_bytes += self.read(range);
            return;
        }
        let harvest = self.harvest;
        for mut part in words::parts_of_chunk(&harvest.resident, range) {
            while !part.is_empty() {
                let end = part.start.plus(STEP).min(part.end);
                self.chunk_bytes += self.read(AddrRange::new(part.start, end));
                part.start = end;
                // A rest that looks like a small chunk is read at once, and so is any rest when there is no room: what
                // it points to is then noted as overflow.
                let rest = AddrRange::new(end, range.end);
                if rest.len() > page_size() && self.frontier.push_rest(rest) {
                    return;
                }
            }
        }
    }

    #[inline]
    fn read(&mut self, range: AddrRange) -> usize {
        let buffer = core::mem::take(&mut self.buffer);
        let read = words::for_each(self.memory, range, buffer, self.filter, |word| self.word(word));
        self.buffer = buffer;
        read
    }

    /// A word of something reachable.
    #[inline(always)]
    fn word(&mut self, word: usize) {
        let low = self.bounds.start.get();
        if word.wrapping_sub(low) < self.bounds.len() + WORD {
            let addr = Addr::new(word);
            // Most edges of a graph lead to what is marked: then the chunk's metadata, a cache miss, is not needed.
            if self.provider.slot(addr).is_some_and(|id| self.is_marked(id)) {
                return;
            }
            self.provider.prefetch(addr);
            if let Some(oldest) = self.candidates.push(addr) {
                self.locate(oldest);
            }
        } else if let Some(run) = self.harvest.run_at(word) {
            self.reach_run(run);
        }
    }

    /// A word in the bounds of the heap.
    #[inline]
    fn locate(&mut self, addr: Addr) {
        match self.provider.locate(addr) {
            Some((id, range)) => self.reach(id, range),
            None => self.elsewhere(addr),
        }
    }

    #[inline(always)]
    fn is_marked(&self, id: ChunkId) -> bool {
        self.now.contains(id.index()) || self.before.is_some_and(|before| before.contains(id.index()))
    }

    #[inline(always)]
    fn reach(&mut self, id: ChunkId, range: AddrRange) {
        if self.before.is_some_and(|before| before.contains(id.index())) || !self.now.insert(id.index()) {
            return;
        }
        if range.len() >= WORD {
            self.frontier.push(id, range);
        }
    }

    /// A word that is in no live chunk: an empty array of C++ objects with a cookie, a mapping between the heap's
    /// segments, or no pointer.
    #[cold]
    fn elsewhere(&mut self, addr: Addr) {
        // `new T[0]` with a destructor to call is a chunk with one word, the count 0, and the program holds the address
        // behind it (Itanium C++ ABI, 2.7).
        if let Some((id, range)) = self.provider.locate(addr.minus(WORD)) {
            let mut cookie = [1];
            if range == AddrRange::new(addr.minus(WORD), addr)
                && self.memory.read_words(range.start, &mut cookie) == 1
                && cookie == [0]
            {
                self.reach(id, range);
            }
            return;
        }
        if let Some(run) = self.harvest.run_at(addr.get()) {
            self.reach_run(run);
        }
    }

    #[cold]
    fn reach_run(&mut self, run: u32) {
        if self.runs.insert(run as usize) {
            // Room was made for every run.
            let _ = self.reached_runs.push(run);
        }
    }
}
