//! Memory: mmap(2), munmap(2), mremap(2), mprotect(2), madvise(2).

use crate::base::{Addr, AddrRange, Errno};

use super::invoke::syscall;

/// `mmap(hint, len, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)`: new zeroed memory.
///
/// `len` in bytes, rounded up to pages by the kernel. `hint` is only a wish.
pub fn map_anonymous(hint: Addr, len: usize, prot: libc::c_int, flags: libc::c_int) -> Result<Addr, Errno> {
    assert_no_fixed(flags);
    let flags = (flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    // SAFETY: without MAP_FIXED a new mapping never touches memory that is in use (mmap(2)).
    unsafe { syscall(libc::SYS_mmap, [hint.get(), len, prot as usize, flags, usize::MAX, 0]) }.map(Addr::new)
}

/// `mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)`: new zeroed memory that
/// a forked child shares with the caller. Pages that are never touched cost address space only.
pub fn map_shared(len: usize) -> Result<Addr, Errno> {
    let prot = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    // SAFETY: without MAP_FIXED a new mapping never touches memory that is in use (mmap(2)).
    unsafe { syscall(libc::SYS_mmap, [0, len, prot, flags, usize::MAX, 0]) }.map(Addr::new)
}

/// `mmap(range, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)`: zeroed memory in
/// place of whatever is there.
///
/// # Safety
///
/// - Nobody in this address space needs what is there.
pub unsafe fn map_over(range: AddrRange) -> Result<(), Errno> {
    let prot = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED) as usize;
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_mmap, [range.start.get(), range.len(), prot, flags, usize::MAX, 0]) }.map(drop)
}

const fn assert_no_fixed(flags: libc::c_int) {
    debug_assert!(flags & libc::MAP_FIXED == 0);
}

/// `munmap(start, len)`.
///
/// # Safety
///
/// - The range belongs to the caller, and nobody uses it any more.
pub unsafe fn unmap(range: AddrRange) -> Result<(), Errno> {
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_munmap, [range.start.get(), range.len(), 0, 0, 0, 0]) }.map(drop)
}

/// `mremap(old, old_len, new_len, flags)`.
///
/// # Safety
///
/// - The old range belongs to the caller; with MREMAP_MAYMOVE nobody keeps a pointer into it.
pub unsafe fn remap(old: AddrRange, new_len: usize, flags: libc::c_int) -> Result<Addr, Errno> {
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_mremap, [old.start.get(), old.len(), new_len, flags as usize, 0, 0]) }
        .map(Addr::new)
}

/// `mremap(old, old_len, new_len, MREMAP_MAYMOVE | MREMAP_FIXED, to)`: moves a mapping to `to`, over what is there.
///
/// # Safety
///
/// - Both ranges belong to the caller, and nobody keeps a pointer into either.
pub unsafe fn remap_to(old: AddrRange, new_len: usize, to: Addr) -> Result<Addr, Errno> {
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_mremap, [old.start.get(), old.len(), new_len, flags, to.get(), 0]) }
        .map(Addr::new)
}

/// `mprotect(start, len, prot)`.
///
/// # Safety
///
/// - The range belongs to the caller, who expects the accesses that it makes afterwards to obey `prot`.
pub unsafe fn protect(range: AddrRange, prot: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_mprotect, [range.start.get(), range.len(), prot as usize, 0, 0, 0]) }.map(drop)
}

/// `madvise(start, len, advice)`.
///
/// # Safety
///
/// - The range belongs to the caller; with advice that drops contents (MADV_DONTNEED, MADV_FREE) nobody needs them.
pub unsafe fn advise(range: AddrRange, advice: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the caller's duty, passed on.
    unsafe { syscall(libc::SYS_madvise, [range.start.get(), range.len(), advice as usize, 0, 0, 0]) }
        .map(drop)
}

/// `process_vm_readv` of the process itself: copies from address `from` on, whatever is or is not mapped there. Returns the
/// bytes read. Takes no descriptor, which another thread could see.
pub fn read_own(from: Addr, into: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote =
        libc::iovec { iov_base: core::ptr::with_exposed_provenance_mut(from.get()), iov_len: into.len() };
    let [local, remote] = [&local, &remote].map(|vector| core::ptr::from_ref(vector).addr());
    let pid = super::process::pid() as usize;
    // SAFETY: both vectors live through the call; the kernel writes to a buffer that we hold exclusively, and checks what it
    // reads.
    unsafe { syscall(libc::SYS_process_vm_readv, [pid, local, 1, remote, 1, 0]) }
}

/// Whether anything is mapped in `range`, whole pages: by an `mmap(range, PROT_NONE, MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)` that
/// says neither MAP_SHARED nor MAP_PRIVATE, and so never maps. The kernel looks at the addresses first, EEXIST, then whether so
/// much may be locked where the program has asked for all to be (EAGAIN), and at the kind last, EINVAL (mm/mmap.c, do_mmap).
/// Before Linux 4.19 it sees what is mapped at the beginning of `range` alone.
pub fn is_anything_mapped(range: AddrRange) -> Result<bool, Errno> {
    let flags = (libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as usize;
    let prot = libc::PROT_NONE as usize;
    // SAFETY: maps nothing, and MAP_FIXED_NOREPLACE would touch nothing that is in use.
    match unsafe { syscall(libc::SYS_mmap, [range.start.get(), range.len(), prot, flags, usize::MAX, 0]) } {
        Err(errno) if errno.get() == libc::EEXIST => Ok(true),
        Err(errno) if matches!(errno.get(), libc::EINVAL | libc::EAGAIN) => Ok(false),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::new(libc::ENOSYS)),
    }
}

/// `msync(range, MS_ASYNC)`, which only looks (mm/msync.c): whether something is mapped everywhere in `range`, whole pages.
pub fn is_mapped_throughout(range: AddrRange) -> Result<bool, Errno> {
    // SAFETY: with MS_ASYNC nothing is written or dropped.
    match unsafe {
        syscall(libc::SYS_msync, [range.start.get(), range.len(), libc::MS_ASYNC as usize, 0, 0, 0])
    } {
        Ok(_) => Ok(true),
        Err(errno) if errno.get() == libc::ENOMEM => Ok(false),
        Err(errno) => Err(errno),
    }
}
