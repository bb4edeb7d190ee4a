//! Leak scopes in Rust programs, and the difference of two runs.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::library::library;

const RUST: &str = r#"
mod standstill;
use standstill::{Ended, LeakScope};
#[inline(never)]
fn lose(bytes: usize) { std::mem::forget(std::hint::black_box(vec![1u8; bytes])); }
#[inline(never)]
fn scrub() { std::hint::black_box([0usize; 512]); }
fn main() {
    let loaded = std::env::args().nth(1).as_deref() == Some("loaded");
    let scope = LeakScope::begin();
    drop(std::hint::black_box(vec![0u8; 100]));
    assert_eq!(scope.end(), if loaded { Ended::Clean } else { Ended::NotChecked });
    let scope = LeakScope::begin();
    lose(321);
    scrub();
    assert_eq!(scope.end(), if loaded { Ended::Leaks { objects: 1, bytes: 321 } } else { Ended::NotChecked });
    // Threads at the same time, each with its own.
    let threads: Vec<_> = (1..=4usize)
        .map(|n| {
            std::thread::spawn(move || {
                let scope = LeakScope::begin();
                (0..n).for_each(|_| lose(1000 * n));
                scrub();
                (n, scope.end())
            })
        })
        .collect();
    for thread in threads {
        let (n, ended) = thread.join().unwrap();
        let (objects, bytes) = (n as u64, (1000 * n * n) as u64);
        assert_eq!(ended, if loaded { Ended::Leaks { objects, bytes } } else { Ended::NotChecked });
    }
    LeakScope::begin().assert_clean();
    println!("as expected");
}
"#;

#[test]
fn rust_programs_have_scopes_and_run_without_the_library_too() {
    let folder = support::scratch("scopes");
    std::fs::copy(support::root().join("ffi/include/standstill.rs"), folder.join("standstill.rs")).unwrap();
    std::fs::write(folder.join("main.rs"), RUST).unwrap();
    let program = folder.join("main");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition=2024", "-O", "-Dwarnings", "-Adead_code", "-o"])
        .arg(&program)
        .arg(folder.join("main.rs"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for loaded in [true, false] {
        let mut command = Command::new(&program);
        command.env_remove("LD_PRELOAD").env_remove("LSAN_OPTIONS").stdin(Stdio::null());
        if loaded {
            command.arg("loaded").env("LD_PRELOAD", &library().shared);
            command.env("STANDSTILL_OPTIONS", "leak_check_at_exit=0:symbolize=0");
        }
        let out = command.output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && out.stdout == b"as expected\n", "loaded {loaded}: {text}");
        assert_eq!(text.contains("321 byte(s) in 1 object(s)"), loaded, "{text}");
    }
}

const TWO_VERSIONS: &str = r#"
#include <stdlib.h>
static void *volatile sink;
__attribute__((noinline)) void same(void) { sink = malloc(10); }
__attribute__((noinline)) void more(int n) { for (int i = 0; i < n; i++) sink = malloc(20); }
__attribute__((noinline)) void only_in(int which) { if (which == 1) sink = malloc(30); }
__attribute__((noinline)) void later(int which) { if (which == 2) sink = malloc(40); }
int main(int argc, char **argv) {
  (void)argv;
  same(); more(argc == 1 ? 2 : 5); only_in(argc); later(argc);
  sink = NULL;
  return 0;
}
"#;

fn standstill(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standstill"));
    command.args(words).env("STANDSTILL_LIBRARY", &library().shared);
    command.env_remove("STANDSTILL_OPTIONS").env_remove("LSAN_OPTIONS").env_remove("LD_PRELOAD");
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn two_runs_are_compared_by_function() {
    let folder = support::scratch("diff");
    let (file, program) = (folder.join("two.c"), folder.join("two"));
    std::fs::write(&file, TWO_VERSIONS).unwrap();
    let status = Command::new("cc").args(["-g", "-O1", "-o"]).arg(&program).arg(&file).status().unwrap();
    assert!(status.success());
    let json = |name: &str| -> PathBuf { folder.join(name) };
    let (before, after) = (json("before.json"), json("after.json"));
    let (before, after, program) =
        (before.to_str().unwrap(), after.to_str().unwrap(), program.to_str().unwrap());
    assert_eq!(standstill(&["run", "--json", before, "--", program]).status.code(), Some(23));
    assert_eq!(standstill(&["run", "--json", after, "--", program, "x"]).status.code(), Some(23));

    let out = standstill(&["diff", before, after]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(23), "{text}");
    for line in [
        "grew direct: +60 byte(s) in +3 object(s), now 100 in 5, allocated from:\n",
        "new direct: +40 byte(s) in +1 object(s), now 40 in 1, allocated from:\n",
        "gone direct: -30 byte(s) in -1 object(s), now 0 in 0, allocated from:\n",
        "Standstill: difference: 3 group(s): 1 new, 1 grew, 0 shrank, 1 gone\n",
    ] {
        assert!(text.contains(line), "no '{line}' in\n{text}");
    }
    assert!(text.contains("in later ") && !text.contains("in same "), "{text}");
    let out = standstill(&["diff", "--json", before, after]);
    let changes: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(changes.as_array().unwrap().len(), 3);
    // What a run does not tell that was not wholly looked at is not gone. A misuse that is new is a failure.
    let unsure = folder.join("unsure.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(after).unwrap()).unwrap();
    document["leaks"] = Value::Array(Vec::new());
    for (verdict, misuses, status) in
        [("incomplete", "[]", 24), ("could not check", "[]", 24), ("clean", "[]", 0)].into_iter().chain([(
            "clean",
            r#"[{"what":"double-free","freed_by":[{"function":"twice","file":"a.c"}]}]"#,
            23,
        )])
    {
        document["verdict"] = verdict.into();
        document["misuses"] = serde_json::from_str(misuses).unwrap();
        std::fs::write(&unsure, document.to_string()).unwrap();
        let out = standstill(&["diff", before, unsure.to_str().unwrap()]);
        let [text, said] = [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text));
        assert_eq!(out.status.code(), Some(status), "{text}");
        assert_eq!(text.contains("0 gone, 3 not seen"), verdict != "clean", "{text}");
        assert_eq!(
            said.contains(&format!("leaks; of the run after: {verdict}")),
            verdict != "clean",
            "{said}"
        );
        assert_eq!(
            text.contains("new double-free: +1 time(s), now 1, freed by:\n    #0 in twice a.c"),
            status == 23
        );
    }
    // The same twice, and less than before, are no failure.
    for words in [["diff", before, before], ["diff", program, after]] {
        let out = standstill(&words);
        let text = String::from_utf8_lossy(&out.stderr);
        let good = words[1] == words[2];
        assert_eq!(out.status.code(), Some(if good { 0 } else { 125 }), "{text}");
        assert!(good || text.contains("give two files written by --json"), "{text}");
    }
}
