//! The price of a stop beside that of a bare loop. By hand:
//! `cargo test --release -p standstill-runtime speed -- --ignored --nocapture`

use std::time::{Duration, Instant};

use super::super::Options;
use super::child::{Crowd, in_child, stop};
use crate::base::Tid;
use crate::sys::ptrace;

/// List, seize and interrupt all; wait for each; read two register sets; detach each: what no tracer can do without.
fn bare_loop(pid: i32, except: i32, rounds: usize) -> Duration {
    let mut times = Vec::new();
    let mut buffer = vec![0u8; 64 << 10];
    for _ in 0..rounds {
        let start = Instant::now();
        let tids: Vec<Tid> = std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .filter(|tid| *tid != except)
            .filter_map(Tid::new)
            .collect();
        for tid in &tids {
            ptrace::seize(*tid, 0).unwrap();
            ptrace::interrupt(*tid).unwrap();
        }
        for tid in &tids {
            let mut status = 0;
            // SAFETY: status is ours.
            unsafe { libc::waitpid(tid.get(), &mut status, libc::__WALL) };
            ptrace::registers(*tid).unwrap();
            ptrace::register_set(*tid, crate::arch::EXTENDED_SETS[0], &mut buffer).unwrap();
        }
        for tid in &tids {
            // SAFETY: touches no memory.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, tid.get(), 0, 0) };
        }
        times.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    median(&mut times)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn compare(threads: usize, rounds: usize) {
    in_child(300, || {
        let crowd = Crowd::start(threads, |_| std::thread::sleep(Duration::from_secs(2)));
        let parent = crate::sys::process::pid();
        // SAFETY: the child traces its parent's threads.
        let tracer = unsafe { libc::fork() };
        if tracer == 0 {
            let bare = bare_loop(parent, parent, rounds);
            let _ = crate::sys::file::write_all(2, format!("{threads} threads: bare {bare:?}, ").as_bytes());
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: the child made above.
        unsafe { libc::waitpid(tracer, core::ptr::null_mut(), 0) };
        let (mut times, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let start = Instant::now();
            let notes = stop(&Options::DEFAULT, &mut |_, _| ()).unwrap();
            times.push(start.elapsed());
            inside.push(Duration::from_nanos(notes.stop_ns));
            assert_eq!(notes.threads as usize, threads + 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("stop {:?} (until all stand {:?})", median(&mut times), median(&mut inside));
        // A crowd that sleeps long: not waited for.
        core::mem::forget(crowd);
    });
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    for (threads, rounds) in [(1, 41), (100, 41), (1000, 21), (4000, 11)] {
        compare(threads, rounds);
    }
}
