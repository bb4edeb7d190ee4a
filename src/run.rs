//! `standstill run`: starts a program with the library, waits, and prints one report on it and its children.
//!
//! The program runs as it would without: same process group, terminal, descriptors, signal dispositions and mask; the
//! only difference is two variables of its environment (LD_PRELOAD, STANDSTILL_OPTIONS).
//! Processes write their findings to a directory that only this command can list; nothing of ours is printed before the
//! program has ended.

mod at_start;
mod launch;
mod library;
mod logs;
mod program;
mod records;
mod survivors;
mod told;

use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use standstill_runtime::init::options::Options;
use standstill_runtime::report::text::Style;

use crate::cli::Run;
use crate::findings::{Findings, Seen, State, Verdict, assemble, gather};
use crate::json::Exit;
use crate::record::Process;
use crate::render::{self, JsonOutput};
use crate::show::{self, Lines};
use crate::symbols::{self, Symbolizer};
use launch::Ended;
use logs::Logs;
use records::Directory;
pub use records::is_record;

/// A reason to give up, and the exit status that says so.
#[derive(Debug)]
pub struct Problem {
    text: String,
    code: u8,
}

impl Problem {
    /// A failure of ours.
    pub fn new(text: String) -> Problem {
        Problem { text, code: 125 }
    }

    /// A program that was not found (127) or cannot be run (126), as shells and env(1) say it.
    fn of_program(text: String, code: u8) -> Problem {
        Problem { text, code }
    }

    /// The exit status of the command.
    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Runs the subcommand.
pub fn run(options: &Run) -> Result<ExitCode, Problem> {
    // All that can be wrong with the arguments is found before the program runs.
    symbols::check_directories(&options.shape.debug_dir)?;
    let told = told::options(options.explain.as_deref());
    if options.who_points_here.is_some() && options.explain.is_none() && told.explain.as_str().is_empty() {
        let how =
            "--who-points-here says more of --explain WHAT: give that too (or `standstill explain WHAT`)";
        return Err(Problem::new(how.to_owned()));
    }
    let suppressions = render::suppressions(&options.shape, &mut |line| crate::say(format_args!("{line}")))?;
    let log = options.log.as_ref().map(|path| {
        let new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o666).open(path);
        new.map_err(|error| Problem::new(format!("cannot write the report to {}: {error}", path.display())))
    });
    let log = log.transpose()?;
    let path = program::find(&options.program[0])?;
    let obstacle = program::obstacle(&path);
    let library = library::find(options.library.as_deref())?;
    let directory = Directory::make()?;
    let environment = environment(options, &directory, &library, obstacle.as_ref())?;
    let json = JsonOutput::open(&options.shape)?;
    let begun = SystemTime::now();
    let ended = launch::run(&path, &options.program, &environment)?;
    let records = directory.collect(ended.pid, Duration::from_secs_f64(options.wait.clamp(0.0, 1e6)));
    let mut problems = records.problems;
    let mut seen = gather(records.list, &records::After { main: &ended });
    if !seen.iter().any(|seen| seen.process.pid == ended.pid) {
        let why = obstacle.map_or_else(|| no_word(&ended), |obstacle| obstacle.sentence);
        seen.insert(0, unheard(&path, options, &ended, why));
    }
    let depth = options.depth.unwrap_or(0) as usize;
    let mut symbolizer =
        if told.symbolize { Symbolizer::new(&options.shape.debug_dir) } else { Symbolizer::off() };
    let style = |terminal| {
        let style = render::style(&options.shape, &told, terminal);
        Style { report_objects: style.report_objects || options.objects, ..style }
    };
    let (pid, lines) = (ended.pid, lines(options, &told));
    let logs = log.is_none().then(|| Logs::of(&told, begun)).flatten();
    let mut in_logs = String::new();
    if let Some(logs) = &logs {
        for one in &seen {
            let suppressions = render::suppressions(&options.shape, &mut |_| {})?;
            let findings = assemble(vec![one.clone()], suppressions, &mut symbolizer, depth);
            let lines = match (&one.state, lines) {
                // That is said with the other verdicts, and without a check there is no report.
                (State::NotChecked(_), _) => Lines::None,
                (State::Checked(_), Lines::Verbose) => Lines::Verbose,
                (State::Checked(_), _) => Lines::Quiet,
            };
            in_logs += &logs.write(&one.process, &show::text(&findings, &style(false), pid, lines));
        }
    }
    let mut findings = assemble(seen, suppressions, &mut symbolizer, depth);
    findings.problems.append(&mut problems);
    let text = |terminal| show::text(&findings, &style(terminal), pid, lines);
    let (mut log, mut stdout, mut stderr) = (log, io::stdout(), io::stderr());
    let written = match &mut log {
        Some(file) => file.write_all(&text(file.is_terminal())),
        None if logs.is_some() => stderr.write_all((show::verdicts(&findings, lines) + &in_logs).as_bytes()),
        None if told.log_path.as_str() == "stdout" => stdout.write_all(&text(stdout.is_terminal())),
        None => stderr.write_all(&text(stderr.is_terminal())),
    };
    let command = options.program.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let exit = Exit { status: ended.status, signal: ended.signal };
    let json = json.map_or(Ok(()), |json| json.write(&findings, Some(command), Some(&exit)));
    if options.keep_records {
        crate::say(format_args!("standstill: the raw records are in {}", directory.keep().display()));
    }
    if let Err(error) = written {
        // Standard error that is closed is the caller's wish; a log file that is full is not.
        if options.log.is_some() {
            return Err(Problem::new(format!("cannot write the report: {error}")));
        }
    }
    json?;
    Ok(ExitCode::from(exit_code(options, &told, &findings, &ended)))
}

/// The program's environment: everything as it is, with the library in front of LD_PRELOAD and our options behind the
/// user's.
fn environment(
    options: &Run,
    directory: &Directory,
    library: &std::path::Path,
    obstacle: Option<&program::Obstacle>,
) -> Result<Vec<(OsString, OsString)>, Problem> {
    let mut all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let mut set = |name: &str, change: &dyn Fn(Option<OsString>) -> OsString| {
        let place = all.iter().position(|(of, _)| of == name);
        let old = place.map(|index| all.remove(index).1).filter(|old| !old.is_empty());
        all.push((name.into(), change(old)));
    };
    // The loader would say on standard error that it cannot load the library, and the program would run all the same.
    if !obstacle.is_some_and(|obstacle| obstacle.loader_complains) {
        let preload = directory.preload_name(library)?;
        set("LD_PRELOAD", &|old| match old {
            Some(old) => [preload.as_os_str(), ":".as_ref(), old.as_os_str()].iter().copied().collect(),
            None => preload.clone().into(),
        });
    }
    let mut ours = format!("report_dir='{}':exit_on_leaks=0", directory.path().display());
    if let Some(code) = options.exit_code {
        ours += &format!(":exitcode={code}");
    }
    if let Some(depth) = options.depth {
        ours += &format!(":malloc_context_size={depth}");
    }
    if options.objects {
        ours += ":report_objects=1";
    }
    if options.reachable {
        ours += ":report_reachable=1";
    }
    if let Some(count) = options.shape.retained {
        ours += &format!(":report_retained={count}");
    }
    if let Some(what) = &options.explain {
        ours += &format!(":explain='{what}'");
    }
    if let Some(count) = options.who_points_here {
        ours += &format!(":explain_referrers={count}");
    }
    set("STANDSTILL_OPTIONS", &|old| match old {
        Some(old) => [old.as_os_str(), ":".as_ref(), ours.as_ref()].iter().copied().collect(),
        None => ours.clone().into(),
    });
    Ok(all)
}

/// The main program, of which no word came.
fn unheard(path: &std::path::Path, options: &Run, ended: &Ended, why: String) -> Seen {
    let arguments = options.program.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let parent = std::process::id() as i32;
    let process =
        Process { pid: ended.pid, parent, program: path.to_path_buf(), arguments, ..Process::default() };
    Seen { process, since_ns: 0, state: State::NotChecked(why), checks: 0, misuses: Vec::new() }
}

fn no_word(ended: &Ended) -> String {
    match ended.signal {
        Some(signal) => format!("no word came from it before it was killed by {}", launch::name_of(signal)),
        None => {
            "no word came from it: the library was not loaded, or could not write its findings".to_owned()
        }
    }
}

fn lines(options: &Run, told: &Options) -> Lines {
    match (options.quiet, u32::from(options.shape.verbose) + told.verbosity) {
        (true, _) => Lines::Quiet,
        (false, 0) => Lines::Normal,
        (false, _) => Lines::Verbose,
    }
}

fn exit_code(options: &Run, told: &Options, findings: &Findings, ended: &Ended) -> u8 {
    let own = ended.exit_code();
    let of_leaks = options.exit_code.unwrap_or(told.exitcode);
    match findings.verdict() {
        Verdict::Leaks if of_leaks != 0 && !(options.keep_failure && own != 0) => of_leaks,
        // Of the program itself it has made the status already; of a child the program may not care.
        _ if findings.ended_by_misuse() && own == 0 && of_leaks != 0 => of_leaks,
        Verdict::CouldNotCheck if own == 0 => options.unchecked_exit_code,
        _ => own,
    }
}
