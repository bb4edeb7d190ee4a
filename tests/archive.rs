//! `cc t.c libstandstill.a` is all that a user types: with each compiler and each linker of the machine, position
//! independent or not, and the runtime starts before everything else.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::compile::{Compiler, compilers};
use support::library::library;
use support::run::run;
use support::verdict::{Expected, Found};

const LEAK: &str = r#"
#include <stdlib.h>
static void *volatile lost;
static void lose(void) { lost = malloc(4242); lost = 0; }
int main(void) { lose(); volatile char below[4096]; for (int i = 0; i < 4096; i++) below[i] = 0; return below[7]; }
"#;

fn build(compiler: &Compiler, name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let folder = support::scratch("archive");
    let (source, program) = (folder.join("leak.c"), folder.join(format!("{}-{name}", compiler.name)));
    std::fs::write(&source, LEAK).map_err(|e| e.to_string())?;
    // One compiler works on one program at a time; the archive comes last and alone, as users write it.
    let mut cc = Command::new(&compiler.cc);
    cc.args(flags).arg(&source).arg(&library().archive).arg("-o").arg(&program);
    let out = cc.output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

fn has_linker(compiler: &Compiler, flag: &str) -> bool {
    let folder = support::scratch("archive");
    let (source, program) = (folder.join("empty.c"), folder.join(format!("{}{flag}", compiler.name)));
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("target/tmp can be written");
    let out = Command::new(&compiler.cc).arg(flag).arg(&source).arg("-o").arg(&program).output();
    out.is_ok_and(|out| out.status.success())
}

#[test]
fn links_and_finds_a_leak() {
    let ways: &[(&str, &[&str])] = &[
        ("bare", &[]),
        ("optimised", &["-O2"]),
        ("no-pie", &["-no-pie", "-fno-pie"]),
        ("bfd", &["-fuse-ld=bfd"]),
        ("lld", &["-fuse-ld=lld"]),
        ("gold", &["-fuse-ld=gold"]),
        ("collected", &["-Wl,--gc-sections", "-ffunction-sections"]),
        ("bound-now", &["-Wl,-z,now,-z,relro"]),
    ];
    let mut tried = 0;
    for compiler in compilers() {
        for (name, flags) in ways {
            if let Some(linker) = flags.iter().find(|flag| flag.starts_with("-fuse-ld="))
                && !has_linker(&compiler, linker)
            {
                println!("{} {linker}: not on this machine", compiler.name);
                continue;
            }
            let program =
                build(&compiler, name, flags).unwrap_or_else(|e| panic!("{} {name}: {e}", compiler.name));
            let dynamic = Command::new("readelf").arg("-dW").arg(&program).output().expect("readelf");
            let dynamic = String::from_utf8_lossy(&dynamic.stdout).into_owned();
            assert!(
                dynamic.contains("PREINIT_ARRAY"),
                "{} {name}: the entry of the runtime is gone",
                compiler.name
            );
            let outcome =
                run(&mut Command::new(&program), false, Duration::from_secs(30)).expect("it starts");
            let wrong =
                Found::read(&outcome.stderr).disagrees(&Expected::Leak { bytes: 4242, objects: 1 }, true);
            assert_eq!(wrong, None, "{} {name}: {}", compiler.name, outcome.stderr);
            assert_eq!(outcome.status, Ok(23), "{} {name}", compiler.name);
            tried += 1;
        }
    }
    assert!(tried >= 5 || compilers().is_empty(), "only {tried} ways of linking were tried");
}

/// The archive and the preload together: one of them must step back, or every block has two owners.
#[test]
fn archive_and_preload_together() {
    for compiler in compilers() {
        let program = build(&compiler, "both", &["-O1"]).unwrap_or_else(|e| panic!("{}: {e}", compiler.name));
        let mut command = Command::new(&program);
        command.env("LD_PRELOAD", &library().shared);
        let outcome = run(&mut command, false, Duration::from_secs(30)).expect("it starts");
        assert_eq!(outcome.status, Ok(23), "{}: {}", compiler.name, outcome.stderr);
        let reports = outcome.stderr.matches("ERROR: LeakSanitizer").count();
        assert_eq!(reports, 1, "{}: {}", compiler.name, outcome.stderr);
    }
}
