//! A made-up heap from the fuzzer's bytes: one task and several mark what the oracle marks, and what cannot be read is told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

// The made-up world is a part of the runtime's own tests and names its modules.
pub use standstill_runtime::{arch, base, harvest, heap, mem, trace};

#[path = "../../runtime/src/scan/made_up.rs"]
#[allow(dead_code)]
mod made_up;

use standstill_runtime::base::{Alone, WorkerDied, Workers};
use standstill_runtime::scan::{Marks, mark};

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

fuzz_target!(|bytes: &[u8]| {
    let rng = TestRng::from_seed(RngAlgorithm::PassThrough, bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let Ok(tree) = made_up::recipes::recipe().new_tree(&mut runner) else { return };
    let world = made_up::build(&tree.current());
    let (strong, weak) = made_up::oracle(&world.heap, &world.memory, &world.harvest);
    let check = |marks: &Marks| {
        for index in 0..world.heap.chunks.len() {
            let id = world.heap.id(index);
            assert_eq!(marks.strong(id), strong.contains(&index), "strong, chunk {index}");
            assert_eq!(marks.weak(id), weak.contains(&index), "weak, chunk {index}");
        }
    };
    let mut marks = Marks::new(&world.heap, &Alone).unwrap();
    mark(&world.heap, &world.memory, &world.harvest, &Alone, &mut marks).unwrap();
    check(&marks);
    let mut marks = Marks::new(&world.heap, &Alone).unwrap();
    mark(&world.heap, &world.memory, &world.harvest, &Threads(3), &mut marks).unwrap();
    check(&marks);
});
