//! One line on standard error, about a mistake of the program's or of the user's.

use core::fmt::Arguments;

use crate::base::text::Text;
use crate::sys::{file, process};

/// Writes `==PID==Standstill: what` at once. A line that cannot be written is lost: there is nobody to tell.
#[cold]
pub fn say(what: Arguments<'_>) {
    let line = Text::<512>::of(format_args!("=={}==Standstill: {what}\n", process::pid()));
    let _ = file::write_all(2, line.as_bytes());
}
