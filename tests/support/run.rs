//! Running a program with a limit of time, in a process group of its own, and looking at what is left of it.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// What a run left.
pub struct Outcome {
    /// `Err` = killed by this signal.
    pub status: Result<i32, i32>,
    pub stdout: String,
    pub stderr: String,
    pub timed_out: bool,
    /// A process of its group was still there shortly after it ended.
    pub left_over: bool,
}

/// Runs `command` to its end, or kills its whole group after `limit`.
pub fn run(command: &mut Command, stdin_held: bool, limit: Duration) -> Result<Outcome, String> {
    command
        .stdin(if stdin_held { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let group = Pid::from_raw(child.id() as i32).expect("a process id is not 0");
    let held = child.stdin.take();
    let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let reader = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = vec![];
            // A pipe that breaks ends the text; what had come counts.
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let (out, err) = (reader(Box::new(out)), reader(Box::new(err)));
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(500);
    let (status, timed_out) = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break (status, false),
            None if Instant::now() >= end => {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
                break (child.wait().map_err(|e| e.to_string())?, true);
            }
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let left_over = !timed_out && !group_ends(group);
    if left_over {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    drop(held);
    Ok(Outcome {
        status: status.code().ok_or_else(|| status.signal().unwrap_or(0)),
        stdout: out.join().unwrap_or_default(),
        stderr: err.join().unwrap_or_default(),
        timed_out,
        left_over,
    })
}

/// Whether the group has no process within a second (init reaps orphans when it likes).
fn group_ends(group: Pid) -> bool {
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        if rustix::process::test_kill_process_group(group).is_err() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
