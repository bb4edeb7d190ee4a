//! Is there memory that can be read? By rt_sigprocmask(2).
//!
//! The call is made with a `how` that does not exist: the kernel copies the set in first (EFAULT if it cannot) and then
//! refuses `how` (EINVAL), so that nothing changes (kernel/signal.c). Unlike mincore(2) it tells PROT_NONE and
//! MADV_GUARD_INSTALL pages from readable ones, and unlike process_vm_readv(2) no sandbox refuses it. Address 0 is
//! answered without asking: to the kernel a null set means that there is none to copy.

use crate::base::{Addr, Errno};

use super::invoke::syscall;

/// True when the eight bytes at `at` can be read. Brings the page in if need be.
pub fn is_readable(at: Addr) -> bool {
    if at == Addr::NULL {
        return false;
    }
    let arguments = [usize::MAX, at.get(), 0, 8, 0, 0];
    // SAFETY: the kernel only reads the set, and survives a bad address; an unknown `how` changes no mask.
    let result = unsafe { syscall(libc::SYS_rt_sigprocmask, arguments) };
    result != Err(Errno::new(libc::EFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AddrRange;
    use crate::sys::memory;

    #[test]
    fn only_readable_pages_are_readable() {
        let page = crate::arch::page_size();
        let start =
            memory::map_anonymous(Addr::NULL, 2 * page, libc::PROT_READ | libc::PROT_WRITE, 0).unwrap();
        // SAFETY: the test's own mapping.
        unsafe { memory::protect(AddrRange::sized(start.plus(page), page), libc::PROT_NONE) }.unwrap();
        assert!(is_readable(start));
        assert!(is_readable(start.plus(page - 8)));
        assert!(!is_readable(start.plus(page)));
        assert!(!is_readable(Addr::NULL));
        assert!(!is_readable(Addr::new(8)));
        assert!(!is_readable(Addr::new(usize::MAX - 7)));
        // SAFETY: the test's own mapping.
        unsafe { memory::unmap(AddrRange::sized(start, 2 * page)) }.unwrap();
    }
}
