//! The way into /proc.
//!
//! Three names for three purposes. What belongs to the *memory* (maps, pagemap, mem) is read from the reader's own
//! `/proc/self`: the helper shares the memory, and the entry of a leader that has exited is empty. What belongs to the
//! *process* (fdinfo, timers) is read through the thread that asked for the stop, which is alive by definition. What
//! belongs to a *thread* is under `task/TID`.
//!
//! Where there is no /proc each opening fails, and the numbers are the process' own.
//!
//! The process' name is what `readlink("/proc/self")` says, never getpid(): /proc may belong to another pid namespace,
//! where the number names a stranger.

use core::cell::Cell;
use core::ffi::CStr;

use crate::base::text::Text;
use crate::base::{Errno, Tid};
use crate::sys::file::{self, Fd};
use crate::sys::task;

/// Names of this process in /proc.
#[derive(Clone, Copy, Debug)]
pub struct ProcFiles {
    /// False: without /proc, the numbers are the process' own.
    there: bool,
    /// The process, as /proc numbers it.
    process: i32,
    /// The calling thread, as /proc numbers it.
    caller: i32,
    /// getpid() says the same as /proc.
    native: bool,
}

/// The files that a harvest reads while the world stands still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcFile {
    /// The process' POSIX timers.
    Timers,
    /// The links of its descriptors.
    Descriptors,
    /// What the kernel says of each descriptor.
    DescriptorInfos,
    /// The map of its memory.
    Maps,
    /// Its page tables.
    Pagemap,
    /// The memory itself.
    Memory,
}

const EACH_FILE: [ProcFile; 6] = [
    ProcFile::Timers,
    ProcFile::Descriptors,
    ProcFile::DescriptorInfos,
    ProcFile::Maps,
    ProcFile::Pagemap,
    ProcFile::Memory,
];

/// Descriptors of the helper's own table for such files, opened before the first thread is stopped: each walk of a path
/// through /proc takes microseconds, and what is read is made when it is read.
///
/// Numbers only, that own nothing: should the helper be killed, its table is gone with it, and the numbers say nothing to
/// anybody else.
pub(super) struct OpenedAhead([Cell<i32>; EACH_FILE.len()]);

impl OpenedAhead {
    /// None.
    pub(super) const fn nothing() -> OpenedAhead {
        OpenedAhead([const { Cell::new(-1) }; EACH_FILE.len()])
    }

    /// Opens what can be opened. In a task with a table of descriptors of its own, with room for many.
    pub(super) fn open(&self, proc: &ProcFiles) {
        /// What a stop and a harvest may need beside these.
        const ROOM: usize = 32;
        if task::most_descriptors() >= ROOM {
            for file in EACH_FILE {
                self.0[file as usize].set(proc.open_file(file).map_or(-1, Fd::into_raw));
            }
        }
    }

    /// The file, for who reads it; once.
    pub(super) fn take(&self, file: ProcFile) -> Option<Fd> {
        let raw = self.0[file as usize].replace(-1);
        (raw >= 0).then(|| Fd::from_raw(raw))
    }

    /// There are none any more: the table is gone, or will be.
    pub(super) fn forget(&self) {
        self.0.iter().for_each(|raw| raw.set(-1));
    }
}

type Path = Text<96>;

impl ProcFiles {
    /// No /proc, and nothing known.
    pub const NONE: ProcFiles = ProcFiles { there: false, process: 0, caller: 0, native: true };

    /// No /proc, in process `pid`, on its thread `tid`.
    pub(super) fn absent(pid: i32, tid: Tid) -> ProcFiles {
        ProcFiles { there: false, process: pid, caller: tid.get(), native: true }
    }

    /// Asks /proc who the calling thread is. `pid` and `tid` are its own view.
    pub fn find(pid: i32, tid: Tid) -> Result<ProcFiles, Errno> {
        let nothing = Errno::new(libc::ENOENT);
        let mut target = [0; 64];
        let process =
            file::read_link(c"/proc/self", &mut target).and_then(|name| number(name).ok_or(nothing))?;
        if process == pid {
            return Ok(ProcFiles { there: true, process, caller: tid.get(), native: true });
        }
        // "PID/task/TID" (proc(5), Linux 3.17).
        let link = file::read_link(c"/proc/thread-self", &mut target)?;
        let caller = link.rsplit(|b| *b == b'/').next().and_then(number).ok_or(nothing)?;
        Ok(ProcFiles { there: true, process, caller, native: false })
    }

    /// False when there is no /proc.
    pub fn is_there(&self) -> bool {
        self.there
    }

    /// True when /proc numbers tasks as the process itself does.
    pub fn is_native(&self) -> bool {
        self.native
    }

    /// The process as /proc numbers it.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// The calling thread as /proc numbers it.
    pub fn caller(&self) -> Option<Tid> {
        Tid::new(self.caller)
    }

    /// Opens one of the files that a harvest reads.
    pub fn open_file(&self, file: ProcFile) -> Result<Fd, Errno> {
        match file {
            ProcFile::Timers => self.open_of_group("timers"),
            ProcFile::Descriptors => self.open_of_process("fd"),
            ProcFile::DescriptorInfos => self.open_of_process("fdinfo"),
            ProcFile::Maps => self.open_of_memory("maps"),
            ProcFile::Pagemap => self.open_of_memory("pagemap"),
            ProcFile::Memory => self.open_of_memory("mem"),
        }
    }

    /// Opens `/proc/self/NAME`: maps, smaps, pagemap, mem, auxv of the memory.
    pub fn open_of_memory(&self, name: &str) -> Result<Fd, Errno> {
        self.open(format_args!("/proc/self/{name}\0"), libc::O_RDONLY)
    }

    /// Opens NAME of the process, read through the calling thread: fdinfo, fd, timers.
    pub fn open_of_process(&self, name: &str) -> Result<Fd, Errno> {
        let (process, caller) = (self.process, self.caller);
        self.open(format_args!("/proc/{process}/task/{caller}/{name}\0"), libc::O_RDONLY)
    }

    /// Opens `/proc/PID/NAME`: what only the process as a whole has, such as timers.
    pub fn open_of_group(&self, name: &str) -> Result<Fd, Errno> {
        let process = self.process;
        self.open(format_args!("/proc/{process}/{name}\0"), libc::O_RDONLY)
    }

    /// Opens NAME of a thread that is `listed` so: status, stat, comm, syscall, children.
    pub fn open_of_thread(&self, listed: Tid, name: &str) -> Result<Fd, Errno> {
        let (process, listed) = (self.process, listed.get());
        self.open(format_args!("/proc/{process}/task/{listed}/{name}\0"), libc::O_RDONLY)
    }

    /// Opens NAME of another process of the same /proc.
    pub(super) fn open_of_other(&self, listed: i32, name: &str) -> Result<Fd, Errno> {
        self.open(format_args!("/proc/{listed}/{name}\0"), libc::O_RDONLY)
    }

    /// How many tasks the process has at this moment, by the kernel's count. Takes no descriptor: at the limit of open
    /// files it works, and no number of the program's is used.
    pub(super) fn count_tasks(&self) -> Result<usize, Errno> {
        let path = self.path(format_args!("/proc/{}/task\0", self.process))?;
        let path = CStr::from_bytes_until_nul(path.as_bytes()).map_err(|_| TOO_LONG)?;
        task::links_of(path).map(|links| links.saturating_sub(2))
    }

    /// Opens the list of tasks.
    pub(super) fn open_tasks(&self) -> Result<Fd, Errno> {
        self.open(format_args!("/proc/{}/task\0", self.process), libc::O_RDONLY | libc::O_DIRECTORY)
    }

    fn open(&self, path: core::fmt::Arguments<'_>, flags: i32) -> Result<Fd, Errno> {
        let path = self.path(path)?;
        file::open(CStr::from_bytes_until_nul(path.as_bytes()).map_err(|_| TOO_LONG)?, flags, 0)
    }

    fn path(&self, path: core::fmt::Arguments<'_>) -> Result<Path, Errno> {
        if !self.is_there() {
            return Err(Errno::new(libc::ENOENT));
        }
        Ok(Path::of(path))
    }
}

const TOO_LONG: Errno = Errno::new(libc::ENAMETOOLONG);

/// A positive decimal number that fills the whole text.
pub(super) fn number(text: &[u8]) -> Option<i32> {
    core::str::from_utf8(text).ok()?.parse().ok().filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;

    #[test]
    fn finds_itself() {
        let files = ProcFiles::find(process::pid(), process::tid()).unwrap();
        assert!(files.is_native());
        assert_eq!(files.caller(), Some(process::tid()));
        assert!(files.count_tasks().unwrap() >= 1);
        let mut text = [0; 64];
        let comm = files.open_of_thread(process::tid(), "comm").unwrap();
        assert!(file::read(&comm, &mut text).unwrap() > 1);
        assert!(files.open_of_memory("maps").is_ok());
        assert!(files.open_of_process("fdinfo").is_ok());
    }

    #[test]
    fn pretended_foreign_numbers_use_the_thread_link() {
        let files = ProcFiles::find(1, Tid::new(1).unwrap()).unwrap();
        assert!(!files.is_native());
        assert_eq!(files.caller(), Some(process::tid()));
    }
}
