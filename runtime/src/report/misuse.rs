//! A misuse of the heap as text: what was done, by whom, and who had allocated the block.

use crate::base::Addr;
use crate::init::{self, Options};
use crate::sys::process;
use crate::trace::{self, MAX_DEPTH, StackId};

use super::deliver::{destination, record_misuse};
use super::model::Modules;
use super::render_child;
use super::sink::{Sink, write_to};
use super::text::module_and_offset;
use super::told::{self, Telling};

/// What stands above each of a misuse's call stacks: the free, the free before, the allocation.
pub const TITLES: [&str; 3] = ["", "\nthe block was freed before by:\n", "\nthe block was allocated by:\n"];

/// A block that was freed against the rules.
pub struct MisuseReport<'a> {
    /// The rule, in a word or two.
    pub what: &'a str,
    /// More of it, to stand behind the address.
    pub detail: &'a str,
    /// What was freed.
    pub block: Addr,
    /// The process ends by it.
    pub ends: bool,
    /// The stack of the free.
    pub freed_by: StackId,
    /// The stack of the free before, where that is known.
    pub freed_before_by: StackId,
    /// The stack of the allocation.
    pub allocated_by: StackId,
}

impl MisuseReport<'_> {
    /// The call stacks that it has to do with: of the free, of the free before, of the allocation.
    pub fn stacks(&self) -> [StackId; 3] {
        [self.freed_by, self.freed_before_by, self.allocated_by]
    }
}

/// Writes a record where the command wants one, else prints it where reports go, with functions and lines if the command
/// is there; once for the same call stacks. When the process is to end by it, waits until other threads have told theirs.
pub fn misuse(report: &MisuseReport<'_>, modules: &dyn Modules) {
    if let Some(telling) = Telling::begin(report) {
        trace::enter_images_of(&report.stacks());
        let options = init::options();
        if record_misuse(report, modules, options).is_none() {
            print(report, modules, options);
        }
        drop(telling);
    }
    if report.ends {
        told::await_others();
    }
}

fn print(report: &MisuseReport<'_>, modules: &dyn Modules, options: &Options) {
    let mut out = destination(options);
    let mut plain = |out: &mut dyn Sink| text(report, options.print_summary, out);
    if !options.symbolize || !render_child::symbolize(modules, &mut plain, &mut out) {
        plain(&mut out);
    }
}

fn text(report: &MisuseReport<'_>, summary: bool, out: &mut dyn Sink) {
    let pid = process::pid();
    let MisuseReport { what, detail, block, .. } = report;
    write_to(out, format_args!("\n=={pid}==ERROR: Standstill: {what} of {block:#x}{detail}\n"));
    for (stack, title) in report.stacks().into_iter().zip(TITLES) {
        if stack != StackId::NONE {
            out.bytes(title.as_bytes());
            frames(stack, out);
        }
    }
    out.bytes(b"\n");
    if summary {
        write_to(out, format_args!("SUMMARY: Standstill: {what}\n"));
    }
}

fn frames(stack: StackId, out: &mut dyn Sink) {
    let mut frames = [0; MAX_DEPTH];
    let count = trace::frames(stack, &mut frames);
    for (number, pc) in frames.iter().take(count).enumerate() {
        write_to(out, format_args!("    #{number} {pc:#x} "));
        match trace::modules::find(Addr::new(*pc)) {
            Some(module) => {
                let (mut path, mut id) = ([0; trace::modules::PATH], [0; trace::modules::BUILD_ID]);
                let (path, id) = (module.path(&mut path), module.build_id(&mut id));
                module_and_offset(path, pc.wrapping_sub(module.bias()), id, out);
            }
            None => out.bytes(b" (<unknown module>)"),
        }
        out.bytes(b"\n");
    }
}
