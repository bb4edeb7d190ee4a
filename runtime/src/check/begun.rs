//! A check between its two halves: the scan is done, or goes on in a snapshot while the program runs.
//!
//! Contract: the first half runs on the thread whose turn it is, the second takes the turn again. In between other checks
//! and forks may happen.

use core::cell::Cell;

use crate::arch::CallerFrame;
use crate::init;
use crate::init::options::{self, Options};
use crate::mem::{ProcessMemory, WithFile};
use crate::report;
use crate::stop::{ProcFile, World};
use crate::sys::file::Fd;

use super::analysis::{self, Analysis, Failure};
use super::only::{self, Only};
use super::prospect::{Prospect, Wish};
use super::remarks::Remarks;
use super::snapshot::{self, InPlace, NoResult, Scan};
use super::stopped::{Prepared, Way, in_stopped_world};
use super::turn::Turn;
use super::{Occasion, Outcome, asleep, conclude, refused};

/// See the module.
pub struct Begun {
    occasion: Occasion,
    wish: Wish,
    remarks: Remarks,
    scan: Scan,
}

impl Begun {
    /// Nothing was done yet, and nothing is known to be lost.
    pub(super) fn new(occasion: &Occasion, later: bool, options: &Options) -> Begun {
        let wish = match occasion {
            // A scope's end changes the heap's metadata, and what grew is told on the spot: neither is for a copy.
            Occasion::Recoverable { only, .. } if *only != Only::All => Wish::NONE,
            Occasion::Recoverable { snapshot, .. } => {
                Wish { choice: snapshot.unwrap_or(options.snapshot), later }
            }
            // A process that ends needs no copy to run on.
            Occasion::Exit | Occasion::OneShot => Wish::NONE,
        };
        Begun { occasion: *occasion, wish, remarks: Remarks::new(), scan: Scan::Done(Analysis::default()) }
    }

    /// A descriptor that becomes readable when the second half need not wait; `None` when it need not now.
    pub fn descriptor(&self) -> Option<Fd> {
        match &self.scan {
            Scan::Pending(pending) => pending.descriptor().ok(),
            Scan::Done(_) => None,
        }
    }

    /// The stages up to the scan, or to the fork for it.
    pub(super) fn stop_and_scan(&mut self, frame: &CallerFrame, options: &Options) {
        let (wish, only) = (self.wish, self.occasion.only());
        if let Some(clean) = asleep::scan(&self.occasion, wish, frame, options, &mut self.remarks) {
            self.scan = Scan::Done(clean);
            return;
        }
        let mut baseline = match only::sums_of(&only) {
            Ok(sums) => sums,
            Err(errno) => return self.remarks.no_memory(errno),
        };
        let prospect = Cell::new(Prospect::none());
        let mut ahead = |world: &World, memory: ProcessMemory<'_>| {
            prospect.set(Prospect::of(wish, world, &memory));
        };
        let mut look_and_scan = |world: &World, memory: &ProcessMemory<'_>, prepared: &Prepared<'_>| {
            let mut prospect = prospect.replace(Prospect::none());
            let memory = WithFile::new(memory, world.open_file(ProcFile::Memory).ok());
            let baseline = core::mem::take(&mut baseline);
            let headers = prospect.headers(world);
            let mut seen = analysis::look(world, &memory, prepared, options, headers, only, baseline)?;
            let (scan, why) = snapshot::scan(world, &memory, &mut seen, &mut prospect, options);
            // To unmap what was seen takes as long as to find some of it: that is for later.
            Ok((scan, why, seen, prospect))
        };
        let scanned = in_stopped_world(
            &self.occasion,
            frame,
            options,
            Way::Stop { extended_later: true },
            &mut self.remarks,
            &mut ahead,
            &mut look_and_scan,
        );
        // The program runs again.
        let Some((scan, why, _seen, _prospect)) = scanned else { return };
        self.in_place(why);
        match scan {
            Ok(scan) => self.scan = scan,
            Err(failure) => self.remarks.failed(failure),
        }
    }

    /// Says why there is no snapshot, where one was to be expected.
    fn in_place(&mut self, why: Option<InPlace>) {
        let Some(why) = why.filter(|why| why.is_notable()) else { return };
        if self.speaks_of_snapshots() {
            report::say(format_args!("no snapshot, the program stands still during the scan: {why}"));
        } else {
            self.remarks.note(format_args!("scanned in place: {why}"));
        }
    }

    /// Who wanted a snapshot in any case hears that there was none.
    fn speaks_of_snapshots(&self) -> bool {
        self.wish.choice == options::Snapshot::Always && !self.occasion.is_quiet()
    }

    /// The second half: waits for the scan, says what was found and what follows. `frame` is the caller's, should the
    /// scan have to be made anew.
    pub fn finish(mut self, frame: &CallerFrame) -> Outcome {
        let options = init::options();
        let mut analysis = Analysis::default();
        match self.take_scan() {
            Scan::Done(done) => analysis = done,
            Scan::Pending(pending) => match snapshot::result(pending) {
                Ok(done) => analysis = done,
                Err(why) if why.is_for_in_place() => {
                    let Some(_turn) = Turn::wait() else { return refused(&self.occasion) };
                    self.scan_again(why, frame, options);
                    if let Scan::Done(done) = self.take_scan() {
                        analysis = done;
                    }
                }
                Err(NoResult::Failed(failure)) => self.remarks.failed(failure),
                Err(NoResult::Died(why)) => self.remarks.fail(format_args!("{why}")),
            },
        }
        let Some(_turn) = Turn::wait() else { return refused(&self.occasion) };
        if analysis.counts.on_snapshot {
            let counts = &analysis.counts;
            self.remarks.note(format_args!(
                "a snapshot was scanned in {} ms; all stood still for {} us; the program's writes copied {} of {} pages",
                counts.scan_ns / 1_000_000,
                self.remarks.pause_ns() / 1_000,
                counts.copied_pages,
                counts.resident_pages,
            ));
        }
        analysis::remark(&analysis, options, &mut self.remarks);
        conclude(&self.occasion, options, analysis, &self.remarks)
    }

    fn take_scan(&mut self) -> Scan {
        core::mem::replace(&mut self.scan, Scan::Done(Analysis::default()))
    }

    /// In place, since the snapshot came to nothing.
    fn scan_again(&mut self, why: NoResult, frame: &CallerFrame, options: &Options) {
        // A hole is a matter of how the program marks its memory; the rest is of the system, and somebody may do something.
        if self.speaks_of_snapshots() && why != NoResult::Failed(Failure::Hole) {
            report::say(format_args!("no snapshot, the program stands still during the scan: {why}"));
        }
        self.remarks = Remarks::new();
        self.wish = Wish::NONE;
        self.stop_and_scan(frame, options);
        self.remarks.note(format_args!("{why}: checked again in place, when the check was finished"));
    }
}
