//! The search table of a static program, whose linker made none.
//!
//! gcc asks for `.eh_frame_hdr` only where there is a loader to use it: a program linked with `-static` has `.eh_frame`,
//! but neither the table nor a program header that leads to it (libgcc learns of it from crtbeginT.o). So the section is
//! looked up in the program's own file, and the table is made here, in the form in which a linker would have made it.
//!
//! Contract: once, at start, outside of malloc: reads a file and maps memory, which stays for good.
//!
//! Not promised: a table for a program without section headers, or without /proc. Stacks end at its first frame then,
//! unless it has frame pointers.
//!
//! References: LSB Core 5.0, 10.6.2 ".eh_frame_hdr"; ELF gABI, chapter 4.

use core::ffi::CStr;

use gimli::{BaseAddresses, CieOrFde, EhFrame, EndianSlice, LittleEndian, UnwindSection};

use crate::base::{Addr, AddrRange};
use crate::mem::MapVec;
use crate::sys::file::{self, Fd};

use super::stack_read::image_bytes;

const PROGRAM: &CStr = c"/proc/self/exe";
const NAME: &[u8] = b".eh_frame\0";

/// `DW_EH_PE_udata8`, absolute.
const ADDRESS: u64 = 0x04;
/// `DW_EH_PE_udata4`.
const COUNT: u64 = 0x03;

/// Makes the table of the program that is loaded at `bias`; `is_loaded` says whether a range is part of one of its
/// readable segments. Returns where the table lies.
pub fn of_program(bias: usize, is_loaded: impl Fn(AddrRange) -> bool) -> Option<AddrRange> {
    let section = section_of(&file::open(PROGRAM, libc::O_RDONLY, 0).ok()?)?;
    let section = AddrRange::sized(section.start.plus(bias), section.len());
    if !is_loaded(section) {
        return None;
    }
    // SAFETY: inside a readable segment of the program, which is never unloaded.
    let bytes = unsafe { image_bytes(section) };
    let table = table_of(bytes, section.start.get() as u64)?;
    let range = AddrRange::sized(Addr::of(table.as_ptr()), size_of_val(&table[..]));
    core::mem::forget(table);
    Some(range)
}

/// Two words for the head, then pairs of a function's address and that of its entry, sorted.
fn table_of(section: &'static [u8], start: u64) -> Option<MapVec<[u64; 2]>> {
    let frames = EhFrame::new(section, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(start);
    let mut table = MapVec::new();
    table.push([0; 2]).ok()?;
    let mut entries = frames.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(entry) = partial.parse(|section: &EhFrame<EndianSlice<'_, _>>, bases, offset| {
            section.cie_from_offset(bases, offset)
        }) else {
            continue;
        };
        table.push([entry.initial_address(), start + entry.offset() as u64]).ok()?;
    }
    let count = table.len() as u64 - 1;
    let (head, rows) = table.split_first_mut()?;
    rows.sort_unstable();
    let version_and_encodings = 1 | ADDRESS << 8 | COUNT << 16 | ADDRESS << 24;
    *head = [version_and_encodings | start << 32, start >> 32 | count << 32];
    (count > 0).then_some(table)
}

/// The section's place by the file's own addresses.
fn section_of(program: &Fd) -> Option<AddrRange> {
    const HEADER: usize = 64;
    const MOST_SECTIONS: usize = 64;
    let mut header = [0; HEADER];
    read(program, 0, &mut header)?;
    let at = u64::from_le_bytes(field(&header, 0x28)?);
    let count = usize::from(u16::from_le_bytes(field(&header, 0x3c)?)).min(MOST_SECTIONS);
    let names = usize::from(u16::from_le_bytes(field(&header, 0x3e)?));
    if !header.starts_with(b"\x7fELF\x02\x01") || u16::from_le_bytes(field(&header, 0x3a)?) != HEADER as u16 {
        return None;
    }
    let mut headers = [0; MOST_SECTIONS * HEADER];
    let headers = headers.get_mut(..count * HEADER)?;
    read(program, at, headers)?;
    let names = u64::from_le_bytes(field(headers.get(names * HEADER..)?, 0x18)?);
    headers.chunks_exact(HEADER).find_map(|header| {
        let [address, size] = [0x10, 0x20].map(|at| field(header, at).map(u64::from_le_bytes));
        let (address, size) = (address? as usize, size? as usize);
        if address == 0 || size == 0 {
            return None;
        }
        let mut name = [0; NAME.len()];
        read(program, names + u64::from(u32::from_le_bytes(field(header, 0)?)), &mut name)?;
        (name == NAME).then(|| AddrRange::sized(Addr::new(address), size))
    })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn read(file: &Fd, at: u64, into: &mut [u8]) -> Option<()> {
    (file::read_at(file, into, at) == Ok(into.len())).then_some(())
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::list;
    use super::*;

    /// This very program has the linker's table as well: the made one finds the same entries.
    #[test]
    fn finds_what_the_linkers_table_finds() {
        let mut made = None;
        let mut first = true;
        list(&mut |loaded| {
            if core::mem::take(&mut first) {
                made = loaded.made_table();
            }
        });
        let made = made.expect("the program's file has section headers");
        let own = finds_what_the_linkers_table_finds as *const () as u64;
        // SAFETY: the table lives for good.
        let table = unsafe { image_bytes(made) };
        let word = |at: usize| u64::from_le_bytes(table[at..at + 8].try_into().unwrap());
        let count = (word(8) >> 32) as usize;
        assert_eq!((word(0) & 0xffff_ffff, table.len()), (0x0403_0401, 16 + 16 * count));
        let rows: Vec<u64> = (0..count).map(|row| word(16 + 16 * row)).collect();
        assert!(rows.is_sorted() && count > 1000, "{count}");
        assert!(rows.binary_search(&own).is_ok());
    }

    #[test]
    fn a_file_that_is_no_program_has_no_table() {
        assert_eq!(section_of(&file::open(c"/proc/self/maps", libc::O_RDONLY, 0).unwrap()), None);
        assert_eq!(section_of(&file::open(c"/dev/null", libc::O_RDONLY, 0).unwrap()), None);
    }
}
