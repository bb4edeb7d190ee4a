//! What the process is, as a core file tells it.

use crate::sys::process;

/// Ids of the process. Read before the stop by the process itself: the helper has others.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// getpid(2).
    pub pid: i32,
    /// getppid(2).
    pub parent: i32,
    /// getpgid(2).
    pub group: i32,
    /// getsid(2).
    pub session: i32,
    /// getuid(2).
    pub user: u32,
    /// getgid(2).
    pub user_group: u32,
}

impl Identity {
    /// Of the calling process.
    pub fn of_this_process() -> Identity {
        Identity {
            pid: process::pid(),
            parent: process::parent(),
            group: process::group(),
            session: process::session(),
            user: process::user(),
            user_group: process::user_group(),
        }
    }
}
