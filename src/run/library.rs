//! Where libstandstill.so is.

use std::env;
use std::path::{Path, PathBuf};

use super::{Problem, program};

const NAME: &str = "libstandstill.so";

/// The library: the one that was asked for, else the first that exists of those where an installation or a build puts
/// it, seen from this command's own file.
pub fn find(asked: Option<&Path>) -> Result<PathBuf, Problem> {
    let named = asked.map(|path| ("--library", path.to_path_buf())).or_else(|| {
        let variable = env::var_os("STANDSTILL_LIBRARY").filter(|value| !value.is_empty());
        variable.map(|value| ("STANDSTILL_LIBRARY", PathBuf::from(value)))
    });
    if let Some((by, path)) = named {
        // An absolute path: the program may run elsewhere, and its children in any directory.
        let cannot = |why: &dyn std::fmt::Display| {
            Problem::new(format!("cannot load the library {} that {by} names: {why}", path.display()))
        };
        let full = path.canonicalize().map_err(|error| cannot(&error))?;
        // The loader would say so and run the program without.
        return match program::no_library(&full) {
            None => Ok(full),
            Some(why) => Err(cannot(&why)),
        };
    }
    let own = env::current_exe().and_then(|exe| exe.canonicalize());
    let own = own.map_err(|error| Problem::new(format!("cannot find this command's own file: {error}")))?;
    let candidates = candidates(&own);
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let looked: Vec<String> = candidates.iter().map(|path| format!("  {}", path.display())).collect();
        Problem::new(format!(
            "cannot find {NAME}. Build it with `cargo build --release --workspace`, or name it with --library FILE or \
             the variable STANDSTILL_LIBRARY. Looked for:\n{}",
            looked.join("\n")
        ))
    })
}

/// `bin/standstill` has it in `lib`; `target/release/standstill` beside itself; a test's binary, in
/// `target/debug/deps`, one level up; and a library that is only a dependency of the build lies in `deps`.
fn candidates(own: &Path) -> Vec<PathBuf> {
    let beside = own.parent().unwrap_or(Path::new("/"));
    let above = beside.parent().unwrap_or(beside);
    [
        beside.join(NAME),
        above.join("lib").join(NAME),
        above.join("lib/standstill").join(NAME),
        above.join("lib64").join(NAME),
        beside.join("deps").join(NAME),
        above.join(NAME),
        above.join("release").join(NAME),
        above.join("debug").join(NAME),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_was_asked_for_must_exist() {
        let error = find(Some(Path::new("/nonexistent/x.so"))).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.so") && error.contains("--library"), "{error}");
    }

    #[test]
    fn installations_and_builds_are_searched() {
        let usr = candidates(Path::new("/usr/bin/standstill"));
        assert!(usr.contains(&"/usr/lib/libstandstill.so".into()), "{usr:?}");
        assert!(usr.contains(&"/usr/lib/standstill/libstandstill.so".into()));
        let built = candidates(Path::new("/w/target/release/standstill"));
        assert_eq!(built[0], Path::new("/w/target/release/libstandstill.so"));
        assert!(built.contains(&"/w/target/release/deps/libstandstill.so".into()));
    }
}
