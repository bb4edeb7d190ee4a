//! The heap in the child of a fork(2).
//!
//! No lock is held over fork: a thread that waits for one may hold a lock of libc (stdio, nss) that fork waits for. What
//! the child gets is a state that the process had at one moment: fork copies the tables of pages with their owner locked,
//! so a thread that writes to a page which is copied already either still writes to the page that both have, or waits
//! until fork has ended. For each thread the child sees its stores up to some instruction.
//!
//! So what a lock protects is whole unless a thread held the lock, and then its owner is known (lock.rs) and is not the
//! caller: that part is made anew from what needs no lock, the words of the blocks. The caches of threads that were not
//! inside of the runtime are whole too, and are used again by the child's threads (`crate::threads`).

use core::sync::atomic::Ordering::Relaxed;

use super::lookup::{Entry, decode};
use super::pool::RADIX;
use super::segment::Unit;
use super::thread_heap::ThreadHeap;
use super::{cache, central, large, pool};

/// In the child, on its only thread. `each_whole` calls its argument with the part of every thread, the caller's too,
/// that was not inside of an operation. `interrupted` says that the caller's was: it forks in a signal handler, and goes
/// on there later with what it has in its cache and in hand. Nobody can tell these blocks from free ones, so the free
/// blocks of a bin that is made anew are lost then.
pub fn after_fork_in_child(interrupted: bool, mut each_whole: impl FnMut(&mut dyn FnMut(&mut ThreadHeap))) {
    let find_free = if interrupted { central::lose_free } else { central::recover };
    pool::after_fork_in_child();
    large::after_fork_in_child();
    cache::after_fork_in_child();
    central::after_fork_in_child(|arena, class| {
        each_whole(&mut |heap| heap.forget(arena, class));
        each_slab(arena, class, find_free);
    });
}

/// Visits the slabs of a bin that was made anew.
fn each_slab(arena: u8, class: usize, visit: fn(&'static Unit)) {
    RADIX.for_each(|_, entry| {
        let Entry::Segment(segment) = decode(entry) else { return };
        let free = segment.free.load(Relaxed);
        for (number, unit) in segment.units.iter().enumerate() {
            let of_bin = unit.capacity.load(Relaxed) > 0
                && usize::from(unit.class.load(Relaxed)) == class
                && unit.arena.load(Relaxed) == arena;
            if of_bin && free >> number & 1 == 0 {
                visit(unit);
            }
        }
    });
}
