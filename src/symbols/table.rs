//! Functions or variables by address, from ELF symbol tables.

use std::fs::File;
use std::path::Path;

use object::elf;
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::read::{FileKind, ReadCache, StringTable};

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Code.
    Function,
    /// Data.
    Variable,
}

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
    pub fn read<'a>(files: impl Iterator<Item = &'a Path>, kind: Kind) -> Table {
        Table::sorted(files.filter_map(|path| symbols(path, kind)).flatten().collect())
    }

    fn sorted(mut symbols: Vec<Named>) -> Table {
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
        symbols(path, Kind::Function).map(Table::sorted)
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

/// What the tables of a file hold of one kind; `None` if it is no ELF file.
fn symbols(path: &Path, kind: Kind) -> Option<Vec<Named>> {
    let cache = ReadCache::new(File::open(path).ok()?);
    match FileKind::parse(&cache).ok()? {
        FileKind::Elf64 => symbols_of::<elf::FileHeader64<object::Endianness>>(&cache, kind),
        FileKind::Elf32 => symbols_of::<elf::FileHeader32<object::Endianness>>(&cache, kind),
        _ => None,
    }
}

/// The strings are read all at once: name by name each costs two system calls, and libc with its debug file has 14,000.
fn symbols_of<Elf: FileHeader<Endian = object::Endianness>>(
    cache: &ReadCache<File>,
    kind: Kind,
) -> Option<Vec<Named>> {
    let header = Elf::parse(cache).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, cache).ok()?;
    let wanted = match kind {
        Kind::Function => [elf::STT_FUNC, elf::STT_GNU_IFUNC],
        Kind::Variable => [elf::STT_OBJECT, elf::STT_COMMON],
    };
    let mut list = Vec::new();
    for table in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        // One that is damaged does not take the other along.
        let Ok(table) = sections.symbols(endian, cache, table) else { continue };
        let strings =
            sections.section(table.string_section()).and_then(|section| section.data(endian, cache));
        let (false, Ok(strings)) = (table.is_empty(), strings) else { continue };
        let strings = StringTable::new(strings, 0, strings.len() as u64);
        for symbol in table.iter().filter(|symbol| wanted.contains(&symbol.st_type())) {
            let section = symbol.st_shndx(endian);
            let is_elsewhere =
                section == elf::SHN_UNDEF || section >= elf::SHN_LORESERVE && section != elf::SHN_XINDEX;
            let Ok(name) = symbol.name(endian, strings) else { continue };
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if is_elsewhere || name.is_empty() {
                continue;
            }
            let (start, size): (u64, u64) = (symbol.st_value(endian).into(), symbol.st_size(endian).into());
            let end = if size > 0 { start.saturating_add(size) } else { 0 };
            list.push(Named { start, end, name: name.to_owned() });
        }
    }
    Some(list)
}
