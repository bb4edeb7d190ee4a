//! Files of the kernel, line by line.

use crate::arch::page_size;
use crate::base::Errno;
use crate::mem::MapVec;

/// Longer than any line of /proc/PID/maps: a path of PATH_MAX bytes, each escaped to four, and the fields before it.
const LONGEST: usize = 32 * 1024;

/// Calls `each` for every line, without its newline, until `read` returns 0. Returns how many lines were too long or had
/// no end; those are passed over. Fails when `read` or `each` fails, or memory cannot be had.
pub(crate) fn for_each(
    mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    mut each: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<usize, Errno> {
    let mut buffer = MapVec::<u8>::new();
    // The kernel fills a page at a time unless a line is longer (seq_file.c), and a page costs a small process least.
    buffer.resize(page_size(), 0)?;
    let mut filled = 0;
    let mut cut = 0;
    // The rest of a line that did not fit.
    let mut skipping = false;
    loop {
        let got = read(buffer.get_mut(filled..).unwrap_or_default())?;
        if got == 0 {
            break;
        }
        filled = (filled + got).min(buffer.len());
        let mut done = 0;
        while let Some(length) =
            buffer.get(done..filled).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let line = buffer.get(done..done + length).unwrap_or_default();
            if !core::mem::take(&mut skipping) {
                each(line)?;
            }
            done += length + 1;
        }
        buffer.copy_within(done..filled, 0);
        filled -= done;
        if filled == buffer.len() && filled < LONGEST {
            buffer.resize(LONGEST, 0)?;
        } else if filled == buffer.len() {
            cut += usize::from(!skipping);
            skipping = true;
            filled = 0;
        }
    }
    // The kernel ends each line; what has no end was cut.
    Ok(cut + usize::from(filled > 0 && !skipping))
}
