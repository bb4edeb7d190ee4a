//! Which process it is. NetBSD needs no /proc: what Linux tells there, ptrace(2) tells here.

/// The id of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcFiles(i32);

impl ProcFiles {
    pub(super) fn new(pid: i32) -> ProcFiles {
        ProcFiles(pid)
    }

    /// The id of the process.
    pub fn process(&self) -> i32 {
        self.0
    }
}

/// Nothing is opened ahead of a stop.
pub(super) struct OpenedAhead;

impl OpenedAhead {
    pub(super) const fn nothing() -> OpenedAhead {
        OpenedAhead
    }
}
