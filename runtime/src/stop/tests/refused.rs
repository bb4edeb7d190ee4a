//! Where ptrace is refused, or the helper cannot live: a clear answer, and every thread runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::super::{Backend, CouldNotStop, Death, Means, Options, Refusal};
use super::child::{Crowd, in_child, stop};
use super::threads::no_child_is_left;
use crate::sys::invoke::injection;

const PTRACE_ONLY: Options = Options { means: Means::Ptrace, ..Options::DEFAULT };

/// A filter that answers ptrace(2) with `action` in this process and the threads it makes later.
pub(super) fn filter_ptrace(action: u32) {
    let code = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_ptrace as u32),
        code(libc::BPF_RET | libc::BPF_K, 0, 0, action),
        code(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: a valid program of four instructions.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
    }
}

fn fails_and_threads_run_on(ready: impl FnOnce(), expected: fn(CouldNotStop) -> bool) {
    in_child(30, move || {
        let count = Arc::new(AtomicU64::new(0));
        ready();
        let counting = count.clone();
        let crowd = Crowd::start(3, move |_| {
            counting.fetch_add(1, SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        });
        for _ in 0..5 {
            let start = Instant::now();
            let mut ran = false;
            let reason = stop(&PTRACE_ONLY, &mut |_, _| ran = true).expect_err("it stopped");
            assert!(!ran);
            assert!(expected(reason), "{reason:?}: {reason}");
            assert!(start.elapsed() < Duration::from_secs(5));
            let before = count.load(SeqCst);
            while count.load(SeqCst) < before + 6 {
                std::thread::yield_now();
            }
        }
        crowd.end();
        no_child_is_left();
    });
}

#[test]
fn seccomp_answers_eperm() {
    let action = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    fails_and_threads_run_on(
        move || filter_ptrace(action),
        |reason| matches!(reason, CouldNotStop::Refused(_, Refusal::Seccomp)),
    );
}

#[test]
fn seccomp_kills_the_process() {
    fails_and_threads_run_on(
        || filter_ptrace(libc::SECCOMP_RET_KILL_PROCESS),
        |reason| reason == CouldNotStop::HelperDied(Death::Signal(libc::SIGSYS)),
    );
}

#[test]
fn seccomp_kills_the_thread() {
    fails_and_threads_run_on(
        || filter_ptrace(libc::SECCOMP_RET_KILL_THREAD),
        |reason| reason == CouldNotStop::HelperDied(Death::Signal(libc::SIGSYS)),
    );
}

#[test]
fn seccomp_traps() {
    fails_and_threads_run_on(
        || filter_ptrace(libc::SECCOMP_RET_TRAP),
        |reason| matches!(reason, CouldNotStop::HelperDied(Death::Fault(libc::SIGSYS, _))),
    );
}

/// Whoever may not wait could see no stop: nobody is seized, and a signal does instead.
#[test]
fn waits_are_refused() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        injection::arm(libc::SYS_waitid, libc::EPERM, 0, u32::MAX);
        let reason = stop(&PTRACE_ONLY, &mut |_, _| ()).expect_err("it stopped");
        let notes = stop(&Options::DEFAULT, &mut |_, _| ());
        injection::arm(-1, 0, 0, 0);
        assert!(matches!(reason, CouldNotStop::Refused(errno, _) if errno.get() == libc::EPERM), "{reason}");
        assert!(
            notes.is_ok_and(|notes| notes.is_complete() && notes.backend == Backend::Signal),
            "{notes:?}"
        );
        crowd.end();
    });
}

#[test]
fn no_processes_left() {
    in_child(30, || {
        // Root is not bound by RLIMIT_NPROC.
        // SAFETY: changes the user of this process, which is the test's own.
        if unsafe { libc::setuid(54321) } != 0 {
            return;
        }
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        // SAFETY: sets a limit of this process; and makes it dumpable again, as one that never changed its user is.
        unsafe {
            let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_NPROC, &limit);
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        }
        let reason = stop(&PTRACE_ONLY, &mut |_, _| ()).expect_err("it stopped");
        assert!(matches!(reason, CouldNotStop::NoHelper(errno) if errno.get() == libc::EAGAIN), "{reason}");
        crowd.end();
    });
}

#[test]
fn not_dumpable() {
    in_child(30, || {
        // SAFETY: changes the user of this process, which is the test's own.
        if unsafe { libc::setuid(54321) } != 0 {
            return;
        }
        // SAFETY: touches no memory.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let reason = stop(&PTRACE_ONLY, &mut |_, _| ()).expect_err("it stopped");
        let clear =
            matches!(reason, CouldNotStop::Refused(_, Refusal::NotDumpable(0)) | CouldNotStop::NoProc(_));
        assert!(clear, "{reason}");
        // A signal asks nobody.
        let notes = stop(&Options::DEFAULT, &mut |_, _| ()).unwrap();
        assert!(notes.is_complete() && notes.backend == Backend::Signal, "{notes:?}");
        crowd.end();
    });
}

#[test]
fn traced_already() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let tids = crowd.tids.clone();
        let mut pipe = [0; 2];
        // SAFETY: a pipe, and a child that seizes its siblings' threads and waits.
        let tracer = unsafe {
            assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
            libc::fork()
        };
        if tracer == 0 {
            for tid in &tids {
                crate::sys::ptrace::seize(*tid, 0).unwrap();
            }
            let _ = crate::sys::file::write_all(pipe[1], b"x");
            std::thread::sleep(Duration::from_secs(20));
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let mut byte = 0u8;
        // SAFETY: reads one byte.
        unsafe { libc::read(pipe[0], (&raw mut byte).cast(), 1) };
        let reason = stop(&PTRACE_ONLY, &mut |_, _| ()).expect_err("it stopped");
        assert_eq!(reason, CouldNotStop::AlreadyTraced(tracer));
        // SAFETY: the child made above.
        unsafe {
            libc::kill(tracer, libc::SIGKILL);
            libc::waitpid(tracer, core::ptr::null_mut(), 0);
        }
        assert!(stop(&PTRACE_ONLY, &mut |_, _| ()).unwrap().is_complete());
        crowd.end();
    });
}

#[test]
fn no_proc() {
    in_child(30, || {
        // SAFETY: moves this process, the test's own, into a directory without /proc.
        let moved =
            unsafe { libc::chroot(c"/usr/share/doc".as_ptr()) == 0 && libc::chdir(c"/".as_ptr()) == 0 };
        if !moved {
            return;
        }
        assert!(stop(&PTRACE_ONLY, &mut |_, _| ()).is_ok(), "a single task needs no /proc");
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let mut known = 0;
        let stopped = stop(&PTRACE_ONLY, &mut |world, _| {
            known = world.threads().iter().filter(|thread| thread.has_registers()).count();
        });
        if crate::arch::KERNEL_DECIDES_RESTART {
            assert!(stopped.as_ref().is_ok_and(|notes| notes.is_complete()), "{stopped:?}");
            assert_eq!(known, 4);
        } else {
            assert!(matches!(stopped, Err(CouldNotStop::NoProc(_))), "{stopped:?}");
        }
        let by_signal = Options { means: Means::Signal, ..Options::DEFAULT };
        assert!(matches!(stop(&by_signal, &mut |_, _| ()), Err(CouldNotStop::NoProc(_))));
        crowd.end();
    });
}

#[test]
fn no_descriptor_left() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        // SAFETY: opens descriptors until the limit.
        unsafe {
            let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
            while libc::dup(2) >= 0 {}
        }
        let notes = stop(&PTRACE_ONLY, &mut |_, _| ()).unwrap();
        assert!(notes.is_complete() && notes.threads == 4, "{notes:?}");
        crowd.end();
    });
}

#[test]
fn a_fault_of_the_work_is_the_helpers_alone() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let reason = stop(&PTRACE_ONLY, &mut |_, _| {
            // SAFETY: none: the fault is the point of the test. It is the helper's, which has handlers of its own.
            unsafe { core::ptr::without_provenance::<u8>(0x1230).read_volatile() };
        });
        assert_eq!(reason.unwrap_err(), CouldNotStop::HelperDied(Death::Fault(libc::SIGSEGV, 0x1230)));
        crowd.end();
        no_child_is_left();
    });
}

#[test]
fn work_without_end_is_ended() {
    in_child(30, || {
        let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(1)));
        let options = Options { work_deadline_ns: 200_000_000, ..PTRACE_ONLY };
        let reason = stop(&options, &mut |_, _| {
            loop {
                core::hint::spin_loop();
            }
        });
        assert_eq!(reason.unwrap_err(), CouldNotStop::HelperDied(Death::Deadline));
        crowd.end();
        no_child_is_left();
    });
}
