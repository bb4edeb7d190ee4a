//! Compiles the support archive of the C tests (c-tests/support) with the machine's C compiler.
//!
//! The archive is for c-tests only and is never linked into the command: no link metadata is printed. The tests find it
//! through the environment variable CTESTS_SUPPORT, set at their compile time. A machine without a C compiler can still
//! build the command; its C tests then say that they have no compiler.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=c-tests/support");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rustc-env=CTESTS_SUPPORT={}", out.display());
    println!("cargo:rustc-env=CTESTS_TARGET={}", env::var("TARGET").expect("cargo sets TARGET"));
    println!("cargo:rustc-env=CTESTS_HOST={}", env::var("HOST").expect("cargo sets HOST"));
    let mut build = cc::Build::new();
    build
        .cargo_metadata(false)
        .file("c-tests/support/support.c")
        .include("c-tests/support")
        .opt_level(1)
        .flag("-fno-omit-frame-pointer")
        .warnings(true);
    if let Err(problem) = build.try_compile("ctests_support") {
        println!("cargo:warning=the C tests cannot run: {problem}");
    }
}
