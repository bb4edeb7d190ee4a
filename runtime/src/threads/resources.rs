//! What a program has opened or started and must give back: descriptors and threads, each with the call stack.
//!
//! Contract: every phase but the stopped world. A signal handler that interrupts a change of the list on its own thread
//! is not noted; a forked child in which another thread was at the list begins with an empty one.
//!
//! Nothing is kept unless an option asks for it: see [`keep`].

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::base::Errno;
use crate::heap::lock::OwnerLock;
use crate::mem::MapVec;
use crate::trace::StackId;

/// What there is to give back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A file descriptor, by its number.
    Descriptor,
    /// A thread that somebody must join or detach, by its `pthread_t`.
    Thread,
}

impl Kind {
    /// Both, in the order of a report.
    pub const ALL: [Kind; 2] = [Kind::Descriptor, Kind::Thread];

    /// The word in records and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Descriptor => "descriptor",
            Kind::Thread => "thread",
        }
    }
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Who opened or started it.
    pub stack: StackId,
    /// Which it is.
    pub key: usize,
    /// Tells it from another of its name.
    serial: usize,
}

struct List {
    all: MapVec<Resource>,
    /// How many were ever noted.
    noted: usize,
}

static KEPT: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
static LIST: OwnerLock<List> = OwnerLock::new(List { all: MapVec::new(), noted: 0 });

/// From now on these are noted. At the start.
pub fn keep(kind: Kind) {
    KEPT[kind as usize].store(true, Relaxed);
}

/// Whether these are noted.
#[inline]
pub fn are_kept(kind: Kind) -> bool {
    KEPT[kind as usize].load(Relaxed)
}

/// Notes one. Another with its name is gone: a descriptor can be closed by a call that nobody sees.
pub fn add(kind: Kind, key: usize, stack: StackId) {
    let Some(mut list) = LIST.lock() else { return };
    list.noted += 1;
    let one = Resource { kind, stack, key, serial: list.noted };
    match list.all.iter_mut().find(|other| (other.kind, other.key) == (kind, key)) {
        Some(other) => *other = one,
        // Without memory it is not reported.
        None => drop(list.all.push(one)),
    }
}

/// The one of this name, before somebody tries to give it back.
pub fn find(kind: Kind, key: usize) -> Option<Resource> {
    LIST.lock()?.all.iter().find(|one| (one.kind, one.key) == (kind, key)).copied()
}

/// It was given back. Another thread may have noted the next of its name since.
pub fn given_back(resource: &Resource) {
    let Some(mut list) = LIST.lock() else { return };
    if let Some(at) = list.all.iter().position(|one| one == resource)
        && let Some(last) = list.all.pop()
        && let Some(hole) = list.all.get_mut(at)
    {
        *hole = last;
    }
}

/// A copy of the list, by kind and call stack.
pub fn all() -> Result<MapVec<Resource>, Errno> {
    let mut all = MapVec::new();
    if let Some(list) = LIST.lock() {
        all.extend(&list.all)?;
    }
    all.sort_unstable();
    Ok(all)
}

/// In the child of a fork, which has one thread: the others are not its to join.
pub fn after_fork_in_child() {
    let is_half_done = LIST.free_of_others();
    let Some(mut list) = LIST.lock() else { return };
    let all = &mut list.all;
    if is_half_done {
        core::mem::forget(core::mem::take(all));
    }
    let mut kept = 0;
    for at in 0..all.len() {
        let Some(one) = all.get(at).copied().filter(|one| one.kind != Kind::Thread) else { continue };
        if let Some(place) = all.get_mut(kept) {
            *place = one;
        }
        kept += 1;
    }
    all.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack_of(kind: Kind, key: usize) -> Option<StackId> {
        all().unwrap().iter().find(|one| (one.kind, one.key) == (kind, key)).map(|one| one.stack)
    }

    #[test]
    fn what_is_given_back_is_not_in_the_list() {
        add(Kind::Descriptor, 7001, StackId(1));
        add(Kind::Descriptor, 7001, StackId(2));
        assert_eq!(stack_of(Kind::Descriptor, 7001), Some(StackId(2)));
        given_back(&find(Kind::Descriptor, 7001).unwrap());
        assert_eq!((stack_of(Kind::Descriptor, 7001), find(Kind::Descriptor, 7001)), (None, None));
    }

    #[test]
    fn the_next_of_a_name_is_not_taken_for_the_last() {
        add(Kind::Thread, 8001, StackId(3));
        let joined = find(Kind::Thread, 8001).unwrap();
        add(Kind::Thread, 8001, StackId(3));
        given_back(&joined);
        assert_eq!(stack_of(Kind::Thread, 8001), Some(StackId(3)));
        given_back(&find(Kind::Thread, 8001).unwrap());
        assert_eq!(stack_of(Kind::Thread, 8001), None);
    }
}
