//! The command end to end: what it says, what it writes and how it exits, for leaky, clean and impossible programs.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::library::library;

/// A folder of this run for programs and files.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// Compiles `source` to a program of this name. The flags are part of what a test means, so each has its own program.
fn compile(compiler: &str, name: &str, extension: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (file, program) = (folder().join(format!("{name}.{extension}")), folder().join(name));
    std::fs::write(&file, source).unwrap();
    let status = Command::new(compiler).args(flags).arg("-o").arg(&program).arg(&file).status().unwrap();
    assert!(status.success(), "{compiler} {name}");
    program
}

fn c(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    compile("cc", name, "c", source, flags)
}

/// `standstill run` with the library of this build, and nothing of the caller's settings.
fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standstill"));
    command.args(words).env("STANDSTILL_LIBRARY", &library().shared);
    command.env_remove("STANDSTILL_OPTIONS").env_remove("LSAN_OPTIONS").env_remove("LD_PRELOAD");
    command.stdin(Stdio::null());
    command
}

fn output(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    // A hang must fail the test and not the whole run.
    let guard = std::thread::spawn(move || child.wait_with_output().unwrap());
    let begun = Instant::now();
    while !guard.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(120), "process {pid} hangs: {command:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    guard.join().unwrap()
}

fn run(words: &[&str]) -> Output {
    let mut all = vec!["run"];
    all.extend(words);
    output(command(&all))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

const LEAKY: &str = r#"
#include <stdio.h>
#include <stdlib.h>
void *volatile sink;
static inline __attribute__((always_inline)) void *inlined_helper(int n) { return malloc(n); }
__attribute__((noinline)) void leaky(void) { sink = inlined_helper(21); sink = 0; __asm__ volatile(""); }
int main(int argc, char **argv) {
    for (int i = 0; i < 3; i++) leaky();
    printf("hello\n");
    return argc > 1 ? atoi(argv[1]) : 0;
}
"#;

fn leaky() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| c("leaky", LEAKY, &["-g", "-O1"]))
}

fn clean() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let source = "#include <stdlib.h>\nvoid *volatile keep;\n\
                  int main(int n, char **v) { keep = malloc(5); return n > 1 ? atoi(v[1]) : 0; }";
    PROGRAM.get_or_init(|| c("clean", source, &[]))
}

#[test]
fn a_leak_is_shown_with_its_lines_and_decides_the_status() {
    let out = run(&["--", path(leaky())]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{said}");
    assert_eq!(text(&out.stdout), "hello\n");
    assert!(said.contains("ERROR: LeakSanitizer: detected memory leaks"), "{said}");
    assert!(said.contains("byte(s) leaked in 3 allocation(s)"), "{said}");
    for line in ["in malloc", "in inlined_helper ", "in leaky ", "in main "] {
        assert!(said.contains(line), "no '{line}' in:\n{said}");
    }
    assert!(said.contains("leaky.c:5:") && said.contains("leaky.c:6:"), "{said}");
    assert!(said.contains("==Standstill: leaks: 63 byte(s) in 3 of"), "{said}");
}

/// The library is built for glibc and serves musl's programs too.
#[test]
fn a_program_for_musl_is_checked() {
    let Some(musl) = support::toolchain::musl() else { return };
    let source = "#include <stdlib.h>\nvoid *volatile lost;\n\
        void lose(void) { lost = malloc(4242); lost = 0; }\nint main(void) { lose(); return 0; }\n";
    let program = compile(path(&musl.cc), "musl", "c", source, &["-g"]);
    let out = run(&["--", path(&program)]);
    let report = text(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{report}");
    assert!(report.contains("4242") && report.contains("lose") && report.contains("musl.c:3"), "{report}");
}

#[test]
fn a_clean_program_is_said_to_be_clean_and_keeps_its_status() {
    let out = run(&["--", path(clean()), "7"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(7), "{said}");
    assert!(said.contains("==Standstill: clean: no leak in"), "{said}");
    let quiet = run(&["-q", "--", path(clean())]);
    assert_eq!((quiet.status.code(), text(&quiet.stderr)), (Some(0), String::new()));
}

#[test]
fn the_policy_on_exit_status_can_be_chosen() {
    let status = |words: &[&str], own: &str| {
        let words = [words, &["-q", "--", path(leaky()), own]].concat();
        run(&words).status.code()
    };
    assert_eq!(status(&[], "5"), Some(23));
    assert_eq!(status(&["--keep-failure"], "5"), Some(5));
    assert_eq!(status(&["--keep-failure"], "0"), Some(23));
    assert_eq!(status(&["--exit-code", "42"], "5"), Some(42));
    assert_eq!(status(&["--exit-code", "0"], "5"), Some(5));
}

#[test]
fn the_json_document_has_what_its_description_lists() {
    let file = folder().join("leaks.json");
    let out = run(&["--objects", "--json", path(&file), "--", path(leaky())]);
    assert_eq!(out.status.code(), Some(23), "{}", text(&out.stderr));
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["format"], 1);
    assert_eq!(document["verdict"], "leaks");
    assert_eq!(document["exit"]["status"], 0);
    assert_eq!(document["leaked"]["bytes"], 63);
    let groups = document["leaks"].as_array().unwrap();
    let frames = groups[0]["frames"].as_array().unwrap();
    let at = |name: &str| frames.iter().position(|frame| frame["function"] == name).unwrap();
    assert!(
        at("malloc") < at("inlined_helper") && at("inlined_helper") < at("leaky") && at("leaky") < at("main")
    );
    let inlined = &frames[at("inlined_helper")];
    assert_eq!((&inlined["inlined"], &inlined["line"]), (&Value::Bool(true), &Value::from(5)));
    assert_eq!(inlined["address"], frames[at("leaky")]["address"]);
    assert_eq!(groups.iter().map(|group| group["addresses"].as_array().unwrap().len()).sum::<usize>(), 3);

    // Every field is described, and every described field is there.
    let described: std::collections::BTreeSet<String> =
        std::fs::read_to_string(support::root().join("docs/JSON.md"))
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .flat_map(|line| {
                let cell = line.split(" |").next().unwrap().to_owned();
                format!("`{cell}").split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
    // A survey is there only when it was asked for.
    let surveyed = folder().join("survey.json");
    let asked = [
        "--reachable",
        "--explain",
        "all",
        "--retained",
        "3",
        "--json",
        path(&surveyed),
        "--",
        path(clean()),
    ];
    assert_eq!(run(&asked).status.code(), Some(0));
    let surveyed: Value = serde_json::from_slice(&std::fs::read(&surveyed).unwrap()).unwrap();
    let survey = &surveyed["processes"][0]["survey"];
    let mut present = std::collections::BTreeSet::new();
    let steps = survey["paths"][0]["steps"].as_array().unwrap();
    let misused = folder().join("misused.json");
    assert_eq!(run(&["--json", path(&misused), "--", path(double_free())]).status.code(), Some(23));
    let misused: Value = serde_json::from_slice(&std::fs::read(&misused).unwrap()).unwrap();
    let misuse = &misused["misuses"][0];
    let all = [&document, &document["processes"][0], &groups[0], &frames[0], survey, &steps[0], misuse];
    all.iter().for_each(|value| present.extend(value.as_object().unwrap().keys().cloned()));
    assert_eq!(described, present);
}

#[test]
fn suppressions_match_functions_files_and_modules() {
    for (index, pattern) in ["leak:inlined_helper", "leak:leaky.c", "leak:command/leaky$"].iter().enumerate()
    {
        let file = folder().join(format!("{index}.supp"));
        std::fs::write(&file, format!("# a comment\n{pattern}\n")).unwrap();
        let out = run(&["--suppressions", path(&file), "--", path(leaky())]);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{pattern}\n{said}");
        assert!(
            said.contains("Suppressions used:\n  count      bytes template\n      3         63 "),
            "{said}"
        );
    }
    let missing = run(&["--suppressions", "/nonexistent.supp", "--", path(leaky())]);
    assert_eq!(missing.status.code(), Some(125));
    assert_eq!(text(&missing.stdout), "", "the program must not run");
}

#[test]
fn child_processes_are_followed() {
    let script = format!("{0}; {1}; {0} & wait; exec {1} 4", path(leaky()), path(clean()));
    let out = run(&["-v", "--", "sh", "-c", &script]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{said}");
    assert!(said.contains("in process leaky ("), "{said}");
    assert!(said.contains("2 with leaks") && said.contains("2 clean"), "{said}");
    assert!(said.contains("byte(s) leaked in 6 allocation(s)"), "{said}");
}

#[test]
fn what_cannot_be_checked_is_said_and_never_clean() {
    let fixed = c("static", "int main(void) { return 0; }", &["-static"]);
    let script = folder().join("script");
    std::fs::write(&script, format!("#!{}\n", path(&fixed))).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bare = c("bare", "#include <unistd.h>\nint main(void) { _exit(0); }", &[]);
    let own = "#include <stddef.h>\nstatic char pool[1 << 20]; static size_t used;\n\
               void *malloc(size_t n) { void *p = pool + used; used += (n + 15) & ~(size_t)15; return p; }\n\
               void free(void *p) { (void)p; }\n\
               void *calloc(size_t n, size_t m) { return malloc(n * m); }\n\
               void *realloc(void *p, size_t n) { (void)p; return malloc(n); }\n\
               int main(void) { return malloc(3) == 0; }";
    let own = c("own_malloc", own, &["-fno-builtin"]);
    let cases = [
        (path(&fixed), "statically linked"),
        (path(&script), "statically linked"),
        (path(&bare), "_exit"),
        (path(&own), "allocator of its own"),
    ];
    for (program, reason) in cases {
        let out = run(&["--", program]);
        let said = text(&out.stderr);
        assert!(said.contains("not checked: ") && said.contains(reason), "{program}: {said}");
        assert!(!said.contains("clean"), "{program}: {said}");
        assert_eq!(out.status.code(), Some(24), "{program}: {said}");
        let kept = run(&["--unchecked-exit-code", "0", "--", program]);
        assert_eq!(kept.status.code(), Some(0), "{program}");
    }
}

#[test]
fn programs_that_cannot_be_run_end_as_in_a_shell() {
    let data = folder().join("data");
    std::fs::write(&data, "text").unwrap();
    assert_eq!(run(&["--", "/nonexistent/program"]).status.code(), Some(127));
    assert_eq!(run(&["--", "no-such-program-anywhere"]).status.code(), Some(127));
    assert_eq!(run(&["--", path(&data)]).status.code(), Some(126));
    let out = output({
        let mut command = command(&["run", "--", "true"]);
        command.env("STANDSTILL_LIBRARY", "/nonexistent/lib.so");
        command
    });
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("/nonexistent/lib.so"), "{}", text(&out.stderr));
}

#[test]
fn a_death_by_signal_is_handed_on() {
    let out = run(&["--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(out.status.code(), Some(128 + 9));
    assert!(text(&out.stderr).contains("not checked: it was killed by signal 9"), "{}", text(&out.stderr));
}

#[test]
fn a_signal_to_the_command_goes_to_the_program() {
    let script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut command = command(&["run", "-q", "--", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut said = String::new();
    let mut byte = [0];
    while !said.contains("ready\n") && std::io::Read::read(&mut stdout, &mut byte).unwrap() == 1 {
        said.push(byte[0] as char);
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    std::io::Read::read_to_string(&mut stdout, &mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(3), "ready\ngot\n"));
}

#[test]
fn a_stop_of_the_program_stops_the_command() {
    let mut command = command(&["run", "-q", "--", "sh", "-c", "kill -STOP $$; exit 6"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let options = rustix::process::WaitOptions::UNTRACED;
    let (_, status) = rustix::process::waitpid(Some(pid), options).unwrap().unwrap();
    assert!(status.stopped(), "{status:?}");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn the_program_starts_as_it_would_without() {
    // Ignored and default dispositions, mask, descriptors, process group: all as inherited.
    let script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ps -o pgid= -p $$; ls /proc/self/fd | wc -l";
    let plain = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().unwrap();
    let with = run(&["-q", "--exit-code", "0", "--unchecked-exit-code", "0", "--", "sh", "-c", script]);
    assert_eq!(text(&with.stdout), text(&plain.stdout));
    let closed = "exec \"$@\" <&- 2>&-";
    let listed = ["-c", "ls -l /proc/self/fd | grep -c null; ls /proc/self/fd | wc -l"];
    let plain = Command::new("sh").args(["-c", closed, "sh", "sh"]).args(listed).output().unwrap();
    let mut with = Command::new("sh");
    with.args(["-c", closed, "sh", env!("CARGO_BIN_EXE_standstill"), "run", "--", "sh"]).args(listed);
    with.env("STANDSTILL_LIBRARY", &library().shared).stdin(Stdio::null());
    assert_eq!(text(&output(with).stdout), text(&plain.stdout));
    // A closed pipe kills by SIGPIPE, as it does without the command.
    let piped = run(&["-q", "--", "bash", "-c", "yes | head -1 > /dev/null; exit ${PIPESTATUS[0]}"]);
    assert_eq!(piped.status.code(), Some(141), "{}", text(&piped.stderr));
    assert_eq!(piped.status.signal(), None);
}

#[test]
fn records_are_kept_only_when_asked_and_can_be_rendered() {
    let temporary = folder().join("tmp with blank");
    let _ = std::fs::remove_dir_all(&temporary);
    std::fs::create_dir_all(&temporary).unwrap();
    let within = |words: &[&str]| {
        let mut command = command(words);
        command.env("TMPDIR", &temporary);
        output(command)
    };
    assert_eq!(within(&["run", "-q", "--", path(leaky())]).status.code(), Some(23));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    within(&["run", "-q", "--keep-records", "--", path(leaky())]);
    let kept: Vec<_> = std::fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    let out = output(command(&["render", path(&kept[0])]));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(23), "{}", text(&out.stderr));
    assert!(said.contains("SUMMARY: LeakSanitizer: 63 byte(s) leaked in 3 allocation(s)."), "{said}");
    std::fs::remove_dir_all(&temporary).unwrap();
}

#[test]
fn a_report_goes_to_a_file_when_asked() {
    let log = folder().join("report.log");
    let out = run(&["--log", path(&log), "--", path(leaky())]);
    assert_eq!(text(&out.stderr), "");
    assert!(std::fs::read_to_string(&log).unwrap().contains("detected memory leaks"));
}

/// The library alone runs the command as a filter, if it finds it.
#[test]
fn the_bare_library_prints_lines_with_the_command_and_offsets_without() {
    let binaries = Path::new(env!("CARGO_BIN_EXE_standstill")).parent().unwrap();
    let bare = |path_variable: &Path, options: &str| {
        let mut command = Command::new(leaky());
        command.env("LD_PRELOAD", &library().shared).env("STANDSTILL_OPTIONS", options);
        command.env("PATH", path_variable);
        output(command)
    };
    let with = bare(binaries, "symbolize=1");
    let said = text(&with.stderr);
    assert_eq!(with.status.code(), Some(23), "{said}");
    assert!(said.contains("in inlined_helper ") && said.contains("leaky.c:5:"), "{said}");
    assert_eq!(text(&with.stdout), "hello\n");
    let without = bare(binaries, "symbolize=0");
    let said = text(&without.stderr);
    assert_eq!(without.status.code(), Some(23), "{said}");
    assert!(said.contains("command/leaky+0x") && !said.contains("leaky.c"), "{said}");
    let file = folder().join("bare.supp");
    std::fs::write(&file, "leak:inlined_helper\n").unwrap();
    let suppressed = bare(binaries, &format!("suppressions={}", path(&file)));
    assert_eq!(suppressed.status.code(), Some(0), "{}", text(&suppressed.stderr));
}

#[test]
fn a_time_to_wait_that_is_no_time_is_refused_before_the_run() {
    for wait in ["--wait=nan", "--wait=-1", "--wait=inf", "--wait=x"] {
        let out = run(&[wait, "--", path(leaky())]);
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), String::new()), "{wait}");
        assert!(text(&out.stderr).contains("0 or more"), "{}", text(&out.stderr));
    }
    assert_eq!(run(&["--wait", "0", "--", path(leaky())]).status.code(), Some(23));
}

#[test]
fn a_json_file_that_cannot_be_written_is_found_before_the_run() {
    let out = run(&["--json", "/nonexistent/x.json", "--", path(leaky())]);
    let said = text(&out.stderr);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(125), String::new()), "{said}");
    assert!(said.contains("/nonexistent/x.json"), "{said}");
    // A program that does not start leaves no empty file behind, and an older document as it was.
    let (new, old) = (folder().join("new.json"), folder().join("old.json"));
    let _ = std::fs::remove_file(&new);
    std::fs::write(&old, "x".repeat(100_000)).unwrap();
    let script = folder().join("not-a-program");
    std::fs::write(&script, "\u{1}\u{2}\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for file in [&new, &old] {
        assert_eq!(run(&["--json", path(file), "--", path(&script)]).status.code(), Some(126));
    }
    assert!(!new.exists());
    assert_eq!(std::fs::metadata(&old).unwrap().len(), 100_000);
    assert_eq!(run(&["--json", path(&old), "--", path(leaky())]).status.code(), Some(23));
    let _: Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
}

#[test]
fn a_reader_of_standard_error_that_is_gone_leaves_the_status_as_it_is() {
    let closed = |words: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(words);
        command.stdout(Stdio::null()).stderr(writer).status().unwrap().code()
    };
    assert_eq!(closed(&["run", "--", "/nonexistent/program"]), Some(127));
    assert_eq!(closed(&["run", "--", path(leaky())]), Some(23));
    let suppressions = folder().join("senseless.supp");
    std::fs::write(&suppressions, "what is this\n").unwrap();
    assert_eq!(closed(&["run", "--suppressions", path(&suppressions), "--", path(leaky())]), Some(23));
}

fn double_free() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let source = "#include <stdio.h>\n#include <stdlib.h>\nint main(void) {\n\
        void *volatile p = malloc(40);\nfree(p);\nfree(p); puts(\"went on\"); return 0; }\n";
    PROGRAM.get_or_init(|| c("double-free", source, &["-O0", "-g", "-w"]))
}

/// The command with these options of the library.
fn told(variable: &str, value: &str, words: &[&str]) -> Output {
    let mut command = command(&[&["run"], words].concat());
    command.env(variable, value);
    output(command)
}

fn document(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_misuse_of_the_heap_ends_the_program_under_the_command_too() {
    let (program, json) = (path(double_free()), folder().join("misuse.json"));
    let out = run(&["--json", path(&json), "--", program]);
    let said = text(&out.stderr);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(23), String::new()), "{said}");
    assert!(said.contains("ERROR: Standstill: double-free of 0x"), "{said}");
    assert!(said.contains("the block was allocated by:") && said.contains("double-free.c:4"), "{said}");
    assert!(said.contains("\nSUMMARY: Standstill: double-free\n"), "{said}");
    let end = "not checked: it was ended by a misuse of the heap (double-free)";
    assert!(said.contains(end), "{said}");
    let document = document(&json);
    let misuse = &document["misuses"][0];
    assert_eq!((&misuse["what"], &misuse["ended"]), (&Value::from("double-free"), &Value::Bool(true)));
    assert_eq!(misuse["process"], document["processes"][0]["pid"]);
    let freed_by = misuse["freed_by"].as_array().unwrap();
    assert_eq!((&freed_by[0]["function"], &freed_by[1]["function"]), (&"free".into(), &"main".into()));
    assert_eq!((&freed_by[1]["line"], &misuse["allocated_by"][1]["line"]), (&6.into(), &4.into()));
    assert!(end.ends_with(document["processes"][0]["why"].as_str().unwrap()));
    assert_eq!(document["exit"]["status"], 23);
}

#[test]
fn a_misuse_that_is_warned_of_is_told_beside_the_check() {
    let (program, json) = (path(double_free()), folder().join("warned.json"));
    let out = told("STANDSTILL_OPTIONS", "misuse=warn", &["--json", path(&json), "--", program]);
    let said = text(&out.stderr);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(0), "went on\n".to_owned()), "{said}");
    assert!(said.contains("double-free of 0x") && said.contains("==Standstill: clean: "), "{said}");
    let document = document(&json);
    assert_eq!(
        (&document["misuses"][0]["ended"], &document["verdict"]),
        (&Value::Bool(false), &"clean".into())
    );
}

#[test]
fn a_misuse_decides_the_status_as_leaks_do() {
    let program = path(double_free());
    let child = format!("{program}; exit 0");
    let out = run(&["--", "sh", "-c", &child]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{said}");
    assert!(said.contains("in process double-free (") && said.contains("1 ended by a misuse"), "{said}");
    assert_eq!(run(&["--exit-code", "0", "--", program]).status.code(), Some(0));
    assert_eq!(run(&["--exit-code", "9", "--", program]).status.code(), Some(9));
    let aborted = told("STANDSTILL_OPTIONS", "misuse=abort", &["--", program]);
    let said = text(&aborted.stderr);
    assert_eq!(aborted.status.code(), Some(128 + 6), "{said}");
    assert!(said.contains("ended by a misuse of the heap (double-free)"), "{said}");
}

/// The first that is told ends the process; the others' records are whole or not there.
#[test]
fn misuses_of_many_threads_at_once_are_told() {
    let source = "#include <pthread.h>\n#include <stdlib.h>\nstatic pthread_barrier_t all;\n\
        static void *twice(void *p) { pthread_barrier_wait(&all); free(p); free(p); return 0; }\n\
        int main(void) { pthread_t t[8]; pthread_barrier_init(&all, 0, 8);\n\
        for (int i = 0; i < 8; i++) pthread_create(&t[i], 0, twice, malloc(40));\n\
        for (int i = 0; i < 8; i++) pthread_join(t[i], 0); return 0; }\n";
    let program = c("many-double-frees", source, &["-O0", "-w", "-pthread"]);
    let json = folder().join("many.json");
    for _ in 0..10 {
        let out = run(&["-q", "--json", path(&json), "--", path(&program)]);
        assert_eq!(out.status.code(), Some(23), "{}", text(&out.stderr));
        let document = document(&json);
        let why = document["processes"][0]["why"].as_str().unwrap();
        assert!(why.contains("ended by a misuse of the heap (double-free)"), "{why}");
        assert!(!document["misuses"][0]["freed_by"].as_array().unwrap().is_empty());
    }
}

#[test]
fn options_of_the_library_shape_the_commands_report() {
    let source = "#include <stdlib.h>\nvoid *volatile sink;\n\
        __attribute__((noinline)) void big(void) { sink = malloc(4000); sink = 0; }\n\
        __attribute__((noinline)) void small(void) { sink = malloc(30); sink = 0; }\n\
        int main(void) { small(); big(); return 0; }\n";
    let program = c("two-leaks", source, &["-g", "-O1"]);
    let program = path(&program);
    for variable in ["STANDSTILL_OPTIONS", "LSAN_OPTIONS"] {
        let said = |options: &str, words: &[&str]| {
            text(&told(variable, options, &[words, &["--", program]].concat()).stderr)
        };
        let plain = said("", &[]);
        assert!(plain.contains("SUMMARY: LeakSanitizer") && plain.contains("two-leaks.c:3"), "{plain}");
        let report = said("print_summary=0", &[]);
        assert!(report.contains("detected memory leaks") && !report.contains("SUMMARY"), "{report}");
        assert!(said("color=always", &[]).contains("\u{1b}[31m=="));
        assert!(!said("color=always", &["--color", "never"]).contains('\u{1b}'));
        let report = said("symbolize=0", &[]);
        assert!(report.contains("command/two-leaks+0x") && !report.contains("two-leaks.c"), "{report}");
        let report = said("max_leaks=1", &[]);
        assert!(report.contains("in big ") && !report.contains("in small "), "{report}");
        assert!(
            report.contains("The 1 top leak(s):") && report.contains("Omitting 1 more leak(s)."),
            "{report}"
        );
        assert!(said("max_leaks=1", &["--max-leaks", "2"]).contains("in small "));
        let report = said("report_objects=1", &[]);
        assert!(report.contains("Objects leaked above:\n0x") && report.contains("(4000 bytes)"), "{report}");
        let two = format!("{program}; exec {}", path(clean()));
        let each = |options| text(&told(variable, options, &["--", "sh", "-c", &two]).stderr);
        assert!(each("verbosity=1").contains("==Standstill: clean: clean: no leak"));
        assert!(!each("verbosity=0").contains("==Standstill: clean: clean: no leak"));
        assert_eq!(told(variable, "exitcode=7", &["--", program]).status.code(), Some(7));
        assert_eq!(told(variable, "exitcode=7", &["--exit-code", "5", "--", program]).status.code(), Some(5));
        let held = told(variable, "report_retained=2", &["--", path(clean())]);
        assert!(text(&held.stderr).contains("variable keep"), "{}", text(&held.stderr));
    }
}

#[test]
fn a_path_for_logs_has_a_report_of_each_process() {
    let logs = folder().join("logs");
    let _ = std::fs::remove_dir_all(&logs);
    std::fs::create_dir_all(&logs).unwrap();
    let option = |end: &str| format!("log_path={}/log{end}", path(&logs));
    let script = format!("{0}; {1}; {0} > /dev/null; true", path(leaky()), path(clean()));
    let out = told("LSAN_OPTIONS", &option(":log_exe_name=1:log_suffix=.txt"), &["--", "sh", "-c", &script]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{said}");
    assert!(!said.contains("detected memory leaks") && said.contains("2 with leaks"), "{said}");
    let files: Vec<_> = std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("log.leaky.") && name.ends_with(".txt"), "{name}");
        assert!(said.contains(path(file)), "{said}");
        let report = std::fs::read_to_string(file).unwrap();
        assert!(report.contains("SUMMARY: LeakSanitizer: 63 byte(s) leaked in 3 allocation(s)."), "{report}");
    }
    let out = told("LSAN_OPTIONS", "log_path=stdout", &["--", path(leaky())]);
    assert!(text(&out.stdout).contains("SUMMARY: LeakSanitizer"), "{}", text(&out.stdout));
    assert_eq!(text(&out.stderr), "");
    let out = told("LSAN_OPTIONS", "log_path=/nonexistent/log", &["--", path(leaky())]);
    let said = text(&out.stderr);
    assert!(said.contains("cannot write '/nonexistent/log.") && said.contains("SUMMARY: Leak"), "{said}");
}

#[test]
fn a_daemon_that_outlives_the_program_is_waited_for_or_named() {
    let source = "#include <stdlib.h>\n#include <unistd.h>\nvoid *volatile p;\n\
        int main(int n, char **v) { if (daemon(1, 0)) return 1; p = malloc(4242); p = 0;\n\
        sleep(n > 1 ? atoi(v[1]) : 0); return 0; }\n";
    let program = c("daemon", source, &["-g", "-D_DEFAULT_SOURCE"]);
    let out = run(&["--wait", "60", "--", path(&program), "1"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{said}");
    assert!(said.contains("Direct leak of 4242 byte(s)") && said.contains("1 with leaks"), "{said}");
    let out = run(&["--wait", "0", "--", path(&program), "3"]);
    let said = text(&out.stderr);
    assert!(said.contains("daemon: not checked: it is still running"), "{said}");
}

#[test]
fn what_is_wrong_in_options_is_said_once() {
    let script = format!("{0}; {0}; exec {0}", path(clean()));
    let out = told("LSAN_OPTIONS", "nonsense=1:color=maybe", &["--", "sh", "-c", &script]);
    let said = text(&out.stderr);
    assert_eq!(said.matches("there is no option 'nonsense'").count(), 1, "{said}");
    assert_eq!(said.matches("LSAN_OPTIONS: 'maybe' is not a value for color").count(), 1, "{said}");
    let said = text(&told("STANDSTILL_OPTIONS", "help=1", &["--", "sh", "-c", &script]).stderr);
    assert_eq!(said.matches("\tmax_leaks (number, default 0)\n").count(), 1, "{said}");
}

#[test]
fn what_is_not_there_is_said_before_the_run() {
    let out = run(&["--debug-dir", "/nonexistent", "--", path(leaky())]);
    let said = text(&out.stderr);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(125), String::new()), "{said}");
    assert!(said.contains("--debug-dir /nonexistent: there is no such directory"), "{said}");
    let out = output(command(&["render"]));
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("-: empty, not a record"), "{}", text(&out.stderr));
}

#[test]
fn a_library_that_is_none_is_refused_before_the_run() {
    let fixed = c("fixed-address", "int main(void) { return 0; }", &["-no-pie"]);
    let pie = c("position-independent", "int main(void) { return 0; }", &["-pie", "-fPIE"]);
    let other = c("another.so", "int nothing;", &["-shared", "-fPIC"]);
    let cases = [
        ("/etc/passwd", "no shared library for this machine"),
        ("/", "it is a directory"),
        ("/nonexistent.so", "No such file"),
        (path(&fixed), "a program, not a library"),
        (path(&pie), "a program, not a library"),
        (path(&other), "another library than Standstill's"),
    ];
    for (file, why) in cases {
        let out = run(&["--library", file, "--", path(leaky())]);
        let said = text(&out.stderr);
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(125), String::new()), "{file}: {said}");
        assert!(said.contains(file) && said.contains(why), "{said}");
    }
}

#[test]
fn a_file_that_does_not_start_is_explained() {
    let script = |name: &str, content: &str| {
        let file = folder().join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    };
    let said = |program: &Path, code| {
        let out = run(&["--", path(program)]);
        assert_eq!(out.status.code(), Some(code), "{}", text(&out.stderr));
        text(&out.stderr)
    };
    let plain = said(&script("no-interpreter", "echo hello\n"), 126);
    assert!(plain.contains("standstill run -- sh ") && plain.contains("#!"), "{plain}");
    let missing = said(&script("missing-interpreter", "#!/nonexist -x\necho\n"), 127);
    assert!(missing.contains("its interpreter /nonexist does not exist"), "{missing}");
    let flags = ["-Wl,--dynamic-linker=/nonexist/ld.so"];
    let program = c("missing-loader", "int main(void) { return 0; }\n", &flags);
    let missing = said(&program, 127);
    assert!(missing.contains("its loader /nonexist/ld.so does not exist"), "{missing}");
}
