//! Shortest chains from the roots to every chunk.
//!
//! A flood, breadth first, that remembers where the word lies that led to each chunk first. That one address is the
//! whole of it: what lies at that place is the holder, and the holder has a word that led to it, up to a root.
//!
//! Strong roots come before weak ones, so a chunk that the marker calls strong has a strong chain even where a weak one
//! would be shorter. Among roots that are equally near, memory comes before registers: a variable says more.

use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::{Harvest, Root, Strength};
use crate::heap::{ChunkId, Provider, Tag};
use crate::mem::{MapVec, ReadMemory};
use crate::trace::StackId;

use super::hop::{Holder, Hop};
use super::leads::{Lead, Leads};

/// Where a chunk or a mapping was reached from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Nowhere,
    /// A word in memory.
    Place(Addr),
    /// A word of [`Harvest::words`].
    Word(usize),
    Ignored,
    Kept,
    /// A mapping that was looked at although nothing reaches it.
    Itself,
}

impl From {
    // Places are multiples of a word, so three bits are free.
    fn packed(self) -> u64 {
        match self {
            From::Nowhere => 0,
            From::Place(at) => at.get() as u64,
            From::Word(index) => (index as u64) << 3 | 1,
            From::Ignored => 2,
            From::Kept => 3,
            From::Itself => 4,
        }
    }

    fn unpacked(word: u64) -> From {
        match word & 7 {
            0 if word == 0 => From::Nowhere,
            0 => From::Place(Addr::new(word as usize)),
            1 => From::Word((word >> 3) as usize),
            2 => From::Ignored,
            3 => From::Kept,
            _ => From::Itself,
        }
    }
}

/// See the module.
pub struct Paths {
    chunks: MapVec<u64>,
    runs: MapVec<u64>,
}

impl Paths {
    /// Floods the whole heap. Fails only when memory for our own arrays cannot be had.
    pub fn new(
        provider: &impl Provider,
        memory: &impl ReadMemory,
        harvest: &Harvest,
    ) -> Result<Paths, Errno> {
        let paths =
            Paths { chunks: MapVec::zeroed(provider.slots())?, runs: MapVec::zeroed(harvest.runs as usize)? };
        let leads = Leads::new(provider, memory, harvest)?;
        let mut flood = Flood { paths, leads, now: MapVec::new(), next: MapVec::new(), full: Ok(()) };
        // Marked before anything else, they are never read.
        for word in harvest.kept.iter() {
            if let Some(id) = provider.find(Addr::new(*word)) {
                flood.mark(Lead::Chunk(id), From::Kept);
            }
        }
        flood.roots(Strength::Strong);
        provider.for_each(&mut |id, chunk| {
            if chunk.tag == Tag::Ignored {
                flood.reach(Lead::Chunk(id), From::Ignored);
            }
        });
        flood.drain();
        flood.roots(Strength::Weak);
        if harvest.weak_nodes {
            flood.drain();
            for run in 0..harvest.runs {
                flood.reach(Lead::Run(run), From::Itself);
            }
        }
        flood.drain();
        flood.full.map(|()| flood.paths)
    }

    /// True when anything reaches the chunk.
    pub fn reaches(&self, id: ChunkId) -> bool {
        self.from(Lead::Chunk(id)) != From::Nowhere
    }

    fn from(&self, lead: Lead) -> From {
        let word = match lead {
            Lead::Chunk(id) => self.chunks.get(id.index()),
            Lead::Run(run) => self.runs.get(run as usize),
        };
        From::unpacked(word.copied().unwrap_or(0))
    }

    /// Calls `each` for the hops of the chain to chunk `id`, from the chunk up to the root; nothing when none reaches
    /// it.
    pub fn up(
        &self,
        provider: &impl Provider,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        id: ChunkId,
        each: &mut dyn FnMut(&Hop),
    ) {
        let mut lead = Lead::Chunk(id);
        loop {
            let (hop, next) = match self.from(lead) {
                From::Nowhere => return,
                From::Place(at) => holder(provider, harvest, at, &read(memory, at)),
                From::Word(index) => (word_of(harvest, index), None),
                // A chunk that is alive by itself, and a mapping that begins its chain.
                from => (alone(provider, harvest, lead, from), None),
            };
            // A mapping that nothing reaches is told by the hop before.
            match next {
                Some(Lead::Run(run)) if self.from(Lead::Run(run)) == From::Itself => {
                    each(&Hop { holder: Holder::UnreachedMapping, strength: Strength::Weak, ..hop });
                    return;
                }
                Some(next) => {
                    each(&hop);
                    lead = next;
                }
                None => {
                    each(&hop);
                    return;
                }
            }
        }
    }
}

fn read(memory: &impl ReadMemory, at: Addr) -> usize {
    let mut word = [0];
    memory.read_words(at, &mut word);
    word[0]
}

/// What holds the word at `at`, and how that was reached; a root is asked for first: a stack or a region of the
/// program's may lie in a chunk.
pub(super) fn holder(
    provider: &impl Provider,
    harvest: &Harvest,
    at: Addr,
    word: &usize,
) -> (Hop, Option<Lead>) {
    let hop = Hop {
        holder: Holder::Chunk,
        tid: 0,
        strength: Strength::Strong,
        range: AddrRange::default(),
        at,
        word: *word,
        stack: StackId::NONE,
        pc: 0,
        times: 1,
    };
    if let Some(root) = root_at(harvest, at) {
        let &Root { range, kind, tid, strength } = root;
        return (Hop { holder: Holder::Root(kind), tid, strength, range, ..hop }, None);
    }
    if let Some(id) = provider.find(at) {
        let chunk = provider.chunk(id);
        return (Hop { range: chunk.range(), stack: chunk.stack, ..hop }, Some(Lead::Chunk(id)));
    }
    match harvest.run_at(at.get()) {
        Some(run) => {
            let piece = harvest.pieces(run).iter().find(|piece| piece.range.contains(at));
            let range = piece.map_or(AddrRange::default(), |piece| piece.range);
            (Hop { holder: Holder::Mapping, range, ..hop }, Some(Lead::Run(run)))
        }
        // Not to be had: only words of roots, chunks and mappings were read.
        None => (hop, None),
    }
}

/// The root that holds `at`; of several a strong one.
pub(super) fn root_at(harvest: &Harvest, at: Addr) -> Option<&Root> {
    let mut holding = harvest.roots.iter().filter(|root| root.range.contains(at));
    let first = holding.next()?;
    if first.strength == Strength::Strong {
        return Some(first);
    }
    Some(holding.find(|root| root.strength == Strength::Strong).unwrap_or(first))
}

/// The hop of a word that is in no memory.
pub(super) fn word_of(harvest: &Harvest, index: usize) -> Hop {
    let word = harvest.words.get(index).copied();
    let (kind, tid, strength, word) = word
        .map_or((crate::harvest::RootKind::Register, 0, Strength::Weak, 0), |root| {
            (root.kind, root.tid, root.strength, root.word)
        });
    Hop {
        holder: Holder::Root(kind),
        tid,
        strength,
        range: AddrRange::default(),
        at: Addr::NULL,
        word,
        stack: StackId::NONE,
        pc: 0,
        times: 1,
    }
}

fn alone(provider: &impl Provider, harvest: &Harvest, lead: Lead, from: From) -> Hop {
    let (range, stack) = match lead {
        Lead::Chunk(id) => {
            let chunk = provider.chunk(id);
            (chunk.range(), chunk.stack)
        }
        Lead::Run(run) => {
            let piece = harvest.pieces(run).first();
            (piece.map_or(AddrRange::default(), |piece| piece.range), StackId::NONE)
        }
    };
    Hop {
        holder: match from {
            From::Ignored => Holder::Ignored,
            From::Kept => Holder::Kept,
            _ => Holder::UnreachedMapping,
        },
        tid: 0,
        strength: Strength::Strong,
        range,
        at: Addr::NULL,
        word: range.start.get(),
        stack,
        pc: 0,
        times: 1,
    }
}

struct Flood<'a, P, M> {
    paths: Paths,
    leads: Leads<'a, P, M>,
    /// What was reached by the last step and is read now, and what this step reaches.
    now: MapVec<u64>,
    next: MapVec<u64>,
    full: Result<(), Errno>,
}

/// Tells a run from a chunk in the queue.
const RUN: u64 = 1 << 32;

impl<P: Provider, M: ReadMemory> Flood<'_, P, M> {
    fn roots(&mut self, strength: Strength) {
        let harvest = self.leads.harvest;
        for root in harvest.roots.iter().filter(|root| root.strength == strength) {
            let Flood { paths, leads, next, full, .. } = self;
            leads.in_memory(root.range, |at, _, lead| reach(paths, next, full, lead, From::Place(at)));
        }
        for (index, root) in harvest.words.iter().enumerate() {
            if root.strength == strength
                && let Some(lead) = self.leads.of(root.word)
            {
                self.reach(lead, From::Word(index));
            }
        }
    }

    fn mark(&mut self, lead: Lead, from: From) -> bool {
        mark(&mut self.paths, lead, from)
    }

    fn reach(&mut self, lead: Lead, from: From) {
        reach(&mut self.paths, &mut self.next, &mut self.full, lead, from);
    }

    /// Reads level by level what was reached.
    fn drain(&mut self) {
        while !self.next.is_empty() && self.full.is_ok() {
            core::mem::swap(&mut self.now, &mut self.next);
            self.next.clear();
            let Flood { paths, leads, now, next, full } = self;
            for item in now.iter() {
                let each = |at, _, lead| reach(paths, next, full, lead, From::Place(at));
                if item & RUN == 0 {
                    let range = leads.provider.chunk(ChunkId(*item as u32)).range();
                    leads.in_chunk(range, each);
                } else {
                    leads.in_run(*item as u32, each);
                }
            }
        }
    }
}

/// Remembers where a chunk or mapping was reached from; false when it was reached before.
fn mark(paths: &mut Paths, lead: Lead, from: From) -> bool {
    let slot = match lead {
        Lead::Chunk(id) => paths.chunks.get_mut(id.index()),
        Lead::Run(run) => paths.runs.get_mut(run as usize),
    };
    match slot {
        Some(slot) if *slot == 0 => {
            *slot = from.packed();
            true
        }
        _ => false,
    }
}

fn reach(paths: &mut Paths, next: &mut MapVec<u64>, full: &mut Result<(), Errno>, lead: Lead, from: From) {
    if mark(paths, lead, from) && full.is_ok() {
        *full = next.push(match lead {
            Lead::Chunk(id) => u64::from(id.0),
            Lead::Run(run) => RUN | u64::from(run),
        });
    }
}
