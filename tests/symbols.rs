//! What leaves the libraries: exactly the names of ffi/exports.txt (and of ffi/exports-shared.txt), and nothing that would break a preload.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::library::library;

fn lines_of(command: &mut Command) -> Vec<String> {
    let out = command.output().expect("binutils are there where a C compiler is");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_shared_library_exports_what_is_listed() {
    let listing = lines_of(Command::new("nm").args(["-D", "--defined-only"]).arg(&library().shared));
    let exported: BTreeSet<&str> = listing.iter().filter_map(|line| line.split_whitespace().last()).collect();
    let (both, shared) = (support::exports(), support::shared_exports());
    let listed: BTreeSet<&str> = both.iter().chain(&shared).map(String::as_str).collect();
    let extra: Vec<_> = exported.difference(&listed).collect();
    let missing: Vec<_> = listed.difference(&exported).collect();
    assert!(
        extra.is_empty() && missing.is_empty(),
        "not listed: {extra:?}\nlisted but not exported: {missing:?}"
    );
}

/// One object, with our names only: what else rustc puts into an archive clashes with other Rust code, or does not link.
#[test]
fn the_archive_is_one_object_with_what_is_listed() {
    let members = lines_of(Command::new("ar").arg("t").arg(&library().archive));
    assert_eq!(members, ["standstill.o"]);
    let listing = lines_of(Command::new("nm").args(["-g", "--defined-only"]).arg(&library().archive));
    // The first lines name the member.
    let defined: BTreeSet<&str> = listing.iter().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let listed = support::exports();
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let differences: Vec<_> = defined.symmetric_difference(&listed).collect();
    assert!(differences.is_empty(), "only in the archive, or only in ffi/exports.txt: {differences:?}");
}

/// What the archive asks of others: functions that each C library has, or weakly.
#[test]
fn the_archive_needs_libc_only() {
    const LIBC: [&str; 18] = [
        "__cxa_atexit",
        "__errno_location",
        "abort",
        "bcmp",
        "dl_iterate_phdr",
        "environ",
        "exit",
        "fwrite",
        "getauxval",
        "memcmp",
        "memcpy",
        "memmove",
        "memset",
        "pthread_atfork",
        "pthread_key_create",
        "pthread_self",
        "pthread_setspecific",
        "strlen",
    ];
    let listing = lines_of(Command::new("nm").arg("--undefined-only").arg(&library().archive));
    let strong = listing.iter().filter_map(|line| line.trim_start().strip_prefix("U "));
    // aarch64's atomic operations for every kind of CPU: libgcc has them in each program.
    let foreign: Vec<_> =
        strong.filter(|name| !LIBC.contains(name) && !name.starts_with("__aarch64_")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// A named version on an interposed function would keep it from interposing.
#[test]
fn interposed_functions_have_no_version() {
    let listing = lines_of(Command::new("nm").args(["-D", "--defined-only"]).arg(&library().shared));
    let versioned: Vec<_> =
        listing.iter().filter(|line| line.contains('@') && !line.contains(" standstill_")).collect();
    assert!(versioned.is_empty(), "{versioned:?}");
}

/// glibc ignores .preinit_array in a shared object (one compilation makes both forms, so it is there): the preload starts
/// by .init_array, or not at all.
#[test]
fn the_shared_library_starts_by_init_array() {
    let dynamic = lines_of(Command::new("readelf").arg("-dW").arg(&library().shared)).join("\n");
    assert!(dynamic.contains("(INIT_ARRAY)"), "{dynamic}");
}

/// A preload that needs libraries of its own brings them into every process.
#[test]
fn the_shared_library_needs_libc_only() {
    let dynamic = lines_of(Command::new("readelf").arg("-dW").arg(&library().shared));
    let needed: Vec<_> = dynamic.iter().filter(|line| line.contains("(NEEDED)")).collect();
    let allowed = ["libc.so", "ld-linux", "libgcc_s.so"];
    let foreign: Vec<_> =
        needed.iter().filter(|line| !allowed.iter().any(|name| line.contains(name))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// TLS of our own is initial-exec: the general-dynamic model calls __tls_get_addr, or what a descriptor names (the usual way on
/// aarch64), and both can allocate, inside malloc.
#[test]
fn no_thread_local_access_that_allocates() {
    let undefined =
        lines_of(Command::new("nm").args(["-D", "--undefined-only"]).arg(&library().shared)).join("\n");
    assert!(!undefined.contains("__tls_get_addr"), "{undefined}");
    let relocations = lines_of(Command::new("readelf").arg("-rW").arg(&library().shared));
    let tls: Vec<_> =
        relocations.iter().filter(|line| ["TLS", "TPOFF"].iter().any(|word| line.contains(word))).collect();
    // R_X86_64_TPOFF64 and R_AARCH64_TLS_TPREL64: the offset from the thread pointer, which is known when the program starts.
    let other: Vec<_> =
        tls.iter().filter(|line| ["TPOFF", "TPREL"].iter().all(|word| !line.contains(word))).collect();
    assert!(!tls.is_empty() && other.is_empty(), "{tls:#?}");
}
