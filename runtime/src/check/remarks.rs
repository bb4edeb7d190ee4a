//! Sentences for the report: why a check did not see everything, or nothing.

use core::fmt::Arguments;

use crate::base::Errno;
use crate::report::Sentence;
use crate::stop::{CouldNotStop, StopNotes};

use super::analysis::Failure;

/// Sentences kept of each sort; further ones would say no more.
const KEPT: usize = 8;

/// Collected while a check goes on.
pub(super) struct Remarks {
    reasons: [Sentence; KEPT],
    reason_count: usize,
    notes: [Sentence; KEPT],
    note_count: usize,
    failure: Option<Sentence>,
    pause_ns: u64,
}

impl Remarks {
    pub(super) const fn new() -> Remarks {
        Remarks {
            reasons: [Sentence::new(); KEPT],
            reason_count: 0,
            notes: [Sentence::new(); KEPT],
            note_count: 0,
            failure: None,
            pause_ns: 0,
        }
    }

    /// Something was not seen.
    pub(super) fn reason(&mut self, sentence: Arguments<'_>) {
        if let Some(slot) = self.reasons.get_mut(self.reason_count) {
            *slot = Sentence::of(sentence);
            self.reason_count += 1;
        }
    }

    /// The user should know.
    pub(super) fn note(&mut self, sentence: Arguments<'_>) {
        if let Some(slot) = self.notes.get_mut(self.note_count) {
            *slot = Sentence::of(sentence);
            self.note_count += 1;
        }
    }

    /// Nothing was seen.
    pub(super) fn fail(&mut self, sentence: Arguments<'_>) {
        self.failure.get_or_insert(Sentence::of(sentence));
    }

    /// Nothing was seen for want of memory.
    pub(super) fn no_memory(&mut self, errno: Errno) {
        self.fail(format_args!(
            "no memory for the check ({errno}): raise the limit on memory or address space"
        ));
    }

    /// Nothing was seen, though the world stood still.
    pub(super) fn failed(&mut self, failure: Failure) {
        match failure {
            Failure::Memory(errno) => self.no_memory(errno),
            Failure::Maps(errno) => self.fail(format_args!(
                "/proc/self/maps cannot be read ({errno}): mount /proc where the program runs, before a chroot"
            )),
            Failure::Worker => self.fail(format_args!(
                "a task that helped to scan was killed; scan_threads=1 does without"
            )),
            Failure::Time => self.fail(format_args!("it would take longer than survey_deadline_ms allows: allow more")),
            Failure::Hole => self.fail(format_args!("the snapshot lacks memory that the program has (snapshot=0 does without)")),
        }
    }

    /// What the stop was like.
    pub(super) fn stopped(&mut self, stopped: &Result<StopNotes, CouldNotStop>) {
        let notes = match stopped {
            Ok(notes) => notes,
            Err(why) => return self.fail(format_args!("{why}")),
        };
        if notes.threads > 1 {
            self.pause_ns = notes.stop_ns + notes.work_ns;
        }
        if notes.missing > 0 {
            let first = notes.missing().next();
            match first {
                Some((tid, why)) if notes.missing == 1 => {
                    self.reason(format_args!("thread {} {why}", tid.get()))
                }
                Some((tid, why)) => self.reason(format_args!(
                    "{} threads were not seen whole; the first: thread {} {why}",
                    notes.missing,
                    tid.get()
                )),
                None => self.reason(format_args!("{} threads were not seen whole", notes.missing)),
            }
        }
        if notes.list_cut {
            self.reason(format_args!("the list of threads could not be read to its end"));
        }
    }

    pub(super) fn reasons(&self) -> &[Sentence] {
        self.reasons.get(..self.reason_count).unwrap_or_default()
    }

    pub(super) fn notes(&self) -> &[Sentence] {
        self.notes.get(..self.note_count).unwrap_or_default()
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(Sentence::as_str)
    }

    pub(super) fn pause_ns(&self) -> u64 {
        self.pause_ns
    }
}
