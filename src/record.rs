//! Reads the raw records of the runtime; their format is described where they are written
//! (`standstill_runtime::report::record`).
//!
//! Contract: a record comes from the process that is checked, so it is not trusted: any bytes give a value or an error,
//! never a panic, and no more memory than a small multiple of their length.

mod survey;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use standstill_runtime::report::record::VERSION;
pub use standstill_runtime::report::{Kind, Verdict};
pub use survey::Survey;

/// One file of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Who wrote it.
    pub process: Process,
    /// What was written.
    pub content: Content,
}

/// What a record is.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value a process, and nearly all are checks")]
pub enum Content {
    /// The process died while it wrote.
    #[default]
    Torn,
    /// The process started with the library.
    Announced,
    /// A check.
    Check(Check),
    /// A misuse of the heap.
    Misuse(Misuse),
}

/// A block that was freed against the rules, as the process told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misuse {
    /// The process ended by it.
    pub ends: bool,
    /// What was freed.
    pub block: u64,
    /// The rule, in a word or two.
    pub what: String,
    /// More of it, to stand behind the address.
    pub detail: String,
    /// The stacks of the free, of the free before, of the allocation: lookup addresses, leaf first; empty if not known.
    pub stacks: [Vec<u64>; 3],
    /// The modules that the stacks run through.
    pub modules: Vec<Module>,
}

/// A process, as it described itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// Drawn anew by each exec; the same in a forked child.
    pub image: u64,
    /// CLOCK_MONOTONIC in nanoseconds, when it wrote.
    pub time_ns: u64,
    /// The file of its program.
    pub program: PathBuf,
    /// Its arguments, lossily.
    pub arguments: Vec<String>,
}

/// A check as the process saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Counts the checks of the process from 1.
    pub sequence: u32,
    /// Before suppressions.
    pub verdict: Verdict,
    /// Why it could not check, and what to do about it.
    pub failure: Option<(String, String)>,
    /// Chunks in use, their bytes, 0 if the program never allocated from our heap, threads.
    pub totals: [u64; 4],
    /// Why not everything was seen.
    pub reasons: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// How the process was told to print: name and value.
    pub style: Vec<(String, u64)>,
    /// Suppressions: leaks and bytes that the process counted itself, and the pattern.
    pub suppressions: Vec<(u64, u64, Vec<u8>)>,
    /// What was loaded.
    pub modules: Vec<Module>,
    /// Call stacks by number: lookup addresses, leaf first.
    pub stacks: std::collections::HashMap<u32, Vec<u64>>,
    /// Leaks by kind, stack and the stack of what holds them.
    pub leaks: Vec<Leak>,
    /// What is no leak.
    pub survey: Survey,
}

/// A program or library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Its file.
    pub path: PathBuf,
    /// Its build id; empty when it has none.
    pub build_id: Vec<u8>,
    /// Address in memory less address in the file.
    pub bias: u64,
    /// False after dlclose.
    pub loaded: bool,
    /// All of it in memory, first address and the one past the end.
    pub image: Option<(u64, u64)>,
    /// Where its code was, first address and the one past the end.
    pub ranges: Vec<(u64, u64)>,
}

/// Leaked chunks of one kind and one call stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// How they were lost.
    pub kind: Kind,
    /// Who allocated them; 0 unknown.
    pub stack: u32,
    /// The call stack of what holds them; 0 none.
    pub under: u32,
    /// How many.
    pub objects: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// Chunks that only they hold.
    pub retained_objects: u64,
    /// Bytes that only they hold.
    pub retained_bytes: u64,
    /// The baseline after which the oldest of them was allocated; 0 before the first.
    pub born: u32,
    /// Objects and bytes of them that are no leaks only because the check is incomplete.
    pub withheld: (u64, u64),
    /// Each one's address and size, if they were listed.
    pub listed: Vec<(u64, u64)>,
}

/// Why a file is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The first line is something else.
    NoRecord,
    /// Another version wrote it.
    Version(String),
    /// A line that is not as it must be; its number.
    Line(usize),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoRecord => write!(f, "not a record of Standstill"),
            Problem::Version(version) => {
                write!(f, "a record of format {version}, but this command reads {VERSION}: ")?;
                write!(f, "use the command and the library of one installation")
            }
            Problem::Line(number) => write!(f, "damaged in line {number}"),
        }
    }
}

impl Default for Check {
    fn default() -> Self {
        Check {
            sequence: 0,
            verdict: Verdict::CouldNotCheck,
            failure: None,
            totals: [0; 4],
            reasons: Vec::new(),
            notes: Vec::new(),
            style: Vec::new(),
            suppressions: Vec::new(),
            modules: Vec::new(),
            stacks: Default::default(),
            leaks: Vec::new(),
            survey: Survey::default(),
        }
    }
}

/// Reads a record. One that is not finished is [`Content::Torn`], with what is known of its process.
pub fn parse(text: &[u8]) -> Result<Record, Problem> {
    let mut record = Record::default();
    let mut check = Check::default();
    let mut misuse: Option<(Misuse, [u32; 3])> = None;
    // The piece behind the last line feed is no line: a torn record may end within a number.
    let Some(last) = text.iter().rposition(|byte| *byte == b'\n') else {
        return if format!("standstill-record {VERSION}").as_bytes().starts_with(text) {
            Ok(record)
        } else {
            Err(Problem::NoRecord)
        };
    };
    let mut lines = text[..last].split(|byte| *byte == b'\n').enumerate();
    let first = lines.next().map_or(&b""[..], |(_, line)| line);
    let version = first.strip_prefix(b"standstill-record ").ok_or(Problem::NoRecord)?;
    if version != VERSION.to_string().as_bytes() {
        return Err(Problem::Version(String::from_utf8_lossy(version).into_owned()));
    }
    for (index, line) in lines {
        let mut fields = Fields(line.split(|byte| *byte == b' '));
        let word = fields.0.next().unwrap_or_default();
        match word {
            b"end" => {
                record.content = Content::Check(check);
                return Ok(record);
            }
            b"announced" => {
                record.content = Content::Announced;
                return Ok(record);
            }
            b"misused" => {
                let (mut misuse, numbers) = misuse.ok_or(Problem::Line(index + 1))?;
                misuse.stacks = numbers.map(|number| check.stacks.get(&number).cloned().unwrap_or_default());
                misuse.modules = check.modules;
                record.content = Content::Misuse(misuse);
                return Ok(record);
            }
            b"misuse" => {
                misuse = Some(misused(&mut fields).ok_or(Problem::Line(index + 1))?);
                continue;
            }
            _ => {}
        }
        head(word, &mut fields, &mut record.process)
            .or_else(|| body(word, &mut fields, &mut check))
            .ok_or(Problem::Line(index + 1))?;
    }
    Ok(record)
}

struct Fields<'a, I: Iterator<Item = &'a [u8]>>(I);

impl<'a, I: Iterator<Item = &'a [u8]>> Fields<'a, I> {
    fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.0.next()?).ok()
    }

    fn decimal<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.str()?.parse().ok()
    }

    fn hex(&mut self) -> Option<u64> {
        u64::from_str_radix(self.str()?, 16).ok()
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        unescape(self.0.next()?)
    }

    fn text(&mut self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.bytes().map(|bytes| OsString::from_vec(bytes).into())
    }
}

/// A line that describes the process. `None` for another word and for a bad line.
fn head<'a, I: Iterator<Item = &'a [u8]>>(
    word: &[u8],
    fields: &mut Fields<'a, I>,
    process: &mut Process,
) -> Option<()> {
    match word {
        b"process" => {
            process.pid = fields.decimal()?;
            process.parent = fields.decimal()?;
            process.image = fields.hex()?;
        }
        b"time" => process.time_ns = fields.decimal()?,
        b"program" => process.program = fields.path()?,
        b"argument" => process.arguments.push(fields.text()?),
        _ => return None,
    }
    Some(())
}

/// The line that tells of a misuse, with the numbers of its stacks.
fn misused<'a, I: Iterator<Item = &'a [u8]>>(fields: &mut Fields<'a, I>) -> Option<(Misuse, [u32; 3])> {
    let ends = fields.decimal::<u8>()? != 0;
    let block = fields.hex()?;
    let numbers = [fields.decimal()?, fields.decimal()?, fields.decimal()?];
    let (what, detail) = (fields.text()?, fields.text()?);
    Some((Misuse { ends, block, what, detail, ..Misuse::default() }, numbers))
}

/// A line of a check.
fn body<'a, I: Iterator<Item = &'a [u8]>>(
    word: &[u8],
    fields: &mut Fields<'a, I>,
    check: &mut Check,
) -> Option<()> {
    match word {
        b"process" | b"time" | b"program" | b"argument" => return None,
        b"sequence" => check.sequence = fields.decimal()?,
        b"verdict" => {
            let name = fields.text()?;
            let all = [Verdict::Clean, Verdict::Leaks, Verdict::Incomplete, Verdict::CouldNotCheck];
            check.verdict = all.into_iter().find(|verdict| verdict.name() == name)?;
        }
        b"failure" => check.failure = Some((fields.text()?, fields.text()?)),
        b"totals" => {
            for total in &mut check.totals {
                *total = fields.decimal()?;
            }
        }
        b"reason" => check.reasons.push(fields.text()?),
        b"note" => check.notes.push(fields.text()?),
        b"style" => check.style.push((fields.text()?, fields.decimal()?)),
        b"suppression" => {
            check.suppressions.push((fields.decimal()?, fields.decimal()?, fields.bytes()?));
        }
        b"module" => {
            // Modules are numbered from 0 without a gap.
            (fields.decimal::<usize>()? == check.modules.len()).then_some(())?;
            check.modules.push(Module {
                bias: fields.hex()?,
                build_id: unhex(fields.str()?)?,
                loaded: fields.decimal::<u8>()? != 0,
                path: fields.path()?,
                image: None,
                ranges: Vec::new(),
            });
        }
        b"image" => {
            let index: usize = fields.decimal()?;
            check.modules.get_mut(index)?.image = Some((fields.hex()?, fields.hex()?));
        }
        b"range" => {
            let index: usize = fields.decimal()?;
            let module = check.modules.get_mut(index)?;
            module.ranges.push((fields.hex()?, fields.hex()?));
        }
        b"stack" => {
            let number = fields.decimal()?;
            let mut frames = Vec::new();
            for field in fields.0.by_ref() {
                frames.push(u64::from_str_radix(std::str::from_utf8(field).ok()?, 16).ok()?);
            }
            check.stacks.insert(number, frames);
        }
        b"leak" => {
            let name = fields.str()?;
            let kinds = [Kind::Direct, Kind::Indirect, Kind::Possible];
            check.leaks.push(Leak {
                kind: kinds.into_iter().find(|kind| kind.name() == name)?,
                stack: fields.decimal()?,
                under: fields.decimal()?,
                objects: fields.decimal()?,
                bytes: fields.decimal()?,
                retained_objects: fields.decimal()?,
                retained_bytes: fields.decimal()?,
                // Records of older libraries end here.
                born: fields.decimal().unwrap_or(0),
                withheld: (fields.decimal().unwrap_or(0), fields.decimal().unwrap_or(0)),
                listed: Vec::new(),
            });
        }
        b"object" => check.leaks.last_mut()?.listed.push((fields.hex()?, fields.decimal()?)),
        // Unknown words are skipped, for records of a newer library.
        _ => {
            check.survey.line(word, fields)?;
        }
    }
    Some(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text == "-" {
        return Some(Vec::new());
    }
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"-" {
        return Some(Vec::new());
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let pair = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.extend(unhex(pair)?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
