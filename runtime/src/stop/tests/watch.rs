//! Threads that sleep are looked at without being woken, and one that does not sleep on is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use super::super::{Backend, Caller, CouldNotStop, Options, StopNotes, Works, World, watch_the_world};
use super::child::{Crowd, in_child};
use crate::arch::{self, CallerFrame};
use crate::base::{Addr, Tid};
use crate::mem::ProcessMemory;
use crate::sys::process::{self, Whose};
use crate::sys::{futex, timer};

const MANY: usize = 100;

fn watch(work: &mut dyn FnMut(&World)) -> Result<StopNotes, CouldNotStop> {
    let frame = CallerFrame::default();
    let caller = Caller { frame: &frame, stack_pointer: Addr::new(arch::stack_pointer()) };
    let mut work = |world: &World, _: ProcessMemory<'_>| work(world);
    watch_the_world(&caller, &Options::DEFAULT, &mut Works { ahead: &mut |_, _| {}, work: &mut work })
}

/// A crowd of which all sleep until they are told to end.
fn sleepers() -> (Crowd, Arc<AtomicBool>) {
    let end = Arc::new(AtomicBool::new(false));
    let told = end.clone();
    let crowd = Crowd::start(MANY, move |_| {
        while !told.load(SeqCst) {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    (crowd, end)
}

/// Once: threads that are on their way to sleep are awake.
fn watch_until_asleep(work: &mut dyn FnMut(&World)) -> StopNotes {
    loop {
        match watch(work) {
            Ok(notes) => return notes,
            Err(why) => assert_eq!(why, CouldNotStop::Awake),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn switches_of_others() -> u64 {
    process::switches(Whose::Process).unwrap() - process::switches(Whose::Thread).unwrap()
}

#[test]
fn sleepers_are_seen_and_not_woken() {
    in_child(60, || {
        let (crowd, end) = sleepers();
        let mut seen = [0; MANY + 1];
        let notes = loop {
            let (mut count, before) = (0, switches_of_others());
            let notes = watch_until_asleep(&mut |world| {
                count = 0;
                for (record, slot) in world.threads().iter().zip(&mut seen) {
                    assert!(!record.stack_pointer().is_null());
                    *slot = record.tid.get();
                    count += 1;
                }
            });
            assert_eq!(count, MANY + 1);
            // Each sleeps for a second; that none has ended its sleep by itself must be seen once.
            if switches_of_others() == before {
                break notes;
            }
        };
        assert_eq!((notes.backend, notes.threads as usize), (Backend::Watch, MANY + 1));
        assert!(crowd.tids.iter().all(|tid| seen.contains(&tid.get())));
        end.store(true, SeqCst);
        crowd.end();
    });
}

/// Beside a crowd that sleeps, one thread more that waits for [`GO`] and then does `then`; the work wakes it, and waits for
/// it to have gone on. What comes of it, and whether the work ran.
fn with_one_more(then: fn()) -> (Option<CouldNotStop>, u32) {
    static GO: AtomicU32 = AtomicU32::new(0);
    let (crowd, end) = sleepers();
    let one = std::thread::spawn(move || {
        while GO.load(SeqCst) == 0 {
            let _ = futex::wait(&GO, 0, u64::MAX / 4);
        }
        then();
    });
    let ran = AtomicU32::new(0);
    // Until everybody sleeps, the work is not run.
    let result = loop {
        let result = watch(&mut |_| {
            ran.fetch_add(1, SeqCst);
            GO.store(1, SeqCst);
            let _ = futex::wake(&GO, 1);
            let patience = process::monotonic_ns() + 500_000_000;
            while GONE_ON.load(SeqCst) == 0 && process::monotonic_ns() < patience {
                timer::sleep(100_000);
            }
            timer::sleep(5_000_000);
        });
        if ran.load(SeqCst) > 0 {
            break result;
        }
        assert_eq!(result.err(), Some(CouldNotStop::Awake));
        std::thread::sleep(Duration::from_millis(1));
    };
    END.store(true, SeqCst);
    one.join().unwrap();
    end.store(true, SeqCst);
    crowd.end();
    (result.err(), ran.load(SeqCst))
}

static GONE_ON: AtomicU32 = AtomicU32::new(0);
static END: AtomicBool = AtomicBool::new(false);

fn is_noticed(then: fn()) {
    in_child(60, || assert_eq!(with_one_more(then), (Some(CouldNotStop::Awake), 1)));
}

#[test]
fn one_that_wakes_and_sleeps_again_is_noticed() {
    is_noticed(|| {
        GONE_ON.store(1, SeqCst);
        while !END.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(300));
        }
    });
}

#[test]
fn one_that_wakes_and_runs_on_is_noticed() {
    is_noticed(|| {
        GONE_ON.store(1, SeqCst);
        while !END.load(SeqCst) {
            core::hint::spin_loop();
        }
    });
}

#[test]
fn one_that_wakes_and_ends_is_noticed() {
    is_noticed(|| GONE_ON.store(1, SeqCst));
}

#[test]
fn threads_that_run_or_are_few_are_not_watched() {
    in_child(60, || {
        let (crowd, end) = sleepers();
        let busy = Crowd::start(1, |_| core::hint::spin_loop());
        assert_eq!(watch(&mut |_| panic!("not all sleep")).err(), Some(CouldNotStop::Awake));
        busy.end();
        end.store(true, SeqCst);
        crowd.end();
        let few = Crowd::start(3, |_| std::thread::sleep(Duration::from_millis(100)));
        assert_eq!(watch(&mut |_| panic!("too few")).err(), Some(CouldNotStop::Awake));
        few.end();
    });
}

/// A fault of the work is a try that came to nothing, not the end of the program.
#[test]
fn a_fault_of_the_work_harms_nobody() {
    in_child(60, || {
        let (crowd, end) = sleepers();
        let fault = |_: &World| {
            // SAFETY: reads no memory: the first page is mapped in no process. The helper dies of it.
            unsafe { core::ptr::without_provenance::<u8>(8).read_volatile() };
        };
        let why = loop {
            match watch(&mut { fault }) {
                Err(CouldNotStop::Awake) => std::thread::sleep(Duration::from_millis(1)),
                other => break other,
            }
        };
        assert!(matches!(why, Err(CouldNotStop::HelperDied(_))), "{why:?}");
        assert!(crowd.tids.iter().all(|tid: &Tid| process::thread_exists(*tid)));
        end.store(true, SeqCst);
        crowd.end();
    });
}
