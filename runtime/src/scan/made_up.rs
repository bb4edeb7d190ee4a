//! A heap, a memory and roots that exist only in a test, and the naive answer to what they reach.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::arch::page_size;
use crate::base::{Addr, AddrRange};
use crate::harvest::{Harvest, Node, Resident, Root, RootKind, RootWord, Strength};
use crate::heap::{Census, Chunk, ChunkId, GROUP, Origin, Place, Provider, Slack, Tag};
use crate::mem::{Filter, ReadMemory};
use crate::trace::StackId;

/// Words by address; what is not there cannot be read, by whole pages.
#[derive(Clone, Default, Debug)]
pub(crate) struct Memory {
    words: BTreeMap<usize, usize>,
    pages: BTreeSet<usize>,
}

impl Memory {
    pub(crate) fn write(&mut self, at: usize, word: usize) {
        assert_eq!(at % 8, 0);
        self.pages.insert(at / page_size());
        self.words.insert(at, word);
    }

    /// Makes a range readable, zero where nothing was written.
    pub(crate) fn touch(&mut self, range: AddrRange) {
        if !range.is_empty() {
            self.pages.extend(range.start.get() / page_size()..=(range.end.get() - 1) / page_size());
        }
    }

    /// The first addresses of all readable pages.
    pub(crate) fn pages(&self) -> impl Iterator<Item = usize> + '_ {
        self.pages.iter().map(|page| page * page_size())
    }

    /// Makes the page of an address unreadable.
    pub(crate) fn guard(&mut self, at: usize) {
        self.pages.remove(&(at / page_size()));
    }

    fn word(&self, at: usize) -> Option<usize> {
        self.pages.contains(&(at / page_size())).then(|| self.words.get(&at).copied().unwrap_or(0))
    }
}

impl ReadMemory for Memory {
    fn read_words(&self, from: Addr, into: &mut [usize]) -> usize {
        assert_eq!(from.get() % 8, 0, "unaligned read");
        for (i, slot) in into.iter_mut().enumerate() {
            match from.get().checked_add(i * 8).and_then(|at| self.word(at)) {
                Some(word) => *slot = word,
                None => return i,
            }
        }
        into.len()
    }

    fn skip_words(&self, from: Addr, words: usize, filter: Filter) -> usize {
        // Blocks of four, so that a piece begins and ends anywhere.
        let passes = |at: usize| self.word(at).is_none_or(|word| filter.passes(word));
        (0..words).find(|i| passes(from.get() + i * 8)).unwrap_or(words) / 4 * 4
    }
}

/// Chunks by address; the ordinal is the index, times `stride`, so that ordinals have holes as a real heap's have.
#[derive(Clone, Default, Debug)]
pub(crate) struct Heap {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) stride: usize,
}

impl Heap {
    pub(crate) fn new(stride: usize) -> Heap {
        Heap { chunks: Vec::new(), stride }
    }

    /// Appends a chunk behind the last one.
    pub(crate) fn add(&mut self, base: usize, size: usize, tag: Tag) -> Chunk {
        assert!(self.chunks.last().is_none_or(|last| last.range().end.get() <= base));
        let chunk = Chunk {
            base: Addr::new(base),
            size,
            stack: StackId(self.chunks.len() as u32 + 1),
            tag,
            origin: Origin::Malloc,
            age: 0,
            scope: Default::default(),
        };
        self.chunks.push(chunk);
        chunk
    }

    pub(crate) fn id(&self, index: usize) -> ChunkId {
        ChunkId((index * self.stride) as u32)
    }
}

impl Provider for Heap {
    fn bounds(&self) -> AddrRange {
        match (self.chunks.first(), self.chunks.last()) {
            (Some(first), Some(last)) => AddrRange::new(first.base, last.base.plus(last.size.max(1))),
            _ => AddrRange::default(),
        }
    }

    fn ranges(&self, each: &mut dyn FnMut(AddrRange)) {
        each(self.bounds());
    }

    fn slots(&self) -> usize {
        self.chunks.len() * self.stride
    }

    fn find(&self, addr: Addr) -> Option<ChunkId> {
        let index = self.chunks.partition_point(|chunk| chunk.base <= addr).checked_sub(1)?;
        let chunk = self.chunks[index];
        (addr.get() - chunk.base.get() < chunk.size.max(1)).then(|| self.id(index))
    }

    fn place(&self, addr: Addr) -> Option<Place> {
        let index = self.chunks.partition_point(|chunk| chunk.base <= addr).checked_sub(1)?;
        let chunk = self.chunks[index];
        // Some chunks have no place, as large blocks of a real heap have none.
        let place = Place { id: self.id(index), base: chunk.base, room: room(&chunk) };
        (!index.is_multiple_of(7) && addr.get() - chunk.base.get() < place.room as usize).then_some(place)
    }

    fn group(&self, group: usize, into: &mut [Slack; GROUP], census: &mut Census) {
        for (number, slack) in (group * GROUP..).zip(into) {
            if let Some(chunk) = self.chunks.get(number / self.stride)
                && number.is_multiple_of(self.stride)
            {
                *slack = Slack::of(room(chunk) as usize - chunk.size.max(1));
                census.add(chunk.size, chunk.tag);
            }
        }
    }

    fn chunk(&self, id: ChunkId) -> Chunk {
        assert_eq!(id.index() % self.stride, 0, "an ordinal that was never given out");
        self.chunks[id.index() / self.stride]
    }

    fn live(&self, id: ChunkId) -> Option<AddrRange> {
        let chunk = self.chunks.get(id.index() / self.stride)?;
        id.index().is_multiple_of(self.stride).then(|| chunk.range())
    }

    fn for_each(&self, each: &mut dyn FnMut(ChunkId, Chunk)) {
        // Backwards: nobody may rely on the order.
        for (index, chunk) in self.chunks.iter().enumerate().rev() {
            each(self.id(index), *chunk);
        }
    }
}

/// What a real heap's block would have: some slack, from none to more than fits in a state.
fn room(chunk: &Chunk) -> u32 {
    let step = if chunk.stack.0.is_multiple_of(5) { 256 } else { 16 };
    chunk.size.max(1).next_multiple_of(step) as u32
}

fn aligned_len(range: AddrRange) -> usize {
    let (start, end) = (range.start.get().next_multiple_of(8), range.end.get() / 8 * 8);
    end.saturating_sub(start)
}

/// All words of a range that can be read, the slow way.
pub(crate) fn words(memory: &Memory, resident: &Resident, range: AddrRange) -> Vec<usize> {
    let start = range.start.get().next_multiple_of(8);
    (start..range.end.get().saturating_sub(7))
        .step_by(8)
        .filter(|at| {
            aligned_len(range) <= 512
                || resident.extents().iter().any(|extent| extent.contains(Addr::new(*at)))
        })
        .filter_map(|at| memory.word(at))
        .collect()
}

/// The naive answer: indices of chunks by strong roots, and by weak ones only.
pub(crate) fn oracle(heap: &Heap, memory: &Memory, harvest: &Harvest) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let mut runs = BTreeSet::new();
    let strong = flood(heap, memory, harvest, Strength::Strong, &mut runs);
    let mut all = strong.clone();
    all.extend(flood(heap, memory, harvest, Strength::Weak, &mut runs));
    let weak = all.difference(&strong).copied().collect();
    (strong, weak)
}

/// The chunk that `word` points to, or whose empty array it lies behind.
pub(crate) fn points_to(heap: &Heap, memory: &Memory, word: usize) -> Option<usize> {
    let contains = |chunk: &Chunk| {
        let size = chunk.size.max(1);
        (chunk.base.get()..chunk.base.get() + size).contains(&word)
    };
    let cookie = |chunk: &Chunk| {
        chunk.size == 8 && chunk.base.get() + 8 == word && memory.word(chunk.base.get()) == Some(0)
    };
    heap.chunks.iter().position(contains).or_else(|| heap.chunks.iter().position(cookie))
}

fn flood(
    heap: &Heap,
    memory: &Memory,
    harvest: &Harvest,
    strength: Strength,
    runs: &mut BTreeSet<u32>,
) -> BTreeSet<usize> {
    let mut todo = VecDeque::new();
    todo.extend(harvest.words.iter().filter(|w| w.strength == strength).map(|w| w.word));
    for root in harvest.roots.iter().filter(|root| root.strength == strength) {
        todo.extend(resident_words(memory, &harvest.resident, root.range));
    }
    let mut reached = BTreeSet::new();
    let mut enter = |run: u32, todo: &mut VecDeque<usize>| {
        if runs.insert(run) {
            for node in harvest.nodes.iter().filter(|node| node.run == run) {
                todo.extend(resident_words(memory, &harvest.resident, node.range));
            }
        }
    };
    match strength {
        Strength::Strong => {
            for (index, chunk) in heap.chunks.iter().enumerate() {
                if chunk.tag == Tag::Ignored && reached.insert(index) {
                    todo.extend(words(memory, &harvest.resident, chunk.range()));
                }
            }
        }
        Strength::Weak if harvest.weak_nodes => (0..harvest.runs).for_each(|run| enter(run, &mut todo)),
        Strength::Weak => {}
    }
    while let Some(word) = todo.pop_front() {
        let found = points_to(heap, memory, word);
        if let Some(index) = found {
            if reached.insert(index) {
                todo.extend(words(memory, &harvest.resident, heap.chunks[index].range()));
            }
        } else if let Some(node) = harvest.nodes.iter().find(|node| node.range.contains(Addr::new(word))) {
            enter(node.run, &mut todo);
        }
    }
    reached
}

fn resident_words(memory: &Memory, resident: &Resident, range: AddrRange) -> Vec<usize> {
    let all: Vec<AddrRange> = resident.within(range).collect();
    all.into_iter().flat_map(|part| words(memory, resident, part)).collect()
}

pub(crate) fn root(start: usize, len: usize, strength: Strength) -> Root {
    let range = AddrRange::sized(Addr::new(start), len);
    Root { range, kind: RootKind::Globals, tid: 0, strength }
}

pub(crate) fn root_word(word: usize, strength: Strength) -> RootWord {
    RootWord { word, kind: RootKind::Register, tid: 1, strength }
}

pub(crate) fn node(start: usize, len: usize, run: u32) -> Node {
    Node { range: AddrRange::sized(Addr::new(start), len), run }
}

/// A whole made-up world.
pub(crate) struct World {
    pub(crate) heap: Heap,
    pub(crate) memory: Memory,
    pub(crate) harvest: Harvest,
}

/// Where a made-up heap, its globals and its mappings begin.
pub(crate) const HEAP: usize = 0x7000_0000;
pub(crate) const GLOBALS: usize = 0x1000_0000;
pub(crate) const MAPPINGS: usize = 0x7800_0000;

/// A chunk's index and a word of it.
pub(crate) type Slot = (usize, usize);

/// The numbers that a random world is made from; proptest shrinks them.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// Size in bytes and whether it is ignored.
    pub(crate) chunks: Vec<(usize, bool)>,
    /// From chunk, word index; to chunk, byte offset.
    pub(crate) edges: Vec<(usize, usize, usize, usize)>,
    /// To chunk, offset, weak, whether it is a word and not memory.
    pub(crate) roots: Vec<(usize, usize, bool, bool)>,
    /// Pages of each piece, and whether it belongs to the run of the one before.
    pub(crate) nodes: Vec<(usize, bool)>,
    /// Node, word index, to chunk.
    pub(crate) node_edges: Vec<(usize, usize, usize)>,
    /// To node, offset; from a chunk (index, word) or from a root.
    pub(crate) to_nodes: Vec<(usize, usize, Option<Slot>)>,
    /// Unreadable pages of the heap.
    pub(crate) guards: Vec<usize>,
    /// Pages of the heap that are not resident.
    pub(crate) absent: Vec<usize>,
    pub(crate) weak_nodes: bool,
    pub(crate) stride: usize,
}

pub(crate) fn build(recipe: &Recipe) -> World {
    let mut heap = Heap::new(recipe.stride);
    let mut memory = Memory::default();
    let mut at = HEAP;
    for (size, ignored) in &recipe.chunks {
        let tag = if *ignored { Tag::Ignored } else { Tag::Allocated };
        let chunk = heap.add(at, *size, tag);
        memory.touch(AddrRange::sized(chunk.base, size.max(&16) + 16));
        // 8 or 16 bytes between chunks, so that one-past-the-end is sometimes nobody's and sometimes an array cookie's.
        at = (at + size.max(&1)).next_multiple_of(16);
        if size % 3 == 0 {
            at += 16;
        }
    }
    let heap_end = at.next_multiple_of(page_size());
    assert!(heap_end < MAPPINGS);
    let count = heap.chunks.len();
    let pick = |index: usize| heap.chunks[index % count];
    let pointer = |to: usize, offset: usize| {
        let chunk = pick(to);
        chunk.base.get() + offset % (chunk.size + 9)
    };
    let slot = |from: usize, word: usize| {
        let chunk = pick(from);
        let words = chunk.size / 8;
        (words > 0).then(|| chunk.base.get() + word % words * 8)
    };
    for (from, word, to, offset) in &recipe.edges {
        if let Some(at) = slot(*from, *word) {
            memory.write(at, pointer(*to, *offset));
        }
    }
    let mut harvest = Harvest::new(Resident::nothing());
    harvest.weak_nodes = recipe.weak_nodes;
    let mut at = MAPPINGS;
    let mut pieces = Vec::new();
    for (pages, joined) in &recipe.nodes {
        if *joined && harvest.runs > 0 {
            at += page_size();
        } else {
            at += 16 * page_size();
            harvest.runs += 1;
        }
        let piece = node(at, pages * page_size(), harvest.runs - 1);
        harvest.nodes.push(piece).unwrap();
        memory.touch(piece.range);
        pieces.push(piece.range);
        at += pages * page_size();
    }
    for (from, word, to) in &recipe.node_edges {
        if let Some(range) = pieces.get(from % pieces.len().max(1)) {
            memory.write(range.start.get() + word * 8 % range.len(), pointer(*to, 0));
        }
    }
    let mut next_global = GLOBALS;
    let mut global = |memory: &mut Memory, harvest: &mut Harvest, word: usize, strength: Strength| {
        memory.write(next_global, word);
        harvest.roots.push(root(next_global, 8, strength)).unwrap();
        next_global += 8;
    };
    for (to, offset, weak, in_register) in &recipe.roots {
        let strength = if *weak { Strength::Weak } else { Strength::Strong };
        if *in_register {
            harvest.words.push(root_word(pointer(*to, *offset), strength)).unwrap();
        } else {
            global(&mut memory, &mut harvest, pointer(*to, *offset), strength);
        }
    }
    for (to, offset, from) in &recipe.to_nodes {
        let Some(range) = pieces.get(to % pieces.len().max(1)) else { continue };
        let word = range.start.get() + offset % range.len();
        match from.map(|(from, index)| slot(from, index)) {
            None => global(&mut memory, &mut harvest, word, Strength::Strong),
            Some(Some(at)) => memory.write(at, word),
            Some(None) => {}
        }
    }
    let pages = (heap_end - HEAP) / page_size();
    for page in &recipe.guards {
        memory.guard(HEAP + page % pages * page_size());
    }
    let absent: BTreeSet<usize> = recipe.absent.iter().map(|page| page % pages).collect();
    let extent = |start: usize, end: usize| AddrRange::new(Addr::new(start), Addr::new(end));
    harvest.resident.push(extent(GLOBALS, GLOBALS + 0x1000_0000)).unwrap();
    for page in (0..pages).filter(|page| !absent.contains(page)) {
        harvest.resident.push(extent(HEAP + page * page_size(), HEAP + (page + 1) * page_size())).unwrap();
    }
    harvest.resident.push(extent(MAPPINGS, MAPPINGS + 0x1000_0000)).unwrap();
    World { heap, memory, harvest }
}

#[cfg(test)]
pub(crate) mod recipes {
    //! Random recipes.

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Recipe;

    /// Sizes as programs have them, with words, empty chunks, and a few of many pages.
    fn size() -> impl Strategy<Value = usize> {
        prop_oneof![Just(0usize), Just(8), 1usize..32, 8usize..200, Just(4096), 4000usize..20000]
    }

    pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
        let n = any::<u16>().prop_map(usize::from);
        (
            vec((size(), prop::bool::weighted(0.05)), 1..60),
            vec((n.clone(), n.clone(), n.clone(), prop_oneof![Just(0usize), 0usize..4200]), 0..120),
            vec((n.clone(), prop_oneof![Just(0usize), 0usize..300], any::<bool>(), any::<bool>()), 0..8),
            vec((1usize..4, any::<bool>()), 0..5),
            vec((n.clone(), n.clone(), n.clone()), 0..12),
            vec((n.clone(), n.clone(), prop::option::of((n.clone(), n.clone()))), 0..5),
            vec(n.clone(), 0..3),
            vec(n, 0..3),
            any::<bool>(),
            1usize..4,
        )
            .prop_map(
                |(chunks, edges, roots, nodes, node_edges, to_nodes, guards, absent, weak_nodes, stride)| {
                    Recipe {
                        chunks,
                        edges,
                        roots,
                        nodes,
                        node_edges,
                        to_nodes,
                        guards,
                        absent,
                        weak_nodes,
                        stride,
                    }
                },
            )
    }
}
