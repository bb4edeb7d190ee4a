//! The dump as text. Frames look as in a report of leaks, so that whatever parses those parses these.

use crate::report::{Modules, Sink, text::frame, write_to};
use crate::stop::{ProcFiles, StopKind};
use crate::sys::{file, process};

use super::capture::{Captured, CapturedThread};
use super::system_calls;

macro_rules! say {
    ($out:expr, $($format:tt)*) => { write_to($out, format_args!($($format)*)) };
}

/// Prints all threads.
pub fn text(captured: &Captured, modules: &dyn Modules, out: &mut dyn Sink) {
    let count = captured.threads().len();
    say!(out, "=={}==Standstill: {count} thread{}", process::pid(), if count == 1 { "" } else { "s" });
    signals(", waiting for the process: ", captured.pending, out);
    out.bytes(b"\n");
    for thread in captured.threads() {
        head(thread, &captured.proc, out);
        let frames = captured.frames(thread);
        for (number, pc) in frames.iter().enumerate() {
            frame(number, *pc, modules, out);
        }
        if frames.is_empty() {
            out.bytes(b"    (no call stack)\n");
        }
    }
}

fn head(thread: &CapturedThread, proc: &ProcFiles, out: &mut dyn Sink) {
    say!(out, "\nThread {}", thread.tid.get());
    let mut name = [0; 32];
    let got = proc.open_of_thread(thread.listed, "comm").and_then(|comm| file::read(&comm, &mut name));
    let name = name.get(..got.unwrap_or(0)).unwrap_or_default().trim_ascii_end();
    if !name.is_empty() {
        out.bytes(b" \"");
        for byte in name {
            // A name may hold anything but a terminal's control characters are nobody's wish.
            out.bytes(&[if byte.is_ascii_control() { b'?' } else { *byte }]);
        }
        out.bytes(b"\"");
    }
    match thread.stop {
        StopKind::Caller => say!(out, " asked for this"),
        StopKind::GroupStopped => say!(out, " stopped by job control"),
        StopKind::SignalDelivery(signal) => say!(out, " about to receive signal {signal}"),
        StopKind::Cloning => say!(out, " creating a thread or process"),
        StopKind::Running => say!(out, " did not stop"),
        StopKind::VforkParent => say!(out, " waiting for its vfork child"),
        StopKind::KernelWorker => say!(out, " a worker of the kernel's"),
        StopKind::Interrupted => match thread.system_call {
            Some(number) => match system_calls::name(number) {
                Some(name) => say!(out, " in {name}"),
                None => say!(out, " in system call {number}"),
            },
            None => say!(out, " running"),
        },
    }
    if let Some((user, system)) = times(proc, thread) {
        say!(out, ", {}.{:02} s user, {}.{:02} s system", user / 100, user % 100, system / 100, system % 100);
    }
    if thread.thread_pointer != 0 {
        say!(out, ", TLS at {:#x}", thread.thread_pointer);
    }
    signals(", blocks ", thread.blocked.unwrap_or(0), out);
    signals(", waiting for it: ", thread.pending, out);
    out.bytes(b"\n");
}

/// `prefix` and the numbers of a set of signals; nothing for none.
fn signals(prefix: &str, set: u64, out: &mut dyn Sink) {
    if set == 0 {
        return;
    }
    out.bytes(prefix.as_bytes());
    if set == u64::MAX {
        return out.bytes(b"all signals");
    }
    let mut first = true;
    for signal in (1..=64).filter(|signal| set & 1 << (signal - 1) != 0) {
        say!(out, "{}{}{signal}", if first { "signal " } else { "" }, if first { "" } else { ", " });
        first = false;
    }
}

/// User and system time in hundredths of a second: the fields utime and stime of /proc/PID/task/TID/stat, in ticks of
/// USER_HZ, which is 100 on all CPUs that Linux has (proc(5), include/asm-generic/param.h).
fn times(proc: &ProcFiles, thread: &CapturedThread) -> Option<(u64, u64)> {
    let mut stat = [0; 512];
    let got = proc
        .open_of_thread(thread.listed, "stat")
        .and_then(|stat_file| file::read(&stat_file, &mut stat))
        .ok()?;
    // The name may hold blanks and parentheses: fields are counted from behind the last one.
    let text = stat.get(..got)?;
    let behind = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = core::str::from_utf8(text.get(behind..)?).ok()?.split_ascii_whitespace();
    // state is field 3, utime 14, stime 15.
    let user = fields.nth(11)?.parse().ok()?;
    Some((user, fields.next()?.parse().ok()?))
}
