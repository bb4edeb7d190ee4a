//! The heap in forked children: after a fork in the middle of other threads' work, with a limit on address space, and
//! with system calls that fail. A child of its own keeps the limit and the failures away from the other tests.

use std::collections::HashSet;

use super::*;

/// Runs `inside` in a forked child and says how that ended.
fn in_child(inside: impl FnOnce() + std::panic::UnwindSafe) {
    in_child_of(false, inside);
}

/// The same; `interrupted` as for [`after_fork_in_child`].
fn in_child_of(interrupted: bool, inside: impl FnOnce() + std::panic::UnwindSafe) {
    // SAFETY: fork(2); libc keeps its own locks in order.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // The parts of other threads are not the child's to use here.
        after_fork_in_child(interrupted, |_| {});
        // SAFETY: alarm(2): a child that hangs dies of it.
        unsafe { libc::alarm(120) };
        let good = std::panic::catch_unwind(inside).is_ok();
        // SAFETY: _exit(2): none of the test harness' handlers run.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waitpid(2) for our own child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child ended with status {status:#x}");
}

#[test]
fn a_child_goes_on_while_other_threads_were_inside() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 1..4 {
            let stop = &stop;
            scope.spawn(move || {
                let mut model = Model::beside_others(seed);
                while !stop.load(Ordering::Relaxed) {
                    model.step(300);
                }
                model.end();
            });
        }
        for round in 0..30 {
            let mut model = Model::beside_others(1000 + round);
            for _ in 0..300 {
                model.step(200);
            }
            let inherited = std::panic::AssertUnwindSafe(&model);
            in_child(move || {
                let mut own = Model::new(2000 + round);
                for _ in 0..1000 {
                    own.step(300);
                }
                // What the parent had is there, and can be freed.
                let view = HeapView::new().unwrap();
                inherited.compare(&view);
                own.compare(&view);
                for (at, known) in &inherited.blocks {
                    check(*at, known.request.size, known.seed);
                    free(&mut own.heap, NonNull::new(*at as *mut u8).unwrap(), known.request.origin).unwrap();
                }
                own.end();
            });
            model.end();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Runs `inside` in a child, forked while another thread is at the pool and at every bin of a class.
fn in_child_beside_holder(class: usize, interrupted: bool, inside: impl FnOnce() + std::panic::UnwindSafe) {
    let (forked, wait) = mpsc::channel::<()>();
    let (tell, holding) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let forked = forked;
        scope.spawn(move || {
            let bins: Vec<_> = central::BINS.iter().map(|bins| bins[class].lock().unwrap()).collect();
            let pool = pool::POOL.lock().unwrap();
            tell.send(()).unwrap();
            let _ = wait.recv();
            drop((pool, bins));
        });
        holding.recv().unwrap();
        in_child_of(interrupted, inside);
        drop(forked);
    });
}

/// A signal handler has interrupted malloc, and forks: what its thread has in its cache is not handed out beside.
#[test]
fn a_child_of_a_handler_that_interrupted_malloc_gets_no_block_twice() {
    let _alone = alone();
    let size = 100;
    let mut heap = ThreadHeap::new();
    let some: Vec<_> = (0..500).map(|_| allocate(&mut heap, &plain(size)).unwrap()).collect();
    for block in &some {
        free(&mut heap, *block, Origin::Malloc).unwrap();
    }
    let own = std::panic::AssertUnwindSafe(&mut heap);
    in_child_beside_holder(size_class::of(size), true, move || {
        let own = own;
        let own: &mut ThreadHeap = own.0;
        let mut others: Vec<_> = (0..central::arenas()).map(|_| ThreadHeap::new()).collect();
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            for heap in others.iter_mut().chain([&mut *own]) {
                assert!(seen.insert(allocate(heap, &plain(size)).unwrap()), "handed out twice");
            }
        }
        for block in seen {
            free(own, block, Origin::Malloc).unwrap();
        }
        thread_exit(own);
        trim();
    });
    thread_exit(&mut heap);
}

/// Slabs of a class in the whole heap of which no block is in use.
fn empty_slabs(class: usize) -> usize {
    let mut count = 0;
    pool::RADIX.for_each(|_, entry| {
        if let lookup::Entry::Segment(segment) = lookup::decode(entry) {
            let is_empty = |unit: &&segment::Unit| {
                unit.capacity.load(Ordering::Relaxed) > 0
                    && usize::from(unit.class.load(Ordering::Relaxed)) == class
                    && unit.list.used.load(Ordering::Relaxed) == 0
            };
            count += segment.units.iter().filter(is_empty).count();
        }
    });
    count
}

/// Units that are free keep the descriptor of the slab that they were. In a child that forgets which are free it must
/// not make them one again.
#[test]
fn a_child_takes_no_free_unit_for_a_slab() {
    let _alone = alone();
    let size = 100;
    let class = size_class::of(size);
    let mut heap = ThreadHeap::new();
    let some: Vec<_> =
        (0..20 * size_class::UNIT / size).map(|_| allocate(&mut heap, &plain(size)).unwrap()).collect();
    for block in some {
        free(&mut heap, block, Origin::Malloc).unwrap();
    }
    thread_exit(&mut heap);
    // A bin keeps one.
    assert!(empty_slabs(class) > central::ARENAS.min(central::arenas()), "the test needs free units");
    in_child_beside_holder(class, false, move || {
        assert!(empty_slabs(class) <= central::arenas(), "{} slabs", empty_slabs(class));
    });
}

/// Another thread is at every lock of the heap when the process forks.
#[test]
fn a_child_makes_anew_what_a_thread_that_stayed_behind_had_in_hand() {
    let _alone = alone();
    let mut model = Model::new(77);
    for _ in 0..3000 {
        model.step(1000);
    }
    // Half of these are free blocks of their slab when the child looks for them; the model's are live.
    let size = 100;
    let class = size_class::of(size);
    let some: Vec<_> = (0..500).map(|_| allocate(&mut model.heap, &plain(size)).unwrap()).collect();
    for block in some.iter().step_by(2) {
        free(&mut model.heap, *block, Origin::Malloc).unwrap();
    }
    thread_exit(&mut model.heap);
    let (forked, wait) = mpsc::channel::<()>();
    let (tell, holding) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Ours: when the child fails, the thread below is let go.
        let forked = forked;
        scope.spawn(move || {
            let bins: Vec<_> = central::BINS.iter().map(|bins| bins[class].lock().unwrap()).collect();
            let pool = pool::POOL.lock().unwrap();
            large::while_locked(|| {
                cache::while_locked(|| {
                    tell.send(()).unwrap();
                    wait.recv().unwrap();
                });
            });
            drop((pool, bins));
        });
        holding.recv().unwrap();
        let inherited = std::panic::AssertUnwindSafe((&model, &some));
        in_child(move || {
            let (inherited, some) = *inherited;
            // One of these has the arena in which they are.
            let mut own: Vec<_> = (0..central::arenas()).map(|more| Model::new(78 + more as u64)).collect();
            let freed: HashSet<_> = some.iter().step_by(2).collect();
            let live: HashSet<_> = some.iter().skip(1).step_by(2).collect();
            let mut fresh = vec![];
            // Slabs that other tests left behind may come first.
            while !fresh.iter().rev().take(own.len()).any(|block| freed.contains(block)) {
                assert!(fresh.len() < 200_000, "free blocks are lost");
                fresh.extend(own.iter_mut().map(|own| allocate(&mut own.heap, &plain(size)).unwrap()));
            }
            assert!(!fresh.iter().any(|block| live.contains(block)));
            let (mut own, others) = (own.remove(0), own);
            for block in fresh.iter().chain(some.iter().skip(1).step_by(2)) {
                free(&mut own.heap, *block, Origin::Malloc).unwrap();
            }
            others.into_iter().for_each(|other| other.end());
            for _ in 0..3000 {
                own.step(1000);
            }
            let view = HeapView::new().unwrap();
            inherited.compare(&view);
            own.compare(&view);
            for (at, known) in &inherited.blocks {
                check(*at, known.request.size, known.seed);
                free(&mut own.heap, NonNull::new(*at as *mut u8).unwrap(), known.request.origin).unwrap();
            }
            own.end();
            trim();
        });
        forked.send(()).unwrap();
    });
    for block in some.iter().skip(1).step_by(2) {
        free(&mut model.heap, *block, Origin::Malloc).unwrap();
    }
    model.end();
}

/// Allocates until there is no memory, checks all blocks, frees them.
fn fill_up(heap: &mut ThreadHeap, size: usize) -> usize {
    let mut blocks = Vec::new();
    while let Some(block) = allocate(heap, &plain(size)) {
        fill(block.addr().get(), size, blocks.len() as u8);
        blocks.push(block);
    }
    let count = blocks.len();
    for (seed, block) in blocks.into_iter().enumerate() {
        check(block.addr().get(), size, seed as u8);
        free(heap, block, Origin::Malloc).unwrap();
    }
    count * size
}

#[test]
fn a_limit_on_address_space_is_used_up_and_survived() {
    let _alone = alone();
    in_child(|| {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let now: usize = statm.split(' ').next().unwrap().parse().unwrap();
        let limit = (now * crate::arch::page_size() + (96 << 20)) as u64;
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: setrlimit(2) on a structure of ours.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        let mut heap = ThreadHeap::new();
        for _ in 0..3 {
            for size in [100_000, 2000, 20_000, 900_000, 5 << 20, 100 << 20] {
                let got = fill_up(&mut heap, size);
                assert!(got > 24 << 20 || size == 100 << 20, "{got} bytes in blocks of {size}");
                thread_exit(&mut heap);
                trim();
            }
        }
    });
}

#[test]
fn every_growth_step_may_fail() {
    use crate::sys::invoke::injection;

    let _alone = alone();
    for (call, errno) in [
        (libc::SYS_mmap, libc::ENOMEM),
        (libc::SYS_mremap, libc::ENOMEM),
        (libc::SYS_munmap, libc::ENOMEM),
        (libc::SYS_madvise, libc::EINVAL),
    ] {
        for skip in 0..12 {
            in_child(move || {
                let mut model = Model::new(u64::from(skip) + 1);
                for _ in 0..500 {
                    model.step(200);
                }
                for times in [1, 3, 1000] {
                    injection::arm(call, errno, skip, times);
                    let mut failed = 0;
                    for _ in 0..300 {
                        failed += usize::from(!model.try_step());
                    }
                    let used = injection::left() < times;
                    injection::arm(-1, 0, 0, 0);
                    assert!(failed == 0 || used, "a step failed without a cause");
                    model.compare(&HeapView::new().unwrap());
                    for _ in 0..300 {
                        model.step(200);
                    }
                }
                model.end();
            });
        }
    }
}

/// The view needs its numbers, and does without the table of units: what the table would know is asked of the heap.
#[test]
fn a_view_does_without_the_table_of_units() {
    use crate::sys::invoke::injection;

    let _alone = alone();
    in_child(|| {
        let mut model = Model::new(3);
        for _ in 0..3000 {
            model.step(2000);
        }
        let mut whole = HeapView::new().unwrap();
        whole.index();
        // Large blocks are not in the table, and which block comes first is chance.
        let has_place = |block: &&usize| whole.place(Addr::new(**block)).is_some();
        let block = *model.blocks.keys().find(has_place).unwrap();
        let [mut views, mut tables] = [0; 2];
        for skip in 0..12 {
            injection::arm(libc::SYS_mmap, libc::ENOMEM, skip, 1);
            let view = HeapView::new().map(|mut view| {
                view.index();
                view
            });
            injection::arm(-1, 0, 0, 0);
            if let Ok(view) = view {
                views += 1;
                tables += usize::from(view.place(Addr::new(block)).is_some());
                model.compare(&view);
            }
        }
        assert!(0 < tables && tables < views, "{views} views, {tables} with a table");
        model.end();
    });
}

impl Model {
    /// A step of any kind that may fail for want of memory; false when it did. Nothing has changed then.
    fn try_step(&mut self) -> bool {
        if self.random.below(3) > 0 {
            let request = Request { zeroed: false, ..self.request() };
            let size = request.size * (1 + self.random.below(3));
            let request = Request { size, ..request };
            let Some(block) = allocate(&mut self.heap, &request) else { return false };
            self.enter(block.addr().get(), request);
            return true;
        }
        let Some((at, known)) = self.pick() else { return true };
        let size = self.random.size() * 4;
        let request =
            Request { size, origin: known.request.origin, zeroed: false, align: 16, ..known.request };
        let block = NonNull::new(at as *mut u8).unwrap();
        let Some(new) = reallocate(&mut self.heap, block, &request).unwrap() else {
            check(at, known.request.size, known.seed);
            self.look(at);
            return false;
        };
        self.blocks.remove(&at);
        self.enter(new.addr().get(), request);
        true
    }
}
