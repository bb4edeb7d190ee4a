//! From an address in a file to functions, files and lines, inlined frames included.
//!
//! DWARF is read by `addr2line` from the file itself or from its separate debug file ([`debug_file`]); where there is
//! no DWARF, a function's name comes from the symbol table. Symbols are used only from a file whose build id is the one
//! that the process had loaded: a wrong name is worse than none.

mod debug_file;
mod demangle;
mod table;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use addr2line::Loader;

use crate::run::Problem;

use debug_file::DebugFile;
pub use demangle::demangle;
use table::{Kind, Table};

/// One function that was executing at an address. An address has several when calls were inlined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// The function, demangled.
    pub function: Option<String>,
    /// Its source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// The compiler put this function's code into the next one's.
    pub inlined: bool,
}

/// Names by which a program has an allocator of its own: malloc itself, and the prefixes under which jemalloc, mimalloc,
/// tcmalloc and Go's runtime are linked into programs.
const ALLOCATORS: [&str; 7] = [
    "malloc",
    "je_malloc",
    "_rjem_malloc",
    "mi_malloc",
    "tc_malloc",
    "TCMallocInternalMalloc",
    "runtime.mallocgc",
];

/// True if the file `path` defines an allocator, and if it cannot be read, so that nothing is known of it.
pub fn may_define_allocator(path: &Path) -> bool {
    Table::read_known(path).is_none_or(|table| table.names().any(|name| ALLOCATORS.contains(&name)))
}

/// An error for the first of `directories` that is none: nothing would be found there, without a word.
pub fn check_directories(directories: &[PathBuf]) -> Result<(), Problem> {
    match directories.iter().find(|directory| !directory.is_dir()) {
        Some(wrong) => {
            Err(Problem::new(format!("--debug-dir {}: there is no such directory", wrong.display())))
        }
        None => Ok(()),
    }
}

/// Finds symbols and remembers what it found.
#[derive(Default)]
pub struct Symbolizer {
    directories: Vec<PathBuf>,
    /// Nothing is looked for.
    is_off: bool,
    files: HashMap<(PathBuf, Vec<u8>), Option<Rc<Source>>>,
    found: HashMap<(PathBuf, u64), Rc<[Symbol]>>,
    /// Files whose symbols could not be used, each with the reason.
    pub problems: Vec<String>,
}

struct Source {
    files: DebugFile,
    dwarf: Option<Loader>,
    /// Read when they are asked for: most frames have their names from DWARF.
    functions: OnceCell<Table>,
    variables: OnceCell<Table>,
}

impl Symbolizer {
    /// A symbolizer that looks for separate debug files also under `directories`, each laid out as /usr/lib/debug is.
    pub fn new(directories: &[PathBuf]) -> Symbolizer {
        Symbolizer { directories: directories.to_vec(), ..Symbolizer::default() }
    }

    /// One that names nothing (option `symbolize=0`).
    pub fn off() -> Symbolizer {
        Symbolizer { is_off: true, ..Symbolizer::default() }
    }

    /// The functions at `address` of the file `path` (an address as the file counts, not as the process did), innermost
    /// first. Empty when nothing is known.
    pub fn find(&mut self, path: &Path, build_id: &[u8], address: u64) -> Rc<[Symbol]> {
        if let Some(found) = self.found.get(&(path.to_path_buf(), address)) {
            return found.clone();
        }
        let found: Rc<[Symbol]> = match self.source(path, build_id) {
            Some(source) => source.find(address).into(),
            None => Rc::default(),
        };
        self.found.insert((path.to_path_buf(), address), found.clone());
        found
    }

    /// The variable at `address` of the file `path`, and how far behind its beginning that is. `None` when no symbol
    /// table names one.
    pub fn variable(&mut self, path: &Path, build_id: &[u8], address: u64) -> Option<(String, u64)> {
        let source = self.source(path, build_id)?;
        let (name, start) = source.variables().find(address)?;
        Some((demangle(name), address - start))
    }

    fn source(&mut self, path: &Path, build_id: &[u8]) -> Option<Rc<Source>> {
        if self.is_off {
            return None;
        }
        let key = (path.to_path_buf(), build_id.to_vec());
        if let Some(source) = self.files.get(&key) {
            return source.clone();
        }
        let source = self.open(path, build_id).map(Rc::new);
        self.files.insert(key, source.clone());
        source
    }

    fn open(&mut self, path: &Path, build_id: &[u8]) -> Option<Source> {
        let debug = match debug_file::find(path, build_id, &self.directories) {
            Ok(debug) => debug,
            Err(problem) => {
                // The kernel's own pages (linux-vdso.so.1) have no file.
                if path.is_absolute() {
                    self.problems.push(format!("no symbols for {}: {problem}", path.display()));
                }
                return None;
            }
        };
        let dwarf = debug.dwarf.as_ref().and_then(|dwarf| {
            Loader::new_with_sup(dwarf, debug.supplement.as_ref())
                .inspect_err(|error| {
                    self.problems.push(format!("no source lines for {}: {error}", path.display()));
                })
                .ok()
        });
        Some(Source { files: debug, dwarf, functions: OnceCell::new(), variables: OnceCell::new() })
    }
}

impl Source {
    fn functions(&self) -> &Table {
        self.functions.get_or_init(|| Table::read(self.files.tables(), Kind::Function))
    }

    fn variables(&self) -> &Table {
        self.variables.get_or_init(|| Table::read(self.files.tables(), Kind::Variable))
    }

    fn find(&self, address: u64) -> Vec<Symbol> {
        let mut list = self.frames(address);
        let name = || self.functions().find(address).map(|(name, _)| demangle(name));
        match list.last_mut() {
            None => list.extend(name().map(|name| Symbol { function: Some(name), ..Symbol::default() })),
            Some(outermost) if outermost.function.is_none() => outermost.function = name(),
            Some(_) => {}
        }
        let last = list.len().saturating_sub(1);
        for symbol in list.iter_mut().take(last) {
            symbol.inlined = true;
        }
        list
    }

    fn frames(&self, address: u64) -> Vec<Symbol> {
        let mut list = Vec::new();
        let Some(mut frames) = self.dwarf.as_ref().and_then(|dwarf| dwarf.find_frames(address).ok()) else {
            return list;
        };
        // Damaged DWARF ends the list early.
        while let Ok(Some(frame)) = frames.next() {
            let function = frame
                .function
                .as_ref()
                .and_then(|function| function.raw_name().ok())
                .map(|name| demangle(&name));
            let location = frame.location.as_ref();
            list.push(Symbol {
                function,
                file: location.and_then(|location| location.file).map(str::to_owned),
                // Line 0 is DWARF's word for "no line".
                line: location.and_then(|location| location.line).filter(|line| *line > 0),
                column: location.and_then(|location| location.column).filter(|column| *column > 0),
                inlined: false,
            });
        }
        list.retain(|symbol| symbol.function.is_some() || symbol.file.is_some());
        list
    }
}

#[cfg(test)]
mod tests;
