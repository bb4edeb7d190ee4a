//! Symbols of small programs that are compiled here: with debug information inside, beside, by build id, and with none.

use std::process::Command;

use object::{Object, ObjectSymbol};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("standstill-symbols-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(program).args(arguments).current_dir(&self.0).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    fn compile(&self, compiler: &str, file: &str, source: &str, flags: &[&str]) -> PathBuf {
        std::fs::write(self.0.join(file), source).unwrap();
        self.run(compiler, &[&["-o", "program", file], flags].concat());
        self.0.join("program")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The address a few bytes inside the function whose mangled name contains `name`, and the file's build id.
fn inside(program: &Path, name: &str) -> (u64, Vec<u8>) {
    let bytes = std::fs::read(program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbol = file.symbols().find(|symbol| symbol.name().is_ok_and(|of| of.contains(name))).unwrap();
    (symbol.address() + 1, file.build_id().unwrap().unwrap_or_default().to_vec())
}

const SOURCE: &str = "\
#include <stdlib.h>
static inline __attribute__((always_inline)) void *deep(int n) { return malloc(n); }
__attribute__((noinline)) void *outer(int n) {
    return deep(n);
}
static __attribute__((noinline)) void *hidden(int n) { return realloc(0, n); }
int main(int n, char **v) { return outer(n) == hidden(n); }
";

const FLAGS: &[&str] = &["-g", "-O1", "-Wl,--build-id", "-fno-optimize-sibling-calls"];

/// What is known of every address of a function, together.
fn names(symbolizer: &mut Symbolizer, program: &Path, build_id: &[u8], from: u64) -> Vec<Vec<Symbol>> {
    (from..from + 12).map(|address| symbolizer.find(program, build_id, address).to_vec()).collect()
}

fn has_inlined_call(all: &[Vec<Symbol>]) -> bool {
    all.iter().any(|symbols| match &symbols[..] {
        [inner, outer] => {
            assert_eq!(inner.function.as_deref(), Some("deep"));
            assert_eq!(outer.function.as_deref(), Some("outer"));
            assert!(inner.inlined && !outer.inlined);
            assert_eq!((inner.line, outer.line), (Some(2), Some(4)));
            inner.file.as_ref().is_some_and(|file| file.ends_with("a.c"))
        }
        _ => false,
    })
}

#[test]
fn inlined_frames_and_lines_come_from_the_file_itself() {
    let folder = Folder::new("inside");
    let program = folder.compile("cc", "a.c", SOURCE, FLAGS);
    let (address, build_id) = inside(&program, "outer");
    let mut symbolizer = Symbolizer::default();
    let all = names(&mut symbolizer, &program, &build_id, address);
    assert!(has_inlined_call(&all), "{all:?}");
    assert!(symbolizer.problems.is_empty(), "{:?}", symbolizer.problems);
}

#[test]
fn a_separate_debug_file_is_found_by_link_and_by_build_id() {
    let folder = Folder::new("separate");
    let program = folder.compile("cc", "a.c", SOURCE, FLAGS);
    let (address, build_id) = inside(&program, "outer");
    folder.run("objcopy", &["--only-keep-debug", "program", "program.debug"]);
    folder.run("strip", &["program"]);
    let bare = names(&mut Symbolizer::default(), &program, &build_id, address);
    assert!(!has_inlined_call(&bare));

    folder.run("objcopy", &["--add-gnu-debuglink=program.debug", "program"]);
    let linked = names(&mut Symbolizer::default(), &program, &build_id, address);
    assert!(has_inlined_call(&linked), "{linked:?}");

    let hex: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let by_id = folder.0.join(format!("root/.build-id/{}", &hex[..2]));
    std::fs::create_dir_all(&by_id).unwrap();
    std::fs::rename(folder.0.join("program.debug"), by_id.join(format!("{}.debug", &hex[2..]))).unwrap();
    let without = names(&mut Symbolizer::default(), &program, &build_id, address);
    assert!(!has_inlined_call(&without));
    let with = names(&mut Symbolizer::new(&[folder.0.join("root")]), &program, &build_id, address);
    assert!(has_inlined_call(&with), "{with:?}");
}

#[test]
fn a_debug_link_whose_file_is_another_one_is_not_followed() {
    let folder = Folder::new("foreign");
    let program = folder.compile("cc", "a.c", SOURCE, FLAGS);
    let (address, build_id) = inside(&program, "outer");
    folder.run("objcopy", &["--only-keep-debug", "program", "program.debug"]);
    folder.run("strip", &["program"]);
    folder.run("objcopy", &["--add-gnu-debuglink=program.debug", "program"]);
    let debug = folder.0.join("program.debug");
    let mut bytes = std::fs::read(&debug).unwrap();
    bytes.push(0);
    std::fs::write(&debug, bytes).unwrap();
    assert!(!has_inlined_call(&names(&mut Symbolizer::default(), &program, &build_id, address)));
}

#[test]
fn without_debug_information_names_come_from_the_symbol_table_or_not_at_all() {
    let folder = Folder::new("table");
    let program = folder.compile("cc", "a.c", SOURCE, &["-O1", "-rdynamic", "-Wl,--build-id"]);
    let ((outer, build_id), (hidden, _)) = (inside(&program, "outer"), inside(&program, "hidden"));
    let name = |address: u64| {
        let found = Symbolizer::default().find(&program, &build_id, address);
        found.first().and_then(|symbol| symbol.function.clone())
    };
    assert_eq!((name(outer).as_deref(), name(hidden).as_deref()), (Some("outer"), Some("hidden")));
    folder.run("strip", &["program"]);
    // What is exported is still known; what is not is not given the name of its exported neighbour.
    assert_eq!((name(outer).as_deref(), name(hidden)), (Some("outer"), None));
}

#[test]
fn a_file_that_was_replaced_gives_no_names() {
    let folder = Folder::new("replaced");
    let program = folder.compile("cc", "a.c", SOURCE, FLAGS);
    let (address, mut build_id) = inside(&program, "outer");
    build_id[0] ^= 1;
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.find(&program, &build_id, address).is_empty());
    assert!(symbolizer.problems[0].contains("replaced"), "{:?}", symbolizer.problems);
    assert!(symbolizer.find(&folder.0, &[], 1).is_empty());
    assert!(symbolizer.find(Path::new("/nonexistent/file"), &[], 1).is_empty());
}

#[test]
fn cpp_and_rust_names_are_demangled() {
    let folder = Folder::new("demangle");
    let cpp = "namespace zoo { template <class T> struct Box { T *make(int); };\n\
               template <class T> __attribute__((noinline)) T *Box<T>::make(int n) { return new T[n]; } }\n\
               int main(int n, char **) { return zoo::Box<char>().make(n)[0]; }\n";
    let program = folder.compile("c++", "b.cc", cpp, &["-g", "-Wl,--build-id"]);
    let (address, build_id) = inside(&program, "make");
    let found = Symbolizer::default().find(&program, &build_id, address);
    assert_eq!(found[0].function.as_deref(), Some("zoo::Box<char>::make(int)"));
    assert_eq!(found[0].line, Some(2));

    let rust = "#[inline(never)] pub fn keeper(n: usize) -> Vec<u8> { vec![1; n] }\n\
                fn main() { std::process::exit(keeper(std::env::args().count()).len() as i32) }\n";
    let program = folder.compile("rustc", "c.rs", rust, &["-g", "--crate-name", "zoo"]);
    let (address, build_id) = inside(&program, "keeper");
    let found = Symbolizer::default().find(&program, &build_id, address);
    assert_eq!(found.last().and_then(|symbol| symbol.function.as_deref()), Some("zoo::keeper"));
}
