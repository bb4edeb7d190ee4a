//! Builds every program of c-tests in every form (archive, preload), with every compiler of the machine and at -O0 and
//! -O2, runs it as its head comment says (tests/support/case.rs has the language), and prints one table.
//!
//! `cargo test --test ctests -- WORD...` runs the tests whose name contains a WORD. CTESTS_REFERENCE=1 runs them
//! against `-fsanitize=leak` instead: that is how the tests are tested. CTESTS_COLUMNS=WORD leaves out the columns
//! without WORD in their title; CTESTS_JOBS sets how many run at a time.

mod support;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::case::{self, Case, Form, Run};
use support::compile::{Config, compilers};
use support::library::library;
use support::run::run;
use support::verdict::Found;

/// What became of one program in one configuration.
enum Cell {
    Passed,
    Failed(String),
    Skipped(String),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let reference = std::env::var_os("CTESTS_REFERENCE").is_some();
    let mut cases = match case::all() {
        Ok(cases) => cases,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    cases.retain(|case| words.is_empty() || words.iter().any(|word| case.name.contains(word)));
    if std::env::args().any(|arg| arg == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let compilers = compilers();
    if compilers.is_empty() {
        println!("c-tests: no C compiler on this machine\n\n0 passed, 0 failed, {} skipped", cases.len());
        return ExitCode::SUCCESS;
    }
    let mut columns = vec![];
    let forms: &[Form] = if reference { &[Form::Reference] } else { &[Form::Static, Form::Preload] };
    for compiler in &compilers {
        for level in ["-O0", "-O2"] {
            for &form in forms {
                columns.push(Config { compiler: compiler.clone(), level: level.into(), form });
            }
        }
    }
    if let Ok(word) = std::env::var("CTESTS_COLUMNS") {
        columns.retain(|config| title(config).contains(&word));
    }
    if !reference {
        library();
    }
    let start = Instant::now();
    let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    for (number, config) in columns.iter().enumerate() {
        println!("{:width$} {}+ {}", "", "| ".repeat(number), title(config));
    }
    let cells = all_cells(&cases, &columns, &|case, row| {
        let marks: String = row.iter().map(mark).collect();
        println!("{:width$} {marks}{}", case.name, case.claim);
    });
    print_end(&cases, &columns, &cells, start.elapsed())
}

/// Runs everything, a few at a time; one list of cells a case. `each` sees them in order, as soon as it can.
fn all_cells(cases: &[Case], columns: &[Config], each: &(dyn Fn(&Case, &[Cell]) + Sync)) -> Vec<Vec<Cell>> {
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<Option<Vec<Cell>>>> = Mutex::new(cases.iter().map(|_| None).collect());
    let shown = Mutex::new(0);
    let jobs = std::env::var("CTESTS_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    // Two configurations of one form in a row share an object file: keep a case in one worker.
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    let row: Vec<Cell> = columns.iter().map(|config| cell(case, config)).collect();
                    let mut rows = rows.lock().expect("no worker panics with the lock");
                    rows[at] = Some(row);
                    let mut shown = shown.lock().expect("no worker panics with the lock");
                    while let Some(Some(row)) = rows.get(*shown) {
                        each(&cases[*shown], row);
                        *shown += 1;
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().expect("no worker panics with the lock");
    rows.into_iter().map(|row| row.expect("every case was run")).collect()
}

fn cell(case: &Case, config: &Config) -> Cell {
    if !case.levels.contains(&config.level) {
        return Cell::Skipped(format!("only at {}", case.levels.join(" ")));
    }
    if config.form == Form::Reference {
        if case.uses_our_header {
            return Cell::Skipped("has no counterpart in LeakSanitizer".into());
        }
        if let Some(why) = &case.reference {
            return Cell::Skipped(format!("LeakSanitizer differs: {why}"));
        }
    } else if !case.forms.contains(&config.form) {
        return Cell::Skipped(format!("only as {:?}", case.forms));
    }
    let program = match config.build(case) {
        Ok(program) => program,
        Err(problem) => return Cell::Failed(problem),
    };
    for (number, how) in case.runs.iter().enumerate() {
        let scratch = support::scratch(&format!(
            "runs/{}{}/{:?}/{}/{number}",
            config.compiler.name, config.level, config.form, case.name
        ));
        let empty = std::fs::remove_dir_all(&scratch).and_then(|()| std::fs::create_dir_all(&scratch));
        if let Err(problem) = empty {
            return Cell::Failed(format!("{}: {problem}", scratch.display()));
        }
        match one_run(case, config, how, &program, &scratch) {
            Cell::Passed => {}
            other => return other,
        }
    }
    Cell::Passed
}

fn one_run(
    case: &Case,
    config: &Config,
    how: &Run,
    program: &std::path::Path,
    scratch: &std::path::Path,
) -> Cell {
    let fill = |text: &str| text.replace("%d", &scratch.display().to_string());
    let mut command = Command::new(program);
    command.current_dir(scratch).args(how.args.iter().map(|arg| fill(arg)));
    command.env_remove("LSAN_OPTIONS").env_remove("STANDSTILL_OPTIONS").env_remove("LD_PRELOAD");
    let options = match (how.silent, how.options.is_empty()) {
        (true, _) => fill(&how.options),
        (false, true) => "verbosity=1".into(),
        (false, false) => format!("verbosity=1:{}", fill(&how.options)),
    };
    match config.form {
        Form::Reference => command.env("LSAN_OPTIONS", fill(&how.options)),
        Form::Preload => command.env("LD_PRELOAD", &library().shared).env("STANDSTILL_OPTIONS", &options),
        Form::Static => command.env("STANDSTILL_OPTIONS", &options),
    };
    if config.form != Form::Reference {
        // The command beside the library finds names and lines for it.
        let folder = library().command.parent().expect("a file lies in a folder").as_os_str().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", [folder, path].join(std::ffi::OsStr::new(":")));
    }
    command.envs(how.env.iter().map(|(name, value)| (name, fill(value))));
    let outcome = match run(&mut command, how.stdin_held, Duration::from_secs(case.timeout)) {
        Ok(outcome) => outcome,
        Err(problem) => return Cell::Failed(problem),
    };
    if outcome.status == Ok(77) {
        return Cell::Skipped(outcome.stderr.trim().to_owned());
    }
    let mut wrong = vec![];
    if outcome.timed_out {
        wrong.push(format!("did not end within {} s", case.timeout));
    } else {
        let status = how.exit.unwrap_or(how.expected.status());
        if outcome.status != Ok(status) {
            wrong.push(match outcome.status {
                Ok(code) => format!("exit status {code} instead of {status}"),
                Err(signal) => format!("killed by signal {signal}"),
            });
        }
    }
    if outcome.left_over && config.form != Form::Reference {
        wrong.push("a process was left over".into());
    }
    let silent = how.silent || config.form == Form::Reference;
    wrong.extend(Found::read(&outcome.stderr).disagrees(&how.expected, silent));
    for regex in how.stderr.iter().filter(|regex| !regex.is_match(&outcome.stderr)) {
        wrong.push(format!("stderr has no /{regex}/"));
    }
    for regex in how.stderr_not.iter().filter(|regex| regex.is_match(&outcome.stderr)) {
        wrong.push(format!("stderr has /{regex}/"));
    }
    for regex in how.stdout.iter().filter(|regex| !regex.is_match(&outcome.stdout)) {
        wrong.push(format!("stdout has no /{regex}/: {:?}", outcome.stdout));
    }
    for (name, text) in &how.files {
        let mut files = std::fs::read_dir(scratch).into_iter().flatten().flatten();
        let there = files.any(|file| {
            name.is_match(&file.file_name().to_string_lossy())
                && std::fs::read_to_string(file.path()).is_ok_and(|content| text.is_match(&content))
        });
        if !there {
            wrong.push(format!("no file /{name}/ with /{text}/"));
        }
    }
    if wrong.is_empty() {
        return Cell::Passed;
    }
    Cell::Failed(format!(
        "{}\n  {:?} options '{}' {} {}\n{}",
        wrong.join("\n"),
        config.form,
        how.options,
        program.display(),
        how.args.join(" "),
        indent(&outcome.stderr)
    ))
}

fn indent(text: &str) -> String {
    text.lines().take(40).map(|line| format!("    | {line}\n")).collect()
}

fn title(config: &Config) -> String {
    format!("{}{} {:?}", config.compiler.name, config.level, config.form).to_lowercase()
}

fn mark(cell: &Cell) -> &'static str {
    match cell {
        Cell::Passed => ". ",
        Cell::Skipped(_) => "s ",
        Cell::Failed(_) => "F ",
    }
}

/// Says why cells are not dots, and counts them all.
fn print_end(cases: &[Case], columns: &[Config], cells: &[Vec<Cell>], took: Duration) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let (mut reasons, mut details) = (vec![], vec![]);
    for (case, row) in cases.iter().zip(cells) {
        for (config, cell) in columns.iter().zip(row) {
            match cell {
                Cell::Passed => passed += 1,
                Cell::Skipped(why) => {
                    skipped += 1;
                    reasons.push(format!("  {}: {why}", case.name));
                }
                Cell::Failed(why) => {
                    failed += 1;
                    details.push(format!("FAILED {} ({}): {why}", case.name, title(config)));
                }
            }
        }
    }
    println!("\n. passed   F failed   s skipped, because:");
    reasons.dedup();
    reasons.iter().for_each(|reason| println!("{reason}"));
    println!();
    details.iter().for_each(|detail| println!("{detail}"));
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out; \
         finished in {:.2}s",
        took.as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
