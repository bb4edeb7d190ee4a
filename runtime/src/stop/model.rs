//! A model of exec beside stops for loom: `RUSTFLAGS="--cfg loom" cargo test -p standstill-runtime --lib loom_`.
//!
//! The file under test is compiled a second time here, over loom's atomics.

mod atomics {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

#[path = "precedence.rs"]
mod precedence;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use loom::thread;

use precedence::{begin_stop, end_stop, who_stops};

#[derive(Default)]
struct Shared {
    stopping: AtomicU64,
    /// As the places of threads that are about to exec.
    execs: [AtomicBool; 2],
    /// Inside execve.
    inside: [AtomicBool; 2],
}

impl Shared {
    /// Execs, or gives up when a stop goes on: that waiting is the caller's part, and a loop here would only cost time.
    fn exec(&self, number: usize) {
        self.execs[number].store(true, SeqCst);
        if who_stops(&self.stopping) == 0 {
            self.inside[number].store(true, SeqCst);
            self.inside[number].store(false, SeqCst);
        }
        self.execs[number].store(false, SeqCst);
    }

    /// Stops, or gives way.
    fn stop(&self) {
        if begin_stop(&self.stopping, 7, || self.execs.iter().any(|word| word.load(SeqCst))) {
            assert!(!self.inside.iter().any(|word| word.load(SeqCst)), "a thread is stopped inside execve");
            end_stop(&self.stopping);
        }
    }
}

/// Threads exec, and fail to, beside as many stops one after the other.
fn check(execs: usize, stops: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    builder.check(move || {
        let shared = Arc::new(Shared::default());
        let threads: Vec<_> = (0..execs)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || shared.exec(number))
            })
            .collect();
        (0..stops).for_each(|_| shared.stop());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_an_exec_beside_two_stops() {
    check(1, 2);
}

#[test]
fn loom_two_execs_beside_a_stop() {
    check(2, 1);
}
