//! Starting the program and standing in for it: signals to the command go to the program, its stops become ours, and
//! its end is handed on.
//!
//! The program stays in our process group, so a terminal's signals (Ctrl-C, Ctrl-\, a change of size) reach it by
//! themselves and must not be passed on again; those have no sender. What another process sends to the command alone is
//! passed on.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use signal_hook::consts::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use standstill_runtime::sys::signals::{self, SignalSet};
use standstill_runtime::sys::spawn::{Spawn, spawn};

use super::{Problem, at_start, program};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its process id.
    pub pid: i32,
    /// Its exit status.
    pub status: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
}

impl Ended {
    /// The exit status by which a shell would name this end.
    pub fn exit_code(&self) -> u8 {
        match (self.status, self.signal) {
            (Some(status), _) => status as u8,
            (None, Some(signal)) => (128 + signal) as u8,
            (None, None) => 125,
        }
    }
}

/// Passed on to the program. SIGTSTP and SIGCONT are not here: they act on us, and [`run`] passes them on.
const FORWARDED: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH];

/// Runs the program to its end.
pub fn run(path: &Path, words: &[OsString], environment: &[(OsString, OsString)]) -> Result<Ended, Problem> {
    // As they were when this command was started, before Rust's runtime and we change any.
    let inherited = Inherited::now();
    at_start::pass_on_closed();
    let mut signals =
        SignalsInfo::<WithOrigin>::new(FORWARDED.iter().filter(|signal| !inherited.ignores(**signal)))
            .map_err(|error| Problem::new(format!("cannot receive signals: {error}")))?;
    let pid = start(path, words, environment, &inherited)?;
    let handle = signals.handle();
    let own = std::process::id() as i32;
    let passing = std::thread::spawn(move || {
        for origin in signals.forever() {
            let from_terminal = matches!(origin.cause, Cause::Kernel);
            // The program may signal its parent to tell it something; sent back, it would kill itself.
            let from_program =
                origin.process.as_ref().is_some_and(|sender| sender.pid == pid || sender.pid == own);
            if !from_terminal && !from_program {
                send(pid, origin.signal);
            }
        }
    });
    let ended = wait(pid);
    handle.close();
    let _ = passing.join();
    ended.map_err(|error| Problem::new(format!("cannot wait for the program: {error}")))
}

fn start(
    path: &Path,
    words: &[OsString],
    environment: &[(OsString, OsString)],
    inherited: &Inherited,
) -> Result<i32, Problem> {
    let cannot = |text: &dyn std::fmt::Display, code| {
        Problem::of_program(format!("cannot run {}: {text}", path.display()), code)
    };
    let string = |text: &OsStr| CString::new(text.as_bytes());
    let file = string(path.as_os_str()).map_err(|error| cannot(&error, 126))?;
    let words: Result<Vec<CString>, _> = words.iter().map(|word| string(word)).collect();
    let words = words.map_err(|error| cannot(&error, 126))?;
    let variables: Result<Vec<CString>, _> = environment
        .iter()
        .map(|(name, value)| string(&[name, OsStr::new("="), value].iter().copied().collect::<OsString>()))
        .collect();
    let variables = variables.map_err(|error| cannot(&error, 126))?;
    let arguments: Vec<_> = words.iter().map(CString::as_c_str).collect();
    let environment: Vec<_> = variables.iter().map(CString::as_c_str).collect();
    let what = Spawn {
        path: &file,
        arguments: &arguments,
        environment: &environment,
        stdin: None,
        stdout: None,
        only_standard: false,
        exit_signal: rustix::process::Signal::CHILD.as_raw(),
        mask: inherited.mask,
        await_exec: true,
        dies_with_parent: false,
        dispositions: &inherited.dispositions,
    };
    let mut scratch = vec![0; arguments.len() + environment.len() + 2];
    spawn(&what, &mut scratch).map_err(|errno| {
        let error = io::Error::from_raw_os_error(errno.get());
        let why = program::why_not_started(path, errno.get());
        cannot(
            &why.unwrap_or_else(|| error.to_string()),
            if errno.get() == rustix::io::Errno::NOENT.raw_os_error() { 127 } else { 126 },
        )
    })
}

/// Waits until the program has ended. While it is stopped, so are we: the shell that waits for us sees a stopped job.
fn wait(pid: i32) -> io::Result<Ended> {
    let child = Pid::from_raw(pid);
    loop {
        let waited = match waitpid(child, WaitOptions::UNTRACED) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let Some((_, status)) = waited else { continue };
        if status.exited() {
            return Ok(Ended { pid, status: status.exit_status(), signal: None });
        }
        if status.signaled() {
            return Ok(Ended { pid, status: None, signal: status.terminating_signal() });
        }
        if status.stopped() {
            // A stop that came by the terminal has stopped us as well, and we are here because we go on: then the program
            // goes on too, and this does nothing. A stop of the program alone is made ours.
            if is_stopped(pid) {
                send(std::process::id() as i32, rustix::process::Signal::STOP.as_raw());
                send(pid, SIGCONT);
            }
        }
    }
}

fn is_stopped(pid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state is the first field behind the name, which may contain anything (proc_pid_stat(5)).
    text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

fn send(pid: i32, signal: i32) {
    if let (Some(pid), Some(signal)) = (Pid::from_raw(pid), Signal::from_named_raw(signal)) {
        let _ = kill_process(pid, signal);
    }
}

/// What a program that is started keeps of its starter: signal mask, and which signals are ignored.
struct Inherited {
    mask: SignalSet,
    dispositions: Vec<(i32, usize)>,
}

impl Inherited {
    fn now() -> Inherited {
        let mask = signals::set_mask(SignalSet::ALL).unwrap_or_default();
        let _ = signals::set_mask(mask);
        Inherited { mask, dispositions: vec![(SIGPIPE, at_start::sigpipe())] }
    }

    /// A signal that is ignored stays ignored, in us and in the program (nohup).
    fn ignores(&self, signal: i32) -> bool {
        signals::action(signal).is_ok_and(|action| action.handler == at_start::IGNORED)
    }
}

/// The name of a signal, for people.
pub fn name_of(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => format!("signal {signal} ({name})"),
        None => format!("signal {signal}"),
    }
}
