//! What was told already: each misuse once for the call stacks that it has to do with, since a program that does it in a
//! loop would be told the same for ever, and wait for the command that names functions each time.
//!
//! And who is telling at the moment, so that a thread whose misuse ends the process does not cut another's report off.
//!
//! Contract: inside free, on every thread; lock-free.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crate::sys::{process, timer};

use super::misuse::MisuseReport;
use super::render_child;
use super::say::say;

/// So many are told at most.
const MOST: usize = 512;

static TOLD: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

/// The threads that tell something now, each as process and thread id; 0 free. In a forked child the others' entries
/// are of another process.
static TELLERS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// A misuse is being told, until this is dropped.
pub(super) struct Telling(Option<&'static AtomicU64>);

impl Telling {
    /// `None` if it was told already, or there is no room to remember it. One that ends the process is told in any case,
    /// unless another thread tells the same.
    pub(super) fn begin(report: &MisuseReport<'_>) -> Option<Telling> {
        // First: who finds the misuse entered must find who tells it.
        let telling = Telling(
            TELLERS.iter().find(|place| place.compare_exchange(0, own_id(), SeqCst, Relaxed).is_ok()),
        );
        match enter(&TOLD, key(report)) {
            Entered::First => Some(telling),
            Entered::NoRoom if report.ends => Some(telling),
            Entered::Known | Entered::NoRoom => {
                LEFT_OUT.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(0, SeqCst);
        }
    }
}

fn own_id() -> u64 {
    (process::pid() as u64) << 32 | u64::from(process::tid().get() as u32)
}

/// Waits until no other thread of this process tells anything: a process that ends meanwhile would leave half a report. Not
/// for ever: the command that names functions may hang, and a thread may have been left in a signal handler.
pub(super) fn await_others() {
    let deadline = process::monotonic_ns() + render_child::DEADLINE_NS;
    let own = own_id();
    let is_another = |teller: u64| teller >> 32 == own >> 32 && teller != own;
    while TELLERS.iter().any(|place| is_another(place.load(SeqCst))) && process::monotonic_ns() < deadline {
        timer::sleep(1_000_000);
    }
}

/// Its kind and call stacks as a number that is not 0.
fn key(report: &MisuseReport<'_>) -> u64 {
    let stacks = u64::from(report.freed_by.0) << 32 | u64::from(report.allocated_by.0);
    // FNV-1a (Fowler, Noll, Vo), 64 bits.
    let prime = 0x100_0000_01b3_u64;
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(prime);
    stacks.to_ne_bytes().iter().chain(report.what.as_bytes()).fold(0xcbf2_9ce4_8422_2325, mix).max(1)
}

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entered {
    First,
    Known,
    NoRoom,
}

/// Enters `key`, which is not 0.
fn enter(table: &[AtomicU64], key: u64) -> Entered {
    let (front, back) = table.split_at(key as usize % table.len());
    for place in back.iter().chain(front) {
        match place.compare_exchange(0, key, SeqCst, Relaxed) {
            Ok(_) => return Entered::First,
            Err(other) if other == key => return Entered::Known,
            Err(_) => {}
        }
    }
    Entered::NoRoom
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
        assert!([7, 3, 11, 5].into_iter().all(|key| enter(&table, key) == Entered::First));
        assert!([7, 3, 11, 5].into_iter().all(|key| enter(&table, key) == Entered::Known));
        assert_eq!(enter(&table, 6), Entered::NoRoom);
    }
}
