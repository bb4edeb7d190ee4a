//! Signals arrive once, in order, with their values; whatever becomes of the helper.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::super::{CouldNotStop, Death, Means, Options, QueuedSignal, StopKind};
use super::child::{Crowd, in_child, slowness, status_of_child, stop};
use crate::sys::process;

static NEXT: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);

extern "C" fn in_order(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo_t, sent by sigqueue with a value.
    let value = unsafe { (*info).si_value().sival_ptr.addr() };
    if value != NEXT.fetch_add(1, SeqCst) {
        WRONG.fetch_add(1, SeqCst);
    }
}

fn count_in_order(signal: i32) {
    // SAFETY: installs a handler that only counts.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = in_order as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        assert_eq!(libc::sigaction(signal, &action, core::ptr::null_mut()), 0);
    }
}

/// Sends values in order to one thread until told to end; how many were sent.
fn storm(tid: i32, signal: i32, end: &AtomicBool) -> usize {
    let mut sent = 0usize;
    while !end.load(SeqCst) {
        // SAFETY: zero is a value of siginfo_t; rt_tgsigqueueinfo reads it.
        let done = unsafe {
            let mut info: libc::siginfo_t = core::mem::zeroed();
            info.si_signo = signal;
            info.si_code = libc::SI_QUEUE;
            let value = core::ptr::from_mut(&mut info).cast::<u8>().add(24).cast::<usize>();
            value.write(sent);
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), tid, signal, &raw mut info)
        };
        if done == 0 {
            sent += 1;
        } else {
            std::thread::yield_now();
        }
        if sent.is_multiple_of(16) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    sent
}

/// With `kill`, another process kills the helper at any moment of its life.
fn queued_values_arrive_once(kill: bool, means: Means) {
    let signal = libc::SIGRTMIN() + 3;
    count_in_order(signal);
    let end: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let killer = if kill { start_killer() } else { 0 };
    let crowd = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(20)));
    let target = crowd.tids[0].get();
    let sender = std::thread::spawn(move || storm(target, signal, end));
    let (mut died, mut done) = (0, 0);
    let start = std::time::Instant::now();
    let enough = |done, died| done > 20 && (died > 5 || !kill);
    let patience = Duration::from_secs(4) * slowness();
    while start.elapsed() < Duration::from_secs(4) || !enough(done, died) && start.elapsed() < patience {
        match stop(&Options { means, ..Options::DEFAULT }, &mut |_, _| ()) {
            Ok(_) => done += 1,
            Err(CouldNotStop::HelperDied(Death::Signal(libc::SIGKILL))) => died += 1,
            Err(other) => panic!("{other}"),
        }
    }
    end.store(true, SeqCst);
    let sent = sender.join().unwrap();
    let start = std::time::Instant::now();
    while NEXT.load(SeqCst) < sent {
        assert!(
            start.elapsed() < Duration::from_secs(5) * slowness(),
            "{} of {sent} arrived",
            NEXT.load(SeqCst)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((NEXT.load(SeqCst), WRONG.load(SeqCst)), (sent, 0), "lost, doubled or out of order");
    assert!(enough(done, died) && sent > 100, "{done} stops, {died} killed helpers, {sent} signals");
    if kill {
        // SAFETY: the process that start_killer made.
        unsafe { libc::kill(killer, libc::SIGKILL) };
    }
    crowd.end();
}

#[test]
fn queued_signals_arrive_once_and_in_order() {
    for means in [Means::Ptrace, Means::Signal] {
        in_child(60, || queued_values_arrive_once(false, means));
    }
}

#[test]
fn also_when_the_helper_is_killed() {
    for means in [Means::Ptrace, Means::Signal] {
        in_child(60, || queued_values_arrive_once(true, means));
    }
}

/// A process that kills children of this one, but not itself, after random times, of which some are longer than a stop takes.
fn start_killer() -> i32 {
    let parent = process::pid();
    // SAFETY: the child uses only std's file functions.
    let pid = unsafe { libc::fork() };
    if pid != 0 {
        return pid;
    }
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let own = process::pid();
    let mut random = 12345u32;
    loop {
        let listed =
            std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        for child in
            listed.split_whitespace().filter_map(|word| word.parse::<i32>().ok()).filter(|c| *c != own)
        {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            std::thread::sleep(Duration::from_micros(u64::from(random >> 16) % 1500) * slowness());
            // SAFETY: a child of the parent a moment ago; the test makes no others but the helper.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_micros(u64::from(random >> 20) % 3000));
    }
}

/// Queued signals and their values are in the stopped world's records.
#[test]
fn queued_values_are_seen() {
    in_child(30, || {
        let signal = libc::SIGRTMIN() + 4;
        let crowd = Crowd::start(1, move |_| {
            // SAFETY: blocks a signal in this thread.
            unsafe {
                let mut set: libc::sigset_t = core::mem::zeroed();
                libc::sigaddset(&mut set, signal);
                libc::pthread_sigmask(libc::SIG_BLOCK, &set, core::ptr::null_mut());
            }
            std::thread::sleep(Duration::from_millis(10));
        });
        std::thread::sleep(Duration::from_millis(50));
        let tid = crowd.tids[0].get();
        for value in [0x1111_2222usize, 0x3333_4444] {
            // SAFETY: as in storm.
            unsafe {
                let mut info: libc::siginfo_t = core::mem::zeroed();
                info.si_code = libc::SI_QUEUE;
                core::ptr::from_mut(&mut info).cast::<u8>().add(24).cast::<usize>().write(value);
                libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), tid, signal, &raw mut info);
            }
        }
        let mut seen = [0usize; 2];
        let mut masked = false;
        let options = Options { signal_masks: true, ..Options::DEFAULT };
        stop(&options, &mut |world, _| {
            let values =
                world.queued_signals().iter().filter(|queued| queued.tid.is_some_and(|t| t.get() == tid));
            for (slot, queued) in seen.iter_mut().zip(values) {
                *slot = queued.value();
            }
            masked =
                world.threads().iter().any(|t| t.blocked.is_some_and(|blocked| blocked.contains(signal)));
        })
        .unwrap();
        assert_eq!(seen, [0x1111_2222, 0x3333_4444]);
        assert!(masked);
    });
}

/// A value on its way is in a queue, or in the hands of a thread that stands still just before its handler; there it is in
/// no queue any more.
#[test]
fn a_value_about_to_be_delivered_is_seen() {
    in_child(60, || {
        let signal = libc::SIGRTMIN() + 5;
        count_in_order(signal);
        let end: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let crowd = Crowd::start(1, |_| std::thread::sleep(Duration::from_millis(20)));
        let target = crowd.tids[0];
        let sender = std::thread::spawn(move || storm(target.get(), signal, end));
        let mut met = 0;
        let start = std::time::Instant::now();
        while met < 3 {
            assert!(start.elapsed().as_secs() < 50, "no thread was met at that point");
            stop(&Options::DEFAULT, &mut |world, _| {
                let record = world.threads().iter().find(|thread| thread.tid == target);
                if record.is_some_and(|thread| thread.stop == StopKind::SignalDelivery(signal)) {
                    met += 1;
                    let next = NEXT.load(SeqCst);
                    let of_target = |queued: &&QueuedSignal| queued.tid == Some(target);
                    let first = world.queued_signals().iter().find(of_target).map(QueuedSignal::value);
                    WRONG.fetch_add(usize::from(first != Some(next)), SeqCst);
                }
            })
            .unwrap();
        }
        end.store(true, SeqCst);
        sender.join().unwrap();
        assert_eq!(WRONG.load(SeqCst), 0);
        crowd.end();
    });
}

/// The mask and the actions of the caller are as before.
#[test]
fn the_callers_signal_state_is_kept() {
    in_child(30, || {
        let crowd = Crowd::start(2, |_| std::thread::sleep(Duration::from_millis(10)));
        let state = || {
            // SAFETY: reads the mask and one action into values of ours.
            unsafe {
                let (mut mask, mut action): (u64, libc::sigaction) = core::mem::zeroed();
                libc::syscall(libc::SYS_rt_sigprocmask, 0, 0, &raw mut mask, 8);
                libc::sigaction(libc::SIGSEGV, core::ptr::null(), &mut action);
                (mask, action.sa_sigaction)
            }
        };
        let before = state();
        stop(&Options::DEFAULT, &mut |_, _| ()).unwrap();
        assert_eq!(state(), before);
        crowd.end();
    });
}

/// SIGSTOP and SIGCONT to the whole process during checks: it stops and goes on as it would.
#[test]
fn job_control_goes_on() {
    let status = status_of_child(60, || {
        let pid = process::pid();
        // SAFETY: the child only sends signals.
        let other = unsafe { libc::fork() };
        if other == 0 {
            for _ in 0..200 {
                for signal in [libc::SIGSTOP, libc::SIGCONT] {
                    // SAFETY: the parent, which waits for us.
                    unsafe { libc::kill(pid, signal) };
                    std::thread::sleep(Duration::from_micros(700));
                }
            }
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let crowd = Crowd::start(4, |_| std::thread::sleep(Duration::from_millis(1)));
        let mut status = 0;
        let mut stops = 0;
        // SAFETY: status is ours.
        while unsafe { libc::waitpid(other, &mut status, libc::WNOHANG) } == 0 {
            stop(&Options::DEFAULT, &mut |_, _| ()).unwrap();
            stops += 1;
        }
        assert!(stops > 10);
        crowd.end();
    });
    assert_eq!(status, 0);
}
