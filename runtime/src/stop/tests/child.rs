//! A forked process to stop the world in, with real threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use super::super::{Caller, CouldNotStop, Options, StopNotes, ThreadRecord, World, stop_the_world};
use crate::arch::{self, CallerFrame};
use crate::base::{Addr, Tid};
use crate::mem::{MapVec, ProcessMemory};
use crate::sys::file;

/// How many times slower than usual this machine is: TESTS_SLOWNESS, which is set for an emulated CPU. Limits of time are
/// multiplied by it.
pub(super) fn slowness() -> u32 {
    std::env::var("TESTS_SLOWNESS").map_or(1, |text| text.parse().expect("TESTS_SLOWNESS is a number"))
}

/// Runs `body` in a forked process; fails the test when it panics, dies, or takes longer than `seconds` on a machine of
/// usual speed.
pub(crate) fn in_child(seconds: u32, body: impl FnOnce()) {
    let status = status_of_child(seconds, body);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended with {status:#x}");
}

/// Runs `body` in a forked process; the raw wait status.
pub(super) fn status_of_child(seconds: u32, body: impl FnOnce()) -> i32 {
    ended_child(seconds, body).1
}

/// Runs `body` in a forked process; its id, free again, and the raw wait status.
pub(super) fn ended_child(seconds: u32, body: impl FnOnce()) -> (i32, i32) {
    // SAFETY: glibc keeps malloc and threads usable in the child of a threaded process (its atfork handlers), which is
    // all that the body needs of the state that it inherits.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: no memory involved.
        unsafe { libc::alarm(seconds * slowness()) };
        let result = catch_unwind(AssertUnwindSafe(body));
        if let Err(panic) = &result {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            let _ = file::write_all(2, format!("in the child: {text}\n").as_bytes());
        }
        // SAFETY: ends the child without the test harness' exit handlers.
        unsafe { libc::_exit(if result.is_ok() { 0 } else { 101 }) };
    }
    let mut status = 0;
    // SAFETY: status is ours.
    while unsafe { libc::waitpid(pid, &mut status, 0) } != pid {}
    (pid, status)
}

/// A stop on behalf of this function's caller.
pub(super) fn stop(
    options: &Options,
    work: &mut dyn FnMut(&World, ProcessMemory<'_>),
) -> Result<StopNotes, CouldNotStop> {
    let frame = CallerFrame::default();
    let options = &Options { deadline_ns: options.deadline_ns * u64::from(slowness()), ..*options };
    stop_the_world(&Caller { frame: &frame, stack_pointer: Addr::new(arch::stack_pointer()) }, options, work)
}

/// A stop that brings the records home.
pub(super) fn records(options: &Options) -> (StopNotes, Vec<ThreadRecord>) {
    let mut got = MapVec::<ThreadRecord>::new();
    got.reserve(20_000).unwrap();
    let notes = stop(options, &mut |world, _| {
        for record in world.threads() {
            let _ = got.push(*record);
        }
    });
    (notes.unwrap_or_else(|reason| panic!("{reason}")), got.to_vec())
}

/// Threads that do something until told to end.
pub(super) struct Crowd {
    pub(super) tids: Vec<Tid>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Starts `count` threads, each of which repeats `turn(its number)`.
    pub(super) fn start(count: usize, turn: impl Fn(usize) + Clone + Send + 'static) -> Crowd {
        let end = Arc::new(AtomicBool::new(false));
        let ready = Arc::new(Barrier::new(count + 1));
        let (tell, told) = std::sync::mpsc::channel();
        let threads = (0..count)
            .map(|number| {
                let (end, ready, tell, turn) = (end.clone(), ready.clone(), tell.clone(), turn.clone());
                let start = move || {
                    tell.send(crate::sys::process::tid()).unwrap();
                    ready.wait();
                    while !end.load(SeqCst) {
                        turn(number);
                    }
                };
                std::thread::Builder::new().stack_size(64 << 10).spawn(start).unwrap()
            })
            .collect();
        let tids = told.iter().take(count).collect();
        ready.wait();
        Crowd { tids, end, threads }
    }

    /// Ends them.
    pub(super) fn end(self) {
        self.end.store(true, SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}
