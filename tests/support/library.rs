//! The library under test: built by a nested cargo, because `cargo test` builds no archive and no shared library of a
//! crate that the tests do not depend on.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The two forms, as a user gets them from `cargo build --release --workspace`.
pub struct Library {
    pub archive: PathBuf,
    pub shared: PathBuf,
    /// The command, which the library runs as a filter where PATH has it.
    pub command: PathBuf,
    /// The folder of `standstill.h`.
    pub include: PathBuf,
}

/// Builds both forms (once a process; cargo itself knows when nothing has changed).
///
/// They go into the target folder of this very run, so that a tree that was built before is not built again. With
/// STANDSTILL_LIBRARY_DIR set, the libraries in that folder are taken as they are (an installed copy).
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let include = super::root().join("ffi/include");
        if let Some(folder) = std::env::var_os("STANDSTILL_LIBRARY_DIR").map(PathBuf::from) {
            return Library {
                archive: folder.join("libstandstill.a"),
                shared: folder.join("libstandstill.so"),
                command: folder.join("standstill"),
                include,
            };
        }
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let target = target.parent().expect("target/tmp has a parent");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(super::root())
            .args(["build", "--quiet", "--release", "--workspace", "--target-dir"])
            .arg(target);
        // What cargo tells a test about its own package would reach the nested build's scripts.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
                cargo.env_remove(name);
            }
        }
        let status = cargo.status().expect("cargo can be started");
        assert!(status.success(), "the library does not build: {cargo:?}");
        let release = target.join("release");
        Library {
            archive: release.join("libstandstill.a"),
            shared: release.join("libstandstill.so"),
            command: release.join("standstill"),
            include,
        }
    })
}
