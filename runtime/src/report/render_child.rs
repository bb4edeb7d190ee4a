//! The `standstill` command as a filter: a record goes in, a report with functions and source lines comes out.
//!
//! For a program that was started with the library but without the command. The command is looked for beside the library
//! and in the directories of PATH; where there is none, or it fails, the caller prints modules and offsets.
//!
//! What is promised: it ends within [`DEADLINE_NS`] and three seconds; no zombie is left while the command obeys SIGKILL;
//! the program gets no SIGCHLD, and its own wait(2) calls do not see the command, which is the child of a task beside it
//! ([`aside`]); no descriptor is left open; nothing is printed unless the command has done its work whole. In a process
//! whose environment is not to be trusted (AT_SECURE) no command is run.

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

use crate::base::Errno;
use crate::mem::{MapVec, aside, with_room};
use crate::sys::file::{self, Fd};
use crate::sys::signals::{self, SignalSet};
use crate::sys::spawn::{Spawn, spawn};
use crate::sys::wait::{self, Block, Change};
use crate::sys::{futex, process, task};

use super::model::Modules;
use super::output::{CPath, FdSink};
use super::sink::Sink;

/// Time for the command, in nanoseconds: reading the debug information of a large program takes seconds.
pub const DEADLINE_NS: u64 = 60_000_000_000;

/// The command's exit status when leaks remain after suppressions.
const LEAKS: i32 = 23;

/// A report that the command has made.
pub struct Rendered {
    /// Leaks remain after suppressions.
    pub leaks: bool,
    /// Objects and bytes of the direct and of the indirect leaks that remain.
    pub left: [(usize, usize); 2],
    text: Fd,
    /// Where the report begins in the text, behind the line with the numbers.
    start: u64,
}

impl Rendered {
    /// True when there is nothing to print.
    pub fn is_empty(&self) -> bool {
        file::read_at(&self.text, &mut [0], self.start).is_ok_and(|read| read == 0)
    }

    /// Takes what the command wrote: a line `left` with four numbers, then the report.
    fn read(leaks: bool, text: Fd) -> Option<Rendered> {
        let mut block = [0; 128];
        let len = file::read_at(&text, &mut block, 0).ok()?;
        let end = block.get(..len)?.iter().position(|byte| *byte == b'\n')?;
        let mut words = core::str::from_utf8(block.get(..end)?).ok()?.split(' ');
        if words.next()? != "left" {
            return None;
        }
        let mut number = || words.next()?.parse::<usize>().ok();
        let left = [(number()?, number()?), (number()?, number()?)];
        Some(Rendered { leaks, left, text, start: end as u64 + 1 })
    }

    /// Prints it.
    pub fn print(&self, out: &mut dyn Sink) {
        let (mut block, mut offset) = ([0; 4096], self.start);
        while let Ok(read @ 1..) = file::read_at(&self.text, &mut block, offset) {
            out.bytes(block.get(..read).unwrap_or_default());
            offset += read as u64;
        }
    }
}

/// Runs the command on the record that `write` writes. `None` when there is no command, or it failed.
pub fn render(modules: &dyn Modules, write: &mut dyn FnMut(&mut dyn Sink)) -> Option<Rendered> {
    match filter(modules, &[c"standstill", c"render", c"--as-told"], write)? {
        (status @ (0 | LEAKS), text) => Rendered::read(status == LEAKS, text),
        _ => None,
    }
}

/// Runs the command on the text that `write` writes, to put functions and lines into it, and prints what comes out.
/// False, and nothing printed, when there is no command, or it failed.
pub fn symbolize(modules: &dyn Modules, write: &mut dyn FnMut(&mut dyn Sink), out: &mut dyn Sink) -> bool {
    match filter(modules, &[c"standstill", c"symbolize"], write) {
        Some((0, text)) => {
            Rendered { leaks: false, left: [(0, 0); 2], text, start: 0 }.print(out);
            true
        }
        _ => false,
    }
}

/// Runs the command with `arguments` and what `write` writes as its standard input. Its exit status and its standard
/// output; `None` when there is no command, or it did not exit.
fn filter(
    modules: &dyn Modules,
    arguments: &[&CStr],
    write: &mut dyn FnMut(&mut dyn Sink),
) -> Option<(i32, Fd)> {
    if is_secure() {
        return None;
    }
    let mut result = None;
    with_room(&mut || result = filter_here(modules, arguments, write));
    result
}

/// As [`filter`]; all that [`aside`] uses is in this frame, or constant.
fn filter_here(
    modules: &dyn Modules,
    arguments: &[&CStr],
    write: &mut dyn FnMut(&mut dyn Sink),
) -> Option<(i32, Fd)> {
    let environment = environment().ok()?;
    let command = find(modules, &environment)?;
    let record = file::in_memory(c"standstill-record").ok()?;
    let mut sink = FdSink::borrowed(record.raw());
    write(&mut sink);
    sink.finish().ok()?;
    file::rewind(&record).ok()?;
    let text = file::in_memory(c"standstill-report").ok()?;
    run(&command, arguments, &environment, &record, &text).map(|status| (status, text))
}

/// Its exit status; `None` when it did not exit.
fn run(command: &CPath, arguments: &[&CStr], environment: &[u8], record: &Fd, text: &Fd) -> Option<i32> {
    let mut variables = MapVec::<&CStr>::new();
    for variable in strings(environment).filter(|variable| is_kept(variable.to_bytes())) {
        variables.push(variable).ok()?;
    }
    let mut scratch = MapVec::new();
    scratch.resize(arguments.len() + variables.len() + 2, 0).ok()?;
    let what = Spawn {
        path: command.as_c_str(),
        arguments,
        environment: &variables,
        stdin: Some(record.raw()),
        stdout: Some(text.raw()),
        only_standard: true,
        exit_signal: libc::SIGCHLD,
        mask: SignalSet::EMPTY,
        await_exec: false,
        dies_with_parent: true,
        // Keys pressed at the terminal go to the program, which may handle them; they must not take the report away.
        dispositions: &[(libc::SIGINT, libc::SIG_IGN), (libc::SIGQUIT, libc::SIG_IGN)],
    };
    let mut status = None;
    let done = aside(DEADLINE_NS + 1_500_000_000, &mut || {
        signals::keep_ended_children();
        if let Ok(pid) = spawn(&what, &mut scratch)
            && let Some(Change::Exited(with)) = wait_for(pid)
        {
            status = Some(with);
        }
    });
    status.filter(|_| done)
}

/// Waits until the command has ended, and kills it when its time is over. `None` when it cannot be killed.
fn wait_for(pid: i32) -> Option<Change> {
    let begun = process::monotonic_ns();
    let mut pause_ns = 200_000;
    let mut killed = false;
    loop {
        match wait::child(pid, Block::Poll) {
            Ok(Some(change)) => return Some(change),
            Ok(None) => {}
            Err(_) => return None,
        }
        let elapsed = process::monotonic_ns().saturating_sub(begun);
        if elapsed > DEADLINE_NS && !killed {
            let _ = task::kill(pid, libc::SIGKILL);
            killed = true;
        } else if elapsed > DEADLINE_NS + 1_000_000_000 {
            // In uninterruptible sleep: it cannot be waited for, and is reaped by init when the program ends.
            return None;
        }
        let _ = futex::wait(&AtomicU32::new(0), 0, pause_ns);
        pause_ns = (pause_ns * 2).min(10_000_000);
    }
}

/// Beside the library as built (`target/release`), as installed (`lib` and `bin`), then in PATH.
fn find(modules: &dyn Modules, environment: &[u8]) -> Option<CPath> {
    let mut found = None;
    modules.for_each(&mut |module| {
        let Some(directory) = module.path.strip_suffix(b"/libstandstill.so") else { return };
        let Ok(directory) = core::str::from_utf8(directory) else { return };
        for place in ["standstill", "../bin/standstill", "../../bin/standstill", "../standstill"] {
            found = found.take().or_else(|| executable(directory, place));
        }
    });
    let path = strings(environment).find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    found.or_else(|| {
        let directories = path?.split(|byte| *byte == b':');
        directories
            .filter_map(|name| core::str::from_utf8(name).ok())
            .find_map(|name| executable(name, "standstill"))
    })
}

/// `directory/name`, if it is an absolute path of a file that may be executed: what the current directory holds is
/// nobody's choice.
fn executable(directory: &str, name: &str) -> Option<CPath> {
    let path = CPath::of(format_args!("{directory}/{name}")).ok().filter(|_| directory.starts_with('/'))?;
    file::is_executable(path.as_c_str()).then_some(path)
}

/// The environment that the program was started with, each variable ended by a 0 byte.
fn environment() -> Result<MapVec<u8>, Errno> {
    let mut all = whole(c"/proc/self/environ")?;
    if all.last().is_some_and(|byte| *byte != 0) {
        all.push(0)?;
    }
    Ok(all)
}

fn strings(environment: &[u8]) -> impl Iterator<Item = &CStr> {
    environment.split_inclusive(|byte| *byte == 0).filter_map(|string| CStr::from_bytes_with_nul(string).ok())
}

/// The loader's variables would load the library into the command, too.
fn is_kept(variable: &[u8]) -> bool {
    let ours: [&[u8]; 4] = [b"LD_", b"STANDSTILL_", b"LSAN_", b"ASAN_"];
    !ours.iter().any(|prefix| variable.starts_with(prefix))
}

/// True where the environment comes from somebody less privileged, and where that cannot be known: AT_SECURE of
/// /proc/self/auxv (getauxval(3)).
fn is_secure() -> bool {
    const AT_SECURE: u64 = 23;
    let Ok(vector) = whole(c"/proc/self/auxv") else { return true };
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    let mut pairs = vector.chunks_exact(16).map(|pair| pair.split_at(8));
    pairs.find(|(kind, _)| word(kind) == AT_SECURE).is_none_or(|(_, value)| word(value) != 0)
}

fn whole(path: &CStr) -> Result<MapVec<u8>, Errno> {
    let fd = file::open(path, libc::O_RDONLY, 0)?;
    let (mut all, mut block) = (MapVec::new(), [0; 1024]);
    loop {
        let read = file::read(&fd, &mut block)?;
        if read == 0 {
            return Ok(all);
        }
        for byte in block.iter().take(read) {
            all.push(*byte)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_secure_and_has_an_environment() {
        assert!(!is_secure());
        let environment = environment().unwrap();
        assert!(strings(&environment).any(|variable| variable.to_bytes().starts_with(b"PATH=")));
    }

    #[test]
    fn variables_of_the_loader_and_ours_are_left_out() {
        for (variable, kept) in
            [("PATH=/bin", true), ("LD_PRELOAD=x", false), ("LSAN_OPTIONS=x", false), ("HOME=/", true)]
        {
            assert_eq!(is_kept(variable.as_bytes()), kept, "{variable}");
        }
        assert!(executable("", "true").is_none() && executable("bin", "true").is_none());
        assert!(executable("/bin", "true").is_some() && executable("/etc", "passwd").is_none());
    }

    struct NoModules;

    impl Modules for NoModules {
        fn for_each(&self, _: &mut dyn FnMut(&super::super::Module<'_>)) {}
    }

    #[test]
    fn the_command_is_found_in_path_and_waited_for() {
        use std::os::unix::fs::PermissionsExt;
        let directory = std::env::temp_dir().join(std::format!("standstill-render-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let script = directory.join("standstill");
        let content =
            "#!/bin/sh\nread line\necho left 1 100 2 500\necho \"$1 $2 $line $LD_PRELOAD\"\nexit 23\n";
        std::fs::write(&script, content).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::format!("LD_PRELOAD=x\0PATH=relative:/nonexistent:{}\0", directory.display());
        let command = find(&NoModules, path.as_bytes()).unwrap();
        let (record, text) = (file::in_memory(c"r").unwrap(), file::in_memory(c"t").unwrap());
        file::write_all(record.raw(), b"hello\n").unwrap();
        file::rewind(&record).unwrap();
        let arguments = [c"standstill", c"render", c"--as-told"];
        let status = run(&command, &arguments, path.as_bytes(), &record, &text);
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(status, Some(23));
        let rendered = Rendered::read(true, text).unwrap();
        assert_eq!(rendered.left, [(1, 100), (2, 500)]);
        let mut out = Vec::new();
        rendered.print(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "render --as-told hello \n");
        assert!(!rendered.is_empty());
        assert!(find(&NoModules, b"PATH=relative\0").is_none());
    }
}
