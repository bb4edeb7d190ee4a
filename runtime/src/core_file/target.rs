//! Where the file goes: a regular file with holes, or a stream without.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::sys::file::{self, Fd};
use crate::sys::pagemap;

/// The file being written, front to back.
pub(super) struct Target {
    to: i32,
    /// /proc/PID/mem, for pages that the program has closed to itself.
    memory: Option<Fd>,
    /// Bytes so far.
    at: u64,
    /// Holes are made by seeking.
    seeks: bool,
    /// Bytes of memory that were copied.
    pub(super) copied: u64,
    /// Bytes of memory that could not be read.
    pub(super) unreadable: u64,
}

impl Target {
    pub(super) fn new(to: i32, memory: Option<Fd>) -> Target {
        // What a file has behind the place where it stands would be read in its holes.
        let seeks = file::is_written_in_place(to) && file::end_here(to).is_ok();
        Target { to, memory, at: 0, seeks, copied: 0, unreadable: 0 }
    }

    /// True when memory at `addr` begins so.
    pub(super) fn begins_with(&self, addr: Addr, magic: &[u8; 4]) -> bool {
        let mut first = [0; 4];
        let Some(memory) = &self.memory else { return false };
        file::read_at(memory, &mut first, addr.get() as u64) == Ok(4) && first == *magic
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        file::write_all(self.to, bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Zeros up to byte `at` of the file.
    pub(super) fn skip_to(&mut self, at: u64) -> Result<(), Errno> {
        const ZEROS: [u8; PAGE] = [0; PAGE];
        const PAGE: usize = 4096;
        if self.seeks {
            file::skip(self.to, at - self.at)?;
            self.at = at;
        }
        while self.at < at {
            let want = (at - self.at).min(PAGE as u64) as usize;
            self.write(ZEROS.get(..want).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Memory of the program.
    pub(super) fn write_memory(&mut self, mut range: AddrRange) -> Result<(), Errno> {
        while !range.is_empty() {
            match file::write_memory(self.to, range) {
                Ok(0) => return Err(Errno::new(libc::EIO)),
                Ok(written) => {
                    self.at += written as u64;
                    self.copied += written as u64;
                    range.start = range.start.plus(written);
                }
                Err(errno) if errno.get() == libc::EINTR => {}
                Err(errno) if errno.get() == libc::EFAULT => {
                    let page =
                        AddrRange::new(range.start, range.start.plus(1).align_up(page_size()).min(range.end));
                    self.closed_page(page)?;
                    range.start = page.end;
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// A page, or the rest of one, that cannot be read by its address.
    fn closed_page(&mut self, mut page: AddrRange) -> Result<(), Errno> {
        let mut piece = [0; 512];
        while !page.is_empty() {
            let want = page.len().min(piece.len());
            let into = piece.get_mut(..want).unwrap_or_default();
            let got = self.memory.as_ref().map(|memory| file::read_at(memory, into, page.start.get() as u64));
            let got = match got {
                Some(Ok(got)) if got > 0 => got,
                _ => {
                    into.fill(0);
                    // Tables of ours that the map still had may be gone; nobody else can unmap now (mincore(2), ENOMEM).
                    let gone =
                        pagemap::in_core(AddrRange::sized(page.start.align_down(page_size()), 1), &mut [0]);
                    self.unreadable += if gone == Err(Errno::new(libc::ENOMEM)) { 0 } else { want as u64 };
                    want
                }
            };
            self.write(piece.get(..got).unwrap_or_default())?;
            page.start = page.start.plus(got);
        }
        Ok(())
    }

    /// A file that ends in a hole is as long as it says.
    pub(super) fn end(&mut self) -> Result<(), Errno> {
        if self.seeks { file::end_here(self.to) } else { Ok(()) }
    }
}
