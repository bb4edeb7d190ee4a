//! A snapshot: memory as it was, while the threads run on; its end, whatever it is, disturbs nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::super::snapshot::{self, Handover, Limits, Pending, Saved};
use super::super::{CouldNotStop, Death, Options};
use super::child::{Crowd, in_child, stop};
use super::threads::no_child_is_left;
use crate::mem::{ProcessMemory, ReadMemory};
use crate::sys::{process, task, timer};

const LIMITS: Limits = Limits { deadline_ns: 5_000_000_000, outlives_thread: false, memory: 64 << 20 };

/// Stops the world and takes a snapshot in which `work` runs.
fn take(limits: &Limits, work: &mut dyn FnMut(&Handover, ProcessMemory<'_>)) -> Pending {
    let mut pending = None;
    stop(&Options::DEFAULT, &mut |world, _| {
        let handover = Handover::new(1 << 20).unwrap();
        pending = Some(snapshot::fork(world, handover, limits, &Saved::nothing(), work));
    })
    .unwrap();
    pending.unwrap().unwrap()
}

#[test]
fn sees_memory_as_it_was_while_the_threads_run_on() {
    in_child(20, || {
        let count = Arc::new(AtomicU64::new(0));
        let counting = count.clone();
        let crowd = Crowd::start(3, move |_| {
            counting.fetch_add(1, SeqCst);
        });
        let at = crate::base::Addr::of(Arc::as_ptr(&count));
        let pending = take(&LIMITS, &mut |handover, memory| {
            let mut seen = [[0usize]; 2];
            memory.read_words(at, &mut seen[0]);
            timer::sleep(100_000_000);
            memory.read_words(at, &mut seen[1]);
            handover.write(&[seen[0][0], seen[1][0]]).unwrap();
            assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() <= 2);
        });
        let start = count.load(SeqCst);
        let seen = pending.finish().unwrap().lists().take::<usize>().unwrap();
        assert_eq!(seen[0], seen[1]);
        assert!(seen[0] as u64 <= start && start < count.load(SeqCst), "the threads did not run");
        no_child_is_left();
        crowd.end();
    });
}

#[test]
fn works_for_a_process_with_one_task() {
    in_child(20, || {
        let parent = process::pid();
        let pending = take(&LIMITS, &mut |handover, _| handover.write(&[task::parent()]).unwrap());
        assert!(pending.belongs_here());
        assert_eq!(&pending.finish().unwrap().lists().take::<i32>().unwrap()[..], [parent]);
        no_child_is_left();
    });
}

#[test]
fn every_early_end_is_told() {
    in_child(30, || {
        let crowd = Crowd::start(2, |_| std::thread::yield_now());
        let late = Limits { deadline_ns: 100_000_000, ..LIMITS };
        let ended = |limits: &Limits, work: fn()| match take(limits, &mut |_, _| work()).finish() {
            Err(CouldNotStop::SnapshotDied(death)) => death,
            _ => panic!("there is a result"),
        };
        assert_eq!(
            ended(&LIMITS, || assert!(task::kill(process::pid(), libc::SIGKILL).is_ok())),
            Death::Signal(9)
        );
        assert_eq!(ended(&LIMITS, || process::exit_group(3)), Death::Exit(3));
        assert_eq!(ended(&late, || (0..1000).for_each(|_| timer::sleep(10_000_000))), Death::Deadline);
        let fault = ended(&LIMITS, || {
            // SAFETY: none: the fault is the point.
            unsafe { core::ptr::without_provenance_mut::<u8>(4096).write_volatile(1) }
        });
        assert_eq!(fault, Death::Fault(libc::SIGSEGV, 4096));
        let limited = take(&LIMITS, &mut |handover, _| {
            let more = crate::mem::OwnMap::new(128 << 20);
            handover.write(&[more.is_err()]).unwrap();
        });
        assert_eq!(&limited.finish().unwrap().lists().take::<bool>().unwrap()[..], [true]);
        no_child_is_left();
        crowd.end();
    });
}

/// The thread that asked ends: the snapshot with it, or not, as was wanted.
#[test]
fn ends_with_its_thread_or_outlives_it() {
    in_child(30, || {
        for outlives_thread in [false, true] {
            let limits = Limits { outlives_thread, ..LIMITS };
            let pending = std::thread::spawn(move || {
                take(&limits, &mut |handover, _| {
                    timer::sleep(300_000_000);
                    timer::sleep(300_000_000);
                    handover.write(&[1u8]).unwrap();
                })
            });
            let pending = pending.join().unwrap();
            let result = pending.finish().map(drop);
            assert_eq!(result.is_ok(), outlives_thread, "{result:?}");
            no_child_is_left();
        }
    });
}

/// The process ends while its snapshot works: nothing is left.
#[test]
fn ends_with_its_process() {
    let map = Handover::new(4096).unwrap();
    in_child(20, || {
        let limits = Limits { outlives_thread: true, ..LIMITS };
        let pending = take(&limits, &mut |_, _| {
            map.write(&[process::pid()]).unwrap();
            loop {
                timer::sleep(1_000_000_000);
            }
        });
        while map.lists().take::<i32>().is_err() {
            timer::sleep(1_000_000);
        }
        core::mem::forget(pending);
    });
    let snapshot = map.lists().take::<i32>().unwrap()[0];
    let end = process::monotonic_ns() + 2_000_000_000;
    // An init that does not reap leaves a zombie.
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{snapshot}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    };
    while lives() {
        assert!(process::monotonic_ns() < end, "the snapshot lives on");
        timer::sleep(5_000_000);
    }
}
