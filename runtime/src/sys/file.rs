//! Files: open(2), read(2), pread(2), write(2), close(2), getdents64(2), readlink(2), ioctl(2).

use core::ffi::CStr;

use crate::base::{AddrRange, Errno};

use super::invoke::syscall;

/// An open file descriptor, closed on drop. A helper with a descriptor table of its own owns its numbers; in the
/// program's table a descriptor of ours is open only while the program's thread is inside our code.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// The number.
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// Gives up ownership: the descriptor stays open.
    pub fn into_raw(self) -> i32 {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }

    /// Takes ownership of an open descriptor.
    pub fn from_raw(raw: i32) -> Fd {
        Fd(raw)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: closing a number that we own cannot touch memory.
        let _ = unsafe { syscall(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

/// `openat(AT_FDCWD, path, flags | O_CLOEXEC, mode)`.
pub fn open(path: &CStr, flags: libc::c_int, mode: u32) -> Result<Fd, Errno> {
    open_at(libc::AT_FDCWD, path, flags, mode)
}

/// `openat(dir, path, flags | O_CLOEXEC, mode)`.
pub fn open_at(dir: i32, path: &CStr, flags: libc::c_int, mode: u32) -> Result<Fd, Errno> {
    let flags = (flags | libc::O_CLOEXEC) as usize;
    // SAFETY: path is a C string that lives through the call.
    unsafe { syscall(libc::SYS_openat, [dir as usize, path.as_ptr().addr(), flags, mode as usize, 0, 0]) }
        .map(|fd| Fd(fd as i32))
}

/// `read(fd, into, len)`, again after EINTR. Returns the bytes read; 0 at the end of the file.
pub fn read(fd: &Fd, into: &mut [u8]) -> Result<usize, Errno> {
    loop {
        let arguments = [fd.0 as usize, into.as_mut_ptr().addr(), into.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most len bytes to a buffer that we hold exclusively.
        match unsafe { syscall(libc::SYS_read, arguments) } {
            Err(errno) if errno.get() == libc::EINTR => {}
            result => return result,
        }
    }
}

/// `pread(fd, into, len, offset)`, again after EINTR. Returns the bytes read; 0 at the end of the file.
pub fn read_at(fd: &Fd, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
    loop {
        let arguments = [fd.0 as usize, into.as_mut_ptr().addr(), into.len(), offset as usize, 0, 0];
        // SAFETY: the kernel writes at most len bytes to a buffer that we hold exclusively.
        match unsafe { syscall(libc::SYS_pread64, arguments) } {
            Err(errno) if errno.get() == libc::EINTR => {}
            result => return result,
        }
    }
}

/// Writes all of `bytes` to descriptor `fd`, which need not be ours (2, say). Stops at the first error.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let arguments = [fd as usize, bytes.as_ptr().addr(), bytes.len(), 0, 0, 0];
        // SAFETY: the kernel reads at most len bytes from a buffer that we hold.
        match unsafe { syscall(libc::SYS_write, arguments) } {
            Err(errno) if errno.get() == libc::EINTR => {}
            Err(errno) => return Err(errno),
            Ok(0) => return Err(Errno::new(libc::EIO)),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// `write(fd, range, len)`: memory by its address, which need not be readable: then EFAULT, or less than all.
pub fn write_memory(fd: i32, range: AddrRange) -> Result<usize, Errno> {
    // SAFETY: the kernel copies from user memory and survives what it cannot read (write(2), EFAULT); nothing is written
    // to memory.
    unsafe { syscall(libc::SYS_write, [fd as usize, range.start.get(), range.len(), 0, 0, 0]) }
}

/// `lseek(fd, distance, SEEK_CUR)`: passes over bytes, which become a hole. ESPIPE where that cannot be. Returns the new
/// place. `fd` need not be ours.
pub fn skip(fd: i32, distance: u64) -> Result<usize, Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_lseek, [fd as usize, distance as usize, libc::SEEK_CUR as usize, 0, 0, 0]) }
}

/// True for a regular file that is written where it stands: not for one that was opened with O_APPEND, nor for a device, a
/// pipe or a socket. `fd` need not be ours.
pub fn is_written_in_place(fd: i32) -> bool {
    // SAFETY: touches no memory.
    let flags = unsafe { syscall(libc::SYS_fcntl, [fd as usize, libc::F_GETFL as usize, 0, 0, 0, 0]) };
    // SAFETY: a structure of plain numbers, for which zero is a value.
    let mut status: libc::stat = unsafe { core::mem::zeroed() };
    let arguments = [fd as usize, core::ptr::from_mut(&mut status).addr(), 0, 0, 0, 0];
    // SAFETY: the kernel writes one struct stat, which on 64-bit systems libc and kernel lay out alike (stat(2)).
    let asked = unsafe { syscall(libc::SYS_fstat, arguments) };
    asked.is_ok()
        && status.st_mode & libc::S_IFMT == libc::S_IFREG
        && flags.is_ok_and(|flags| flags & libc::O_APPEND as usize == 0)
}

/// `ftruncate(fd, here)`: the file ends where it stands. `fd` need not be ours.
pub fn end_here(fd: i32) -> Result<(), Errno> {
    let here = skip(fd, 0)?;
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_ftruncate, [fd as usize, here, 0, 0, 0, 0]) }.map(drop)
}

/// `getdents64(fd, into, len)`: raw directory entries; 0 at the end.
pub fn directory_entries(fd: &Fd, into: &mut [u8]) -> Result<usize, Errno> {
    let arguments = [fd.0 as usize, into.as_mut_ptr().addr(), into.len(), 0, 0, 0];
    // SAFETY: the kernel writes at most len bytes to a buffer that we hold exclusively.
    unsafe { syscall(libc::SYS_getdents64, arguments) }
}

/// `lseek(fd, 0, SEEK_SET)`: back to the start, as for listing a directory again.
pub fn rewind(fd: &Fd) -> Result<(), Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_lseek, [fd.0 as usize, 0, libc::SEEK_SET as usize, 0, 0, 0]) }.map(drop)
}

/// `readlinkat(AT_FDCWD, path, into, len)`: the bytes of the link's target, without a final 0.
pub fn read_link<'a>(path: &CStr, into: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let at = libc::AT_FDCWD as usize;
    let arguments = [at, path.as_ptr().addr(), into.as_mut_ptr().addr(), into.len(), 0, 0];
    // SAFETY: path is a C string; the kernel writes at most len bytes to a buffer that we hold exclusively.
    let len = unsafe { syscall(libc::SYS_readlinkat, arguments) }?;
    Ok(into.get(..len).unwrap_or_default())
}

/// `readlinkat(dir, name, into, len)`: as [`read_link`], from an open directory.
pub fn read_link_at<'a>(dir: &Fd, name: &CStr, into: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let arguments = [dir.0 as usize, name.as_ptr().addr(), into.as_mut_ptr().addr(), into.len(), 0, 0];
    // SAFETY: name is a C string; the kernel writes at most len bytes to a buffer that we hold exclusively.
    let len = unsafe { syscall(libc::SYS_readlinkat, arguments) }?;
    Ok(into.get(..len).unwrap_or_default())
}

/// `ioctl(fd, request, argument)`.
///
/// # Safety
///
/// - `argument` is what `request` says, valid for what the kernel reads and writes there.
pub unsafe fn control(fd: &Fd, request: u64, argument: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_ioctl, [fd.0 as usize, request as usize, argument, 0, 0, 0]) }
}

/// True when `fd`, which need not be ours, is a terminal (`ioctl(TCGETS)`, as isatty(3)).
pub fn is_terminal(fd: i32) -> bool {
    let mut settings = [0u64; 16];
    let arguments = [fd as usize, libc::TCGETS as usize, settings.as_mut_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel writes one struct termios, at most 60 bytes (asm-generic/termbits.h), to a larger buffer.
    unsafe { syscall(libc::SYS_ioctl, arguments) }.is_ok()
}

/// `pipe2(O_CLOEXEC)`: the end to read and the end to write.
pub fn pipe() -> Result<(Fd, Fd), Errno> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two ints, which we hold exclusively.
    unsafe { syscall(libc::SYS_pipe2, [ends.as_mut_ptr().addr(), libc::O_CLOEXEC as usize, 0, 0, 0, 0]) }?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// `memfd_create(name, MFD_CLOEXEC)`: an empty file in memory.
pub fn in_memory(name: &CStr) -> Result<Fd, Errno> {
    let arguments = [name.as_ptr().addr(), libc::MFD_CLOEXEC as usize, 0, 0, 0, 0];
    // SAFETY: name is a C string that lives through the call.
    unsafe { syscall(libc::SYS_memfd_create, arguments) }.map(|fd| Fd(fd as i32))
}

/// `fcntl(fd, F_DUPFD_CLOEXEC, 3)`: a copy whose number is not that of a standard stream.
pub fn duplicate_above_standard(fd: i32) -> Result<Fd, Errno> {
    let arguments = [fd as usize, libc::F_DUPFD_CLOEXEC as usize, 3, 0, 0, 0];
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_fcntl, arguments) }.map(|fd| Fd(fd as i32))
}

/// `dup3(from, to, 0)`: `to` becomes a copy that stays open across execve. The two must differ.
pub fn duplicate_to(from: i32, to: i32) -> Result<(), Errno> {
    // SAFETY: touches no memory; what `to` was before is the caller's to give up.
    unsafe { syscall(libc::SYS_dup3, [from as usize, to as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `close_range(first, ~0, CLOSE_RANGE_CLOEXEC)` (Linux 5.11): nothing from `first` on survives an execve.
pub fn close_on_exec_from(first: i32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    let arguments = [first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0, 0];
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_close_range, arguments) }.map(drop)
}

/// True when `path` is a regular file that the caller may execute: `faccessat(AT_FDCWD, path, X_OK)`, and no directory.
pub fn is_executable(path: &CStr) -> bool {
    let at = libc::AT_FDCWD as usize;
    let arguments = [at, path.as_ptr().addr(), libc::X_OK as usize, 0, 0, 0];
    // SAFETY: path is a C string that lives through the call.
    let may = unsafe { syscall(libc::SYS_faccessat, arguments) }.is_ok();
    may && open(path, libc::O_PATH | libc::O_DIRECTORY, 0).is_err()
}

/// True when the calling process has this descriptor open.
pub fn is_open(fd: i32) -> bool {
    // SAFETY: fcntl(2), F_GETFD changes nothing.
    unsafe { syscall(libc::SYS_fcntl, [fd as usize, libc::F_GETFD as usize, 0, 0, 0, 0]) }.is_ok()
}
