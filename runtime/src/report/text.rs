//! The report as text: LeakSanitizer's format to the letter where it has one, so that whatever parses its reports
//! parses ours (format: LLVM 19's output; `Direct leak of N byte(s) in M object(s) allocated from:`, frames as
//! `    #1 0x7f.. in f file:line:column` or `    #1 0x7f..  (module+0x12) (BuildId: ..)`, `SUMMARY: LeakSanitizer: ..`).
//!
//! What LeakSanitizer has no words for stands on lines of its own, which begin with `==PID==Standstill:` or come after
//! a group's frames: the verdict, what a leak retains, what is only possibly a leak.

use crate::base::Addr;

use super::model::{Group, Kind, MAX_FRAMES, Modules, Outcome, Report, Verdict};
use super::sink::{Sink, write_to};
use super::suppressions::Printable;
use super::survey::{self, Extent, Place};

macro_rules! say {
    ($out:expr, $($format:tt)*) => { write_to($out, format_args!($($format)*)) };
}

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With the colours of LeakSanitizer.
    pub color: bool,
    /// List address and size of each leaked object.
    pub report_objects: bool,
    /// Print only so many groups; 0 all.
    pub max_leaks: usize,
    /// Print the table of suppressions that were used.
    pub print_suppressions: bool,
    /// Print the line that begins with SUMMARY.
    pub print_summary: bool,
    /// Print the verdict also when clean, and the notes.
    pub verdict_when_clean: bool,
    /// Print what is only possibly leaked with its stacks.
    pub report_possible: bool,
    /// How much to print of what is no leak.
    pub extent: Extent,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            color: false,
            report_objects: false,
            max_leaks: 0,
            print_suppressions: true,
            print_summary: true,
            verdict_when_clean: false,
            report_possible: false,
            extent: Extent::default(),
        }
    }
}

/// Prints the frames of a stack, one line each with a line feed at its end, and no blank line behind them.
pub trait StackText {
    /// Prints stack `stack`. Prints nothing when there is none.
    fn print(&self, stack: u32, out: &mut dyn Sink);

    /// Prints lines of its own behind a group's frames.
    fn after(&self, _group: &Group, _out: &mut dyn Sink) {}

    /// Prints `, allocated in ..` for the caller of malloc in stack `stack`; nothing when it is not known.
    fn allocated(&self, stack: u32, out: &mut dyn Sink);

    /// Prints ` of ..` for the function that an address of code is in.
    fn frame(&self, pc: usize, out: &mut dyn Sink);

    /// Names a root word.
    fn place(&self, place: &Place, out: &mut dyn Sink);

    /// Names what a root word belongs to with all its neighbours that are the same place.
    fn whole(&self, place: &Place, out: &mut dyn Sink) {
        self.place(place, out);
    }

    /// True when two root words, of which the second follows the first, are parts of one variable, thread or module.
    fn same_place(&self, first: &Place, second: &Place) -> bool;
}

/// Frames as module and offset, for a process without a symbolizer.
pub struct Unsymbolized<'a>(pub &'a Report<'a>);

impl StackText for Unsymbolized<'_> {
    fn print(&self, stack: u32, out: &mut dyn Sink) {
        let mut frames = [0; MAX_FRAMES];
        let count = self.0.stacks.frames(stack, &mut frames);
        for (number, pc) in frames.iter().take(count).enumerate() {
            frame(number, *pc, self.0.modules, out);
        }
    }

    fn allocated(&self, stack: u32, out: &mut dyn Sink) {
        let mut frames = [0; 2];
        if self.0.stacks.frames(stack, &mut frames) == 2 {
            out.bytes(b", allocated in");
            self.frame(frames[1], out);
        }
    }

    fn frame(&self, pc: usize, out: &mut dyn Sink) {
        self.0.modules.find(Addr::new(pc), &mut |module| {
            module_and_offset(module.path, pc.wrapping_sub(module.bias), &[], out);
        });
    }

    fn place(&self, place: &Place, out: &mut dyn Sink) {
        out.bytes(place.holder.phrase().as_bytes());
        if place.tid != 0 {
            say!(out, " of thread {}", place.tid);
        }
        if !place.at.is_null() {
            say!(out, " at {:#x}", place.at);
            self.0.modules.containing(place.at, &mut |module| {
                module_and_offset(module.path, place.at.get().wrapping_sub(module.bias), &[], out);
            });
        }
    }

    fn whole(&self, place: &Place, out: &mut dyn Sink) {
        let mut known = false;
        self.0.modules.containing(place.at, &mut |module| {
            known = true;
            say!(out, "all roots in {}", Printable(module.path));
        });
        if !known {
            self.place(place, out);
        }
    }

    /// By module: without symbols no smaller unit is known.
    fn same_place(&self, first: &Place, second: &Place) -> bool {
        let mut module = None;
        self.0.modules.containing(first.at, &mut |found| module = Some(found.bias));
        let mut same = (first.holder, first.tid) == (second.holder, second.tid);
        if let Some(bias) = module {
            same = false;
            self.0.modules.containing(second.at, &mut |found| same = found.bias == bias);
        }
        same
    }
}

/// Prints a frame's line with module and offset.
pub fn frame(number: usize, pc: usize, modules: &dyn Modules, out: &mut dyn Sink) {
    say!(out, "    #{number} {pc:#x} ");
    let mut known = false;
    modules.find(Addr::new(pc), &mut |module| {
        known = true;
        module_and_offset(module.path, pc.wrapping_sub(module.bias), module.build_id, out);
    });
    if !known {
        out.bytes(b" (<unknown module>)");
    }
    out.bytes(b"\n");
}

/// Prints ` (module+0x12) (BuildId: 0123..)`.
pub fn module_and_offset(path: &[u8], offset: usize, build_id: &[u8], out: &mut dyn Sink) {
    say!(out, " ({}+{offset:#x})", Printable(path));
    if !build_id.is_empty() {
        out.bytes(b" (BuildId: ");
        for byte in build_id {
            say!(out, "{byte:02x}");
        }
        out.bytes(b")");
    }
}

/// As LeakSanitizer marks the line that begins a report.
pub const BOLD_RED: &str = "\x1b[1m\x1b[31m";
const BOLD_BLUE: &str = "\x1b[1m\x1b[34m";
/// No colour any more.
pub const PLAIN: &str = "\x1b[1m\x1b[0m";

/// Prints the whole report.
pub fn render(report: &Report<'_>, style: &Style, stacks: &dyn StackText, out: &mut dyn Sink) {
    let verdict = report.verdict();
    let (pid, (red, blue, plain)) =
        (report.pid, if style.color { (BOLD_RED, BOLD_BLUE, PLAIN) } else { ("", "", "") });
    if verdict == Verdict::Leaks {
        say!(out, "\n=================================================================\n");
        say!(out, "{red}=={pid}==ERROR: LeakSanitizer: detected memory leaks\n{plain}\n");
        groups(report, style, stacks, (blue, plain), out);
    }
    if style.report_possible {
        for group in report.groups.iter().filter(|group| group.kind == Kind::Possible) {
            one_group(report, style, stacks, group, (blue, plain), out);
        }
    }
    survey::render(&report.survey, style.extent, stacks, out);
    if style.print_suppressions && report.suppressions.used().next().is_some() {
        suppressions(report, out);
    }
    if verdict == Verdict::Leaks && style.print_summary {
        let (objects, bytes) = report.leaked();
        say!(out, "SUMMARY: LeakSanitizer: {bytes} byte(s) leaked in {objects} allocation(s).\n");
    }
    if let Outcome::CouldNotCheck { why, advice } = report.outcome {
        could_not_check(pid, why, advice, out);
    }
    verdict_line(report, verdict, style, out);
    if verdict == Verdict::Incomplete && style.print_summary {
        let why = report.reasons.first().map_or("", |reason| reason.as_str());
        withheld_summary(report.withheld(), why, out);
    }
}

/// Of a check that is incomplete, in the place where a report of leaks has its sum: `withheld`, objects and bytes, would have
/// been in it. Nothing when there is none.
pub fn withheld_summary(withheld: (usize, usize), why: &str, out: &mut dyn Sink) {
    let (objects, bytes) = withheld;
    if objects > 0 {
        say!(
            out,
            "SUMMARY: Standstill: incomplete: {bytes} byte(s) in {objects} object(s) were not reached and would"
        );
        say!(out, " have been reported as leaked, but not everything was seen: {why}.");
        out.bytes(b" Mend that and check again; until then report_possible=1 (--possible) lists them.\n");
    }
}

fn groups(
    report: &Report<'_>,
    style: &Style,
    stacks: &dyn StackText,
    colors: (&str, &str),
    out: &mut dyn Sink,
) {
    let leaks = || report.groups.iter().filter(|group| group.kind != Kind::Possible);
    let count = leaks().count();
    let shown = if style.max_leaks == 0 { count } else { count.min(style.max_leaks) };
    if style.max_leaks > 0 {
        say!(out, "The {shown} top leak(s):\n");
    }
    for group in leaks().take(shown) {
        one_group(report, style, stacks, group, colors, out);
    }
    if count > shown {
        say!(out, "Omitting {} more leak(s).\n", count - shown);
    }
}

fn one_group(
    report: &Report<'_>,
    style: &Style,
    stacks: &dyn StackText,
    group: &Group,
    (blue, plain): (&str, &str),
    out: &mut dyn Sink,
) {
    let (kind, bytes, objects) = (group.kind.name(), group.bytes, group.objects);
    say!(out, "{blue}{kind} leak of {bytes} byte(s) in {objects} object(s) allocated from:\n{plain}");
    stacks.print(group.stack, out);
    if group.retained_objects > 0 {
        let (bytes, objects) = (group.retained_bytes, group.retained_objects);
        say!(out, "  which keep(s) {bytes} more byte(s) in {objects} object(s)\n");
    }
    if group.born > 0 {
        say!(out, "  allocated after baseline {}\n", group.born);
    }
    stacks.after(group, out);
    out.bytes(b"\n");
    if style.report_objects {
        out.bytes(b"Objects leaked above:\n");
        for leak in report.leaks.iter().skip(group.first).take(group.objects) {
            say!(out, "{:#x} ({} bytes)\n", leak.base, leak.size);
        }
        out.bytes(b"\n");
    }
}

fn suppressions(report: &Report<'_>, out: &mut dyn Sink) {
    const RULE: &[u8] = b"-----------------------------------------------------\n";
    out.bytes(RULE);
    out.bytes(b"Suppressions used:\n  count      bytes template\n");
    for used in report.suppressions.used() {
        say!(out, "{:7} {:10} {}\n", used.objects, used.bytes, Printable(used.pattern));
    }
    out.bytes(RULE);
    out.bytes(b"\n");
}

/// What tools look for after a check that failed is LeakSanitizer's first line.
fn could_not_check(pid: i32, why: &str, advice: &str, out: &mut dyn Sink) {
    say!(out, "=={pid}==LeakSanitizer has encountered a fatal error.\n");
    if !advice.is_empty() {
        say!(out, "=={pid}==HINT: {advice}.\n");
    }
    say!(out, "=={pid}==Standstill: could not check: {why}\n");
}

fn verdict_line(report: &Report<'_>, verdict: Verdict, style: &Style, out: &mut dyn Sink) {
    let pid = report.pid;
    let totals = &report.totals;
    let (possible, possible_bytes) = report.possible();
    match verdict {
        Verdict::CouldNotCheck => return,
        Verdict::Clean if !style.verdict_when_clean => return,
        Verdict::Clean | Verdict::Incomplete => {
            let certain = if verdict == Verdict::Clean { "" } else { "certain " };
            say!(out, "=={pid}==Standstill: {}: no {certain}leak in", verdict.name());
            say!(out, " {} chunk(s) of {} byte(s),", totals.chunks, totals.bytes);
            say!(out, " {} thread(s)", totals.threads);
        }
        Verdict::Leaks if !style.verdict_when_clean && report.reasons.is_empty() => return,
        Verdict::Leaks => {
            let (objects, bytes) = report.leaked();
            say!(out, "=={pid}==Standstill: leaks: {bytes} byte(s) in {objects} of");
            say!(out, " {} chunk(s), {} thread(s)", totals.chunks, totals.threads);
        }
    }
    if possible > 0 {
        say!(out, "; {possible_bytes} byte(s) in {possible} object(s) are possibly leaked");
    }
    let (withheld, withheld_bytes) = report.withheld();
    if withheld > 0 {
        say!(out, ", of which {withheld_bytes} byte(s) in {withheld} object(s) were not reached at all");
    }
    out.bytes(b"\n");
    for reason in report.reasons {
        say!(out, "=={pid}==Standstill: not everything was seen: {reason}\n");
    }
    if style.verdict_when_clean {
        for note in report.notes {
            say!(out, "=={pid}==Standstill: note: {note}\n");
        }
    }
}
