//! A misuse of the heap as text: what was done, by whom, and who had allocated the block.

use crate::base::Addr;
use crate::init;
use crate::sys::process;
use crate::trace::{self, MAX_DEPTH, StackId};

use super::deliver::destination;
use super::sink::{Sink, write_to};
use super::text::module_and_offset;

/// A block that was freed against the rules.
pub struct MisuseReport<'a> {
    /// The rule, in a word or two.
    pub what: &'a str,
    /// What was freed.
    pub block: Addr,
    /// The stack of the free.
    pub freed_by: StackId,
    /// The stack of the allocation.
    pub allocated_by: StackId,
}

/// Prints it where reports go.
pub fn misuse(report: &MisuseReport<'_>) {
    let mut out = destination(init::options());
    let pid = process::pid();
    write_to(
        &mut out,
        format_args!("\n=={pid}==ERROR: Standstill: {} of {:#x}\n", report.what, report.block),
    );
    frames(report.freed_by, &mut out);
    if report.allocated_by != StackId::NONE {
        write_to(&mut out, format_args!("\nthe block was allocated by:\n"));
        frames(report.allocated_by, &mut out);
    }
    write_to(&mut out, format_args!("\nSUMMARY: Standstill: {}\n", report.what));
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
