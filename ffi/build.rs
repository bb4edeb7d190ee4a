//! How the shared library is linked.

fn main() {
    // Constructors of libraries that the program links would otherwise run before ours: their fork handlers would run
    // while ours hold the heap's locks, and their exit handlers after the check (ld.so: DF_1_INITFIRST).
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    println!("cargo:rerun-if-changed=build.rs");
}
