//! Processes in odd states.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::super::{CouldNotStop, Means, Missing, Options, StopKind};
use super::child::{Crowd, ended_child, in_child, records, status_of_child, stop};
use crate::sys::process;

/// Runs `body(argument)` in a task that shares the memory, and waits for its exec or end, as vfork(2) does.
fn vfork(body: extern "C" fn(*mut libc::c_void) -> i32) -> i32 {
    let mut stack = vec![0u128; 4096];
    // SAFETY: clone on a stack that outlives the child: the call returns after its end.
    unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(body, top, flags, core::ptr::null_mut());
        let mut status = -1;
        libc::waitpid(pid, &mut status, 0);
        status
    }
}

#[test]
fn a_vfork_child_stands_still_too() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static CHILD: AtomicI32 = AtomicI32::new(0);
    extern "C" fn child(_: *mut libc::c_void) -> i32 {
        CHILD.store(process::pid(), SeqCst);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1500) {
            COUNT.fetch_add(1, SeqCst);
        }
        process::exit_group(0)
    }
    in_child(30, || {
        let crowd = Crowd::start(2, |_| std::thread::sleep(Duration::from_millis(1)));
        let parent = std::thread::spawn(|| vfork(child));
        while CHILD.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        for _ in 0..5 {
            let (mut before, mut after, mut child_seen, mut parent_seen) = (0, 1, false, false);
            let notes = stop(&Options::DEFAULT, &mut |world, _| {
                before = COUNT.load(SeqCst);
                crate::sys::timer::sleep(3_000_000);
                after = COUNT.load(SeqCst);
                let child = CHILD.load(SeqCst);
                child_seen = world.threads().iter().any(|t| {
                    t.tid.get() == child
                        && t.shares_memory
                        && t.has_registers()
                        && !t.stack_pointer().is_null()
                });
                let parents = |t: &&super::super::ThreadRecord| t.stop == StopKind::VforkParent;
                parent_seen = world.threads().iter().filter(parents).any(|t| !t.stack_pointer().is_null());
            })
            .unwrap();
            assert!(notes.is_complete(), "{notes:?}");
            assert!(notes.stop_ns < 500_000_000, "{notes:?}");
            assert_eq!(before, after, "the vfork child ran");
            assert!(child_seen && parent_seen);
        }
        assert_eq!(parent.join().unwrap(), 0);
        crowd.end();
    });
}

/// A signal does not stop a vfork child: the check goes on soon, and says what it lacks.
#[test]
fn by_signal_a_vfork_child_is_noted() {
    static UP: AtomicI32 = AtomicI32::new(0);
    extern "C" fn child(_: *mut libc::c_void) -> i32 {
        UP.store(1, SeqCst);
        crate::sys::timer::sleep(1_500_000_000);
        process::exit_group(0)
    }
    in_child(30, || {
        let crowd = Crowd::start(2, |_| std::thread::sleep(Duration::from_millis(1)));
        let parent = std::thread::spawn(|| vfork(child));
        while UP.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        let options = Options { means: Means::Signal, ..Options::DEFAULT };
        for _ in 0..3 {
            let (notes, _) = records(&options);
            assert!(matches!(notes.missing().next(), Some((_, Missing::VforkChild))), "{notes:?}");
            assert!(notes.missing == 1 && notes.threads == 4 && notes.stop_ns < 1_000_000_000, "{notes:?}");
        }
        assert_eq!(parent.join().unwrap(), 0, "the late signal did harm");
        let (notes, _) = records(&options);
        assert!(notes.is_complete(), "{notes:?}");
        crowd.end();
    });
}

#[test]
fn threads_that_vfork_all_the_time() {
    extern "C" fn child(_: *mut libc::c_void) -> i32 {
        process::exit_group(7)
    }
    in_child(60, || {
        let crowd = Crowd::start(3, |_| assert_eq!(libc::WEXITSTATUS(vfork(child)), 7));
        for _ in 0..300 {
            let (notes, _) = records(&Options::DEFAULT);
            assert!(notes.is_complete(), "{notes:?}");
        }
        crowd.end();
    });
}

#[test]
fn a_vfork_child_that_asks_is_refused() {
    static ANSWER: AtomicI32 = AtomicI32::new(0);
    extern "C" fn child(_: *mut libc::c_void) -> i32 {
        let refused = stop(&Options::DEFAULT, &mut |_, _| ()).err() == Some(CouldNotStop::SharedMemory);
        ANSWER.store(if refused { 1 } else { 2 }, SeqCst);
        process::exit_group(0)
    }
    in_child(30, || {
        assert_eq!(vfork(child), 0);
        assert_eq!(ANSWER.load(SeqCst), 1);
    });
}

/// The kernel counts whoever reads the process' stat among the users of its memory.
#[test]
fn a_process_that_is_looked_at_is_still_alone() {
    in_child(60, || {
        let path = format!("/proc/{}/stat", process::pid());
        // SAFETY: the child reads a file until it is killed, or its parent ends.
        let reader = unsafe { libc::fork() };
        if reader == 0 {
            while std::fs::read(&path).is_ok() {}
            process::exit_group(0);
        }
        let results: Vec<_> = (0..3000).map(|_| stop(&Options::DEFAULT, &mut |_, _| ()).err()).collect();
        // SAFETY: our own child.
        unsafe { libc::kill(reader, libc::SIGKILL) };
        assert!(results.iter().all(Option::is_none), "{:?}", results.iter().flatten().next());
    });
}

#[test]
fn the_leader_has_exited() {
    let status = status_of_child(30, || {
        std::thread::spawn(|| {
            let crowd = Crowd::start(2, |_| std::thread::sleep(Duration::from_millis(1)));
            std::thread::sleep(Duration::from_millis(50));
            let mut good = true;
            for _ in 0..20 {
                let notes = stop(&Options::DEFAULT, &mut |world, _| {
                    good &= world.threads().iter().all(|t| t.tid.get() != process::pid());
                    good &= world.proc().open_of_memory("maps").is_ok();
                });
                good &= notes.is_ok_and(|notes| {
                    notes.is_complete() && notes.threads == 3 && notes.stop_ns < 1_000_000_000
                });
            }
            let _ = crowd;
            process::exit_group(if good { 0 } else { 1 })
        });
        process::exit_task(0);
    });
    assert_eq!(status, 0);
}

/// The leader exits while stops go on.
#[test]
fn the_leader_exits_during_stops() {
    for delay in [0, 300, 1000, 3000] {
        let status = status_of_child(30, || {
            std::thread::spawn(|| {
                for _ in 0..100 {
                    let start = Instant::now();
                    if stop(&Options::DEFAULT, &mut |_, _| ()).is_err()
                        || start.elapsed() > Duration::from_secs(1)
                    {
                        process::exit_group(1);
                    }
                }
                process::exit_group(0)
            });
            std::thread::sleep(Duration::from_micros(delay));
            process::exit_task(0);
        });
        assert_eq!(status, 0);
    }
}

/// No helper is left in the process group of a process that has ended.
fn nothing_is_left_of(group: i32) {
    let start = Instant::now();
    // SAFETY: signal 0 only asks.
    while unsafe { libc::kill(-group, 0) } == 0 {
        assert!(start.elapsed() < Duration::from_secs(3), "a helper is left over");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Another thread, or the leader, runs a new program while stops go on: the program runs, and nothing is left over.
fn exec_during_stops(by_leader: bool, means: Means) {
    for round in 0..25 {
        let (pid, status) = ended_child(10, || {
            // SAFETY: a process group of its own, by which leftovers are found.
            unsafe { libc::setpgid(0, 0) };
            super::super::exec::start();
            let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_micros(100)));
            let exec = move || {
                std::thread::sleep(Duration::from_micros(137 * round));
                // As the interposed execve does.
                super::super::exec::announced(|| {
                    // SAFETY: C strings and a list that ends.
                    unsafe {
                        libc::execl(
                            c"/bin/true".as_ptr(),
                            c"true".as_ptr(),
                            core::ptr::null::<libc::c_char>(),
                        )
                    }
                });
            };
            let check = move || {
                loop {
                    let _ = stop(&Options { means, ..Options::DEFAULT }, &mut |_, _| ());
                }
            };
            let _ = &crowd;
            if by_leader {
                std::thread::spawn(check);
                exec();
            } else {
                std::thread::spawn(exec);
                check();
            }
        });
        assert_eq!(status, 0, "{means:?}, round {round}");
        nothing_is_left_of(pid);
    }
}

#[test]
fn a_worker_runs_another_program() {
    exec_during_stops(false, Means::Ptrace);
    exec_during_stops(false, Means::Signal);
}

#[test]
fn the_leader_runs_another_program() {
    exec_during_stops(true, Means::Ptrace);
    exec_during_stops(true, Means::Signal);
}

/// The process ends, or is killed, while stops go on: no helper outlives it.
#[test]
fn the_process_ends_during_a_stop() {
    ends_during_stops(Means::Ptrace);
    ends_during_stops(Means::Signal);
}

fn ends_during_stops(means: Means) {
    for round in 0..30 {
        let (pid, status) = ended_child(10, || {
            // SAFETY: a process group of its own, by which leftovers are found.
            unsafe { libc::setpgid(0, 0) };
            let _crowd = Crowd::start(3, move |number| {
                std::thread::sleep(Duration::from_micros(100 + 200 * round));
                if number == 0 && round % 2 == 0 {
                    process::exit_group(7);
                } else if number == 0 {
                    // SAFETY: kills this process, the test's own.
                    unsafe { libc::kill(process::pid(), libc::SIGKILL) };
                }
            });
            loop {
                let _ = stop(&Options { means, ..Options::DEFAULT }, &mut |_, _| ());
            }
        });
        assert!(status == 7 << 8 || status == libc::SIGKILL, "{status:#x}");
        nothing_is_left_of(pid);
    }
}

#[test]
fn two_threads_ask_at_once() {
    in_child(60, || {
        let done = std::sync::Arc::new(AtomicU64::new(0));
        let counting = done.clone();
        let crowd = Crowd::start(4, move |_| {
            let notes = stop(&Options::DEFAULT, &mut |_, _| ()).unwrap();
            assert!(notes.is_complete());
            counting.fetch_add(1, SeqCst);
        });
        let start = Instant::now();
        while done.load(SeqCst) < 100 {
            assert!(start.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(10));
        }
        crowd.end();
    });
}

/// Time in which a waiter itself stood still is no time in which it waited.
#[test]
fn who_is_stopped_longer_than_its_deadline_has_its_turn() {
    in_child(60, || {
        let crowd = Crowd::start(1, |_| {
            let options = Options { deadline_ns: 300_000_000, ..Options::DEFAULT };
            std::thread::sleep(Duration::from_millis(1));
            assert_ne!(stop(&options, &mut |_, _| ()).err(), Some(CouldNotStop::Busy));
        });
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(20));
            stop(&Options { deadline_ns: 20_000_000_000, ..Options::DEFAULT }, &mut |_, _| {
                let until = process::monotonic_ns() + 700_000_000;
                while process::monotonic_ns() < until {
                    crate::sys::timer::sleep(10_000_000);
                }
            })
            .unwrap();
        }
        crowd.end();
    });
}

/// The work is a helper's where that is wanted, though there is nobody to stop: it has no end, crashes, and is well.
#[test]
fn a_single_thread_has_the_work_done_away() {
    in_child(30, || {
        let away = Options { away: true, work_deadline_ns: 200_000_000, ..Options::DEFAULT };
        let (pid, mut done_by) = (process::pid(), 0);
        let notes = stop(&away, &mut |world, _| {
            done_by = process::pid();
            assert!(world.threads().len() == 1 && world.process() == pid);
        })
        .unwrap();
        assert!(notes.is_complete() && done_by != pid, "{notes:?}");
        let reason = stop(&away, &mut |_, _| {
            loop {
                core::hint::spin_loop();
            }
        });
        assert_eq!(reason.unwrap_err(), CouldNotStop::HelperDied(super::super::Death::Deadline));
    });
}

/// SIGSTOP to the helper alone: it goes on at once.
#[test]
fn a_stopped_helper_goes_on() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        for means in [Means::Ptrace, Means::Signal] {
            let start = Instant::now();
            let notes = stop(&Options { means, ..Options::DEFAULT }, &mut |_, _| {
                let _ = crate::sys::task::kill(process::pid(), libc::SIGSTOP);
            });
            assert!(notes.unwrap().is_complete());
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
        crowd.end();
    });
}

/// Time in which the whole group stood still by job control counts against no deadline.
#[test]
fn a_stopped_group_loses_no_time() {
    in_child(60, || {
        let group = process::pid();
        // SAFETY: a process group of its own, and a child that leaves it.
        let other = unsafe {
            libc::setpgid(0, 0);
            libc::fork()
        };
        if other == 0 {
            // SAFETY: signals to the group of the test.
            unsafe {
                libc::setpgid(0, 0);
                for _ in 0..3 {
                    libc::usleep(200_000);
                    libc::kill(-group, libc::SIGSTOP);
                    libc::usleep(1_500_000);
                    libc::kill(-group, libc::SIGCONT);
                }
                libc::_exit(0)
            }
        }
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let options = Options { deadline_ns: 500_000_000, work_deadline_ns: 700_000_000, ..Options::DEFAULT };
        // SAFETY: looks at the child made above.
        while unsafe { libc::waitpid(other, core::ptr::null_mut(), libc::WNOHANG) } == 0 {
            let notes = stop(&options, &mut |_, _| {
                let until = process::monotonic_ns() + 50_000_000;
                while process::monotonic_ns() < until {
                    crate::sys::timer::sleep(10_000_000);
                }
            });
            assert!(notes.is_ok_and(|notes| notes.is_complete()), "{notes:?}");
        }
        crowd.end();
    });
}

/// /proc of an outer pid namespace numbers the tasks otherwise.
#[test]
fn a_foreign_pid_namespace() {
    let status = status_of_child(30, || {
        // SAFETY: a namespace for the children of this process, the test's own.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
            return;
        }
        let status = status_of_child(20, || {
            assert_eq!(process::pid(), 1);
            let mut seen = 0;
            let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
            for _ in 0..20 {
                let (notes, records) = records(&Options::DEFAULT);
                assert!(notes.is_complete() && notes.threads == 4, "{notes:?}");
                assert!(
                    crowd.tids.iter().all(|tid| records.iter().any(|r| r.tid == *tid && r.has_registers()))
                );
            }
            stop(&Options::DEFAULT, &mut |world, _| seen = world.process()).unwrap();
            assert_eq!(seen, 1);
            crowd.end();
        });
        assert_eq!(status, 0);
    });
    assert_eq!(status, 0);
}

/// A stop changes no descriptor of the program.
#[test]
fn descriptors_stay() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let open = || {
            let mut names: Vec<_> =
                std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = open();
        for _ in 0..10 {
            stop(&Options::DEFAULT, &mut |world, _| {
                let _ = world.proc().open_of_memory("maps");
            })
            .unwrap();
        }
        assert_eq!(open(), before);
        crowd.end();
    });
}
