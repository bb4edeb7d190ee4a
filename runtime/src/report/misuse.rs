//! A misuse of the heap as text: what was done, by whom, and who had allocated the block.

use crate::base::Addr;
use crate::init;
use crate::sys::process;
use crate::trace::{self, MAX_DEPTH, StackId};

use super::deliver::destination;
use super::model::Modules;
use super::render_child;
use super::sink::{Sink, write_to};
use super::text::module_and_offset;
use super::told::is_first;

/// A block that was freed against the rules.
pub struct MisuseReport<'a> {
    /// The rule, in a word or two.
    pub what: &'a str,
    /// More of it, to stand behind the address.
    pub detail: &'a str,
    /// What was freed.
    pub block: Addr,
    /// The stack of the free.
    pub freed_by: StackId,
    /// The stack of the free before, where that is known.
    pub freed_before_by: StackId,
    /// The stack of the allocation.
    pub allocated_by: StackId,
}

/// Prints it where reports go, with functions and lines if the command is there; once for the same call stacks.
pub fn misuse(report: &MisuseReport<'_>, modules: &dyn Modules) {
    if !is_first(report) {
        return;
    }
    trace::enter_images_of(&[report.freed_by, report.freed_before_by, report.allocated_by]);
    let options = init::options();
    let mut out = destination(options);
    let mut plain = |out: &mut dyn Sink| text(report, out);
    if !options.symbolize || !render_child::symbolize(modules, &mut plain, &mut out) {
        plain(&mut out);
    }
}

fn text(report: &MisuseReport<'_>, out: &mut dyn Sink) {
    let pid = process::pid();
    let MisuseReport { what, detail, block, .. } = report;
    write_to(out, format_args!("\n=={pid}==ERROR: Standstill: {what} of {block:#x}{detail}\n"));
    frames(report.freed_by, out);
    for (stack, title) in [
        (report.freed_before_by, "the block was freed before by"),
        (report.allocated_by, "the block was allocated by"),
    ] {
        if stack != StackId::NONE {
            write_to(out, format_args!("\n{title}:\n"));
            frames(stack, out);
        }
    }
    write_to(out, format_args!("\nSUMMARY: Standstill: {what}\n"));
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
