//! Models of the work sharing and of the overflow for loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p standstill-runtime --lib loom_`.
//!
//! The files under test are compiled a second time here, over loom's atomics.

mod atomics {
    pub(super) use loom::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

    pub(super) struct Counts(Vec<AtomicU64>);

    impl Counts {
        pub(super) fn zeroed(len: usize) -> Result<Counts, crate::base::Errno> {
            Ok(Counts((0..len).map(|_| AtomicU64::new(0)).collect()))
        }
    }

    impl core::ops::Deref for Counts {
        type Target = [AtomicU64];

        fn deref(&self) -> &[AtomicU64] {
            &self.0
        }
    }
}

#[path = "overflow.rs"]
mod overflow;
#[path = "sharing.rs"]
mod sharing;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use loom::thread;

use overflow::Overflow;
use sharing::{BATCH, Sharing};

/// Works off pieces, of which piece `n > 0` has one child, `n - 1`; counts them all.
/// Gives what it has as soon as that is wanted.
fn work(sharing: &Sharing, mut mine: Vec<usize>, worked: &AtomicUsize) {
    loop {
        while let Some(piece) = mine.pop() {
            worked.fetch_add(1, Relaxed);
            if piece > 0 {
                mine.push(piece - 1);
            }
            if sharing.is_wanted() {
                sharing.give(|| mine.pop().map(|piece| [piece, 1]));
            }
        }
        let found = sharing.wait(
            |[piece, one]| {
                assert_eq!(one, 1, "a piece that was never given");
                mine.push(piece);
            },
            || false,
            || {
                thread::yield_now();
                true
            },
        );
        if !found {
            return;
        }
    }
}

fn check(pieces: Vec<usize>, tasks: usize) {
    let mut builder = loom::model::Builder::new();
    // Three preemptions find every ordering bug that was planted; without a bound it takes hours.
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let sharing = Arc::new(Sharing::new());
        let worked = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (1..tasks)
            .map(|_| {
                let (sharing, worked) = (sharing.clone(), worked.clone());
                thread::spawn(move || {
                    if sharing.join() {
                        work(&sharing, Vec::new(), &worked);
                    }
                })
            })
            .collect();
        let expected: usize = pieces.iter().map(|piece| piece + 1).sum();
        work(&sharing, pieces.clone(), &worked);
        for other in others {
            other.join().unwrap();
        }
        // Nobody leaves before all is worked off, nothing is worked off twice.
        assert_eq!(worked.load(Relaxed), expected);
        assert!(!sharing.join());
    });
}

#[test]
fn loom_all_work_is_done_once_before_the_last_task_leaves() {
    check(vec![0; BATCH + 1], 2);
}

#[test]
fn loom_work_that_makes_work_goes_back_and_forth() {
    check(vec![1], 2);
}

/// Each of two tasks marks and notes chunks of the same word, and takes what there is until nothing waits.
#[test]
fn loom_each_noted_chunk_is_taken_once_before_its_task_leaves() {
    const STRONG: u64 = 0x80;
    const EACH: usize = 2;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let overflow = Arc::new(Overflow::new(2).unwrap());
        let states = Arc::new([AtomicU64::new(0)]);
        let taken: Arc<[AtomicUsize; 2 * EACH]> = Arc::new(core::array::from_fn(|_| AtomicUsize::new(0)));
        let work = |own: usize| {
            let (overflow, states, taken) = (overflow.clone(), states.clone(), taken.clone());
            move || {
                for index in own * EACH..(own + 1) * EACH {
                    states[0].fetch_or(STRONG << (index * 8), Relaxed);
                    overflow.note(own, &*states, index);
                }
                let mut cursor = overflow.place(own, states.len());
                loop {
                    let each = |index: usize| {
                        taken[index].fetch_add(1, Relaxed);
                    };
                    let found =
                        overflow.take(own, &*states, STRONG * 0x0101_0101_0101_0101, &mut cursor, each);
                    if !found && !overflow.is_waiting() {
                        break;
                    }
                    thread::yield_now();
                }
            }
        };
        let other = thread::spawn(work(1));
        work(0)();
        other.join().unwrap();
        assert!(!overflow.is_waiting() && overflow.total() == 2 * EACH);
        assert!(taken.iter().all(|count| count.load(Relaxed) == 1));
        // Each keeps the mark that it had.
        assert_eq!(states[0].load(Relaxed), 0x8080_8080);
    });
}
