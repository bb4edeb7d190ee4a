//! One task's flood over chunks and mappings.
//!
//! ```text
//! word -> its place -> candidates (ring, the chunk's state prefetched) -> test and set mark
//!      -> frontier (stack)                                            -> ring (contents prefetched) -> read its words
//! ```
//!
//! The real code differs in three ways: words outside of the heap's bounds are dropped before anything else, or looked
//! up among the mappings; a long range puts its rest back when the frontier is half full, and gives half of it away when another
//! task has nothing to do; ranges of several pages are read only where pages are resident.
//!
//! Where there is only one way to go for long, as along a list, others are tried: see [`probe`](super::probe).
//!
//! Why two rings: a random graph misses the cache once for the chunk's state and once for its contents. Both misses are
//! started a ring's length before the value is needed, and so overlap; and a branch that depends on a value which is not
//! there yet is mostly taken wrong, which costs all that was begun behind it.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno, Workers};
use crate::heap::{ChunkId, Place, Provider, Slack};
use crate::mem::{MapVec, ReadMemory};

use super::empty_array;
use super::frontier::Frontier;
use super::mark::{Flood, World};
use super::piece::Piece;
use super::ring::Ring;
use super::sharing::BATCH;
use super::words::{self, WORD};

/// Bytes of a long range between two looks at the frontier and at other tasks.
const STEP: usize = 16 << 10;

/// What is worth dividing between two tasks, in bytes: microseconds of reading.
const DIVISIBLE: usize = 64 << 10;

/// What a word points to.
pub(super) enum Target {
    /// A chunk, and the bytes that were asked for.
    Chunk(ChunkId, AddrRange),
    /// A run of mappings.
    Run(u32),
}

/// A word in the bounds of the heap, whose chunk's state is on its way.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) addr: Addr,
    place: Place,
}

/// See the module.
pub(super) struct Marker<'a, P, M, W> {
    pub(super) world: &'a World<'a, P, M, W>,
    pub(super) flood: &'a Flood,
    pub(super) frontier: Frontier<'a>,
    pub(super) candidates: Ring<Candidate>,
    /// Where words are copied to. Empty while a range is read.
    pub(super) buffer: MapVec<usize>,
    /// Steps that were taken with nothing else to do meanwhile, and how many of them are borne.
    lonely: usize,
    patience: usize,
    reached_runs: MapVec<u32>,
    /// Bytes that were read.
    pub(super) bytes: usize,
    /// Bytes that were not.
    pub(super) unreadable: usize,
}

impl<'a, P: Provider, M: ReadMemory, W: Workers> Marker<'a, P, M, W> {
    /// With all the memory it will ever need.
    pub(super) fn new(world: &'a World<'a, P, M, W>, flood: &'a Flood, task: usize) -> Result<Self, Errno> {
        let mut reached_runs = MapVec::new();
        // Room for every run, so that no push can fail later.
        reached_runs.reserve(world.harvest.runs as usize)?;
        Ok(Marker {
            world,
            flood,
            frontier: Frontier::new(world.limit, &world.overflow, world.states, task)?,
            candidates: Ring::new(),
            buffer: words::buffer()?,
            reached_runs,
            lonely: 0,
            patience: world.patience,
            bytes: 0,
            unreadable: 0,
        })
    }

    /// Reads the resident part of a root, following what it holds as it goes.
    pub(super) fn root(&mut self, range: AddrRange) {
        for part in self.world.harvest.resident.within(range) {
            self.contents(Piece::of_chunk(part));
            self.relieve();
        }
    }

    /// Empties candidates, frontier and reached mappings.
    pub(super) fn drain(&mut self) {
        loop {
            self.chunks();
            let Some(run) = self.reached_runs.pop() else { break };
            let harvest = self.world.harvest;
            for node in harvest.pieces(run) {
                for part in harvest.resident.within(node.range) {
                    self.contents(Piece::of_mapping(part));
                    self.relieve();
                }
            }
        }
    }

    /// Makes room in the frontier when it is time to.
    #[inline]
    pub(super) fn relieve(&mut self) {
        if self.frontier.is_half_full() {
            self.chunks();
        }
    }

    /// Empties candidates and frontier.
    fn chunks(&mut self) {
        let mut contents = Ring::new();
        loop {
            if self.flood.sharing.is_wanted() {
                self.share();
            }
            // A list gives one chunk at a time: it must not have to pass through the rings' whole length.
            let due = if let Some(piece) = self.frontier.pop(self.world.provider, self.flood.mark()) {
                let range = piece.range();
                self.world.memory.prefetch(range.start);
                self.world.memory.prefetch(range.end.minus(1));
                contents.push(piece)
            } else if let Some(candidate) = self.candidates.pop() {
                // Nothing else is under way, so that its contents may be fetched together with its state.
                self.world.memory.prefetch(candidate.addr);
                self.settle(candidate);
                None
            } else if let Some(piece) = contents.pop() {
                self.lonely += usize::from(contents.is_empty());
                Some(piece)
            } else {
                break;
            };
            if let Some(piece) = due {
                self.contents(piece);
                if self.lonely >= self.patience && contents.is_empty() {
                    self.lonely = 0;
                    // A probe costs a look at every chunk's colour: there are only a few, whatever the heap is like.
                    self.patience = self.patience.saturating_mul(4);
                    self.world.one_probe(|| self.probe());
                }
            }
        }
    }

    /// Reads a piece, or as much of it as the frontier has room for.
    #[inline]
    pub(super) fn contents(&mut self, piece: Piece) {
        if self.world.harvest.resident.is_granted(piece.len()) {
            self.read(piece);
        } else {
            self.long_contents(piece);
        }
    }

    fn long_contents(&mut self, mut piece: Piece) {
        let resident = &self.world.harvest.resident;
        while let Some(there) = resident.within(piece.range()).next() {
            // What is not there is passed over at once: a large block may have been asked for and hardly used.
            (_, piece) = piece.split_at(there.start.get() - piece.range().start.get());
            piece = self.share_half(piece);
            let (step, rest) = piece.split_at(STEP.min(there.len()));
            self.read(step);
            // When there is no room at all the rest is read at once: what it points to is then noted as overflow.
            if rest.len() > page_size() && self.frontier.is_half_full() && self.frontier.push_last(rest) {
                return;
            }
            piece = rest;
        }
    }

    #[inline]
    fn read(&mut self, piece: Piece) {
        let mut buffer = core::mem::take(&mut self.buffer);
        let world = self.world;
        let read =
            words::for_each(world.memory, piece.range(), &mut buffer, world.filter, |word| self.word(word));
        self.buffer = buffer;
        self.bytes += read;
        self.unreadable += self.lost(piece, read);
    }

    /// Bytes of a piece that should have been read and could not be. In a mapping what cannot be read may be a guard.
    pub(super) fn lost(&self, piece: Piece, read: usize) -> usize {
        let may_be_guard = piece.is_of_mapping() && !self.world.harvest.resident.is_without_guards();
        if may_be_guard { 0 } else { piece.len() - read }
    }

    /// Another task has nothing to do: gives it pieces, those that would be read last.
    #[cold]
    fn share(&mut self) {
        let many = self.frontier.len() / 2;
        if many > 0 {
            let mut left = many.min(BATCH);
            let frontier = &mut self.frontier;
            self.flood.sharing.give(|| {
                left = left.checked_sub(1)?;
                frontier.take_last().map(Piece::into_words)
            });
        }
    }

    /// The piece, or its first half when another task took the second.
    #[inline]
    fn share_half(&self, piece: Piece) -> Piece {
        if piece.len() < DIVISIBLE || !self.flood.sharing.is_wanted() {
            return piece;
        }
        let (kept, given) = piece.split_at(piece.len() / 2 / page_size() * page_size());
        let mut offer = Some(given);
        self.flood.sharing.give(|| offer.take().map(Piece::into_words));
        if offer.is_none() { kept } else { piece }
    }

    /// A word of something reachable.
    #[inline(always)]
    pub(super) fn word(&mut self, word: usize) {
        let bounds = self.world.bounds;
        if word.wrapping_sub(bounds.start.get()) < bounds.len() + WORD {
            let addr = Addr::new(word);
            match self.world.provider.place(addr) {
                Some(place) => {
                    self.world.states.prefetch(place.id);
                    if let Some(oldest) = self.candidates.push(Candidate { addr, place }) {
                        self.settle(oldest);
                    }
                }
                None => self.locate(addr),
            }
        } else if let Some(run) = self.world.harvest.run_at(word) {
            self.reach_run(run);
        }
    }

    /// A candidate whose state has arrived.
    #[inline(always)]
    fn settle(&mut self, candidate: Candidate) {
        let Candidate { addr, place } = candidate;
        if self.is_marked(place.id) {
            return;
        }
        if let Some(range) = self.chunk_at(addr, place) {
            self.reach(place.id, range);
        } else {
            self.locate(addr);
        }
    }

    /// The chunk that `addr` is in, when its place and its state say all about it.
    #[inline(always)]
    fn chunk_at(&self, addr: Addr, place: Place) -> Option<AddrRange> {
        let slack = self.world.states.of(place.id).slack();
        let range = AddrRange::sized(place.base, (place.room as usize).wrapping_sub(slack.bytes()));
        let is_known = slack != Slack::NO_CHUNK && slack != Slack::UNKNOWN;
        (is_known && range.contains(addr)).then_some(range)
    }

    /// A word in the bounds of the heap.
    #[inline(never)]
    fn locate(&mut self, addr: Addr) {
        match self.chunk_of(addr) {
            Some((id, range)) => self.reach(id, range),
            None => {
                if let Some(run) = self.world.harvest.run_at(addr.get()) {
                    self.reach_run(run);
                }
            }
        }
    }

    /// The chunk that holds `addr`, or whose empty array ends there.
    #[inline(always)]
    fn chunk_of(&self, addr: Addr) -> Option<(ChunkId, AddrRange)> {
        let World { provider, memory, .. } = self.world;
        provider.locate(addr).or_else(|| empty_array::before(addr, *provider, *memory))
    }

    /// What a word points to.
    #[inline]
    pub(super) fn target(&self, addr: Addr) -> Option<Target> {
        if let Some(place) = self.world.provider.place(addr)
            && let Some(range) = self.chunk_at(addr, place)
        {
            return Some(Target::Chunk(place.id, range));
        }
        match self.chunk_of(addr) {
            Some((id, range)) => Some(Target::Chunk(id, range)),
            None => self.world.harvest.run_at(addr.get()).map(Target::Run),
        }
    }

    #[inline(always)]
    pub(super) fn is_marked(&self, id: ChunkId) -> bool {
        self.world.states.of(id).has(self.flood.done)
    }

    /// Marks a chunk. True if it was not, to one of several callers.
    #[inline(always)]
    pub(super) fn mark(&self, id: ChunkId) -> bool {
        self.world.states.mark(id, self.flood.mark(), self.flood.done)
    }

    /// Marks a chunk that something holds.
    #[inline(always)]
    pub(super) fn reach(&mut self, id: ChunkId, range: AddrRange) {
        if self.mark(id) && range.len() >= WORD {
            self.frontier.push(id, Piece::of_chunk(range));
        }
    }

    /// A mapping that something reachable points into.
    #[cold]
    pub(super) fn reach_run(&mut self, run: u32) {
        if self.world.runs.add(run, self.flood.strength) {
            // Room was made for every run.
            let _ = self.reached_runs.push(run);
        }
    }
}
