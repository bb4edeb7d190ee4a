//! What the heap holds, as glibc's functions tell it: mallinfo(3), malloc_stats(3), malloc_info(3).
//!
//! A static program that calls one of them would otherwise get glibc's malloc.o, and with it a second malloc: no link.

use core::ffi::{c_int, c_void};

use standstill_runtime::base::text::Text;
use standstill_runtime::heap;
use standstill_runtime::sys::file;

unsafe extern "C" {
    fn fwrite(bytes: *const c_void, size: usize, count: usize, stream: *mut c_void) -> usize;
}

/// mallinfo2(3): `arena`, `uordblks`, `fordblks`, `hblks` and `hblkhd` are filled, the rest is 0.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let statistics = heap::statistics();
    // SAFETY: a structure of integers.
    let mut info: libc::mallinfo2 = unsafe { core::mem::zeroed() };
    info.arena = statistics.small_mapped;
    info.uordblks = statistics.in_use;
    info.fordblks = statistics.small_mapped.saturating_sub(statistics.in_use);
    info.hblks = statistics.large_blocks;
    info.hblkhd = statistics.large_mapped;
    info
}

/// mallinfo(3): as [`mallinfo2`], in ints that stop at their largest value.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let wide = mallinfo2();
    let narrow = |value: usize| c_int::try_from(value).unwrap_or(c_int::MAX);
    // SAFETY: a structure of integers.
    let mut info: libc::mallinfo = unsafe { core::mem::zeroed() };
    info.arena = narrow(wide.arena);
    info.uordblks = narrow(wide.uordblks);
    info.fordblks = narrow(wide.fordblks);
    info.hblks = narrow(wide.hblks);
    info.hblkhd = narrow(wide.hblkhd);
    info
}

/// malloc_stats(3): to standard error, in glibc's form, the heap as one arena. The largest values so far are not known.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    let now = heap::statistics();
    let small = format_args!(
        "Arena 0:\nsystem bytes     = {:10}\nin use bytes     = {:10}\n",
        now.small_mapped, now.in_use
    );
    let all = format_args!(
        "Total (incl. mmap):\nsystem bytes     = {:10}\nin use bytes     = {:10}\n",
        now.small_mapped + now.large_mapped,
        now.in_use + now.large_mapped
    );
    let text = Text::<512>::of(format_args!(
        "{small}{all}mmap regions     = {:10}\nmmap bytes       = {:10}\n",
        now.large_blocks, now.large_mapped
    ));
    // As in C, nobody hears of an error.
    let _ = file::write_all(2, text.as_bytes());
}

/// malloc_info(3): glibc's elements that have a meaning here. `options` must be 0, or EINVAL is the result.
///
/// # Safety
///
/// As in C: `stream` is open for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    let now = heap::statistics();
    let text = Text::<512>::of(format_args!(
        "<malloc version=\"1\">\n<total type=\"rest\" size=\"{}\"/>\n<total type=\"mmap\" count=\"{}\" size=\"{}\"/>\n\
         <system type=\"current\" size=\"{}\"/>\n</malloc>\n",
        now.small_mapped.saturating_sub(now.in_use),
        now.large_blocks,
        now.large_mapped,
        now.small_mapped + now.large_mapped,
    ));
    let bytes = text.as_bytes();
    // SAFETY: fwrite(3) of our bytes to the caller's stream.
    unsafe { fwrite(bytes.as_ptr().cast(), 1, bytes.len(), stream) };
    0
}
