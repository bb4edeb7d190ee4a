//! Where a report goes: standard error, standard output, a log file of the process, the report directory.
//!
//! Raw writes only, and never a signal: SIGPIPE is kept from the program when the reader of a pipe has gone, and
//! SIGTTOU when the program stands in the background of a terminal that asks for it.
//!
//! Files are made with O_NOFOLLOW, and in the report directory with O_EXCL under a name that nobody can guess, since
//! both may lie in a directory that others can write to (/tmp).

use core::ffi::CStr;
use core::fmt::Write;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::base::Errno;
use crate::base::text::Text;
use crate::mem::MapVec;
use crate::sys::file::{self, Fd};
use crate::sys::process;
use crate::sys::signals::{self, SignalSet};

use super::sink::Sink;

/// A path, made to be handed to the kernel.
pub struct CPath(Text<2048>);

impl CPath {
    /// Formats a path. Fails with ENAMETOOLONG.
    pub fn of(arguments: core::fmt::Arguments<'_>) -> Result<CPath, Errno> {
        let mut text = Text::of(arguments);
        // Infallible; what does not fit is noted in the text.
        let _ = text.write_str("\0");
        if text.was_cut() { Err(Errno::new(libc::ENAMETOOLONG)) } else { Ok(CPath(text)) }
    }

    /// The path. Ends at the first 0 byte.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(self.0.as_bytes()).unwrap_or(c"")
    }
}

/// Collects bytes and writes them to a descriptor in large pieces, so that reports of two processes mix as little as
/// possible.
pub struct FdSink {
    fd: i32,
    owned: Option<Fd>,
    buffer: MapVec<u8>,
    failed: Option<Errno>,
}

/// Written at once when so much has come together.
const PIECE: usize = 64 << 10;

impl FdSink {
    /// A sink to a descriptor that stays open (2, say).
    pub fn borrowed(fd: i32) -> FdSink {
        FdSink { fd, owned: None, buffer: MapVec::new(), failed: None }
    }

    /// A sink to a descriptor that is closed with it.
    pub fn owned(fd: Fd) -> FdSink {
        FdSink { fd: fd.raw(), owned: Some(fd), buffer: MapVec::new(), failed: None }
    }

    /// True when a person reads it: the descriptor is a terminal.
    pub fn is_terminal(&self) -> bool {
        file::is_terminal(self.fd)
    }

    /// Writes what is left. The first error of any write.
    pub fn finish(mut self) -> Result<(), Errno> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.failed = self.failed.or(write_quietly(self.fd, &self.buffer).err());
            self.buffer.clear();
        }
    }
}

impl Sink for FdSink {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.buffer.push(*byte).is_err() {
                // No memory for a buffer: the bytes go out one by one.
                self.flush();
                self.failed = self.failed.or(write_quietly(self.fd, core::slice::from_ref(byte)).err());
            }
        }
        if self.buffer.len() >= PIECE {
            self.flush();
        }
    }
}

impl Drop for FdSink {
    fn drop(&mut self) {
        self.flush();
        drop(self.owned.take());
    }
}

/// Writes all of `bytes` without a signal to the program: SIGPIPE and SIGTTOU are blocked meanwhile, and a SIGPIPE that
/// this write has made is taken away again.
pub fn write_quietly(fd: i32, bytes: &[u8]) -> Result<(), Errno> {
    // Only these two: whoever waits for a slow reader must still be killable from the keyboard.
    let quiet = |mask: SignalSet| mask.with(libc::SIGPIPE).with(libc::SIGTTOU);
    let Ok(before) = signals::set_mask(SignalSet::ALL) else { return file::write_all(fd, bytes) };
    let _ = signals::set_mask(quiet(before));
    let pending = signals::pending().is_ok_and(|set| set.contains(libc::SIGPIPE));
    let result = file::write_all(fd, bytes);
    if !pending && result.is_err_and(|errno| errno.get() == libc::EPIPE) {
        let _ = signals::take_pending(SignalSet::EMPTY.with(libc::SIGPIPE));
    }
    let _ = signals::set_mask(before);
    result
}

/// What the options say of the destination.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// `log_path`: empty or `stderr`, `stdout`, or the beginning of a file's path.
    pub log_path: &'a str,
    /// `log_exe_name`: the program's name becomes a part of the file's name.
    pub log_exe_name: bool,
    /// `log_suffix`: the end of the file's name.
    pub log_suffix: &'a str,
    /// The file of the program, for `log_exe_name`.
    pub program: &'a [u8],
}

impl Choice<'_> {
    /// True when a person reads it: a standard stream that is a terminal.
    pub fn is_terminal(&self) -> bool {
        match self.log_path {
            "" | "stderr" => file::is_terminal(2),
            "stdout" => file::is_terminal(1),
            _ => false,
        }
    }
}

/// Opens the destination: `log_path.PID`, `log_path.NAME.PID`, each with the suffix behind it (LLVM's
/// sanitizer_common `ReportFile`). The first report of a process makes the file anew, the next ones append. When that
/// fails, complains and takes standard error.
pub fn open(choice: &Choice<'_>, complain: &mut dyn FnMut(&str)) -> FdSink {
    match choice.log_path {
        "" | "stderr" => FdSink::borrowed(2),
        "stdout" => FdSink::borrowed(1),
        path => match open_log(choice) {
            Ok(fd) => FdSink::owned(fd),
            Err(errno) => {
                complain(
                    Text::<400>::of(format_args!(
                        "Standstill: log_path: cannot write '{path}.{}': {errno}. Writing to standard error",
                        process::pid()
                    ))
                    .as_str(),
                );
                FdSink::borrowed(2)
            }
        },
    }
}

/// The process whose log file exists already; 0 none.
static LOGGED: AtomicI32 = AtomicI32::new(0);

fn open_log(choice: &Choice<'_>) -> Result<Fd, Errno> {
    let pid = process::pid();
    let mut name = Text::<256>::new();
    if choice.log_exe_name {
        let file = choice.program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        // A name that is no text is left out rather than mangled: the file must be found by the user.
        let file = core::str::from_utf8(file).unwrap_or("");
        let _ = write!(name, ".{file}");
    }
    let path = CPath::of(format_args!("{}{name}.{pid}{}", choice.log_path, choice.log_suffix))?;
    let start = if LOGGED.swap(pid, Relaxed) == pid { libc::O_APPEND } else { libc::O_TRUNC };
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NOCTTY | start;
    file::open(path.as_c_str(), flags, 0o660).inspect_err(|_| LOGGED.store(0, Relaxed))
}

/// Makes a new file in the report directory: `PID.RANDOM.KIND`. The command gives the directory, which only it can
/// list.
pub fn create_record(directory: &str, kind: &str) -> Result<FdSink, Errno> {
    let random = process::random()?;
    let path = CPath::of(format_args!("{directory}/{}.{random:016x}.{kind}", process::pid()))?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    file::open(path.as_c_str(), flags, 0o600).map(FdSink::owned)
}
