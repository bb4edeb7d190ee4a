//! Thread-local storage: static blocks, the DTV, thread-specific values, control blocks of threads that have ended.
//!
//! Static blocks and control block lie around the thread pointer ([`Layout`]). Dynamic blocks hang off the DTV, whose address is in the
//! control block; the DTV and the blocks are chunks of the heap (the loader allocates them by the program's malloc), so
//! marking finds them by itself. Only the DTV of the main thread, and of a program whose loader has a malloc of its own,
//! lies in a mapping: it is a root of its own, and no part of that mapping as a node.
//!
//! A thread that has ended and was not joined keeps its control block, which has its result. A stack that the library
//! keeps for the next thread holds nothing that is live; its DTV and dynamic blocks are the library's until then.

use crate::base::{Addr, AddrRange, Errno};
use crate::heap::Provider;
use crate::mem::{MapVec, ReadMemory};

use super::libc_layout::{Layout, Lists};
use super::model::RootKind;
use super::stacks::Borders;

/// A range with its kind, before it is known whether its kind is wanted.
pub(super) type Found = (AddrRange, RootKind);

/// More modules than any process has; a larger number is no DTV.
const MOST_MODULES: usize = 1 << 16;
/// More threads than any process has.
const MOST_THREADS: usize = 1 << 20;

/// The parts of a live thread's static block, in at most three pieces.
pub(super) fn static_parts(layout: &Layout, borders: &Borders<'_>, top: Addr) -> [Found; 3] {
    let stretch = borders.stretch(top).unwrap_or_default();
    let all = layout.static_block(top).intersect(stretch);
    let specific = layout.specific_values(top).intersect(all);
    if specific.is_empty() {
        let none = (AddrRange::default(), RootKind::Tls);
        return [(all, RootKind::Tls), none, none];
    }
    [
        (AddrRange::new(all.start, specific.start), RootKind::Tls),
        (specific, RootKind::ThreadSpecific),
        (AddrRange::new(specific.end, all.end), RootKind::Tls),
    ]
}

/// The DTV of a control block, when it is no chunk of the heap.
pub(super) fn vector(
    layout: &Layout,
    borders: &Borders<'_>,
    provider: &impl Provider,
    memory: &impl ReadMemory,
    top: Addr,
) -> AddrRange {
    let Some(dtv) = word(memory, layout.control_block(top).start.plus(layout.dtv)).map(Addr::new) else {
        return AddrRange::default();
    };
    if provider.find(dtv).is_some() {
        return AddrRange::default();
    }
    let first = layout.vector.count(dtv);
    let Some(stretch) = borders.stretch(dtv) else { return AddrRange::default() };
    match word(memory, first) {
        // One entry for the length, one for the generation, then one a module.
        Some(count) if count < MOST_MODULES => {
            AddrRange::sized(first, (count + 2) * layout.vector.entry()).intersect(stretch)
        }
        _ => AddrRange::default(),
    }
}

/// Appends what the C library has allocated for a thread's storage: the DTV, the blocks that it names, and blocks of
/// thread-specific values.
pub(super) fn allocated(
    layout: &Layout,
    memory: &impl ReadMemory,
    top: Addr,
    into: &mut MapVec<usize>,
) -> Result<(), Errno> {
    if let Some(dtv) = word(memory, layout.control_block(top).start.plus(layout.dtv)).map(Addr::new) {
        into.push(dtv.get())?;
        let count = word(memory, layout.vector.count(dtv)).filter(|count| *count < MOST_MODULES).unwrap_or(0);
        for module in 1..=count {
            if let Some(block) = word(memory, dtv.plus(module * layout.vector.entry())) {
                into.push(block)?;
            }
        }
    }
    if let Some(specific) = layout.specific {
        let values = layout.control_block(top).start.plus(specific.blocks);
        for block in 0..specific.count {
            if let Some(block) = word(memory, values.plus(block * size_of::<usize>())) {
                into.push(block)?;
            }
        }
    }
    Ok(())
}

/// A thread that the library knows of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Listed {
    /// Its thread pointer.
    pub(super) top: Addr,
    /// Its id; 0 when it has none, or that is not looked at.
    pub(super) tid: i32,
    pub(super) life: Life,
    /// The library allocated its stack, with the control block at its top. Not so the first thread's, unless that is the
    /// child of a fork made by another thread.
    pub(super) on_own_stack: bool,
}

/// What has become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// It has an id: alive, or being made.
    Alive,
    /// It has ended, or it was not started yet; not joined.
    Ended,
    /// Joined; its stack waits for the next thread.
    Cached,
}

/// Appends every thread in the library's lists. A list that is being changed, or is none, is left where it ceases to
/// make sense.
pub(super) fn listed(
    memory: &impl ReadMemory,
    layout: &Layout,
    lists: &Lists,
    into: &mut MapVec<Listed>,
) -> Result<(), Errno> {
    for (head, on_own_stack) in [(lists.used, true), (lists.user, false)] {
        let listed = |top, tid| {
            let life = if tid == 0 { Life::Ended } else { Life::Alive };
            Listed { top, tid: tid as i32, life, on_own_stack }
        };
        walk(memory, layout, lists, head, into, listed)?;
    }
    // The list of cached stacks has no descriptor; since glibc 2.34 it is the third of three neighbours in
    // `_rtld_global` (sysdeps/generic/ldsodefs.h). Something else there is no list whose links agree.
    let step = lists.user.get().wrapping_sub(lists.used.get());
    if step == 2 * size_of::<usize>() {
        let listed = |top, _| Listed { top, tid: 0, life: Life::Cached, on_own_stack: true };
        walk(memory, layout, lists, lists.user.plus(step), into, listed)?;
    }
    Ok(())
}

fn walk(
    memory: &impl ReadMemory,
    layout: &Layout,
    lists: &Lists,
    head: Addr,
    into: &mut MapVec<Listed>,
    listed: impl Fn(Addr, u32) -> Listed,
) -> Result<(), Errno> {
    let Some(mut at) = word(memory, head).map(Addr::new) else { return Ok(()) };
    let mut before = head;
    for _ in 0..MOST_THREADS {
        let mut links = [0; 2];
        if at == head || !at.get().is_multiple_of(8) || memory.read_words(at, &mut links) < 2 {
            break;
        }
        if links[1] != before.get() {
            break;
        }
        let block = at.minus(lists.link);
        let Some(tid) = word(memory, block.plus(lists.tid).align_down(8)) else { break };
        let tid = (tid >> ((block.get() + lists.tid) % 8 * 8)) as u32;
        into.push(listed(layout.thread_pointer(block), tid))?;
        before = at;
        at = Addr::new(links[0]);
    }
    Ok(())
}

/// One word, when it can be read.
pub(super) fn word(memory: &impl ReadMemory, at: Addr) -> Option<usize> {
    let mut word = [0];
    (at.get().is_multiple_of(8) && memory.read_words(at, &mut word) == 1).then_some(word[0])
}
