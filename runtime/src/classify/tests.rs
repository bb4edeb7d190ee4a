//! Classes against a naive oracle, and by example.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::base::Alone;
use crate::harvest::{Harvest, Resident, Strength};
use crate::heap::Tag;
use crate::scan::made_up::{self, HEAP, Heap, Memory, World};
use crate::scan::{Marks, mark};

use super::{Kind, Leak, classify};

fn leaks(world: &World) -> Vec<Leak> {
    let mut marks = Marks::new(&world.heap, &Alone).unwrap();
    mark(&world.heap, &world.memory, &world.harvest, &Alone, &mut marks).unwrap();
    classify(&world.heap, &world.memory, &world.harvest.resident, &marks).unwrap().to_vec()
}

/// Who points to whom among `of`, the slow way.
fn edges(world: &World, of: &BTreeSet<usize>) -> BTreeMap<usize, BTreeSet<usize>> {
    of.iter()
        .map(|&from| {
            let range = world.heap.chunks[from].range();
            let resident = &world.harvest.resident;
            let words = made_up::words(&world.memory, resident, range)
                .into_iter()
                .filter_map(|word| made_up::points_to(&world.heap, &world.memory, word))
                .filter(|to| *to != from && of.contains(to))
                .collect();
            (from, words)
        })
        .collect()
}

fn reach(edges: &BTreeMap<usize, BTreeSet<usize>>, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([from]);
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        todo.extend(edges[&at].iter().filter(|to| reached.insert(**to)));
    }
    reached
}

proptest! {

    #[test]
    fn heads_are_what_the_definition_says(recipe in made_up::recipes::recipe()) {
        let world = made_up::build(&recipe);
        let (strong, weak) = made_up::oracle(&world.heap, &world.memory, &world.harvest);
        let lost: BTreeSet<usize> = (0..world.heap.chunks.len())
            .filter(|index| !strong.contains(index) && !weak.contains(index))
            .collect();
        let edges = edges(&world, &lost);
        let reach: BTreeMap<usize, BTreeSet<usize>> =
            lost.iter().map(|from| (*from, reach(&edges, *from))).collect();
        // A head: all that reach it are reached by it, and it is the lowest of them.
        let heads: BTreeSet<usize> = lost
            .iter()
            .copied()
            .filter(|v| lost.iter().all(|u| !reach[u].contains(v) || (reach[v].contains(u) && v <= u)))
            .collect();
        let found = leaks(&world);
        let index = |leak: &Leak| leak.id.index() / world.heap.stride;
        let of = |kind: Kind| -> Vec<usize> { found.iter().filter(|l| l.kind == kind).map(index).collect() };
        prop_assert_eq!(of(Kind::Direct), heads.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(of(Kind::Indirect), lost.difference(&heads).copied().collect::<Vec<_>>());
        prop_assert_eq!(of(Kind::Possible), weak.iter().copied().collect::<Vec<_>>());
        // By call stack, and then by address: a chunk belongs to the first that reaches it, and is retained where all are of
        // one stack.
        let stack = |v: &usize| world.heap.chunks[*v].stack.0;
        let mut order: Vec<usize> = heads.iter().copied().collect();
        order.sort_by_key(|v| (stack(v), *v));
        let mut retained: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for v in &lost {
            let holders: Vec<usize> = order.iter().copied().filter(|head| reach[head].contains(v)).collect();
            let member = found.iter().find(|leak| index(leak) == *v).unwrap();
            prop_assert_eq!(member.head, world.heap.id(holders[0]));
            if holders.iter().all(|head| stack(head) == stack(&holders[0])) {
                let sum = retained.entry(holders[0]).or_default();
                *sum = (sum.0 + 1, sum.1 + world.heap.chunks[*v].size);
            }
        }
        for leak in found.iter().filter(|leak| leak.kind == Kind::Direct) {
            prop_assert_eq!((leak.retained_objects, leak.retained_bytes), retained[&index(leak)]);
        }
    }
}

/// Chunks of 16 bytes, 32 apart; edges go from word `from.1` of one to the base of another.
fn world(count: usize, edges: &[((usize, usize), usize)]) -> World {
    let mut heap = Heap::new(1);
    let mut memory = Memory::default();
    for i in 0..count {
        memory.touch(heap.add(HEAP + i * 32, 16, Tag::Allocated).range());
    }
    for ((from, word), to) in edges {
        memory.write(HEAP + from * 32 + word * 8, HEAP + to * 32);
    }
    World { heap, memory, harvest: Harvest::new(Resident::everything().unwrap()) }
}

fn summary(world: &World) -> Vec<(usize, Kind, usize)> {
    leaks(world).iter().map(|leak| (leak.id.index(), leak.kind, leak.retained_objects)).collect()
}

#[test]
fn a_list_a_ring_and_a_chunk_that_points_to_itself_have_one_head_each() {
    use Kind::{Direct, Indirect};
    let edges = [((2, 0), 1), ((1, 0), 0), ((3, 0), 4), ((4, 0), 5), ((5, 1), 3), ((6, 0), 6)];
    assert_eq!(
        summary(&world(7, &edges)),
        [
            (0, Indirect, 1),
            (1, Indirect, 1),
            (2, Direct, 3),
            (3, Direct, 3),
            (4, Indirect, 1),
            (5, Indirect, 1),
            (6, Direct, 1)
        ]
    );
}

#[test]
fn what_heads_of_several_call_stacks_hold_is_retained_by_none() {
    use Kind::{Direct, Indirect};
    // 3 is held by 0, 1 and 2; 4 by 0 and 1; 5 by 2 alone.
    let edges = [((0, 0), 3), ((1, 0), 3), ((2, 0), 3), ((0, 1), 4), ((1, 1), 4), ((2, 1), 5)];
    let mut w = world(6, &edges);
    for (index, stack) in [(0, 7), (1, 7), (2, 4)] {
        w.heap.chunks[index].stack = crate::trace::StackId(stack);
    }
    let kinds = [
        (0, Direct, 2),
        (1, Direct, 1),
        (2, Direct, 2),
        (3, Indirect, 1),
        (4, Indirect, 1),
        (5, Indirect, 1),
    ];
    assert_eq!(summary(&w), kinds);
    w.heap.chunks[2].stack = crate::trace::StackId(7);
    assert_eq!(summary(&w).iter().map(|(.., retained)| retained).sum::<usize>(), 3 + 3 + 3);
}

#[test]
fn ignored_chunks_are_no_leak_and_keep_what_they_point_to() {
    let mut w = world(2, &[((0, 0), 1)]);
    w.heap.chunks[0].tag = Tag::Ignored;
    assert_eq!(summary(&w), []);
}

#[test]
fn a_live_chunk_that_points_to_none_and_a_lost_one_that_points_to_live_ones() {
    let mut w = world(3, &[((1, 0), 0)]);
    w.harvest.words.push(made_up::root_word(HEAP, Strength::Strong)).unwrap();
    w.harvest.words.push(made_up::root_word(HEAP + 64, Strength::Weak)).unwrap();
    assert_eq!(summary(&w), [(1, Kind::Direct, 1), (2, Kind::Possible, 1)]);
}

#[test]
fn a_lost_list_of_many_is_one_finding() {
    const MANY: usize = 200_000;
    let edges: Vec<_> = (1..MANY).map(|i| ((i, 0), i - 1)).collect();
    let found = leaks(&world(MANY, &edges));
    assert_eq!(found.iter().filter(|leak| leak.kind == Kind::Direct).count(), 1);
    assert_eq!(found[MANY - 1].retained_objects, MANY);
}
