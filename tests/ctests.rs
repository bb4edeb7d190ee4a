//! Builds every program of c-tests for every column (tests/support/column.rs: compiler, C library, level, form), runs it
//! as its head comment says (tests/support/case.rs has the language), and prints one table. Each cell passes, or is
//! skipped for a reason; a reason that follows from the column stands in docs/LIMITS.md, or the driver fails.
//!
//! `cargo test --test ctests -- WORD...` runs the tests whose name contains a WORD and no !WORD. CTESTS_REFERENCE=1 runs them
//! against `-fsanitize=leak` instead: that is how the tests are tested. CTESTS_COLUMNS='gcc -O2, musl-gcc' leaves only the
//! columns whose title has all words of one of the parts; CTESTS_JOBS sets how many run at a time. CTESTS_GUEST has the
//! programs run on another machine: see tests/aarch64/run.

mod support;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::case::{self, Case, Run};
use support::column::{self, Column, Form};
use support::guest::{Guest, RECORDED, slowness};
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
    let (without, with): (Vec<&str>, Vec<&str>) =
        words.iter().map(String::as_str).partition(|word| word.starts_with('!'));
    cases.retain(|case| {
        (with.is_empty() || with.iter().any(|word| case.name.contains(word)))
            && !without.iter().any(|word| case.name.contains(&word[1..]))
    });
    if let Some(unknown) = with.iter().find(|word| !cases.iter().any(|case| case.name.contains(**word))) {
        println!("c-tests: no test has {unknown} in its name");
        return ExitCode::FAILURE;
    }
    if std::env::args().any(|arg| arg == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let mut columns = match (reference, Guest::from_environment()) {
        (reference, Some(_)) => column::aarch64(reference),
        (true, None) => column::reference(),
        (false, None) => column::usual(),
    };
    if columns.is_empty() {
        println!("c-tests: no C compiler on this machine\n\n0 passed, 0 failed, {} skipped", cases.len());
        return ExitCode::SUCCESS;
    }
    if let Ok(wanted) = std::env::var("CTESTS_COLUMNS") {
        let has_all = |title: &str, part: &str| {
            part.split_whitespace().all(|word| title.split_whitespace().any(|own| own == word))
        };
        columns.retain(|column| wanted.split(',').any(|part| has_all(&column.title(), part)));
        if columns.is_empty() {
            println!("c-tests: no column is called {wanted}");
            return ExitCode::FAILURE;
        }
    }
    if !reference {
        library();
    }
    let start = Instant::now();
    let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    for (number, column) in columns.iter().enumerate() {
        println!("{:width$} {}+ {}", "", "| ".repeat(number), column.title());
    }
    let cells = all_cells(&cases, &columns, &|case, row| {
        let marks: String = row.iter().map(mark).collect();
        println!("{:width$} {marks}{}", case.name, case.claim);
    });
    print_end(&cases, &columns, &cells, start.elapsed())
}

/// Runs everything, a few at a time; one list of cells a case. `each` sees them in order, as soon as it can.
fn all_cells(cases: &[Case], columns: &[Column], each: &(dyn Fn(&Case, &[Cell]) + Sync)) -> Vec<Vec<Cell>> {
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<Option<Vec<Cell>>>> = Mutex::new(cases.iter().map(|_| None).collect());
    let shown = Mutex::new(0);
    let jobs = std::env::var("CTESTS_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    // Columns share object files: keep a case in one worker.
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    let row: Vec<Cell> = columns.iter().map(|column| cell(case, column)).collect();
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

fn cell(case: &Case, column: &Column) -> Cell {
    let Some(level) = column.level_of(case) else {
        return Cell::Skipped(format!("only at {}", case.levels.join(" ")));
    };
    if column.form == Form::Reference {
        if case.uses_our_header {
            return Cell::Skipped("has no counterpart in LeakSanitizer".into());
        }
        if let Some(why) = &case.reference {
            return Cell::Skipped(format!("LeakSanitizer differs: {why}"));
        }
    } else if let Some(why) = not_in(case, column) {
        return Cell::Skipped(why.to_owned());
    }
    let program = match column.build(level, case) {
        Ok(program) => program,
        Err(problem) => return Cell::Failed(problem),
    };
    for (number, how) in case.runs.iter().enumerate() {
        if column.excluded(&how.not_in).is_some() {
            continue;
        }
        let scratch =
            support::scratch(&format!("runs/{}/{}/{number}", column.title().replace(' ', "_"), case.name));
        let empty = std::fs::remove_dir_all(&scratch).and_then(|()| std::fs::create_dir_all(&scratch));
        if let Err(problem) = empty {
            return Cell::Failed(format!("{}: {problem}", scratch.display()));
        }
        match one_run(case, column, how, &program, &scratch) {
            Cell::Passed => {}
            other => return other,
        }
    }
    Cell::Passed
}

/// Why this test is not run in this column, by the test or by the column.
fn not_in<'c>(case: &'c Case, column: &Column) -> Option<&'c str> {
    column.excluded(&case.not_in).or_else(|| column.lacks(case))
}

/// What a reader of docs/LIMITS.md would not learn there: reasons of cells that are never run, here or on another machine.
fn reasons_not_in_limits(cases: &[Case], columns: &[Column]) -> Vec<String> {
    let path = support::root().join("docs/LIMITS.md");
    let limits = std::fs::read_to_string(&path).unwrap_or_default();
    // Lines of the file are filled; reasons are not.
    let limits = limits.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut missing: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            let of_runs = case.runs.iter().flat_map(|run| &run.not_in).map(|(_, why)| why.as_str());
            let of_programs = case.skips.iter().map(String::as_str);
            columns.iter().filter_map(|column| not_in(case, column)).chain(of_runs).chain(of_programs)
        })
        .filter(|why| !limits.contains(why))
        .map(|why| format!("FAILED docs/LIMITS.md does not say: {why}"))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

fn one_run(
    case: &Case,
    column: &Column,
    how: &Run,
    program: &std::path::Path,
    scratch: &std::path::Path,
) -> Cell {
    let fill = |text: &str| text.replace("%d", &scratch.display().to_string());
    let mut command = Command::new(program);
    command.current_dir(scratch).args(how.args.iter().map(|arg| fill(arg)));
    command.env_remove("LSAN_OPTIONS").env_remove("STANDSTILL_OPTIONS").env_remove("LD_PRELOAD");
    let mut options = vec![];
    if !how.silent {
        options.push("verbosity=1".to_owned());
    }
    if slowness() > 1 {
        options.push(format!("deadline_ms={}", 2000 * slowness()));
        command.env("TESTS_SLOWNESS", slowness().to_string());
        if case.can_do_without_names(how) {
            // Which would take most of the time, and is the same for every CPU.
            options.push("symbolize=0".to_owned());
        }
    }
    if !how.options.is_empty() {
        options.push(fill(&how.options));
    }
    let options = options.join(":");
    match column.form {
        Form::Reference => command.env("LSAN_OPTIONS", fill(&how.options)),
        Form::Preload => command.env("LD_PRELOAD", &library().shared).env("STANDSTILL_OPTIONS", &options),
        Form::Archive | Form::Static | Form::StaticPie => command.env("STANDSTILL_OPTIONS", &options),
    };
    if column.form != Form::Reference {
        // The command beside the library finds names and lines for it.
        let folder = library().command.parent().expect("a file lies in a folder").as_os_str().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", [folder, path].join(std::ffi::OsStr::new(":")));
    }
    command.envs(how.env.iter().map(|(name, value)| (name, fill(value))));
    let guest = Guest::from_environment();
    let seconds = case.timeout * slowness();
    let limit = Duration::from_secs(seconds);
    let outcome = match &guest {
        Some(guest) => guest.run(&command, how.stdin_held, limit),
        None => run(&mut command, how.stdin_held, limit),
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(problem) if problem == RECORDED => return Cell::Passed,
        Err(problem) => return Cell::Failed(problem),
    };
    if outcome.status == Ok(77) {
        return Cell::Skipped(outcome.stderr.trim().to_owned());
    }
    let mut wrong = vec![];
    if outcome.timed_out {
        wrong.push(format!("did not end within {seconds} s"));
    } else {
        let status = how.exit.unwrap_or(how.expected.status());
        if outcome.status != Ok(status) {
            wrong.push(match outcome.status {
                Ok(code) => format!("exit status {code} instead of {status}"),
                Err(signal) => format!("killed by signal {signal}"),
            });
        }
    }
    if outcome.left_over && column.form != Form::Reference {
        wrong.push("a process was left over".into());
    }
    let silent = how.silent || column.form == Form::Reference;
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
        let folder = guest.as_ref().map_or(scratch.to_owned(), |guest| guest.files(scratch));
        let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
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
        "{}\n  {} options '{}' {} {}\n{}",
        wrong.join("\n"),
        column.form.name(),
        how.options,
        program.display(),
        how.args.join(" "),
        indent(&outcome.stderr)
    ))
}

fn indent(text: &str) -> String {
    // What went wrong is mostly said last.
    const FIRST: usize = 10;
    const LAST: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    let left_out = lines.len().saturating_sub(FIRST + LAST);
    let mut shown: Vec<String> = lines.iter().map(|line| format!("    | {line}\n")).collect();
    if left_out > 0 {
        shown.splice(FIRST..FIRST + left_out, [format!("    | ... {left_out} lines\n")]);
    }
    shown.concat()
}

fn mark(cell: &Cell) -> &'static str {
    match cell {
        Cell::Passed => ". ",
        Cell::Skipped(_) => "s ",
        Cell::Failed(_) => "F ",
    }
}

/// Says why cells are not dots, and counts them by column and all.
fn print_end(cases: &[Case], columns: &[Column], cells: &[Vec<Cell>], took: Duration) -> ExitCode {
    let mut sums = vec![[0; 3]; columns.len()];
    let mut reasons: Vec<(String, Vec<String>)> = vec![];
    let mut details = reasons_not_in_limits(cases, columns);
    for (case, row) in cases.iter().zip(cells) {
        for ((column, cell), sum) in columns.iter().zip(row).zip(&mut sums) {
            match cell {
                Cell::Passed => sum[0] += 1,
                Cell::Skipped(why) => {
                    sum[2] += 1;
                    let reason = format!("{}: {why}", case.name);
                    match reasons.last_mut().filter(|(last, _)| *last == reason) {
                        Some((_, where_from)) => where_from.push(column.title()),
                        None => reasons.push((reason, vec![column.title()])),
                    }
                }
                Cell::Failed(why) => {
                    sum[1] += 1;
                    details.push(format!("FAILED {} ({}): {why}", case.name, column.title()));
                }
            }
        }
    }
    println!("\n. passed   F failed   s skipped, because:");
    reasons.iter().for_each(|(reason, titles)| println!("  {reason} ({})", titles.join(", ")));
    println!("\n{:20} passed failed skipped", "");
    for (column, [passed, failed, skipped]) in columns.iter().zip(&sums) {
        println!("{:20} {passed:6} {failed:6} {skipped:7}", column.title());
    }
    println!();
    details.iter().for_each(|detail| println!("{detail}"));
    let word = if details.is_empty() { "ok" } else { "FAILED" };
    let [passed, failed, skipped] =
        [0, 1, 2].map(|which| sums.iter().map(|sum: &[usize; 3]| sum[which]).sum::<usize>());
    println!(
        "test result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out; \
         finished in {:.2}s",
        took.as_secs_f64()
    );
    if details.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
