//! Building C tests: with the machine's compiler and, where it is there, with clang.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::case::{Case, Form};
use super::library::library;

/// A C compiler and its C++ driver.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// For tables and folders.
    pub name: String,
    pub cc: PathBuf,
    pub cxx: PathBuf,
}

/// The compilers of this machine: what the cc crate takes, then the newest clang if that was not one.
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
    let mut found = vec![];
    if let (Ok(c), Ok(cxx)) = (tool(false), tool(true)) {
        let name = if c.is_like_clang() { "clang" } else { "gcc" };
        found.push(Compiler { name: name.into(), cc: c.path().into(), cxx: cxx.path().into() });
    }
    if !found.iter().any(|compiler| compiler.name == "clang") {
        let versions = std::iter::once(String::new()).chain((14..=24).rev().map(|v| format!("-{v}")));
        for suffix in versions {
            let (cc, cxx) = (format!("clang{suffix}"), format!("clang++{suffix}"));
            if Command::new(&cxx).arg("--version").output().is_ok_and(|out| out.status.success()) {
                found.push(Compiler { name: "clang".into(), cc: cc.into(), cxx: cxx.into() });
                break;
            }
        }
    }
    found
}

/// One way of building.
#[derive(Clone, Debug)]
pub struct Config {
    pub compiler: Compiler,
    pub level: String,
    pub form: Form,
}

impl Config {
    fn folder(&self, case: &Case) -> PathBuf {
        let kind = if self.form == Form::Reference { "-reference" } else { "" };
        let name = format!("c-tests/{}{}{kind}/{}", self.compiler.name, self.level, case.name);
        super::scratch(&name)
    }

    /// Builds the program of `case`; what it prints on failure is the error.
    pub fn build(&self, case: &Case) -> Result<PathBuf, String> {
        let folder = self.folder(case);
        let driver = if case.cxx { &self.compiler.cxx } else { &self.compiler.cc };
        let support = Path::new(env!("CTESTS_SUPPORT")).join("libctests_support.a");
        let headers = super::root().join("c-tests/support");
        let stage = case.source.parent().expect("a test lies in a folder");
        let shared: Vec<&String> = case.libraries.iter().chain(&case.plugins).collect();
        for part in &shared {
            let source = stage.join(part);
            let out = folder.join(library_name(part));
            if stale(&out, &[&source]) {
                let mut cc = Command::new(&self.compiler.cc);
                cc.args(["-shared", "-fPIC", "-g", &self.level]).arg("-I").arg(&headers);
                cc.arg(&source).arg("-o").arg(&out);
                run(&mut cc)?;
            }
        }
        let object = folder.join("program.o");
        if stale(&object, &[&case.source, &headers.join("support.h"), &library_header()]) {
            let mut cc = Command::new(driver);
            cc.args(["-c", "-g", "-Wall", "-Wextra", "-Werror", &self.level]);
            cc.arg("-I").arg(&headers).arg("-I").arg(super::root().join("ffi/include"));
            cc.args(case.flags.iter().filter(|flag| !flag.starts_with("-l") && *flag != "-rdynamic"))
                .arg(&case.source)
                .arg("-o")
                .arg(&object);
            run(&mut cc)?;
        }
        let program = folder.join(match self.form {
            Form::Static => "with-archive",
            Form::Preload => "plain",
            Form::Reference => "with-lsan",
        });
        let archive = (self.form == Form::Static).then(|| library().archive.as_path());
        let needs: Vec<&Path> = [object.as_path(), support.as_path()].into_iter().chain(archive).collect();
        if stale(&program, &needs) {
            let mut cc = Command::new(driver);
            cc.arg(&object).arg(&support).args(&case.flags).arg("-L").arg(&folder).arg("-Wl,-rpath,$ORIGIN");
            for part in &case.libraries {
                cc.arg(format!("-l:{}", library_name(part)));
            }
            match self.form {
                Form::Static => cc.arg(&library().archive),
                Form::Reference => cc.arg("-fsanitize=leak"),
                Form::Preload if case.calls_library => cc.arg(&library().shared),
                Form::Preload => &mut cc,
            };
            run(cc.arg("-o").arg(&program))?;
        }
        Ok(program)
    }
}

fn library_header() -> PathBuf {
    super::root().join("ffi/include/standstill.h")
}

fn library_name(part: &str) -> String {
    format!("lib{}.so", part.trim_end_matches(".c").trim_end_matches(".cpp"))
}

fn stale(out: &Path, needs: &[&Path]) -> bool {
    let time = |path: &Path| path.metadata().and_then(|m| m.modified());
    let newest = needs.iter().map(|path| time(path).unwrap_or_else(|_| SystemTime::now())).max();
    match (time(out), newest) {
        (Ok(out), Some(newest)) => out <= newest,
        _ => true,
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    Err(format!("does not build: {}\n{}", words.join(" "), String::from_utf8_lossy(&out.stderr).trim()))
}
