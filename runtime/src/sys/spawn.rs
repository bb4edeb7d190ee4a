//! Starting a program: clone(2) without a thread, execve(2).
//!
//! Raw, not through libc's posix_spawn: the library must start a program without a SIGCHLD to the program that it lives
//! in, and the command must hand on signal dispositions and the mask exactly as it got them.
//!
//! Why a copy of the address space (clone without CLONE_VM) and no vfork: the child may then be slow to exec without
//! holding the parent, and needs no stack of its own. It costs the page tables' copy, once, at the end of a process
//! that has leaks.

use core::ffi::CStr;

use crate::base::Errno;

use super::file;
use super::invoke::syscall;
use super::process;
use super::signals::{self, Action, AllBlocked, SignalSet};
use super::task;

/// A program to start.
pub struct Spawn<'a> {
    /// The file; PATH is not searched.
    pub path: &'a CStr,
    /// Its arguments, with its name as the first.
    pub arguments: &'a [&'a CStr],
    /// Its environment.
    pub environment: &'a [&'a CStr],
    /// Becomes its standard input, if given; both may be closed afterwards.
    pub stdin: Option<i32>,
    /// Becomes its standard output.
    pub stdout: Option<i32>,
    /// Nothing but descriptors 0, 1 and 2 is left open in it.
    pub only_standard: bool,
    /// The signal that the caller gets when it ends; 0 none, and then only `__WALL` waits see it.
    pub exit_signal: i32,
    /// The signal mask that it starts with.
    pub mask: SignalSet,
    /// Wait until execve has succeeded or failed, by a pipe that it closes. Not where another thread may fork meanwhile:
    /// its child keeps the pipe open, and the wait would last as long as that child. Without it a failed execve is seen
    /// as exit status 127.
    pub await_exec: bool,
    /// It is killed when its parent ends.
    pub dies_with_parent: bool,
    /// Signals that it starts ignoring or with the default action, whatever the caller does with them.
    pub dispositions: &'a [(i32, usize)],
}

/// Starts the program and returns its process id; with `await_exec` the error of execve if that failed.
///
/// `scratch` holds the pointers of arguments and environment: at least two words more than there are strings. E2BIG if
/// it is too small.
pub fn spawn(what: &Spawn<'_>, scratch: &mut [usize]) -> Result<i32, Errno> {
    let count = what.arguments.len();
    if scratch.len() < count + what.environment.len() + 2 {
        return Err(Errno::new(libc::E2BIG));
    }
    let (arguments, environment) = scratch.split_at_mut(count + 1);
    for (strings, pointers) in [(what.arguments, &mut *arguments), (what.environment, &mut *environment)] {
        for (string, pointer) in strings.iter().zip(pointers.iter_mut()) {
            *pointer = string.as_ptr().expose_provenance();
        }
        if let Some(end) = pointers.get_mut(strings.len()) {
            *end = 0;
        }
    }
    let status = if what.await_exec { Some(file::pipe()?) } else { None };
    // No handler of the caller may run in the child: it would act on the caller's descriptors.
    let blocked = AllBlocked::new()?;
    let flags = what.exit_signal as usize;
    // SAFETY: without CLONE_VM the child has a copy of all memory and goes on behind this call on its copy of the stack;
    // it makes system calls only, so no lock that another thread held at this moment matters.
    let pid = unsafe { syscall(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]) }? as i32;
    if pid == 0 {
        let errno = become_program(what, arguments, environment);
        if let Some((_, write_end)) = &status {
            let _ = file::write_all(write_end.raw(), &errno.get().to_ne_bytes());
        }
        process::exit_task(127);
    }
    drop(blocked);
    let Some((read_end, write_end)) = status else { return Ok(pid) };
    drop(write_end);
    let mut errno = [0; 4];
    // The write end is closed by execve: nothing comes when it succeeded.
    match file::read(&read_end, &mut errno) {
        Ok(4) => {
            let _ = super::wait::child(pid, super::wait::Block::Wait);
            Err(Errno::new(i32::from_ne_bytes(errno)))
        }
        _ => Ok(pid),
    }
}

/// In the child: makes everything ready and execs. Returns only when that failed.
fn become_program(what: &Spawn<'_>, arguments: &[usize], environment: &[usize]) -> Errno {
    for signal in 1..=64 {
        // Blocked signals with handlers that came meanwhile would run them when the mask is set below.
        let action = signals::action(signal).unwrap_or(Action::DEFAULT);
        let wanted = what.dispositions.iter().find(|(of, _)| *of == signal).map(|(_, handler)| *handler);
        let handler =
            wanted.unwrap_or(if action.handler == libc::SIG_IGN { libc::SIG_IGN } else { libc::SIG_DFL });
        if handler != action.handler {
            // SAFETY: the new action is no handler.
            let _ = unsafe { signals::set_action(signal, Some(&Action { handler, ..Action::DEFAULT })) };
        }
    }
    if what.dies_with_parent {
        let _ = task::die_with_parent(libc::SIGKILL);
    }
    // Both may be 0 or 1 themselves: copies above 2 first.
    let copy = |fd: Option<i32>| fd.map(file::duplicate_above_standard).transpose();
    let (stdin, stdout) = match (copy(what.stdin), copy(what.stdout)) {
        (Ok(stdin), Ok(stdout)) => (stdin, stdout),
        (Err(errno), _) | (_, Err(errno)) => return errno,
    };
    for (from, to) in [(stdin, 0), (stdout, 1)] {
        if let Some(from) = from
            && let Err(errno) = file::duplicate_to(from.raw(), to)
        {
            return errno;
        }
    }
    if what.only_standard {
        // With CLOSE_RANGE_CLOEXEC, and not at once: the status pipe must last until execve. Kernels without it leave
        // the program's descriptors open in the child; most are close-on-exec anyway.
        let _ = file::close_on_exec_from(3);
    }
    let _ = signals::set_mask(what.mask);
    let call = [what.path.as_ptr().addr(), arguments.as_ptr().addr(), environment.as_ptr().addr(), 0, 0, 0];
    // SAFETY: three pointers to a C string and to arrays of C strings that end with a null pointer, all alive.
    match unsafe { syscall(libc::SYS_execve, call) } {
        Ok(_) => Errno::new(libc::EINVAL),
        Err(errno) => errno,
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::{self, Block, Change};
    use super::*;

    fn run(script: &CStr, set: impl FnOnce(&mut Spawn<'_>)) -> Result<Change, Errno> {
        let mut what = Spawn {
            path: c"/bin/sh",
            arguments: &[c"sh", c"-c", script],
            environment: &[c"A=1"],
            stdin: None,
            stdout: None,
            only_standard: false,
            exit_signal: 0,
            mask: SignalSet::EMPTY,
            await_exec: true,
            dies_with_parent: false,
            dispositions: &[],
        };
        set(&mut what);
        let pid = spawn(&what, &mut [0; 16])?;
        wait::child(pid, Block::Wait).map(|change| change.unwrap())
    }

    #[test]
    fn runs_and_tells_how_it_ended() {
        assert_eq!(run(c"exit $A$A", |_| {}), Ok(Change::Exited(11)));
        assert_eq!(run(c"kill -9 $$", |_| {}), Ok(Change::Killed(9)));
        assert_eq!(run(c"", |what| what.path = c"/nonexistent"), Err(Errno::new(libc::ENOENT)));
        assert_eq!(run(c"", |what| what.path = c"/etc/passwd"), Err(Errno::new(libc::EACCES)));
        assert_eq!(run(c"", |what| what.environment = &[c"x"; 14]), Err(Errno::new(libc::E2BIG)));
    }

    #[test]
    fn without_the_pipe_a_failed_exec_is_status_127() {
        let ended = run(c"", |what| {
            what.path = c"/nonexistent";
            what.await_exec = false;
        });
        assert_eq!(ended, Ok(Change::Exited(127)));
    }

    #[test]
    fn gets_the_descriptors_it_was_given_and_no_other() {
        let (read_end, write_end) = file::pipe().unwrap();
        let (out_read, out_write) = file::pipe().unwrap();
        // An open descriptor that survives exec, as programs have.
        let stray = file::duplicate_above_standard(read_end.raw()).unwrap();
        file::duplicate_to(stray.raw(), 77).unwrap();
        file::write_all(write_end.raw(), b"hello").unwrap();
        drop(write_end);
        let ended = run(c"cat; test ! -e /proc/self/fd/77", |what| {
            what.stdin = Some(read_end.raw());
            what.stdout = Some(out_write.raw());
            what.only_standard = true;
        });
        drop(file::Fd::from_raw(77));
        assert_eq!(ended, Ok(Change::Exited(0)));
        let mut text = [0; 16];
        assert_eq!(file::read(&out_read, &mut text), Ok(5));
    }

    #[test]
    fn starts_with_the_mask_and_dispositions_it_was_given() {
        let ended = run(c"kill -TERM $$; kill -USR1 $$; exit 3", |what| {
            what.mask = SignalSet::EMPTY.with(libc::SIGTERM);
            what.dispositions = &[(libc::SIGUSR1, libc::SIG_IGN)];
        });
        assert_eq!(ended, Ok(Change::Exited(3)));
    }
}
