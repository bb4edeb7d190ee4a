//! The findings for people: LeakSanitizer's text through the runtime's renderer, then a line on each process.

mod survey;

use std::fmt::Write;

use standstill_runtime::base::Addr;
use standstill_runtime::report::survey::Place;
use standstill_runtime::report::text::{BOLD_RED, PLAIN, StackText, Style, module_and_offset, render};
use standstill_runtime::report::{self, Module, Modules, Outcome, Report, Sink, Stacks, TITLES, Totals};

use crate::findings::{Findings, Frame, Named, Process, State, Verdict};

/// What to print around the leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Nothing: the text is what the library itself would print.
    None,
    /// On processes that are not clean.
    Quiet,
    /// A verdict, and a line on each process that is not clean.
    Normal,
    /// As Normal, with the notes of processes.
    Told,
    /// A line on each process, and all notes.
    Verbose,
}

/// The report as text. `pid` is the process in LeakSanitizer's header, unless another one alone has leaks.
pub fn text(findings: &Findings, style: &Style, pid: i32, lines: Lines) -> Vec<u8> {
    let mut out = Buffer(Vec::new());
    let leaky: Vec<&Process> = findings.processes.iter().filter(|process| process.leaked.0 > 0).collect();
    let pid = match leaky[..] {
        [one] => one.seen.process.pid,
        _ => pid,
    };
    misuses(findings, style, &mut out);
    let (groups, leaks) = model(findings);
    let stacks = Shown(findings);
    let report = Report {
        pid,
        program: b"",
        outcome: Outcome::Checked,
        groups: &groups,
        leaks: &leaks,
        totals: Totals::default(),
        reasons: &[],
        notes: &[],
        survey: report::Survey::default(),
        suppressions: &findings.suppressions,
        stacks: &stacks,
        modules: &stacks,
    };
    // The verdicts are said a process each, below.
    let style = Style { verdict_when_clean: false, ..*style };
    render(&report, &style, &stacks, &mut out);
    surveys(findings, &style, &mut out);
    out.bytes(verdicts(findings, lines).as_bytes());
    if lines != Lines::None && style.print_summary {
        withheld(findings, &mut out);
    }
    out.0
}

/// What would have been in the sum of leaks, for each process whose check is incomplete.
fn withheld(findings: &Findings, out: &mut Buffer) {
    let incomplete = findings.processes.iter().filter(|process| process.verdict == Some(Verdict::Incomplete));
    for process in incomplete {
        let State::Checked(check) = &process.seen.state else { continue };
        let why = check.reasons.first().map_or_else(String::new, |reason| printable(reason));
        let (objects, bytes) = process.withheld;
        report::text::withheld_summary((objects as usize, bytes as usize), &why, out);
    }
}

/// What came of each process, as far as `lines` wants it.
pub fn verdicts(findings: &Findings, lines: Lines) -> String {
    let mut said = String::new();
    if lines != Lines::None {
        processes(findings, lines, &mut said);
    }
    said
}

/// As the process itself prints it (`standstill_runtime::report::misuse`).
fn misuses(findings: &Findings, style: &Style, out: &mut Buffer) {
    for misuse in &findings.misuses {
        let Some(process) = findings.processes.get(misuse.process) else { continue };
        let (pid, what) = (process.seen.process.pid, printable(&misuse.what));
        let (block, detail) = (misuse.block, printable(&misuse.detail));
        let (red, plain) = if style.color { (BOLD_RED, PLAIN) } else { ("", "") };
        let head = format!("\n{red}=={pid}==ERROR: Standstill: {what} of {block:#x}{detail}\n{plain}");
        out.bytes(head.as_bytes());
        for (frames, title) in misuse.stacks.iter().zip(TITLES).filter(|(frames, _)| !frames.is_empty()) {
            out.bytes(title.as_bytes());
            for (number, frame) in frames.iter().enumerate() {
                print_frame(number, frame, out);
            }
        }
        out.bytes(b"\n");
        if findings.processes.len() > 1 {
            out.bytes(format!("  in process {} ({pid})\n\n", name(process)).as_bytes());
        }
        if style.print_summary {
            out.bytes(format!("SUMMARY: Standstill: {what}\n").as_bytes());
        }
    }
}

/// What each process told of its live objects.
fn surveys(findings: &Findings, style: &Style, out: &mut Buffer) {
    for process in &findings.processes {
        let survey = process.survey.survey.view();
        if !survey.is_empty() && findings.processes.len() > 1 {
            let pid = process.seen.process.pid;
            out.bytes(format!("Of process {} ({pid}):\n", name(process)).as_bytes());
        }
        report::survey::render(&survey, style.extent, &survey::Names(&process.survey), out);
    }
    let asked = findings.processes.iter().map(|process| &process.survey.survey);
    let wanted = asked.clone().map(|survey| &survey.wanted).find(|wanted| !wanted.is_empty());
    if let Some(wanted) =
        wanted.filter(|_| asked.clone().all(|survey| survey.paths.is_empty() && survey.short.is_empty()))
    {
        out.bytes(format!("Standstill: explain: no live object matches {}\n", printable(wanted)).as_bytes());
    }
}

/// A root word in words.
pub fn whole(named: &Named, place: &Place) -> String {
    survey::whole(named, place)
}

/// Takes text.
#[derive(Default)]
pub(crate) struct Buffer(pub(crate) Vec<u8>);

impl Sink for Buffer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// The groups in the runtime's form; the number of a stack is the group's, from 1.
fn model(findings: &Findings) -> (Vec<report::Group>, Vec<report::Leak>) {
    let (mut groups, mut leaks) = (Vec::new(), Vec::new());
    for (index, group) in findings.groups.iter().enumerate() {
        let stack = index as u32 + 1;
        let all_listed = group.listed.len() as u64 == group.objects;
        groups.push(report::Group {
            kind: group.kind,
            stack,
            objects: group.objects as usize,
            bytes: group.bytes as usize,
            retained_bytes: group.retained_bytes as usize,
            retained_objects: group.retained_objects as usize,
            born: group.born,
            // Behind the end for a group whose objects are not all known: it has none to list.
            first: if all_listed { leaks.len() } else { usize::MAX },
        });
        let listed = group.listed.iter().map(|(base, size)| report::Leak {
            base: Addr::new(*base as usize),
            size: *size as usize,
            stack,
            kind: group.kind,
            born: 0,
            under: 0,
            retained_bytes: 0,
            retained_objects: 0,
            withheld: false,
        });
        if all_listed {
            leaks.extend(listed);
        }
    }
    (groups, leaks)
}

struct Shown<'a>(&'a Findings);

/// Not asked: the stacks are printed below, with their symbols.
impl Stacks for Shown<'_> {
    fn frames(&self, _: u32, _: &mut [usize]) -> usize {
        0
    }
}

impl Modules for Shown<'_> {
    fn for_each(&self, _: &mut dyn FnMut(&Module<'_>)) {}
}

impl StackText for Shown<'_> {
    fn print(&self, stack: u32, out: &mut dyn Sink) {
        let group = (stack as usize).checked_sub(1).and_then(|index| self.0.groups.get(index));
        for (number, frame) in group.iter().flat_map(|group| &group.frames).enumerate() {
            print_frame(number, frame, out);
        }
    }

    // The leaks' own report has no survey; those of the processes are printed with names of their own.
    fn allocated(&self, _: u32, _: &mut dyn Sink) {}

    fn frame(&self, _: usize, _: &mut dyn Sink) {}

    fn place(&self, _: &Place, _: &mut dyn Sink) {}

    fn same_place(&self, _: &Place, _: &Place) -> bool {
        false
    }

    fn after(&self, group: &report::Group, out: &mut dyn Sink) {
        let Some(group) = (group.stack as usize).checked_sub(1).and_then(|index| self.0.groups.get(index))
        else {
            return;
        };
        if self.0.processes.len() < 2 {
            return;
        }
        const SHOWN: usize = 5;
        let names: Vec<String> = group
            .processes
            .iter()
            .take(SHOWN)
            .filter_map(|index| self.0.processes.get(*index))
            .map(|process| format!("{} ({})", name(process), process.seen.process.pid))
            .collect();
        let more = group.processes.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.bytes(format!("  in process {}{more}\n", names.join(", ")).as_bytes());
    }
}

/// One frame in LeakSanitizer's form.
pub(crate) fn print_frame(number: usize, frame: &Frame, out: &mut dyn Sink) {
    let mut line = format!("    #{number} {:#x} ", frame.address);
    // Writing to a String cannot fail.
    if let Some(function) = &frame.function {
        let _ = write!(line, "in {}", printable(function));
    }
    match (&frame.file, &frame.module, frame.offset) {
        (Some(file), ..) => {
            let _ = write!(line, " {}", printable(file));
            let places = [frame.line, frame.column];
            for place in places.iter().map_while(|place| *place) {
                let _ = write!(line, ":{place}");
            }
            out.bytes(line.as_bytes());
        }
        (None, Some(module), Some(offset)) => {
            out.bytes(line.as_bytes());
            module_and_offset(module.as_os_str().as_encoded_bytes(), offset as usize, &frame.build_id, out);
        }
        _ => {
            out.bytes(line.as_bytes());
            out.bytes(b" (<unknown module>)");
        }
    }
    out.bytes(b"\n");
}

/// Names come from the program's files: control characters must not reach a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn name(process: &Process) -> String {
    let who = &process.seen.process;
    match who.program.file_name() {
        Some(name) => printable(&name.to_string_lossy()),
        None => who.arguments.first().map_or_else(|| "?".to_owned(), |argument| printable(argument)),
    }
}

fn processes(findings: &Findings, lines: Lines, out: &mut String) {
    let alone = findings.processes.len() == 1;
    for process in &findings.processes {
        let calm = process.verdict == Some(Verdict::Clean);
        if calm && lines != Lines::Verbose && !(alone && lines != Lines::Quiet) {
            continue;
        }
        let pid = process.seen.process.pid;
        let _ = write!(out, "=={pid}==Standstill: ");
        if !alone {
            let _ = write!(out, "{}: ", name(process));
        }
        one(process, out);
        if let State::Checked(check) = &process.seen.state {
            for reason in &check.reasons {
                let _ = writeln!(out, "=={pid}==Standstill: not everything was seen: {}", printable(reason));
            }
            for note in check.notes.iter().filter(|_| matches!(lines, Lines::Told | Lines::Verbose)) {
                let _ = writeln!(out, "=={pid}==Standstill: note: {}", printable(note));
            }
        }
    }
    if lines == Lines::Verbose {
        for problem in &findings.problems {
            let _ = writeln!(out, "Standstill: note: {}", printable(problem));
        }
    }
    if !alone && lines != Lines::Quiet {
        summary(findings, out);
    }
}

fn one(process: &Process, out: &mut String) {
    let check = match &process.seen.state {
        State::NotChecked(why) => {
            let _ = writeln!(out, "not checked: {why}");
            return;
        }
        State::Checked(check) => check,
    };
    let [chunks, bytes, _, threads] = check.totals;
    match process.verdict {
        Some(Verdict::CouldNotCheck) | None => {
            let (why, advice) = check.failure.clone().unwrap_or_default();
            let _ = write!(out, "could not check: {}", printable(&why));
            if !advice.is_empty() {
                let _ = write!(out, ". {}", printable(&advice));
            }
            out.push('\n');
            return;
        }
        Some(Verdict::Leaks) => {
            let (objects, lost) = process.leaked;
            let _ =
                write!(out, "leaks: {lost} byte(s) in {objects} of {chunks} chunk(s), {threads} thread(s)");
        }
        Some(verdict) => {
            let certain = if verdict == Verdict::Clean { "" } else { "certain " };
            let _ = write!(out, "{}: no {certain}leak in {chunks} chunk(s)", verdict.name());
            let _ = write!(out, " of {bytes} byte(s), {threads} thread(s)");
        }
    }
    if process.possible.0 > 0 {
        let (objects, bytes) = process.possible;
        let _ = write!(out, "; {bytes} byte(s) in {objects} object(s) are possibly leaked");
    }
    if process.withheld.0 > 0 {
        let (objects, bytes) = process.withheld;
        let _ = write!(out, ", of which {bytes} byte(s) in {objects} object(s) were not reached at all");
    }
    out.push('\n');
}

fn summary(findings: &Findings, out: &mut String) {
    let count = |verdict: Option<Verdict>| {
        findings.processes.iter().filter(|process| process.verdict == verdict).count()
    };
    let ended = findings.processes.iter().filter(|process| process.seen.ended_by().is_some()).count();
    let kinds = [
        (count(Some(Verdict::Clean)), "clean"),
        (count(Some(Verdict::Leaks)), "with leaks"),
        (count(Some(Verdict::Incomplete)), "incomplete"),
        (count(Some(Verdict::CouldNotCheck)), "could not be checked"),
        (ended, "ended by a misuse"),
        (count(None) - ended, "not checked"),
    ];
    let parts: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let all = findings.processes.len();
    let _ =
        writeln!(out, "Standstill: {}: {all} process(es): {}", findings.verdict().name(), parts.join(", "));
}
