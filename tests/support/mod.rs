//! What the Rust drivers share. Each driver uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod case;
pub mod column;
pub mod compile;
pub mod guest;
pub mod library;
pub mod run;
pub mod toolchain;
pub mod verdict;

use std::path::{Path, PathBuf};

/// Where the sources are.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where drivers may write; one folder for each.
pub fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).expect("a folder under target/tmp can be made");
    path
}

/// The names that leave both libraries: ffi/exports.txt.
pub fn exports() -> Vec<String> {
    names("ffi/exports.txt")
}

/// The names that leave the shared library only.
pub fn shared_exports() -> Vec<String> {
    names("ffi/exports-shared.txt")
}

/// One name a line, `#` begins a comment.
fn names(list: &str) -> Vec<String> {
    let path = root().join(list);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let names = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
