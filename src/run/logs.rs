//! Reports in a file for each process (option `log_path`), as the library writes them without the command.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use standstill_runtime::init::options::Options;

use crate::record::Process;

/// Where they go.
pub struct Logs<'a> {
    told: &'a Options,
    begun: SystemTime,
}

impl<'a> Logs<'a> {
    /// `None` where the option names no file. `begun`: before the program was started.
    pub fn of(told: &'a Options, begun: SystemTime) -> Option<Logs<'a>> {
        let is_file = !matches!(told.log_path.as_str(), "" | "stderr" | "stdout");
        is_file.then_some(Logs { told, begun })
    }

    /// Writes the report on a process, if there is something to say. Returns a line that says where it is, or the report
    /// itself with a complaint where it cannot be written.
    pub fn write(&self, process: &Process, report: &[u8]) -> String {
        if report.is_empty() {
            return String::new();
        }
        let path = self.path(process);
        match self.append(&path, report) {
            Ok(()) => format!("Standstill: the report is in {}\n", path.display()),
            Err(error) => format!(
                "Standstill: log_path: cannot write '{}': {error}. Writing to standard error\n{}",
                path.display(),
                String::from_utf8_lossy(report)
            ),
        }
    }

    /// `PATH.PID` or `PATH.PROGRAM.PID`, and the suffix (`standstill_runtime::report::output`).
    fn path(&self, process: &Process) -> PathBuf {
        let Options { log_path, log_suffix, log_exe_name, .. } = self.told;
        let name = process.program.file_name().filter(|_| *log_exe_name);
        let name = name.map(|name| format!(".{}", name.to_string_lossy())).unwrap_or_default();
        format!("{log_path}{name}.{}{log_suffix}", process.pid).into()
    }

    /// Behind what the process itself has written there; a file that is older than the run is another process'.
    fn append(&self, path: &PathBuf, report: &[u8]) -> io::Result<()> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NOCTTY;
        let mut how = OpenOptions::new();
        how.append(true).create(true).mode(0o660).custom_flags(flags.bits() as i32);
        let mut file = how.open(path)?;
        // Time stamps of files may lag behind the clock by a tick.
        let begun = self.begun - Duration::from_millis(20);
        if file.metadata()?.modified()? < begun {
            file.set_len(0)?;
        }
        file.write_all(report)
    }
}
