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
    /// It was given back before it was noted: a thread can detach itself before its creator knows its name.
    returned: bool,
}

static KEPT: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
static LIST: OwnerLock<MapVec<Resource>> = OwnerLock::new(MapVec::new());

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
    match list.iter().position(|one| (one.kind, one.key) == (kind, key)) {
        Some(at) if list.get(at).is_some_and(|one| one.returned) => remove(&mut list, at),
        Some(at) => {
            if let Some(one) = list.get_mut(at) {
                one.stack = stack;
            }
        }
        // Without memory it is not reported.
        None => drop(list.push(Resource { kind, stack, key, returned: false })),
    }
}

/// Takes one out of the list, before it is given back: its name may be used anew at once.
pub fn take(kind: Kind, key: usize) -> Option<Resource> {
    let mut list = LIST.lock()?;
    let at = list.iter().position(|one| (one.kind, one.key) == (kind, key) && !one.returned)?;
    let one = list.get(at).copied();
    remove(&mut list, at);
    one
}

/// Puts one back that could not be given back.
pub fn put_back(resource: Resource) {
    add(resource.kind, resource.key, resource.stack);
}

/// A thread detaches itself that nobody has noted yet.
pub fn returned_early(key: usize) {
    if let Some(mut list) = LIST.lock() {
        let one = Resource { kind: Kind::Thread, stack: StackId::NONE, key, returned: true };
        let _ = list.push(one);
    }
}

fn remove(list: &mut MapVec<Resource>, at: usize) {
    if let Some(last) = list.pop()
        && let Some(hole) = list.get_mut(at)
    {
        *hole = last;
    }
}

/// A copy of the list, by kind and call stack.
pub fn all() -> Result<MapVec<Resource>, Errno> {
    let mut all = MapVec::new();
    if let Some(list) = LIST.lock() {
        for one in list.iter().filter(|one| !one.returned) {
            all.push(*one)?;
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// In the child of a fork, which has one thread: the others are not its to join.
pub fn after_fork_in_child() {
    let is_half_done = LIST.free_of_others();
    let Some(mut list) = LIST.lock() else { return };
    if is_half_done {
        core::mem::forget(core::mem::take(&mut *list));
    }
    let mut kept = 0;
    for at in 0..list.len() {
        let Some(one) = list.get(at).copied().filter(|one| one.kind != Kind::Thread) else { continue };
        if let Some(place) = list.get_mut(kept) {
            *place = one;
        }
        kept += 1;
    }
    list.truncate(kept);
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
        let one = take(Kind::Descriptor, 7001).unwrap();
        assert_eq!((stack_of(Kind::Descriptor, 7001), take(Kind::Descriptor, 7001)), (None, None));
        put_back(one);
        assert_eq!(stack_of(Kind::Descriptor, 7001), Some(StackId(2)));
        assert!(take(Kind::Descriptor, 7001).is_some());
    }

    #[test]
    fn a_thread_that_detaches_itself_early_is_none() {
        returned_early(8001);
        assert_eq!((stack_of(Kind::Thread, 8001), take(Kind::Thread, 8001)), (None, None));
        add(Kind::Thread, 8001, StackId(3));
        assert_eq!(stack_of(Kind::Thread, 8001), None);
        add(Kind::Thread, 8001, StackId(4));
        assert_eq!(take(Kind::Thread, 8001).map(|one| one.stack), Some(StackId(4)));
    }
}
