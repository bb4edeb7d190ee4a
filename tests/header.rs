//! standstill.h compiles in every dialect that users have, alone and beside LLVM's header, and its numbers are Cargo's.

mod support;

use std::path::PathBuf;
use std::process::Command;

use support::toolchain::compilers;

/// A translation unit with nothing but the header and a use of each initialiser.
const UNIT: &str = r#"
#include "standstill.h"
#include "standstill.h"
static struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
static struct standstill_check_result result = STANDSTILL_RESULT_INIT;
static struct standstill_scope scope = STANDSTILL_SCOPE_INIT;
static struct standstill_step steps[4];
static struct standstill_chain chain = STANDSTILL_CHAIN_INIT(steps, 4);
typedef char version_is_composed[STANDSTILL_VERSION == 10000 * STANDSTILL_VERSION_MAJOR
                                 + 100 * STANDSTILL_VERSION_MINOR + STANDSTILL_VERSION_PATCH ? 1 : -1];
typedef char clean_is_zero[STANDSTILL_CLEAN == 0 && STANDSTILL_LEAKS == 1 ? 1 : -1];
int test(void);
int test(void) { return options.size == 0 || result.size == 0 || chain.size == 0 || scope.size == 0 || sizeof(version_is_composed) != sizeof(clean_is_zero); }
"#;

fn unit(name: &str, text: &str) -> PathBuf {
    let path = support::scratch("header").join(name);
    std::fs::write(&path, text).expect("target/tmp can be written");
    path
}

fn compile(driver: &std::path::Path, flags: &[&str], source: &PathBuf) {
    let out = Command::new(driver)
        .args(flags)
        .args(["-fsyntax-only", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(support::root().join("ffi/include"))
        .arg(source)
        .output()
        .expect("a compiler that was found can be started");
    assert!(out.status.success(), "{driver:?} {flags:?}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn compiles_as_c_and_cxx() {
    let (c, cxx) = (unit("unit.c", UNIT), unit("unit.cpp", UNIT));
    for compiler in compilers() {
        for standard in ["-std=c99", "-std=c11", "-std=c17", "-std=gnu17"] {
            compile(&compiler.cc, &[standard, "-Wstrict-prototypes"], &c);
        }
        for standard in ["-std=c++11", "-std=c++17", "-std=c++20"] {
            compile(compiler.cxx.as_ref().expect("C++"), &[standard], &cxx);
        }
    }
}

#[test]
fn lives_beside_lsan_interface_h() {
    let text = format!(
        "#if __has_include(<sanitizer/lsan_interface.h>)\n#include <sanitizer/lsan_interface.h>\n#endif\n{UNIT}"
    );
    let (c, cxx) = (unit("beside.c", &text), unit("beside.cpp", &text));
    for compiler in compilers() {
        compile(&compiler.cc, &["-std=gnu17"], &c);
        compile(compiler.cxx.as_ref().expect("C++"), &["-std=c++17"], &cxx);
    }
}

#[test]
fn versions_are_those_of_cargo() {
    let header =
        std::fs::read_to_string(support::root().join("ffi/include/standstill.h")).expect("the header");
    let number = |name: &str| {
        let line =
            header.lines().find(|line| line.starts_with(&format!("#define STANDSTILL_VERSION_{name} ")));
        line.and_then(|line| line.split_whitespace().last()).expect("the macro is there").to_owned()
    };
    assert_eq!(number("MAJOR"), env!("CARGO_PKG_VERSION_MAJOR"));
    assert_eq!(number("MINOR"), env!("CARGO_PKG_VERSION_MINOR"));
    assert_eq!(number("PATCH"), env!("CARGO_PKG_VERSION_PATCH"));
    assert_eq!(number("STRING"), format!("\"{}\"", env!("CARGO_PKG_VERSION")));
}

/// Every function that the header declares is exported, and says in its comment what its callers must know.
#[test]
fn every_function_is_described() {
    let header =
        std::fs::read_to_string(support::root().join("ffi/include/standstill.h")).expect("the header");
    let exports = support::exports();
    let declared: Vec<&str> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '*', '/', '#']))
        .filter_map(|line| line.split_once('(')?.0.split_whitespace().last())
        .filter(|name| name.starts_with("standstill_"))
        .collect();
    assert!(declared.len() >= 8, "{declared:?}");
    for name in declared {
        assert!(exports.iter().any(|export| export == name), "{name} is not in ffi/exports.txt");
        let comment = header
            .split("/*")
            .filter_map(|part| part.split_once("*/"))
            // Its own comment has its signature; others may mention it.
            .find(|(comment, _)| {
                comment.lines().any(|line| line.contains(&format!(" {name}(")) && !line.contains("()"))
            })
            .unwrap_or_else(|| panic!("{name} has no comment"));
        for word in ["xits", "epeatable", "check"] {
            assert!(comment.0.contains(word), "the comment of {name} does not say: {word}");
        }
    }
}
