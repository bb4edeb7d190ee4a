//! The directory to which processes write their records.
//!
//! Its name cannot be guessed, only we can list it, and others can write to it (mode 1733): a process that has changed
//! its user still can. It is removed in the end; what comes later from processes that still run is lost, and the report
//! says of them that they were not checked.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use super::launch::{Ended, name_of};
use super::{Problem, survivors};
use crate::findings::Ending;
use crate::record::{Content, Record, parse};

/// A record is not read beyond this: the directory can be written to by whatever the program runs.
const LARGEST: u64 = 1 << 30;

/// The directory, removed on drop.
pub struct Directory {
    path: PathBuf,
    keep: bool,
}

/// What was found in it.
pub struct Records {
    /// The records.
    pub list: Vec<Record>,
    /// Files that were none, each with the reason.
    pub problems: Vec<String>,
}

impl Directory {
    /// Makes it in the directory for temporary files.
    pub fn make() -> Result<Directory, Problem> {
        let within = std::env::temp_dir();
        let within = within.canonicalize().unwrap_or(within);
        let failed = |error: &dyn std::fmt::Display| {
            Problem::new(format!("cannot make a directory for records in {}: {error}", within.display()))
        };
        let random = standstill_runtime::sys::process::random().map_err(|errno| failed(&errno))?;
        let path = within.join(format!("standstill-{}-{random:016x}", std::process::id()));
        if path.to_string_lossy().contains(['\'', '\u{fffd}']) {
            return Err(failed(
                &"its name cannot be written into an option; set TMPDIR to another directory",
            ));
        }
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| failed(&error))?;
        let directory = Directory { path, keep: false };
        // Not by the call above: the umask would take bits away.
        fs::set_permissions(&directory.path, Permissions::from_mode(0o1733))
            .map_err(|error| failed(&error))?;
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is not removed in the end.
    pub fn keep(mut self) -> PathBuf {
        self.keep = true;
        self.path.clone()
    }

    /// A name of the library that LD_PRELOAD can hold: it has no way to quote blanks and colons (ld.so(8)).
    pub fn preload_name(&self, library: &Path) -> Result<PathBuf, Problem> {
        if !library
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .any(|byte| matches!(byte, b' ' | b':' | b'\t' | b'\n'))
        {
            return Ok(library.to_path_buf());
        }
        let link = self.path.join("libstandstill.so");
        symlink(library, &link)
            .map_err(|error| Problem::new(format!("cannot make the link {}: {error}", link.display())))?;
        Ok(link)
    }

    /// Reads all records, once the main program has ended. Waits up to `patience` for other processes that still run and
    /// have not yet been checked. Forked children do not announce themselves (daemons are such): the ones that still run
    /// have an announcement of our making.
    pub fn collect(&self, main: i32, patience: Duration) -> Records {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(5);
        loop {
            // Before the records are read: what has written one since is known then.
            let running = survivors::of(&self.path);
            let mut records = self.read();
            let who = |record: &Record| (record.process.pid, record.process.image);
            let checks = records.list.iter().filter(|record| matches!(record.content, Content::Check(_)));
            let checked: HashSet<_> = checks.map(who).collect();
            let waiting = records
                .list
                .iter()
                .map(who)
                .any(|(pid, image)| pid != main && !checked.contains(&(pid, image)) && is_running(pid));
            let known: HashSet<_> = records.list.iter().map(|record| record.process.pid).collect();
            let unheard = running.into_iter().filter(|process| !known.contains(&process.pid));
            let unheard: Vec<_> = unheard.filter(|process| process.pid != main).collect();
            let waiting = waiting || !unheard.is_empty();
            if !waiting || Instant::now() >= deadline {
                let announced = |process| Record { process, content: Content::Announced };
                records.list.extend(unheard.into_iter().map(announced));
                return records;
            }
            std::thread::sleep(pause);
            // Each turn reads all records.
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn read(&self) -> Records {
        let mut records = Records { list: Vec::new(), problems: Vec::new() };
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                records.problems.push(format!("cannot list {}: {error}", self.path.display()));
                return records;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if !is_record(&path) {
                continue;
            }
            match read_record(&path) {
                Ok(record) => records.list.push(record),
                Err(problem) => records.problems.push(format!("record {}: {problem}", path.display())),
            }
        }
        records
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// By the names that the library gives its records.
pub fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "start" || kind == "check" || kind == "misuse")
}

fn read_record(path: &Path) -> Result<Record, String> {
    // Anybody could have put a link or a FIFO there.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let mut text = Vec::new();
    file.and_then(|file| file.take(LARGEST).read_to_end(&mut text)).map_err(|error| error.to_string())?;
    parse(&text).map_err(|problem| problem.to_string())
}

fn is_running(pid: i32) -> bool {
    let Some(raw) = Pid::from_raw(pid) else { return false };
    let alive = !matches!(test_kill_process(raw), Err(rustix::io::Errno::SRCH));
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    alive && !zombie
}

/// What is known when the main program has ended.
pub struct After<'a> {
    /// The main program's end.
    pub main: &'a Ended,
}

impl Ending for After<'_> {
    fn is_running(&self, pid: i32) -> bool {
        pid != self.main.pid && is_running(pid)
    }

    fn how(&self, pid: i32) -> Option<String> {
        (pid == self.main.pid).then(|| match (self.main.signal, self.main.status) {
            (Some(signal), _) => format!("it was killed by {}", name_of(signal)),
            (None, Some(status)) => format!(
                "it ended with status {status} without running exit handlers (_exit, or an exec of a program that \
                 cannot be preloaded), or its check is switched off"
            ),
            (None, None) => "it ended in an unknown way".to_owned(),
        })
    }
}
