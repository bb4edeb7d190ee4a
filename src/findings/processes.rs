//! Which processes there were, from their announcements and checks.
//!
//! A process that starts with the library announces itself; a forked child does not, and is known only by its check. An
//! announcement without a check says that the process was *not* checked, and the reason is told apart here: replaced by
//! exec (the heap is gone with it, so there is nothing to check), still running, killed, ended without exit handlers.

use std::collections::{BTreeMap, HashMap};

use crate::record::{Check, Content, Misuse, Module, Process, Record, Verdict};
use crate::symbols::may_define_allocator;

/// A process, or rather one program that was executed in one.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// How it described itself; from the last record.
    pub process: Process,
    /// When it was first heard of, CLOCK_MONOTONIC in nanoseconds.
    pub since_ns: u64,
    /// Its check, or why there is none.
    pub state: State,
    /// How many checks it made.
    pub checks: usize,
    /// What it freed against the rules, oldest first.
    pub misuses: Vec<Misuse>,
}

impl Seen {
    /// The misuse that ended it before it was checked.
    pub fn ended_by(&self) -> Option<&Misuse> {
        let unchecked = matches!(self.state, State::NotChecked(_));
        self.misuses.iter().find(|misuse| unchecked && misuse.ends)
    }
}

/// How far a process came.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value a process, and nearly all are checks")]
pub enum State {
    /// It was checked.
    Checked(Check),
    /// It was not, and why: a clause for a sentence about the process.
    NotChecked(String),
}

/// What is known of a process by other ways than its records.
pub trait Ending {
    /// True while the process runs.
    fn is_running(&self, pid: i32) -> bool;

    /// How a process ended that left no check, as a clause; `None` when that is not known.
    fn how(&self, pid: i32) -> Option<String>;
}

/// Puts records together, oldest process first. Programs that were replaced by exec are left out.
pub fn gather(records: Vec<Record>, ending: &dyn Ending) -> Vec<Seen> {
    let mut units: BTreeMap<(i32, u64), Vec<Record>> = BTreeMap::new();
    for record in records {
        units.entry((record.process.pid, record.process.image)).or_default().push(record);
    }
    // The last program that each process was heard of.
    let mut last: HashMap<i32, (u64, u64)> = HashMap::new();
    for ((pid, image), records) in &mut units {
        records.sort_by_key(|record| record.process.time_ns);
        let begun = records.first().map_or(0, |record| record.process.time_ns);
        let entry = last.entry(*pid).or_insert((begun, *image));
        *entry = (*entry).max((begun, *image));
    }
    let mut list = Vec::new();
    for ((pid, image), records) in units {
        let since_ns = records.first().map_or(0, |record| record.process.time_ns);
        let torn = records.iter().any(|record| record.content == Content::Torn);
        let mut process = Process::default();
        let (mut checks, mut misuses) = (Vec::new(), Vec::new());
        for record in records {
            process = if record.process.program.as_os_str().is_empty() {
                Process { program: process.program, arguments: process.arguments, ..record.process }
            } else {
                record.process
            };
            match record.content {
                Content::Check(check) => checks.push(check),
                Content::Misuse(misuse) => misuses.push(misuse),
                Content::Announced | Content::Torn => {}
            }
        }
        let count = checks.len();
        let state = match best(checks) {
            Some(check) if is_blind(&check) => State::NotChecked(NOTHING_ALLOCATED.to_owned()),
            Some(check) => State::Checked(check),
            None if last.get(&pid).is_some_and(|(_, newest)| *newest != image) => {
                if misuses.is_empty() {
                    continue;
                }
                State::NotChecked(REPLACED.to_owned())
            }
            None => State::NotChecked(if let Some(misuse) = misuses.iter().find(|misuse| misuse.ends) {
                format!("it was ended by a misuse of the heap ({})", misuse.what)
            } else if torn {
                "it died while it wrote its findings".to_owned()
            } else if ending.is_running(pid) {
                "it is still running".to_owned()
            } else {
                ending.how(pid).unwrap_or_else(|| NO_WORD.to_owned())
            }),
        };
        list.push(Seen { process, since_ns, state, checks: count, misuses });
    }
    list.sort_by_key(|seen| (seen.since_ns, seen.process.pid));
    list
}

const NOTHING_ALLOCATED: &str =
    "none of its memory came from Standstill's malloc: it brings an allocator of its own";
const REPLACED: &str = "another program took its place (exec)";
const NO_WORD: &str = "it ended without running exit handlers (a signal, _exit, or an exec of a program that cannot be \
     preloaded)";

/// True for a check of a heap that is not ours. A program that has not allocated from our heap allocated nothing at all,
/// unless something that was loaded brings a malloc: libc does, but ours comes before it.
fn is_blind(check: &Check) -> bool {
    let served = check.totals[2] != 0 || !check.leaks.is_empty();
    let brings_one = |module: &Module| {
        let name = module.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let known = ["libstandstill", "libc.so", "libc-2.", "ld-linux", "ld-2."]
            .iter()
            .any(|own| name.starts_with(own));
        // The kernel's own pages (linux-vdso.so.1) have no file.
        module.path.is_absolute() && !known && may_define_allocator(&module.path)
    };
    !served && check.verdict != Verdict::CouldNotCheck && check.modules.iter().any(brings_one)
}

/// The check that counts: the last one that could look, else the last one.
fn best(mut checks: Vec<Check>) -> Option<Check> {
    checks.sort_by_key(|check| (check.verdict != Verdict::CouldNotCheck, check.sequence));
    checks.pop()
}
