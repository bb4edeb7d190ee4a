//! The head of the file: ELF header, program headers (elf(5)).

use crate::arch::{ELF_MACHINE, page_size};
use crate::base::Errno;

use super::bytes::Bytes;
use super::segments::Segments;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
/// From so many program headers on their number stands in the first section header (gABI, PN_XNUM).
const MANY: usize = 0xffff;

/// Bytes of the head for `segments` and the notes.
pub(super) fn head_len(segments: usize) -> usize {
    let headers = segments + 1;
    HEADER + headers * PROGRAM_HEADER + if headers >= MANY { SECTION_HEADER } else { 0 }
}

/// Writes the head. The notes follow it at once.
pub(super) fn head(to: &mut Bytes, segments: &Segments, notes: usize) -> Result<(), Errno> {
    const ET_CORE: u16 = 4;
    let headers = segments.all().len() + 1;
    let many = headers >= MANY;
    let sections_at = if many { HEADER + headers * PROGRAM_HEADER } else { 0 };
    // 64 bits, the byte order of this CPU, version 1, System V.
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    to.bytes(&[0x7f, b'E', b'L', b'F', 2, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    to.half(ET_CORE)?;
    to.half(ELF_MACHINE)?;
    to.word(1)?;
    to.long(0)?; // no entry point
    to.long(HEADER as u64)?;
    to.long(sections_at as u64)?;
    to.word(0)?; // no flags
    to.half(HEADER as u16)?;
    to.half(PROGRAM_HEADER as u16)?;
    to.half(headers.min(MANY) as u16)?;
    to.half(SECTION_HEADER as u16)?;
    to.half(u16::from(many))?;
    to.half(0)?; // no names of sections

    const PT_LOAD: u32 = 1;
    const PT_NOTE: u32 = 4;
    let notes_at = head_len(segments.all().len());
    program_header(to, PT_NOTE, 0, [notes_at as u64, 0, notes as u64, 0, 4])?;
    for segment in segments.all() {
        let address = segment.range.start.get() as u64;
        let size = segment.range.len() as u64;
        let place = [segment.file_start, address, segment.file_size, size, page_size() as u64];
        program_header(to, PT_LOAD, segment.flags, place)?;
    }
    if many {
        // sh_info, the eleventh word, is the number of program headers.
        to.zeros(44)?;
        to.word(headers as u32)?;
        to.zeros(SECTION_HEADER - 48)?;
    }
    Ok(())
}

/// `place` is offset, address, size in the file, size in memory, alignment.
fn program_header(to: &mut Bytes, kind: u32, flags: u32, place: [u64; 5]) -> Result<(), Errno> {
    let [offset, address, file_size, memory_size, align] = place;
    to.word(kind)?;
    to.word(flags)?;
    // The physical address is of no use here.
    for value in [offset, address, 0, file_size, memory_size, align] {
        to.long(value)?;
    }
    Ok(())
}
