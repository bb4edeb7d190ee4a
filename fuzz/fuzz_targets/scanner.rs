//! A made-up heap from the fuzzer's bytes: one task and several mark what the oracle marks, and what cannot be read is told.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

// The made-up world is a part of the runtime's own tests and names its modules.
pub use standstill_runtime::{arch, base, harvest, heap, mem, trace};

#[path = "../../runtime/src/scan/made_up.rs"]
#[allow(dead_code)]
mod made_up;

use standstill_runtime::base::{Alone, WorkerDied, Workers};
use standstill_runtime::scan::{Bounds, Marks, mark_with};

struct Threads(usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, work: &(dyn Fn(usize) + Sync)) -> std::result::Result<(), WorkerDied> {
        std::thread::scope(|scope| {
            for task in 1..self.0 {
                scope.spawn(move || work(task));
            }
            work(0);
        });
        Ok(())
    }

    fn rest(&self) -> std::result::Result<(), WorkerDied> {
        std::thread::yield_now();
        Ok(())
    }
}

/// A heap of the shapes that the property tests use. Where there are no bytes left, all further numbers are zero.
#[derive(Debug)]
struct Input {
    recipe: made_up::Recipe,
    bounds: Bounds,
}

/// Up to `most` values.
fn several<'a, T>(
    bytes: &mut Unstructured<'a>,
    most: usize,
    mut one: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = bytes.int_in_range(0..=most)?;
    (0..count).map(|_| one(bytes)).collect()
}

fn any(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(usize::from(bytes.arbitrary::<u16>()?))
}

/// Words, empty chunks, and a few of many pages.
fn size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match bytes.int_in_range(0..=5)? {
        0 => 8,
        1 => bytes.int_in_range(0..=32)?,
        2 | 3 => bytes.int_in_range(8..=200)?,
        4 => 4096,
        _ => bytes.int_in_range(4000..=20_000)?,
    })
}

fn optional(bytes: &mut Unstructured<'_>, most: usize) -> Result<usize> {
    if bytes.arbitrary()? { bytes.int_in_range(0..=most) } else { Ok(0) }
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Input> {
        let mut chunks = several(bytes, 60, |bytes| Ok((size(bytes)?, bytes.ratio(1, 20)?)))?;
        if chunks.is_empty() {
            chunks.push((8, false));
        }
        let recipe = made_up::Recipe {
            chunks,
            edges: several(bytes, 120, |b| Ok((any(b)?, any(b)?, any(b)?, optional(b, 4200)?)))?,
            roots: several(bytes, 8, |b| Ok((any(b)?, optional(b, 300)?, b.arbitrary()?, b.arbitrary()?)))?,
            nodes: several(bytes, 5, |b| Ok((b.int_in_range(1..=3)?, b.arbitrary()?)))?,
            node_edges: several(bytes, 12, |b| Ok((any(b)?, any(b)?, any(b)?)))?,
            to_nodes: several(bytes, 5, |b| {
                let (to, offset) = (any(b)?, any(b)?);
                let from = if b.arbitrary()? { Some((any(b)?, any(b)?)) } else { None };
                Ok((to, offset, from))
            })?,
            guards: several(bytes, 3, any)?,
            absent: several(bytes, 3, any)?,
            weak_nodes: bytes.arbitrary()?,
            stride: bytes.int_in_range(1..=3)?,
        };
        // A frontier that is mostly too small, and probes from one at every step to none.
        let frontier = bytes.int_in_range(1..=40)?;
        let patience = match bytes.int_in_range(0..=6)? {
            0 => usize::MAX,
            steps => steps,
        };
        Ok(Input { recipe, bounds: Bounds { frontier, patience } })
    }
}

fuzz_target!(|input: Input| {
    let world = made_up::build(&input.recipe);
    let (strong, weak) = made_up::oracle(&world.heap, &world.memory, &world.harvest);
    let check = |marks: &Marks| {
        for index in 0..world.heap.chunks.len() {
            let id = world.heap.id(index);
            assert_eq!(marks.strong(id), strong.contains(&index), "strong, chunk {index}");
            assert_eq!(marks.weak(id), weak.contains(&index), "weak, chunk {index}");
        }
    };
    let mut marks = Marks::new(&world.heap, &Alone).unwrap();
    mark_with(&world.heap, &world.memory, &world.harvest, &Alone, &mut marks, input.bounds).unwrap();
    check(&marks);
    let mut marks = Marks::new(&world.heap, &Alone).unwrap();
    mark_with(&world.heap, &world.memory, &world.harvest, &Threads(3), &mut marks, input.bounds).unwrap();
    check(&marks);
});
