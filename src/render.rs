//! `standstill render`: records to text and JSON, without a program.
//!
//! The library calls it as a filter, too (`--as-told`): one record on standard input, the text on standard output, and
//! the exit status says whether leaks remain.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use standstill_runtime::init::options::{Color, Options};
use standstill_runtime::report::suppressions::Suppressions;
use standstill_runtime::report::survey::Extent;
use standstill_runtime::report::text::Style;

use crate::cli::{Render, Shape, When};
use crate::findings::{Ending, Findings, Kind, Verdict, assemble, gather};
use crate::record::{Content, Record, parse};
use crate::run::{Problem, is_record};
use crate::show::{self, Lines};
use crate::symbols::{self, Symbolizer};

/// What the exit status says when leaks remain.
pub const LEAKS: u8 = 23;

/// What it says when no record tells anything about leaks.
pub const UNCHECKED: u8 = 24;

/// Runs the subcommand.
pub fn render(options: &Render) -> Result<ExitCode, Problem> {
    symbols::check_directories(&options.shape.debug_dir)?;
    let records = read(&options.records)?;
    if records.is_empty() {
        return Err(Problem::new("no record to render".to_owned()));
    }
    let mut style = style(&options.shape, &Options::DEFAULT, io::stdout().is_terminal());
    if options.as_told {
        records.iter().for_each(|record| as_told(record, &mut style));
    }
    let suppressions = suppressions(&options.shape, &mut |line| crate::say(format_args!("{line}")))?;
    let mut symbolizer = Symbolizer::new(&options.shape.debug_dir);
    // The library itself always says what it did not see.
    let unseen =
        |record: &Record| matches!(&record.content, Content::Check(check) if !check.reasons.is_empty());
    let unseen = records.iter().any(unseen);
    let findings = assemble(gather(records, &NothingKnown), suppressions, &mut symbolizer, options.depth);
    let pid = findings.processes.first().map_or(0, |process| process.seen.process.pid);
    let lines = match (options.as_told, options.shape.verbose) {
        (true, _) if style.verdict_when_clean => Lines::Told,
        (true, _) if unseen => Lines::Normal,
        (true, _) => Lines::None,
        (false, 0) => Lines::Normal,
        (false, _) => Lines::Verbose,
    };
    if options.shape.json.as_deref() != Some(Path::new("-")) {
        let mut text = show::text(&findings, &style, pid, lines);
        if options.as_told {
            text.splice(0..0, left(&findings).into_bytes());
        }
        io::stdout()
            .write_all(&text)
            .map_err(|error| Problem::new(format!("cannot write the report: {error}")))?;
    }
    if let Some(json) = JsonOutput::open(&options.shape)? {
        json.write(&findings, None, None)?;
    }
    Ok(ExitCode::from(match findings.verdict() {
        Verdict::Leaks => LEAKS,
        _ if findings.ended_by_misuse() => LEAKS,
        Verdict::CouldNotCheck => UNCHECKED,
        Verdict::Clean | Verdict::Incomplete => 0,
    }))
}

/// Records of processes that have long ended elsewhere.
struct NothingKnown;

impl Ending for NothingKnown {
    fn is_running(&self, _: i32) -> bool {
        false
    }

    fn how(&self, _: i32) -> Option<String> {
        None
    }
}

/// What the library reads before the report: objects and bytes of the direct and of the indirect leaks that remain.
fn left(findings: &Findings) -> String {
    let of = |kind| {
        let groups = findings.groups.iter().filter(move |group| group.kind == kind);
        groups.fold((0, 0), |(objects, bytes), group| (objects + group.objects, bytes + group.bytes))
    };
    let (direct, indirect) = (of(Kind::Direct), of(Kind::Indirect));
    format!("left {} {} {} {}\n", direct.0, direct.1, indirect.0, indirect.1)
}

/// Takes over how the process was told to print.
fn as_told(record: &Record, style: &mut Style) {
    let Content::Check(check) = &record.content else { return };
    for (name, value) in &check.style {
        let on = *value != 0;
        match name.as_str() {
            "color" => style.color = on,
            "report_objects" => style.report_objects = on,
            "print_suppressions" => style.print_suppressions = on,
            "print_summary" => style.print_summary = on,
            "verdict_when_clean" => style.verdict_when_clean = on,
            "report_possible" => style.report_possible = on,
            "max_leaks" => {
                style.max_leaks = *value as usize;
                style.extent.reachable = *value as usize;
            }
            "report_retained" => style.extent.retained = *value as usize,
            _ => {}
        }
    }
}

/// How to print by the arguments of the command, and where they say nothing by the library's options.
pub fn style(shape: &Shape, told: &Options, terminal: bool) -> Style {
    let max_leaks = shape.max_leaks.unwrap_or(told.max_leaks as usize);
    Style {
        color: match (shape.color, told.color) {
            (Some(When::Always), _) | (None, Color::Always) => true,
            (Some(When::Never), _) | (None, Color::Never) => false,
            (Some(When::Auto), _) | (None, Color::Auto) => terminal,
        },
        report_objects: told.report_objects,
        max_leaks,
        print_suppressions: told.print_suppressions,
        print_summary: told.print_summary,
        verdict_when_clean: false,
        report_possible: shape.possible || told.report_possible,
        extent: Extent {
            reachable: max_leaks,
            retained: shape.retained.unwrap_or(told.report_retained as usize),
        },
    }
}

/// Reads the files of suppressions. A line that means nothing is complained of and skipped; a file that
/// cannot be read is an error: a run that ignored it would fail for the wrong reason.
pub fn suppressions(shape: &Shape, complain: &mut dyn FnMut(&str)) -> Result<Suppressions, Problem> {
    let mut list = Suppressions::new();
    for path in &shape.suppressions {
        let shown = path.display().to_string();
        let text = fs::read(path)
            .map_err(|error| Problem::new(format!("cannot read the suppressions in {shown}: {error}")))?;
        list.add_text(&text, &shown, complain);
    }
    Ok(list)
}

/// Where the JSON document goes. A program can run for hours: it is opened before, so that a file that cannot be written
/// is found before.
#[derive(Debug)]
pub struct JsonOutput {
    path: PathBuf,
    /// None is standard output.
    file: Option<File>,
    /// The file is new and empty: without a document, it goes again.
    is_new: bool,
}

impl JsonOutput {
    /// Opens it if the arguments want one. What a file contains stays until the document takes its place.
    pub fn open(shape: &Shape) -> Result<Option<JsonOutput>, Problem> {
        let Some(path) = shape.json.clone() else { return Ok(None) };
        if path == Path::new("-") {
            return Ok(Some(JsonOutput { path, file: None, is_new: false }));
        }
        let mut how = OpenOptions::new();
        how.write(true);
        let (file, is_new) = match how.clone().create_new(true).open(&path) {
            Ok(file) => (Ok(file), true),
            // A link to a file that is not there yet is made, too.
            Err(_) => (how.create(true).truncate(false).open(&path), false),
        };
        let file = file.map_err(|error| cannot_write(&path, &error))?;
        Ok(Some(JsonOutput { path, file: Some(file), is_new }))
    }

    /// Writes the document.
    pub fn write(
        mut self,
        findings: &Findings,
        command: Option<Vec<String>>,
        exit: Option<&crate::json::Exit>,
    ) -> Result<(), Problem> {
        self.is_new = false;
        let text = crate::json::document(findings, command, exit);
        let written = match &mut self.file {
            None => io::stdout().write_all(text.as_bytes()),
            Some(file) => {
                // Pipes and devices have no length to set.
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let emptied = if is_file { file.set_len(0) } else { Ok(()) };
                emptied.and_then(|()| file.write_all(text.as_bytes()))
            }
        };
        written.map_err(|error| cannot_write(&self.path, &error))
    }
}

impl Drop for JsonOutput {
    fn drop(&mut self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot write {}: {error}", path.display()))
}

fn read(paths: &[PathBuf]) -> Result<Vec<Record>, Problem> {
    let stdin = [PathBuf::from("-")];
    let mut records = Vec::new();
    for path in if paths.is_empty() { &stdin } else { paths } {
        let unreadable = |error| Problem::new(format!("cannot read {}: {error}", path.display()));
        if path == Path::new("-") {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map_err(unreadable)?;
            records.push(named(&text, path)?);
        } else if path.is_dir() {
            let mut files = Vec::new();
            for entry in fs::read_dir(path).map_err(unreadable)? {
                files.push(entry.map_err(unreadable)?.path());
            }
            files.retain(|file| is_record(file));
            files.sort();
            for file in files {
                records.push(parsed(&fs::read(&file).map_err(unreadable)?, &file)?);
            }
        } else {
            records.push(named(&fs::read(path).map_err(unreadable)?, path)?);
        }
    }
    Ok(records)
}

/// One that was named. An empty one among others in a directory is of a process that died at once.
fn named(text: &[u8], path: &Path) -> Result<Record, Problem> {
    if text.is_empty() {
        return Err(Problem::new(format!("{}: empty, not a record of Standstill", path.display())));
    }
    parsed(text, path)
}

fn parsed(text: &[u8], path: &Path) -> Result<Record, Problem> {
    parse(text).map_err(|problem| Problem::new(format!("{}: {problem}", path.display())))
}
