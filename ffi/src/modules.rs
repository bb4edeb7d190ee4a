//! Modules come and go: what the unwinder and the report must know of dlopen(3) and dlclose(3).
//!
//! dlopen loses one flag and is then jumped to, not called: it looks at its caller to find libraries (RUNPATH,
//! `$ORIGIN`), and would find us. A module that was opened is entered at the next dlclose or check; with musl at once.

use core::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use standstill_runtime::trace::modules::Loaded;
use standstill_runtime::trace::{self, find_object::FindObject};
use standstill_runtime::{check, init};

use crate::start::{has_loader, is_musl, next_symbol};
use crate::weak::weak;

weak!(/// glibc's lock-free way from a pc to its unwind table (2.35 and later).
    find_object: FindObject = "_dl_find_object");

type Visit = unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int;

struct Each<'a> {
    each: &'a mut dyn FnMut(&Loaded<'_>),
    /// None was visited yet. The program is the first.
    first: bool,
}

unsafe extern "C" {
    fn dl_iterate_phdr(visit: Visit, data: *mut c_void) -> c_int;
}

/// At the start of the process.
pub(crate) fn start() {
    trace::init(&trace::Setup {
        depth: init::options().malloc_context_size as usize,
        find_object: finder(),
        program_headers: auxiliary(libc::AT_PHDR),
        // The random bytes that the kernel lays beside the environment are above all frames of the main thread. The
        // environment itself will not do: libc has not heard of it when a library's first constructor runs, and a program may
        // have moved it.
        main_stack_top: auxiliary(libc::AT_RANDOM),
        depot_bytes: usize::MAX,
        stack_every: init::options().stack_every as usize,
        replay: if init::options().verify_stacks { trace::Mode::Verify } else { trace::Mode::Use },
    });
    check::on_module_update(update_without_lock);
    if finder().is_none() {
        // The unwinder has nothing else to ask. Otherwise most programs never need the list.
        update();
    }
}

/// An entry of the auxiliary vector (getauxval(3)), 0 where it is missing.
fn auxiliary(kind: c_ulong) -> usize {
    unsafe extern "C" {
        fn getauxval(kind: usize) -> usize;
    }
    // SAFETY: getauxval(3) only looks in the auxiliary vector.
    unsafe { getauxval(kind as usize) }
}

/// Who finds the unwind table of a pc. In a static program libc's function knows of no table, or not of the program; the
/// list has one entry there.
fn finder() -> Option<FindObject> {
    find_object().filter(|_| has_loader())
}

/// Enters the modules that are loaded now. Takes the loader's lock.
fn update() {
    trace::modules::update(|each| {
        for_each_module(each);
        true
    });
}

/// Enters the modules that are loaded now, for a check. The holder of the loader's lock may wait for the thread that asks
/// (a callback of dl_iterate_phdr(3) may), or be a thread that did not come along by fork.
/// Where that lock can be done without it is.
pub(crate) fn update_without_lock() {
    if finder().is_none() {
        return update();
    }
    let own = update_without_lock as *const () as usize;
    let mut had_any = false;
    trace::modules::update(|each| {
        trace::for_each_image(own, &mut |loaded| {
            had_any = true;
            each(loaded);
        })
    });
    if !had_any {
        // A sandbox refuses to read the list so.
        update();
    }
}

/// Calls `each` for every module that is loaded now. Takes the loader's lock.
pub(crate) fn for_each_module(each: &mut dyn FnMut(&Loaded<'_>)) {
    let mut each = Each { each, first: true };
    // SAFETY: dl_iterate_phdr(3) hands `visit` what it was given, while `each` lives.
    unsafe { dl_iterate_phdr(visit, (&raw mut each).cast()) };
}

unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, each: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr(3) passes a valid structure and the pointer that `update` gave.
    let (info, each) = unsafe { (&*info, &mut *each.cast::<Each<'_>>()) };
    let name = if info.dlpi_name.is_null() {
        c""
    } else {
        // SAFETY: the loader's own C string.
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    // musl names the program as it was started, which may lead nowhere, glibc not at all.
    let name = if core::mem::take(&mut each.first) { &[] } else { name.to_bytes() };
    // SAFETY: the loader's own table of this module, which stays mapped while the loader's lock is held.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    // SAFETY: as above.
    (each.each)(&unsafe { Loaded::new(name, info.dlpi_addr as usize, headers) });
    0
}

/// dlclose(3): remembers what is loaded, closes, and lets the unwinder forget what is gone.
#[unsafe(no_mangle)]
pub extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    let Some(real) = next_symbol(c"dlclose") else {
        // A static program: the library stays open, which no program can tell from another handle on it.
        return 0;
    };
    update();
    // SAFETY: the C library's dlclose, of this type.
    let real =
        unsafe { core::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(real) };
    // SAFETY: the caller's handle, passed on.
    let result = unsafe { real(handle) };
    update();
    result
}

/// Exports `$name`, which clears RTLD_DEEPBIND in the flags and goes on in the C library's function of that name.
///
/// A module opened with that flag finds libc's malloc before ours, and frees there what others allocated here: a crash
/// in every program that does it (php opens its extensions so). Without the flag it finds what a module finds by default.
macro_rules! without_deepbind {
    ($(#[$doc:meta])* $name:ident, flags in $flags:literal or $flags_aarch64:literal, kept in $real:ident,
     found by $find:ident = $symbol:literal, called by $instead:expr) => {
        static $real: AtomicUsize = AtomicUsize::new(0);

        extern "C" fn $find() -> usize {
            let found = next_symbol($symbol).map_or(none_there as *const () as usize, |real| real.addr());
            let found = $instead(found);
            $real.store(found, Relaxed);
            found
        }

        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        #[cfg(target_arch = "x86_64")]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                concat!("and ", $flags, ", {kept_flags}"),
                "mov rax, qword ptr [rip + {real}]",
                "test rax, rax",
                "jz 2f",
                "jmp rax",
                "2:",
                // The three arguments live in registers that a call may change (psABI 3.2.1).
                "push rdi", ".cfi_adjust_cfa_offset 8",
                "push rsi", ".cfi_adjust_cfa_offset 8",
                "push rdx", ".cfi_adjust_cfa_offset 8",
                "call {find}",
                "pop rdx", ".cfi_adjust_cfa_offset -8",
                "pop rsi", ".cfi_adjust_cfa_offset -8",
                "pop rdi", ".cfi_adjust_cfa_offset -8",
                "jmp rax",
                ".cfi_endproc",
                kept_flags = const !libc::RTLD_DEEPBIND,
                real = sym $real,
                find = sym $find,
            )
        }

        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        #[cfg(target_arch = "aarch64")]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                concat!("and ", $flags_aarch64, ", ", $flags_aarch64, ", #{kept_flags}"),
                "adrp x16, {real}",
                "ldr x16, [x16, :lo12:{real}]",
                "cbz x16, 2f",
                "br x16",
                "2:",
                // The three arguments live in registers that a call may change (AAPCS64, 6.1.1).
                "stp x29, x30, [sp, #-48]!", ".cfi_adjust_cfa_offset 48",
                ".cfi_rel_offset x29, 0", ".cfi_rel_offset x30, 8",
                "mov x29, sp",
                "stp x0, x1, [sp, #16]",
                "str x2, [sp, #32]",
                "bl {find}",
                "mov x16, x0",
                "ldp x0, x1, [sp, #16]",
                "ldr x2, [sp, #32]",
                "ldp x29, x30, [sp], #48", ".cfi_adjust_cfa_offset -48",
                ".cfi_restore x29", ".cfi_restore x30",
                "br x16",
                ".cfi_endproc",
                kept_flags = const !libc::RTLD_DEEPBIND,
                real = sym $real,
                find = sym $find,
            )
        }
    };
}

without_deepbind!(/// dlopen(3) without RTLD_DEEPBIND.
    dlopen, flags in "esi" or "w1", kept in REAL_DLOPEN, found by find_dlopen = c"dlopen",
    called by noted);
without_deepbind!(/// dlmopen(3) without RTLD_DEEPBIND.
    dlmopen, flags in "edx" or "w2", kept in REAL_DLMOPEN, found by find_dlmopen = c"dlmopen",
    called by core::convert::identity);

type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

static DLOPEN_OF_MUSL: AtomicUsize = AtomicUsize::new(0);

/// The function to call for the dlopen at `real`. musl's does not look at its caller, and the unwinder has only our list to
/// ask: there the module is entered at once.
fn noted(real: usize) -> usize {
    if !is_musl() || !has_loader() {
        return real;
    }
    DLOPEN_OF_MUSL.store(real, Relaxed);
    open_noted as *const () as usize
}

unsafe extern "C" fn open_noted(path: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: `noted` has stored dlopen's address.
    let real = unsafe { core::mem::transmute::<usize, Open>(DLOPEN_OF_MUSL.load(Relaxed)) };
    // SAFETY: the caller's arguments, passed on.
    let handle = unsafe { real(path, flags) };
    update();
    handle
}

/// In place of a function that this libc does not have: no module can be opened.
extern "C" fn none_there() -> *mut c_void {
    core::ptr::null_mut()
}
