//! Models of the lock-free parts for loom: `RUSTFLAGS="--cfg loom" cargo test -p standstill-runtime --lib loom_`.
//!
//! The files under test are compiled a second time here, over loom's atomics.

mod sync {
    pub(super) use loom::sync::atomic::{AtomicPtr, AtomicUsize};

    loom::thread_local! {
        static THREAD: u8 = 0;
    }

    /// Differs between threads, as the address of a thread's own variable does.
    pub(super) fn thread_pointer() -> usize {
        THREAD.with(|own| core::ptr::from_ref(own).addr())
    }

    pub(super) fn relax() {
        loom::thread::yield_now();
    }
}

#[path = "lock.rs"]
#[allow(dead_code, reason = "the fork is not modelled")]
mod lock;

#[path = "radix.rs"]
mod radix;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use loom::thread;

use radix::{LEAF, Leaf, Radix, STEP};

fn empty() -> Radix {
    Radix {
        root: core::array::from_fn(|_| AtomicPtr::new(core::ptr::null_mut())),
        not_first: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
    }
}

fn leaf() -> Option<*mut Leaf> {
    // Left to the model's end: published tables stay for good.
    Some(Box::into_raw(Box::new(Leaf { entries: core::array::from_fn(|_| AtomicUsize::new(0)) })))
}

#[test]
fn loom_one_holder_at_a_time_and_a_second_lock_of_its_own_is_refused() {
    loom::model(|| {
        let lock = Arc::new(lock::OwnerLock {
            owner: AtomicUsize::new(0),
            value: core::cell::UnsafeCell::new([0usize; 2]),
        });
        let other = lock.clone();
        let add = |lock: &lock::OwnerLock<[usize; 2]>| {
            let mut both = lock.lock().unwrap();
            assert_eq!(both[0], both[1]);
            both[0] += 1;
            assert!(lock.is_mine() && lock.lock().is_none());
            both[1] += 1;
        };
        let second = thread::spawn(move || add(&other));
        add(&lock);
        second.join().unwrap();
        assert_eq!(*lock.lock().unwrap(), [2, 2]);
    });
}

/// A descriptor: what a reader must see complete.
struct Descriptor {
    base: AtomicUsize,
}

#[test]
fn loom_a_reader_sees_a_segment_whole_or_not_at_all() {
    loom::model(|| {
        let radix = Arc::new(empty());
        let descriptor = Arc::new(Descriptor { base: AtomicUsize::new(0) });
        let (writer_radix, writer_descriptor) = (radix.clone(), descriptor.clone());
        let writer = thread::spawn(move || {
            assert!(writer_radix.prepare(STEP, STEP, leaf));
            writer_descriptor.base.store(STEP, Relaxed);
            writer_radix.set(STEP, STEP, 1);
        });
        match radix.get(STEP + 8) {
            0 => {}
            1 => assert_eq!(descriptor.base.load(Relaxed), STEP),
            entry => panic!("entry {entry}"),
        }
        writer.join().unwrap();
        assert_eq!(radix.get(STEP), 1);
    });
}

#[test]
fn loom_whoever_sees_an_entry_visits_it() {
    loom::model(|| {
        let radix = Arc::new(empty());
        let writer_radix = radix.clone();
        let writer = thread::spawn(move || {
            assert!(writer_radix.prepare(STEP, STEP, leaf));
            writer_radix.set(STEP, STEP, 1);
        });
        if radix.get(STEP) == 1 {
            let mut seen = 0;
            radix.for_each(|start, entry| {
                assert_eq!((start, entry), (STEP, 1));
                seen += 1;
            });
            assert_eq!(seen, 1);
        }
        writer.join().unwrap();
    });
}

#[test]
fn loom_two_threads_install_one_table() {
    loom::model(|| {
        let radix = Arc::new(empty());
        let other = radix.clone();
        let far = LEAF * STEP - STEP;
        let second = thread::spawn(move || {
            assert!(other.prepare(far, STEP, leaf));
            other.set(far, STEP, 2);
        });
        assert!(radix.prepare(0, STEP, leaf));
        radix.set(0, STEP, 1);
        second.join().unwrap();
        assert_eq!((radix.get(0), radix.get(far)), (1, 2));
    });
}

#[test]
fn loom_a_cleared_entry_stays_cleared_for_who_knows_of_it() {
    loom::model(|| {
        let radix = Arc::new(empty());
        assert!(radix.prepare(0, STEP, leaf));
        radix.set(0, STEP, 1);
        let unmapped = Arc::new(AtomicUsize::new(0));
        let (writer_radix, writer_unmapped) = (radix.clone(), unmapped.clone());
        let writer = thread::spawn(move || {
            writer_radix.set(0, STEP, 0);
            writer_unmapped.store(1, loom::sync::atomic::Ordering::Release);
        });
        if unmapped.load(loom::sync::atomic::Ordering::Acquire) == 1 {
            assert_eq!(radix.get(0), 0);
        }
        writer.join().unwrap();
    });
}
