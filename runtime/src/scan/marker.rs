//! One task's flood over chunks and mappings.
//!
//! ```text
//! word -> candidates (ring, provider's metadata prefetched) -> locate, test and set mark
//!      -> frontier (stack)                                  -> ring (contents prefetched) -> read its words
//! ```
//!
//! The real code differs in three ways: words outside of the heap's bounds are dropped before anything else, or looked
//! up among the mappings; a long range puts its rest back when the frontier is half full, and gives half of it away when another
//! task has nothing to do; ranges of several pages are read only where pages are resident.
//!
//! Where there is only one way to go for long, as along a list, others are tried: see [`probe`](super::probe).
//!
//! Why two rings: a random graph misses the cache once for the chunk's metadata and once for its contents. Both misses
//! are started a ring's length before the value is needed, and so overlap.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno, Workers};
use crate::heap::{ChunkId, Provider};
use crate::mem::{MapVec, ReadMemory};

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

/// See the module.
pub(super) struct Marker<'a, P, M, W> {
    pub(super) world: &'a World<'a, P, M, W>,
    pub(super) flood: &'a Flood<'a>,
    pub(super) frontier: Frontier<'a>,
    pub(super) candidates: Ring<Addr>,
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
    pub(super) fn new(world: &'a World<'a, P, M, W>, flood: &'a Flood<'a>) -> Result<Self, Errno> {
        let mut reached_runs = MapVec::new();
        // Room for every run, so that no push can fail later.
        reached_runs.reserve(world.harvest.runs as usize)?;
        Ok(Marker {
            world,
            flood,
            frontier: Frontier::new(world.limit, &world.overflow)?,
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
            let due = if let Some(piece) = self.frontier.pop(self.world.provider) {
                let range = piece.range();
                self.world.memory.prefetch(range.start);
                self.world.memory.prefetch(range.end.minus(1));
                contents.push(piece)
            } else if let Some(addr) = self.candidates.pop() {
                // Nothing else is under way, so that its contents may be fetched together with its metadata.
                self.world.memory.prefetch(addr);
                self.locate(addr);
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
        if words::is_small(piece.range()) {
            self.read(piece);
        } else {
            self.long_contents(piece);
        }
    }

    fn long_contents(&mut self, mut piece: Piece) {
        let resident = &self.world.harvest.resident;
        while piece.len() > 0 {
            piece = self.share_half(piece);
            let (step, rest) = piece.split_at(STEP);
            for part in resident.within(step.range()) {
                self.read(step.within(part));
            }
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
        if read < piece.len() && !piece.is_of_mapping() {
            self.unreadable += piece.len() - read;
        }
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
            // Most edges of a graph lead to what is marked: then the chunk's metadata, a cache miss, is not needed.
            if self.world.provider.slot(addr).is_some_and(|id| self.is_marked(id)) {
                return;
            }
            self.world.provider.prefetch(addr);
            if let Some(oldest) = self.candidates.push(addr) {
                self.locate(oldest);
            }
        } else if let Some(run) = self.world.harvest.run_at(word) {
            self.reach_run(run);
        }
    }

    /// A word in the bounds of the heap.
    #[inline]
    fn locate(&mut self, addr: Addr) {
        match self.target(addr) {
            Some(Target::Chunk(id, range)) => self.reach(id, range),
            Some(Target::Run(run)) => self.reach_run(run),
            None => {}
        }
    }

    /// What a word points to.
    #[inline]
    pub(super) fn target(&self, addr: Addr) -> Option<Target> {
        match self.world.provider.locate(addr) {
            Some((id, range)) => Some(Target::Chunk(id, range)),
            None => self.elsewhere(addr),
        }
    }

    #[inline(always)]
    pub(super) fn is_marked(&self, id: ChunkId) -> bool {
        let Flood { before, now, .. } = self.flood;
        now.contains(id.index()) || before.is_some_and(|before| before.contains(id.index()))
    }

    /// Marks a chunk that something holds.
    #[inline(always)]
    pub(super) fn reach(&mut self, id: ChunkId, range: AddrRange) {
        let Flood { before, now, .. } = self.flood;
        if before.is_some_and(|before| before.contains(id.index())) || !now.add(id.index()) {
            return;
        }
        if range.len() >= WORD {
            self.frontier.push(id, Piece::of_chunk(range));
        }
    }

    /// A word that is in no live chunk: an empty array of C++ objects with a cookie, a mapping between the heap's
    /// segments, or no pointer.
    #[cold]
    fn elsewhere(&self, addr: Addr) -> Option<Target> {
        // `new T[0]` with a destructor to call is a chunk with one word, the count 0, and the program holds the address
        // behind it (Itanium C++ ABI, 2.7).
        if let Some((id, range)) = self.world.provider.locate(addr.minus(WORD)) {
            let mut cookie = [1];
            let is_empty_array = range == AddrRange::new(addr.minus(WORD), addr)
                && self.world.memory.read_words(range.start, &mut cookie) == 1
                && cookie == [0];
            return is_empty_array.then_some(Target::Chunk(id, range));
        }
        self.world.harvest.run_at(addr.get()).map(Target::Run)
    }

    /// A mapping that something reachable points into.
    #[cold]
    pub(super) fn reach_run(&mut self, run: u32) {
        if self.world.runs.add(run as usize) {
            // Room was made for every run.
            let _ = self.reached_runs.push(run);
        }
    }
}
