//! States that wait for their next owner.
//!
//! Whoever is done with a state puts it in, without a lock and from a signal handler too. Only one thread at a time takes
//! states out, the holder of the registry's lock; so a state cannot come back while another thread still looks at it, and
//! the way in is a plain stack that is emptied as a whole.
//!
//! ```text
//! give_back ─> RETURNED (a stack) ─> Waiting (a list, the holder's) ─> next
//! ```
//!
//! Contract: every state in here is published and stays mapped. [`ThreadState::waits`] is set from before a state is put
//! in until its next owner has it, so that nobody puts it in twice: not a thread that ends its destructors twice, and not
//! the child of a fork that has interrupted one of these functions.
//!
//! Why not a look through the list of all states: with ten thousand threads alive each new one would look at all of them.

use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::base::Tid;
use crate::sys::process;

use super::state::{ThreadState, life};

static RETURNED: AtomicPtr<ThreadState> = AtomicPtr::new(core::ptr::null_mut());

/// How many leaving threads one search asks the kernel about: enough to find a dead one soon, few enough to stay cheap
/// when thousands of threads end at once.
const ASKED: usize = 8;

/// Puts a state in whose `life` says that it may be used again, now or when its thread is dead.
pub(super) fn give_back(state: &ThreadState) {
    if state.waits.swap(true, AcqRel) {
        return;
    }
    let mut head = RETURNED.load(Relaxed);
    loop {
        state.next.store(head, Relaxed);
        let this = core::ptr::from_ref(state).cast_mut();
        match RETURNED.compare_exchange_weak(head, this, Release, Relaxed) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

/// The states that were taken off the stack: a list from the one that is looked at first to the one put in last.
pub(super) struct Waiting {
    first: Option<NonNull<ThreadState>>,
    last: Option<NonNull<ThreadState>>,
}

// SAFETY: states of ours that stay mapped, reached through the registry's lock only.
unsafe impl Send for Waiting {}

impl Waiting {
    pub(super) const EMPTY: Waiting = Waiting { first: None, last: None };

    /// A state that nobody owns: free, or of a thread that is dead, which is then to be made as new. It still `waits`.
    pub(super) fn next(&mut self) -> Option<NonNull<ThreadState>> {
        self.fetch();
        for _ in 0..ASKED {
            let state = self.pop()?;
            // SAFETY: see the module.
            let shared = unsafe { state.as_ref() };
            if shared.life.load(Acquire) == life::FREE
                || !Tid::new(shared.tid.load(Relaxed)).is_some_and(process::thread_exists)
            {
                return Some(state);
            }
            self.append(state);
        }
        None
    }

    /// Takes over what was given back: free states to the front, the others behind those that wait already, whose threads
    /// have had more time to die.
    fn fetch(&mut self) {
        if RETURNED.load(Relaxed).is_null() {
            return;
        }
        let mut newest = NonNull::new(RETURNED.swap(core::ptr::null_mut(), Acquire));
        let mut oldest = None;
        while let Some(state) = newest {
            // SAFETY: see the module; `next` is the holder's from here on.
            let shared = unsafe { state.as_ref() };
            newest = NonNull::new(shared.next.load(Relaxed));
            shared.next.store(pointer(oldest), Relaxed);
            oldest = Some(state);
        }
        while let Some(state) = oldest {
            // SAFETY: as above.
            let shared = unsafe { state.as_ref() };
            oldest = NonNull::new(shared.next.load(Relaxed));
            if shared.life.load(Acquire) == life::FREE { self.prepend(state) } else { self.append(state) }
        }
    }

    fn pop(&mut self) -> Option<NonNull<ThreadState>> {
        let state = self.first?;
        // SAFETY: see the module.
        self.first = NonNull::new(unsafe { state.as_ref() }.next.load(Relaxed));
        if self.first.is_none() {
            self.last = None;
        }
        Some(state)
    }

    fn prepend(&mut self, state: NonNull<ThreadState>) {
        // SAFETY: see the module.
        unsafe { state.as_ref() }.next.store(pointer(self.first), Relaxed);
        self.first = Some(state);
        self.last.get_or_insert(state);
    }

    fn append(&mut self, state: NonNull<ThreadState>) {
        // SAFETY: see the module.
        unsafe { state.as_ref() }.next.store(core::ptr::null_mut(), Relaxed);
        match self.last {
            // SAFETY: see the module.
            Some(last) => unsafe { last.as_ref() }.next.store(state.as_ptr(), Relaxed),
            None => self.first = Some(state),
        }
        self.last = Some(state);
    }
}

fn pointer(state: Option<NonNull<ThreadState>>) -> *mut ThreadState {
    state.map_or(core::ptr::null_mut(), NonNull::as_ptr)
}
