//! The raw record: everything that is known after a check, as lines for the `standstill` command.
//!
//! UTF-8 text (ASCII even), one fact a line, fields separated by one space; a field from outside (a path, a sentence) has
//! every byte outside `!`..`~`, and `%`, written as `%XX`; an empty field is `-`. Numbers are decimal; addresses and
//! build ids are hexadecimal. The first line is `standstill-record 1`; a reader refuses any other number, and skips
//! lines whose first word it does not know. The last line is `end`: a record without it comes from a process that died
//! while it wrote, and says nothing about leaks.
//!
//! ```text
//! standstill-record 1
//! process PID PARENT IMAGE          IMAGE: a random number of the program that exec loaded, hexadecimal
//! time NS                           CLOCK_MONOTONIC when this record was begun
//! program PATH
//! argument TEXT                     each, in order
//! sequence N                        checks of this process are numbered from 1
//! verdict WORD                      clean | leaks | incomplete | could%20not%20check; before suppressions
//! failure WHY ADVICE                only when it could not check
//! totals CHUNKS BYTES SERVED THREADS   SERVED: 0 if the program never allocated from our heap
//! reason TEXT                       each: why not everything was seen
//! note TEXT
//! style NAME VALUE                  how the process was told to print (1 and 0; a number)
//! suppression OBJECTS BYTES PATTERN each that was given, with what it covered so far
//! module INDEX BIAS BUILD-ID LOADED PATH
//! range INDEX START END             code of module INDEX
//! image INDEX START END             all of module INDEX
//! stack NUMBER PC...                leaf first; may come again with the same frames
//! leak KIND STACK UNDER OBJECTS BYTES RETAINED-OBJECTS RETAINED-BYTES BORN WITHHELD-OBJECTS WITHHELD-BYTES
//!                                   BORN: the baseline before the oldest; WITHHELD: no leaks only since the check is incomplete
//! object ADDRESS SIZE               each of the last `leak` line; only with report_objects
//! reachable STACK HOLDER OBJECTS BYTES
//! explain TEXT                      which paths were asked for
//! path ADDRESS SIZE STACK           why an object is alive
//! hop HOLDER TID WEAK START LENGTH AT WORD STACK PC TIMES   each of the last `path`, root first
//! pointers COUNT                    how many words point to the object of the last `path`, where that was asked
//! referrer ..                       the first of them, as `hop`
//! place HOLDER TID AT               each root word, in order
//! retained FIRST LAST OBJECTS BYTES what is reached from place FIRST to LAST and from no other
//! grown STACK OBJECTS BYTES NOW-OBJECTS NOW-BYTES SINCE   since a baseline
//! resource KIND STACK COUNT FIRST   descriptors and threads that were not given back
//! mapping KIND STACK COUNT BYTES FIRST OBJECTS OBJECT-BYTES   mappings that nothing holds, and what only they hold
//! short TEXT                        why something is missing that was asked for
//! end
//! ```
//!
//! The announcement that a process writes at its start has the first part only, and `announced` in place of `end`. The
//! record of a misuse of the heap has that part, the modules and stacks that it needs, this, and `misused`:
//!
//! ```text
//! misuse ENDS BLOCK FREED-BY FREED-BEFORE-BY ALLOCATED-BY WHAT DETAIL   ENDS: 1 if the process ends by it; three stacks
//! ```
//!
//! Why lines of text and no binary form: they can be read when something went wrong, and a torn one is seen.

use crate::base::Addr;
use crate::explain::Hop;
use crate::harvest::Strength;
use crate::mem::MapVec;
use crate::trace::{self, MAX_DEPTH, StackId};

use super::misuse::MisuseReport;
use super::model::{MAX_FRAMES, Module, Modules, Outcome, Report};
use super::sink::{Sink, write_to};
use super::survey::Pointers;
use super::text::Style;

macro_rules! say {
    ($out:expr, $($format:tt)*) => { write_to($out, format_args!($($format)*)) };
}

/// The number in a record's first line. It changes when a line that readers know changes its meaning.
pub const VERSION: u32 = 1;

/// Who writes the record.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// The process, as it numbers itself.
    pub pid: i32,
    /// Its parent.
    pub parent: i32,
    /// Drawn at random when the program was loaded; a forked child keeps it, a program that exec loads has a new one.
    pub image: u64,
    /// CLOCK_MONOTONIC in nanoseconds: which of two records is older.
    pub time_ns: u64,
    /// The file of the program.
    pub program: &'a [u8],
    /// Its arguments, each ended by a 0 byte, as in /proc/self/cmdline; may be cut.
    pub arguments: &'a [u8],
}

/// Writes the announcement of a process that has just started.
pub fn announce(process: &Process<'_>, out: &mut dyn Sink) {
    head(process, out);
    out.bytes(b"announced\n");
}

/// Writes the record of a check. `sequence` counts the checks of the process from 1.
pub fn write(process: &Process<'_>, sequence: u32, report: &Report<'_>, style: &Style, out: &mut dyn Sink) {
    head(process, out);
    say!(out, "sequence {sequence}\nverdict ");
    escaped(report.verdict().name().as_bytes(), out);
    if let Outcome::CouldNotCheck { why, advice } = report.outcome {
        out.bytes(b"\nfailure ");
        escaped(why.as_bytes(), out);
        out.bytes(b" ");
        escaped(advice.as_bytes(), out);
    }
    let totals = &report.totals;
    let (chunks, bytes) = (totals.chunks, totals.bytes);
    say!(out, "\ntotals {chunks} {bytes} {} {}\n", u8::from(totals.served), totals.threads);
    sentences("reason", report.reasons, out);
    sentences("note", report.notes, out);
    styles(style, out);
    for rule in report.suppressions.all() {
        say!(out, "suppression {} {} ", rule.objects, rule.bytes);
        escaped(rule.pattern, out);
        out.bytes(b"\n");
    }
    modules(report.modules, &mut |_| true, out);
    leaks(report, style, out);
    survey(report, out);
    out.bytes(b"end\n");
}

/// Writes the record of a misuse. Inside free: nothing is allocated.
pub fn misuse(process: &Process<'_>, report: &MisuseReport<'_>, list: &dyn Modules, out: &mut dyn Sink) {
    head(process, out);
    modules(list, &mut |module| report.stacks().iter().any(|stack| runs_through(*stack, module)), out);
    for stack in report.stacks() {
        stack_of(stack, out);
    }
    let [freed_by, before, allocated_by] = report.stacks().map(|stack| stack.0);
    say!(out, "misuse {} {:x} ", u8::from(report.ends), report.block.get());
    say!(out, "{freed_by} {before} {allocated_by} ");
    escaped(report.what.as_bytes(), out);
    out.bytes(b" ");
    escaped(report.detail.as_bytes(), out);
    out.bytes(b"\nmisused\n");
}

#[inline(never)]
fn runs_through(stack: StackId, module: &Module<'_>) -> bool {
    let mut frames = [0; MAX_DEPTH];
    let count = trace::frames(stack, &mut frames);
    let inside = |pc: &usize| module.ranges.iter().any(|range| range.contains(Addr::new(*pc)));
    frames.iter().take(count).any(inside)
}

#[inline(never)]
fn stack_of(stack: StackId, out: &mut dyn Sink) {
    let mut frames = [0; MAX_DEPTH];
    let count = trace::frames(stack, &mut frames);
    one_stack(stack.0, frames.get(..count).unwrap_or_default(), out);
}

fn head(process: &Process<'_>, out: &mut dyn Sink) {
    say!(out, "standstill-record {VERSION}\n");
    say!(out, "process {} {} {:x}\n", process.pid, process.parent, process.image);
    say!(out, "time {}\nprogram ", process.time_ns);
    escaped(process.program, out);
    out.bytes(b"\n");
    let arguments = process.arguments.strip_suffix(&[0]).unwrap_or(process.arguments);
    if !process.arguments.is_empty() {
        for argument in arguments.split(|byte| *byte == 0) {
            out.bytes(b"argument ");
            escaped(argument, out);
            out.bytes(b"\n");
        }
    }
}

fn sentences(word: &str, list: &[super::Sentence], out: &mut dyn Sink) {
    for sentence in list {
        say!(out, "{word} ");
        escaped(sentence.as_bytes(), out);
        out.bytes(b"\n");
    }
}

fn styles(style: &Style, out: &mut dyn Sink) {
    let switches = [
        ("color", style.color),
        ("report_objects", style.report_objects),
        ("print_suppressions", style.print_suppressions),
        ("print_summary", style.print_summary),
        ("verdict_when_clean", style.verdict_when_clean),
        ("report_possible", style.report_possible),
    ];
    for (name, on) in switches {
        say!(out, "style {name} {}\n", u8::from(on));
    }
    say!(out, "style max_leaks {}\n", style.max_leaks);
    say!(out, "style report_retained {}\n", style.extent.retained);
}

fn modules(list: &dyn Modules, wanted: &mut dyn FnMut(&Module<'_>) -> bool, out: &mut dyn Sink) {
    let mut index = 0;
    list.for_each(&mut |module| {
        if !wanted(module) {
            return;
        }
        say!(out, "module {index} {:x} ", module.bias);
        if module.build_id.is_empty() {
            out.bytes(b"-");
        }
        for byte in module.build_id {
            say!(out, "{byte:02x}");
        }
        say!(out, " {} ", u8::from(module.loaded));
        escaped(module.path, out);
        out.bytes(b"\n");
        say!(out, "image {index} {:x} {:x}\n", module.image.start.get(), module.image.end.get());
        for range in module.ranges {
            say!(out, "range {index} {:x} {:x}\n", range.start.get(), range.end.get());
        }
        index += 1;
    });
}

fn stack(report: &Report<'_>, number: u32, out: &mut dyn Sink) {
    let mut frames = [0; MAX_FRAMES];
    let count = report.stacks.frames(number, &mut frames);
    one_stack(number, frames.get(..count).unwrap_or_default(), out);
}

fn one_stack(number: u32, frames: &[usize], out: &mut dyn Sink) {
    say!(out, "stack {number}");
    for pc in frames {
        say!(out, " {:x}", Addr::new(*pc).get());
    }
    out.bytes(b"\n");
}

fn survey(report: &Report<'_>, out: &mut dyn Sink) {
    let survey = &report.survey;
    let mut stacks = MapVec::new();
    let all = survey.reachable.iter().map(|group| group.stack);
    let all = all.chain(survey.grown.iter().map(|group| group.stack));
    let all = all.chain(survey.resources.iter().map(|group| group.stack));
    let all = all.chain(survey.mappings.iter().map(|group| group.stack));
    let all = all.chain(survey.paths.iter().map(|path| path.stack));
    for number in all.chain(survey.hops.iter().chain(survey.referrers).map(|hop| hop.stack.0)) {
        // Without memory the frames are missing from the report.
        let _ = stacks.push(number);
    }
    stacks.sort_unstable();
    for run in stacks.chunk_by(|a, b| a == b) {
        run.first().iter().for_each(|number| stack(report, **number, out));
    }
    for group in survey.reachable {
        let (root, objects, bytes) = (group.root.name(), group.objects, group.bytes);
        say!(out, "reachable {} {root} {objects} {bytes}\n", group.stack);
    }
    for group in survey.grown {
        let (objects, bytes, now) = (group.objects, group.bytes, (group.now_objects, group.now_bytes));
        say!(out, "grown {} {objects} {bytes} {} {} {}\n", group.stack, now.0, now.1, survey.since);
    }
    for group in survey.resources {
        let (kind, count, first) = (group.kind.name(), group.count, group.first);
        say!(out, "resource {kind} {} {count} {first}\n", group.stack);
    }
    for group in survey.mappings {
        let (kind, stack, count, bytes) = (group.kind(), group.stack, group.count, group.bytes);
        let (first, held) = (group.first.get(), (group.held_objects, group.held_bytes));
        say!(out, "mapping {kind} {stack} {count} {bytes} {first:x} {} {}\n", held.0, held.1);
    }
    if !survey.wanted.is_empty() {
        out.bytes(b"explain ");
        escaped(survey.wanted.as_bytes(), out);
        out.bytes(b"\n");
    }
    for path in survey.paths {
        say!(out, "path {:x} {} {}\n", path.object.get(), path.size, path.stack);
        for hop in survey.hops.get(path.first..path.first + path.hops).unwrap_or_default() {
            one_hop("hop", hop, out);
        }
        if let Some(Pointers { count, first, told }) = path.pointers {
            say!(out, "pointers {count}\n");
            for hop in survey.referrers.get(first..first + told).unwrap_or_default() {
                one_hop("referrer", hop, out);
            }
        }
    }
    for place in survey.places {
        say!(out, "place {} {} {:x}\n", place.holder.name(), place.tid, place.at.get());
    }
    for sum in survey.retained {
        say!(out, "retained {} {} {} {}\n", sum.first, sum.last, sum.objects, sum.bytes);
    }
    if !survey.short.is_empty() {
        out.bytes(b"short ");
        escaped(survey.short.as_bytes(), out);
        out.bytes(b"\n");
    }
}

fn one_hop(word: &str, hop: &Hop, out: &mut dyn Sink) {
    let weak = u8::from(hop.strength == Strength::Weak);
    let (start, len, at) = (hop.range.start.get(), hop.range.len(), hop.at.get());
    say!(out, "{word} {} {} {weak} {start:x} {len} {at:x} ", hop.holder.name(), hop.tid);
    say!(out, "{:x} {} {:x} {}\n", hop.word, hop.stack.0, hop.pc, hop.times);
}

fn leaks(report: &Report<'_>, style: &Style, out: &mut dyn Sink) {
    for group in report.groups {
        stack(report, group.stack, out);
        let end = group.first.saturating_add(group.objects);
        let members = report.leaks.get(group.first..end).unwrap_or_default();
        for run in members.chunk_by(|a, b| a.under == b.under) {
            let Some(first) = run.first() else { continue };
            let sum = |of: fn(&super::Leak) -> usize| run.iter().map(of).fold(0, usize::saturating_add);
            let (kind, stack, under) = (group.kind.name(), group.stack, first.under);
            let (objects, bytes) = (run.len(), sum(|leak| leak.size));
            let retained = (sum(|leak| leak.retained_objects), sum(|leak| leak.retained_bytes));
            let born = run.iter().map(|leak| leak.born).min().unwrap_or(0);
            let withheld = run
                .iter()
                .filter(|leak| leak.withheld)
                .fold((0, 0), |sum: (usize, usize), leak| (sum.0 + 1, sum.1.saturating_add(leak.size)));
            say!(out, "leak {kind} {stack} {under} {objects} {bytes} {} {} {born}", retained.0, retained.1);
            say!(out, " {} {}\n", withheld.0, withheld.1);
            if style.report_objects {
                for leak in run {
                    say!(out, "object {:x} {}\n", leak.base.get(), leak.size);
                }
            }
        }
    }
}

/// Writes a field from outside; see the module.
pub fn escaped(field: &[u8], out: &mut dyn Sink) {
    if field.is_empty() || field == b"-" {
        out.bytes(if field.is_empty() { b"-" } else { b"%2D" });
        return;
    }
    for run in field.chunk_by(|a, b| plain(*a) == plain(*b)) {
        if run.first().is_some_and(|byte| plain(*byte)) {
            out.bytes(run);
        } else {
            for byte in run {
                say!(out, "%{byte:02X}");
            }
        }
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%'
}
