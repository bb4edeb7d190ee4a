//! Building the program of a C test for one column.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::case::Case;
use super::column::{Column, Form};
use super::library::library;
use super::toolchain::Libc;

impl Column {
    /// Where the programs of this compiler and level are. The forms share an object file.
    fn folder(&self, level: &str, case: &Case) -> PathBuf {
        let kind = match self.form {
            Form::Reference => "-reference",
            Form::Static if self.is_not_pie() => "-static",
            Form::Archive | Form::Preload | Form::Static | Form::StaticPie => "",
        };
        super::scratch(&format!("c-tests/{}{level}{kind}/{}", self.compiler.name, case.name))
    }

    /// Not position-independent: an object file of its own, as a compiler that knows of -static would make it. The guest's
    /// programs do without, to save time.
    fn is_not_pie(&self) -> bool {
        self.form == Form::Static && self.compiler.name != "aarch64"
    }

    /// Why the program of `case` cannot be had here, if that follows from the column itself.
    pub fn lacks(&self, case: &Case) -> Option<&'static str> {
        if case.cxx && self.compiler.cxx.is_none() {
            return Some("C++: no C++ library is built for musl here");
        }
        if self.form.is_static() && !(case.libraries.is_empty() && case.plugins.is_empty()) {
            return Some("shared libraries: a static program loads none");
        }
        None
    }

    /// What the tests share, as this column's compiler makes it.
    fn support(&self) -> Result<PathBuf, String> {
        static AARCH64: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        if self.compiler.name != "aarch64" {
            return Ok(Path::new(env!("CTESTS_SUPPORT")).join("libctests_support.a"));
        }
        let build = || {
            let object = super::scratch("c-tests/aarch64-support").join("support.o");
            let folder = super::root().join("c-tests/support");
            let source = folder.join("support.c");
            if stale(&object, &[&source, &folder.join("support.h")]) {
                let mut cc = Command::new(&self.compiler.cc);
                cc.args(["-c", "-g", "-O1", "-fno-omit-frame-pointer", "-Wall", "-Werror"])
                    .arg("-I")
                    .arg(&folder);
                run(cc.arg(&source).arg("-o").arg(&object))?;
            }
            Ok(object)
        };
        AARCH64.get_or_init(build).clone()
    }

    /// Builds the program of `case`; what it prints on failure is the error.
    pub fn build(&self, level: &str, case: &Case) -> Result<PathBuf, String> {
        let folder = self.folder(level, case);
        let driver = match &self.compiler.cxx {
            Some(cxx) if case.cxx => cxx,
            _ => &self.compiler.cc,
        };
        let support = self.support()?;
        let headers = super::root().join("c-tests/support");
        let stage = case.source.parent().expect("a test lies in a folder");
        let shared: Vec<&String> = case.libraries.iter().chain(&case.plugins).collect();
        for part in &shared {
            let source = stage.join(part);
            let out = folder.join(library_name(part));
            if stale(&out, &[&source]) {
                let mut cc = Command::new(&self.compiler.cc);
                cc.args(["-shared", "-fPIC", "-g", level]).arg("-I").arg(&headers);
                cc.arg(&source).arg("-o").arg(&out);
                run(&mut cc)?;
            }
        }
        let object = folder.join("program.o");
        let mut needs = vec![case.source.clone(), headers.join("support.h"), library_header()];
        let beside = std::fs::read_dir(stage).map_err(|e| format!("{}: {e}", stage.display()))?;
        needs.extend(
            beside.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some("h".as_ref())),
        );
        if stale(&object, &needs.iter().map(PathBuf::as_path).collect::<Vec<_>>()) {
            let mut cc = Command::new(driver);
            cc.args(["-c", "-g", level]);
            match self.compiler.libc {
                Libc::Glibc => cc.args(["-Wall", "-Wextra", "-Werror"]),
                // Its headers have no attributes for warnings to know by. The kernel's are not among them.
                Libc::Musl => {
                    cc.args(["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"])
                }
            };
            if self.compiler.name == "aarch64" {
                // As distributions build: where the CPU can, return addresses are signed.
                cc.arg("-mbranch-protection=standard");
            }
            if self.is_not_pie() {
                cc.arg("-fno-pie");
            }
            cc.arg("-I").arg(&headers).arg("-I").arg(super::root().join("ffi/include"));
            cc.args(case.flags.iter().filter(|flag| !flag.starts_with("-l") && *flag != "-rdynamic"))
                .arg(&case.source)
                .arg("-o")
                .arg(&object);
            run(&mut cc)?;
        }
        let program = folder.join(match self.form {
            Form::Archive => "with-archive",
            Form::Static => "static",
            Form::StaticPie => "static-pie",
            Form::Preload => "plain",
            Form::Reference => "with-lsan",
        });
        let links_archive = matches!(self.form, Form::Archive | Form::Static | Form::StaticPie);
        let archive = links_archive.then(|| library().archive.as_path());
        let needs: Vec<&Path> = [object.as_path(), support.as_path()].into_iter().chain(archive).collect();
        if stale(&program, &needs) {
            let mut cc = Command::new(driver);
            match self.form {
                Form::Static => cc.arg("-static"),
                Form::StaticPie => cc.arg("-static-pie"),
                // glibc crashes before main in a static-pie program that has it.
                _ => cc.arg("-Wl,-rpath,$ORIGIN"),
            };
            if self.compiler.libc == Libc::Musl {
                // Threads have 128 KiB of stack there unless the program says more; clean_call clears 256.
                cc.arg("-Wl,-z,stack-size=1048576");
            }
            cc.arg(&object).arg(&support).args(&case.flags).arg("-L").arg(&folder);
            for part in &case.libraries {
                cc.arg(format!("-l:{}", library_name(part)));
            }
            match self.form {
                Form::Archive | Form::Static | Form::StaticPie => cc.arg(&library().archive),
                Form::Reference => cc.arg("-fsanitize=leak"),
                Form::Preload if case.calls_library => cc.arg(&library().shared),
                // For functions that only glibc has, and our library: the loader finds it loaded already.
                Form::Preload if self.compiler.libc == Libc::Musl => {
                    cc.args(["-lc", "-Wl,--as-needed"]).arg(&library().shared)
                }
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
