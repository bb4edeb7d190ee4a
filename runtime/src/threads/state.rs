//! The state of one thread.

use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::heap::{Scope, ThreadHeap};
use crate::trace::ThreadTrace;

/// What the runtime keeps for a thread. Lives in a mapping of ours, is never freed, and is reused.
///
/// Each has cache lines of its own, in pairs as CPUs fetch them: malloc and free write to it all the time, and two threads that
/// write to one line took twice as long.
#[repr(align(128))]
pub struct ThreadState {
    /// Its part of the allocator.
    pub heap: ThreadHeap,
    /// Its caches of call stacks.
    pub trace: ThreadTrace,
    /// How many times allocations of this thread were switched to "ignored" (`standstill_disable`).
    pub disabled: u32,
    /// In which scope it allocates (`standstill_scope_begin`).
    pub scope: Scope,
    /// Where its alternate signal stack begins (sigaltstack(2)); 0 for none. The kernel tells no other thread.
    pub alternate_stack: usize,
    /// Where the record of the call lies in which it may sleep; 0 for none. See [`super::asleep`].
    pub(super) asleep: AtomicUsize,
    /// Set while the thread is inside the runtime; see [`super::with`].
    pub(super) busy: AtomicBool,
    /// One of the constants of [`life`].
    pub(super) life: AtomicU32,
    /// The owner, as gettid(2) numbers it; 0 for none.
    pub(super) tid: AtomicI32,
    /// The state that was made before this one. Never changes once published.
    pub(super) older: AtomicPtr<ThreadState>,
    /// It waits for its next owner; see [`super::waiting`].
    pub(super) waits: AtomicBool,
    /// The next one that waits.
    pub(super) next: AtomicPtr<ThreadState>,
}

/// The distance of the word that names the record of the call in which a thread may sleep, from where the thread's word points.
pub const ASLEEP: usize = offset_of!(ThreadState, asleep);

// It has to fit into one instruction (arch/aarch64/sleeping.rs).
static_assertions::const_assert!(ASLEEP < 1 << 16);

impl ThreadState {
    /// The owner, as gettid(2) numbers it.
    pub fn tid(&self) -> i32 {
        self.tid.load(Relaxed)
    }

    pub(super) const fn new() -> ThreadState {
        ThreadState {
            heap: ThreadHeap::new(),
            trace: ThreadTrace::new(),
            disabled: 0,
            scope: Scope::NONE,
            alternate_stack: 0,
            asleep: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            life: AtomicU32::new(life::FREE),
            tid: AtomicI32::new(0),
            older: AtomicPtr::new(core::ptr::null_mut()),
            waits: AtomicBool::new(false),
            next: AtomicPtr::new(core::ptr::null_mut()),
        }
    }
}

/// Whose a state is.
pub(super) mod life {
    /// Nobody's.
    pub(crate) const FREE: u32 = 0;
    /// A running thread's.
    pub(crate) const LIVE: u32 = 1;
    /// Of a thread that has run its last destructor; free once the kernel no longer knows the thread.
    pub(crate) const LEAVING: u32 = 2;
    /// Of a thread that did not come along into this process by fork(2).
    pub(crate) const LOST: u32 = 3;
}
