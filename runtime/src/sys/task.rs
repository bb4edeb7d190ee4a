//! Tasks and their attributes: clone(2), unshare(2), prctl(2), prlimit(2), close_range(2), kcmp(2), tgkill(2).

use core::sync::atomic::AtomicU32;

use crate::arch;
use crate::base::{Addr, AddrRange, Errno, Tid};

use super::invoke::syscall;

/// Makes a task that shares memory (CLONE_VM), is nobody's tracee (CLONE_UNTRACED) and sends no signal when it ends.
/// `cleared` becomes 0 and is woken as a futex when it ends (CLONE_CHILD_CLEARTID). It starts with the caller's table of
/// descriptors, not with a copy.
///
/// Nothing else is shared: with CLONE_FS a set-user-ID execve of the program would lose its privilege.
///
/// # Safety
///
/// - As [`arch::clone_task`]; `cleared` lives as long as the task.
pub unsafe fn clone_helper(
    stack_top: Addr,
    cleared: &AtomicU32,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> Result<i32, Errno> {
    #[cfg(test)]
    if let Some(errno) = super::invoke::injection::take(libc::SYS_clone) {
        return Err(errno);
    }
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_UNTRACED | libc::CLONE_CHILD_CLEARTID;
    let cleared = core::ptr::from_ref(cleared).addr();
    // SAFETY: the caller's duty, passed on.
    let result = unsafe { arch::clone_task(flags as usize, stack_top.get(), cleared, entry, argument) };
    Errno::split(result).map(|pid| pid as i32)
}

/// `clone(exit_signal 0)`: a copy of the calling process, which sends no signal when it ends and is seen by no wait
/// without `__WALL`. Returns its id, and 0 in the copy, which goes on behind this call on its copy of the stack. No
/// handler of fork(2) runs.
///
/// A `sibling` is the child of the caller's parent (CLONE_PARENT), and so outlives the caller as a child of somebody.
/// It starts with the caller's own table of descriptors (CLONE_FILES): a copy would keep pipes and
/// connections open until it is given a CPU for the first time.
///
/// # Safety
///
/// - The copy makes raw system calls only, for as long as it lives: any lock may be held in it by a thread that is not.
pub unsafe fn fork(sibling: bool) -> Result<i32, Errno> {
    let parent = if sibling { libc::CLONE_PARENT } else { 0 };
    let flags = (libc::CLONE_UNTRACED | libc::CLONE_FILES | parent) as usize;
    // SAFETY: without CLONE_VM the copy has memory of its own; the rest is the caller's duty.
    unsafe { syscall(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]) }.map(|pid| pid as i32)
}

/// True when the calling task is the only one that uses its memory: no other thread, no vfork child, no vfork parent.
///
/// `unshare(CLONE_VM)` has no effect in such a process and fails with EINVAL in any other (unshare(2)): the kernel's own
/// count, which no listing can give. Other errors: a filter refuses the call, and nothing is known.
pub fn is_alone() -> Result<bool, Errno> {
    // SAFETY: changes nothing: a task whose memory is not shared has nothing to unshare.
    match unsafe { syscall(libc::SYS_unshare, [libc::CLONE_VM as usize, 0, 0, 0, 0, 0]) } {
        Ok(_) => Ok(true),
        Err(errno) if errno.get() == libc::EINVAL => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// `kcmp(pid1, pid2, KCMP_VM)`: true when the two tasks share their memory.
pub fn share_memory(one: i32, other: i32) -> Result<bool, Errno> {
    const KCMP_VM: usize = 1;
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_kcmp, [one as usize, other as usize, KCMP_VM, 0, 0, 0]) }
        .map(|order| order == 0)
}

/// `getppid()`: 0 when the parent is in another pid namespace.
pub fn parent() -> i32 {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_getppid, [0; 6]) }.map_or(0, |pid| pid as i32)
}

/// `prctl(PR_SET_PDEATHSIG, signal)`: sent to the calling task when the *thread* that made it ends.
pub fn die_with_parent(signal: i32) -> Result<(), Errno> {
    control(libc::PR_SET_PDEATHSIG, signal as usize).map(drop)
}

/// `prctl(PR_SET_PTRACER, pid)`: lets this process trace the calling one under Yama. 0 takes it back.
pub fn allow_tracer(pid: i32) -> Result<(), Errno> {
    const PR_SET_PTRACER: i32 = 0x5961_6d61;
    control(PR_SET_PTRACER, pid as usize).map(drop)
}

/// `prctl(PR_GET_DUMPABLE)`: 1 when the process may be traced by its own user.
pub fn dumpable() -> Result<usize, Errno> {
    control(libc::PR_GET_DUMPABLE, 0)
}

fn control(what: i32, argument: usize) -> Result<usize, Errno> {
    // SAFETY: the calls above take plain numbers.
    unsafe { syscall(libc::SYS_prctl, [what as usize, argument, 0, 0, 0, 0]) }
}

/// `prlimit(0, RLIMIT_CORE, {1, 1})`: no core dump of the calling process. 1 and not 0, since a core_pattern that is a
/// pipe ignores 0 (core(5)).
pub fn forbid_core() -> Result<(), Errno> {
    let limit = [1u64; 2];
    let at = limit.as_ptr().addr();
    // SAFETY: the kernel reads one rlimit64.
    unsafe { syscall(libc::SYS_prlimit64, [0, libc::RLIMIT_CORE as usize, at, 0, 0, 0]) }.map(drop)
}

/// The soft limit of RLIMIT_NOFILE: how many descriptors the calling process may have. 0 when that cannot be asked.
pub fn most_descriptors() -> usize {
    let mut limit = [0u64; 2];
    let at = limit.as_mut_ptr().addr();
    // SAFETY: the kernel writes one rlimit64, which we hold exclusively.
    let asked = unsafe { syscall(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, 0, at, 0, 0]) };
    asked.map_or(0, |_| usize::try_from(limit[0]).unwrap_or(usize::MAX))
}

/// `prlimit(0, RLIMIT_AS, {bytes, bytes})`: the calling process may map this much in all, and no more.
pub fn limit_address_space(bytes: usize) -> Result<(), Errno> {
    let limit = [bytes as u64; 2];
    let at = limit.as_ptr().addr();
    // SAFETY: the kernel reads one rlimit64.
    unsafe { syscall(libc::SYS_prlimit64, [0, libc::RLIMIT_AS as usize, at, 0, 0, 0]) }.map(drop)
}

/// `unshare(CLONE_FILES)`: a copy of the table of descriptors of the calling task's own.
pub fn unshare_descriptors() -> Result<(), Errno> {
    // SAFETY: the table that it shared stays as it is.
    unsafe { syscall(libc::SYS_unshare, [libc::CLONE_FILES as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// `close_range(0, ~0, CLOSE_RANGE_UNSHARE)`: an empty table of descriptors of the calling task's own. The table it
/// shared stays as it is.
pub fn empty_descriptors() -> Result<(), Errno> {
    let arguments = [0, u32::MAX as usize, libc::CLOSE_RANGE_UNSHARE as usize, 0, 0, 0];
    // SAFETY: after the unshare only the copy of the calling task is closed.
    unsafe { syscall(libc::SYS_close_range, arguments) }.map(drop)
}

/// As [`empty_descriptors`], but for `kept`.
pub fn empty_descriptors_but(kept: i32) -> Result<(), Errno> {
    let kept = kept as usize;
    let arguments = [kept + 1, u32::MAX as usize, libc::CLOSE_RANGE_UNSHARE as usize, 0, 0, 0];
    // SAFETY: after the unshare only the copy of the calling task is closed.
    unsafe { syscall(libc::SYS_close_range, arguments) }?;
    if kept > 0 {
        // SAFETY: the table is the calling task's own now.
        unsafe { syscall(libc::SYS_close_range, [0, kept - 1, 0, 0, 0, 0]) }?;
    }
    Ok(())
}

/// `close(fd)` by number.
pub fn close(fd: i32) {
    drop(super::file::Fd::from_raw(fd));
}

/// `tgkill(group, tid, 0)`: whether thread `tid` belongs to process `group`; sends nothing. EPERM says that it does, and
/// has other credentials.
pub fn is_thread_of(group: i32, tid: Tid) -> bool {
    // SAFETY: signal 0 only checks.
    match unsafe { syscall(libc::SYS_tgkill, [group as usize, tid.get() as usize, 0, 0, 0, 0]) } {
        Ok(_) => true,
        Err(errno) => errno.get() != libc::ESRCH,
    }
}

/// `kill(pid, signal)` for one process.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    debug_assert!(pid > 0);
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_kill, [pid as usize, signal as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `sigaltstack(NULL, old)`: the alternate signal stack of the calling task, if it has one.
pub fn alternate_stack() -> Option<AddrRange> {
    // stack_t: the address, flags in the second word, the size.
    let mut stack = [0usize; 3];
    // SAFETY: the kernel writes one stack_t, three words, which we hold exclusively.
    unsafe { syscall(libc::SYS_sigaltstack, [0, stack.as_mut_ptr().addr(), 0, 0, 0, 0]) }.ok()?;
    let [start, flags, len] = stack;
    let disabled = flags as u32 & libc::SS_DISABLE as u32 != 0;
    (!disabled && len > 0).then_some(AddrRange::sized(Addr::new(start), len))
}

/// `sigaltstack({start, len})` for the calling task.
pub fn signal_stack(start: Addr, len: usize) -> Result<(), Errno> {
    // stack_t: ss_sp, ss_flags, ss_size.
    let stack = [start.get(), 0, len];
    // SAFETY: the kernel reads one stack_t; whoever runs handlers on it owns the memory.
    unsafe { syscall(libc::SYS_sigaltstack, [stack.as_ptr().addr(), 0, 0, 0, 0, 0]) }.map(drop)
}

/// `pidfd_open(pid, 0)`: a descriptor that becomes readable when process `pid` has ended. Linux 5.3.
pub fn open_process(pid: i32) -> Result<super::file::Fd, Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall(libc::SYS_pidfd_open, [pid as usize, 0, 0, 0, 0, 0]) }
        .map(|fd| super::file::Fd::from_raw(fd as i32))
}

/// The number of links of an open directory, by fstat(2): in `/proc/PID/task` two more than the process has tasks.
pub fn links(directory: &super::file::Fd) -> Result<usize, Errno> {
    links_at(directory.raw(), c"", libc::AT_EMPTY_PATH)
}

/// As [`links`], by the directory's path and without a descriptor.
pub fn links_of(path: &core::ffi::CStr) -> Result<usize, Errno> {
    links_at(libc::AT_FDCWD, path, 0)
}

fn links_at(directory: i32, path: &core::ffi::CStr, flags: i32) -> Result<usize, Errno> {
    // SAFETY: a structure of plain numbers, for which zero is a value.
    let mut status: libc::stat = unsafe { core::mem::zeroed() };
    let at = core::ptr::from_mut(&mut status).addr();
    let arguments = [directory as usize, path.as_ptr().addr(), at, flags as usize, 0, 0];
    // SAFETY: the kernel reads a C string and writes one struct stat, which on 64-bit systems libc and kernel lay out
    // alike (stat(2)).
    unsafe { syscall(libc::SYS_newfstatat, arguments) }?;
    Ok(status.st_nlink as usize)
}

/// The most CPUs that a kernel can be built for.
const MOST_CPUS: usize = 8192;

/// `sched_getaffinity(0)`: how many CPUs the calling task may use; 1 when the kernel does not say.
pub fn usable_cpus() -> usize {
    let mut set = [0u64; MOST_CPUS / 64];
    let (bytes, at) = (size_of_val(&set), set.as_mut_ptr().addr());
    // SAFETY: the kernel writes at most `bytes` bytes to words that we hold exclusively.
    match unsafe { syscall(libc::SYS_sched_getaffinity, [0, bytes, at, 0, 0, 0]) } {
        Ok(_) => set.iter().map(|word| word.count_ones() as usize).sum::<usize>().max(1),
        Err(_) => 1,
    }
}

/// Runs on each CPU that the calling task can get, one after the other, by sched_setaffinity(2): whoever else ran there was
/// switched out meanwhile. It may use the last one only from then on. False when there was none.
pub fn visit_every_cpu() -> bool {
    let mut set = [0u64; MOST_CPUS / 64];
    let (bytes, at) = (size_of_val(&set), set.as_mut_ptr().addr());
    // SAFETY: the kernel writes at most `bytes` bytes to words that we hold exclusively.
    let asked = unsafe { syscall(libc::SYS_sched_getaffinity, [0, bytes, at, 0, 0, 0]) };
    // The size of the kernel's own set (sched_getaffinity(2), "C library/kernel differences").
    let Ok(bytes) = asked else { return false };
    let mut visited = false;
    for cpu in 0..(bytes * 8).min(MOST_CPUS) {
        set.fill(0);
        if let Some(word) = set.get_mut(cpu / 64) {
            *word = 1 << (cpu % 64);
        }
        let at = set.as_ptr().addr();
        // SAFETY: the kernel reads `bytes` bytes of our array. It refuses a CPU that is not there or not for us.
        visited |= unsafe { syscall(libc::SYS_sched_setaffinity, [0, bytes, at, 0, 0, 0]) }.is_ok();
    }
    visited
}

/// `prctl(PR_GET_SECCOMP)`: 2 when a filter is in force.
pub fn seccomp_mode() -> usize {
    control(libc::PR_GET_SECCOMP, 0).unwrap_or(0)
}
