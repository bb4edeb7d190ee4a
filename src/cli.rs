//! The arguments of the command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Finds memory leaks in unmodified Linux programs.
///
/// `standstill run -- PROGRAM ARGUMENTS` runs a program with Standstill's library preloaded. When the program, or a
/// child process of it, exits, all its threads are stopped for an instant; what can no longer be reached from registers,
/// stacks, thread-local and global memory is a leak, and is reported with the call stack that allocated it.
#[derive(Debug, Parser)]
#[command(name = "standstill", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program and report its leaks and those of its child processes
    Run(Run),
    /// Run a program and say, when it exits, why objects are alive: who holds them, from a variable or a stack on; or who
    /// points to them (--who-points-here)
    Explain(Explain),
    /// Compare the JSON reports of two runs: what is new, what grew, what shrank, what is gone
    Diff(Diff),
    /// Turn raw records into a report
    Render(Render),
    /// Put functions and source lines into text that was printed without them
    Symbolize(Symbolize),
}

/// How the report looks.
#[derive(Clone, Debug, Default, Args)]
pub struct Shape {
    /// Write the findings as JSON to FILE (docs/JSON.md describes it); `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Do not report leaks whose call stack matches a line of FILE: `leak:PATTERN`, where PATTERN occurs in the name of
    /// a function, source file, program or library; `*`, `^` and `$` as in LeakSanitizer. May be given several times
    #[arg(long, value_name = "FILE")]
    pub suppressions: Vec<PathBuf>,
    /// Colours in the report: auto (the default) is when a terminal reads it
    #[arg(long, value_name = "WHEN")]
    pub color: Option<When>,
    /// Print only the N largest groups of leaks
    #[arg(long, value_name = "N")]
    pub max_leaks: Option<usize>,
    /// Print also what is only possibly leaked: held by nothing but an unreached mapping or a register that may be dead
    #[arg(long)]
    pub possible: bool,
    /// Print the N variables, threads and other roots that alone hold the most memory (with `run`, asks the program for it)
    #[arg(long, value_name = "N")]
    pub retained: Option<usize>,
    /// Look for separate debug files under DIR too, laid out as /usr/lib/debug is. May be given several times
    #[arg(long, value_name = "DIR")]
    pub debug_dir: Vec<PathBuf>,
    /// Say more: a line for each process, notes, what could not be symbolized
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// When a terminal reads the report.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Arguments of `standstill run`.
///
/// Exit status: 23 if leaks remain or a misuse of the heap ended a process, else the program's own (128+N if signal N killed it), else 24 if nothing could be
/// checked. 126 and 127: the program cannot be run, was not found; 125: Standstill itself failed.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct Run {
    /// How the report looks.
    #[command(flatten)]
    pub shape: Shape,
    /// Write the report to FILE instead of standard error
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print nothing unless there are leaks or something could not be checked
    #[arg(short, long)]
    pub quiet: bool,
    /// Exit status if leaks remain, or a misuse of the heap ended a process; 0 keeps the program's own, and lets it go on
    /// after a misuse [default: option exitcode, 23]
    #[arg(long, value_name = "N")]
    pub exit_code: Option<u8>,
    /// A program's own non-zero exit status wins over that of leaks
    #[arg(long)]
    pub keep_failure: bool,
    /// Exit status if the program succeeded but nothing could be checked; 0 keeps the program's own
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub unchecked_exit_code: u8,
    /// Keep N frames of each call stack, instead of 30
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub depth: Option<u32>,
    /// Print also what is still reachable, by call stack and by the kind of the first root that reaches it
    #[arg(long)]
    pub reachable: bool,
    /// Say why objects are alive: the one at an address (0x..), those of a size in bytes, or those whose call stack has a
    /// function, source file or library that matches (as in suppressions); `all`: every one. One object of each call stack
    #[arg(long, value_name = "WHAT", value_parser = explainable)]
    pub explain: Option<String>,
    /// Say also which words point to each object that is explained, whoever holds them: roots, mappings, other objects,
    /// lost ones too. N of each at most, 32 without a number, and how many there are
    #[arg(
        long,
        visible_alias = "referrers",
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "32",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub who_points_here: Option<u32>,
    /// List address and size of each leaked object
    #[arg(long)]
    pub objects: bool,
    /// How long to wait, after the program has ended, for child processes that still run
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    pub wait: f64,
    /// Keep the raw records, and say where
    #[arg(long)]
    pub keep_records: bool,
    /// The library to load; without it: $STANDSTILL_LIBRARY, then beside this command and where it was installed or
    /// built
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// Arguments of `standstill explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_HELP)]
pub struct Explain {
    /// An address (0x..), a size in bytes, or a pattern for functions, source files and libraries of the call stack that
    /// allocated the object; `all`: every one. One object of each call stack is explained
    #[arg(value_name = "WHAT", value_parser = explainable)]
    pub what: String,
    /// How to run the program.
    #[command(flatten)]
    pub run: Run,
}

const EXPLAIN_HELP: &str = "\
The same as `standstill run --explain WHAT -- PROGRAM`, with all its options.

Examples:
  standstill explain make_node -- ./server --config test.conf
  standstill explain 4096 -- ./server
  standstill explain --who-points-here make_node -- ./server
  setarch -R standstill explain 0x7ffff7a03c40 -- ./server";

/// The text goes into an option of the library, in quotes.
fn explainable(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('\'') || text.len() > 1000 {
        return Err("must be an address, a size, or a pattern without quotes".to_owned());
    }
    Ok(text.to_owned())
}

const RUN_HELP: &str = "\
Exit status:
  the program's own, or 128+N if signal N killed it
  23   leaks remain, or a misuse of the heap ended a process (--exit-code, --keep-failure)
  24   the program succeeded, but nothing could be checked (--unchecked-exit-code)
  125  standstill itself failed    126  the program cannot be run    127  it was not found

Environment:
  STANDSTILL_OPTIONS  options of the library, name=value separated by colons; help=1 lists them. Those that say how a
                      report looks and where it goes (color, max_leaks, log_path ..) mean this command's report
  LSAN_OPTIONS        the same; STANDSTILL_OPTIONS wins
  STANDSTILL_LIBRARY  the library to load

Examples:
  standstill run -- ./server --config test.conf
  standstill run --json leaks.json --suppressions ci.supp -- make check
  standstill run -q --exit-code 0 -- python3 script.py";

/// Arguments of `standstill diff`.
///
/// Exit status: 23 if a leak or a misuse of the heap is new or grew, else 24 if the run after was not wholly looked at, else 0.
#[derive(Debug, Args)]
pub struct Diff {
    /// The report of the run before, written by `--json`
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The report of the run after
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Compare also what is still reachable, if both runs had `--reachable`
    #[arg(long)]
    pub reachable: bool,
    /// Print the changes as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `standstill render`.
///
/// Exit status: 23 if leaks remain or a misuse of the heap ended a process, 24 if no record tells anything about leaks, else 0.
#[derive(Debug, Args)]
pub struct Render {
    /// How the report looks.
    #[command(flatten)]
    pub shape: Shape,
    /// Cut call stacks to N addresses
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub depth: usize,
    /// Records (files, or directories that hold them); `-` or nothing: standard input
    #[arg(value_name = "RECORD")]
    pub records: Vec<PathBuf>,
    /// Print as the process that wrote the record was told to print, and nothing more: how the library calls this
    #[arg(long, hide = true)]
    pub as_told: bool,
}

/// Arguments of `standstill symbolize`.
///
/// Lines such as `#1 0x7f12 (/lib/libc.so.6+0x27249) (BuildId: 5f..)`, as Standstill and LeakSanitizer print where no
/// symbolizer is at hand, get their functions and source lines. Everything else passes as it is.
#[derive(Debug, Args)]
pub struct Symbolize {
    /// Look for separate debug files under DIR too, laid out as /usr/lib/debug is. May be given several times
    #[arg(long, value_name = "DIR")]
    pub debug_dir: Vec<PathBuf>,
    /// Files to read; `-` or nothing: standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "a number of seconds, 0 or more".to_owned())
}
