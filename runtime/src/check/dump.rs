//! The driver of a thread dump.

use crate::arch::{CallerFrame, Registers};
use crate::base::Addr;
use crate::init;
use crate::report::{self, Sink, output::FdSink, render_child};
use crate::stop::{self, Caller, StopNotes};
use crate::thread_dump::{Captured, capture, text};

use super::analysis::Remembered;
use super::hooks;

/// From where a dump is asked for.
pub enum Asker<'a> {
    /// A call of ours.
    Call(&'a CallerFrame),
    /// A signal handler, on behalf of the code that it interrupted, which had these registers. The loader is not asked:
    /// libraries that came by another way than dlopen(3) since the start have no names.
    Signal(&'a Registers),
}

/// Prints what each thread is doing to `descriptor`, or where reports go. What the stop was like; `None` when there is no
/// dump, which a line says.
pub fn dump_threads(asker: &Asker<'_>, descriptor: Option<i32>) -> Option<StopNotes> {
    let options = init::options();
    let nobody = CallerFrame::default();
    let (caller, interrupted) = match asker {
        Asker::Call(frame) => {
            hooks::update_modules();
            (Caller { frame, stack_pointer: Addr::new(frame.stack_pointer()) }, None)
        }
        Asker::Signal(registers) => {
            let stack_pointer = Addr::new(registers.stack_pointer());
            (Caller { frame: &nobody, stack_pointer }, Some(*registers))
        }
    };
    let deadline_ns = u64::from(options.deadline_ms) * 1_000_000;
    let stop_options =
        stop::Options { deadline_ns, signal_masks: true, extended_later: true, ..stop::Options::DEFAULT };
    let mut captured = Captured::new();
    let mut result = Ok(());
    let stopped = stop::stop_the_world(&caller, &stop_options, &mut |world, _| {
        result = capture(world, interrupted, &mut captured);
    });
    let notes = match (stopped, result) {
        (Err(why), _) => {
            report::say(format_args!("the threads could not be stopped: {why}"));
            return None;
        }
        (_, Err(errno)) => {
            report::say(format_args!("no memory for the list of threads ({errno})"));
            return None;
        }
        (Ok(notes), Ok(())) => notes,
    };
    let mut out = descriptor.map_or_else(report::destination, FdSink::borrowed);
    let mut plain = |out: &mut dyn Sink| text(&captured, &Remembered, out);
    if !options.symbolize || !render_child::symbolize(&Remembered, &mut plain, &mut out) {
        plain(&mut out);
    }
    if let Err(errno) = out.finish() {
        report::say(format_args!("the list of threads could not be written ({errno})"));
        return None;
    }
    Some(notes)
}
