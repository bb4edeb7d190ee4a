//! Regions of memory that the program has registered as roots.
//!
//! Contract: registering and unregistering takes a lock; the driver takes a [`snapshot`] before it stops the world, so
//! that the stopped world asks for no lock. The lock knows its owner: a signal handler that has interrupted one of these
//! is told EDEADLK, and may fork.
//!
//! As in LSan a region counts how often it was registered, and is a root until it was unregistered as often.

use core::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

use crate::base::{AddrRange, Errno, ForkDepth};
use crate::heap::lock::{Guard, OwnerLock};
use crate::mem::MapVec;

#[derive(Clone, Copy)]
struct Entry {
    range: AddrRange,
    count: u32,
}

static REGIONS: OwnerLock<MapVec<Entry>> = OwnerLock::new(MapVec::new());

/// Forks that have the lock.
static FORKS: ForkDepth = ForkDepth::none();

/// The holder of the lock is in the middle of a change. It is read by the holder's thread alone, in a signal handler. Who
/// holds the lock without it (a fork, also just before it is counted and just after) has left the list whole.
static CHANGING: AtomicBool = AtomicBool::new(false);

/// The list, to be changed as long as this lives.
struct Change(Guard<'static, MapVec<Entry>>);

impl Change {
    fn begin() -> Result<Change, Errno> {
        let regions = REGIONS.lock().ok_or(IN_USE)?;
        CHANGING.store(true, Relaxed);
        compiler_fence(SeqCst);
        Ok(Change(regions))
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        CHANGING.store(false, Relaxed);
    }
}

/// What a signal handler is told that has interrupted its thread at the list.
pub const IN_USE: Errno = Errno::new(libc::EDEADLK);

/// Before fork(2): nobody changes the list while the process is copied.
pub fn before_fork() {
    let lock = REGIONS.lock();
    FORKS.enter(lock.is_some());
    core::mem::forget(lock);
}

/// After fork(2), in both processes.
pub fn after_fork() {
    if FORKS.leave() {
        REGIONS.give_back();
    }
}

/// Adds a region, or counts it once more.
pub fn register(range: AddrRange) -> Result<(), Errno> {
    let regions = &mut Change::begin()?.0;
    if let Some(entry) = regions.iter_mut().find(|entry| entry.range == range) {
        entry.count += 1;
        return Ok(());
    }
    regions.push(Entry { range, count: 1 })
}

/// Takes one registration of exactly this region back; `Ok(false)` when there is none.
pub fn unregister(range: AddrRange) -> Result<bool, Errno> {
    let regions = &mut Change::begin()?.0;
    let Some(index) = regions.iter().position(|entry| entry.range == range) else { return Ok(false) };
    let Some(entry) = regions.get_mut(index) else { return Ok(false) };
    entry.count -= 1;
    if entry.count == 0
        && let Some(last) = regions.pop()
        && let Some(hole) = regions.get_mut(index)
    {
        *hole = last;
    }
    Ok(true)
}

/// A copy of the list.
pub fn snapshot() -> Result<MapVec<AddrRange>, Errno> {
    if let Some(regions) = REGIONS.lock() {
        return copy(&regions);
    }
    // This thread has it: inside of a fork that holds it, where the list is whole, or in the middle of a change.
    if CHANGING.load(Relaxed) {
        return Err(IN_USE);
    }
    // SAFETY: the guard that this thread has in a frame below, if it was not forgotten, is not looked through: `Change`
    // has marked the time in which one is, and the others are those of `before_fork` and of a copy, which only reads.
    unsafe { REGIONS.held() }.ok_or(IN_USE).and_then(copy)
}

fn copy(regions: &MapVec<Entry>) -> Result<MapVec<AddrRange>, Errno> {
    let mut list = MapVec::new();
    for entry in regions.iter() {
        list.push(entry.range)?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Addr;

    #[test]
    fn a_fork_that_holds_the_list_can_read_it() {
        before_fork();
        before_fork();
        assert!(snapshot().is_ok() && register(AddrRange::sized(Addr::new(0x3000), 8)) == Err(IN_USE));
        after_fork();
        assert!(REGIONS.is_mine());
        after_fork();
        assert!(!REGIONS.is_mine());
    }

    #[test]
    fn only_a_change_hides_the_list_from_a_signal_handler() {
        let region = AddrRange::sized(Addr::new(0x5000), 8);
        register(region).unwrap();
        let lock = REGIONS.lock();
        // As a handler finds it that interrupts a fork before it is counted.
        assert!(lock.is_some() && snapshot().unwrap().contains(&region));
        drop(lock);
        let change = Change::begin().unwrap();
        assert_eq!(snapshot().err(), Some(IN_USE));
        drop(change);
        unregister(region).unwrap();
    }

    #[test]
    fn counts_registrations() {
        let region = |at: usize| AddrRange::sized(Addr::new(at), 64);
        let has = |range| snapshot().unwrap().contains(&range);
        register(region(0x1000)).unwrap();
        register(region(0x2000)).unwrap();
        register(region(0x1000)).unwrap();
        assert_eq!(unregister(region(0x1000)), Ok(true));
        assert!(has(region(0x1000)) && has(region(0x2000)));
        assert_eq!(unregister(region(0x1000)), Ok(true));
        assert!(!has(region(0x1000)) && has(region(0x2000)));
        assert_eq!(unregister(region(0x1000)), Ok(false));
        assert_eq!(unregister(region(0x2000)), Ok(true));
        assert_eq!(unregister(AddrRange::sized(Addr::new(0x2000), 32)), Ok(false));
    }
}
