//! Every system call of caller and helper fails, at each of its first calls, with every error that is plausible: the stop
//! answers in time, no process is left, the threads run on, and the next stop is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::super::crew::Crew;
use super::super::{Means, Options};
use super::child::{Crowd, in_child, stop};
use super::threads::no_child_is_left;
use crate::base::Workers;
use crate::sys::invoke::injection;

const ERRORS: [i32; 11] = [
    libc::EPERM,
    libc::EINTR,
    libc::EAGAIN,
    libc::ENOMEM,
    libc::EACCES,
    libc::EINVAL,
    libc::ENOSYS,
    libc::ESRCH,
    libc::ECHILD,
    libc::EMFILE,
    libc::EIO,
];

const CALLS: &[(&str, libc::c_long)] = &[
    ("ptrace", libc::SYS_ptrace),
    ("waitid", libc::SYS_waitid),
    ("wait4", libc::SYS_wait4),
    ("clone", libc::SYS_clone),
    ("futex", libc::SYS_futex),
    ("mmap", libc::SYS_mmap),
    ("mprotect", libc::SYS_mprotect),
    ("munmap", libc::SYS_munmap),
    ("mremap", libc::SYS_mremap),
    ("openat", libc::SYS_openat),
    ("read", libc::SYS_read),
    ("close", libc::SYS_close),
    ("getdents64", libc::SYS_getdents64),
    ("lseek", libc::SYS_lseek),
    ("readlinkat", libc::SYS_readlinkat),
    ("newfstatat", libc::SYS_newfstatat),
    ("rt_sigaction", libc::SYS_rt_sigaction),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("sigaltstack", libc::SYS_sigaltstack),
    ("prctl", libc::SYS_prctl),
    ("setitimer", libc::SYS_setitimer),
    ("close_range", libc::SYS_close_range),
    ("prlimit64", libc::SYS_prlimit64),
    ("tgkill", libc::SYS_tgkill),
    ("unshare", libc::SYS_unshare),
    ("rt_tgsigqueueinfo", libc::SYS_rt_tgsigqueueinfo),
    #[cfg(target_arch = "x86_64")]
    ("arch_prctl", libc::SYS_arch_prctl),
    ("kcmp", libc::SYS_kcmp),
];

/// Fails one call after another with every error; how many failures took effect.
fn fail_everything(means: Means, calls: &[(&str, libc::c_long)], threads: usize, deepest: u32) {
    let count = Arc::new(AtomicU64::new(0));
    let counting = count.clone();
    // All together wake some thousand times a second, however many they are: more would leave no CPU for the stop.
    let pause = Duration::from_millis(2 + threads as u64 / 4);
    let crowd = Crowd::start(threads, move |_| {
        counting.fetch_add(1, SeqCst);
        std::thread::sleep(pause);
    });
    let deadline_ns = 300_000_000 + threads as u64 * 500_000;
    let options = Options { means, deadline_ns, work_deadline_ns: 300_000_000, ..Options::DEFAULT };
    let mut effective = 0;
    for (name, call) in calls {
        for errno in ERRORS {
            for skip in 0..deepest {
                let start = Instant::now();
                injection::arm(*call, errno, skip, 1);
                let result = stop(&options, &mut |_, _| ());
                let reached = injection::left() == 0;
                injection::arm(-1, 0, 0, 0);
                let what = format!("{name}, errno {errno}, call {skip}: {result:?}");
                assert!(start.elapsed() < Duration::from_secs(6), "{what}: {:?}", start.elapsed());
                no_child_is_left();
                if let Ok(notes) = result {
                    let whole = notes.is_complete() && notes.threads as usize == threads + 1;
                    assert!(whole || !notes.is_complete(), "{what}: a thread is missing and not noted");
                }
                if !reached {
                    break;
                }
                effective += 1;
            }
        }
        let before = count.load(SeqCst);
        while count.load(SeqCst) < before + 2 * threads as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let notes = stop(&options, &mut |_, _| ()).unwrap();
        assert!(notes.is_complete() && notes.threads as usize == threads + 1, "after {name}: {notes:?}");
    }
    assert!(effective > calls.len(), "{effective}");
    crowd.end();
}

#[test]
fn every_call_fails_once() {
    for means in [Means::Ptrace, Means::Signal] {
        in_child(240, || fail_everything(means, CALLS, 4, 40));
    }
}

#[test]
fn a_crew_that_gets_no_task_is_its_caller_alone() {
    in_child(60, || {
        let worked = AtomicU64::new(0);
        injection::arm(libc::SYS_clone, libc::EAGAIN, 0, 1);
        Crew::new(3, 0).run(&|_| _ = worked.fetch_add(1, SeqCst)).unwrap();
        assert_eq!((worked.into_inner(), injection::left()), (1, 0));
    });
}

/// With many threads, only the calls that are made for each.
#[test]
#[ignore = "minutes; by hand"]
fn every_call_fails_once_with_2000_threads() {
    let calls: Vec<_> = CALLS
        .iter()
        .copied()
        .filter(|(name, _)| matches!(*name, "ptrace" | "waitid" | "mremap" | "getdents64"))
        .collect();
    in_child(1000, || fail_everything(Means::Ptrace, &calls, 2000, 4));
}
