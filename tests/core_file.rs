//! A core file written by a living program with twenty threads shows the same backtraces in gdb as gdb attached to it.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use support::library::library;

const PROGRAM: &str = r#"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "standstill.h"
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t ready;
static volatile int spinning = 1;
static int ends[2];
__attribute__((noinline)) static void spins(void) { while (spinning) {} }
__attribute__((noinline)) static void sleeps(void) { struct timespec t = {1000, 0}; nanosleep(&t, 0); }
__attribute__((noinline)) static void reads(void) { char c; if (read(ends[0], &c, 1) < 0) abort(); }
__attribute__((noinline)) static void waits(void) {
  pthread_mutex_lock(&mutex);
  pthread_cond_wait(&never, &mutex);
  pthread_mutex_unlock(&mutex);
}
__attribute__((noinline)) static void polls(void) { struct pollfd p = {ends[0], POLLIN, 0}; poll(&p, 1, -1); }
__attribute__((noinline)) static int compare(const void *a, const void *b) {
  if (*(const int *)a < 0) polls();
  return *(const int *)a - *(const int *)b;
}
__attribute__((noinline)) static void inside_qsort(void) { int values[4] = {-1, 3, -2, 1}; qsort(values, 4, sizeof(int), compare); }
__attribute__((noinline)) static void deep(long kind, int depth) {
  volatile char room[64];
  room[0] = (char)depth;
  if (depth > 0) deep(kind, depth - 1);
  else switch (kind % 6) {
    case 0: sleeps(); break;
    case 1: reads(); break;
    case 2: waits(); break;
    case 3: polls(); break;
    case 4: inside_qsort(); break;
    default: if (kind > 12) sleeps(); else spins();
  }
  room[1] = room[0];
}
static void *run(void *number) {
  sem_post(&ready);
  deep((long)number, (int)((long)number % 7));
  return 0;
}
__attribute__((noinline)) static int write_it(const char *path) {
  struct standstill_core_result result = STANDSTILL_CORE_RESULT_INIT;
  int code = standstill_write_core(path, &result);
  printf("code %d threads %d without %d unreadable %d\n", code, (int)result.threads, (int)result.threads_without_registers, (int)result.unreadable_bytes);
  fflush(stdout);
  return code;
}
int main(int argc, char **argv) {
  char *secret = strdup("a secret on the heap");
  if (argc < 2 || pipe(ends) || sem_init(&ready, 0, 0)) return 1;
  for (long i = 0; i < 20; i++) { pthread_t t; if (pthread_create(&t, 0, run, (void *)i)) return 1; }
  for (int i = 0; i < 20; i++) while (sem_wait(&ready)) {}
  usleep(300000);
  write_it(argv[1]);
  getchar();
  return secret[0] == 0;
}
"#;

/// The functions of each thread's frames, innermost first, by thread id.
fn backtraces(gdb: &mut Command) -> BTreeMap<u64, Vec<String>> {
    gdb.args(["-nx", "-batch", "-ex", "set print frame-arguments none", "-ex", "thread apply all bt"]);
    let out = gdb.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let thread = regex::Regex::new(r"^Thread \d+ \(.*?LWP (\d+)").unwrap();
    let frame = regex::Regex::new(r"^#\d+\s+(?:0x[0-9a-f]+ in )?(\S+)").unwrap();
    let mut all = BTreeMap::<u64, Vec<String>>::new();
    let mut current = 0;
    for line in text.lines() {
        if let Some(found) = thread.captures(line) {
            current = found[1].parse().unwrap();
            all.insert(current, vec![]);
        } else if let Some(found) = frame.captures(line)
            && let Some(frames) = all.get_mut(&current)
        {
            frames.push(found[1].to_string());
        }
    }
    assert!(!all.is_empty(), "gdb: {text}\n{}", String::from_utf8_lossy(&out.stderr));
    all
}

#[test]
fn backtraces_are_those_of_gdb_attached_live() {
    if Command::new("gdb").arg("--version").output().is_err() {
        println!("no gdb on this machine");
        return;
    }
    let folder = support::scratch("core-file");
    let (source, program, core) = (folder.join("t.c"), folder.join("t"), folder.join("core"));
    std::fs::write(&source, PROGRAM).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/ffi/include");
    let mut cc = Command::new("cc");
    cc.args(["-g", "-O1", "-pthread", "-I", include])
        .arg(&source)
        .arg(&library().archive)
        .arg("-o")
        .arg(&program);
    assert!(cc.status().unwrap().success());

    let mut child = Command::new(&program)
        .arg(&core)
        .env("STANDSTILL_OPTIONS", "detect_leaks=0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = child.id();
    let live = backtraces(Command::new("gdb").args(["-p", &pid.to_string()]));
    // Its standard input ends: so does the program.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let dead = backtraces(Command::new("gdb").arg(&program).arg(&core));

    assert_eq!(line, "code 0 threads 21 without 0 unreadable 0\n");
    assert_eq!(live.len(), 21);
    assert_eq!(live.keys().collect::<Vec<_>>(), dead.keys().collect::<Vec<_>>());
    for (tid, frames) in &dead {
        if *tid == u64::from(pid) {
            // It went on meanwhile: here it stands where it asked.
            assert_eq!(frames[..2], ["write_it", "main"], "{frames:?}");
        } else {
            assert_eq!(Some(frames), live.get(tid), "thread {tid}");
            assert!(frames.iter().any(|frame| frame == "deep") && frames.iter().any(|frame| frame == "run"));
        }
    }

    // Memory is there too: a variable of main's that points to the heap.
    let out = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "frame function main", "-ex", "print secret", "-ex", "info auxv"])
        .arg(&program)
        .arg(&core)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("a secret on the heap"), "{text}");
    assert!(text.contains("AT_PHDR"), "{text}");
    let meta = std::fs::metadata(&core).unwrap();
    // Stacks of 8 MiB a thread are holes.
    let (apparent, blocks) = (meta.len(), std::os::unix::fs::MetadataExt::blocks(&meta) * 512);
    assert!(apparent > 100 << 20 && blocks < 32 << 20, "{apparent} bytes, {blocks} on disk");
}
