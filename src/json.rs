//! The findings for machines; docs/JSON.md describes each field. `format` grows when a field changes its meaning or
//! goes; new fields come without that.

mod survey;

use std::path::Path;

use serde::Serialize;

use crate::findings::{Findings, Frame, Group, Kind, Misuse, Process, State, Verdict};

/// The number in the field `format`.
pub const FORMAT: u32 = 1;

/// How the program that was run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// Its exit status.
    pub status: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    tool: &'static str,
    version: &'static str,
    verdict: &'static str,
    command: Option<Vec<String>>,
    exit: Option<&'a Exit>,
    leaked: Sum,
    processes: Vec<OneProcess<'a>>,
    leaks: Vec<OneGroup<'a>>,
    misuses: Vec<OneMisuse<'a>>,
    suppressions: Vec<Suppression>,
}

#[derive(Serialize)]
struct Sum {
    objects: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct OneProcess<'a> {
    pid: i32,
    parent: i32,
    program: String,
    arguments: &'a [String],
    verdict: &'static str,
    why: Option<&'a str>,
    advice: Option<&'a str>,
    reasons: &'a [String],
    notes: &'a [String],
    leaked: Sum,
    possible: Sum,
    withheld: Sum,
    heap: Option<Heap>,
    checks: usize,
    survey: Option<survey::OneSurvey<'a>>,
}

#[derive(Serialize)]
struct Heap {
    chunks: u64,
    bytes: u64,
    threads: u64,
}

#[derive(Serialize)]
struct OneGroup<'a> {
    kind: &'static str,
    objects: u64,
    bytes: u64,
    retained: Sum,
    born: u32,
    processes: Vec<i32>,
    frames: Vec<OneFrame<'a>>,
    addresses: Vec<Object>,
}

#[derive(Serialize)]
struct OneMisuse<'a> {
    what: &'a str,
    detail: Option<&'a str>,
    block: String,
    process: Option<i32>,
    ended: bool,
    freed_by: Vec<OneFrame<'a>>,
    freed_before_by: Vec<OneFrame<'a>>,
    allocated_by: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct OneFrame<'a> {
    address: String,
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    module: Option<String>,
    offset: Option<String>,
    build_id: Option<String>,
    inlined: bool,
}

#[derive(Serialize)]
struct Object {
    address: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Suppression {
    pattern: String,
    objects: usize,
    bytes: usize,
}

/// The document as text. `command` and `exit` are of the program that was run, if one was.
pub fn document(findings: &Findings, command: Option<Vec<String>>, exit: Option<&Exit>) -> String {
    let document = Document {
        format: FORMAT,
        tool: "standstill",
        version: env!("CARGO_PKG_VERSION"),
        verdict: verdict(Some(findings.verdict())),
        command,
        exit,
        leaked: total(findings.leaked()),
        processes: findings.processes.iter().map(process).collect(),
        leaks: findings.groups.iter().map(|leaks| group(leaks, findings)).collect(),
        misuses: findings.misuses.iter().map(|told| misuse(told, findings)).collect(),
        suppressions: findings
            .suppressions
            .all()
            .map(|used| Suppression {
                pattern: String::from_utf8_lossy(used.pattern).into_owned(),
                objects: used.objects,
                bytes: used.bytes,
            })
            .collect(),
    };
    // Plain data with text keys cannot fail to be written.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn verdict(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("not checked", Verdict::name)
}

fn total((objects, bytes): (u64, u64)) -> Sum {
    Sum { objects, bytes }
}

fn process(process: &Process) -> OneProcess<'_> {
    let who = &process.seen.process;
    let check = match &process.seen.state {
        State::Checked(check) => Ok(check),
        State::NotChecked(why) => Err(why.as_str()),
    };
    let failure = check.ok().and_then(|check| check.failure.as_ref());
    let none = |text: &'static [String]| text;
    OneProcess {
        pid: who.pid,
        parent: who.parent,
        program: who.program.to_string_lossy().into_owned(),
        arguments: &who.arguments,
        verdict: verdict(process.verdict),
        why: check.err().or(failure.map(|failure| failure.0.as_str())),
        advice: failure.map(|failure| failure.1.as_str()).filter(|advice| !advice.is_empty()),
        reasons: check.map_or(none(&[]), |check| &check.reasons),
        notes: check.map_or(none(&[]), |check| &check.notes),
        leaked: total(process.leaked),
        possible: total(process.possible),
        withheld: total(process.withheld),
        heap: check.ok().map(|check| {
            let [chunks, bytes, _, threads] = check.totals;
            Heap { chunks, bytes, threads }
        }),
        checks: process.seen.checks,
        survey: survey::survey(&process.survey),
    }
}

fn group<'a>(group: &'a Group, findings: &Findings) -> OneGroup<'a> {
    let pid = |index: &usize| findings.processes.get(*index).map(|process| process.seen.process.pid);
    OneGroup {
        kind: match group.kind {
            Kind::Direct => "direct",
            Kind::Indirect => "indirect",
            Kind::Possible => "possible",
        },
        objects: group.objects,
        bytes: group.bytes,
        retained: total((group.retained_objects, group.retained_bytes)),
        born: group.born,
        processes: group.processes.iter().filter_map(pid).collect(),
        frames: group.frames.iter().map(frame).collect(),
        addresses: group
            .listed
            .iter()
            .map(|(address, bytes)| Object { address: hex(*address), bytes: *bytes })
            .collect(),
    }
}

fn misuse<'a>(misuse: &'a Misuse, findings: &Findings) -> OneMisuse<'a> {
    let frames = |stack: &'a Vec<Frame>| stack.iter().map(frame).collect();
    let [freed_by, freed_before_by, allocated_by] = &misuse.stacks;
    // Behind the address in the text.
    let detail = misuse.detail.trim_start_matches([',', ' ']);
    OneMisuse {
        what: &misuse.what,
        detail: (!detail.is_empty()).then_some(detail),
        block: hex(misuse.block),
        process: findings.processes.get(misuse.process).map(|process| process.seen.process.pid),
        ended: misuse.ends,
        freed_by: frames(freed_by),
        freed_before_by: frames(freed_before_by),
        allocated_by: frames(allocated_by),
    }
}

fn frame(frame: &Frame) -> OneFrame<'_> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    OneFrame {
        address: hex(frame.address),
        function: frame.function.as_deref(),
        file: frame.file.as_deref(),
        line: frame.line,
        column: frame.column,
        module: frame.module.as_deref().map(path),
        offset: frame.offset.map(hex),
        build_id: (!frame.build_id.is_empty())
            .then(|| frame.build_id.iter().map(|byte| format!("{byte:02x}")).collect()),
        inlined: frame.inlined,
    }
}

/// Addresses are text: a JSON number is a double in most readers, and loses their last digits.
fn hex(address: u64) -> String {
    format!("{address:#x}")
}
