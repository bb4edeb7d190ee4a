//! The start: once, before the program's own code where the platform allows it.
//!
//! The static library starts from `.preinit_array`, which ld.so (and glibc's static start) runs before the constructors
//! of all libraries; the shared library from `.init_array`, since preinit functions belong to the executable alone
//! (ELF gABI). Both sections are in one object, of which the link of the shared library drops the first (shared.ld); a
//! second call does nothing. musl knows no preinit and passes no arguments.
//!
//! Allocations come before it (libc's and other libraries' constructors) and work with default options.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::AcqRel};

use standstill_runtime::base::Addr;
use standstill_runtime::init::{self, Environment};
use standstill_runtime::sys::{file, signals};
use standstill_runtime::{check, report};

use crate::weak::weak;
use crate::{layout, malloc, misuse, modules, next, process, thread_dump};

unsafe extern "C" {
    static environ: *const *const c_char;
    fn getauxval(kind: usize) -> usize;
}

weak!(/// What the program says of its own options, as for LSan.
    default_options: unsafe extern "C" fn() -> *const c_char = "__lsan_default_options");

weak!(/// In each dynamic program with glibc.
    version_of_glibc: unsafe extern "C" fn() -> *const c_char = "gnu_get_libc_version");

type Initializer = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
#[unsafe(link_section = ".preinit_array")]
static PREINIT: Initializer = start;

#[used]
#[unsafe(link_section = ".init_array")]
static INIT: Initializer = start;

static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the runtime; later calls do nothing.
pub(crate) extern "C" fn start(_argc: c_int, _argv: *const *const c_char, envp: *const *const c_char) {
    if STARTED.swap(true, AcqRel) {
        return;
    }
    // musl passes no arguments to initializers: the registers hold anything (do_init_fini).
    let envp = if is_musl() { core::ptr::null() } else { envp };
    // SAFETY: getauxval(3) only looks in the auxiliary vector.
    let secure = unsafe { getauxval(libc::AT_SECURE as usize) } != 0;
    let environment = Environment {
        secure,
        default_options: program_options(),
        lsan_options: variable(envp, b"LSAN_OPTIONS"),
        standstill_options: variable(envp, b"STANDSTILL_OPTIONS"),
        // SAFETY: as above.
        on_first_stack: Addr::new(unsafe { getauxval(libc::AT_RANDOM as usize) }),
    };
    init::start(&environment, &mut |line| {
        let _ = file::write_all(2, line.as_bytes());
        let _ = file::write_all(2, b"\n");
    });
    // The command prints it itself, once.
    if init::options().help && init::options().report_dir.as_str().is_empty() {
        init::options::help(&mut |text| {
            let _ = file::write_all(2, text.as_bytes());
        });
    }
    if is_musl() {
        signals::set_libc_internal(signals::SIGSYNCCALL);
    }
    next::resolve();
    modules::start();
    malloc::start();
    crate::resources::start();
    crate::mappings::start();
    misuse::start();
    layout::start();
    check::on_turned_off(turned_off);
    check::on_default_suppressions(program_suppressions);
    report::announce(init::options());
    process::start();
    thread_dump::start();
}

fn program_options() -> Option<&'static [u8]> {
    // SAFETY: the program's own function, which LSan's interface says returns a C string that lives on, or null.
    let text = default_options().map(|ask| unsafe { ask() })?;
    // SAFETY: as above.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

weak!(/// Whether the program wants no checks, as for LSan.
    is_turned_off: unsafe extern "C" fn() -> c_int = "__lsan_is_turned_off");
weak!(/// The program's own suppressions, as for LSan.
    default_suppressions: unsafe extern "C" fn() -> *const c_char = "__lsan_default_suppressions");

fn turned_off() -> bool {
    // SAFETY: the program's own function.
    is_turned_off().is_some_and(|ask| unsafe { ask() } != 0)
}

fn program_suppressions() -> Option<&'static [u8]> {
    // SAFETY: the program's own function, which LSan's interface says returns a C string that lives on, or null.
    let text = default_suppressions().map(|ask| unsafe { ask() })?;
    // SAFETY: as above.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// The value of an environment variable. The list given to the initializer is preferred: a constructor that ran before
/// may have changed libc's. musl gives none.
fn variable(envp: *const *const c_char, name: &[u8]) -> Option<&'static [u8]> {
    let mut at = if envp.is_null() { environment() } else { envp };
    if at.is_null() {
        return None;
    }
    loop {
        // SAFETY: the list ends with a null pointer (environ(7)), at which we stop.
        let entry = unsafe { *at };
        if entry.is_null() {
            return None;
        }
        // SAFETY: entries are C strings that live as long as the process, unless the program rewrites them later.
        let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
        if let Some(value) = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
            return Some(value);
        }
        // SAFETY: not yet at the end.
        at = unsafe { at.add(1) };
    }
}

/// libc's list of environment strings; null very early.
fn environment() -> *const *const c_char {
    // SAFETY: libc's own variable, read at the start or on the program's word that nobody changes it (environ(7)).
    unsafe { environ }
}

/// dlsym(RTLD_DEFAULT, name), where there is a loader.
pub(crate) fn symbol(name: &CStr) -> Option<*const c_void> {
    lookup(core::ptr::null_mut(), name)
}

/// dlsym(RTLD_NEXT, name): the definition that ours stands before.
pub(crate) fn next_symbol(name: &CStr) -> Option<*const c_void> {
    lookup(libc::RTLD_NEXT, name)
}

/// dlvsym(RTLD_NEXT, name, version), where there are versions.
pub(crate) fn next_symbol_of(name: &CStr, version: &CStr) -> Option<*const c_void> {
    if !has_loader() {
        return None;
    }
    // SAFETY: dlvsym(3) with a pseudo-handle and C strings.
    let found = dlvsym().map(|find| unsafe { find(libc::RTLD_NEXT, name.as_ptr(), version.as_ptr()) })?;
    (!found.is_null()).then_some(found.cast_const())
}

weak!(/// dlvsym(3). In glibc only.
    dlvsym: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_void = "dlvsym");
weak!(/// dlsym(3). Absent in most static programs.
    dlsym: unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void = "dlsym");
weak!(/// The dynamic section of the module that we are in: pairs of a tag and a value (ELF gABI, chapter 5).
    dynamic_section: *const [usize; 2] = "_DYNAMIC");

/// Whether a loader has put this process together: our own module needs others. A static program may have dlsym all the
/// same (libc's own use of iconv brings it), but it finds nothing, and what it has to say of that it keeps in memory that
/// it allocates.
pub(crate) fn has_loader() -> bool {
    const DT_NULL: usize = 0;
    const DT_NEEDED: usize = 1;
    let Some(mut at) = dynamic_section() else { return false };
    loop {
        // SAFETY: the section ends with DT_NULL, at which we stop.
        match unsafe { *at } {
            [DT_NULL, _] => return false,
            [DT_NEEDED, _] => return true,
            // SAFETY: not yet at the end.
            _ => at = unsafe { at.add(1) },
        }
    }
}

weak!(/// A function inside musl that exit(3) calls: in each static program, and not to be seen in a dynamic one.
    end_of_musl: unsafe extern "C" fn() = "__libc_exit_fini");

/// Whether the C library is musl.
pub(crate) fn is_musl() -> bool {
    if has_loader() { version_of_glibc().is_none() } else { end_of_musl().is_some() }
}

fn lookup(handle: *mut c_void, name: &CStr) -> Option<*const c_void> {
    if !has_loader() {
        return None;
    }
    // SAFETY: dlsym(3) with one of its two pseudo-handles and a C string.
    let found = dlsym().map(|find| unsafe { find(handle, name.as_ptr()) })?;
    (!found.is_null()).then_some(found.cast_const())
}
