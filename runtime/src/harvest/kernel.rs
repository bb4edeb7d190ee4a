//! Words that only the kernel holds for the program: the data of descriptors in epoll sets, the values of POSIX timers.
//!
//! Contract: reads /proc only; a file that cannot be read gives nothing. Descriptors of ours are closed again.
//!
//! References: proc(5), epoll_ctl(2), timer_create(2); fs/eventpoll.c (`ep_show_fdinfo`), fs/proc/base.c (`show_timer`).

use core::ffi::CStr;

use crate::arch::page_size;
use crate::base::Errno;
use crate::mem::MapVec;
use crate::stop::ProcFile;
use crate::sys::file::{self, Fd};

use super::lines;

/// Appends all such words to `into`. Fails only when memory for our own arrays cannot be had. True when the process has a
/// descriptor of userfaultfd(2): a page that is missing may then be somebody else's to fill.
pub fn words(open: impl Fn(ProcFile) -> Result<Fd, Errno>, into: &mut MapVec<usize>) -> Result<bool, Errno> {
    if let Ok(timers) = open(ProcFile::Timers) {
        each_line(&timers, |line| timer_value(line).map_or(Ok(()), |word| into.push(word)))?;
    }
    let (Ok(links), Ok(infos)) = (open(ProcFile::Descriptors), open(ProcFile::DescriptorInfos)) else {
        return Ok(false);
    };
    let mut faults = false;
    each_entry(&links, |name| {
        let mut target = [0; 64];
        match file::read_link_at(&links, name, &mut target) {
            Ok(b"anon_inode:[eventpoll]") => {}
            Ok(b"anon_inode:[userfaultfd]") => {
                faults = true;
                return Ok(());
            }
            _ => return Ok(()),
        }
        match file::open_at(infos.raw(), name, libc::O_RDONLY, 0) {
            Ok(info) => each_line(&info, |line| epoll_data(line).map_or(Ok(()), |word| into.push(word))),
            Err(_) => Ok(()),
        }
    })?;
    Ok(faults)
}

fn each_line(fd: &Fd, each: impl FnMut(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
    // An error of reading ends the file: a descriptor may be gone.
    lines::for_each(|into| Ok(file::read(fd, into).unwrap_or(0)), each).map(drop)
}

/// Calls `each` with the name of every entry of a directory that is a number.
fn each_entry(dir: &Fd, mut each: impl FnMut(&CStr) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut buffer = MapVec::<u8>::new();
    buffer.resize(page_size(), 0)?;
    loop {
        let got = file::directory_entries(dir, &mut buffer).unwrap_or(0);
        let mut rest = buffer.get(..got).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        // struct linux_dirent64: inode and offset, 8 bytes each, the record's length, 2, its type, 1, the name.
        while let Some(&[low, high]) = rest.get(16..18) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let name = rest.get(19..length).and_then(|name| CStr::from_bytes_until_nul(name).ok());
            if let Some(name) = name.filter(|name| name.to_bytes().iter().all(u8::is_ascii_digit)) {
                each(name)?;
            }
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
    }
}

/// `tfd:        6 events:       19 data:     dead0000beef  pos:0 ino:…`
fn epoll_data(line: &[u8]) -> Option<usize> {
    if !line.starts_with(b"tfd:") {
        return None;
    }
    let at = line.windows(5).position(|five| five == b"data:")?;
    hex(line.get(at + 5..)?.trim_ascii_start())
}

/// `signal: 10/00001234abcd5678`
fn timer_value(line: &[u8]) -> Option<usize> {
    let value = line.strip_prefix(b"signal: ")?;
    hex(value.get(value.iter().position(|byte| *byte == b'/')? + 1..)?)
}

fn hex(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    usize::from_str_radix(core::str::from_utf8(text.get(..end)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::ProcFiles;
    use crate::sys::process;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let line = b"tfd:        6 events:       19 data:     dead0000beef  pos:0 ino:40b sdev:f";
        assert_eq!(epoll_data(line), Some(0xdead_0000_beef));
        assert_eq!(epoll_data(b"pos:\t0"), None);
        assert_eq!(timer_value(b"signal: 10/00001234abcd5678"), Some(0x1234_abcd_5678));
        assert_eq!(timer_value(b"notify: signal/pid.2634"), None);
    }

    #[test]
    fn data_of_an_epoll_set_and_the_value_of_a_timer_are_found() {
        let value = 0x1234_5678_9abc_usize;
        // SAFETY: descriptors and a timer of the test's.
        let (set, timer) = unsafe {
            let set = libc::epoll_create1(0);
            let mut event = libc::epoll_event { events: 0, u64: value as u64 };
            let mut ends = [0; 2];
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            assert_eq!(libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, ends[0], &mut event), 0);
            let mut event: libc::sigevent = core::mem::zeroed();
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = libc::SIGUSR2;
            event.sigev_value.sival_ptr = core::ptr::without_provenance_mut(value + 1);
            let mut timer = core::mem::zeroed();
            assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer), 0);
            (set, timer)
        };
        let proc = ProcFiles::find(process::pid(), process::tid()).unwrap();
        let mut found = MapVec::new();
        words(|file| proc.open_file(file), &mut found).unwrap();
        assert!(found.contains(&value));
        // Kernels without CONFIG_CHECKPOINT_RESTORE do not list timers.
        assert!(found.contains(&(value + 1)) || proc.open_of_group("timers").is_err());
        // SAFETY: made above.
        unsafe { (libc::timer_delete(timer), libc::close(set)) };
    }
}
