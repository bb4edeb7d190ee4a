//! Registers as roots.

use crate::arch::{KEPT_BY_CALLS, MAY_HOLD_POINTERS};
use crate::base::Errno;
use crate::mem::MapVec;

use super::model::{RootKind, RootWord, Strength};
use super::thread::{State, Thread};

/// Appends the words of a thread's registers. In a system call those that a call does not keep are usually stale, yet
/// `syscall` keeps all but three, and inlined calls use that: they are weak, never dropped.
pub(super) fn find(thread: &Thread<'_>, into: &mut MapVec<RootWord>) -> Result<(), Errno> {
    let strength = |kept: bool| match thread.state {
        State::Running => Strength::Strong,
        State::Asking | State::Blocked if kept => Strength::Strong,
        _ => Strength::Weak,
    };
    let mut add = |word: usize, strength: Strength| {
        if word == 0 {
            return Ok(());
        }
        into.push(RootWord { word, kind: RootKind::Register, tid: thread.tid, strength })
    };
    for index in MAY_HOLD_POINTERS {
        let word = thread.registers.0.get(index).copied().unwrap_or(0);
        add(word, strength(KEPT_BY_CALLS.contains(&index)))?;
    }
    for word in thread.extended {
        add(*word as usize, strength(false))?;
    }
    Ok(())
}

/// Appends extended state that was read later, of a thread in a system call that keeps nothing of it.
pub fn add_late(tid: i32, extended: &[u64], into: &mut MapVec<RootWord>) -> Result<(), Errno> {
    for word in extended.iter().map(|word| *word as usize).filter(|word| *word != 0) {
        into.push(RootWord { word, kind: RootKind::Register, tid, strength: Strength::Weak })?;
    }
    Ok(())
}
