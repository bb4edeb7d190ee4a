//! What a world can still be asked while it stands, by Linux' own ways.
//!
//! Contract: in the task that stopped the threads, as long as they stand.

use crate::base::Errno;
use crate::sys::file::Fd;

use super::proc_files::ProcFile;
use super::record::{ThreadRecord, World};
use super::tracees::{ExtendedState, Stopped};

impl World {
    /// Reads the extended state that was left by [`Options::extended_later`](super::Options) and calls `each` with every
    /// such thread and its state. Only in the task that stopped the threads, as long as they stand: not in a snapshot.
    pub fn late_extended(&self, each: &mut dyn FnMut(&ThreadRecord, &[u64])) {
        let mut state = ExtendedState::new();
        for thread in self.threads.iter().filter(|thread| thread.extended_later) {
            // Killed while it stood still, if not: then the whole process is.
            if let Ok(words) = state.read(&Stopped::again(thread)) {
                each(thread, words);
            }
        }
    }

    /// Opens a file of it, unless that was done before the world stood still.
    pub fn open_file(&self, file: ProcFile) -> Result<Fd, Errno> {
        self.ahead.take(file).map_or_else(|| self.proc.open_file(file), Ok)
    }
}
