//! Which root words reach a chunk: the first and the last of them, in one order of all root words.
//!
//! Two floods give both exactly: from the root words one after another in ascending order, each chunk belongs to the
//! first that comes to it; in descending order, to the last. Then a chunk is reached by the words of a stretch of that
//! order and by no other, if and only if its first and its last lie in the stretch. So what a variable holds alone, an
//! array of many words, a thread's stack or a whole library is the sum over the chunks between, and it is exact: what
//! would become unreachable without it (the same as its subtree among the dominators, for nodes that roots point to).
//!
//! The order: variables, then thread-local ones, then what the program registered, then stacks and registers; in each by
//! thread and address, so that what belongs together lies together. The first owner is also what a report calls the
//! first root of a chunk.
//!
//! Only strong roots and ignored chunks count.

use crate::base::{Addr, Errno};
use crate::harvest::{Harvest, RootKind, Strength};
use crate::heap::{ChunkId, Provider, Tag};
use crate::mem::{MapVec, ReadMemory};

use super::hop::Holder;
use super::leads::{Lead, Leads};

/// A root word that leads to something, or an ignored chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it is: a root, or [`Holder::Ignored`].
    pub holder: Holder,
    /// Whose; 0 where it belongs to no thread.
    pub tid: i32,
    /// Where it lies; null for a register or a word that the kernel keeps. Of an ignored chunk its first byte.
    pub at: Addr,
    lead: Lead,
}

/// See the module.
pub struct Owners {
    /// All root words in the order.
    pub entries: MapVec<Entry>,
    first: Labels,
    last: Option<Labels>,
}

impl Owners {
    /// Floods once, and a second time if the last owners are wanted as well. Fails only when memory for our own arrays
    /// cannot be had.
    pub fn new(
        provider: &impl Provider,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        with_last: bool,
    ) -> Result<Owners, Errno> {
        let mut leads = Leads::new(provider, memory, harvest)?;
        let entries = entries(&mut leads)?;
        let first = Labels::flood(&mut leads, &entries, 0..entries.len())?;
        let last = if with_last {
            Some(Labels::flood(&mut leads, &entries, (0..entries.len()).rev())?)
        } else {
            None
        };
        Ok(Owners { entries, first, last })
    }

    /// The first root word that reaches the chunk, as an index into the entries.
    pub fn first(&self, id: ChunkId) -> Option<u32> {
        self.first.of(Lead::Chunk(id))
    }

    /// The first and the last root word that reach the chunk.
    pub fn between(&self, id: ChunkId) -> Option<(u32, u32)> {
        Some((self.first(id)?, self.last.as_ref()?.of(Lead::Chunk(id))?))
    }
}

/// The place of a kind of root in the order.
fn rank(holder: Holder) -> u8 {
    match holder {
        Holder::Root(RootKind::Globals) => 0,
        Holder::Root(RootKind::Tls) => 1,
        Holder::Root(RootKind::ThreadSpecific) => 2,
        Holder::Root(RootKind::Region) => 3,
        Holder::Root(RootKind::Stack) => 4,
        Holder::Root(RootKind::Register) => 5,
        Holder::Root(RootKind::Kernel) => 6,
        Holder::Root(RootKind::InTransit) => 7,
        _ => 8,
    }
}

fn entries(leads: &mut Leads<'_, impl Provider, impl ReadMemory>) -> Result<MapVec<Entry>, Errno> {
    let mut entries = MapVec::new();
    let mut full = Ok(());
    let (harvest, provider) = (leads.harvest, leads.provider);
    let mut add = |entry: Entry| {
        if full.is_ok() {
            full = entries.push(entry);
        }
    };
    for root in harvest.roots.iter().filter(|root| root.strength == Strength::Strong) {
        let (holder, tid) = (Holder::Root(root.kind), root.tid);
        leads.in_memory(root.range, |at, _, lead| add(Entry { holder, tid, at, lead }));
    }
    for root in harvest.words.iter().filter(|root| root.strength == Strength::Strong) {
        if let Some(lead) = leads.of(root.word) {
            add(Entry { holder: Holder::Root(root.kind), tid: root.tid, at: Addr::NULL, lead });
        }
    }
    provider.for_each(&mut |id, chunk| {
        if chunk.tag == Tag::Ignored {
            add(Entry { holder: Holder::Ignored, tid: 0, at: chunk.base, lead: Lead::Chunk(id) });
        }
    });
    full?;
    // By address within a kind and thread: a variable's words lie together.
    entries.sort_unstable_by_key(|entry: &Entry| (rank(entry.holder), entry.tid, entry.at));
    Ok(entries)
}

/// An entry, plus 1, for each chunk and run; 0 for what was not reached.
struct Labels {
    chunks: MapVec<u32>,
    runs: MapVec<u32>,
}

/// Tells a run from a chunk on the stack.
const RUN: u64 = 1 << 32;

impl Labels {
    fn flood(
        leads: &mut Leads<'_, impl Provider, impl ReadMemory>,
        entries: &[Entry],
        order: impl Iterator<Item = usize>,
    ) -> Result<Labels, Errno> {
        let mut labels = Labels { chunks: MapVec::new(), runs: MapVec::new() };
        labels.chunks.resize(leads.provider.slots(), 0)?;
        labels.runs.resize(leads.harvest.runs as usize, 0)?;
        let mut pending = MapVec::new();
        let mut full = Ok(());
        // What is kept is never read.
        let mut kept = MapVec::new();
        for word in leads.harvest.kept.iter() {
            if let Some(id) = leads.provider.find(Addr::new(*word)) {
                kept.push(id)?;
            }
        }
        kept.sort_unstable();
        for index in order {
            let Some(entry) = entries.get(index) else { break };
            let label = index as u32 + 1;
            labels.reach(entry.lead, label, &kept, &mut pending, &mut full);
            while let Some(item) = pending.pop() {
                let each = |_, _, lead| labels.reach(lead, label, &kept, &mut pending, &mut full);
                if item & RUN == 0 {
                    let range = leads.provider.chunk(ChunkId(item as u32)).range();
                    leads.in_chunk(range, each);
                } else {
                    leads.in_run(item as u32, each);
                }
            }
        }
        full.map(|()| labels)
    }

    #[inline]
    fn reach(
        &mut self,
        lead: Lead,
        label: u32,
        kept: &[ChunkId],
        pending: &mut MapVec<u64>,
        full: &mut Result<(), Errno>,
    ) {
        let (slot, item) = match lead {
            Lead::Chunk(id) => (self.chunks.get_mut(id.index()), u64::from(id.0)),
            Lead::Run(run) => (self.runs.get_mut(run as usize), RUN | u64::from(run)),
        };
        let Some(slot) = slot.filter(|slot| **slot == 0) else { return };
        *slot = label;
        let is_kept = matches!(lead, Lead::Chunk(id) if kept.binary_search(&id).is_ok());
        if !is_kept && full.is_ok() {
            *full = pending.push(item);
        }
    }

    fn of(&self, lead: Lead) -> Option<u32> {
        let label = match lead {
            Lead::Chunk(id) => self.chunks.get(id.index()),
            Lead::Run(run) => self.runs.get(run as usize),
        };
        label.copied()?.checked_sub(1)
    }
}
