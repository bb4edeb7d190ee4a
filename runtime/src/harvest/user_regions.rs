//! Regions of memory that the program has registered as roots.
//!
//! Contract: registering and unregistering takes a lock; the driver takes a [`snapshot`] before it stops the world, so
//! that the stopped world asks for no lock.
//!
//! As in LSan a region counts how often it was registered, and is a root until it was unregistered as often.

use crate::base::lock::Lock;
use crate::base::{AddrRange, Errno};
use crate::mem::MapVec;

#[derive(Clone, Copy)]
struct Entry {
    range: AddrRange,
    count: u32,
}

static REGIONS: Lock<MapVec<Entry>> = Lock::new(MapVec::new());

/// Before fork(2): nobody changes the list while the process is copied.
pub fn before_fork() {
    core::mem::forget(REGIONS.lock());
}

/// After fork(2), in both processes.
pub fn after_fork() {
    // SAFETY: `before_fork` on this thread took the lock and forgot the guard.
    unsafe { REGIONS.force_unlock() };
}

/// Adds a region, or counts it once more.
pub fn register(range: AddrRange) -> Result<(), Errno> {
    let mut regions = REGIONS.lock();
    if let Some(entry) = regions.iter_mut().find(|entry| entry.range == range) {
        entry.count += 1;
        return Ok(());
    }
    regions.push(Entry { range, count: 1 })
}

/// Takes one registration of exactly this region back; false when there is none.
pub fn unregister(range: AddrRange) -> bool {
    let mut regions = REGIONS.lock();
    let Some(index) = regions.iter().position(|entry| entry.range == range) else { return false };
    let Some(entry) = regions.get_mut(index) else { return false };
    entry.count -= 1;
    if entry.count == 0
        && let Some(last) = regions.pop()
        && let Some(hole) = regions.get_mut(index)
    {
        *hole = last;
    }
    true
}

/// A copy of the list.
pub fn snapshot() -> Result<MapVec<AddrRange>, Errno> {
    let regions = REGIONS.lock();
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
    fn counts_registrations() {
        let region = |at: usize| AddrRange::sized(Addr::new(at), 64);
        let has = |range| snapshot().unwrap().contains(&range);
        register(region(0x1000)).unwrap();
        register(region(0x2000)).unwrap();
        register(region(0x1000)).unwrap();
        assert!(unregister(region(0x1000)));
        assert!(has(region(0x1000)) && has(region(0x2000)));
        assert!(unregister(region(0x1000)));
        assert!(!has(region(0x1000)) && has(region(0x2000)));
        assert!(!unregister(region(0x1000)));
        assert!(unregister(region(0x2000)));
        assert!(!unregister(AddrRange::sized(Addr::new(0x2000), 32)));
    }
}
