//! What libc tells of its thread control blocks: glibc by the symbols that it exports for libthread_db and by the loader's
//! total of static TLS; musl, and libc in a static program, by nothing but the psABI, pthread_self(3) and what lies there.

use core::ffi::CStr;

use standstill_runtime::arch;
use standstill_runtime::base::Addr;
use standstill_runtime::check;
use standstill_runtime::harvest::{Layout, libc_layout::Vector};

use crate::modules::for_each_module;
use crate::start::{has_loader, is_musl, symbol};

/// At the start of the process. dlsym(3) takes a lock that a thread holds while the constructors of a library run that it
/// opens, and they may wait for a check: so it is asked now.
pub(crate) fn start() {
    if is_musl() || !has_loader() {
        check::on_layout(layout);
    } else {
        check::set_layout(layout());
    }
}

fn layout() -> Layout {
    if is_musl() {
        return told_by_nothing(Vector::Words);
    }
    if !has_loader() {
        return told_by_nothing(Vector::Entries(16));
    }
    let rtld_global = symbol(c"_rtld_global").map_or(Addr::NULL, Addr::of);
    Layout::from_symbols(read, static_tls(), rtld_global)
}

/// With variant I the control block lies between a thread's stack and its thread pointer, so its size decides what is
/// stack. Both libraries have pthread_self(3) return its start.
fn told_by_nothing(vector: Vector) -> Layout {
    let layout = Layout::fallback(static_tls_of_modules(), vector);
    // SAFETY: has no preconditions (POSIX).
    let start = unsafe { libc::pthread_self() } as usize;
    match arch::thread_pointer().checked_sub(start) {
        Some(bytes @ 1..MOST_OF_A_BLOCK) => layout.with_control_block(bytes),
        _ => layout,
    }
}

/// No library's control block is as large.
const MOST_OF_A_BLOCK: usize = 16 << 10;

/// The thread-local storage of all modules: of the one that a static program is; with musl of those that were loaded at
/// the start, whose storage each thread has beside its control block, and of those that came later (TLS ABI, variants I, where
/// the first storage begins behind a head of two words, and II).
fn static_tls_of_modules() -> usize {
    const HEAD: usize = 2 * size_of::<usize>();
    let mut size = if arch::TLS_BELOW { 0 } else { HEAD };
    for_each_module(&mut |module| {
        if let Some((bytes, align)) = module.thread_local_storage() {
            size = if arch::TLS_BELOW {
                size + bytes.next_multiple_of(align)
            } else {
                size.next_multiple_of(align) + bytes
            };
        }
    });
    size
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
