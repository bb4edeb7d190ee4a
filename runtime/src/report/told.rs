//! What was told already: each misuse once for the call stacks that it has to do with, since a program that does it in a
//! loop would be told the same for ever, and wait for the command that names functions each time.
//!
//! Contract: inside free, on every thread; lock-free.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::misuse::MisuseReport;
use super::say::say;

/// So many are told at most.
const MOST: usize = 512;

static TOLD: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

/// True for the first of its kind and call stacks, if there is room for it.
pub(super) fn is_first(report: &MisuseReport<'_>) -> bool {
    let stacks = u64::from(report.freed_by.0) << 32 | u64::from(report.allocated_by.0);
    // FNV-1a (Fowler, Noll, Vo), 64 bits.
    let prime = 0x100_0000_01b3_u64;
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(prime);
    let key =
        stacks.to_ne_bytes().iter().chain(report.what.as_bytes()).fold(0xcbf2_9ce4_8422_2325, mix).max(1);
    enter(&TOLD, key) || {
        LEFT_OUT.fetch_add(1, Relaxed);
        false
    }
}

/// Enters `key`, which is not 0; false if it is there, or there is no room.
fn enter(table: &[AtomicU64], key: u64) -> bool {
    let (front, back) = table.split_at(key as usize % table.len());
    for place in back.iter().chain(front) {
        match place.compare_exchange(0, key, Relaxed, Relaxed) {
            Ok(_) => return true,
            Err(other) if other == key => return false,
            Err(_) => {}
        }
    }
    false
}

/// At the end: how many were not told.
pub fn say_what_was_left_out() {
    let count = LEFT_OUT.load(Relaxed);
    if count > 0 {
        say(format_args!(
            "{count} more misuses of the heap were not told: each is told once for its call stacks, {MOST} at most"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_entered_once_and_a_full_table_takes_none() {
        let table: [AtomicU64; 4] = Default::default();
        assert!([7, 3, 11, 5].into_iter().all(|key| enter(&table, key)));
        assert!(![7, 3, 11, 5, 6].into_iter().any(|key| enter(&table, key)));
    }
}
