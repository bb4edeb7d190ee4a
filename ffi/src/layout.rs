//! What libc tells of its thread control blocks: the symbols that it exports for libthread_db, and the loader's total
//! of static TLS.

use core::ffi::CStr;

use standstill_runtime::base::Addr;
use standstill_runtime::check;
use standstill_runtime::harvest::Layout;

use crate::start::symbol;

/// At the start of the process.
pub(crate) fn start() {
    check::on_layout(layout);
}

fn layout() -> Layout {
    let rtld_global = symbol(c"_rtld_global").map_or(Addr::NULL, Addr::of);
    Layout::from_symbols(read, static_tls(), rtld_global)
}

fn read(name: &CStr, words: &mut [u32]) -> bool {
    let Some(symbol) = symbol(name) else { return false };
    for (index, word) in words.iter_mut().enumerate() {
        // SAFETY: symbols `_thread_db_*` are arrays of as many words as the reader asks for (nptl_db/structs.def).
        *word = unsafe { symbol.cast::<u32>().add(index).read() };
    }
    true
}

/// Bytes of static TLS of a thread, the control block included; 0 where the loader does not tell.
fn static_tls() -> usize {
    type StaticInfo = unsafe extern "C" fn(*mut usize, *mut usize);
    let Some(ask) = symbol(c"_dl_get_tls_static_info") else { return 0 };
    // SAFETY: exported by glibc's ld.so for sanitizers and libthread_db, with this type on 64-bit machines.
    let ask = unsafe { core::mem::transmute::<*const core::ffi::c_void, StaticInfo>(ask) };
    let (mut size, mut align) = (0, 0);
    // SAFETY: two places for two sizes.
    unsafe { ask(&raw mut size, &raw mut align) };
    size
}
