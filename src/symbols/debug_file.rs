//! Where the debug information of a file is.
//!
//! In this order (as gdb looks, "Separate Debug Files" of its manual): the file itself; `.build-id/ab/cdef.debug` under
//! each debug directory; the file's debug link beside it, in `.debug/` beside it, and under each debug directory; what
//! debuginfod's client has fetched before. Nothing is fetched.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object, ObjectSection};

/// Files that describe one program or library.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DebugFile {
    /// The file that was loaded, if it is still the same.
    pub file: Option<PathBuf>,
    /// Where its DWARF is.
    pub dwarf: Option<PathBuf>,
    /// What that DWARF shares with others (dwz).
    pub supplement: Option<PathBuf>,
}

impl DebugFile {
    /// The files whose symbol tables describe it.
    pub fn tables(&self) -> impl Iterator<Item = &Path> {
        let separate = self.dwarf.as_deref().filter(|dwarf| Some(*dwarf) != self.file.as_deref());
        self.file.as_deref().into_iter().chain(separate)
    }
}

/// Why no file describes the module.
#[derive(Debug)]
pub enum Problem {
    /// The file cannot be read.
    Read(std::io::Error),
    /// It is no ELF file.
    Format,
    /// It was replaced since it was loaded: another build id.
    Replaced,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Read(error) => write!(f, "{error}"),
            Problem::Format => write!(f, "not an ELF file"),
            Problem::Replaced => write!(f, "the file was replaced after the program had loaded it"),
        }
    }
}

/// What is read of an ELF file here.
struct Facts {
    build_id: Vec<u8>,
    has_dwarf: bool,
    link: Option<(Vec<u8>, u32)>,
    alternate: Option<(Vec<u8>, Vec<u8>)>,
}

/// Finds the files for the module `path` that a process had loaded with `build_id` (empty: it had none).
pub fn find(path: &Path, build_id: &[u8], directories: &[PathBuf]) -> Result<DebugFile, Problem> {
    let facts = facts(path);
    let same = match &facts {
        Ok(facts) => build_id.is_empty() || facts.build_id == build_id,
        Err(_) => false,
    };
    let mut found = DebugFile { file: same.then(|| path.to_path_buf()), ..DebugFile::default() };
    if same && facts.as_ref().is_ok_and(|facts| facts.has_dwarf) {
        found.dwarf = found.file.clone();
    } else {
        let link = facts.as_ref().ok().filter(|_| same).and_then(|facts| facts.link.as_ref());
        found.dwarf = separate(path, build_id, link, &roots(directories));
    }
    if let Some(dwarf) = &found.dwarf {
        found.supplement = supplement(dwarf, &roots(directories));
    }
    match (found.file.is_some() || found.dwarf.is_some(), facts) {
        (true, _) => Ok(found),
        (false, Err(problem)) => Err(problem),
        (false, Ok(_)) => Err(Problem::Replaced),
    }
}

fn roots(directories: &[PathBuf]) -> Vec<PathBuf> {
    let usual = [PathBuf::from("/usr/lib/debug"), PathBuf::from("/usr/local/lib/debug")];
    directories.iter().cloned().chain(usual).collect()
}

fn separate(
    path: &Path,
    build_id: &[u8],
    link: Option<&(Vec<u8>, u32)>,
    roots: &[PathBuf],
) -> Option<PathBuf> {
    by_build_id(build_id, roots).or_else(|| by_link(path, link?, roots))
}

fn by_build_id(build_id: &[u8], roots: &[PathBuf]) -> Option<PathBuf> {
    let hex: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = hex.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
    let below = roots.iter().map(|root| root.join(format!(".build-id/{first}/{rest}.debug")));
    let cached = fetched().map(|cache| cache.join(&hex).join("debuginfo"));
    below.chain(cached).find(|file| is_debug_file(file, build_id))
}

/// Where debuginfod's client keeps what it fetched (debuginfod_find_debuginfo(3)).
fn fetched() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("DEBUGINFOD_CACHE_PATH")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("debuginfod_client")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/debuginfod_client")))
}

fn by_link(path: &Path, (name, crc): &(Vec<u8>, u32), roots: &[PathBuf]) -> Option<PathBuf> {
    let name = Path::new(OsStr::from_bytes(name));
    // The file may have been named by a symbolic link; the debug file lies by the real one.
    let real = fs::canonicalize(path).ok()?;
    let beside = real.parent()?;
    let under = beside.strip_prefix("/").ok()?;
    let near = [beside.join(name), beside.join(".debug").join(name)];
    let below = roots.iter().map(|root| root.join(under).join(name));
    near.into_iter().chain(below).find(|file| *file != real && has_crc(file, *crc))
}

fn supplement(dwarf: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    let (name, build_id) = facts(dwarf).ok()?.alternate?;
    let named = dwarf.parent()?.join(Path::new(OsStr::from_bytes(&name)));
    let same = |file: &PathBuf| facts(file).is_ok_and(|facts| facts.build_id == build_id);
    Some(named).filter(same).or_else(|| by_build_id(&build_id, roots))
}

fn is_debug_file(path: &Path, build_id: &[u8]) -> bool {
    facts(path).is_ok_and(|facts| facts.has_dwarf && facts.build_id == build_id)
}

fn has_crc(path: &Path, expected: u32) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut hasher = crc32fast::Hasher::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block) {
            Ok(0) => return hasher.finalize() == expected,
            Ok(read) => hasher.update(&block[..read]),
            Err(_) => return false,
        }
    }
}

fn facts(path: &Path) -> Result<Facts, Problem> {
    // A FIFO or device in the place of a file would block or never end.
    if !fs::metadata(path).map_err(Problem::Read)?.is_file() {
        return Err(Problem::Format);
    }
    let file = File::open(path).map_err(Problem::Read)?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).map_err(|_| Problem::Format)?;
    let has_dwarf = [".debug_info", ".zdebug_info"].iter().any(|name| {
        // objcopy --only-keep-debug keeps the other sections' headers without contents, and strip the reverse.
        object.section_by_name(name).is_some_and(|section| section.size() > 0)
    });
    let pair = |(name, rest): (&[u8], &[u8])| (name.to_vec(), rest.to_vec());
    Ok(Facts {
        build_id: object.build_id().ok().flatten().unwrap_or_default().to_vec(),
        has_dwarf,
        link: object.gnu_debuglink().ok().flatten().map(|(name, crc)| (name.to_vec(), crc)),
        alternate: object.gnu_debugaltlink().ok().flatten().map(pair),
    })
}
