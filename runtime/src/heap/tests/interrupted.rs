//! The heap in a signal handler that has interrupted its own thread inside of the heap: the locks are held, and whoever
//! holds them does not go on before the handler returns.

use super::*;

const SIZES: [usize; 7] = [1, 40, 500, 5000, 50_000, 400_000, 3 << 20];

/// Allocates and frees on a new part of the heap, as a handler does. Counts what it did not get.
fn handle(given: &mut Vec<(usize, NonNull<u8>)>) -> usize {
    let mut heap = ThreadHeap::new();
    let mut refused = 0;
    for round in 0..3 {
        for size in SIZES {
            let Some(block) = allocate(&mut heap, &plain(size)) else {
                refused += 1;
                continue;
            };
            fill(block.addr().get(), size, round);
            check(block.addr().get(), size, round);
            if round == 1 {
                free(&mut heap, block, Origin::Malloc).unwrap();
                assert_eq!(free(&mut heap, block, Origin::Malloc), Err(Misuse::DoubleFree));
            } else {
                given.push((size, block));
            }
        }
    }
    // What the interrupted thread allocated is freed too.
    for (_, block) in given.drain(..given.len() / 2) {
        free(&mut heap, block, Origin::Malloc).unwrap();
    }
    thread_exit(&mut heap);
    // What could not be given back is kept, and given back by the next.
    thread_exit(&mut heap);
    refused
}

#[test]
fn a_handler_does_without_the_locks_that_its_thread_holds() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    let mut given: Vec<_> =
        SIZES.iter().map(|size| (*size, allocate(&mut heap, &plain(*size)).unwrap())).collect();
    for class in 0..size_class::CLASSES {
        let bin = central::BINS[0][class].lock().unwrap();
        assert!(central::BINS[0][class].is_mine() && central::BINS[0][class].lock().is_none());
        assert_eq!(handle(&mut given), 0);
        drop(bin);
    }
    let pool = pool::POOL.lock().unwrap();
    assert_eq!(handle(&mut given), 0);
    drop(pool);
    let both = (central::BINS[1][2].lock().unwrap(), pool::POOL.lock().unwrap());
    assert_eq!(handle(&mut given), 0);
    drop(both);
    // Only blocks with mappings of their own are not to be had at the lock of those.
    large::while_locked(|| assert_eq!(handle(&mut given), 3));
    cache::while_locked(|| assert_eq!(handle(&mut given), 0));
    for (_, block) in given {
        free(&mut heap, block, Origin::Malloc).unwrap();
    }
    thread_exit(&mut heap);
    trim();
}

#[test]
fn what_a_handler_gave_back_is_taken_in() {
    let _alone = alone();
    let mut heap = ThreadHeap::new();
    let span = allocate(&mut heap, &plain(1 << 20)).unwrap();
    let (segment, unit) = lookup::unit(span.addr().get()).unwrap();
    let bit = 1 << segment.number(unit);
    let pool = pool::POOL.lock().unwrap();
    free(&mut heap, span, Origin::Malloc).unwrap();
    assert_eq!(segment.free.load(Ordering::Relaxed) & bit, 0);
    drop(pool);
    let large = allocate(&mut heap, &plain(9 << 20)).unwrap();
    large::while_locked(|| free(&mut heap, large, Origin::Malloc).unwrap());
    let again = allocate(&mut heap, &plain(9 << 20)).unwrap();
    assert_eq!(again, large);
    // Of another size, so that it is not the one that is looked for.
    let other = allocate(&mut heap, &plain(70_000)).unwrap();
    assert!(
        segment.base.load(Ordering::Relaxed) == 0
            || segment.free.load(Ordering::Relaxed) & bit != 0
            || other == span
    );
    free(&mut heap, other, Origin::Malloc).unwrap();
    free(&mut heap, again, Origin::Malloc).unwrap();
    thread_exit(&mut heap);
}
