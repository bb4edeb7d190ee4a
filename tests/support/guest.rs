//! Programs that run elsewhere: first all are written down as jobs, then another machine runs them (tests/aarch64/run),
//! then their outcomes are read as if they had run here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::run::Outcome;

/// Which half this process is, by the environment variable CTESTS_GUEST=record:FOLDER or judge:FOLDER.
pub enum Guest {
    /// Writes jobs to FOLDER/jobs.
    Record(PathBuf),
    /// Reads what came of them from FOLDER/results.
    Judge(PathBuf),
}

impl Guest {
    /// From the environment; `None` when programs run here.
    pub fn from_environment() -> Option<Guest> {
        let text = std::env::var("CTESTS_GUEST").ok()?;
        match text.split_once(':') {
            Some(("record", folder)) => Some(Guest::Record(folder.into())),
            Some(("judge", folder)) => Some(Guest::Judge(folder.into())),
            _ => panic!("CTESTS_GUEST is neither record:FOLDER nor judge:FOLDER: {text}"),
        }
    }

    /// Writes a job down, or tells what came of it. `Err` says why there is no outcome.
    pub fn run(&self, command: &Command, stdin_held: bool, limit: Duration) -> Result<Outcome, String> {
        let scratch = command.get_current_dir().expect("every run has a folder of its own");
        // A name for the job that both halves find; the guest takes them in order.
        let name = scratch.display().to_string().replace(['/', ' '], "+");
        match self {
            Guest::Record(folder) => {
                write(&folder.join("jobs"), &name, command, stdin_held, limit).map_err(|e| e.to_string())?;
                Err(RECORDED.into())
            }
            Guest::Judge(folder) => read(&folder.join("results").join(name)),
        }
    }

    /// Where the files are that a run has left in its folder.
    pub fn files(&self, scratch: &Path) -> PathBuf {
        match self {
            Guest::Record(_) => scratch.to_owned(),
            Guest::Judge(folder) => folder.join("root").join(scratch.strip_prefix("/").unwrap_or(scratch)),
        }
    }
}

/// How many times longer than usual a test may take, and how many times less it does where only repetition makes it
/// long: TESTS_SLOWNESS, which tests/aarch64/run sets for an emulated CPU. C tests read it too (`slowness()` in support.c).
pub fn slowness() -> u64 {
    let text = std::env::var("TESTS_SLOWNESS").ok();
    text.map_or(1, |text| text.parse().expect("TESTS_SLOWNESS is a number"))
}

/// The outcome of a program that was only written down.
pub const RECORDED: &str = "written down for the guest";

/// See tests/aarch64/agent.c for the form.
fn write(
    jobs: &Path,
    name: &str,
    command: &Command,
    stdin_held: bool,
    limit: Duration,
) -> std::io::Result<()> {
    fs::create_dir_all(jobs)?;
    let mut environment = BTreeMap::new();
    for (variable, value) in command.get_envs() {
        if let Some(value) = value {
            environment.insert(variable.to_owned(), value.to_owned());
        }
    }
    let mut job: Vec<u8> = vec![];
    let mut word = |word: &OsStr| job.extend(word.as_bytes().iter().chain(&[0]));
    word(limit.as_secs().to_string().as_ref());
    word(if stdin_held { "held" } else { "null" }.as_ref());
    word(command.get_current_dir().expect("every run has a folder of its own").as_os_str());
    word(environment.len().to_string().as_ref());
    for (variable, value) in &environment {
        word(&[variable.as_os_str(), value.as_os_str()].join(OsStr::new("=")));
    }
    word(command.get_program());
    command.get_args().for_each(&mut word);
    fs::write(jobs.join(name), job)
}

fn read(folder: &Path) -> Result<Outcome, String> {
    let text = |name: &str| {
        let path = folder.join(name);
        fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|e| format!("the guest has not run it: {}: {e}", path.display()))
    };
    let status = text("status")?;
    let number: i32 = status.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(-99);
    let has = |word: &str| status.split_whitespace().any(|own| own == word);
    Ok(Outcome {
        status: if number < 0 { Err(-number) } else { Ok(number) },
        stdout: text("out")?,
        stderr: text("err")?,
        timed_out: has("late"),
        left_over: has("left"),
    })
}
