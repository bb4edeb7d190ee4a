//! Which threads are inside a call in which they may sleep, and where their own frames begin.
//!
//! The preload stands before libc's functions that sleep (ffi/sleeping.rs). Around each it lays a record on the stack
//! ([`SleepFrame`]), whose address is in the thread's state meanwhile:
//!
//! ```text
//! entry:  record = {registers of the caller, the word as it was}; word = &record; the real function
//! return: word = what it was, if that is a record above this one; else none
//! ```
//!
//! So whoever knows that the thread does not run ([`crate::stop::watch_the_world`]) knows its stack without asking the kernel:
//! from the record up are the frames of the program, and in the record what it keeps in registers. What lies below, libc's
//! frames or those of a handler that has interrupted the call, is not seen.
//!
//! A record must never be believed whose call is over: the words between it and the true stack pointer are dead, and might
//! hide a leak. A call ends
//!
//! | how | what takes the record back |
//! |---|---|
//! | by its return | the wrapper |
//! | by an exception, a cancellation or pthread_exit(3), which unwind | the wrapper's personality routine ([`leave`]) |
//! | by longjmp(3), setcontext(3) or swapcontext(3) in a signal handler | these functions, which the preload stands before too ([`leave`]) |
//! | in musl, which ends threads without unwinding | nobody; the frames stay, and the thread ends below them |
//!
//! [`leave`] forgets the records of all calls that the thread is in; in an outer one that goes on it is asked for in /proc.
//! Beside this a record counts only with its mark and the return address of its call still in place: one that another stack
//! has put into the word anew, or a handler that was interrupted for good, is most likely found out.
//!
//! Contract: the wrapper's side is async-signal-safe, and so is [`leave`]. The reader's side: raw reads only.
//!
//! A record that lies on another stack than its thread's (a library's coroutine that waits inside of a call, by its own stand-in
//! for read(2)) is no use: where the thread sleeps on its own stack is not known, and the check stops it (harvest/collect.rs).
//!
//! Not promised: that a record is taken back when a handler leaves the call by code of the program's own (switches of stacks
//! by hand, `__builtin_longjmp`, another context to return to), or when a child of vfork(2) is killed in such a call, whose record
//! is then its parent's. The next call from a frame above it that returns forgets it.

use core::sync::atomic::Ordering::Relaxed;

use crate::arch::{SLEEP_FRAME, SleepFrame};
use crate::base::{Addr, Errno, Tid};
use crate::mem::{MapVec, ReadMemory};

use super::registry;

pub use super::state::ASLEEP;

/// A thread inside such a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asleep {
    /// Its id, as gettid(2) numbers it.
    pub tid: Tid,
    /// Where the live part of its stack begins.
    pub from: Addr,
}

/// The calling thread leaves whatever call it was in, other than by its return.
pub fn leave() {
    registry::leave_call();
}

/// All threads that have a record, by their ids. Nothing says that such a thread sleeps, or lives.
pub fn all(memory: &impl ReadMemory) -> Result<MapVec<Asleep>, Errno> {
    let mut all = MapVec::new();
    let mut full = Ok(());
    registry::for_each(&mut |state| {
        if full.is_ok()
            && let Some(tid) = Tid::new(state.tid())
        {
            let at = Addr::new(state.asleep.load(Relaxed));
            full = all.push(Asleep { tid, from: if is_record(at, memory) { at } else { Addr::NULL } });
        }
    });
    full?;
    all.sort_unstable_by_key(|one: &Asleep| one.tid);
    keep_certain(&mut all);
    Ok(all)
}

fn is_record(at: Addr, memory: &impl ReadMemory) -> bool {
    let mut words = [0; SLEEP_FRAME];
    if at.is_null() || !at.get().is_multiple_of(16) || memory.read_words(at, &mut words) != SLEEP_FRAME {
        return false;
    }
    let frame = SleepFrame::of(words);
    frame.mark == SleepFrame::mark(at.get(), frame.caller.return_address)
}

/// Takes out those without a record, and ids that come twice: a thread has died without a word, and another has its number.
fn keep_certain(all: &mut MapVec<Asleep>) {
    let mut kept = 0;
    let mut before = None;
    for at in 0..all.len() {
        let (one, next) = (all.get(at).copied(), all.get(at + 1).map(|one| one.tid));
        let tid = one.map(|one| one.tid);
        if let Some(one) = one.filter(|one| !one.from.is_null() && tid != before && tid != next)
            && let Some(slot) = all.get_mut(kept)
        {
            *slot = one;
            kept += 1;
        }
        before = tid;
    }
    all.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::CallerFrame;
    use crate::mem::ProcessMemory;

    /// A record at a place that is aligned for one.
    #[repr(align(16))]
    struct Record(SleepFrame);

    fn is_one(record: &Record) -> bool {
        // SAFETY: what these tests read is there.
        let memory = unsafe { ProcessMemory::with_own_handlers() };
        is_record(Addr::of(&raw const record.0), &memory)
    }

    #[test]
    fn a_record_counts_at_its_place_and_while_its_call_lasts() {
        let caller = CallerFrame { return_address: 0x40_1234, ..CallerFrame::default() };
        let mut record = Record(SleepFrame { caller, ..SleepFrame::default() });
        assert!(!is_one(&record));
        record.0.mark = SleepFrame::mark(Addr::of(&raw const record.0).get(), 0x40_1234);
        assert!(is_one(&record));
        let mut copy = Record(record.0);
        assert!(!is_one(&copy), "a word of another place");
        copy.0 = SleepFrame::default();
        assert!(!is_one(&copy));
        record.0.caller.return_address = 0x40_5678;
        assert!(!is_one(&record), "another call has this place now");
    }

    #[test]
    fn a_number_that_two_threads_have_had_says_nothing() {
        let mut all = MapVec::new();
        for (tid, from) in [(1, 0), (2, 160), (3, 16), (3, 0), (4, 0), (4, 32), (5, 48), (6, 64), (6, 80)] {
            all.push(Asleep { tid: Tid::new(tid).unwrap(), from: Addr::new(from) }).unwrap();
        }
        keep_certain(&mut all);
        let kept: Vec<_> = all.iter().map(|one| (one.tid.get(), one.from.get())).collect();
        assert_eq!(kept, [(2, 160), (5, 48)]);
    }
}
