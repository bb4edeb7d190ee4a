//! The marker against the naive answer, and by example.
//!
//! `PROPTEST_CASES=100000 cargo test -p standstill-runtime --lib scan::` takes some minutes; fuzz/README.md goes further.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Alone, WorkerDied, Workers};
use crate::harvest::{Harvest, Resident, Strength};
use crate::heap::{ChunkId, Tag};

use super::made_up::{self, GLOBALS, HEAP, Heap, MAPPINGS, Memory, World};
use super::mark::{Bounds, mark_with};
use super::words::aligned;
use super::{CouldNotMark, Marks, mark};

fn indices(world: &World, marks: &Marks) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let all = |pick: &dyn Fn(ChunkId) -> bool| {
        (0..world.heap.chunks.len()).filter(|index| pick(world.heap.id(*index))).collect()
    };
    (all(&|id| marks.strong(id)), all(&|id| marks.weak(id)))
}

fn bounds(frontier: usize, patience: usize) -> Bounds {
    Bounds { frontier, patience }
}

/// From a probe at every step to none.
fn patience() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1usize), 1usize..6, Just(usize::MAX)]
}

/// Threads of the test.
struct Threads(usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, work: &(dyn Fn(usize) + Sync)) -> Result<(), WorkerDied> {
        std::thread::scope(|scope| {
            for task in 1..self.0 {
                scope.spawn(move || work(task));
            }
            work(0);
        });
        Ok(())
    }

    fn rest(&self) -> Result<(), WorkerDied> {
        std::thread::yield_now();
        Ok(())
    }
}

proptest! {

    #[test]
    fn several_tasks_mark_what_one_marks(
        recipe in made_up::recipes::recipe(),
        limit in prop_oneof![Just(1usize), 1usize..8, Just(1000)],
        tasks in 2usize..5,
        patience in patience(),
    ) {
        let world = made_up::build(&recipe);
        let mut marks = Marks::new(&world.heap, &Alone).unwrap();
        mark_with(&world.heap, &world.memory, &world.harvest, &Threads(tasks), &mut marks, bounds(limit, patience)).unwrap();
        prop_assert_eq!(indices(&world, &marks), made_up::oracle(&world.heap, &world.memory, &world.harvest));
    }

    #[test]
    fn marks_what_the_naive_flood_marks(
        recipe in made_up::recipes::recipe(),
        limit in prop_oneof![Just(1usize), 1usize..8, Just(1000)],
        patience in patience(),
    ) {
        let world = made_up::build(&recipe);
        let mut marks = Marks::new(&world.heap, &Alone).unwrap();
        mark_with(&world.heap, &world.memory, &world.harvest, &Alone, &mut marks, bounds(limit, patience)).unwrap();
        prop_assert_eq!(indices(&world, &marks), made_up::oracle(&world.heap, &world.memory, &world.harvest));
    }
}

/// Threads of which one is taken to be dead from the given rest on.
struct OneDies {
    threads: usize,
    rests: AtomicUsize,
    at: usize,
}

impl Workers for OneDies {
    fn count(&self) -> usize {
        self.threads
    }

    fn run(&self, work: &(dyn Fn(usize) + Sync)) -> Result<(), WorkerDied> {
        Threads(self.threads).run(work)
    }

    /// Only one of them is told.
    fn rest(&self) -> Result<(), WorkerDied> {
        std::thread::yield_now();
        if self.rests.fetch_add(1, Relaxed) == self.at { Err(WorkerDied) } else { Ok(()) }
    }
}

/// Whenever a death is noticed, and by whomever, all go home and there is no result; else the marks are what they should be.
#[test]
fn a_death_that_one_task_notices_ends_the_work_of_all() {
    let mut w = world(8000);
    let array = HEAP + 8000 * 64;
    w.heap.add(array, 4000 * 8, Tag::Allocated);
    for i in 0..4000 {
        w.memory.write(array + i * 8, HEAP + (3999 - i) * 64);
        w.memory.write(HEAP + i * 64 + 40, HEAP + (4000 + i) * 64);
    }
    w.harvest.words.push(made_up::root_word(array, Strength::Strong)).unwrap();
    w.harvest.words.push(made_up::root_word(HEAP, Strength::Weak)).unwrap();
    for (threads, limit) in [(2, 1), (3, 1), (4, 1000)] {
        for at in [0, 1, 2, 3, 5, 10, 30, usize::MAX] {
            let workers = OneDies { threads, rests: AtomicUsize::new(0), at };
            let mut marks = Marks::new(&w.heap, &Alone).unwrap();
            let bounds = bounds(limit, usize::MAX);
            let result = mark_with(&w.heap, &w.memory, &w.harvest, &workers, &mut marks, bounds);
            // A task may be so fast that the others never come to rest.
            if workers.rests.into_inner() > at {
                assert_eq!(result, Err(CouldNotMark::WorkerDied));
            } else {
                assert_eq!(result, Ok(()));
                assert_eq!(indices(&w, &marks).0.len(), 8001);
            }
        }
    }
}

/// A world of `count` chunks of 48 bytes, all memory readable, nothing pointing anywhere.
fn world(count: usize) -> World {
    let mut heap = Heap::new(1);
    let mut memory = Memory::default();
    for i in 0..count {
        let chunk = heap.add(HEAP + i * 64, 48, Tag::Allocated);
        memory.touch(chunk.range());
    }
    World { heap, memory, harvest: Harvest::new(Resident::everything().unwrap()) }
}

fn marked(world: &World) -> (Vec<usize>, Vec<usize>) {
    let mut marks = Marks::new(&world.heap, &Alone).unwrap();
    mark(&world.heap, &world.memory, &world.harvest, &Alone, &mut marks).unwrap();
    let (strong, weak) = indices(world, &marks);
    (strong.into_iter().collect(), weak.into_iter().collect())
}

#[test]
fn an_interior_pointer_counts_and_one_past_the_end_does_not() {
    let mut w = world(3);
    w.harvest.words.push(made_up::root_word(HEAP + 47, Strength::Strong)).unwrap();
    w.harvest.words.push(made_up::root_word(HEAP + 64 + 48, Strength::Strong)).unwrap();
    assert_eq!(marked(&w), (vec![0], vec![]));
}

#[test]
fn an_empty_array_with_its_cookie_is_held_by_the_address_behind_it() {
    let mut w = world(0);
    w.heap.add(HEAP, 8, Tag::Allocated);
    w.heap.add(HEAP + 32, 8, Tag::Allocated);
    w.memory.write(HEAP, 0);
    w.memory.write(HEAP + 32, 3);
    w.harvest.words.push(made_up::root_word(HEAP + 8, Strength::Strong)).unwrap();
    w.harvest.words.push(made_up::root_word(HEAP + 40, Strength::Strong)).unwrap();
    assert_eq!(marked(&w), (vec![0], vec![]));
}

#[test]
fn a_pointer_to_itself_keeps_nothing() {
    let mut w = world(1);
    w.memory.write(HEAP, HEAP);
    assert_eq!(marked(&w), (vec![], vec![]));
}

#[test]
fn what_a_weak_root_holds_is_weak_unless_a_strong_one_holds_it_too() {
    let mut w = world(3);
    w.memory.write(HEAP, HEAP + 64);
    w.memory.write(HEAP + 64, HEAP + 128);
    w.harvest.words.push(made_up::root_word(HEAP, Strength::Weak)).unwrap();
    w.harvest.words.push(made_up::root_word(HEAP + 128, Strength::Strong)).unwrap();
    assert_eq!(marked(&w), (vec![2], vec![0, 1]));
}

#[test]
fn a_pointer_into_one_piece_of_a_run_reaches_its_other_pieces() {
    let mut w = world(2);
    w.harvest.nodes.push(made_up::node(MAPPINGS, 0x1000, 0)).unwrap();
    w.harvest.nodes.push(made_up::node(MAPPINGS + 0x3000, 0x1000, 0)).unwrap();
    w.harvest.nodes.push(made_up::node(MAPPINGS + 0x9000, 0x1000, 1)).unwrap();
    w.harvest.runs = 2;
    w.memory.write(MAPPINGS + 0x3008, HEAP);
    w.memory.write(MAPPINGS + 0x9ff8, HEAP + 64);
    assert_eq!(marked(&w), (vec![], vec![0, 1]));
    w.harvest.words.push(made_up::root_word(MAPPINGS + 0xfff, Strength::Strong)).unwrap();
    assert_eq!(marked(&w), (vec![0], vec![1]));
    w.harvest.weak_nodes = false;
    assert_eq!(marked(&w), (vec![0], vec![]));
}

#[test]
fn an_array_wider_than_the_frontier_loses_nothing() {
    // One array of 4000 pointers, in memory order reversed, each chunk pointing on to one more.
    let mut w = world(8000);
    let array = HEAP + 8000 * 64;
    w.heap.add(array, 4000 * 8, Tag::Allocated);
    for i in 0..4000 {
        w.memory.write(array + i * 8, HEAP + (3999 - i) * 64);
        w.memory.write(HEAP + i * 64 + 40, HEAP + (4000 + i) * 64);
    }
    w.harvest.roots.push(made_up::root(GLOBALS, 8, Strength::Strong)).unwrap();
    w.memory.write(GLOBALS, array);
    for limit in [1, 2, 64, 100_000] {
        let mut marks = Marks::new(&w.heap, &Alone).unwrap();
        mark_with(&w.heap, &w.memory, &w.harvest, &Alone, &mut marks, bounds(limit, usize::MAX)).unwrap();
        assert_eq!(indices(&w, &marks).0.len(), 8001);
        assert_eq!(marks.statistics.overflows > 0, limit < 100, "limit {limit}");
        assert_eq!(marks.statistics.bytes, 8000 * 48 + 4000 * 8 + 8);
    }
}

#[test]
fn the_statistics_count_what_was_read() {
    let mut w = world(1);
    w.memory.touch(AddrRange::sized(Addr::new(GLOBALS), 0x3000));
    w.memory.guard(GLOBALS + 0x1000);
    w.harvest.roots.push(made_up::root(GLOBALS, 0x3000, Strength::Strong)).unwrap();
    w.memory.write(GLOBALS + 0x2000, HEAP);
    let mut marks = Marks::new(&w.heap, &Alone).unwrap();
    mark(&w.heap, &w.memory, &w.harvest, &Alone, &mut marks).unwrap();
    assert_eq!((marks.statistics.bytes, marks.statistics.unreadable), (0x2000 + 48, 0x1000));
}

/// A pointer may keep something in its top byte where the processor ignores it, and nowhere else: in a register, in a
/// chunk.
#[test]
fn tags_are_ignored_as_the_processor_does() {
    let tagged = HEAP | 0x5a << 56;
    let is_reached = |word: usize| {
        let mut w = world(2);
        w.memory.write(HEAP + 64, word);
        w.harvest.words.push(made_up::root_word(HEAP + 64, Strength::Strong)).unwrap();
        let by_chunk = marked(&w).0.contains(&0);
        let mut w = world(1);
        w.harvest.words.push(made_up::root_word(word, Strength::Strong)).unwrap();
        assert_eq!(marked(&w).0.contains(&0), by_chunk);
        by_chunk
    };
    assert!(is_reached(HEAP) && !is_reached(HEAP | 1 << 55));
    assert_eq!(is_reached(tagged), crate::arch::untagged(tagged) == HEAP);
}

proptest! {
    /// Any page of what is reachable may be one that cannot be read: what is marked is what the rest reaches, and the loss
    /// is told.
    #[test]
    fn a_page_that_cannot_be_read_is_told(recipe in made_up::recipes::recipe(), page in any::<usize>(), tasks in 1usize..3, patience in patience()) {
        let recipe = made_up::Recipe { guards: Vec::new(), absent: Vec::new(), nodes: Vec::new(), ..recipe };
        let mut world = made_up::build(&recipe);
        let pages: BTreeSet<usize> = world.memory.pages().collect();
        let page = *pages.iter().nth(page % pages.len()).unwrap();
        world.memory.guard(page);
        let mut marks = Marks::new(&world.heap, &Alone).unwrap();
        mark_with(&world.heap, &world.memory, &world.harvest, &Threads(tasks), &mut marks, bounds(1000, patience)).unwrap();
        let (strong, weak) = made_up::oracle(&world.heap, &world.memory, &world.harvest);
        let reached = strong.union(&weak).map(|index| world.heap.chunks[*index].range());
        let roots = world.harvest.roots.iter().map(|root| root.range);
        let on_page = AddrRange::sized(Addr::new(page), page_size());
        let lost = reached.chain(roots).any(|range| !aligned(range).intersect(on_page).is_empty());
        prop_assert_eq!(marks.statistics.unreadable > 0, lost);
        prop_assert_eq!(indices(&world, &marks), (strong, weak));
    }
}

/// Lists, single and double, of chunks in random order, some of them lost: what a probe takes for granted is what the naive
/// answer says.
#[test]
fn lists_that_are_probed_are_marked_to_their_ends() {
    const NODES: usize = 30_000;
    for (double, contents) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut w = world(NODES);
        // A permutation: 12289 and NODES have no common divisor.
        let at = |i: usize| HEAP + i * 12_289 % NODES * 64;
        let step = if contents { 2 } else { 1 };
        // Three lists one after the other; nothing holds the second.
        for list in 0..3 {
            let nodes: Vec<usize> = (list * NODES / 3..(list + 1) * NODES / 3).step_by(step).collect();
            for (i, node) in nodes.iter().enumerate() {
                if let Some(next) = nodes.get(i + 1) {
                    w.memory.write(at(*node) + 8, at(*next) + 16);
                    if double {
                        w.memory.write(at(*next), at(*node));
                    }
                }
                if contents {
                    w.memory.write(at(*node) + 32, at(*node + 1));
                }
            }
            if list != 1 {
                w.harvest.words.push(made_up::root_word(at(nodes[0]), Strength::Strong)).unwrap();
            }
        }
        for tasks in [1, 2] {
            for patience in [50, usize::MAX] {
                let mut marks = Marks::new(&w.heap, &Alone).unwrap();
                let bounds = bounds(1000, patience);
                mark_with(&w.heap, &w.memory, &w.harvest, &Threads(tasks), &mut marks, bounds).unwrap();
                let is_lost = |i: usize| (NODES / 3..2 * NODES / 3).any(|node| at(node) == HEAP + i * 64);
                assert_eq!(indices(&w, &marks).0.len(), 2 * NODES / 3);
                assert!((0..NODES).step_by(97).all(|i| marks.strong(w.heap.id(i)) != is_lost(i)));
            }
        }
    }
}
