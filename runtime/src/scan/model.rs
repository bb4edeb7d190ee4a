//! A model of the work sharing for loom: `RUSTFLAGS="--cfg loom" cargo test -p standstill-runtime --lib loom_`.
//!
//! The file under test is compiled a second time here, over loom's atomics.

mod atomics {
    pub(super) use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
}

#[path = "sharing.rs"]
mod sharing;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

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
