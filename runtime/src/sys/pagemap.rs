//! Presence of pages: ioctl(PAGEMAP_SCAN), /proc/PID/pagemap, mincore(2); and whether anything is swapped: sysinfo(2).

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::base::{Addr, AddrRange, Errno};

use super::file::{self, Fd};
use super::invoke::syscall;

/// Categories of a page (include/uapi/linux/fs.h, PAGE_IS_*).
pub mod category {
    /// Of a file or of shared memory.
    pub const FILE: u64 = 1 << 2;
    /// In memory.
    pub const PRESENT: u64 = 1 << 3;
    /// In swap.
    pub const SWAPPED: u64 = 1 << 4;
    /// The page of zeros that all never-written pages share.
    pub const ZERO: u64 = 1 << 5;
    /// A guard (MADV_GUARD_INSTALL), which is "swapped" as well; Linux 6.16.
    pub const GUARD: u64 = 1 << 8;
}

/// `struct page_region`: neighbouring pages of equal categories.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct PageRegion {
    /// First address.
    pub start: u64,
    /// First address behind.
    pub end: u64,
    /// [`category`] bits.
    pub categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

static_assertions::const_assert_eq!(size_of::<ScanArgument>(), 96);
static_assertions::const_assert_eq!(size_of::<PageRegion>(), 24);

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// The kernel has refused the category of guards: it is older.
static NO_GUARDS: AtomicBool = AtomicBool::new(false);

/// Whether [`scan`] leaves guards out, as far as it was tried.
pub fn tells_guards() -> bool {
    !NO_GUARDS.load(Relaxed)
}

/// `ioctl(pagemap, PAGEMAP_SCAN, …)`: pages of `range` that are present or swapped and neither the shared page of zeros nor
/// a guard, as far as the kernel tells guards apart. Returns how many regions it wrote; as many as fit say that there may be more behind the last (`walk_end` is not
/// reliable). Linux 6.7; before it ENOTTY. PAGEMAP_SCAN(2const).
pub fn scan(pagemap: &Fd, range: AddrRange, into: &mut [PageRegion]) -> Result<usize, Errno> {
    if tells_guards() {
        match scan_without(category::ZERO | category::GUARD, pagemap, range, into) {
            Err(errno) if errno.get() == libc::EINVAL => NO_GUARDS.store(true, Relaxed),
            result => return result,
        }
    }
    scan_without(category::ZERO, pagemap, range, into)
}

fn scan_without(
    left_out: u64,
    pagemap: &Fd,
    range: AddrRange,
    into: &mut [PageRegion],
) -> Result<usize, Errno> {
    use category::{FILE, PRESENT, SWAPPED};
    let mut argument = ScanArgument {
        size: size_of::<ScanArgument>() as u64,
        flags: 0,
        start: range.start.get() as u64,
        end: range.end.get() as u64,
        walk_end: 0,
        vec: into.as_mut_ptr().addr() as u64,
        vec_len: into.len() as u64,
        max_pages: 0,
        category_inverted: left_out,
        category_mask: left_out,
        category_anyof_mask: PRESENT | SWAPPED,
        return_mask: FILE | PRESENT | SWAPPED,
    };
    // SAFETY: the kernel writes the argument and at most vec_len regions, both of which we hold exclusively.
    unsafe { file::control(pagemap, PAGEMAP_SCAN, core::ptr::from_mut(&mut argument).addr()) }
}

/// One page in /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct PageEntry(u64);

impl PageEntry {
    /// In memory or in swap, and not a guard.
    pub fn holds_something(self) -> bool {
        const GUARD: u64 = 1 << 58;
        self.0 & (1 << 63 | 1 << 62) != 0 && self.0 & GUARD == 0
    }

    /// Of a file or of shared memory.
    pub fn is_file(self) -> bool {
        self.0 & 1 << 61 != 0
    }
}

/// `pread(pagemap, …)`: the entries of the pages from `start` on. Returns how many.
pub fn entries(pagemap: &Fd, start: Addr, into: &mut [PageEntry]) -> Result<usize, Errno> {
    let bytes = size_of_val(into);
    let offset = start.get() / crate::arch::page_size() * size_of::<PageEntry>();
    // SAFETY: pread(2) writes at most `bytes` bytes to entries that we hold exclusively; any bits make an entry.
    unsafe {
        syscall(libc::SYS_pread64, [pagemap.raw() as usize, into.as_mut_ptr().addr(), bytes, offset, 0, 0])
    }
    .map(|got| got / size_of::<PageEntry>())
}

/// `mincore(range, into)`: one byte a page, bit 0 set when it is in memory. `into` must be as long as `range` has pages.
pub fn in_core(range: AddrRange, into: &mut [u8]) -> Result<(), Errno> {
    if into.len() < range.len().div_ceil(crate::arch::page_size()) {
        return Err(Errno::new(libc::EINVAL));
    }
    let arguments = [range.start.get(), range.len(), into.as_mut_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel writes a byte a page, for which there is room, to a buffer that we hold exclusively.
    unsafe { syscall(libc::SYS_mincore, arguments) }.map(drop)
}

/// `sysinfo()`: false when no page of any process can be in swap.
pub fn may_be_swapped() -> bool {
    // SAFETY: sysinfo is plain data, for which zero is a value.
    let mut info: libc::sysinfo = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes one struct sysinfo, which we hold exclusively.
    match unsafe { syscall(libc::SYS_sysinfo, [core::ptr::from_mut(&mut info).addr(), 0, 0, 0, 0, 0]) } {
        Ok(_) => info.totalswap != info.freeswap,
        Err(_) => true,
    }
}
