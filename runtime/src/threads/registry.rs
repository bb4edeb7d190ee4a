//! The list of thread states: finding the caller's, making one, giving it back.
//!
//! # Safety
//!
//! A [`ThreadState`] is reached by `&mut` only by its owner, through the thread's word, and only while `busy` says that
//! nobody else on that thread is inside: `enter` sets it before it makes the reference and clears it after. The list
//! itself only grows; a published state stays mapped for good.

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    compiler_fence,
};

use crate::arch;
use crate::base::Tid;
use crate::heap;
use crate::heap::lock::OwnerLock;
use crate::mem;
use crate::sys::process;

use super::scopes;
use super::state::{ThreadState, life};
use super::waiting::{self, Waiting};

/// The state made last; the others hang behind it.
static NEWEST: AtomicPtr<ThreadState> = AtomicPtr::new(core::ptr::null_mut());

/// Held while a state changes hands.
static CHANGING_HANDS: OwnerLock<Unowned> = OwnerLock::new(Unowned::NONE);

/// Where a thread gets its state from.
struct Unowned {
    waiting: Waiting,
    unused: Unused,
}

impl Unowned {
    const NONE: Unowned = Unowned { waiting: Waiting::EMPTY, unused: Unused { next: None, left: 0 } };
}

/// Memory for states that were not used yet: where the next one goes, and how many there are.
struct Unused {
    next: Option<NonNull<ThreadState>>,
    left: usize,
}

// SAFETY: memory of ours that stays mapped, reached through the lock only.
unsafe impl Send for Unused {}

/// Called on a thread after it got its state; 0 for none.
static FIRST_USE: AtomicUsize = AtomicUsize::new(0);

/// From now on calls `hook` on each thread that gets a state, outside of all locks: the C side asks libc there to tell
/// it of the thread's end.
pub fn on_first_use(hook: fn()) {
    FIRST_USE.store(hook as usize, Release);
}

/// Runs `inside` with the state of the calling thread. `None` when there is no memory for one.
#[inline(always)]
pub fn with<R>(inside: impl FnOnce(&mut ThreadState) -> R) -> Option<R> {
    enter().map(|mut thread| inside(&mut thread))
}

/// The state of the calling thread, which is inside the runtime as long as this lives.
pub struct Inside {
    state: NonNull<ThreadState>,
    /// False for a state that was made or taken for this.
    usual: bool,
}

/// The state of the calling thread, if it has one and is not inside already.
#[inline(always)]
pub fn enter_quickly() -> Option<Inside> {
    // SAFETY: the word is the calling thread's own.
    let state = NonNull::new(unsafe { *arch::thread_word() } as *mut ThreadState)?;
    // SAFETY: as in `enter`.
    if unsafe { state.as_ref() }.busy.load(Relaxed) {
        return None;
    }
    Some(inside(state, true))
}

/// The state of the calling thread. `None` when there is no memory for one.
///
/// No closure, so that what malloc does with it is inlined there.
#[inline(always)]
pub fn enter() -> Option<Inside> {
    // SAFETY: the word is the calling thread's own.
    let word = NonNull::new(unsafe { *arch::thread_word() } as *mut ThreadState);
    // SAFETY: a word that is not 0 was set by `adopt` below and points to a state that stays mapped.
    let usual = word.filter(|state| !unsafe { state.as_ref() }.busy.load(Relaxed));
    let state = match usual {
        Some(state) => state,
        None if word.is_none() => adopt()?,
        None => take()?,
    };
    Some(inside(state, usual.is_some()))
}

#[inline(always)]
fn inside(state: NonNull<ThreadState>, usual: bool) -> Inside {
    // SAFETY: mapped for good, see `enter`. `busy` is touched by this thread alone (and its signal handlers, which find
    // it set and take another state), so plain stores in program order are enough.
    unsafe { state.as_ref() }.busy.store(true, Relaxed);
    compiler_fence(SeqCst);
    Inside { state, usual }
}

impl Deref for Inside {
    type Target = ThreadState;

    #[inline(always)]
    fn deref(&self) -> &ThreadState {
        // SAFETY: `busy` was clear and is set now: there is no other reference.
        unsafe { self.state.as_ref() }
    }
}

impl DerefMut for Inside {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut ThreadState {
        // SAFETY: as above.
        unsafe { self.state.as_mut() }
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        // SAFETY: as in `enter`.
        unsafe { self.state.as_ref() }.busy.store(false, Relaxed);
        if !self.usual {
            put_back(self.state.as_ptr());
        }
    }
}

/// The thread has no state yet.
#[cold]
#[inline(never)]
fn adopt() -> Option<NonNull<ThreadState>> {
    let state = take()?;
    // SAFETY: the word is the calling thread's own.
    unsafe { *arch::thread_word() = state.as_ptr().expose_provenance() };
    let hook = FIRST_USE.load(Acquire);
    if hook != 0 {
        // SAFETY: stored by `on_first_use` from a `fn()`.
        let hook = unsafe { core::mem::transmute::<usize, fn()>(hook) };
        hook();
    }
    Some(state)
}

/// Ends a use of a state that was not the usual one. The thread was inside already: a signal handler has interrupted it
/// there (or jumped out of there for good), and got a state for this one call. Frees then go the way of a free by another
/// thread, so both sides stay whole.
#[cold]
#[inline(never)]
fn put_back(state: *mut ThreadState) {
    // SAFETY: the word is the calling thread's own.
    if unsafe { *arch::thread_word() } == state.addr() {
        return;
    }
    // SAFETY: the state is ours until `life` says otherwise.
    unsafe {
        heap::thread_exit(&mut (*state).heap);
        leave_scopes(&mut *state);
        // It has seen this thread's stack, which may be gone when the next thread has it.
        (*state).trace.leave_stack();
        (*state).life.store(life::FREE, Release);
        waiting::give_back(&*state);
    }
}

/// A state that nobody owns, made the caller's.
fn take() -> Option<NonNull<ThreadState>> {
    let tid = process::tid();
    let state = match CHANGING_HANDS.lock() {
        Some(mut unowned) => {
            let state = match unowned.waiting.next() {
                Some(state) => state,
                None => unowned.unused.make()?,
            };
            own(state, tid);
            state
        }
        // A signal handler has interrupted this on its own thread: it gets memory of its own.
        None => {
            let state = publish(mem::map_own(size_of::<ThreadState>()).ok()?.cast());
            own(state, tid);
            state
        }
    };
    Some(state)
}

/// Makes a state that has no owner the calling thread's.
fn own(state: NonNull<ThreadState>, tid: Tid) {
    // SAFETY: mapped for good, see the module.
    let shared = unsafe { state.as_ref() };
    if shared.life.load(Relaxed) != life::FREE {
        // SAFETY: its owner is dead, and it waits for none but the caller: the one reference.
        renew(unsafe { &mut *state.as_ptr() });
    }
    shared.asleep.store(0, Relaxed);
    shared.tid.store(tid.get(), Relaxed);
    shared.life.store(life::LIVE, Release);
    shared.waits.store(false, Release);
}

/// Makes the state of a dead thread as new. What it freed or cached after its last destructor goes back now.
fn renew(state: &mut ThreadState) {
    heap::thread_exit(&mut state.heap);
    state.trace.release();
    state.disabled = 0;
    leave_scopes(state);
    state.alternate_stack = 0;
    state.busy.store(false, Relaxed);
    state.life.store(life::FREE, Release);
}

fn leave_scopes(state: &mut ThreadState) {
    scopes::abandon(core::mem::replace(&mut state.scope, heap::Scope::NONE));
}

impl Unused {
    /// A new state, in the list.
    fn make(&mut self) -> Option<NonNull<ThreadState>> {
        // Several to a mapping: a mapping for each of ten thousand threads would be slow and would fill the list of
        // ours. Each is written when it is wanted: a process with one thread touches one.
        const BATCH: usize = 16;
        if self.left == 0 {
            self.next = Some(mem::map_own(BATCH * size_of::<ThreadState>()).ok()?.cast());
            self.left = BATCH;
        }
        let state = self.next?;
        // SAFETY: inside the mapping, or one past its end, where it is not used any more.
        self.next = Some(unsafe { state.add(1) });
        self.left -= 1;
        Some(publish(state))
    }
}

/// Makes a new state of memory for one, and enters it in the list, where it has no owner: the caller is the first to
/// know of it, and holds [`CHANGING_HANDS`], so nobody else takes it before.
fn publish(state: NonNull<ThreadState>) -> NonNull<ThreadState> {
    // SAFETY: mapped for good by the caller, page-aligned or behind another state; not yet published.
    unsafe { state.write(ThreadState::new()) };
    // SAFETY: just written.
    let shared = unsafe { state.as_ref() };
    let mut newest = NEWEST.load(Acquire);
    loop {
        shared.older.store(newest, Relaxed);
        match NEWEST.compare_exchange_weak(newest, state.as_ptr(), AcqRel, Acquire) {
            Ok(_) => return state,
            Err(now) => newest = now,
        }
    }
}

/// The calling thread runs its last destructors: its memory goes back, its state becomes reusable when it is dead.
pub fn leaving() {
    // SAFETY: the word is the calling thread's own.
    let state = unsafe { *arch::thread_word() } as *mut ThreadState;
    // SAFETY: as in `with`.
    let Some(shared) = (unsafe { state.as_ref() }) else { return };
    // An end that began in a signal handler may never come back to the call which that interrupted.
    shared.asleep.store(0, Relaxed);
    if shared.busy.load(Relaxed) {
        return;
    }
    if let Some(mut state) = enter() {
        heap::thread_exit(&mut state.heap);
        state.trace.release();
        leave_scopes(&mut state);
    }
    shared.life.store(life::LEAVING, Release);
    waiting::give_back(shared);
}

/// The calling thread leaves whatever call it was in, other than by its return: see [`super::asleep`].
pub(super) fn leave_call() {
    // SAFETY: null, or a published state, which stays mapped.
    if let Some(own) = unsafe { own_word().as_ref() } {
        own.asleep.store(0, Relaxed);
    }
}

/// In the child of a fork(2): the caller is the only thread, and has a new id.
///
/// A state whose owner was not inside of the runtime is whole (heap/fork.rs) and can be used again. The others are lost
/// for good: what stands there is half of an operation. Their blocks stay readable and can be freed; only what they had
/// in store is not used again.
pub fn after_fork_in_child() {
    if CHANGING_HANDS.free_of_others()
        && let Some(mut unowned) = CHANGING_HANDS.lock()
    {
        *unowned = Unowned::NONE;
    }
    each(&mut |state| {
        let at = state.as_ptr();
        let is_own = core::ptr::eq(at, own_word());
        // SAFETY: published states stay mapped.
        let state = unsafe { state.as_ref() };
        if is_own {
            state.tid.store(process::tid().get(), Relaxed);
            scopes::after_fork_in_child(state.scope);
        } else if state.life.load(Acquire) != life::FREE {
            let whole = !state.busy.load(Relaxed);
            state.tid.store(0, Relaxed);
            state.life.store(if whole { life::LEAVING } else { life::LOST }, Release);
            if whole {
                // SAFETY: the caller is the only thread, and is not inside of this state.
                unsafe { (&raw mut (*at).scope).write(heap::Scope::NONE) };
                waiting::give_back(state);
            }
        }
    });
    // SAFETY: null, or a published state, which stays mapped.
    let interrupted = unsafe { own_word().as_ref() }.is_some_and(|own| own.busy.load(Relaxed));
    heap::after_fork_in_child(interrupted, |forget| {
        each(&mut |state| {
            // SAFETY: published states stay mapped.
            if !unsafe { state.as_ref() }.busy.load(Relaxed) {
                // SAFETY: the caller is the only thread, and is not inside of this state: the one reference.
                forget(unsafe { &mut (*state.as_ptr()).heap });
            }
        });
    });
}

/// The state that the calling thread's word names; null for none.
fn own_word() -> *const ThreadState {
    // SAFETY: the word is the calling thread's own.
    unsafe { *arch::thread_word() as *const ThreadState }
}

fn each(visit: &mut dyn FnMut(NonNull<ThreadState>)) {
    let mut at = NEWEST.load(Acquire);
    while let Some(state) = NonNull::new(at) {
        visit(state);
        // SAFETY: the list holds published states, which stay mapped.
        at = unsafe { state.as_ref() }.older.load(Acquire);
    }
}

/// Visits the state of every thread that has one. In the stopped world the owners stand still; elsewhere what is seen
/// may be stale.
pub fn for_each(visit: &mut dyn FnMut(&ThreadState)) {
    each(&mut |state| {
        // SAFETY: published states stay mapped.
        let state = unsafe { state.as_ref() };
        if state.life.load(Acquire) != life::FREE {
            visit(state);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> usize {
        let mut count = 0;
        each(&mut |_| count += 1);
        count
    }

    /// A thread that uses its state and ends as libc ends one; the address of its state.
    fn thread_that_ends() -> usize {
        let body = || {
            let at = with(|state| core::ptr::from_ref(state).addr()).unwrap();
            leaving();
            // A destructor of another key may run once more.
            leaving();
            at
        };
        std::thread::spawn(body).join().unwrap()
    }

    #[test]
    fn states_of_dead_threads_are_used_again() {
        let before = states();
        let used: std::collections::HashSet<usize> = (0..200).map(|_| thread_that_ends()).collect();
        assert!(used.len() < 100, "{} states for 200 threads, one after the other", used.len());
        assert!(states() < before + 100);
    }

    #[test]
    fn no_state_has_two_owners() {
        let round = || {
            let all = std::sync::Barrier::new(20);
            let body = || {
                let at = with(|state| core::ptr::from_ref(state).addr()).unwrap();
                all.wait();
                leaving();
                at
            };
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..20).map(|_| scope.spawn(body)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect::<std::collections::HashSet<_>>()
            })
        };
        (0..50).for_each(|_| assert_eq!(round().len(), 20));
    }
}
