//! The compilers of this machine: what the cc crate takes, clang beside it, and musl's.

use std::path::PathBuf;
use std::process::Command;

/// The C library that a compiler's programs run with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Libc {
    Glibc,
    Musl,
}

/// A C compiler and its C++ driver.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// For tables and folders.
    pub name: String,
    pub libc: Libc,
    pub cc: PathBuf,
    /// `None` where there is no C++ library for it.
    pub cxx: Option<PathBuf>,
}

/// The compilers for this machine's own C library: what the cc crate takes, then the newest clang if that was not one.
pub fn compilers() -> Vec<Compiler> {
    let tool = |cpp: bool| {
        cc::Build::new()
            .cargo_metadata(false)
            .cpp(cpp)
            .target(env!("CTESTS_TARGET"))
            .host(env!("CTESTS_HOST"))
            .opt_level(0)
            .try_get_compiler()
    };
    let compiler =
        |name: &str, cc: PathBuf, cxx| Compiler { name: name.into(), libc: Libc::Glibc, cc, cxx: Some(cxx) };
    let mut found = vec![];
    if let (Ok(c), Ok(cxx)) = (tool(false), tool(true)) {
        let name = if c.is_like_clang() { "clang" } else { "gcc" };
        found.push(compiler(name, c.path().into(), cxx.path().into()));
    }
    if !found.iter().any(|compiler| compiler.name == "clang")
        && let Some(suffix) = newest("clang++")
    {
        let (cc, cxx) = (format!("clang{suffix}"), format!("clang++{suffix}"));
        found.push(compiler("clang", cc.into(), cxx.into()));
    }
    found
}

/// musl's wrapper around gcc. It has no C++ library: libstdc++ is built for glibc.
pub fn musl() -> Option<Compiler> {
    let cc = PathBuf::from("musl-gcc");
    starts(&cc).then_some(Compiler { name: "musl-gcc".into(), libc: Libc::Musl, cc, cxx: None })
}

/// Debian's cross compiler, whose programs run on another machine.
pub fn aarch64() -> Option<Compiler> {
    let cc = PathBuf::from("aarch64-linux-gnu-gcc");
    let cxx = PathBuf::from("aarch64-linux-gnu-g++");
    (starts(&cc) && starts(&cxx)).then(|| Compiler {
        name: "aarch64".into(),
        libc: Libc::Glibc,
        cc,
        cxx: Some(cxx),
    })
}

/// What has to stand behind `command` to name its newest version on this machine: nothing, or `-19`.
pub fn newest(command: &str) -> Option<String> {
    let versions = std::iter::once(String::new()).chain((14..=24).rev().map(|version| format!("-{version}")));
    versions.into_iter().find(|suffix| starts(&PathBuf::from(format!("{command}{suffix}"))))
}

fn starts(command: &PathBuf) -> bool {
    Command::new(command).arg("--version").output().is_ok_and(|out| out.status.success())
}
