//! # The `standstill` command
//!
//! `standstill run -- PROGRAM` loads the library into a program, waits for it and its children, and prints one report.
//! The library writes raw records ([`record`]); everything that needs symbols, an allocator or patience happens here,
//! outside of the dying process:
//!
//! 1. [`run`] finds the library, starts the program, passes signals and the terminal's wishes on, collects records;
//! 2. [`findings`] puts the records of all processes together, symbolized ([`symbols`]) and suppressed;
//! 3. [`show`] prints LeakSanitizer's text, [`json`] writes the machine's form.
//!
//! A crate of its own, so that the parts can be tested and fuzzed.

pub mod cli;
pub mod diff;
pub mod findings;
pub mod json;
pub mod record;
pub mod render;
pub mod run;
pub mod show;
pub mod symbolize;
pub mod symbols;

/// Says one line on standard error. When nobody reads it any more that is no reason to end otherwise: `eprintln!` would
/// panic.
pub fn say(line: std::fmt::Arguments<'_>) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{line}\n"));
}
