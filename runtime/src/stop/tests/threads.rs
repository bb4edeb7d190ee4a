//! Numbers and habits of threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use super::super::{Backend, Options, StopKind};
use super::child::{Crowd, in_child, records, stop};
use crate::sys::process;

#[test]
fn a_single_task_needs_no_stop() {
    in_child(10, || {
        let (notes, records) = records(&Options::DEFAULT);
        assert_eq!((notes.backend, notes.threads), (Backend::Alone, 1));
        assert_eq!(records[0].tid, process::tid());
        assert_eq!(records[0].thread_pointer().get(), crate::arch::thread_pointer());
    });
}

fn all_are_recorded(count: usize, turn: impl Fn(usize) + Clone + Send + 'static) {
    in_child(60, move || {
        let crowd = Crowd::start(count, turn);
        for _ in 0..3 {
            let (notes, records) = records(&Options::DEFAULT);
            assert!(notes.is_complete(), "{notes:?}");
            assert_eq!(notes.backend, Backend::Ptrace);
            assert_eq!(records.len(), count + 1);
            assert_eq!(records[0].stop, StopKind::Caller);
            for tid in &crowd.tids {
                let record =
                    records.iter().find(|record| record.tid == *tid).expect("a thread has no record");
                assert!(record.has_registers(), "{record:?}");
                assert_ne!(record.thread_pointer().get(), 0);
                assert_ne!(record.stack_pointer().get(), 0);
            }
        }
        crowd.end();
        no_child_is_left();
    });
}

/// The helper is gone and reaped.
pub(super) fn no_child_is_left() {
    let mut status = 0;
    // SAFETY: status is ours.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::WNOHANG) };
    assert_eq!(pid, -1, "a child is left");
}

fn sleep_a_little(_: usize) {
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn one_blocked_thread() {
    all_are_recorded(1, sleep_a_little);
}

#[test]
fn two_blocked_threads() {
    all_are_recorded(2, sleep_a_little);
}

#[test]
fn fifty_blocked_threads() {
    all_are_recorded(50, sleep_a_little);
}

#[test]
fn a_thousand_blocked_threads() {
    all_are_recorded(1000, |_| std::thread::sleep(Duration::from_millis(500)));
}

#[test]
fn spinning_threads() {
    all_are_recorded(20, |_| std::hint::spin_loop());
}

/// Those that run count, those that sleep and the caller do not.
#[test]
fn threads_that_need_a_cpu_are_counted() {
    in_child(60, || {
        let sleeping = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(500)));
        // They may be on their way between two calls: in the end it is so many.
        let await_busy = |count| {
            let mut busy = usize::MAX;
            while busy != count {
                stop(&Options::DEFAULT, &mut |world, _| busy = world.busy()).unwrap();
            }
        };
        await_busy(0);
        let spinning = Crowd::start(2, |_| std::hint::spin_loop());
        await_busy(2);
        sleeping.end();
        spinning.end();
    });
}

#[test]
fn the_world_stands_while_the_work_runs() {
    in_child(60, || {
        let count = Arc::new(AtomicU64::new(0));
        let counting = count.clone();
        let crowd = Crowd::start(4, move |_| {
            counting.fetch_add(1, Relaxed);
        });
        for _ in 0..50 {
            let (mut before, mut after) = (0, 1);
            let notes = stop(&Options::DEFAULT, &mut |_, _| {
                before = count.load(SeqCst);
                crate::sys::timer::sleep(2_000_000);
                after = count.load(SeqCst);
            });
            assert!(notes.unwrap().is_complete());
            assert_eq!(before, after, "a thread ran in the stopped world");
        }
        let last = count.load(SeqCst);
        while count.load(SeqCst) == last {
            std::thread::yield_now();
        }
        crowd.end();
    });
}

#[test]
fn threads_come_and_go_at_any_moment() {
    in_child(120, || {
        let crowd = Crowd::start(6, |_| {
            std::thread::Builder::new().stack_size(32 << 10).spawn(|| ()).unwrap().join().unwrap();
        });
        let mut cloning = 0;
        for _ in 0..1500 {
            let (notes, records) = records(&Options::DEFAULT);
            assert!(notes.is_complete(), "{notes:?}");
            for tid in &crowd.tids {
                assert!(records.iter().any(|record| record.tid == *tid && record.has_registers()));
            }
            cloning += records.iter().filter(|record| record.stop == StopKind::Cloning).count();
        }
        crowd.end();
        no_child_is_left();
        println!("{cloning} threads were caught in clone");
    });
}
