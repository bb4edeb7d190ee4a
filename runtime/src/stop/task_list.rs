//! Listing the tasks of the process, and asking /proc about one.
//!
//! A listing of `/proc/PID/task` is no snapshot: a thread that ends under the cursor may hide others, and threads come.
//! The seizing loop repeats it until nothing is new; the kernel's own count (the link count of the directory is two more
//! than the number of tasks, fs/proc/base.c) often proves at once that nothing was missed.
//!
//! Without /proc every number that a task can have is asked about, by tgkill(2) with signal 0: most of a second, in which nobody
//! stands still for ptrace. Numbers are given out in order (kernel/pid.c, idr_alloc_cyclic), so what came meanwhile is looked for
//! among those that follow the asking task's own.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::arch::SYS_VFORK;
use crate::base::text::Text;
use crate::base::{Errno, Tid};
use crate::sys::file::{self, Fd};
use crate::sys::{process, task};

use super::proc_files::{ProcFiles, number};

/// Bytes of directory entries taken at once; about 1300 tasks.
pub(super) const LIST_BUFFER: usize = 32 << 10;

/// For how many tasks there is room at first where nobody counts them.
pub(super) const UNLISTED: usize = 1024;
/// No task of a 64-bit kernel has this number or a greater one (PID_MAX_LIMIT in include/linux/threads.h).
const NUMBERS: i32 = 4 << 20;
/// More than a system gives out while all were asked about.
const NEW_NUMBERS: i32 = 1 << 18;

/// The list.
pub(super) enum TaskList {
    /// That of /proc, open.
    Listed(Fd),
    /// There is no /proc.
    Asked {
        /// Whose tasks.
        pid: i32,
        /// CLOCK_MONOTONIC nanoseconds after which no more are asked about.
        deadline: u64,
        /// All were.
        once: AtomicBool,
    },
}

impl TaskList {
    /// Opens the list. `deadline` is for where there is none, in CLOCK_MONOTONIC nanoseconds.
    pub(super) fn open(proc: &ProcFiles, deadline: u64) -> Result<TaskList, Errno> {
        if proc.is_there() {
            proc.open_tasks().map(TaskList::Listed)
        } else {
            Ok(TaskList::Asked { pid: proc.process(), deadline, once: AtomicBool::new(false) })
        }
    }

    /// Calls `each` for every task listed from the start. ETIMEDOUT: not all numbers could be asked about.
    pub(super) fn for_each(
        &self,
        buffer: &mut [u8; LIST_BUFFER],
        each: &mut dyn FnMut(Tid),
    ) -> Result<(), Errno> {
        let list = match self {
            TaskList::Listed(list) => list,
            TaskList::Asked { pid, deadline, once } => {
                let own = process::tid().get();
                let numbers = if once.swap(true, Relaxed) {
                    [own..own.saturating_add(NEW_NUMBERS), 1..NEW_NUMBERS]
                } else {
                    // Most threads have a number that follows their process' soon.
                    [*pid..NUMBERS, 1..*pid]
                };
                return ask_each(*pid, numbers.into_iter().flatten(), *deadline, each);
            }
        };
        file::rewind(list)?;
        for_each_number(list, buffer, &mut |number| {
            if let Some(listed) = Tid::new(number) {
                each(listed);
            }
        })
    }

    /// What a task of the list says of the system call that it sleeps in.
    pub(super) fn system_call_of(&self, listed: Tid) -> Option<InSystemCall> {
        let TaskList::Listed(list) = self else { return None };
        let path = Text::<32>::of(format_args!("{}/syscall\0", listed.get()));
        let path = CStr::from_bytes_until_nul(path.as_bytes()).ok()?;
        InSystemCall::read(&file::open_at(list.raw(), path, libc::O_RDONLY, 0).ok()?)
    }

    /// How many tasks the process has at this moment, by the kernel's count.
    pub(super) fn count(&self) -> Result<usize, Errno> {
        match self {
            TaskList::Listed(list) => task::links(list).map(|links| links.saturating_sub(2)),
            TaskList::Asked { .. } => Err(Errno::new(libc::ENOENT)),
        }
    }
}

/// Calls `each` for every one of the numbers that a task of process `pid` has.
fn ask_each(
    pid: i32,
    numbers: impl Iterator<Item = i32>,
    deadline: u64,
    each: &mut dyn FnMut(Tid),
) -> Result<(), Errno> {
    const BETWEEN_LOOKS: usize = 4096;
    for (n, number) in numbers.enumerate() {
        if n % BETWEEN_LOOKS == 0 && process::monotonic_ns() > deadline {
            return Err(Errno::new(libc::ETIMEDOUT));
        }
        if let Some(tid) = Tid::new(number).filter(|tid| task::is_thread_of(pid, *tid)) {
            each(tid);
        }
    }
    Ok(())
}

/// Calls `each` for every entry of a directory, from where it stands, whose name is a positive number.
pub(super) fn for_each_number(
    directory: &Fd,
    buffer: &mut [u8; LIST_BUFFER],
    each: &mut dyn FnMut(i32),
) -> Result<(), Errno> {
    loop {
        let len = match file::directory_entries(directory, buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(errno) if errno.get() == libc::EINTR => continue,
            Err(errno) => return Err(errno),
        };
        let mut rest = buffer.get(..len).unwrap_or_default();
        while let Some((name, tail)) = next_entry(rest) {
            if let Some(number) = number(name) {
                each(number);
            }
            rest = tail;
        }
    }
}

/// Splits the first `struct linux_dirent64` off (getdents64(2)): its name without the final 0, and what follows.
fn next_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let length = u16::from_ne_bytes(bytes.get(LENGTH_AT..LENGTH_AT + 2)?.try_into().ok()?) as usize;
    let name = bytes.get(NAME_AT..length)?;
    let end = name.iter().position(|b| *b == 0)?;
    Some((name.get(..end)?, bytes.get(length..)?))
}

/// The fields of `/proc/PID/task/TID/status` that decide what to do with a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// The state's letter: R, S, D, T, t, Z, X.
    pub(super) state: u8,
    /// Who traces it, as /proc numbers tasks; 0 for nobody.
    pub(super) tracer: i32,
    /// Its id in the innermost pid namespace.
    pub(super) innermost: i32,
    /// A thread of the kernel's own that works for the process.
    pub(super) kernel_worker: bool,
    /// It may make four system calls only (SECCOMP_MODE_STRICT).
    pub(super) is_strict: bool,
    /// The signals that wait for it alone, and those that wait for its process.
    pub(super) pending: u64,
    pub(super) shared_pending: u64,
    /// The signals that run a handler of the program.
    pub(super) caught: u64,
    /// Those among them that wait for it or for its process and that it does not block.
    pub(super) coming: u64,
}

impl Status {
    /// Reads an open status file.
    pub(super) fn read(file: &Fd) -> Result<Status, Errno> {
        let mut text = [0; 4096];
        let len = file::read(file, &mut text)?;
        Ok(Status::parse(text.get(..len).unwrap_or_default()))
    }

    fn parse(text: &[u8]) -> Status {
        let mut status = Status::default();
        let mut blocked = 0;
        for line in text.split(|b| *b == b'\n') {
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let last = || value.rsplit(|b| b.is_ascii_whitespace()).next().and_then(number).unwrap_or(0);
            match name {
                b"Name" => {
                    status.kernel_worker = value.starts_with(b"iou-wrk-")
                        || value.starts_with(b"iou-sqp-")
                        || value.starts_with(b"vhost-");
                }
                b"State" => status.state = value.first().copied().unwrap_or(0),
                b"TracerPid" => status.tracer = last(),
                b"NSpid" => status.innermost = last(),
                b"Seccomp" => status.is_strict = value == b"1",
                b"SigPnd" => status.pending = signals(value),
                b"ShdPnd" => status.shared_pending = signals(value),
                b"SigBlk" => blocked = signals(value),
                b"SigCgt" => status.caught = signals(value),
                _ => {}
            }
        }
        status.coming = (status.pending | status.shared_pending) & status.caught & !blocked;
        status
    }
}

/// A set of signals as a status file writes it: bit 0 is signal 1.
fn signals(hex: &[u8]) -> u64 {
    core::str::from_utf8(hex).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

/// What `/proc/PID/task/TID/syscall` says: number, arguments, stack pointer, pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InSystemCall {
    /// The call's number; `None` when the thread sleeps outside a call.
    pub(super) number: Option<usize>,
    pub(super) arguments: [usize; 6],
    pub(super) stack_pointer: usize,
    pub(super) pc: usize,
}

impl InSystemCall {
    /// Reads it; `None` when the thread runs or may not be looked at.
    pub(super) fn of(proc: &ProcFiles, listed: Tid) -> Option<InSystemCall> {
        InSystemCall::read(&proc.open_of_thread(listed, "syscall").ok()?)
    }

    /// From the open file.
    fn read(file: &Fd) -> Option<InSystemCall> {
        let mut text = [0; 256];
        let len = file::read(file, &mut text).ok()?;
        InSystemCall::parse(core::str::from_utf8(text.get(..len)?).ok()?)
    }

    /// True for the calls that SECCOMP_MODE_STRICT allows and in which a thread may sleep.
    pub(super) fn is_for_the_strict(&self) -> bool {
        let calls = [libc::SYS_read, libc::SYS_write];
        self.number.is_none_or(|number| calls.contains(&(number as libc::c_long)))
    }

    /// True for the calls that can wait for a vfork child.
    pub(super) fn makes_tasks(&self) -> bool {
        let calls = [SYS_VFORK, libc::SYS_clone, libc::SYS_clone3];
        self.number.is_some_and(|number| calls.contains(&(number as libc::c_long)))
    }

    fn parse(text: &str) -> Option<InSystemCall> {
        let mut words = text.split_ascii_whitespace();
        let number: isize = words.next()?.parse().ok()?;
        let mut hex = || usize::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
        let mut arguments = [0; 6];
        if number >= 0 {
            for argument in &mut arguments {
                *argument = hex()?;
            }
        }
        let (stack_pointer, pc) = (hex()?, hex()?);
        Some(InSystemCall { number: usize::try_from(number).ok(), arguments, stack_pointer, pc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_thread_of_this_process() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            tell.send(process::tid()).unwrap();
            let _ = wait.recv();
        });
        let other = told.recv().unwrap();
        let (pid, tid) = (process::pid(), process::tid());
        let list = TaskList::open(&ProcFiles::find(pid, tid).unwrap(), 0).unwrap();
        let asked = TaskList::open(&ProcFiles::absent(pid, tid), u64::MAX).unwrap();
        for list in [&list, &asked] {
            let mut buffer = [0; LIST_BUFFER];
            let mut seen = Vec::new();
            list.for_each(&mut buffer, &mut |tid| seen.push(tid)).unwrap();
            assert!(seen.contains(&other) && seen.contains(&tid));
        }
        assert!(list.count().unwrap() >= 2 && asked.count().is_err());
        let late = TaskList::open(&ProcFiles::absent(pid, tid), 0).unwrap();
        assert_eq!(late.for_each(&mut [0; LIST_BUFFER], &mut |_| ()), Err(Errno::new(libc::ETIMEDOUT)));
        drop(go);
        thread.join().unwrap();
    }

    #[test]
    fn status_is_parsed_by_name() {
        let text = b"Name:\tiou-wrk-77\nState:\tS (sleeping)\nTracerPid:\t12\nNSpid:\t30659\t2\n";
        let status = Status::parse(text);
        assert_eq!((status.state, status.tracer, status.innermost), (b'S', 12, 2));
        assert!(status.kernel_worker && !status.is_strict);
        let status = Status::parse(b"Seccomp:\t1\nSigPnd:\t0000000000000004\nShdPnd:\t0000000000000001\n");
        assert!(status.is_strict);
        assert_eq!((status.pending, status.shared_pending), (4, 1));
    }

    #[test]
    fn system_calls_are_parsed() {
        let call = InSystemCall::parse("58 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe 0x7f00\n").unwrap();
        assert_eq!((call.number, call.stack_pointer, call.pc), (Some(58), 0x7ffe, 0x7f00));
        assert_eq!(call.arguments, [1, 2, 3, 4, 5, 6]);
        let asleep = InSystemCall::parse("-1 0x7ffe 0x7f00\n").unwrap();
        assert_eq!((asleep.number, asleep.pc), (None, 0x7f00));
        assert_eq!(InSystemCall::parse("running\n"), None);
    }
}
