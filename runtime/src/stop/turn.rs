//! One stop at a time in a process.
//!
//! Two helpers would each find the other's tracees traced. Whoever comes second waits; it is stopped by the first like
//! every thread, and has its turn then.
//!
//! Why by the owner's process id and not a plain lock: a process forked while a stop was going on inherits the word, and
//! no owner that could ever give it back.

use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sys::{process, timer};

use super::notes::CouldNotStop;

/// getpid() of the process whose thread has the turn; 0 when nobody has.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// Given back on drop.
pub(super) struct Turn(());

/// Takes the turn, waiting for it at most `deadline_ns`: of time in which the caller could run. While another stop goes on
/// it stands still like every thread.
pub(super) fn take(pid: i32, deadline_ns: u64) -> Result<Turn, CouldNotStop> {
    /// A round takes half a millisecond. One that took more stood still, or got no CPU.
    const MOST_NS: u64 = 10_000_000;
    let (mut last, mut waited) = (process::monotonic_ns(), 0);
    loop {
        let owner = OWNER.load(Relaxed);
        if owner != pid && OWNER.compare_exchange(owner, pid, Acquire, Relaxed).is_ok() {
            return Ok(Turn(()));
        }
        let now = process::monotonic_ns();
        waited += now.saturating_sub(last).min(MOST_NS);
        last = now;
        if waited > deadline_ns {
            return Err(CouldNotStop::Busy);
        }
        timer::sleep(500_000);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        OWNER.store(0, Release);
    }
}
