//! What the runtime writes is what is read, whatever the names are; and no bytes make the reader fall.

use proptest::prelude::*;
use standstill_runtime::base::{Addr, AddrRange};
use standstill_runtime::report::mappings::Mappings;
use standstill_runtime::report::resources::Resources;
use standstill_runtime::report::suppressions::Suppressions;
use standstill_runtime::report::text::Style;
use standstill_runtime::report::{self, Modules, Outcome, Report, Sentence, Sink, Stacks, Totals, record};
use standstill_runtime::threads::resources;

use super::*;

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// A made-up check: what goes in must come out.
#[derive(Clone, Debug)]
struct Made {
    program: Vec<u8>,
    arguments: Vec<Vec<u8>>,
    reasons: Vec<String>,
    failure: Option<(String, String)>,
    patterns: Vec<Vec<u8>>,
    modules: Vec<Module>,
    stacks: Vec<Vec<usize>>,
    leaks: Vec<report::Leak>,
    survey: Survey,
    list: bool,
}

impl Stacks for Made {
    fn frames(&self, stack: u32, into: &mut [usize]) -> usize {
        let frames = &self.stacks[stack as usize];
        into[..frames.len()].copy_from_slice(frames);
        frames.len()
    }
}

impl Modules for Made {
    fn for_each(&self, each: &mut dyn FnMut(&report::Module<'_>)) {
        for module in &self.modules {
            let ranges: Vec<AddrRange> = module
                .ranges
                .iter()
                .map(|(start, end)| AddrRange::new(Addr::new(*start as usize), Addr::new(*end as usize)))
                .collect();
            each(&report::Module {
                path: module.path.as_os_str().as_encoded_bytes(),
                build_id: &module.build_id,
                bias: module.bias as usize,
                image: module.image.map_or(AddrRange::default(), |(start, end)| {
                    AddrRange::new(Addr::new(start as usize), Addr::new(end as usize))
                }),
                ranges: &ranges,
                loaded: module.loaded,
            });
        }
    }
}

impl Made {
    fn write(&self) -> Vec<u8> {
        let mut out = Bytes(Vec::new());
        let mut leaks = self.leaks.clone();
        let groups = report::group(&mut leaks, &mut |stack| stack).unwrap();
        let mut rules = Suppressions::new();
        self.patterns.iter().for_each(|pattern| rules.add(pattern).unwrap());
        let reasons: Vec<Sentence> =
            self.reasons.iter().map(|text| Sentence::of(format_args!("{text}"))).collect();
        let arguments: Vec<u8> = self.arguments.iter().flat_map(|arg| [&arg[..], &[0]].concat()).collect();
        let process = record::Process {
            pid: 7,
            parent: 6,
            image: u64::MAX,
            time_ns: 5,
            program: &self.program,
            arguments: &arguments,
        };
        let outcome = match &self.failure {
            Some((why, advice)) => Outcome::CouldNotCheck { why, advice },
            None => Outcome::Checked,
        };
        let report = Report {
            pid: 7,
            program: &self.program,
            outcome,
            groups: &groups,
            leaks: &leaks,
            totals: Totals { chunks: 1, bytes: 2, served: true, threads: 4 },
            reasons: &reasons,
            notes: &reasons,
            survey: self.survey.view(),
            suppressions: &rules,
            stacks: self,
            modules: self,
        };
        let style = Style { report_objects: self.list, ..Style::default() };
        record::write(&process, 9, &report, &style, &mut out);
        out.0
    }
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..12)
}

fn module() -> impl Strategy<Value = Module> {
    let ranges = prop::collection::vec((any::<u64>(), any::<u64>()), 0..3);
    (name(), prop::collection::vec(any::<u8>(), 0..20), any::<u64>(), any::<bool>(), ranges).prop_map(
        |(path, build_id, bias, loaded, ranges)| Module {
            path: OsString::from_vec(path).into(),
            build_id,
            bias,
            loaded,
            image: Some((bias, bias.wrapping_add(4096))),
            ranges,
        },
    )
}

fn leak() -> impl Strategy<Value = report::Leak> {
    (any::<u32>(), 0usize..1000, 0u32..4, 0u8..3, 0u32..3).prop_map(|(base, size, stack, kind, under)| {
        report::Leak {
            base: Addr::new(base as usize),
            size,
            stack,
            kind: [Kind::Direct, Kind::Indirect, Kind::Possible][kind as usize],
            born: size as u32 / 3,
            under,
            retained_bytes: size / 2,
            retained_objects: size / 9,
            withheld: size % 3 == 1,
        }
    })
}

fn survey() -> impl Strategy<Value = Survey> {
    use standstill_runtime::explain::{Holder, Hop};
    use standstill_runtime::harvest::Strength;
    use standstill_runtime::report::survey::{Grown, Path, Place, Pointers, Reachable, Retained};
    use standstill_runtime::trace::StackId;
    let holder = || prop::sample::select(Holder::ALL.to_vec());
    let hop = (holder(), any::<i32>(), any::<bool>(), any::<u32>(), 0u32..4, any::<usize>()).prop_map(
        |(holder, tid, weak, at, stack, word)| Hop {
            holder,
            tid,
            strength: if weak { Strength::Weak } else { Strength::Strong },
            range: AddrRange::sized(Addr::new(at as usize), 64),
            at: Addr::new(at as usize + 8),
            word,
            stack: StackId(stack),
            pc: word / 2,
            times: 1 + word % 3,
        },
    );
    let path = (any::<u32>(), 0usize..1000, 0u32..4, prop::collection::vec(hop, 0..4));
    let reachable = (0u32..4, holder(), any::<u32>());
    let place = (holder(), any::<i32>(), any::<usize>());
    let several = 0..4usize;
    (
        prop::collection::vec(reachable, several.clone()),
        prop::collection::vec(path, several.clone()),
        prop::collection::vec(place, several.clone()),
        prop::collection::vec((any::<u32>(), any::<u32>()), several),
        "[ -~]{0,9}",
    )
        .prop_map(|(reachable, paths, places, retained, wanted)| {
            let mut survey = Survey { short: wanted.clone(), wanted, ..Survey::default() };
            for (stack, root, n) in reachable {
                survey.reachable.push(Reachable { stack, root, objects: n as usize, bytes: n as usize });
            }
            for (object, size, stack, hops) in paths {
                let (object, first) = (Addr::new(object as usize), survey.hops.len());
                // Of every second one it was asked who points to it.
                let told = hops.len() / 2;
                let asked =
                    (size % 2 == 1).then_some(Pointers { count: size, first: survey.referrers.len(), told });
                survey.paths.push(Path { object, size, stack, first, hops: hops.len(), pointers: asked });
                survey.referrers.extend(hops.iter().take(asked.map_or(0, |_| told)).copied());
                survey.hops.extend(hops);
            }
            for (holder, tid, at) in places {
                survey.places.push(Place { holder, tid, at: Addr::new(at) });
            }
            if let Some(first) = survey.reachable.first().copied() {
                let Reachable { stack, objects, bytes, .. } = first;
                let (now_objects, now_bytes) = (objects, bytes);
                survey.since = 5;
                survey.grown.push(Grown { stack, objects: -3, bytes: 9, now_objects, now_bytes });
                let (kind, first) = (resources::Kind::ALL[stack as usize % 2], objects);
                survey.resources.push(Resources { kind, stack, count: 2, first });
                survey.mappings.push(Mappings {
                    indirect: stack % 2 == 1,
                    stack,
                    count: 3,
                    bytes,
                    first: Addr::new(objects),
                    held_objects: objects,
                    held_bytes: 4,
                });
            }
            for (first, last) in retained {
                survey.retained.push(Retained { first, last, objects: 1, bytes: last as usize });
            }
            survey
        })
}

fn made() -> impl Strategy<Value = Made> {
    (
        (name(), prop::collection::vec(name(), 0..4), prop::collection::vec(".{0,20}", 0..3)),
        prop::option::of((".{0,30}", ".{0,30}")),
        (
            prop::collection::vec(name().prop_filter("not empty", |name| !name.is_empty()), 0..3),
            prop::collection::vec(module(), 0..3),
        ),
        prop::collection::vec(prop::collection::vec(any::<usize>(), 0..40), 4),
        (prop::collection::vec(leak(), 0..30), survey()),
        any::<bool>(),
    )
        .prop_map(|(names, failure, (patterns, modules), stacks, (leaks, survey), list)| Made {
            program: names.0,
            arguments: names.1,
            reasons: names.2,
            failure,
            patterns,
            modules,
            stacks,
            leaks,
            survey,
            list,
        })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn what_is_written_is_read(made in made()) {
        let record = parse(&made.write()).unwrap();
        let process = &record.process;
        prop_assert_eq!((process.pid, process.parent, process.image, process.time_ns), (7, 6, u64::MAX, 5));
        prop_assert_eq!(process.program.as_os_str().as_encoded_bytes(), &made.program[..]);
        let arguments: Vec<String> = made.arguments.iter().map(|argument| lossy(argument)).collect();
        prop_assert_eq!(&process.arguments, &arguments);
        let Content::Check(check) = record.content else { panic!("no check") };
        prop_assert_eq!((check.sequence, check.totals), (9, [1, 2, 1, 4]));
        prop_assert_eq!(&check.reasons, &made.reasons);
        prop_assert_eq!(&check.failure, &made.failure);
        prop_assert_eq!(&check.survey, &made.survey);
        prop_assert_eq!(&check.modules, &made.modules);
        let patterns: Vec<_> = check.suppressions.iter().map(|(_, _, pattern)| pattern.clone()).collect();
        prop_assert_eq!(&patterns, &made.patterns);
        // The sums over the leaks, and every stack that a leak names.
        for kind in [Kind::Direct, Kind::Indirect, Kind::Possible] {
            for stack in 0..4 {
                for under in 0..3 {
                    let same = |k: Kind, s: u32, u: u32| (k, s, u) == (kind, stack, under);
                    let given: Vec<_> = made.leaks.iter().filter(|l| same(l.kind, l.stack, l.under)).collect();
                    let got: Vec<_> = check.leaks.iter().filter(|l| same(l.kind, l.stack, l.under)).collect();
                    prop_assert_eq!(got.len(), usize::from(!given.is_empty()));
                    let Some(got) = got.first() else { continue };
                    prop_assert_eq!(got.objects, given.len() as u64);
                    prop_assert_eq!(got.bytes, given.iter().map(|l| l.size as u64).sum::<u64>());
                    prop_assert_eq!(
                        got.retained_bytes,
                        given.iter().map(|l| l.retained_bytes as u64).sum::<u64>()
                    );
                    prop_assert_eq!(got.born, given.iter().map(|l| l.born).min().unwrap());
                    prop_assert_eq!(got.listed.len(), if made.list { given.len() } else { 0 });
                    let frames: Vec<u64> = made.stacks[stack as usize].iter().map(|pc| *pc as u64).collect();
                    prop_assert_eq!(check.stacks.get(&stack), Some(&frames));
                }
            }
        }
    }

    #[test]
    fn a_record_that_is_cut_is_torn_or_no_record_and_never_a_check(made in made(), cut in 0.0f64..1.0) {
        let whole = made.write();
        let torn = &whole[..(whole.len() as f64 * cut) as usize];
        match parse(torn) {
            Ok(record) => prop_assert_eq!(record.content, Content::Torn),
            Err(problem) => prop_assert!(false, "{}", problem),
        }
    }

    #[test]
    fn no_bytes_make_it_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"standstill-record 1\n", &bytes[..]].concat());
    }

    #[test]
    fn no_change_of_a_byte_makes_it_fall(made in made(), place in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = made.write();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = parse(&bytes);
    }
}

#[test]
fn a_misuse_is_read_as_it_was_written() {
    let report = report::MisuseReport {
        what: "invalid free (an address inside a block)",
        detail: ", which 100% of",
        block: Addr::new(0xabc0),
        ends: true,
        freed_by: Default::default(),
        freed_before_by: Default::default(),
        allocated_by: Default::default(),
    };
    let who = record::Process { pid: 7, parent: 1, image: 9, time_ns: 5, program: b"/p", arguments: b"p\0" };
    let mut out = Bytes(Vec::new());
    let module = Module { path: "/m".into(), ranges: vec![(0x1000, 0x2000)], ..Module::default() };
    let modules = Made {
        program: Vec::new(),
        arguments: Vec::new(),
        reasons: Vec::new(),
        failure: None,
        patterns: Vec::new(),
        modules: vec![module],
        stacks: Vec::new(),
        leaks: Vec::new(),
        survey: Survey::default(),
        list: false,
    };
    record::misuse(&who, &report, &modules, &mut out);
    let read = parse(&out.0).unwrap();
    let Content::Misuse(misuse) = &read.content else { panic!("{read:?}") };
    assert_eq!((read.process.pid, misuse.ends, misuse.block), (7, true, 0xabc0));
    assert_eq!((&misuse.what[..], &misuse.detail[..]), (report.what, report.detail));
    // No stack runs through it.
    assert_eq!(misuse.modules, []);
    for cut in 0..out.0.len() {
        assert!(!matches!(parse(&out.0[..cut]), Ok(Record { content: Content::Misuse(_), .. })), "{cut}");
    }
}

#[test]
fn other_files_and_versions_are_named() {
    assert_eq!(parse(b"hello\n"), Err(Problem::NoRecord));
    assert_eq!(parse(b"standstill-record 2\n"), Err(Problem::Version("2".into())));
    assert!(parse(b"standstill-record 2\n").unwrap_err().to_string().contains("one installation"));
    assert_eq!(parse(b"standstill-record 1\nleak Odd 1 0 1 1 0 0\n"), Err(Problem::Line(2)));
    let newer = parse(b"standstill-record 1\nprocess 1 2 3\nweather fine\nannounced\n").unwrap();
    assert_eq!((newer.process.pid, newer.content), (1, Content::Announced));
}
