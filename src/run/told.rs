//! What the user told the library: of its options some say how a report looks and where it goes, and under the command the
//! report is the command's. Each process reads the same two variables; what is wrong in them is said here, once.
//!
//! Not seen here: what a program says of itself in `__lsan_default_options`, and variables that it sets for its children.

use std::env;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use standstill_runtime::init::options::{Options, Problem, help};

/// The options of this command's environment; `explain` is a wish of its command line.
pub fn options(explain: Option<&str>) -> Options {
    let mut options = Options::DEFAULT;
    // The later one wins, as in the library (`init::start`).
    for name in ["LSAN_OPTIONS", "STANDSTILL_OPTIONS"] {
        if let Some(text) = env::var_os(name) {
            let mut complain = |problem: &Problem| crate::say(format_args!("Standstill: {name}: {problem}"));
            options.apply(text.as_bytes(), &mut complain);
        }
    }
    if let Some(what) = explain {
        // The library says what is wrong with it.
        let _ = options.set("explain", what);
    }
    options.idle(&mut |problem| crate::say(format_args!("Standstill: {problem}")));
    if options.help {
        let mut text = String::new();
        help(&mut |piece| text += piece);
        // Nobody who reads it is no reason not to run the program.
        let _ = io::stderr().write_all(text.as_bytes());
    }
    options
}
