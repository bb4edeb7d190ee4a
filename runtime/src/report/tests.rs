//! The renderers on a made-up report: the text must be LeakSanitizer's to the letter, the record complete.

use std::string::String;
use std::vec::Vec;

use super::suppressions::Suppressions;
use super::survey::{Extent, Grown, Path, Place, Pointers, Reachable, Retained};
use super::text::{Style, Unsymbolized, render};
use super::*;
use crate::base::{Addr, AddrRange};
use crate::explain::{Holder, Hop};
use crate::harvest::{RootKind, Strength};
use crate::trace::StackId;

struct Made;

impl Stacks for Made {
    fn frames(&self, stack: u32, into: &mut [usize]) -> usize {
        let frames: &[usize] = match stack {
            1 => &[0x7000_0010, 0x40_1135],
            2 => &[0x7000_0010, 0x40_1200, 0x1234],
            _ => &[],
        };
        let count = frames.len().min(into.len());
        into[..count].copy_from_slice(&frames[..count]);
        count
    }
}

impl Modules for Made {
    fn for_each(&self, each: &mut dyn FnMut(&Module<'_>)) {
        let range = |start, end| [AddrRange::new(Addr::new(start), Addr::new(end))];
        let code = range(0x40_1000, 0x40_2000);
        each(&Module {
            path: b"/bin/a b",
            build_id: &[],
            bias: 0,
            image: code[0],
            ranges: &code,
            loaded: true,
        });
        let library = range(0x7000_0000, 0x7000_1000);
        let old = Module {
            path: b"/lib/gone.so",
            build_id: &[1],
            bias: 0x7000_0000,
            image: AddrRange::new(Addr::new(0x7000_0000), Addr::new(0x7000_3000)),
            ranges: &library,
            loaded: false,
        };
        each(&Module { path: b"/lib/s.so", build_id: &[0xab, 0xcd], loaded: true, ..old });
        each(&old);
    }
}

fn leak(base: usize, size: usize, stack: u32, kind: Kind, under: u32) -> Leak {
    let retained = if kind == Kind::Direct && stack == 2 { 1 } else { 0 };
    Leak {
        base: Addr::new(base),
        size,
        stack,
        kind,
        born: 0,
        under,
        retained_bytes: retained * 5,
        retained_objects: retained,
        withheld: false,
    }
}

fn with_report<R>(leaks: Vec<Leak>, outcome: Outcome<'_>, act: impl FnOnce(&Report<'_>) -> R) -> R {
    with_all(leaks, outcome, &[], &Suppressions::new(), act)
}

fn with_all<R>(
    mut leaks: Vec<Leak>,
    outcome: Outcome<'_>,
    reasons: &[Sentence],
    suppressions: &Suppressions,
    act: impl FnOnce(&Report<'_>) -> R,
) -> R {
    let groups = group(&mut leaks, &mut |stack| stack).unwrap();
    act(&Report {
        pid: 77,
        program: b"/bin/a b",
        outcome,
        groups: &groups,
        leaks: &leaks,
        totals: Totals { chunks: 9, bytes: 900, served: true, threads: 2 },
        reasons,
        notes: &[],
        survey: Survey::default(),
        suppressions,
        stacks: &Made,
        modules: &Made,
    })
}

fn text(report: &Report<'_>, style: &Style) -> String {
    let mut out = Vec::new();
    render(report, style, &Unsymbolized(report), &mut out);
    String::from_utf8(out).unwrap()
}

fn some() -> Vec<Leak> {
    vec![
        leak(0x5000, 7, 1, Kind::Direct, 0),
        leak(0x5010, 14, 1, Kind::Direct, 0),
        leak(0x5020, 100, 2, Kind::Direct, 0),
        leak(0x5090, 5, 1, Kind::Indirect, 2),
        leak(0x50a0, 3, 0, Kind::Possible, 0),
    ]
}

#[test]
fn leaks_are_printed_as_lsan_prints_them() {
    let expected = "
=================================================================
==77==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 100 byte(s) in 1 object(s) allocated from:
    #0 0x70000010  (/lib/s.so+0x10) (BuildId: abcd)
    #1 0x401200  (/bin/a b+0x401200)
    #2 0x1234  (<unknown module>)
  which keep(s) 5 more byte(s) in 1 object(s)

Direct leak of 21 byte(s) in 2 object(s) allocated from:
    #0 0x70000010  (/lib/s.so+0x10) (BuildId: abcd)
    #1 0x401135  (/bin/a b+0x401135)

Indirect leak of 5 byte(s) in 1 object(s) allocated from:
    #0 0x70000010  (/lib/s.so+0x10) (BuildId: abcd)
    #1 0x401135  (/bin/a b+0x401135)

SUMMARY: LeakSanitizer: 126 byte(s) leaked in 4 allocation(s).
";
    with_report(some(), Outcome::Checked, |report| {
        assert_eq!(text(report, &Style::default()), expected);
        assert_eq!(report.verdict(), Verdict::Leaks);
    });
}

#[test]
fn objects_limits_colours_and_suppressions_have_lsan_s_words() {
    let mut rules = Suppressions::new();
    rules.add(b"mk2").unwrap();
    rules.add(b"unused").unwrap();
    rules.count(0, 3, 21);
    with_all(some(), Outcome::Checked, &[], &rules, |report| {
        let style = Style { max_leaks: 1, report_objects: true, color: true, ..Style::default() };
        let text = text(report, &style);
        assert!(text.contains(
            "\x1b[1m\x1b[31m==77==ERROR: LeakSanitizer: detected memory leaks\n\x1b[1m\x1b[0m\n\
             The 1 top leak(s):\n\x1b[1m\x1b[34mDirect leak of 100"
        ));
        assert!(
            text.contains("\n\nObjects leaked above:\n0x5020 (100 bytes)\n\nOmitting 2 more leak(s).\n"),
            "{text}"
        );
        let rule = "-----------------------------------------------------";
        let table = std::format!(
            "{rule}\nSuppressions used:\n  count      bytes template\n      3         21 mk2\n{rule}\n\nSUMMARY"
        );
        assert!(text.contains(&table), "{text}");
    });
}

#[test]
fn a_clean_check_says_so_only_when_asked() {
    with_report(Vec::new(), Outcome::Checked, |report| {
        assert_eq!(text(report, &Style::default()), "");
        let loud = Style { verdict_when_clean: true, ..Style::default() };
        let line = "==77==Standstill: clean: no leak in 9 chunk(s) of 900 byte(s), 2 thread(s)\n";
        assert_eq!(text(report, &loud), line);
    });
    let reasons = [Sentence::of(format_args!("thread 5 could not be stopped"))];
    with_all(Vec::new(), Outcome::Checked, &reasons, &Suppressions::new(), |report| {
        assert_eq!(report.verdict(), Verdict::Incomplete);
        let said = text(report, &Style::default());
        assert!(
            said.contains("incomplete: no certain leak") && said.contains("thread 5 could not"),
            "{said}"
        );
        assert!(!said.contains("SUMMARY"), "nothing was kept back:\n{said}");
    });
    // What would have been a leak is told as loudly as one, and why it is none.
    let withheld = Leak { withheld: true, ..leak(0x50a0, 40, 1, Kind::Possible, 0) };
    let leaks = vec![withheld, leak(0x50f0, 3, 1, Kind::Possible, 0)];
    with_all(leaks, Outcome::Checked, &reasons, &Suppressions::new(), |report| {
        assert_eq!(report.verdict(), Verdict::Incomplete);
        assert_eq!(report.withheld(), (1, 40));
        let said = text(report, &Style::default());
        let summary = "SUMMARY: Standstill: incomplete: 40 byte(s) in 1 object(s) were not reached and would have been reported \
                       as leaked, but not everything was seen: thread 5 could not be stopped. Mend that";
        assert!(said.lines().last().is_some_and(|last| last.starts_with(summary)), "{said}");
        assert!(said.contains(
            "; 43 byte(s) in 2 object(s) are possibly leaked, of which 40 byte(s) in 1 object(s) were not"
        ));
        assert!(!text(report, &Style { print_summary: false, ..Style::default() }).contains("SUMMARY"));
    });
}

#[test]
fn what_is_only_possible_is_no_leak() {
    let possible = vec![leak(0x50a0, 3, 1, Kind::Possible, 0)];
    with_report(possible, Outcome::Checked, |report| {
        assert_eq!(report.verdict(), Verdict::Clean);
        assert_eq!(text(report, &Style::default()), "");
        let style = Style { report_possible: true, verdict_when_clean: true, ..Style::default() };
        let said = text(report, &style);
        assert!(said.starts_with("Possible leak of 3 byte(s) in 1 object(s) allocated from:\n"), "{said}");
        assert!(said.contains("3 byte(s) in 1 object(s) are possibly leaked"), "{said}");
    });
}

#[test]
fn a_check_that_failed_has_the_line_that_tools_look_for() {
    let outcome = Outcome::CouldNotCheck { why: "ptrace: EPERM", advice: "allow ptrace" };
    with_report(some(), outcome, |report| {
        assert_eq!(report.verdict(), Verdict::CouldNotCheck);
        assert_eq!(
            text(report, &Style::default()),
            "==77==LeakSanitizer has encountered a fatal error.\n==77==HINT: allow ptrace.\n\
             ==77==Standstill: could not check: ptrace: EPERM\n"
        );
    });
}

#[test]
fn the_record_carries_everything() {
    let process = record::Process {
        pid: 77,
        parent: 1,
        image: 0xfeed,
        time_ns: 5,
        program: b"/bin/a b",
        arguments: b"a\0b c\0\0",
    };
    let mut out = Vec::new();
    with_report(some(), Outcome::Checked, |report| {
        record::write(&process, 2, report, &Style { report_objects: true, ..Style::default() }, &mut out);
    });
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "process 77 1 feed",
        "time 5",
        "program /bin/a%20b",
        "argument b%20c",
        "argument -",
        "sequence 2",
        "verdict leaks",
        "totals 9 900 1 2",
        "style report_objects 1",
        "module 1 70000000 abcd 1 /lib/s.so",
        "range 1 70000000 70001000",
        "stack 2 70000010 401200 1234",
        "leak Direct 1 0 2 21 0 0 0 0 0",
        "leak Direct 2 0 1 100 1 5 0 0 0",
        "leak Indirect 1 2 1 5 0 0 0 0 0",
        "object 5010 14",
    ] {
        assert!(lines.contains(&line), "no line '{line}' in:\n{text}");
    }
    assert_eq!((lines[0], lines.last()), ("standstill-record 1", Some(&"end")));
}

#[test]
fn fields_are_escaped_so_that_a_line_stays_a_line() {
    let mut out = Vec::new();
    for field in ["", "-", "a b", "%", "é\n"] {
        record::escaped(field.as_bytes(), &mut out);
        out.push(b'|');
    }
    assert_eq!(String::from_utf8(out).unwrap(), "-|%2D|a%20b|%25|%C3%A9%0A|");
}

/// A variable of the library, in it an object of stack 2, in that one of stack 1.
fn survey() -> (Vec<Hop>, [Place; 3]) {
    let hop = |holder, start: usize, len: usize, at: usize, word, stack| Hop {
        holder,
        tid: 0,
        strength: Strength::Strong,
        range: AddrRange::sized(Addr::new(start), len),
        at: Addr::new(at),
        word,
        stack: StackId(stack),
        pc: 0,
        times: 1,
    };
    let globals = Holder::Root(RootKind::Globals);
    let hops = vec![
        hop(globals, 0x7000_2000, 0x1000, 0x7000_2010, 0x5000, 0),
        Hop { times: 3, ..hop(Holder::Chunk, 0x5000, 64, 0x5018, 0x6004, 2) },
    ];
    let place = |holder, tid, at: usize| Place { holder, tid, at: Addr::new(at) };
    let stack = Holder::Root(RootKind::Stack);
    let places = [place(globals, 0, 0x7000_2010), place(globals, 0, 0x7000_2020), place(stack, 9, 0x9000)];
    (hops, places)
}

#[test]
fn what_is_alive_is_told_from_the_root_on_and_roots_by_what_they_hold_alone() {
    let (hops, places) = survey();
    let retained = [(0, 0, 1), (0, 1, 10), (1, 2, 100), (2, 2, 1000)].map(|(first, last, bytes)| Retained {
        first,
        last,
        objects: 1,
        bytes,
    });
    let reachable = [Reachable { stack: 1, root: Holder::Root(RootKind::Tls), objects: 2, bytes: 20 }];
    let pointers = Pointers { count: 7, first: 0, told: 2 };
    let paths = [
        Path { object: Addr::new(0x6000), size: 8, stack: 1, first: 0, hops: 2, pointers: Some(pointers) },
        Path {
            object: Addr::new(0x6100),
            size: 16,
            stack: 1,
            first: 2,
            hops: 0,
            pointers: Some(Pointers { count: 0, first: 2, told: 0 }),
        },
    ];
    let survey = Survey {
        reachable: &reachable,
        wanted: "f",
        paths: &paths,
        hops: &hops,
        referrers: &hops,
        places: &places,
        retained: &retained,
        grown: &[Grown { stack: 1, objects: -1, bytes: 30, now_objects: 2, now_bytes: 20 }],
        since: 4,
        resources: &[],
        mappings: &[],
        short: "cut short",
    };
    let (text, record) = with_report(vec![], Outcome::Checked, |report| {
        let report = Report { survey, ..*report };
        let extent = Extent { reachable: 0, retained: 5 };
        let text = text(&report, &Style { extent, ..Style::default() });
        let mut record = Vec::new();
        let process = super::record::Process {
            pid: 77,
            parent: 1,
            image: 1,
            time_ns: 1,
            program: b"/bin/a b",
            arguments: b"",
        };
        super::record::write(&process, 1, &report, &Style::default(), &mut record);
        (text, String::from_utf8(record).unwrap())
    });
    for line in [
        "Still reachable: 20 byte(s) in 2 object(s) allocated from:",
        "  first held by a thread-local variable",
        "Alive: 8 byte(s) at 0x6000 allocated from:",
        "    a variable at 0x70002010 (/lib/s.so+0x2010)",
        "    -> 64 byte(s) at 0x5000, in offset 24, allocated in",
        ", the first of a list of 3",
        "    -> the object, at offset 4\n  pointed to by 7 word(s)\n    a variable at 0x70002010 (/lib/s.so+0x2010)\n",
        "    64 byte(s) at 0x5000, in offset 24, allocated in",
        ", to offset 4\n    and 5 more\n",
        "  nothing holds it: a leak\n  no word points to it\n\n",
        "Grew by 30 byte(s) in -1 object(s) since baseline 4, now 20 in 2, allocated from:",
        "Lost: 16 byte(s) at 0x6100 allocated from:",
        // The two words of one library belong together here, so what both reach is its own.
        "          11          2 all roots in /lib/s.so\n",
        "        1000          1 a stack of thread 9 at 0x9000",
        "         100          1 several roots together",
        "Standstill: cut short\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    for line in [
        "image 1 70000000 70003000\n",
        "reachable 1 thread-local 2 20\n",
        "explain f\npath 6000 8 1\nhop global 0 0 70002000 4096 70002010 5000 0 0 1\n",
        "hop object 0 0 5000 64 5018 6004 2 0 3\npointers 7\nreferrer global 0 0 70002000 4096 70002010 5000 0 0 1\n",
        "referrer object 0 0 5000 64 5018 6004 2 0 3\npath 6100 16 1\n",
        "grown 1 -1 30 2 20 4\n",
        "place stack 9 9000\nretained 0 0 1 1\n",
        "short cut%20short\n",
    ] {
        assert!(record.contains(line), "{line}\n{record}");
    }
}
