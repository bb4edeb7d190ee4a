//! Chains, referrers and owners against the naive oracle.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::base::{Addr, Alone};
use crate::harvest::{Harvest, Resident, RootKind, Strength};
use crate::heap::Tag;
use crate::init::compressed::{Base, Compressed};
use crate::init::options::Options;
use crate::mem::{MapVec, ReadMemory, UpTo};
use crate::scan::made_up::{self, GLOBALS, HEAP, Heap, MAPPINGS, Memory, World};
use crate::scan::{Marks, mark};

use super::{Doubts, Holder, Hop, OddPointers, Owners, Paths, doubt_interior, referrers};

fn chain(world: &World, paths: &Paths, index: usize) -> Vec<Hop> {
    let mut hops = Vec::new();
    let id = world.heap.id(index);
    paths.up(&world.heap, &world.memory, &world.harvest, id, &mut |hop| hops.push(*hop));
    hops.reverse();
    hops
}

/// What the chain says is so: each word is there, and points into the next holder, the last one into the chunk.
fn follow(world: &World, hops: &[Hop], index: usize) -> Result<(), TestCaseError> {
    let target = world.heap.chunks[index].range();
    for (at, hop) in hops.iter().enumerate() {
        if !hop.at.is_null() {
            let mut word = [0];
            prop_assert_eq!(world.memory.read_words(hop.at, &mut word), 1);
            prop_assert_eq!(word[0], hop.word);
            prop_assert!(hop.range.contains(hop.at), "{:?}", hop);
        }
        let next = hops.get(at + 1).map_or(target, |next| next.range);
        let word = Addr::new(hop.word);
        let same_run = |range: crate::base::AddrRange| {
            let run = world.harvest.run_at(range.start.get());
            run.is_some() && world.harvest.run_at(hop.word) == run
        };
        // An empty chunk, an array cookie, and another piece of one run.
        let reaches = next.contains(word)
            || next.start == word
            || next.end == word && next.len() == 8
            || same_run(next);
        prop_assert!(reaches, "{:?} does not lead to {:?}", hop, next);
        prop_assert_eq!(hop.is_root(), at == 0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_the_oracle_reaches_has_a_chain_that_can_be_followed(recipe in made_up::recipes::recipe()) {
        let world = made_up::build(&recipe);
        let (strong, weak) = made_up::oracle(&world.heap, &world.memory, &world.harvest);
        let paths = Paths::new(&world.heap, &world.memory, &world.harvest, Doubts::default()).unwrap();
        for index in 0..world.heap.chunks.len() {
            let reached = strong.contains(&index) || weak.contains(&index);
            prop_assert_eq!(paths.reaches(world.heap.id(index)), reached);
            let hops = chain(&world, &paths, index);
            prop_assert_eq!(!hops.is_empty(), reached);
            follow(&world, &hops, index)?;
            if let Some(root) = hops.first() {
                let is_weak = root.strength == Strength::Weak || root.holder == Holder::UnreachedMapping;
                prop_assert_eq!(is_weak, weak.contains(&index));
            }
        }
    }

    #[test]
    fn owners_are_the_first_and_the_last_root_that_reach(recipe in made_up::recipes::recipe()) {
        let world = made_up::build(&recipe);
        let owners = Owners::new(&world.heap, &world.memory, &world.harvest, true).unwrap();
        // For each entry a world in which it is the only root.
        let mut reached_by: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for (number, entry) in owners.entries.iter().enumerate() {
            let mut alone = made_up::build(&recipe);
            alone.harvest.weak_nodes = false;
            alone.harvest.roots.clear();
            alone.harvest.words.clear();
            alone.heap.chunks.iter_mut().for_each(|chunk| chunk.tag = Tag::Allocated);
            if entry.holder == Holder::Ignored {
                let index = alone.heap.chunks.iter().position(|chunk| chunk.base == entry.at).unwrap();
                alone.heap.chunks[index].tag = Tag::Ignored;
            } else if entry.at.is_null() {
                // Registers have no place of their own; all of one thread lead where the entries say in any order.
                continue;
            } else {
                alone.harvest.roots.push(made_up::root(entry.at.get(), 8, Strength::Strong)).unwrap();
            }
            let (strong, _) = made_up::oracle(&alone.heap, &alone.memory, &alone.harvest);
            for index in strong {
                reached_by.entry(index).or_default().insert(number as u32);
            }
        }
        let (strong, _) = made_up::oracle(&world.heap, &world.memory, &world.harvest);
        for index in 0..world.heap.chunks.len() {
            let between = owners.between(world.heap.id(index));
            prop_assert_eq!(between.is_some(), strong.contains(&index));
            let Some((first, last)) = between else { continue };
            prop_assert!(first <= last);
            let all = reached_by.get(&index).cloned().unwrap_or_default();
            let is_register = |entry: u32| {
                let entry = owners.entries[entry as usize];
                entry.at.is_null() && entry.holder != Holder::Ignored
            };
            if !is_register(first) {
                prop_assert_eq!(all.first(), Some(&first));
            }
            if !is_register(last) {
                prop_assert_eq!(all.last(), Some(&last));
            }
        }
    }

    #[test]
    fn referrers_are_all_words_that_lead_to_a_chunk(recipe in made_up::recipes::recipe()) {
        let world = made_up::build(&recipe);
        let World { heap, memory, harvest } = &world;
        let (hops, count) = referrers::find(heap, memory, harvest, OddPointers::default(), heap.id(0), usize::MAX).unwrap();
        prop_assert_eq!(hops.len(), count);
        let target = heap.chunks[0];
        let is_there = |word: usize| (target.base.get()..target.base.get() + target.size.max(1)).contains(&word);
        let in_chunks = heap.chunks.iter().skip(1).map(|chunk| {
            made_up::words(memory, &harvest.resident, chunk.range()).into_iter().filter(|w| is_there(*w)).count()
        });
        let in_roots = harvest.roots.iter().filter(|root| {
            made_up::words(memory, &harvest.resident, root.range).into_iter().any(is_there)
        });
        let in_words = harvest.words.iter().filter(|root| is_there(root.word));
        let in_nodes = harvest.nodes.iter().map(|node| {
            made_up::words(memory, &harvest.resident, node.range).into_iter().filter(|w| is_there(*w)).count()
        });
        let expected = in_chunks.sum::<usize>() + in_roots.count() + in_words.count() + in_nodes.sum::<usize>();
        let cookies = hops.iter().filter(|hop| !is_there(hop.word)).count();
        prop_assert_eq!(count - cookies, expected);
        // Of all at once the same is told as of each alone.
        let all: Vec<_> = (0..heap.chunks.len()).map(|index| heap.id(index)).collect();
        let mut of_each = vec![Vec::new(); all.len()];
        let counts = referrers::find_each(heap, memory, harvest, OddPointers::default(), &all, 3, &mut |index, hop| {
            of_each[index].push(hop);
            Ok(())
        })
        .unwrap();
        for (index, id) in all.iter().enumerate() {
            let (hops, count) = referrers::find(heap, memory, harvest, OddPointers::default(), *id, 3).unwrap();
            prop_assert_eq!(counts[index], count);
            prop_assert_eq!(&of_each[index][..], &hops[..]);
        }
    }
}

/// A global, a list of four behind it, and one that is held by nothing.
fn list() -> World {
    let mut heap = Heap::new(1);
    let mut memory = Memory::default();
    for i in 0..5 {
        memory.touch(heap.add(HEAP + i * 32, 16, Tag::Allocated).range());
        heap.chunks[i].stack = crate::trace::StackId(7);
    }
    memory.write(GLOBALS + 8, HEAP);
    for i in 0..3 {
        memory.write(HEAP + i * 32 + 8, HEAP + (i + 1) * 32);
    }
    let mut harvest = Harvest::new(Resident::everything().unwrap());
    harvest.roots.push(made_up::root(GLOBALS, 4096, Strength::Strong)).unwrap();
    World { heap, memory, harvest }
}

#[test]
fn a_chain_names_holders_and_offsets_from_the_root_on() {
    let world = list();
    let paths = Paths::new(&world.heap, &world.memory, &world.harvest, Doubts::default()).unwrap();
    let hops = chain(&world, &paths, 2);
    let seen: Vec<_> = hops.iter().map(|hop| (hop.holder, hop.offset(), hop.word)).collect();
    assert_eq!(
        seen,
        [
            (Holder::Root(RootKind::Globals), 8, HEAP),
            (Holder::Chunk, 8, HEAP + 32),
            (Holder::Chunk, 8, HEAP + 64)
        ]
    );
    assert!(chain(&world, &paths, 4).is_empty());
    let World { heap, memory, harvest } = &world;
    assert_eq!(
        referrers::find(heap, memory, harvest, OddPointers::default(), heap.id(2), 10).unwrap().0.len(),
        1
    );
    assert_eq!(
        referrers::find(heap, memory, harvest, OddPointers::default(), heap.id(4), 10).unwrap().0.len(),
        0
    );
}

#[test]
fn lists_are_folded_and_long_chains_are_cut_in_the_middle() {
    const MANY: usize = 10_000;
    // A list of equal chunks, then one of chunks that differ, then the target.
    let mut heap = Heap::new(1);
    let mut memory = Memory::default();
    for i in 0..MANY + 100 {
        memory.touch(heap.add(HEAP + i * 32, 16, Tag::Allocated).range());
        heap.chunks[i].stack = crate::trace::StackId(if i < MANY { 1 } else { i as u32 });
        memory.write(HEAP + i * 32, HEAP + (i + 1) * 32);
    }
    memory.write(GLOBALS, HEAP);
    let mut harvest = Harvest::new(Resident::everything().unwrap());
    harvest.roots.push(made_up::root(GLOBALS, 8, Strength::Strong)).unwrap();
    let paths = Paths::new(&heap, &memory, &harvest, Doubts::default()).unwrap();
    let mut hops = MapVec::new();
    paths.chain(&heap, &memory, &harvest, heap.id(MANY), &mut hops).unwrap();
    let seen: Vec<_> = hops.iter().map(|hop| (hop.holder, hop.times)).collect();
    assert_eq!(seen, [(Holder::Root(RootKind::Globals), 1), (Holder::Chunk, MANY)]);
    assert_eq!(hops[1].range.start.get(), HEAP);

    hops.clear();
    paths.chain(&heap, &memory, &harvest, heap.id(MANY + 99), &mut hops).unwrap();
    let total: usize = hops.iter().map(|hop| hop.times).sum();
    assert_eq!(total, 1 + MANY + 99);
    assert!(hops.len() < 60);
    assert_eq!(hops.iter().filter(|hop| hop.holder == Holder::Skipped).count(), 1);
    assert_eq!((hops[0].holder, hops[1].times), (Holder::Root(RootKind::Globals), MANY));
    assert_eq!(hops[hops.len() - 1].word, HEAP + (MANY + 99) * 32);
}

/// A word that cannot be read any more is not told as another, and the chain ends there.
#[test]
fn a_chain_ends_when_the_time_is_up() {
    let World { heap, memory, harvest } = &list();
    let paths = Paths::new(heap, memory, harvest, Doubts::default()).unwrap();
    let (over, mut hops) = (UpTo::new(memory, 0), MapVec::new());
    paths.chain(heap, &over, harvest, heap.id(2), &mut hops).unwrap();
    assert!(over.passed() && hops.is_empty());
}

/// Which chunks are strong and weak after marking, and after a second look in odd forms.
fn odd(world: &World, forms: OddPointers) -> [Vec<usize>; 4] {
    let World { heap, memory, harvest } = world;
    let mut marks = Marks::new(heap, &Alone).unwrap();
    mark(heap, memory, harvest, &Alone, &mut marks).unwrap();
    let all =
        |is: &dyn Fn(usize) -> bool| (0..heap.chunks.len()).filter(|index| is(*index)).collect::<Vec<_>>();
    let strong = |marks: &Marks| all(&|index| marks.strong(heap.id(index)));
    let weak = |marks: &Marks| all(&|index| marks.weak(heap.id(index)));
    let before = (strong(&marks), weak(&marks));
    forms.mark(heap, memory, harvest, &marks).unwrap();
    [before.0, before.1, strong(&marks), weak(&marks)]
}

/// What a check calls possible for the sake of a doubtful pointer has a chain with a doubtful hop, and no other chain has one;
/// and the words are told of as they stand.
#[test]
fn chains_and_referrers_agree_with_the_verdict_on_doubtful_pointers() {
    const TAG: usize = 0xa5 << 48;
    let mut world = six();
    world.harvest.words.push(made_up::root_word(HEAP, Strength::Strong)).unwrap();
    // With a tag; one byte off; past the end; into the middle. What the last holds it holds for certain.
    world.memory.write(HEAP, (HEAP + 32) | TAG);
    world.memory.write(HEAP + 8, (HEAP + 96) + 8);
    world.memory.write(HEAP + 32, (HEAP + 64) << 8);
    world.memory.write(HEAP + 96, HEAP + 128);
    world.memory.write(HEAP + 128, HEAP + 160 + 16);
    let all = OddPointers { mask: (1 << 48) - 1, unaligned: true, past_end: true, ..OddPointers::default() };
    let World { heap, memory, harvest } = &world;
    for (forms, interior) in [(all, false), (OddPointers::default(), true), (all, true)] {
        let interior = interior.then_some(Options::DEFAULT.interior_heuristics);
        let mut marks = Marks::new(heap, &Alone).unwrap();
        mark(heap, memory, harvest, &Alone, &mut marks).unwrap();
        if let Some(heuristics) = interior {
            doubt_interior(heap, memory, harvest, heuristics, &marks).unwrap();
        }
        forms.mark(heap, memory, harvest, &marks).unwrap();
        let paths = Paths::new(heap, memory, harvest, Doubts { forms, interior }).unwrap();
        for index in 0..6 {
            let hops = chain(&world, &paths, index);
            let is_weak = hops.iter().any(|hop| hop.strength == Strength::Weak);
            assert_eq!(!hops.is_empty() && !is_weak, marks.strong(heap.id(index)), "{index} {hops:?}");
            assert_eq!(is_weak, marks.weak(heap.id(index)), "{index} {hops:?}");
        }
    }
    let words = |index: usize| {
        let (hops, count) = referrers::find(heap, memory, harvest, all, heap.id(index), 9).unwrap();
        assert_eq!(count, hops.len());
        hops.iter().map(|hop| (hop.at.get(), hop.word, hop.strength)).collect::<Vec<_>>()
    };
    assert_eq!(words(1), [(HEAP, (HEAP + 32) | TAG, Strength::Weak)]);
    assert_eq!(words(2), [(HEAP + 33, HEAP + 64, Strength::Weak)]);
    assert_eq!(words(3), [(HEAP + 8, HEAP + 104, Strength::Strong)]);
    assert_eq!(words(5), [(HEAP + 128, HEAP + 176, Strength::Weak)]);
}

#[test]
fn the_root_of_a_place_is_a_strong_one_where_roots_overlap() {
    let mut harvest = Harvest::new(Resident::everything().unwrap());
    for (start, len, strength) in [
        (0x5000, 0x10, Strength::Strong),
        (0x1000, 0x9000, Strength::Weak),
        (0x2000, 0x1000, Strength::Weak),
        (0x2800, 0x100, Strength::Strong),
        (0x2800, 0x200, Strength::Strong),
        (0x20000, 0x10, Strength::Strong),
    ] {
        harvest.roots.push(made_up::root(start, len, strength)).unwrap();
    }
    let roots = super::roots::Roots::new(&harvest).unwrap();
    for at in (0xff8..0x20020).step_by(8).map(Addr::new) {
        let mut holding = harvest.roots.iter().filter(|root| root.range.contains(at));
        let first = holding.clone().next();
        let expected = holding.find(|root| root.strength == Strength::Strong).or(first);
        assert_eq!(roots.at(&harvest, at), expected, "{at:?}");
    }
}

/// Six chunks of two words, nothing held; all that can be read can be.
fn six() -> World {
    let mut heap = Heap::new(1);
    let mut memory = Memory::default();
    for i in 0..6 {
        memory.touch(heap.add(HEAP + i * 32, 16, Tag::Allocated).range());
    }
    World { heap, memory, harvest: Harvest::new(Resident::everything().unwrap()) }
}

#[test]
fn odd_forms_are_found_in_what_is_reached_and_what_they_reach_is_read_in_all_forms() {
    const TAG: usize = 0xa5 << 56;
    let mut world = six();
    world.harvest.words.push(made_up::root_word(HEAP, Strength::Strong)).unwrap();
    // With a tag, then one byte off, then past the end; the last is held by what is held by nothing.
    world.memory.write(HEAP, (HEAP + 32) | TAG);
    world.memory.write(HEAP + 32, (HEAP + 64) << 8);
    world.memory.write(HEAP + 64 + 8, HEAP + 96 + 16);
    world.memory.write(HEAP + 128, (HEAP + 160) | TAG);
    let all =
        OddPointers { mask: usize::MAX >> 8, unaligned: true, past_end: true, ..OddPointers::default() };
    // A processor that ignores the top byte itself takes the tag for none.
    let mut expected = [vec![0], vec![], vec![0], vec![1, 2, 3]];
    if crate::arch::untagged(TAG) == 0 {
        expected = [vec![0, 1], vec![], vec![0, 1], vec![2, 3]];
    }
    assert_eq!(odd(&world, all), expected);
    let cut = odd(&world, OddPointers { past_end: false, ..all });
    assert!(!cut[3].contains(&3) && cut[3].contains(&2));
    assert_eq!(odd(&world, OddPointers::default())[3], []);
}

/// Halves of words, in a chunk that ends in the middle of a word too, from an address and from wherever the heap lies.
#[test]
fn compressed_pointers_are_found_in_both_halves_of_words_and_at_the_end_of_a_chunk() {
    let mut world = six();
    world.heap.chunks[2].size = 12;
    world.harvest.words.push(made_up::root_word(HEAP, Strength::Strong)).unwrap();
    let number = |index: usize| (index * 32 + 64) >> 3;
    world.memory.write(HEAP, number(1) << 32);
    world.memory.write(HEAP + 32 + 8, number(2));
    // The half behind the end of that chunk is not its own.
    world.memory.write(HEAP + 64 + 8, number(3) | number(4) << 32);
    let odd_of =
        |base, shift| OddPointers { compressed: Some(Compressed { base, shift }), ..OddPointers::default() };
    assert_eq!(odd(&world, odd_of(Base::At(HEAP - 64), 3)), [vec![0], vec![], vec![0], vec![1, 2, 3]]);
    assert_eq!(odd(&world, odd_of(Base::At(HEAP - 64), 5))[3], []);
    // 0 stands for no pointer, not for what lies at the base.
    assert_eq!(odd(&world, odd_of(Base::At(HEAP + 128), 3))[3], []);

    let mut world = six();
    world.harvest.words.push(made_up::root_word(HEAP, Strength::Strong)).unwrap();
    world.memory.write(HEAP, (HEAP + 32) & 0xffff_ffff);
    world.memory.write(HEAP + 32, ((HEAP + 160) & 0xffff_ffff) << 32);
    let low = |of: OddPointers| odd(&world, of)[3].clone();
    // What is small enough is an address itself, here and there.
    assert!(low(odd_of(Base::Heap, 0)).contains(&5));
    world.memory.write(HEAP, ((HEAP + 64) & 0x7_ffff_ffff) >> 3);
    assert!(odd(&world, odd_of(Base::Heap, 3))[3].contains(&2));
}

/// What a stack for signals or storage that is not to be looked at holds, in whatever form, is not held.
#[test]
fn chunks_that_are_kept_unread_are_not_read_for_odd_forms_either() {
    let mut world = six();
    world.memory.write(HEAP, HEAP + 32 + 16);
    world.memory.write(HEAP + 64, HEAP + 96 + 16);
    world.harvest.kept.push(HEAP).unwrap();
    world.harvest.words.push(made_up::root_word(HEAP, Strength::Strong)).unwrap();
    world.harvest.words.push(made_up::root_word(HEAP + 64, Strength::Strong)).unwrap();
    let past_end = OddPointers { past_end: true, ..OddPointers::default() };
    assert_eq!(odd(&world, past_end), [vec![0, 2], vec![], vec![0, 2], vec![3]]);
}

/// Mappings that nothing points into are read only where they count as weak roots; those that an odd form leads to are.
#[test]
fn odd_forms_are_looked_for_in_mappings_that_are_reached() {
    let mut world = six();
    world.harvest.nodes.push(made_up::node(MAPPINGS, 0x1000, 0)).unwrap();
    world.harvest.nodes.push(made_up::node(MAPPINGS + 0x9000, 0x1000, 1)).unwrap();
    world.harvest.runs = 2;
    world.memory.write(MAPPINGS, HEAP + 32 + 16);
    world.memory.write(MAPPINGS + 0x9000, HEAP + 96 + 16);
    world.harvest.words.push(made_up::root_word(MAPPINGS, Strength::Strong)).unwrap();
    let past_end = OddPointers { past_end: true, ..OddPointers::default() };
    assert_eq!(odd(&world, past_end)[3], [1, 3]);
    world.harvest.weak_nodes = false;
    assert_eq!(odd(&world, past_end)[3], [1]);
    // A word that leads into the second at an odd address.
    world.memory.touch(crate::base::AddrRange::sized(Addr::new(GLOBALS), 16));
    world.harvest.roots.push(made_up::root(GLOBALS, 16, Strength::Strong)).unwrap();
    world.memory.write(GLOBALS, (MAPPINGS + 0x9000) << 8);
    assert_eq!(odd(&world, OddPointers { unaligned: true, ..past_end })[3], [1, 3]);
}
