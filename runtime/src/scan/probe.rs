//! Probing: what to do when there is only one way to go, as along a list.
//!
//! A list whose nodes lie anywhere gives one address at a time, and each costs the whole latency of memory. So other ways
//! are tried meanwhile: walkers start at chunks picked at random and follow what they hold, each for a chain of its own
//! ([`chains`](super::chains)). When the known way comes to the start of a chain, all of the chain is reached, and its walker goes
//! on from where it is. A list is then walked at many places at once, with as many cache misses under way; a new walker
//! starts in a part that nobody has walked yet and so halves somebody's work.
//!
//! What a chain has walked in vain (its start is never reached, or it is entered in the middle) was only time that the CPU
//! would have waited. Nothing is marked but what is reached.

use crate::base::{Addr, AddrRange, Workers};
use crate::heap::{ChunkId, Provider};
use crate::mem::ReadMemory;

use super::chains::{Chains, Color, Finding, REACHED};
use super::marker::{Marker, Target};
use super::piece::Piece;
use super::words::{self, WORD};

/// Ways that are walked at the same time: as many as a core has line fill buffers, rounded to a power of two.
const WALKERS: usize = 16;
/// What a walker remembers; more than a list with its contents needs.
const ROOM: usize = 16;
/// So many pieces are enough to go on with.
const PLENTY: usize = 4 * WALKERS;
/// Picks for one new start, and picks in vain after which there is little left to find.
const PICKS: usize = 4;
const MISSES: usize = 512;

/// One way.
struct Walker {
    color: Color,
    pieces: [Piece; ROOM],
    piece_count: usize,
    /// Words that were read and whose metadata and contents are on their way.
    words: [usize; ROOM],
    word_count: usize,
}

impl Walker {
    const IDLE: Walker = Walker {
        color: REACHED,
        pieces: [Piece::NOTHING; ROOM],
        piece_count: 0,
        words: [0; ROOM],
        word_count: 0,
    };

    fn is_idle(&self) -> bool {
        self.piece_count + self.word_count == 0
    }

    fn push(&mut self, piece: Piece) -> bool {
        let Some(slot) = self.pieces.get_mut(self.piece_count) else { return false };
        *slot = piece;
        self.piece_count += 1;
        true
    }

    fn pop(&mut self) -> Option<Piece> {
        self.piece_count = self.piece_count.checked_sub(1)?;
        self.pieces.get(self.piece_count).copied()
    }

    fn note(&mut self, word: usize) -> bool {
        let Some(slot) = self.words.get_mut(self.word_count) else { return false };
        *slot = word;
        self.word_count += 1;
        true
    }
}

/// What a probe knows beside its walkers.
struct Probe {
    chains: Chains,
    /// Picks in vain since the last that was not.
    misses: usize,
    /// xorshift64*: any numbers that do not follow the order of the heap.
    random: u64,
}

impl Probe {
    fn pick(&mut self, slots: usize) -> ChunkId {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let high = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ChunkId(((high * slots as u64) >> 32) as u32)
    }
}

impl<P: Provider, M: ReadMemory, W: Workers> Marker<'_, P, M, W> {
    /// Goes on from all that is in hand until there is plenty to do or nothing left.
    #[cold]
    pub(super) fn probe(&mut self) {
        // Without memory it goes on as before.
        let Ok(chains) = Chains::new(self.world.provider.slots()) else { return };
        let mut probe = Probe { chains, misses: 0, random: 0x9e37_79b9_7f4a_7c15 };
        let mut walkers = [Walker::IDLE; WALKERS];
        loop {
            for walker in &mut walkers {
                if !walker.is_idle() || self.send(&mut probe, walker) {
                    self.step(&mut probe, walker);
                }
            }
            let mut lost = 0;
            let news = |color, unreadable| {
                lost += unreadable;
                walkers
                    .iter_mut()
                    .filter(|walker| walker.color == color)
                    .for_each(|walker| walker.color = REACHED);
            };
            probe.chains.settle(news, |word| self.word(word));
            self.unreadable += lost;
            let in_hand = self.frontier.len();
            let goes_on = |walker: &Walker| walker.color == REACHED && !walker.is_idle();
            let is_done = in_hand == 0 && self.candidates.is_empty() && !walkers.iter().any(goes_on);
            if is_done || in_hand > PLENTY {
                break;
            }
        }
        probe.chains.reached(|id| {
            self.mark(id);
        });
        for walker in walkers.iter_mut().filter(|walker| walker.color == REACHED) {
            for word in walker.words.iter().take(walker.word_count) {
                self.word(*word);
            }
            while let Some(piece) = walker.pop() {
                self.contents(piece);
            }
        }
    }

    /// Gives an idle walker something to do: what is known to be reached, or a chain of its own.
    fn send(&mut self, probe: &mut Probe, walker: &mut Walker) -> bool {
        walker.color = REACHED;
        if let Some(piece) = self.frontier.pop(self.world.provider, self.flood.mark()) {
            return walker.push(piece);
        }
        if let Some(candidate) = self.candidates.pop() {
            return walker.note(candidate.addr.get());
        }
        if probe.misses >= MISSES {
            return false;
        }
        let provider = self.world.provider;
        for _ in 0..PICKS {
            let id = probe.pick(provider.slots());
            if !self.is_marked(id)
                && probe.chains.find(id) == Finding::Free
                && let Some(range) = provider.live(id)
                && range.len() >= WORD
                && self.is_small(range)
                && let Some(color) = probe.chains.start(id, range.start)
            {
                probe.misses = 0;
                walker.color = color;
                return walker.push(Piece::of_chunk(range));
            }
        }
        probe.misses += PICKS;
        false
    }

    /// One step: follows the words of the last one, whose metadata has arrived, and reads one piece.
    fn step(&mut self, probe: &mut Probe, walker: &mut Walker) {
        for at in 0..core::mem::take(&mut walker.word_count) {
            let word = walker.words.get(at).copied().unwrap_or(0);
            self.follow(probe, walker, word);
        }
        if let Some(piece) = walker.pop() {
            if self.is_small(piece.range()) {
                self.read_for(probe, walker, piece);
            } else {
                // Only of what is reached.
                self.contents(piece);
            }
        }
        if walker.color != REACHED {
            if probe.chains.is_given_up(walker.color) {
                (walker.piece_count, walker.word_count) = (0, 0);
            } else if walker.is_idle() {
                probe.chains.end(walker.color);
            }
        }
    }

    /// To be read whole, in one step.
    fn is_small(&self, range: AddrRange) -> bool {
        self.world.harvest.resident.is_granted(range.len())
    }

    fn read_for(&mut self, probe: &mut Probe, walker: &mut Walker, piece: Piece) {
        let mut buffer = core::mem::take(&mut self.buffer);
        let world = self.world;
        let read = words::for_each(world.memory, piece.range(), &mut buffer, world.filter, |word| {
            let addr = Addr::new(word);
            if let Some(place) = world.provider.place(addr) {
                probe.chains.prefetch(place.id);
                world.states.prefetch(place.id);
                world.memory.prefetch(addr);
            }
            if !walker.note(word) {
                self.follow(probe, walker, word);
            }
        });
        self.buffer = buffer;
        self.bytes += read;
        let lost = self.lost(piece, read);
        if walker.color == REACHED {
            self.unreadable += lost;
        } else {
            // To be told only if the chain is reached.
            probe.chains.lose(walker.color, lost);
        }
    }

    /// What a word of this way points to.
    fn follow(&mut self, probe: &mut Probe, walker: &mut Walker, word: usize) {
        match self.target(Addr::new(word)) {
            Some(Target::Chunk(id, range)) => self.come_upon(probe, walker, word, id, range),
            Some(Target::Run(run)) if walker.color == REACHED => self.reach_run(run),
            Some(Target::Run(_)) => probe.chains.put_off(walker.color, word),
            None => {}
        }
    }

    fn come_upon(
        &mut self,
        probe: &mut Probe,
        walker: &mut Walker,
        word: usize,
        id: ChunkId,
        range: AddrRange,
    ) {
        if self.is_marked(id) {
            return;
        }
        let finding = probe.chains.find(id);
        if walker.color == REACHED {
            match finding {
                Finding::Reached => {}
                Finding::Start(color) if probe.chains.come(color) => {}
                _ if !self.mark(id) || range.len() < WORD => {}
                _ => {
                    let piece = Piece::of_chunk(range);
                    if !walker.push(piece) {
                        self.frontier.push(id, piece);
                    }
                }
            }
            return;
        }
        match finding {
            Finding::Reached => {}
            Finding::Middle(color) | Finding::Start(color) if color == walker.color => {}
            Finding::Start(color) => probe.chains.link(walker.color, color),
            Finding::Free if range.len() < WORD => probe.chains.extend(walker.color, id),
            Finding::Free if self.is_small(range) && walker.push(Piece::of_chunk(range)) => {
                probe.chains.extend(walker.color, id);
            }
            Finding::Free | Finding::Middle(_) => probe.chains.put_off(walker.color, word),
        }
    }
}
