//! What a snapshot costs the program: pages that the kernel copied because the program wrote to them.
//!
//! Contract: runs in the snapshot. After such a write the snapshot is the only one to have the old page: it is private
//! there (proc(5), smaps_rollup). Pages that the snapshot made itself are private too, and are taken off.

use core::ffi::CStr;

use crate::arch::page_size;
use crate::base::text::parse_number;
use crate::sys::file;

/// Counts from its making on.
pub struct Copies {
    /// Pages that the snapshot had when it began.
    resident: Option<u64>,
}

impl Copies {
    /// To be made before the work.
    pub fn begin() -> Copies {
        Copies { resident: resident() }
    }

    /// Pages that were in memory then; 0 where the kernel does not say.
    pub fn resident_pages(&self) -> u64 {
        self.resident.unwrap_or(0)
    }

    /// Pages copied so far; `None` where the kernel does not say (before Linux 4.14).
    pub fn pages(&self) -> Option<u64> {
        let own = resident()?.saturating_sub(self.resident?);
        let mut private = 0;
        let mut text = [0; 2048];
        for line in read(c"/proc/self/smaps_rollup", &mut text)?.lines() {
            if line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:") {
                private += parse_number(line.split_ascii_whitespace().nth(1)?)?;
            }
        }
        Some((private * 1024 / page_size() as u64).saturating_sub(own))
    }
}

fn resident() -> Option<u64> {
    parse_number(read(c"/proc/self/statm", &mut [0; 128])?.split(' ').nth(1)?)
}

/// A short file of the kernel's.
fn read<'a>(path: &CStr, into: &'a mut [u8]) -> Option<&'a str> {
    let len = file::read(&file::open(path, libc::O_RDONLY, 0).ok()?, into).ok()?;
    core::str::from_utf8(into.get(..len)?).ok()
}
