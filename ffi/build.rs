//! How the shared library is linked, and what else makes both libraries new.

fn main() {
    // Constructors of libraries that the program links would otherwise run before ours: their fork handlers would run
    // while ours hold checks off, and their exit handlers after the check (ld.so: DF_1_INITFIRST).
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{}/shared.ld", env!("CARGO_MANIFEST_DIR"));
    // Linked by process.rs.
    cc::Build::new().cargo_metadata(false).file("src/atfork.c").warnings(true).compile("standstill_atfork");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rerun-if-changed=src/atfork.c");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shared.ld");
    // The archive is made of them: see rustc.sh.
    println!("cargo:rerun-if-changed=exports.txt");
    println!("cargo:rerun-if-changed=rustc.sh");
}
