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

/// Whether the group has no living process within two seconds. Zombies do not count: they are init's to reap.
fn group_ends(group: Pid) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    while rustix::process::test_kill_process_group(group).is_ok() && living(group) {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Whether a process of the group is in a state other than zombie or dead (proc_pid_stat(5)).
fn living(group: Pid) -> bool {
    let group = group.as_raw_nonzero().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok()).any(|stat| {
        // The name, in parentheses, may hold anything; state, parent and group follow it.
        let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        let state = fields.next().unwrap_or("Z");
        fields.nth(1) == Some(group.as_str()) && !["Z", "X"].contains(&state)
    })
}
