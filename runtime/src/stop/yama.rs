//! Yama, the security module that lets a process be traced by its ancestors only (kernel.yama.ptrace_scope = 1).
//!
//! The process may name one tracer itself with PR_SET_PTRACER. That is done only when a seizure was refused and the scope
//! is 1, and for the time of the stop: the setting cannot be read back, and a crash reporter of the program may have made
//! its own. So whoever interposes prctl(2) tells [`program_named`], and that value is put back.
//!
//! Reference: Documentation/admin-guide/LSM/Yama.rst.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::sys::{file, task};

use super::proc_files::number;

/// What the program has named last; 0 for nobody, -1 for anybody.
static NAMED: AtomicI32 = AtomicI32::new(0);

/// The program calls `prctl(PR_SET_PTRACER, pid)`.
pub fn program_named(pid: i32) {
    NAMED.store(pid, Relaxed);
}

/// kernel.yama.ptrace_scope; `None` without Yama. 0 is read as no number and says that Yama refuses nothing.
pub(super) fn scope() -> Option<u32> {
    let mut text = [0; 16];
    let file = file::open(c"/proc/sys/kernel/yama/ptrace_scope", libc::O_RDONLY, 0).ok()?;
    let len = file::read(&file, &mut text).ok()?;
    number(text.get(..len)?.trim_ascii()).map(|scope| scope as u32)
}

/// The helper may trace, until dropped.
pub(super) struct Permission(());

impl Permission {
    /// Names `pid` as the tracer.
    pub(super) fn give(pid: i32) -> Permission {
        // A failure shows as the next refusal.
        let _ = task::allow_tracer(pid);
        Permission(())
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        let _ = task::allow_tracer(NAMED.load(Relaxed));
    }
}
