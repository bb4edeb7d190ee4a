//! Merging over processes, suppressions, and what becomes of processes without a check.

use super::*;
use crate::record::{Content, Misuse, Process as Identity, Record};

struct Gone;

impl Ending for Gone {
    fn is_running(&self, pid: i32) -> bool {
        pid == 99
    }

    fn how(&self, pid: i32) -> Option<String> {
        (pid == 1).then(|| "it was killed by signal 9".to_owned())
    }
}

fn identity(pid: i32, image: u64, time_ns: u64) -> Identity {
    Identity { pid, parent: 0, image, time_ns, program: "/bin/p".into(), arguments: vec!["p".into()] }
}

fn announced(pid: i32, image: u64, time_ns: u64) -> Record {
    Record { process: identity(pid, image, time_ns), content: Content::Announced }
}

fn leak(kind: Kind, stack: u32, under: u32, bytes: u64) -> Leak {
    let listed = Vec::new();
    Leak {
        kind,
        stack,
        under,
        objects: 1,
        bytes,
        retained_objects: 0,
        retained_bytes: 0,
        born: 0,
        withheld: (0, 0),
        listed,
    }
}

/// A module that no file backs, at another address in each process: the same place must be seen as the same.
fn check(bias: u64, leaks: Vec<Leak>) -> Check {
    let verdict = if leaks.is_empty() { Verdict::Clean } else { Verdict::Leaks };
    let path = "/nonexistent/module.so".into();
    let module =
        Module { path, bias, loaded: true, ranges: vec![(bias, bias + 0x1000)], ..Module::default() };
    let stacks = HashMap::from([(1, vec![bias + 1, bias + 2]), (2, vec![bias + 3]), (3, vec![0x10])]);
    Check {
        sequence: 1,
        verdict,
        totals: [1, 1, 1, 1],
        modules: vec![module],
        stacks,
        leaks,
        ..Check::default()
    }
}

fn checked(pid: i32, image: u64, time_ns: u64, check: Check) -> Record {
    Record { process: identity(pid, image, time_ns), content: Content::Check(check) }
}

fn findings(records: Vec<Record>, patterns: &[&str]) -> Findings {
    let mut suppressions = Suppressions::new();
    patterns.iter().for_each(|pattern| suppressions.add(pattern.as_bytes()).unwrap());
    assemble(gather(records, &Gone), suppressions, &mut Symbolizer::default(), 0)
}

#[test]
fn the_same_place_in_two_processes_is_one_group() {
    let all = findings(
        vec![
            checked(
                5,
                1,
                20,
                check(0x10000, vec![leak(Kind::Direct, 1, 0, 10), leak(Kind::Direct, 2, 0, 15)]),
            ),
            checked(4, 1, 10, check(0x70000, vec![leak(Kind::Direct, 1, 0, 10)])),
            checked(6, 1, 30, check(0, vec![])),
        ],
        &[],
    );
    let shown: Vec<_> =
        all.groups.iter().map(|g| (g.bytes, g.objects, &g.processes[..], g.frames.len())).collect();
    assert_eq!(shown, [(20, 2, &[0, 1][..], 2), (15, 1, &[1][..], 1)]);
    assert_eq!(all.groups[0].frames[0].offset, Some(1));
    let pids: Vec<_> = all.processes.iter().map(|p| (p.seen.process.pid, p.verdict, p.leaked.1)).collect();
    assert_eq!(
        pids,
        [(4, Some(Verdict::Leaks), 10), (5, Some(Verdict::Leaks), 25), (6, Some(Verdict::Clean), 0)]
    );
    assert_eq!((all.verdict(), all.leaked()), (Verdict::Leaks, (3, 35)));
}

#[test]
fn a_suppressed_leak_takes_what_it_holds_with_it() {
    let leaks =
        || vec![leak(Kind::Direct, 1, 0, 10), leak(Kind::Indirect, 3, 1, 7), leak(Kind::Indirect, 3, 0, 5)];
    let all = findings(vec![checked(5, 1, 20, check(0x10000, leaks()))], &["module.so"]);
    let shown: Vec<_> = all.groups.iter().map(|g| (g.kind, g.bytes)).collect();
    assert_eq!(shown, [(Kind::Indirect, 5)]);
    let used: Vec<_> = all.suppressions.used().map(|used| (used.objects, used.bytes)).collect();
    assert_eq!(used, [(1, 10)]);
    let none =
        findings(vec![checked(5, 1, 20, check(0, vec![leak(Kind::Direct, 1, 0, 10)]))], &["module.so"]);
    assert_eq!((none.verdict(), none.groups.len()), (Verdict::Clean, 0));
}

#[test]
fn a_process_without_a_check_is_never_clean() {
    let none = findings(vec![announced(1, 1, 1)], &[]);
    assert_eq!(none.verdict(), Verdict::CouldNotCheck);
    let State::NotChecked(why) = &none.processes[0].seen.state else { panic!("checked") };
    assert_eq!(why, "it was killed by signal 9");
    assert_eq!(findings(vec![], &[]).verdict(), Verdict::CouldNotCheck);
    let torn = Record { process: identity(2, 1, 1), content: Content::Torn };
    let clean = checked(3, 3, 3, check(0, vec![]));
    let all = findings(vec![torn, announced(99, 2, 2), announced(2, 1, 0), clean], &[]);
    assert_eq!(all.verdict(), Verdict::Incomplete);
    let why: Vec<_> = all.processes.iter().map(|p| format!("{:?}", p.seen.state)).collect();
    assert!(why[0].contains("while it wrote") && why[1].contains("still running"), "{why:?}");
}

#[test]
fn a_misuse_names_its_process_and_how_it_ended() {
    let misused = |pid, image, time_ns, ends| {
        let stacks = [vec![0x10001], Vec::new(), vec![0x10002, 0x10003]];
        let modules = check(0x10000, vec![]).modules;
        let misuse = Misuse { ends, what: "double-free".into(), stacks, modules, ..Misuse::default() };
        Record { process: identity(pid, image, time_ns), content: Content::Misuse(misuse) }
    };
    let records = vec![
        announced(1, 1, 10),
        misused(1, 1, 20, true),
        // A forked child that was not heard of before.
        misused(2, 1, 30, true),
        misused(3, 1, 40, false),
        checked(3, 1, 50, check(0, vec![])),
        // Went on to another program.
        misused(4, 1, 60, false),
        checked(4, 2, 70, check(0, vec![])),
    ];
    let all = findings(records, &[]);
    let ended: Vec<_> =
        all.processes.iter().map(|p| (p.seen.process.pid, p.seen.ended_by().is_some())).collect();
    assert_eq!(ended, [(1, true), (2, true), (3, false), (4, false), (4, false)]);
    let told: Vec<_> = all.misuses.iter().map(|told| (told.process, told.ends)).collect();
    assert_eq!(told, [(0, true), (1, true), (2, false), (3, false)]);
    assert_eq!(all.misuses[0].stacks.clone().map(|frames| frames.len()), [1, 0, 2]);
    assert_eq!(all.misuses[0].stacks[0][0].offset, Some(1));
    assert!(format!("{:?}", all.processes[0].seen.state).contains("a misuse of the heap (double-free)"));
    assert!(format!("{:?}", all.processes[3].seen.state).contains("another program took its place"));
    assert!(all.ended_by_misuse());
}

#[test]
fn nothing_is_said_of_programs_that_exec_replaced() {
    let last = checked(7, 3, 30, check(0, vec![]));
    let all = findings(vec![announced(7, 2, 20), announced(7, 9, 10), last, announced(7, 3, 25)], &[]);
    assert_eq!(all.processes.len(), 1);
    assert_eq!((all.processes[0].seen.process.image, all.verdict()), (3, Verdict::Clean));
}

#[test]
fn without_an_allocation_of_ours_nothing_is_known() {
    let mut strange = check(0, vec![]);
    strange.totals[2] = 0;
    let all = findings(vec![checked(7, 3, 30, strange)], &[]);
    assert_eq!(all.verdict(), Verdict::CouldNotCheck);
    assert!(format!("{:?}", all.processes[0].seen.state).contains("allocator of its own"));
    // This test's own program brings none, so that a process without any allocation is clean.
    let mut idle = check(0, vec![]);
    idle.totals[2] = 0;
    idle.modules[0].path = std::env::current_exe().unwrap();
    assert_eq!(findings(vec![checked(7, 3, 30, idle)], &[]).verdict(), Verdict::Clean);
}

#[test]
fn the_last_check_that_could_look_counts() {
    let second = Check { sequence: 2, ..check(0, vec![leak(Kind::Direct, 1, 0, 10)]) };
    let third = Check { sequence: 3, verdict: Verdict::CouldNotCheck, ..check(0, vec![]) };
    let records =
        vec![checked(7, 3, 50, third), checked(7, 3, 40, second), checked(7, 3, 30, check(0, vec![]))];
    let all = findings(records, &[]);
    assert_eq!((all.processes.len(), all.processes[0].seen.checks), (1, 3));
    assert_eq!(all.processes[0].verdict, Some(Verdict::Leaks));
}

#[test]
fn depth_cuts_addresses_not_inlined_frames() {
    let frame = |address, inlined| Frame { address, inlined, ..Frame::default() };
    let whole = vec![frame(1, true), frame(1, true), frame(1, false), frame(2, false), frame(2, false)];
    assert_eq!(frames_of_first(whole.clone(), &[1, 2, 2], 1).len(), 3);
    assert_eq!(frames_of_first(whole.clone(), &[1, 2, 2], 2).len(), 4);
    assert_eq!(frames_of_first(whole, &[1, 2, 2], 3).len(), 5);
}
