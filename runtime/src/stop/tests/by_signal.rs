//! Stopping by signal: chosen where ptrace is refused, or on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::super::{Backend, CouldNotStop, Means, Missing, Options, StopKind};
use super::child::{Crowd, in_child, records, stop};
use super::refused::filter_ptrace;
use super::threads::no_child_is_left;
use crate::arch::{SYS_EPOLL_WAIT, SYS_PAUSE};
use crate::base::Errno;
use crate::sys::invoke::injection;
use crate::sys::process;

const SIGNAL: Options = Options { means: Means::Signal, ..Options::DEFAULT };

fn all_are_recorded(options: Options, count: usize, turn: impl Fn(usize) + Clone + Send + 'static) {
    let crowd = Crowd::start(count, turn);
    for _ in 0..10 {
        let (notes, records) = records(&options);
        assert!(notes.is_complete(), "{notes:?}");
        assert_eq!(notes.backend, Backend::Signal);
        assert_eq!(records.len(), count + 1);
        for tid in &crowd.tids {
            let record = records.iter().find(|record| record.tid == *tid).expect("a thread has no record");
            assert!(record.has_registers(), "{record:?}");
            assert_ne!(record.thread_pointer().get(), 0);
            assert_ne!(record.stack_pointer().get(), 0);
        }
    }
    crowd.end();
    no_child_is_left();
}

#[test]
fn blocked_and_spinning_threads() {
    in_child(60, || {
        all_are_recorded(SIGNAL, 1, |_| std::thread::sleep(Duration::from_millis(50)));
        all_are_recorded(SIGNAL, 50, |_| std::thread::sleep(Duration::from_millis(50)));
        all_are_recorded(SIGNAL, 10, |_| std::hint::spin_loop());
    });
}

#[test]
fn a_thousand_threads() {
    in_child(60, || all_are_recorded(SIGNAL, 1000, |_| std::thread::sleep(Duration::from_millis(300))));
}

#[test]
fn chosen_by_itself_where_ptrace_is_refused() {
    for action in
        [libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_TRAP]
    {
        in_child(60, move || {
            filter_ptrace(action);
            all_are_recorded(Options::DEFAULT, 4, |_| std::thread::sleep(Duration::from_millis(20)));
        });
    }
}

/// A thread that the signal cannot be sent to is missing, and where it is none of them there is no stop.
#[test]
fn the_signal_is_refused() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        injection::arm(libc::SYS_rt_tgsigqueueinfo, libc::EPERM, 1, 1);
        let (notes, records) = records(&SIGNAL);
        let missing: Vec<_> = notes.missing().map(|(_, why)| why).collect();
        assert_eq!(missing, [Missing::NotSignalled(Errno::new(libc::EPERM))]);
        assert_eq!(records.len(), 4);
        assert_eq!(records.iter().filter(|record| record.stop == StopKind::Running).count(), 1);
        assert_eq!(records.iter().filter(|record| record.has_registers()).count(), 3);
        injection::arm(libc::SYS_rt_tgsigqueueinfo, libc::EPERM, 0, u32::MAX);
        let refused = stop(&SIGNAL, &mut |_, _| ());
        injection::arm(-1, 0, 0, 0);
        assert_eq!(refused.unwrap_err(), CouldNotStop::NoSignalSent(Errno::new(libc::EPERM)));
        crowd.end();
    });
}

#[test]
fn the_world_stands_while_the_work_runs() {
    in_child(60, || {
        let count = Arc::new(AtomicU64::new(0));
        let counting = count.clone();
        let crowd = Crowd::start(4, move |_| {
            counting.fetch_add(1, SeqCst);
        });
        for _ in 0..50 {
            let (mut before, mut after) = (0, 1);
            let notes = stop(&SIGNAL, &mut |_, _| {
                before = count.load(SeqCst);
                crate::sys::timer::sleep(2_000_000);
                after = count.load(SeqCst);
            });
            assert!(notes.unwrap().is_complete());
            assert_eq!(before, after, "a thread ran in the stopped world");
        }
        crowd.end();
    });
}

#[test]
fn threads_come_and_go_at_any_moment() {
    in_child(120, || {
        let crowd = Crowd::start(4, |_| {
            std::thread::Builder::new().stack_size(32 << 10).spawn(|| ()).unwrap().join().unwrap();
        });
        for _ in 0..500 {
            let (notes, records) = records(&SIGNAL);
            assert!(notes.is_complete(), "{notes:?}");
            for tid in &crowd.tids {
                assert!(records.iter().any(|record| record.tid == *tid && record.has_registers()));
            }
        }
        crowd.end();
    });
}

/// A thread that blocks every signal it can, and one that waits for every signal it can: both stop, and the second does
/// not get ours.
#[test]
fn masks_and_waits_for_signals_do_not_matter() {
    static GOT: AtomicUsize = AtomicUsize::new(0);
    in_child(60, || {
        let waiting = |wait: bool| {
            move |_: usize| {
                // SAFETY: masks and waits for signals in this thread.
                unsafe {
                    let mut set: libc::sigset_t = core::mem::zeroed();
                    libc::sigfillset(&mut set);
                    libc::pthread_sigmask(libc::SIG_SETMASK, &set, core::ptr::null_mut());
                    let time = libc::timespec { tv_sec: 0, tv_nsec: 30_000_000 };
                    if wait && libc::sigtimedwait(&set, core::ptr::null_mut(), &time) > 0 {
                        GOT.fetch_add(1, SeqCst);
                    } else if !wait {
                        std::thread::sleep(Duration::from_millis(30));
                    }
                }
            }
        };
        let (one, two) = (Crowd::start(1, waiting(true)), Crowd::start(1, waiting(false)));
        for _ in 0..50 {
            let (notes, records) = records(&SIGNAL);
            assert!(notes.is_complete(), "{notes:?}");
            assert_eq!(records.len(), 3);
        }
        assert_eq!(GOT.load(SeqCst), 0);
        one.end();
        two.end();
    });
}

/// No call returns EINTR, not even those that a handler always interrupts.
#[test]
fn no_call_is_interrupted() {
    static RETURNED: AtomicI32 = AtomicI32::new(0);
    in_child(60, || {
        let calls = [SYS_EPOLL_WAIT, SYS_PAUSE, libc::SYS_epoll_pwait, libc::SYS_ppoll, libc::SYS_read];
        // Those that the CPU has.
        let calls: Vec<_> =
            calls.into_iter().chain([libc::SYS_futex]).filter(|number| *number >= 0).collect();
        for number in calls.iter().copied() {
            std::thread::spawn(move || {
                // SAFETY: calls that block for ever, on descriptors and words of our own.
                unsafe {
                    let mut event: libc::epoll_event = core::mem::zeroed();
                    let (mut pipe, word) = ([0; 2], 0u32);
                    libc::pipe(pipe.as_mut_ptr());
                    let (event, word) = ((&raw mut event).addr(), (&raw const word).addr());
                    match number {
                        SYS_EPOLL_WAIT | libc::SYS_epoll_pwait => {
                            libc::syscall(number, libc::epoll_create1(0), event, 1, -1, 0, 8)
                        }
                        libc::SYS_ppoll => libc::syscall(number, 0, 0, 0, 0, 8),
                        libc::SYS_read => libc::syscall(number, pipe[0], event, 1),
                        libc::SYS_futex => libc::syscall(number, word, 0, 0, 0),
                        _ => libc::syscall(number),
                    };
                }
                RETURNED.store(number as i32, SeqCst);
            });
        }
        std::thread::sleep(Duration::from_millis(100));
        let mut mended = 0;
        for _ in 0..200 {
            let (notes, records) = records(&SIGNAL);
            assert!(notes.is_complete() && records.len() == calls.len() + 1, "{notes:?}");
            mended += notes.mended;
            assert_eq!(RETURNED.load(SeqCst), 0, "the call with this number returned");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(mended >= 300, "{mended}");
    });
}

/// libc's own use of the signal goes on: setuid of a threaded program changes all threads.
#[test]
fn libc_still_gets_its_signal() {
    in_child(60, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(5)));
        let end = Arc::new(AtomicU64::new(0));
        let (ending, tell) = (end.clone(), end.clone());
        let setter = std::thread::spawn(move || {
            let mut rounds = 0;
            while ending.load(SeqCst) == 0 {
                // SAFETY: sets the same group again.
                assert_eq!(unsafe { libc::setgid(libc::getgid()) }, 0);
                rounds += 1;
            }
            rounds
        });
        let start = Instant::now();
        let mut stops = 0;
        while start.elapsed() < Duration::from_secs(2) {
            assert!(stop(&SIGNAL, &mut |_, _| ()).unwrap().is_complete());
            stops += 1;
        }
        tell.store(1, SeqCst);
        let rounds = setter.join().unwrap();
        assert!(rounds > 10 && stops > 10, "{rounds} {stops}");
        crowd.end();
    });
}

#[test]
fn the_leader_has_exited() {
    let status = super::child::status_of_child(30, || {
        std::thread::spawn(|| {
            let crowd = Crowd::start(2, |_| std::thread::sleep(Duration::from_millis(1)));
            std::thread::sleep(Duration::from_millis(50));
            let good = (0..20).all(|_| {
                stop(&SIGNAL, &mut |_, _| ()).is_ok_and(|notes| {
                    notes.is_complete() && notes.threads == 3 && notes.stop_ns < 1_000_000_000
                })
            });
            let _ = crowd;
            process::exit_group(if good { 0 } else { 1 })
        });
        process::exit_task(0);
    });
    assert_eq!(status, 0);
}

/// A helper that dies leaves nobody standing.
#[test]
fn a_dead_helper_frees_all() {
    in_child(60, || {
        let count = Arc::new(AtomicU64::new(0));
        let counting = count.clone();
        let crowd = Crowd::start(4, move |_| {
            counting.fetch_add(1, SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        });
        for _ in 0..20 {
            let result = stop(&SIGNAL, &mut |_, _| process::exit_group(3));
            assert!(result.is_err());
            let before = count.load(SeqCst);
            while count.load(SeqCst) < before + 8 {
                std::thread::yield_now();
            }
        }
        assert!(stop(&SIGNAL, &mut |_, _| ()).unwrap().is_complete());
        crowd.end();
        no_child_is_left();
    });
}

/// Registers of a spinning thread are those of its loop, vectors too.
#[test]
fn registers_hold_what_the_thread_holds() {
    for means in [Means::Ptrace, Means::Signal] {
        in_child(30, move || {
            let crowd = Crowd::start(1, |_| {
                crate::arch::spin_with_marks(0xfeed_feed_8765_4321, 0x5eed_5eed_1234_5678);
            });
            let tid = crowd.tids[0];
            let (mut general, mut extended, mut spinning) = (0, 0, 0);
            for _ in 0..50 {
                let options = Options { means, ..Options::DEFAULT };
                stop(&options, &mut |world, _| {
                    let Some(thread) = world.threads().iter().find(|t| t.tid == tid) else { return };
                    spinning += (thread.stop == StopKind::Interrupted) as u32;
                    general += thread.registers.0.contains(&0xfeed_feed_8765_4321) as u32;
                    extended += world.extended(thread).contains(&0x5eed_5eed_1234_5678) as u32;
                })
                .unwrap();
            }
            assert!(general > 30 && extended > 30, "{general} {extended} of {spinning}");
            crowd.end();
        });
    }
}
