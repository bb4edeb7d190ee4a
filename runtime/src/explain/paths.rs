//! Shortest chains from the roots to every chunk.
//!
//! A flood, breadth first, that remembers where the word lies that led to each chunk first. That one address is the
//! whole of it: what lies at that place is the holder, and the holder has a word that led to it, up to a root.
//!
//! Strong roots come before weak ones, so a chunk that the marker calls strong has a strong chain even where a weak one
//! would be shorter. Among roots that are equally near, memory comes before registers: a variable says more.
//!
//! What a check calls possible since only a doubtful pointer holds it ([`Doubts`]) is reached last of all, and such a
//! pointer is remembered as doubtful.

use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::{Harvest, Root, Strength};
use crate::heap::{ChunkId, Provider, Tag};
use crate::init::options::Heuristics;
use crate::mem::{MapVec, ReadMemory};
use crate::trace::StackId;

use super::hop::{Holder, Hop};
use super::leads::{Lead, Leads};
use super::odd_pointers::{Found, OddPointers, Reached, Scanner, Spot, flood};
use super::roots::Roots;
use super::starts::Whole;

/// Which pointers are doubtful; by default none.
#[derive(Clone, Copy, Default)]
pub struct Doubts {
    /// Those in these forms.
    pub forms: OddPointers,
    /// Those into the middle of chunks, but for these.
    pub interior: Option<Heuristics>,
}

/// Where a chunk or a mapping was reached from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Nowhere,
    /// A word in memory, or of [`Harvest::words`].
    Certain(Spot),
    /// The same, a doubtful pointer.
    Doubtful(Spot),
    Ignored,
    Kept,
    /// A mapping that was looked at although nothing reaches it.
    Itself,
}

impl From {
    // The highest bits of an address in user space are none of it.
    fn packed(self) -> u64 {
        let spot = |spot, doubtful| match spot {
            Spot::At(at) => (at.get() as u64) << 3 | 4 | doubtful,
            Spot::Word(index) => (index as u64) << 3 | 6 | doubtful,
        };
        match self {
            From::Nowhere => 0,
            From::Ignored => 1,
            From::Kept => 2,
            From::Itself => 3,
            From::Certain(at) => spot(at, 0),
            From::Doubtful(at) => spot(at, 1),
        }
    }

    fn unpacked(word: u64) -> From {
        let number = (word >> 3) as usize;
        match word & 7 {
            0 => From::Nowhere,
            1 => From::Ignored,
            2 => From::Kept,
            3 => From::Itself,
            4 => From::Certain(Spot::At(Addr::new(number))),
            5 => From::Doubtful(Spot::At(Addr::new(number))),
            6 => From::Certain(Spot::Word(number)),
            _ => From::Doubtful(Spot::Word(number)),
        }
    }
}

/// See the module.
pub struct Paths {
    chunks: MapVec<u64>,
    runs: MapVec<u64>,
    roots: Roots,
}

impl Paths {
    /// Floods the whole heap. Fails only when memory for our own arrays cannot be had.
    pub fn new(
        provider: &impl Provider,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        doubts: Doubts,
    ) -> Result<Paths, Errno> {
        let paths = Paths {
            chunks: MapVec::zeroed(provider.slots())?,
            runs: MapVec::zeroed(harvest.runs as usize)?,
            roots: Roots::new(harvest)?,
        };
        let leads = Leads::new(provider, memory, harvest)?;
        let whole =
            Counted(doubts.interior.map(|heuristics| Whole { provider, memory, harvest, heuristics }));
        let mut flood = Flood { paths, leads, whole, now: MapVec::new(), next: MapVec::new(), full: Ok(()) };
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
        let Flood { mut paths, whole, full, .. } = flood;
        full?;
        if doubts.interior.is_some() || doubts.forms != OddPointers::default() {
            let mut scanner = Scanner::new(doubts.forms, provider, memory, harvest)?;
            self::flood(&mut scanner, &mut Again { paths: &mut paths, whole })?;
        }
        Ok(paths)
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
            let from = self.from(lead);
            let (mut hop, next) = match from {
                From::Nowhere => return,
                From::Certain(Spot::At(at)) | From::Doubtful(Spot::At(at)) => {
                    // What led here could be read, unless the time is up.
                    let Some(word) = read(memory, at) else { return };
                    holder(provider, harvest, &self.roots, at, word)
                }
                From::Certain(Spot::Word(index)) | From::Doubtful(Spot::Word(index)) => {
                    (word_of(harvest, index), None)
                }
                // A chunk that is alive by itself, and a mapping that begins its chain.
                from => (alone(provider, harvest, lead, from), None),
            };
            if matches!(from, From::Doubtful(_)) {
                hop.strength = Strength::Weak;
            }
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

/// The word at any address.
fn read(memory: &impl ReadMemory, at: Addr) -> Option<usize> {
    let bits = at.get() as u32 % usize::BITS.div_ceil(8) * 8;
    let mut words = [0; 2];
    let into = words.get_mut(..if bits == 0 { 1 } else { 2 })?;
    let is_read = memory.read_words(at.align_down(size_of::<usize>()), into) == into.len();
    let [low, high] = words;
    is_read.then_some(if bits == 0 { low } else { low >> bits | high << (usize::BITS - bits) })
}

/// What holds the word at `at`, and how that was reached; a root is asked for first: a stack or a region of the
/// program's may lie in a chunk.
pub(super) fn holder(
    provider: &impl Provider,
    harvest: &Harvest,
    roots: &Roots,
    at: Addr,
    word: usize,
) -> (Hop, Option<Lead>) {
    let hop = Hop {
        holder: Holder::Chunk,
        tid: 0,
        strength: Strength::Strong,
        range: AddrRange::default(),
        at,
        word,
        stack: StackId::NONE,
        pc: 0,
        times: 1,
    };
    if let Some(root) = roots.at(harvest, at) {
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

/// Tells pointers that count from those into the middle that are doubtful.
struct Counted<'a, P, M>(Option<Whole<'a, P, M>>);

impl<P: Provider, M: ReadMemory> Counted<'_, P, M> {
    fn counts(&self, word: usize, lead: Lead) -> bool {
        match (&self.0, lead) {
            (Some(whole), Lead::Chunk(id)) => whole.holds(word, id),
            _ => true,
        }
    }
}

/// The last flood: by doubtful pointers.
struct Again<'a, 'p, P, M> {
    paths: &'p mut Paths,
    whole: Counted<'a, P, M>,
}

impl<P: Provider, M: ReadMemory> Reached for Again<'_, '_, P, M> {
    fn has(&self, lead: Lead) -> bool {
        self.paths.from(lead) != From::Nowhere
    }

    fn reach(&mut self, found: &Found) -> bool {
        let Found { spot, word, lead, is_odd } = *found;
        if self.has(lead) {
            return false;
        }
        let counts = !is_odd && self.whole.counts(word, lead);
        mark(self.paths, lead, if counts { From::Certain(spot) } else { From::Doubtful(spot) })
    }
}

struct Flood<'a, P, M> {
    paths: Paths,
    leads: Leads<'a, P, M>,
    whole: Counted<'a, P, M>,
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
            let Flood { paths, leads, whole, next, full, .. } = self;
            leads.in_memory(root.range, |at, word, lead| {
                if whole.counts(word, lead) {
                    reach(paths, next, full, lead, From::Certain(Spot::At(at)));
                }
            });
        }
        for (index, root) in harvest.words.iter().enumerate() {
            if root.strength == strength
                && let Some(lead) = self.leads.of(root.word)
                && self.whole.counts(root.word, lead)
            {
                self.reach(lead, From::Certain(Spot::Word(index)));
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
            let Flood { paths, leads, whole, now, next, full } = self;
            for item in now.iter() {
                let each = |at, word, lead| {
                    if whole.counts(word, lead) {
                        reach(paths, next, full, lead, From::Certain(Spot::At(at)));
                    }
                };
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
