//! From findings to the reader: the one place that decides between a record, a symbolized report and a plain one.
//!
//! 1. With `report_dir` the findings go whole into a record; the command suppresses, symbolizes and prints.
//! 2. Otherwise, with leaks and `symbolize=1`, the command is run as a filter (if there is one), and its text is printed.
//! 3. Otherwise, or when that failed, the runtime prints by itself, with modules and offsets.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::base::Errno;
use crate::base::text::Text;
use crate::init::options::{Color, Options};
use crate::mem::MapVec;
use crate::sys::{file, process};

use super::misuse::MisuseReport;
use super::model::{Kind, Leak, MAX_FRAMES, Modules, Outcome, Report, Sentence, Stacks, Totals, Verdict};
use super::output::{self, Choice};
use super::record::{self, Process};
use super::render_child;
use super::sink::Sink;
use super::suppressions::Suppressions;
use super::survey::{Extent, Survey};
use super::text::{self, Style, Unsymbolized};

/// What a check found; see [`Report`] for the fields.
pub struct Findings<'a> {
    /// What the check came to.
    pub outcome: Outcome<'a>,
    /// Every leaked chunk.
    pub leaks: MapVec<Leak>,
    /// The whole heap.
    pub totals: Totals,
    /// Why the check did not see everything.
    pub reasons: &'a [Sentence],
    /// What the user should know beside that.
    pub notes: &'a [Sentence],
    /// Suppressions that the program itself brings (`__lsan_default_suppressions`).
    pub default_suppressions: Option<&'a [u8]>,
    /// Call stacks.
    pub stacks: &'a dyn Stacks,
    /// Programs and libraries.
    pub modules: &'a dyn Modules,
    /// What is no leak.
    pub survey: Survey<'a>,
    /// Print and record nothing.
    pub quiet: bool,
}

impl Findings<'_> {
    /// Clean, and nobody wants to hear of it. Most checks end so, and need not know the name of their process then.
    fn is_silent(&self, options: &Options) -> bool {
        let clean =
            self.leaks.is_empty() && self.reasons.is_empty() && matches!(self.outcome, Outcome::Checked);
        let unasked =
            self.survey.is_empty() && options.verbosity == 0 && options.report_dir.as_str().is_empty();
        // What is wrong with suppressions is said even when there is nothing to suppress.
        clean && unasked && options.suppressions.as_str().is_empty() && self.default_suppressions.is_none()
    }
}

/// What is left after suppressions.
#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    /// What the check came to in the end.
    pub verdict: Verdict,
    /// Objects and bytes of direct and of indirect leaks that a suppression covers. Unknown, and so 0, of a record.
    pub suppressed: [(usize, usize); 2],
}

/// Tells the command that this process runs with the library: without an announcement the command knows nothing of a
/// process, and with one it can say that a process ended without a check. Does nothing without `report_dir`.
///
/// Called at the start, on the only thread.
pub fn announce(options: &Options) {
    if options.report_dir.as_str().is_empty() {
        return;
    }
    IMAGE.store(process::random().unwrap_or_else(|_| process::monotonic_ns()), Relaxed);
    let who = Who::read();
    // A directory that is gone or not to be written to: nobody waits for us any more, and a check says so.
    if let Ok(mut file) = output::create_record(options.report_dir.as_str(), "start") {
        record::announce(&who.process(), &mut file);
        let _ = file.finish();
    }
}

/// Suppresses, prints or records. Returns what the check came to in the end; the caller decides about the exit code.
pub fn deliver(findings: Findings<'_>, options: &Options) -> Delivered {
    if findings.is_silent(options) {
        return Delivered { verdict: Verdict::Clean, suppressed: [(0, 0); 2] };
    }
    let mut rules = Suppressions::new();
    if let Some(text) = findings.default_suppressions {
        rules.add_text(text, "__lsan_default_suppressions", &mut complain);
    }
    if let Ok(path) = output::CPath::of(format_args!("{}", options.suppressions))
        && !path.as_c_str().is_empty()
    {
        rules.add_file(path.as_c_str(), &mut complain);
    }
    let who = Who::read();
    let mut delivery = Delivery { findings, options, rules, who };
    let all = delivery.lost();
    if let Some(verdict) = delivery.record() {
        return Delivered { verdict, suppressed: [(0, 0); 2] };
    }
    let (verdict, left) = match delivery.symbolized() {
        Some(symbolized) => symbolized,
        None => (delivery.print(), delivery.lost()),
    };
    let suppressed = [0, 1].map(|kind: usize| {
        (all[kind].0.saturating_sub(left[kind].0), all[kind].1.saturating_sub(left[kind].1))
    });
    Delivered { verdict, suppressed }
}

/// Writes one line of complaint to standard error, wherever the reports go: it is about an option of the user's.
fn complain(line: &str) {
    let mut out = output::FdSink::borrowed(2);
    out.bytes(line.as_bytes());
    out.bytes(b"\n");
}

/// Writes the record of a misuse. `None` when no directory for records is given, or it cannot be written to.
pub(super) fn record_misuse(
    report: &MisuseReport<'_>,
    modules: &dyn Modules,
    options: &Options,
) -> Option<()> {
    let directory = options.report_dir.as_str();
    if directory.is_empty() {
        return None;
    }
    let mut file = output::create_record(directory, "misuse").ok()?;
    record::misuse(&Who::read().process(), report, modules, &mut file);
    file.finish().ok()
}

/// Where the process' reports go by its options.
pub(super) fn destination(options: &Options) -> output::FdSink {
    output::open(&Who::read().choice(options), &mut complain)
}

static IMAGE: AtomicU64 = AtomicU64::new(0);
static SEQUENCE: AtomicU32 = AtomicU32::new(0);

struct Delivery<'a> {
    findings: Findings<'a>,
    options: &'a Options,
    rules: Suppressions,
    who: Who,
}

impl Delivery<'_> {
    /// Objects and bytes that are leaks so far: direct, indirect.
    fn lost(&self) -> [(usize, usize); 2] {
        [Kind::Direct, Kind::Indirect].map(|kind| {
            let leaks = self.findings.leaks.iter().filter(|leak| leak.kind == kind);
            leaks.fold((0, 0), |(objects, bytes), leak| (objects + 1, bytes + leak.size))
        })
    }

    /// Writes a record into the report directory. `None` when there is no such directory, or it cannot be written to:
    /// the findings are then printed rather than lost.
    fn record(&mut self) -> Option<Verdict> {
        let directory = self.options.report_dir.as_str();
        if directory.is_empty() || self.findings.quiet {
            return None;
        }
        let mut file = output::create_record(directory, "check").ok()?;
        let sequence = SEQUENCE.fetch_add(1, Relaxed) + 1;
        let style = self.style(false);
        let verdict = self.with_report(|report, who| {
            record::write(&who.process(), sequence, report, &style, &mut file);
            report.verdict()
        });
        file.finish().ok().map(|()| verdict)
    }

    /// Lets the command print. `None` when there is nothing to symbolize, no command, or it failed.
    fn symbolized(&mut self) -> Option<(Verdict, [(usize, usize); 2])> {
        let worth = self
            .findings
            .leaks
            .iter()
            .any(|leak| leak.kind != Kind::Possible || self.options.report_possible)
            || !self.findings.survey.is_empty();
        // Nobody reads the names then.
        let unread = self.findings.quiet && self.rules.is_empty();
        if !(worth && self.options.symbolize)
            || unread
            || matches!(self.findings.outcome, Outcome::CouldNotCheck { .. })
        {
            return None;
        }
        let style = self.style(self.choice().is_terminal());
        let incomplete = !self.findings.reasons.is_empty();
        let rendered = self.with_report(|report, who| {
            render_child::render(report.modules, &mut |out| {
                record::write(&who.process(), 1, report, &style, out);
            })
        })?;
        if !rendered.is_empty() && !self.findings.quiet {
            rendered.print(&mut output::open(&self.choice(), &mut complain));
        }
        let verdict = match (rendered.leaks, incomplete) {
            (true, _) => Verdict::Leaks,
            (false, true) => Verdict::Incomplete,
            (false, false) => Verdict::Clean,
        };
        Some((verdict, rendered.left))
    }

    fn choice(&self) -> Choice<'_> {
        self.who.choice(self.options)
    }

    /// Prints with modules and offsets.
    fn print(&mut self) -> Verdict {
        let options = self.options;
        self.suppress();
        let verdict = self.with_report(|report, _| report.verdict());
        // No file is made for a report without a word.
        let suppressed = options.print_suppressions && self.rules.used().next().is_some();
        let possible = options.report_possible && !self.findings.leaks.is_empty();
        let clean = verdict == Verdict::Clean && options.verbosity == 0 && self.findings.survey.is_empty();
        if !self.findings.quiet && (!clean || suppressed || possible) {
            let choice = self.choice();
            let mut out = output::open(&choice, &mut complain);
            let style = self.style(out.is_terminal());
            self.with_report(|report, _| text::render(report, &style, &Unsymbolized(report), &mut out));
        }
        verdict
    }

    /// Takes out the leaks that a suppression covers by the name of a module, and what only those hold.
    fn suppress(&mut self) {
        if self.rules.is_empty() {
            return;
        }
        let (stacks, modules) = (self.findings.stacks, self.findings.modules);
        self.findings.leaks.sort_unstable_by_key(|leak| (leak.stack, leak.base));
        let mut covered = MapVec::<u32>::new();
        for run in self.findings.leaks.chunk_by(|a, b| a.stack == b.stack) {
            let Some(stack) = run.first().map(|leak| leak.stack) else { continue };
            let Some(rule) = covering(&self.rules, stacks, modules, stack) else { continue };
            self.rules.count(rule, run.len(), run.iter().map(|leak| leak.size).sum());
            // Without memory for the list the leak is reported: a word too many, none too few.
            let _ = covered.push(stack);
        }
        let is_covered = |stack: u32| covered.binary_search(&stack).is_ok();
        let mut kept = 0;
        for index in 0..self.findings.leaks.len() {
            let Some(leak) = self.findings.leaks.get(index).copied() else { break };
            let held = leak.kind == Kind::Indirect && leak.under != 0 && is_covered(leak.under);
            if !(is_covered(leak.stack) || held) {
                if let Some(place) = self.findings.leaks.get_mut(kept) {
                    *place = leak;
                }
                kept += 1;
            }
        }
        self.findings.leaks.truncate(kept);
    }

    fn style(&self, terminal: bool) -> Style {
        let options = self.options;
        Style {
            color: match options.color {
                Color::Auto => terminal,
                Color::Always => true,
                Color::Never => false,
            },
            report_objects: options.report_objects,
            max_leaks: options.max_leaks as usize,
            print_suppressions: options.print_suppressions,
            print_summary: options.print_summary,
            verdict_when_clean: options.verbosity > 0,
            report_possible: options.report_possible,
            extent: Extent {
                reachable: options.max_leaks as usize,
                retained: options.report_retained as usize,
            },
        }
    }

    /// Groups the leaks and calls `act` with the report. Without memory for the groups the check has failed.
    fn with_report<R>(&mut self, act: impl FnOnce(&Report<'_>, &Who) -> R) -> R {
        let resolution = self.options.resolution as usize;
        let stacks = Leading { stacks: self.findings.stacks, count: resolution };
        let grouped = same_leading(&self.findings.leaks, &stacks).and_then(|same| {
            super::group(&mut self.findings.leaks, &mut |stack| {
                let found = same.binary_search_by_key(&stack, |pair| pair.0);
                found.ok().and_then(|index| same.get(index)).map_or(stack, |pair| pair.1)
            })
        });
        let (groups, outcome) = match grouped {
            Ok(groups) => (groups, self.findings.outcome),
            Err(_) => (
                MapVec::new(),
                Outcome::CouldNotCheck {
                    why: "no memory to group the leaks",
                    advice: "raise the memory limit",
                },
            ),
        };
        let report = Report {
            pid: process::pid(),
            program: self.who.program(),
            outcome,
            groups: &groups,
            leaks: &self.findings.leaks,
            totals: self.findings.totals,
            reasons: self.findings.reasons,
            notes: self.findings.notes,
            survey: self.findings.survey,
            suppressions: &self.rules,
            stacks: &stacks,
            modules: self.findings.modules,
        };
        act(&report, &self.who)
    }
}

/// The first suppression that names a module of the stack.
fn covering(rules: &Suppressions, stacks: &dyn Stacks, modules: &dyn Modules, stack: u32) -> Option<usize> {
    let mut frames = [0; MAX_FRAMES];
    let count = stacks.frames(stack, &mut frames);
    frames.iter().take(count).find_map(|pc| {
        let mut rule = None;
        modules.find(crate::base::Addr::new(*pc), &mut |module| rule = rules.find(&[module.path]));
        rule
    })
}

/// Stacks cut to their first frames; whole with `count` 0.
struct Leading<'a> {
    stacks: &'a dyn Stacks,
    count: usize,
}

impl Stacks for Leading<'_> {
    fn frames(&self, stack: u32, into: &mut [usize]) -> usize {
        let count = self.stacks.frames(stack, into);
        if self.count == 0 { count } else { count.min(self.count) }
    }
}

/// For each stack of `leaks` (sorted by number) the first one with the same leading frames; nothing when all count.
fn same_leading(leaks: &[Leak], stacks: &Leading<'_>) -> Result<MapVec<(u32, u32)>, Errno> {
    let mut same = MapVec::new();
    if stacks.count == 0 {
        return Ok(same);
    }
    let mut hashed = MapVec::<(u64, u32)>::new();
    for leak in leaks {
        if hashed.last().is_some_and(|(_, stack)| *stack == leak.stack) {
            continue;
        }
        let mut frames = [0; MAX_FRAMES];
        let count = stacks.frames(leak.stack, &mut frames);
        // FNV-1a over words; a collision of 64 bits would merge two groups in a report.
        let hash = frames.iter().take(count).fold(0xcbf2_9ce4_8422_2325_u64, |hash, pc| {
            (hash ^ *pc as u64).wrapping_mul(0x100_0000_01b3).rotate_left(29)
        });
        hashed.push((hash, leak.stack))?;
    }
    hashed.sort_unstable();
    for run in hashed.chunk_by(|a, b| a.0 == b.0) {
        for (_, stack) in run {
            same.push((*stack, run.first().map_or(*stack, |first| first.1)))?;
        }
    }
    same.sort_unstable();
    Ok(same)
}

/// The process in words, read when needed: a program may rename itself.
struct Who {
    program: Text<1024>,
    arguments: [u8; 1024],
    arguments_len: usize,
}

impl Who {
    fn read() -> Who {
        let mut link = [0; 1024];
        let program = file::read_link(c"/proc/self/exe", &mut link).unwrap_or_default();
        let mut who = Who { program: Text::new(), arguments: [0; 1024], arguments_len: 0 };
        for chunk in program.utf8_chunks() {
            let _ = core::fmt::Write::write_str(&mut who.program, chunk.valid());
        }
        if let Ok(fd) = file::open(c"/proc/self/cmdline", libc::O_RDONLY, 0) {
            who.arguments_len = file::read(&fd, &mut who.arguments).unwrap_or(0);
        }
        who
    }

    fn program(&self) -> &[u8] {
        self.program.as_bytes()
    }

    fn choice<'a>(&'a self, options: &'a Options) -> Choice<'a> {
        Choice {
            log_path: options.log_path.as_str(),
            log_exe_name: options.log_exe_name,
            log_suffix: options.log_suffix.as_str(),
            program: self.program(),
        }
    }

    fn process(&self) -> Process<'_> {
        Process {
            pid: process::pid(),
            parent: process::parent(),
            image: IMAGE.load(Relaxed),
            time_ns: process::monotonic_ns(),
            program: self.program(),
            arguments: self.arguments.get(..self.arguments_len).unwrap_or_default(),
        }
    }
}
