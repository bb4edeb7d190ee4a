//! Writable data of modules: `.data`, `.bss` and what the loader makes read-only after relocation.
//!
//! Found from the map and the modules' own program headers in memory, not from the loader's list: no lock is needed, a
//! module that is being loaded is seen too, and the exact end of `.bss` is known although the kernel merges it with
//! anonymous mappings behind it.
//!
//! A file is a module when its header is mapped at its offset 0 and each segment that has bytes of the file is mapped
//! where the header says (an ELF file that a program maps as data is not). Where the header is not in memory the writable
//! pages of the file and the anonymous mapping directly behind them are taken whole: rather too many roots than too few.
//!
//! References: ELF gABI, chapter 5; elf(5).

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::mem::{MapVec, ReadMemory};

use super::maps::{Backing, FileId, Mapping, Maps};
use super::presence::Presence;

/// Words of an ELF header, and of a program header (64-bit).
const HEADER: usize = 8;
const PROGRAM_HEADER: usize = 7;
/// More program headers than any linker writes.
pub(super) const MOST_HEADERS: usize = 64;

const PT_LOAD: u32 = 1;
const PF_W: u32 = 2;

/// A loaded segment, by the header.
#[derive(Clone, Copy, Default)]
pub(super) struct Segment {
    pub(super) offset: u64,
    /// Before the load bias.
    pub(super) start: u64,
    pub(super) file_size: u64,
    memory_size: u64,
    pub(super) writable: bool,
}

/// What modules' headers say, read while the program still runs: where a mapping of the same file lies at the same place when
/// it stands, the bytes are the same, and need neither be asked for nor read then.
pub struct Headers {
    known: MapVec<Known>,
    /// Of all modules, one after the other.
    segments: MapVec<Segment>,
}

#[derive(Clone, Copy)]
struct Known {
    start: Addr,
    file: FileId,
    /// Which segments it has; `None` where this is no header.
    segments: Option<(usize, usize)>,
}

impl Headers {
    /// Knows nothing.
    pub const fn none() -> Headers {
        Headers { known: MapVec::new(), segments: MapVec::new() }
    }

    /// Reads those that are in memory.
    pub(super) fn read(maps: &Maps, presence: &Presence, memory: &impl ReadMemory) -> Result<Headers, Errno> {
        let mut headers = Headers::none();
        for first in
            maps.all().iter().filter(|mapping| begins_a_file(mapping) && is_present(mapping, presence))
        {
            let mut segments = [Segment::default(); MOST_HEADERS];
            let count = read_segments(memory, first.range.start, &mut segments);
            let begin = headers.segments.len();
            headers.segments.extend(segments.get(..count.unwrap_or(0)).unwrap_or_default())?;
            let segments = count.map(|_| (begin, headers.segments.len()));
            headers.known.push(Known { start: first.range.start, file: first.file, segments })?;
        }
        Ok(headers)
    }

    /// True when it is known what `first` begins.
    pub(super) fn has(&self, first: &Mapping) -> bool {
        self.of(first).is_some()
    }

    /// The segments of the module that `first` begins; `Some(None)` when it begins none.
    fn of(&self, first: &Mapping) -> Option<Option<&[Segment]>> {
        let known =
            self.known.iter().find(|known| known.start == first.range.start && known.file == first.file)?;
        Some(known.segments.and_then(|(begin, end)| self.segments.get(begin..end)))
    }
}

fn begins_a_file(mapping: &Mapping) -> bool {
    mapping.backing == Backing::File && !mapping.shared && mapping.offset == 0 && mapping.read
}

fn is_present(first: &Mapping, presence: &Presence) -> bool {
    let page = AddrRange::sized(first.range.start, page_size());
    presence.file.within(page).chain(presence.readable.within(page)).next().is_some()
}

/// What the map says of a file that is mapped from its offset 0.
enum Header {
    /// Not ELF, or mapped as data.
    NoModule,
    /// Cannot be read without waiting.
    Unknown,
    Module,
}

/// Appends the data ranges of every module, by address or not, to `into`.
pub(super) fn find(
    maps: &Maps,
    presence: &Presence,
    headers: &Headers,
    memory: &impl ReadMemory,
    into: &mut MapVec<AddrRange>,
) -> Result<(), Errno> {
    let mut header = Header::Unknown;
    let mut file = None;
    for (index, mapping) in maps.all().iter().enumerate() {
        if mapping.backing != Backing::File || mapping.shared {
            continue;
        }
        // The pieces of a module follow each other; a second load of the same file begins with its offset 0 again.
        if mapping.offset == 0 {
            header = module(maps, presence, headers, memory, mapping, into)?;
            file = Some(mapping.file);
        } else if file != Some(mapping.file) && mapping.write {
            header = Header::Unknown;
            file = Some(mapping.file);
        }
        if matches!(header, Header::Unknown) && file == Some(mapping.file) && mapping.write {
            into.push(mapping.range)?;
            if let Some(behind) = maps.all().get(index + 1)
                && behind.is_anonymous()
                && behind.range.start == mapping.range.end
            {
                into.push(behind.range)?;
            }
        }
    }
    Ok(())
}

fn module(
    maps: &Maps,
    presence: &Presence,
    headers: &Headers,
    memory: &impl ReadMemory,
    first: &Mapping,
    into: &mut MapVec<AddrRange>,
) -> Result<Header, Errno> {
    let start = first.range.start;
    let mut read = [Segment::default(); MOST_HEADERS];
    let segments = match headers.of(first).filter(|_| first.read) {
        Some(known) => known,
        None if !first.read || !is_present(first, presence) => return Ok(Header::Unknown),
        None => read_segments(memory, start, &mut read).and_then(|count| read.get(..count)),
    };
    let Some(segments) = segments else { return Ok(Header::NoModule) };
    let Some(bias) = bias(start, segments) else { return Ok(Header::NoModule) };
    for segment in segments.iter().filter(|segment| segment.file_size > 0) {
        let at = Addr::new(bias.wrapping_add(segment.start) as usize);
        let is_there = maps.at(at).is_some_and(|(_, mapping)| {
            let within = (at.get() - mapping.range.start.get()) as u64;
            mapping.file == first.file && mapping.offset + within == segment.offset
        });
        if !is_there {
            return Ok(Header::NoModule);
        }
    }
    for segment in segments.iter().filter(|segment| segment.writable) {
        let at = Addr::new(bias.wrapping_add(segment.start) as usize);
        into.push(AddrRange::sized(at, segment.memory_size as usize))?;
    }
    Ok(Header::Module)
}

/// What is to be added to the addresses of the segments of a module that begins at `start`: the segment that has the header
/// decides where the others lie.
pub(super) fn bias(start: Addr, segments: &[Segment]) -> Option<u64> {
    let first = segments.iter().find(|segment| segment.offset < page_size() as u64)?;
    Some((start.get() as u64).wrapping_sub(first.start - first.offset))
}

/// Reads the loaded segments from the program headers; returns how many slots were filled. `None` when this is no
/// 64-bit ELF header of a program or library, or it cannot be read.
pub(super) fn read_segments(
    memory: &impl ReadMemory,
    start: Addr,
    segments: &mut [Segment; MOST_HEADERS],
) -> Option<usize> {
    let mut header = [0; HEADER];
    if memory.read_words(start, &mut header) < HEADER {
        return None;
    }
    let bytes: [[u8; 8]; HEADER] = header.map(usize::to_le_bytes);
    let is_elf = bytes[0].starts_with(b"\x7fELF\x02\x01");
    let kind = u16::from_le_bytes([bytes[2][0], bytes[2][1]]);
    let headers_at = header[4];
    let entry_size = usize::from(u16::from_le_bytes([bytes[6][6], bytes[6][7]]));
    let count = usize::from(u16::from_le_bytes([bytes[7][0], bytes[7][1]])).min(MOST_HEADERS);
    if !is_elf || !(2..=3).contains(&kind) || entry_size != PROGRAM_HEADER * 8 || headers_at % 8 != 0 {
        return None;
    }
    let mut slots = segments.iter_mut();
    for at in 0..count {
        let mut words = [0; PROGRAM_HEADER];
        let from = start.plus(headers_at).plus(at * entry_size);
        if memory.read_words(from, &mut words) < PROGRAM_HEADER {
            return None;
        }
        let [kind_and_flags, offset, start, _, file_size, memory_size, _] = words.map(|word| word as u64);
        let (kind, flags) = (kind_and_flags as u32, (kind_and_flags >> 32) as u32);
        if kind == PT_LOAD
            && start >= offset.min(start)
            && let Some(slot) = slots.next()
        {
            *slot = Segment { offset, start, file_size, memory_size, writable: flags & PF_W != 0 };
        }
    }
    Some(MOST_HEADERS - slots.len())
}
