//! Processes of a run that still run, also those that never wrote a word: a child that was forked has its parent's
//! environment, in which the directory for records is named, and nobody else has.
//!
//! Not found: a process of another user, and one that has overwritten its environment (setproctitle).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use standstill_runtime::sys::process::monotonic_ns;

use crate::record::Process;

/// Those with `directory` in their environment, as they number themselves.
pub fn of(directory: &Path) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path());
    folders.filter_map(|folder| survivor(&folder, directory.as_os_str().as_bytes())).collect()
}

fn survivor(folder: &Path, directory: &[u8]) -> Option<Process> {
    let numbered = folder.file_name()?.as_bytes().iter().all(u8::is_ascii_digit);
    // Empty for a process that has ended and was not waited for.
    let environment = fs::read(numbered.then(|| folder.join("environ"))?).ok()?;
    environment.windows(directory.len()).any(|part| part == directory).then_some(())?;
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().last()?.parse::<i32>().ok()
    };
    let words = fs::read(folder.join("cmdline")).ok()?;
    let words = words.strip_suffix(b"\0").unwrap_or(&words).split(|byte| *byte == 0);
    Some(Process {
        // The last number is the one in its own namespace.
        pid: number("NSpid:").or_else(|| number("Pid:"))?,
        parent: number("PPid:")?,
        image: 0,
        time_ns: monotonic_ns(),
        program: fs::read_link(folder.join("exe")).unwrap_or_default(),
        arguments: words.map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
    })
}
