//! The tracees of one stop: typestates over ptrace, and a table by thread id.
//!
//! A tracee is seized, then interrupted, then found standing still. Registers exist only on [`Stopped`]; there is no way
//! back, since nothing is ever let go one by one: the tracer's end frees all.
//!
//! Contract: used by the helper alone. The table is sized before the first seizure; it grows only when more threads
//! turn up than there were twice.

use crate::arch::{EXTENDED_SETS, Registers};
use crate::base::{Errno, Tid};
use crate::mem::MapVec;
use crate::sys::ptrace::{self, Queue};
use crate::sys::wait::{self, Block, Change};

use super::blocked::BlockedCalls;
use super::record::ThreadRecord;

/// Traced, running.
pub(super) struct Seized(Tid);

/// Traced, asked to stop; it may have.
pub(super) struct Interrupted(Tid);

/// Traced, standing still, its stop not consumed.
pub(super) struct Stopped(Tid);

/// The largest extended state known is 11 KiB; what is beyond this would not be read.
const EXTENDED_WORDS: usize = 4096;

/// Where extended states are read to, one after another.
pub(super) struct ExtendedState([u64; EXTENDED_WORDS]);

/// What an interrupted tracee did.
pub(super) enum Found {
    /// It stands still, by this signal and event.
    Stopped(Stopped, i32, i32),
    /// It is dead, and reaped.
    Dead,
    /// Nothing yet.
    NotYet,
}

impl Seized {
    /// Takes a thread, its options in the same call.
    pub(super) fn seize(tid: Tid) -> Result<Seized, Errno> {
        ptrace::seize(tid, ptrace::TRACE_CLONE | ptrace::TRACE_VFORK).map(|()| Seized(tid))
    }

    /// Asks it to stop. An error says that it is dying; its death is found by waiting all the same.
    pub(super) fn interrupt(self) -> Interrupted {
        let _ = ptrace::interrupt(self.0);
        Interrupted(self.0)
    }
}

impl Interrupted {
    /// Waits for its stop or death, or looks. EINTR: the watchdog's timer went off.
    pub(super) fn wait(&self, block: Block) -> Result<Found, Errno> {
        Ok(match wait::tracee(self.0, block)? {
            None => Found::NotYet,
            Some(Change::Stopped { signal, event }) => Found::Stopped(Stopped(self.0), signal, event),
            Some(Change::Exited(_) | Change::Killed(_)) => {
                // A leader whose threads live on is not reaped by this and must not be waited for.
                let _ = wait::reap(self.0);
                Found::Dead
            }
        })
    }
}

impl ExtendedState {
    pub(super) const fn new() -> ExtendedState {
        ExtendedState([0; EXTENDED_WORDS])
    }

    /// That of a thread, without its trailing zeros: unused components are zero, and the largest lie last, so that what is
    /// left is a fraction.
    pub(super) fn read(&mut self, thread: &Stopped) -> Result<&[u64], Errno> {
        let bytes = size_of_val(&self.0);
        // SAFETY: the same memory as bytes: any bytes are valid words and the other way round.
        let into = unsafe { core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), bytes) };
        let state = self.0.get(..thread.extended(into)? / 8).unwrap_or_default();
        let used = state.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        Ok(state.get(..used).unwrap_or_default())
    }
}

impl Stopped {
    /// A thread that was found standing still before, and still is: nothing lets it go but our end.
    pub(super) fn again(record: &ThreadRecord) -> Stopped {
        Stopped(record.tid)
    }

    /// The general registers.
    pub(super) fn registers(&self) -> Result<Registers, Errno> {
        ptrace::registers(self.0)
    }

    /// Replaces the general registers.
    pub(super) fn set_registers(&self, registers: &Registers) -> Result<(), Errno> {
        ptrace::set_registers(self.0, registers)
    }

    /// The extended state, one register set after the other; how many bytes of `into` were written. A CPU may lack all but
    /// the first.
    fn extended(&self, into: &mut [u8]) -> Result<usize, Errno> {
        let mut len = 0;
        for set in EXTENDED_SETS {
            match ptrace::register_set(self.0, *set, into.get_mut(len..).unwrap_or_default()) {
                Ok(more) => len += more,
                Err(errno) if len == 0 => return Err(errno),
                Err(_) => {}
            }
        }
        Ok(len)
    }

    /// The task that a stop by EVENT_CLONE or EVENT_VFORK tells of.
    pub(super) fn new_task(&self) -> Option<Tid> {
        ptrace::event_message(self.0).ok().and_then(|message| Tid::new(message as i32))
    }

    /// The signal that it is about to receive, when that is how it stands still.
    pub(super) fn signal_at_delivery(&self) -> Result<libc::siginfo_t, Errno> {
        ptrace::signal_at_delivery(self.0)
    }

    /// Queued signals from the `offset`th on.
    pub(super) fn signals(
        &self,
        queue: Queue,
        offset: usize,
        into: &mut [libc::siginfo_t],
    ) -> Result<usize, Errno> {
        ptrace::peek_signals(self.0, queue, offset, into)
    }

    /// The signals it blocks.
    pub(super) fn mask(&self) -> Result<u64, Errno> {
        ptrace::signal_mask(self.0)
    }
}

/// What is known of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Seized by us.
    Seized,
    /// Seized and interrupted by us.
    Interrupted,
    /// Made by a seized thread, so it was born traced and will stop by itself.
    Arrived,
    /// Standing still, its record made.
    Recorded,
    /// Alive and not traced by us: the caller, or a thread that could not be seized.
    Apart,
    /// An exited leader, which stays in the list as long as other threads live.
    Exited,
    /// Dead and reaped, or a process that shared the memory and has run another program since.
    Gone,
}

/// One task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracee {
    pub(super) tid: Tid,
    pub(super) listed: Tid,
    pub(super) state: State,
    /// Another process that shares the memory.
    pub(super) foreign: bool,
}

/// The table, by the id under which a task is listed in /proc. Open addressing, at most half full.
pub(super) struct Tracees {
    tasks: MapVec<Tracee>,
    /// Index into `tasks` plus one; 0 is free.
    slots: MapVec<u32>,
    /// What they were inside.
    pub(super) blocked: BlockedCalls,
}

impl Tracees {
    /// A table with room for `count` tasks.
    pub(super) fn with_room(count: usize) -> Result<Tracees, Errno> {
        let mut table = Tracees { tasks: MapVec::new(), slots: MapVec::new(), blocked: BlockedCalls::new() };
        table.tasks.reserve(count)?;
        table.slots.resize((2 * count).next_power_of_two().max(64), 0)?;
        Ok(table)
    }

    /// For how many tasks it was made, or more.
    pub(super) fn room(&self) -> usize {
        self.slots.len() / 2
    }

    /// How many tasks are known.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// The `index`th task.
    pub(super) fn get(&self, index: usize) -> Option<Tracee> {
        self.tasks.get(index).copied()
    }

    /// All tasks.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Tracee> {
        self.tasks.iter()
    }

    /// Notes what became of the `index`th task.
    pub(super) fn set(&mut self, index: usize, state: State) {
        if let Some(task) = self.tasks.get_mut(index) {
            task.state = state;
        }
    }

    /// The handle of the `index`th task, when it was seized and not yet interrupted.
    pub(super) fn seized(&self, index: usize) -> Option<(Tracee, Seized)> {
        let task = self.get(index)?;
        (task.state == State::Seized).then_some((task, Seized(task.tid)))
    }

    /// The handle of the `index`th task, when it is one to wait for.
    pub(super) fn interrupted(&self, index: usize) -> Option<(Tracee, Interrupted)> {
        let task = self.get(index)?;
        matches!(task.state, State::Interrupted | State::Arrived).then_some((task, Interrupted(task.tid)))
    }

    /// True when the task listed so is known.
    pub(super) fn contains(&self, listed: Tid) -> bool {
        self.find(listed).is_some()
    }

    /// The task listed so.
    pub(super) fn find(&self, listed: Tid) -> Option<Tracee> {
        let mut at = self.home(listed);
        loop {
            match self.slots.get(at).copied() {
                None | Some(0) => return None,
                Some(index) => {
                    // A reaped id may have been given to a new thread.
                    let task = self.get(index as usize - 1);
                    let found = task.filter(|task| task.listed == listed && task.state != State::Gone);
                    if found.is_some() {
                        return found;
                    }
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a task.
    pub(super) fn add(&mut self, task: Tracee) -> Result<(), Errno> {
        if 2 * (self.tasks.len() + 1) > self.slots.len() {
            self.grow()?;
        }
        self.tasks.push(task)?;
        self.enter(self.tasks.len() - 1);
        Ok(())
    }

    fn home(&self, listed: Tid) -> usize {
        // Fibonacci hashing: neighbouring ids come to lie far apart, so runs stay short.
        let spread = (listed.get() as u32).wrapping_mul(0x9e37_79b1);
        (spread >> 7) as usize & (self.slots.len() - 1)
    }

    fn enter(&mut self, index: usize) {
        let Some(task) = self.get(index) else { return };
        let mask = self.slots.len() - 1;
        let mut at = self.home(task.listed);
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == 0 {
                *slot = index as u32 + 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Errno> {
        let mut slots = MapVec::new();
        slots.resize(self.slots.len() * 2, 0)?;
        self.slots = slots;
        for index in 0..self.tasks.len() {
            self.enter(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: i32) -> Tracee {
        let tid = Tid::new(id).unwrap();
        Tracee { tid, listed: tid, state: State::Apart, foreign: false }
    }

    #[test]
    fn finds_what_was_added_also_after_growing() {
        let mut table = Tracees::with_room(10).unwrap();
        for id in (1..5000).step_by(3) {
            assert!(!table.contains(Tid::new(id).unwrap()));
            table.add(task(id)).unwrap();
        }
        for id in 1..5000 {
            assert_eq!(table.contains(Tid::new(id).unwrap()), id % 3 == 1, "{id}");
        }
    }

    #[test]
    fn a_reaped_id_is_unknown_again() {
        let mut table = Tracees::with_room(4).unwrap();
        table.add(task(7)).unwrap();
        table.set(0, State::Gone);
        assert!(!table.contains(Tid::new(7).unwrap()));
        table.add(task(7)).unwrap();
        assert!(table.contains(Tid::new(7).unwrap()));
    }
}
