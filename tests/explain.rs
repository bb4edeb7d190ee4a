//! `standstill explain` and what the command says of live objects: names of variables, functions, threads.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use support::library::library;

const PROGRAM: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { long value; struct node *next; };
static struct { long padding[5]; struct node *head; } shelf;
struct node *second_list;
void *shared_by_two[2];
void *lost;
__attribute__((noinline)) struct node *make_node(struct node *next) {
  struct node *node = calloc(1, sizeof *node);
  node->next = next;
  return node;
}
__attribute__((noinline)) void *make_buffer(size_t size) { return calloc(1, size); }
__attribute__((noinline)) void lose(void) { lost = make_buffer(77); lost = NULL; }
int main(int argc, char **argv) {
  (void)argv;
  for (int i = 0; i < 100; i++) shelf.head = make_node(shelf.head);
  second_list = make_node(NULL);
  shared_by_two[0] = shared_by_two[1] = make_buffer(5000);
  second_list->next = shared_by_two[1];
  if (argc > 1) lose();
  return 0;
}
"#;

/// Compiled once: tests run side by side.
fn program() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let folder = support::scratch("explain");
        let (file, program) = (folder.join("shelf.c"), folder.join("shelf"));
        std::fs::write(&file, PROGRAM).unwrap();
        let status = Command::new("cc").args(["-g", "-O1", "-o"]).arg(&program).arg(&file).status().unwrap();
        assert!(status.success());
        program
    };
    MADE.get_or_init(make).clone()
}

fn standstill(words: &[&str], program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standstill"));
    command.args(words).arg("--").arg(program).args(arguments).env("STANDSTILL_LIBRARY", &library().shared);
    command.env_remove("STANDSTILL_OPTIONS").env_remove("LSAN_OPTIONS").env_remove("LD_PRELOAD");
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_function_s_objects_are_explained_from_the_variable_on() {
    let program = program();
    let out = standstill(&["explain", "make_node"], &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    for words in
        ["Alive: 16 byte(s) at 0x", "in make_node ", "shelf.c:", "  held by\n", "variable shelf+0x28 ("]
    {
        assert!(text.contains(words), "no '{words}' in\n{text}");
    }
    assert!(!text.contains("make_buffer"), "another function's objects:\n{text}");
    // The same by size, and a size that nothing has.
    let out = standstill(&["explain", "5000"], &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("Alive: 5000 byte(s)") && text.contains("variable shared_by_two"), "{text}");
    let out = standstill(&["explain", "123456"], &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("no live object matches 123456"), "{text}");
}

#[test]
fn what_nothing_holds_is_lost_and_a_leak() {
    let out = standstill(&["explain", "77"], &program(), &["lose"]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(23), "{text}");
    assert!(text.contains("Lost: 77 byte(s)") && text.contains("nothing holds it: a leak"), "{text}");
}

#[test]
fn reachable_objects_and_what_each_variable_holds_alone() {
    let program = program();
    let json = support::scratch("explain").join("out.json");
    let words = ["run", "--reachable", "--retained", "9", "--json", json.to_str().unwrap()];
    let out = standstill(&words, &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(
        text.contains("Still reachable: 1616 byte(s) in 101 object(s)")
            || text.contains("1600 byte(s) in 100"),
        "{text}"
    );
    assert!(text.contains("  first held by a variable\n"), "{text}");
    // The list has a hundred nodes that only one variable holds; of the second list the node is its own, and the buffer
    // is held by another variable too.
    let row = |bytes: u32, objects: u32, name: &str| {
        let start = format!("{bytes:12} {objects:10} {name}");
        assert!(text.contains(&start), "no '{start}' in\n{text}");
    };
    row(1600, 100, "variable shelf+0x28 (");
    row(16, 1, "variable second_list (");
    row(5000, 1, "several roots together");

    let document: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let survey = &document["processes"][0]["survey"];
    let objects: u64 =
        survey["reachable"].as_array().unwrap().iter().map(|g| g["objects"].as_u64().unwrap()).sum();
    assert!(objects >= 102, "{survey}");
    assert_eq!(survey["reachable"][0]["first_root"], "global");
    assert_eq!(survey["retained"]["shared"]["bytes"], 5000);
    assert!(survey["paths"].as_array().unwrap().is_empty());
    assert_eq!(document["leaked"]["objects"], 0);
}

#[test]
fn who_points_to_an_object_is_told_of_roots_and_of_other_objects() {
    let program = program();
    let json = support::scratch("explain").join("pointers.json");
    let words = ["explain", "--who-points-here", "5000", "--json", json.to_str().unwrap()];
    let out = standstill(&words, &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    // Two variables and the node; a stale word on a stack may be a fourth.
    let told = text.split_once("  pointed to by ").unwrap_or_else(|| panic!("{text}")).1;
    for words in [
        " word(s)\n",
        "    variable shared_by_two (",
        "    variable shared_by_two+0x8 (",
        "    16 byte(s) at 0x",
        ", in offset 8, allocated in make_node ",
    ] {
        assert!(told.contains(words), "no '{words}' in\n{text}");
    }
    let document: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let path = &document["processes"][0]["survey"]["paths"][0];
    let referrers = path["referrers"].as_array().unwrap();
    assert_eq!(path["pointers"].as_u64().unwrap() as usize, referrers.len());
    let is_node = |one: &Value| one["holder"] == "object" && one["offset"] == 8 && one["bytes"] == 16;
    assert_eq!(referrers.iter().filter(|one| is_node(one)).count(), 1, "{path}");
    let is_variable =
        |one: &Value| one["variable"]["name"] == "shared_by_two" && one["word"] == path["address"];
    assert_eq!(referrers.iter().filter(|one| is_variable(one)).count(), 2, "{path}");

    // Fewer than there are.
    let out = standstill(&["explain", "--referrers=1", "5000"], &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("    and 2 more\n") || text.contains("    and 3 more\n"), "{text}");
    // Of many call stacks at once, and of what is lost.
    let out = standstill(&["run", "--explain", "all", "--who-points-here"], &program, &["lose"]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("nothing holds it: a leak\n  no word points to it\n"), "{text}");
    assert!(
        text.contains("variable shared_by_two+0x8 (") && text.contains("variable second_list ("),
        "{text}"
    );
}

#[test]
fn who_points_here_needs_an_object_and_a_number() {
    let program = program();
    let out = standstill(&["run", "--who-points-here"], &program, &[]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{text}");
    assert!(text.contains("--who-points-here says more of --explain WHAT"), "{text}");
    for bad in ["--who-points-here=0", "--who-points-here=many"] {
        let out = standstill(&["explain", bad, "all"], &program, &[]);
        assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
    }
    // Not asked: not told, and null in JSON.
    let out = standstill(&["explain", "5000", "--json", "-"], &program, &[]);
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(document["processes"][0]["survey"]["paths"][0]["pointers"].is_null());
    assert!(!String::from_utf8_lossy(&out.stderr).contains("pointed to"));
}

/// Without the command the library itself prints: modules and offsets.
#[test]
fn the_library_alone_explains_by_module_and_offset() {
    let program = program();
    let mut command = Command::new(&program);
    command.env("LD_PRELOAD", &library().shared).env_remove("LSAN_OPTIONS").stdin(Stdio::null());
    command.env(
        "STANDSTILL_OPTIONS",
        "symbolize=0:explain=5000:explain_referrers=9:report_reachable=1:report_retained=3",
    );
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    for words in [
        "Alive: 5000 byte(s)",
        "    a variable at 0x",
        "shelf+0x",
        "  pointed to by ",
        "Still reachable: ",
        "Retained by roots",
    ] {
        assert!(text.contains(words), "no '{words}' in\n{text}");
    }
}
