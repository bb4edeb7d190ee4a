//! `standstill symbolize`: puts functions and lines into text that was printed without them.
//!
//! A process that finds no command beside it prints frames as `    #1 0x7f12  (/lib/libc.so.6+0x27249) (BuildId: 5f..)`, and so
//! does LeakSanitizer. Everything else of the text passes as it is. A frame becomes several lines where calls were
//! inlined; the numbers of the frames of its stack go on from there. A module that is not here, or has another
//! build id, keeps its line.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::Symbolize;
use crate::findings::Frame;
use crate::run::Problem;
use crate::show;
use crate::symbols::{self, Symbolizer};

/// Runs the subcommand.
pub fn symbolize(options: &Symbolize) -> Result<ExitCode, Problem> {
    symbols::check_directories(&options.debug_dir)?;
    let mut symbolizer = Symbolizer::new(&options.debug_dir);
    let stdin = [PathBuf::from("-")];
    let mut out = BufWriter::new(io::stdout().lock());
    for path in if options.files.is_empty() { &stdin[..] } else { &options.files } {
        let unreadable = |error| Problem::new(format!("cannot read {}: {error}", path.display()));
        let from: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(fs::File::open(path).map_err(unreadable)?))
        };
        text(from, &mut symbolizer, &mut out)
            .map_err(|error| Problem::new(format!("{}: {error}", path.display())))?;
    }
    out.flush().map_err(|error| Problem::new(format!("cannot write: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

/// Copies lines, with names put into those that are frames.
fn text(mut from: impl BufRead, symbolizer: &mut Symbolizer, out: &mut impl Write) -> io::Result<()> {
    let (mut line, mut number) = (vec![], 0);
    while from.read_until(b'\n', &mut line)? > 0 {
        match parse(&line) {
            Some(frame) => {
                number = if frame.number == 0 { 0 } else { number };
                let mut printed = show::Buffer::default();
                for frame in frame.into_frame().named(symbolizer) {
                    show::print_frame(number, &frame, &mut printed);
                    number += 1;
                }
                out.write_all(&printed.0)?;
            }
            None => {
                number = 0;
                out.write_all(&line)?;
            }
        }
        line.clear();
    }
    Ok(())
}

/// A frame's line, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Unnamed<'a> {
    number: usize,
    address: u64,
    module: &'a [u8],
    offset: u64,
    build_id: Vec<u8>,
}

impl Unnamed<'_> {
    fn into_frame(self) -> Frame {
        Frame {
            address: self.address,
            module: Some(PathBuf::from(OsStr::from_bytes(self.module))),
            offset: Some(self.offset),
            build_id: self.build_id,
            ..Frame::default()
        }
    }
}

/// `    #1 0x7f12  (MODULE+0x12)` and, perhaps, ` (BuildId: 0123)`. `None` for any other line.
fn parse(line: &[u8]) -> Option<Unnamed<'_>> {
    let line = line.trim_ascii_end();
    let rest = line.trim_ascii_start().strip_prefix(b"#")?;
    let (number, rest) = split(rest, b" ")?;
    let (address, rest) = split(rest.strip_prefix(b"0x")?, b" ")?;
    // A frame that has a name already says "in".
    let rest = rest.trim_ascii_start().strip_prefix(b"(")?;
    let (place, build_id) = match split(rest, b" (BuildId: ") {
        Some((place, id)) => (place, bytes(id.strip_suffix(b")")?)?),
        None => (rest, vec![]),
    };
    let place = place.strip_suffix(b")")?;
    // The path may hold a plus, too.
    let plus = place.windows(3).rposition(|three| three == b"+0x")?;
    Some(Unnamed {
        number: std::str::from_utf8(number).ok()?.parse().ok()?,
        address: hex(address)?,
        module: &place[..plus],
        offset: hex(&place[plus + 3..])?,
        build_id,
    })
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = text.windows(at.len()).position(|part| part == at)?;
    Some((&text[..found], &text[found + at.len()..]))
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    digits.chunks(2).map(|two| hex(two).filter(|_| two.len() == 2).map(|byte| byte as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_without_names_are_recognised() {
        let line = b"    #12 0x7f00a1b2  (/a b+0x1/lib.so+0x1f0) (BuildId: 00ff10)\n";
        let expected = Unnamed {
            number: 12,
            address: 0x7f00_a1b2,
            module: b"/a b+0x1/lib.so",
            offset: 0x1f0,
            build_id: vec![0, 0xff, 0x10],
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse(b"#0 0x1 (/x+0x2)").map(|frame| frame.build_id), Some(vec![]));
        for other in [
            &b"    #1 0x10 in main /x/t.c:5:6\n"[..],
            b"    #1 0x10 in main (/x+0x10) (BuildId: 12)\n",
            b"    #1 0x10  (<unknown module>)\n",
            b"#x 0x1 (/x+0x2)",
            b"#1 0x1 (/x+0x2) (BuildId: 1)",
            b"",
        ] {
            assert_eq!(parse(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn other_text_passes_as_it_is() {
        let given = b"==1==x\n\xff\n    #0 0x1  (/nonexistent/x+0x2)\n    #1 0x5  (/nonexistent/x+0x6)\nend";
        let mut out = vec![];
        text(&given[..], &mut Symbolizer::new(&[]), &mut out).unwrap();
        assert_eq!(out, given);
    }

    #[test]
    fn functions_of_this_program_are_named() {
        let own = std::env::current_exe().unwrap();
        let map = fs::read_to_string("/proc/self/maps").unwrap();
        let start = map.lines().find(|line| line.ends_with(own.to_str().unwrap())).unwrap();
        let start = u64::from_str_radix(start.split('-').next().unwrap(), 16).unwrap();
        let here = functions_of_this_program_are_named as *const () as u64;
        // With the build id of the file unknown, its symbols are believed.
        let line = format!("    #0 {here:#x}  ({}+{:#x})\n", own.display(), here - start);
        let mut out = vec![];
        text(line.as_bytes(), &mut Symbolizer::new(&[]), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("functions_of_this_program_are_named"), "{out}");
    }
}
