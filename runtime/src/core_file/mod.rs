//! An ELF core file of the stopped world, which a debugger opens as if the process had died at this moment; it lives on.
//!
//! ```text
//! identity of the process -> stop -> map, present pages -> segments -> head (headers, notes) -> contents -> go on
//! ```
//!
//! The notes are those of the kernel (fs/binfmt_elf.c): process status with general registers, floating point and
//! extended state a thread; what the process is called; auxiliary vector; file map. One more, of our own name, has what the
//! kernel does not tell: names of threads and how each stood still.
//!
//! What is written: anonymous memory that was ever touched, private pages of files that the program changed, shared
//! memory without a file, and the first page of each ELF image (build ids). Pages that are a file's own bytes are left to
//! the file. Never-touched pages inside of a written mapping are holes.
//!
//! Contract: [`write`] runs on any thread that may ask for a stop; it writes in the stopped world, by the helper, to a
//! descriptor that the helper keeps of the caller's table. Safe code: memory is handed to write(2) by address, which the
//! kernel survives.
//!
//! Not promised: a reader of a pipe that is a thread of this process stands still, so that a full pipe ends in the
//! helper's deadline. Registers of the calling thread that a call does not keep are zero.
//!
//! References: core(5), elf(5), the System V ABI's note section, include/uapi/linux/elfcore.h.

mod bytes;
mod elf;
mod notes;
mod segments;
mod status;
mod target;

use crate::arch::page_size;
use crate::base::Errno;
use crate::harvest::maps::Maps;
use crate::harvest::presence;
use crate::stop::{self, Caller, CouldNotStop, StopNotes, World};
use crate::sys::file;

use bytes::Bytes;
use segments::Segments;
use target::Target;

pub use status::Identity;

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Threads with a note of their own.
    pub threads: u32,
    /// Of them, those whose registers are not whole.
    pub without_registers: u32,
    /// Bytes of memory, holes not counted.
    pub bytes: u64,
    /// Bytes that could not be read though the map says that they are there; they are zero in the file.
    pub unreadable: u64,
}

/// Why there is no core file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CouldNotWrite {
    /// The world could not be stopped.
    Stop(CouldNotStop),
    /// The map could not be read.
    Maps(Errno),
    /// No memory for our own tables.
    Memory(Errno),
    /// A write failed: disk full, file size limit, a closed pipe. What is there is no whole core.
    Write(Errno),
}

impl core::fmt::Display for CouldNotWrite {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            CouldNotWrite::Stop(why) => write!(f, "{why}"),
            CouldNotWrite::Maps(errno) => write!(f, "/proc/self/maps cannot be read ({errno})"),
            CouldNotWrite::Memory(errno) => write!(f, "no memory for the tables of the core file ({errno})"),
            CouldNotWrite::Write(errno) => {
                let advice = match errno.get() {
                    libc::ENOSPC | libc::EDQUOT => ": make room for it",
                    libc::EFBIG => ": raise the limit on the size of files (ulimit -f)",
                    libc::EPIPE => ": its reader was gone",
                    libc::EBADF => ": open the descriptor for writing",
                    _ => "",
                };
                write!(f, "the core file could not be written to its end ({errno}){advice}")
            }
        }
    }
}

/// Writes a core file of the process to the open descriptor `to`: a regular file, which becomes sparse, or a pipe.
pub fn write(
    caller: &Caller<'_>,
    options: &stop::Options,
    to: i32,
) -> Result<(Written, StopNotes), CouldNotWrite> {
    let identity = Identity::of_this_process();
    let options = stop::Options { signal_masks: true, keep_descriptor: Some(to), ..*options };
    let mut result = Ok(Written::default());
    let notes = stop::stop_the_world(caller, &options, &mut |world, _| {
        result = write_world(world, &identity, to);
    })
    .map_err(CouldNotWrite::Stop)?;
    result.map(|written| (written, notes))
}

/// In the stopped world.
fn write_world(world: &World, identity: &Identity, to: i32) -> Result<Written, CouldNotWrite> {
    let proc = world.proc();
    let list = proc.open_of_memory("maps").map_err(CouldNotWrite::Maps)?;
    let maps = Maps::read(|into| file::read(&list, into)).map_err(CouldNotWrite::Maps)?;
    let present = presence::find(&maps, proc.open_of_memory("pagemap")).map_err(CouldNotWrite::Memory)?;
    let mut target = Target::new(to, proc.open_of_memory("mem").ok());
    let mut segments = Segments::of(&maps, &present, &target).map_err(CouldNotWrite::Memory)?;

    let mut notes = Bytes::new();
    let mut written = notes::write(&mut notes, world, identity).map_err(CouldNotWrite::Memory)?;
    let mut head = Bytes::new();
    let at = elf::head_len(segments.all().len()) + notes.len();
    segments.place((at as u64).next_multiple_of(page_size() as u64));
    elf::head(&mut head, &segments, notes.len()).map_err(CouldNotWrite::Memory)?;

    target.write(&head).map_err(CouldNotWrite::Write)?;
    target.write(&notes).map_err(CouldNotWrite::Write)?;
    for segment in segments.all().iter().filter(|segment| segment.file_size > 0) {
        target.skip_to(segment.file_start).map_err(CouldNotWrite::Write)?;
        for part in segments.contents(segment, &present) {
            target
                .skip_to(segment.file_start + (part.start.get() - segment.range.start.get()) as u64)
                .map_err(CouldNotWrite::Write)?;
            target.write_memory(part).map_err(CouldNotWrite::Write)?;
        }
        target.skip_to(segment.file_start + segment.file_size).map_err(CouldNotWrite::Write)?;
    }
    target.end().map_err(CouldNotWrite::Write)?;
    (written.bytes, written.unreadable) = (target.copied, target.unreadable);
    Ok(written)
}

#[cfg(test)]
mod tests;
