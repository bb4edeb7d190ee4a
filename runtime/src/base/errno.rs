//! Error numbers of Linux system calls (errno(3)).

use core::fmt;

/// What a system call failed with; 1..=4095.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(u16);

impl Errno {
    /// Takes an error number, for example `libc::EPERM`. Numbers outside 1..=4095 become EINVAL: the kernel never
    /// returns them (include/linux/err.h, MAX_ERRNO).
    pub const fn new(raw: i32) -> Errno {
        if raw >= 1 && raw <= 4095 { Errno(raw as u16) } else { Errno(libc::EINVAL as u16) }
    }

    /// Splits what the syscall instruction left in the result register: -4095..=-1 is an error.
    pub const fn split(result: usize) -> Result<usize, Errno> {
        if result > usize::MAX - 4095 { Err(Errno(result.wrapping_neg() as u16)) } else { Ok(result) }
    }

    /// The number, for errno.
    pub const fn get(self) -> i32 {
        self.0 as i32
    }

    /// The constant's name, for messages; numbers without a name here are printed as numbers.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 as i32 {
            libc::EPERM => "EPERM",
            libc::ENOENT => "ENOENT",
            libc::ESRCH => "ESRCH",
            libc::EINTR => "EINTR",
            libc::EIO => "EIO",
            libc::EBADF => "EBADF",
            libc::ECHILD => "ECHILD",
            libc::EAGAIN => "EAGAIN",
            libc::ENOMEM => "ENOMEM",
            libc::EDEADLK => "EDEADLK",
            libc::EACCES => "EACCES",
            libc::EFAULT => "EFAULT",
            libc::EBUSY => "EBUSY",
            libc::EEXIST => "EEXIST",
            libc::ENOTDIR => "ENOTDIR",
            libc::EISDIR => "EISDIR",
            libc::EINVAL => "EINVAL",
            libc::ENFILE => "ENFILE",
            libc::EMFILE => "EMFILE",
            libc::EFBIG => "EFBIG",
            libc::EDQUOT => "EDQUOT",
            libc::ENOSPC => "ENOSPC",
            libc::EROFS => "EROFS",
            libc::EPIPE => "EPIPE",
            libc::ERANGE => "ERANGE",
            libc::ENOSYS => "ENOSYS",
            libc::ETIMEDOUT => "ETIMEDOUT",
            _ => return None,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_split_at_the_kernels_border() {
        assert_eq!(Errno::split(0), Ok(0));
        assert_eq!(Errno::split(usize::MAX - 4095), Ok(usize::MAX - 4095));
        assert_eq!(Errno::split(-1isize as usize), Err(Errno::new(libc::EPERM)));
        assert_eq!(Errno::split(-4095isize as usize).unwrap_err().get(), 4095);
    }
}
