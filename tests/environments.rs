//! The same leak report of a program with threads, wherever it runs: under debuggers and tracers, behind filters and
//! without privileges, in namespaces, and without /proc.
//!
//! The program is linked with the archive, so that it needs nothing in its environment. Where a machine does not have a
//! tool or forbids a namespace, the test says so and passes.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use support::library::library;

/// Three threads wait in three ways, each with the only pointer to a block; main leaks a block and one that only it holds.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static sem_t ready, never;
static void *waits(void *kind) {
  void *volatile only = malloc(1000);
  sem_post(&ready);
  if (kind == 0) sem_wait(&never);
  if (kind == (void *)1) poll(NULL, 0, -1);
  for (volatile int i = 0;; i++) {}
  free(only);
  return kind;
}
__attribute__((noinline)) static void leaks(void) {
  void **volatile lost = malloc(4242);
  *lost = malloc(100);
  lost = NULL;
}
static void deny_ptrace(unsigned action) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(77);
}
int main(int count, char **arguments) {
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  for (int i = 1; i < count; i++) {
    if (!strcmp(arguments[i], "errno")) deny_ptrace(SECCOMP_RET_ERRNO | EPERM);
    if (!strcmp(arguments[i], "kill")) deny_ptrace(SECCOMP_RET_KILL_PROCESS);
    if (!strcmp(arguments[i], "undumpable") && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) _exit(77);
    if (!strcmp(arguments[i], "uid") && setresuid(65534, 65534, 65534)) _exit(77);
  }
  for (long i = 0; i < 3; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, waits, (void *)i)) abort();
    sem_wait(&ready);
  }
  leaks();
  printf("done\n");
  return 0;
}
"#;

fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("environments");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}

fn compile(name: &str, flags: &[&str]) -> Option<PathBuf> {
    let (file, program) = (folder().join(format!("{name}.c")), folder().join(name));
    std::fs::write(&file, PROGRAM).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-g", "-O0", "-pthread"]).args(flags).arg(&file).arg(&library().archive);
    compiler.arg("-o").arg(&program).status().unwrap().success().then_some(program)
}

fn program() -> &'static str {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| compile("leaky", &[]).expect("the program builds"));
    program.to_str().unwrap()
}

/// What came of `words`; `None` when the machine has no such tool.
fn run(words: &[&str]) -> Option<Output> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("STANDSTILL_OPTIONS", "symbolize=0").env_remove("LSAN_OPTIONS").env_remove("LD_PRELOAD");
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {}: {error}", words[0]);
            return None;
        }
    };
    let pid = child.id();
    let guard = std::thread::spawn(move || child.wait_with_output().unwrap());
    let begun = Instant::now();
    while !guard.is_finished() {
        // A hang must fail the test and not the whole run.
        assert!(begun.elapsed() < Duration::from_secs(60), "process {pid} hangs: {words:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(guard.join().unwrap())
}

/// All that was printed: a debugger has both streams in one.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs the program behind `words` and compares the report with that of a plain run.
fn reports_the_same(words: &[&str], arguments: &[&str]) {
    let mut all = words.to_vec();
    all.push(program());
    all.extend(arguments);
    let Some(output) = run(&all) else { return };
    let text = text(&output);
    if output.status.code() == Some(77) || text.contains("Operation not permitted") && !text.contains("done")
    {
        println!("skipped: this machine forbids {all:?}: {text}");
        return;
    }
    has_the_report(&all, &text);
    assert!(!text.contains("incomplete") && !text.contains("not everything was seen"), "{all:?}: {text}");
}

fn has_the_report(words: &[&str], text: &str) {
    assert!(text.contains("done"), "{words:?}: {text}");
    for part in [
        "Direct leak of 4242 byte(s) in 1 object(s)",
        "Indirect leak of 100 byte(s) in 1 object(s)",
        "SUMMARY: LeakSanitizer: 4342 byte(s) leaked in 2 allocation(s).",
    ] {
        assert!(text.contains(part), "{words:?}: no {part:?} in {text}");
    }
}

#[test]
fn plain() {
    reports_the_same(&[], &[]);
    assert_eq!(run(&[program()]).unwrap().status.code(), Some(23));
}

#[test]
fn under_gdb() {
    let quiet =
        ["gdb", "-nx", "-batch", "-iex", "set startup-with-shell off", "-iex", "set debuginfod enabled off"];
    let mut words = quiet.to_vec();
    words.extend(["-ex", "run", "--args"]);
    reports_the_same(&words, &[]);
}

/// With the command in PATH, and with the library loaded before libc: gdb follows neither the task between the program and the
/// command, nor the command.
#[test]
fn under_gdb_with_functions_and_lines() {
    let command = library().command.parent().unwrap().to_str().unwrap();
    let path = format!("set environment PATH={command}:/usr/bin:/bin");
    let preload = format!("set environment LD_PRELOAD={}", library().shared.display());
    for more in [&["-iex", &path][..], &["-iex", &path, "-iex", &preload]] {
        let mut words = vec![
            "gdb",
            "-nx",
            "-batch",
            "-iex",
            "set startup-with-shell off",
            "-iex",
            "set debuginfod enabled off",
        ];
        words.extend(more);
        words.extend(["-iex", "set environment STANDSTILL_OPTIONS=", "-ex", "run", "--args", program()]);
        let Some(output) = run(&words) else { return };
        let text = text(&output);
        for part in ["done", "in leaks ", "SUMMARY: LeakSanitizer: 4342 byte(s) leaked in 2 allocation(s)."] {
            assert!(text.contains(part), "{words:?}: no {part:?} in {text}");
        }
        assert!(!text.contains("executing new program"), "{text}");
    }
}

#[test]
fn under_strace() {
    reports_the_same(&["strace", "-f", "-o", "/dev/null"], &[]);
}

#[test]
fn behind_a_filter_that_refuses_ptrace() {
    reports_the_same(&[], &["errno"]);
}

#[test]
fn behind_a_filter_that_kills_who_calls_ptrace() {
    reports_the_same(&[], &["kill"]);
}

#[test]
fn when_it_may_not_be_dumped() {
    reports_the_same(&[], &["undumpable"]);
    reports_the_same(&[], &["uid"]);
}

#[test]
fn in_a_user_namespace() {
    reports_the_same(&["unshare", "--user", "--map-root-user"], &[]);
}

/// /proc is of the outer namespace, so that all numbers in it are others.
#[test]
fn in_a_pid_namespace_without_its_own_proc() {
    reports_the_same(&["unshare", "--user", "--map-root-user", "--pid", "--fork"], &[]);
}

/// Without /proc threads and mappings are found by asking the kernel for each number and address. What only /proc tells was not
/// seen, and that is said.
#[test]
fn in_a_root_without_proc() {
    let Some(program) = compile("leaky-static", &["-static"]) else {
        println!("skipped: no static C library");
        return;
    };
    let root = folder().join("root");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::copy(&program, root.join("leaky")).unwrap();
    let words = ["unshare", "--user", "--map-root-user", "chroot", root.to_str().unwrap(), "/leaky"];
    let Some(output) = run(&words) else { return };
    let text = text(&output);
    if text.contains("Operation not permitted") && !text.contains("done") {
        println!("skipped: this machine forbids {words:?}: {text}");
        return;
    }
    assert!(text.contains("done"), "{text}");
    // Other processors' kernels need /proc to have calls made again that the stop interrupts.
    if cfg!(target_arch = "x86_64") {
        for part in [
            "4342 byte(s) in 2 object(s) were not reached and would have been reported as leaked",
            "not everything was seen: there is no /proc",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    } else {
        assert!(text.contains("could not check: /proc cannot be read"), "{text}");
    }
}
