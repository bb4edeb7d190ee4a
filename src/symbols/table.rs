//! Functions or variables by address, from ELF symbol tables.

use std::fs::File;
use std::path::Path;

use object::read::ReadCache;
use object::{Object, ObjectSymbol, SymbolKind};

/// Symbols of one kind, sorted by address.
#[derive(Default)]
pub struct Table {
    symbols: Vec<Named>,
}

struct Named {
    start: u64,
    /// One past the end; 0 when the symbol has no size.
    end: u64,
    name: String,
}

impl Table {
    /// The symbols of one kind of all of `files`, which describe the same addresses (a file and its debug file). A file that
    /// cannot be read adds nothing.
    pub fn read<'a>(files: impl Iterator<Item = &'a Path>, kind: SymbolKind) -> Table {
        let mut symbols = Vec::new();
        for path in files {
            let Ok(file) = File::open(path) else { continue };
            let cache = ReadCache::new(file);
            let Ok(object) = object::File::parse(&cache) else { continue };
            for symbol in object.symbols().chain(object.dynamic_symbols()) {
                let wanted = symbol.kind() == kind && symbol.is_definition();
                let Ok(name) = symbol.name() else { continue };
                if wanted && !name.is_empty() {
                    let (start, size) = (symbol.address(), symbol.size());
                    let end = if size > 0 { start.saturating_add(size) } else { 0 };
                    symbols.push(Named { start, end, name: name.to_owned() });
                }
            }
        }
        // Of aliases at one address the first by name is taken, so that a report is the same in every run; names
        // with leading underscores are the internal ones and come last.
        symbols.sort_by(|a, b| {
            let underscores = |name: &str| name.bytes().take_while(|byte| *byte == b'_').count();
            let key = |f: &Named| (f.start, std::cmp::Reverse(f.end), underscores(&f.name));
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        symbols.dedup_by_key(|function| function.start);
        Table { symbols }
    }

    /// The functions of one file; `None` if it cannot be read.
    pub fn read_known(path: &Path) -> Option<Table> {
        let cache = ReadCache::new(File::open(path).ok()?);
        object::File::parse(&cache).ok()?;
        Some(Table::read(std::iter::once(path), SymbolKind::Text))
    }

    /// Their names; of several names for one function only one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.symbols.iter().map(|function| function.name.as_str())
    }

    /// The mangled name of what is at `address`, and where that begins. A function without a size reaches to the next one; an address
    /// behind the end of a function belongs to none, rather than to the nearest exported one.
    pub fn find(&self, address: u64) -> Option<(&str, u64)> {
        let index = self.symbols.partition_point(|function| function.start <= address).checked_sub(1)?;
        let function = &self.symbols[index];
        (function.end == 0 || address < function.end).then_some((function.name.as_str(), function.start))
    }
}
