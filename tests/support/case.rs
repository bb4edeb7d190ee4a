//! One C test: a file whose first line says what it proves and whose head comment says what has to come out.
//!
//! The head comment is the leading block of `//` lines. After the claim each line may be a directive:
//!
//! | directive | meaning |
//! |---|---|
//! | `EXPECT: V` | a run without options must end so; V is `clean`, `leak N bytes in M objects`, `direct N bytes in M objects, indirect N bytes in M objects`, `some leak of N bytes in M objects`, `possible N bytes in M objects` or `status N` |
//! | `EXPECT-WITH k=v:k=v: V` | the same with these options |
//! | `ARGS: a b` | arguments of the run above it |
//! | `ENV: NAME=VALUE` | environment of the run above it (`%d` is its own empty folder) |
//! | `EXIT: N` | exit status of the run above it, where it is not 0 for clean and 23 for leaks |
//! | `STDERR: regex`, `STDERR-NOT: regex`, `STDOUT: regex` | what the run above must (not) print |
//! | `FILE: name-regex text-regex` | a file in `%d` with that name must hold that text |
//! | `SILENT:` | the run above says nothing when clean |
//! | `STDIN: held` | standard input of the run above is a pipe that stays open and empty |
//! | `FLAGS: ...` | for the compiler and the linker |
//! | `LIBRARY: other.c` | built as a shared library beside the program, and linked |
//! | `PLUGIN: other.c` | built as a shared library beside the program, for dlopen("libother.so") |
//! | `NOT-IN: word word: why` | the run above it, or all if none is above, is not for the columns that all words name (a form, a C library, a compiler); docs/LIMITS.md has the reason |
//! | `LEVELS: -O0` | only these levels of optimisation |
//! | `TIMEOUT: seconds` | instead of 30 |
//! | `REFERENCE: why` | LeakSanitizer is known to say otherwise |
//!
//! A program that exits with 77 was skipped and has printed the reason, by `skip("reason")`; docs/LIMITS.md has it.

use std::path::{Path, PathBuf};

use regex::Regex;

use super::verdict::Expected;

/// One way to run the program.
#[derive(Debug)]
pub struct Run {
    pub options: String,
    pub expected: Expected,
    pub exit: Option<i32>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub stderr: Vec<Regex>,
    pub stderr_not: Vec<Regex>,
    pub stdout: Vec<Regex>,
    pub files: Vec<(Regex, Regex)>,
    pub silent: bool,
    pub stdin_held: bool,
    pub not_in: NotIn,
}

/// Words that name columns, and why something is not for them.
pub type NotIn = Vec<(Vec<String>, String)>;

/// One file of c-tests.
#[derive(Debug)]
pub struct Case {
    /// `roots/data`, the name in tables and filters.
    pub name: String,
    pub source: PathBuf,
    pub claim: String,
    pub cxx: bool,
    /// It includes standstill.h.
    pub uses_our_header: bool,
    /// It calls functions of the library (malloc and its kin apart).
    pub calls_library: bool,
    /// It has suppressions, which may be names of functions.
    pub suppresses: bool,
    pub flags: Vec<String>,
    pub libraries: Vec<String>,
    pub plugins: Vec<String>,
    pub not_in: NotIn,
    pub levels: Vec<String>,
    pub timeout: u64,
    pub reference: Option<String>,
    /// What it may say as it ends with 77.
    pub skips: Vec<String>,
    pub runs: Vec<Run>,
}

impl Case {
    /// Reads the file. `None` for a file that is a part of another test (its head comment has no EXPECT).
    pub fn read(folder: &Path, source: &Path) -> Result<Option<Case>, String> {
        let text = std::fs::read_to_string(source).map_err(|e| format!("{}: {e}", source.display()))?;
        let mut head = text
            .lines()
            .take_while(|line| line.starts_with("//"))
            .map(|line| line.trim_start_matches('/').trim());
        let name = source.strip_prefix(folder).unwrap_or(source).with_extension("");
        let mut case = Case {
            name: name.display().to_string(),
            source: source.to_owned(),
            claim: head.next().unwrap_or_default().to_owned(),
            cxx: source.extension().is_some_and(|e| e == "cpp"),
            calls_library: [
                "__lsan_do_",
                "__lsan_ignore",
                "__lsan_register",
                "__lsan_disable",
                "__sanitizer_",
                "standstill.h",
            ]
            .iter()
            .any(|word| text.contains(word)),
            suppresses: text.contains("suppress"),
            uses_our_header: text.contains("#include \"standstill.h\""),
            flags: vec![],
            libraries: vec![],
            plugins: vec![],
            not_in: vec![],
            levels: vec!["-O0".into(), "-O2".into()],
            timeout: 30,
            reference: None,
            skips: literals_of_skip(&text),
            runs: vec![],
        };
        for line in head {
            case.directive(line).map_err(|problem| format!("{}: {problem}", source.display()))?;
        }
        Ok((!case.runs.is_empty()).then_some(case))
    }

    /// Whether nothing that is looked at after the run depends on functions having names.
    pub fn can_do_without_names(&self, run: &Run) -> bool {
        !self.suppresses && run.stderr.is_empty() && run.stdout.is_empty() && run.files.is_empty()
    }

    fn directive(&mut self, line: &str) -> Result<(), String> {
        let Some((key, value)) = line.split_once(':') else { return Ok(()) };
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let value = value.trim();
        let regex = || Regex::new(value).map_err(|e| e.to_string());
        if let Some(options) = key.strip_prefix("EXPECT-WITH ") {
            // Options hold colons themselves: the last ": " ends them.
            let whole = format!("{options}:{value}");
            let (options, verdict) =
                whole.rsplit_once(": ").or_else(|| whole.rsplit_once(':')).ok_or("no verdict")?;
            self.add_run(options, verdict)?;
            return Ok(());
        }
        match key {
            "EXPECT" => self.add_run("", value)?,
            "FLAGS" => self.flags.extend(words()),
            "LIBRARY" => self.libraries.extend(words()),
            "PLUGIN" => self.plugins.extend(words()),
            "LEVELS" => self.levels = words(),
            "TIMEOUT" => self.timeout = value.parse().map_err(|_| "TIMEOUT: not a number")?,
            "REFERENCE" => self.reference = Some(value.to_owned()),
            "NOT-IN" => {
                let (columns, why) = value.split_once(": ").ok_or("NOT-IN: no reason")?;
                let columns = columns.split_whitespace().map(str::to_owned).collect();
                self.runs
                    .last_mut()
                    .map_or(&mut self.not_in, |run| &mut run.not_in)
                    .push((columns, why.to_owned()));
            }
            "ARGS" => self.last()?.args = words(),
            "ENV" => {
                let (name, value) = value.split_once('=').ok_or("ENV: no '='")?;
                self.last()?.env.push((name.into(), value.into()));
            }
            "EXIT" => self.last()?.exit = Some(value.parse().map_err(|_| "EXIT: not a number")?),
            "STDERR" => self.last()?.stderr.push(regex()?),
            "STDERR-NOT" => self.last()?.stderr_not.push(regex()?),
            "STDOUT" => self.last()?.stdout.push(regex()?),
            "FILE" => {
                let (name, text) = value.split_once(' ').ok_or("FILE: no text")?;
                let both = (Regex::new(name), Regex::new(text));
                let (Ok(name), Ok(text)) = both else { return Err("FILE: not a regex".into()) };
                self.last()?.files.push((name, text));
            }
            "SILENT" => self.last()?.silent = true,
            "STDIN" if value == "held" => self.last()?.stdin_held = true,
            // A word in capitals is a directive that is spelled wrong; anything else is prose.
            _ if key.len() > 2 && key.chars().all(|c| c.is_ascii_uppercase() || c == '-') => {
                return Err(format!("unknown directive {key:?}"));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_run(&mut self, options: &str, verdict: &str) -> Result<(), String> {
        self.runs.push(Run {
            options: options.trim().to_owned(),
            expected: Expected::parse(verdict.trim())?,
            exit: None,
            args: vec![],
            env: vec![],
            stderr: vec![],
            stderr_not: vec![],
            stdout: vec![],
            files: vec![],
            silent: false,
            stdin_held: false,
            not_in: vec![],
        });
        Ok(())
    }

    fn last(&mut self) -> Result<&mut Run, String> {
        self.runs.last_mut().ok_or_else(|| "a directive of a run before the first EXPECT".into())
    }
}

/// The reasons that a test's source may end with: what stands in each `skip("...")`.
fn literals_of_skip(text: &str) -> Vec<String> {
    text.split("skip(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// All tests below c-tests, sorted by name.
pub fn all() -> Result<Vec<Case>, String> {
    let folder = super::root().join("c-tests");
    let mut cases = vec![];
    let entries = |path: &Path| -> Result<Vec<PathBuf>, String> {
        let listing = std::fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(listing.filter_map(|entry| Some(entry.ok()?.path())).collect())
    };
    for stage in entries(&folder)?.iter().filter(|path| path.is_dir()) {
        for source in entries(stage)? {
            if source.extension().is_some_and(|e| e == "c" || e == "cpp") {
                cases.extend(Case::read(&folder, &source)?);
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}
