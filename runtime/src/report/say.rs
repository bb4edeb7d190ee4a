//! One line where reports go, about a mistake of the program's or of the user's.

use core::fmt::Arguments;

use crate::base::text::Text;
use crate::init;
use crate::sys::process;

use super::deliver;
use super::output::FdSink;
use super::sink::Sink;

/// Writes `==PID==Standstill: what` at once. A line that cannot be written is lost: there is nobody to tell.
#[cold]
pub fn say(what: Arguments<'_>) {
    let line = Text::<512>::of(format_args!("=={}==Standstill: {what}\n", process::pid()));
    destination().bytes(line.as_bytes());
}

/// Where reports go by the options in force.
pub fn destination() -> FdSink {
    deliver::destination(init::options())
}
