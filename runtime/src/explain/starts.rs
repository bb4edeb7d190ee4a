//! Which chunks are held by pointers to their first byte: what only pointers into the middle hold may be held by chance.
//!
//! A pointer into the middle counts all the same where the object itself says that such a pointer is how it is held.
//! These are the heuristics that Valgrind's memcheck made known (its manual, 4.2.9 "Memory leak detection"), each told
//! from the layout that the compiler or the library gives:
//!
//! | name | the pointer points to | and the object begins with |
//! |---|---|---|
//! | `newarray` | its second word | the number of elements, which divides the rest (Itanium C++ ABI, 2.7) |
//! | `length64` | its second word | its size less that word: allocators that keep a length in front |
//! | `stdstring` | its fourth word | length, capacity and count of a reference-counted std::string, which fill it exactly |
//! | `multipleinheritance` | a word inside | two pointers to virtual tables of one class, the one inside at the offset that its table tells (Itanium C++ ABI, 2.5.2) |
//!
//! Contract: as [`crate::scan::mark`]. Floods the heap once more, so only made when it is asked for.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::{Harvest, Strength};
use crate::heap::{ChunkId, Provider, Tag};
use crate::init::options::Heuristics;
use crate::mem::{MapVec, ReadMemory};
use crate::scan::{Bits, Marks};

use super::leads::{Lead, Leads};

/// Calls weak what is strong only by pointers into the middle of objects.
pub fn doubt_interior(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    heuristics: Heuristics,
    marks: &Marks,
) -> Result<(), Errno> {
    let whole = reached(provider, memory, harvest, heuristics)?;
    provider.for_each(&mut |id, _| {
        if marks.strong(id) && !whole.contains(id.index()) {
            marks.weaken(id);
        }
    });
    Ok(())
}

/// What strong roots and ignored chunks reach by pointers that count.
fn reached(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    heuristics: Heuristics,
) -> Result<Bits, Errno> {
    let mut flood = Flood {
        chunks: Bits::new(provider.slots())?,
        runs: Bits::new(harvest.runs as usize)?,
        pending: MapVec::new(),
        full: Ok(()),
        whole: Whole { provider, memory, harvest, heuristics },
    };
    let mut leads = Leads::new(provider, memory, harvest)?;
    for word in harvest.kept.iter() {
        if let Some(id) = provider.find(Addr::new(*word)) {
            flood.chunks.insert(id.index());
        }
    }
    for root in harvest.words.iter().filter(|root| root.strength == Strength::Strong) {
        if let Some(lead) = leads.of(root.word) {
            flood.reach(root.word, lead);
        }
    }
    for root in harvest.roots.iter().filter(|root| root.strength == Strength::Strong) {
        leads.in_memory(root.range, |_, word, lead| flood.reach(word, lead));
    }
    provider.for_each(&mut |id, chunk| {
        if chunk.tag == Tag::Ignored {
            flood.reach(chunk.base.get(), Lead::Chunk(id));
        }
    });
    while let Some(lead) = flood.pending.pop() {
        match lead {
            Lead::Chunk(id) => {
                leads.in_chunk(provider.chunk(id).range(), |_, word, lead| flood.reach(word, lead));
            }
            Lead::Run(run) => leads.in_run(run, |_, word, lead| flood.reach(word, lead)),
        }
    }
    flood.full.map(|()| flood.chunks)
}

struct Flood<'a, P, M> {
    chunks: Bits,
    runs: Bits,
    pending: MapVec<Lead>,
    full: Result<(), Errno>,
    whole: Whole<'a, P, M>,
}

impl<P: Provider, M: ReadMemory> Flood<'_, P, M> {
    fn reach(&mut self, word: usize, lead: Lead) {
        let new = match lead {
            Lead::Chunk(id) => self.whole.holds(word, id) && self.chunks.insert(id.index()),
            Lead::Run(run) => self.runs.insert(run as usize),
        };
        if new && self.full.is_ok() {
            self.full = self.pending.push(lead);
        }
    }
}

/// Tells words that hold all of a chunk.
pub(super) struct Whole<'a, P, M> {
    pub(super) provider: &'a P,
    pub(super) memory: &'a M,
    pub(super) harvest: &'a Harvest,
    pub(super) heuristics: Heuristics,
}

impl<P: Provider, M: ReadMemory> Whole<'_, P, M> {
    /// True when a word that leads to a chunk holds all of it.
    pub(super) fn holds(&self, word: usize, id: ChunkId) -> bool {
        const WORD: usize = size_of::<usize>();
        let range = self.provider.chunk(id).range();
        let offset = word.wrapping_sub(range.start.get());
        if offset == 0 {
            return true;
        }
        let mut head = [0; 3];
        let words = (range.len() / WORD).min(head.len());
        let Some(into) = head.get_mut(..words) else { return false };
        if !offset.is_multiple_of(WORD) || words == 0 || self.memory.read_words(range.start, into) < words {
            return false;
        }
        let [first, second, _] = head;
        let rest = range.len() - WORD;
        let Heuristics { new_array, length64, std_string, multiple_inheritance } = self.heuristics;
        let string_header = 3 * WORD;
        (new_array && offset == WORD && first > 0 && rest.is_multiple_of(first))
            // `new T[0]`: the count alone, and the pointer behind it.
            || (new_array && offset == WORD && range.len() == WORD && first == 0)
            || (length64 && offset == WORD && first == rest)
            || (std_string
                && offset == string_header
                && first <= second
                && second.checked_add(string_header + 1) == Some(range.len()))
            || (multiple_inheritance && self.is_part_of_class(range, offset, first))
    }

    /// True when the word at `offset` and the first one point to virtual tables of one class.
    fn is_part_of_class(&self, range: AddrRange, offset: usize, outer: usize) -> bool {
        let mut inner = [0];
        if range.len() - offset.min(range.len()) < size_of::<usize>()
            || self.memory.read_words(range.start.plus(offset), &mut inner) < 1
        {
            return false;
        }
        match (self.table(outer), self.table(inner[0])) {
            (Some(outer), Some(inner)) => outer == [0, inner[1]] && inner[0] == 0usize.wrapping_sub(offset),
            _ => false,
        }
    }

    /// What stands before a virtual table: the offset to the top of the object, and the class' type information.
    fn table(&self, pointer: usize) -> Option<[usize; 2]> {
        let before = Addr::new(pointer.checked_sub(2 * size_of::<usize>())?);
        // Tables are relocated data. A page that is not there is not brought in: it could take for ever.
        let page = AddrRange::sized(before.align_down(page_size()), page_size());
        let is_there =
            pointer.is_multiple_of(size_of::<usize>()) && self.harvest.resident.within(page).next().is_some();
        let mut words = [0; 2];
        (is_there && self.memory.read_words(before, &mut words) == 2).then_some(words)
    }
}
