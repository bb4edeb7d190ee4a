//! The program that is to be run: where it is, and whether the library can be loaded into it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{Dyn, ElfFile32, ElfFile64, FileHeader, ProgramHeader};
use object::read::{Object, ObjectSymbol, ReadCache, ReadRef};

use super::Problem;

/// Why the library cannot be loaded into a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// A clause about the program.
    pub sentence: String,
    /// The loader would complain on standard error about a preloaded library that it cannot load.
    pub loader_complains: bool,
}

/// Finds the program as execvp(3) does: a name with a slash is a path, any other is searched in PATH.
pub fn find(name: &OsStr) -> Result<PathBuf, Problem> {
    let shown = name.to_string_lossy();
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match fs::metadata(&path) {
            Err(error) => Err(Problem::of_program(format!("cannot run {shown}: {error}"), 127)),
            Ok(_) if !is_executable(&path) => Err(not_executable(&path)),
            Ok(_) => Ok(path),
        };
    }
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let files: Vec<PathBuf> = env::split_paths(&path)
        .map(|directory| if directory.as_os_str().is_empty() { ".".into() } else { directory })
        .map(|directory: PathBuf| directory.join(name))
        .filter(|file| file.is_file())
        .collect();
    match files.iter().find(|file| is_executable(file)) {
        Some(file) => Ok(file.clone()),
        None => Err(files.first().map_or_else(
            || Problem::of_program(format!("cannot run {shown}: there is no such program in PATH"), 127),
            |file| not_executable(file),
        )),
    }
}

fn not_executable(path: &Path) -> Problem {
    Problem::of_program(format!("cannot run {}: it is not an executable file", path.display()), 126)
}

fn is_executable(path: &Path) -> bool {
    let metadata = fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What keeps the library out of the program, if anything is known to. A program without an obstacle may still turn out
/// not to load it: only its own word counts.
pub fn obstacle(path: &Path) -> Option<Obstacle> {
    let mut path = path.to_path_buf();
    let mut is_script = false;
    // A script's interpreter may be a script (execve(2): four times at most).
    for _ in 0..5 {
        let Some(interpreter) = interpreter_of_script(&path) else {
            let found = obstacle_of_file(&path)?;
            let about = found.sentence.strip_prefix("it ").filter(|_| is_script);
            let about = about.map(|rest| format!("its interpreter {} {rest}", path.display()));
            return Some(Obstacle { sentence: about.unwrap_or(found.sentence), ..found });
        };
        is_script = true;
        path = interpreter;
    }
    None
}

/// The interpreter after `#!`. `/usr/bin/env NAME` is NAME, searched in PATH.
fn interpreter_of_script(path: &Path) -> Option<PathBuf> {
    let mut start = [0; 256];
    let mut file = File::open(path).ok()?;
    let read = file.read(&mut start).ok()?;
    let line = start.get(..read)?.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
    let interpreter = PathBuf::from(OsStr::from_bytes(words.next()?));
    if interpreter.file_name() == Some(OsStr::new("env")) {
        let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
        if let Some(found) = name.and_then(|name| find(OsStr::from_bytes(name)).ok()) {
            return Some(found);
        }
    }
    Some(interpreter)
}

fn obstacle_of_file(path: &Path) -> Option<Obstacle> {
    privilege(path).or_else(|| {
        let cache = ReadCache::new(File::open(path).ok()?);
        match ElfFile64::<object::Endianness, _>::parse(&cache) {
            Ok(file) => {
                let (endian, header) = (file.endian(), file.elf_header());
                let machine = header.e_machine(endian);
                if machine != native_machine() {
                    return Some(foreign("it is a program for another processor"));
                }
                without_loader(header, endian, &cache)
            }
            Err(_) => ElfFile32::<object::Endianness, _>::parse(&cache)
                .is_ok()
                .then(|| foreign("it is a 32-bit program, and the library is for 64-bit ones")),
        }
    })
}

/// Why the kernel does not start a file that is there and executable, where its error does not tell.
pub fn why_not_started(path: &Path, errno: i32) -> Option<String> {
    if errno == rustix::io::Errno::NOEXEC.raw_os_error() {
        let mut start = [0; 4];
        let read = File::open(path).ok()?.read(&mut start).ok()?;
        let known = start.get(..read)?.starts_with(b"#!") || start == elf::ELFMAG;
        return (!known).then(|| {
            format!(
                "it is no program, and has no first line `#!` that names an interpreter. If it is a shell script: \
                 `standstill run -- sh {}`",
                path.display()
            )
        });
    }
    if errno == rustix::io::Errno::NOENT.raw_os_error() && path.exists() {
        let (kind, needed) = match interpreter_of_script(path) {
            Some(interpreter) => ("interpreter", interpreter),
            None => ("loader", loader(path)?),
        };
        return (!needed.exists()).then(|| format!("its {kind} {} does not exist", needed.display()));
    }
    None
}

/// The loader that a program asks for.
fn loader(path: &Path) -> Option<PathBuf> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let file = ElfFile64::<object::Endianness, _>::parse(&cache).ok()?;
    let endian = file.endian();
    let headers = file.elf_header().program_headers(endian, &cache).ok()?;
    let name = headers.iter().find_map(|segment| segment.interpreter(endian, &cache).ok().flatten())?;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

/// Why a file is no library that `standstill run` can load, as a clause; `None` for one that is.
///
/// The loader says only that it cannot, and runs the program without; and another library than Standstill's it loads
/// without a word.
pub fn no_library(path: &Path) -> Option<&'static str> {
    const NO_ELF: &str = "it is no shared library for this machine";
    if path.is_dir() {
        return Some("it is a directory");
    }
    let Ok(file) = File::open(path) else { return Some("it cannot be read") };
    let cache = ReadCache::new(file);
    let Ok(file) = ElfFile64::<object::Endianness, _>::parse(&cache) else { return Some(NO_ELF) };
    let (endian, header) = (file.endian(), file.elf_header());
    if header.e_machine(endian) != native_machine() {
        return Some(NO_ELF);
    }
    let flags = || {
        let headers = header.program_headers(endian, &cache).ok()?.iter();
        let entries = headers.filter_map(|segment| segment.dynamic(endian, &cache).ok().flatten());
        let flags = entries.flatten().find(|entry| entry.d_tag(endian) == elf::DT_FLAGS_1);
        flags.map(|entry| entry.d_val(endian))
    };
    let is_program = header.e_type(endian) == elf::ET_EXEC
        || flags().is_some_and(|flags| flags & u64::from(elf::DF_1_PIE) != 0);
    if is_program {
        return Some("it is a program, not a library");
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Some(NO_ELF);
    }
    let defines = |name| {
        let mut symbols = file.dynamic_symbols();
        symbols.any(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(name))
    };
    (!defines(b"standstill_check_recoverable")).then_some("it is another library than Standstill's")
}

fn native_machine() -> u16 {
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 }
}

fn foreign(sentence: &str) -> Obstacle {
    Obstacle { sentence: sentence.to_owned(), loader_complains: true }
}

/// The kernel starts the program by a loader (PT_INTERP), which then preloads. musl's does it as glibc's: our library asks
/// for libc.so.6, which it takes for itself, and for nothing that it has not.
fn without_loader<'a, H: FileHeader, R: ReadRef<'a>>(
    header: &H,
    endian: H::Endian,
    data: R,
) -> Option<Obstacle> {
    let mut headers = header.program_headers(endian, data).ok()?.iter();
    headers.all(|segment| segment.p_type(endian) != elf::PT_INTERP).then(|| {
        let sentence =
            "it is statically linked, and no library can be preloaded into it; link it with libstandstill.a";
        Obstacle { sentence: sentence.to_owned(), loader_complains: false }
    })
}

/// Programs whose privilege makes the loader ignore LD_PRELOAD (AT_SECURE, ld.so(8)).
fn privilege(path: &Path) -> Option<Obstacle> {
    let metadata = fs::metadata(path).ok()?;
    let (mode, me) = (metadata.permissions().mode(), rustix::process::geteuid().as_raw());
    let group = rustix::process::getegid().as_raw();
    let of_user = mode & 0o4000 != 0 && metadata.uid() != me;
    // Without group execution the bit means mandatory locking (chmod(2)).
    let of_group = mode & 0o2010 == 0o2010 && metadata.gid() != group;
    let word = match (of_user, of_group) {
        (true, _) => "set-user-ID",
        (_, true) => "set-group-ID",
        _ if has_capabilities(path) && me != 0 => {
            "has file capabilities, so it is privileged like a set-user-ID"
        }
        _ => return None,
    };
    let is = if word.starts_with("has") { "" } else { "is a " };
    Some(Obstacle {
        sentence: format!("it {is}{word} program, and the loader preloads nothing into such a one"),
        loader_complains: false,
    })
}

fn has_capabilities(path: &Path) -> bool {
    let mut value = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value[..]).is_ok()
}
