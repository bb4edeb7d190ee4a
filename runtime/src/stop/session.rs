//! What caller and helper share during one stop: stack, tables, and a few words to agree by.
//!
//! Everything lies in one mapping of ours, made before any thread is touched, so that it can be *abandoned*: should the
//! helper hang in the kernel for good, the caller leaves the mapping alone instead of pulling it from under a task that
//! might still be written to.
//!
//! ```text
//! guard page | signal stack | guard page | helper's stack | Session | watched ids
//! ```
//!
//! Contract: [`Session::body`] belongs to the helper from the clone until its end is known, and to the caller before and
//! after. The atomic words belong to both.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::arch::{Registers, page_size};
use crate::base::{Addr, AddrRange, Errno, Tid};
use crate::mem::{MapVec, OwnMap, ProcessMemory};
use crate::sys::signals::SignalSet;
use crate::sys::{memory, process};

use super::call::Call;
use super::ending::Said;
use super::notes::Backend;
use super::parking::Parking;
use super::record::World;
use super::tracees::Tracees;
use super::{Options, Work, Works};

/// Two nested signal frames with the largest extended state known (11 KiB with AMX tiles), and much room.
const SIGNAL_STACK: usize = 64 << 10;
/// For the work. Pages that are never touched cost address space only.
const HELPER_STACK: usize = 1 << 20;

/// A transfer that the stop has cut short.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Whose, as /proc numbers tasks.
    pub(super) listed: Tid,
    /// Lives as long as the thread stands still.
    pub(super) call: &'static Call,
    /// The signal that the thread is about to receive; 0 for none.
    pub(super) signal: i32,
}

/// How the helper sees to it that nothing moves.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// By ptrace.
    Trace,
    /// By a signal to each thread, which then stands here.
    Park(&'static Parking),
    /// There is nobody but the caller.
    Alone,
    /// Not at all: it looks whether all sleep, and afterwards whether they still do.
    Watch,
}

impl How {
    pub(super) fn backend(self) -> Backend {
        match self {
            How::Trace => Backend::Ptrace,
            How::Park(_) => Backend::Signal,
            How::Alone => Backend::Alone,
            How::Watch => Backend::Watch,
        }
    }
}

/// What the helper works with.
pub(super) struct Body {
    pub(super) options: Options,
    /// getpid() of the caller.
    pub(super) pid: i32,
    pub(super) caller: Tid,
    pub(super) caller_registers: Registers,
    /// What it blocked before the stop, and what waited for it then.
    pub(super) caller_blocked: SignalSet,
    pub(super) caller_pending: SignalSet,
    pub(super) world: World,
    pub(super) tracees: Tracees,
    pub(super) how: How,
    /// Transfers that the stop has cut short.
    pub(super) cuts: MapVec<Cut>,
    /// What is to be done, its lifetime erased. The caller waits for the helper's end and so outlives every use.
    ahead: *mut Work<'static>,
    work: *mut Work<'static>,
}

impl Body {
    /// Does what is to be done before the stop.
    pub(super) fn ahead(&mut self, memory: ProcessMemory<'_>) {
        // SAFETY: as in `work`.
        unsafe { (*self.ahead)(&self.world, memory) }
    }

    /// Runs the work on the world as it stands in `self.world`.
    pub(super) fn work(&mut self, memory: ProcessMemory<'_>) {
        // SAFETY: the pointer came from a `&mut` that the caller holds until the helper has ended, and only the task
        // that owns the body calls this.
        unsafe { (*self.work)(&self.world, memory) }
    }
}

/// Shared by caller and helper; see the module.
pub(super) struct Session {
    /// 1 while the helper lives. The kernel makes it 0 and wakes it (CLONE_CHILD_CLEARTID).
    pub(super) alive: AtomicU32,
    /// 0 while the helper may not trace yet, since the caller has still to allow it (Yama).
    pub(super) gate: AtomicU32,
    /// What the helper says of its end.
    pub(super) said: Said,
    /// CLOCK_MONOTONIC time after which the watchdog ends the helper.
    pub(super) hard_deadline: AtomicU64,
    /// When the watchdog's timer is to go off next, and for how long the helper stood still by job control in all.
    pub(super) due: AtomicU64,
    pub(super) stood_ns: AtomicU64,
    /// Tracees that the watchdog has reaped.
    pub(super) reaped: AtomicU32,
    /// getpid() of the caller.
    pub(super) pid: i32,
    /// The one that stays in it.
    pub(super) keep_descriptor: Option<i32>,
    pub(super) signal_stack: AddrRange,
    pub(super) stack_top: Addr,
    /// Ids of tracees for the watchdog, which cannot look into tables that grow: a place that never moves.
    watched: &'static [AtomicI32],
    watched_len: AtomicUsize,
    body: UnsafeCell<Body>,
}

impl Session {
    /// Has the watchdog look after a tracee.
    pub(super) fn watch(&self, tid: Tid) {
        let at = self.watched_len.load(Ordering::Relaxed);
        // Beyond the room, four times what was expected and more, deaths are found by waiting alone.
        if let Some(slot) = self.watched.get(at) {
            slot.store(tid.get(), Ordering::Relaxed);
            self.watched_len.store(at + 1, Ordering::Release);
        }
    }

    /// True after CLOCK_MONOTONIC time `deadline`, not counting time in which the helper stood still.
    pub(super) fn is_past(&self, deadline: u64) -> bool {
        process::monotonic_ns() > deadline.saturating_add(self.stood_ns.load(Ordering::Relaxed))
    }

    /// The tracees to look after; 0 where one is no more.
    pub(super) fn watched(&self) -> &[AtomicI32] {
        self.watched.get(..self.watched_len.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// The body.
    ///
    /// # Safety
    ///
    /// - The calling task owns the body: the helper while it lives, the caller otherwise; and holds no other reference.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn body(&self) -> &mut Body {
        // SAFETY: the caller's duty: there is no other reference.
        unsafe { &mut *self.body.get() }
    }
}

/// The session whose helper runs in this memory, for its signal handlers. One at a time: see [`super::turn`].
pub(super) static CURRENT: AtomicPtr<Session> = AtomicPtr::new(core::ptr::null_mut());

/// What a session is made from.
pub(super) struct Plan<'a> {
    /// getpid() of the caller.
    pub(super) pid: i32,
    pub(super) caller: Tid,
    pub(super) caller_registers: Registers,
    pub(super) options: &'a Options,
    pub(super) world: World,
    pub(super) tracees: Tracees,
    pub(super) how: How,
}

/// Owns a session and its mapping.
pub(super) struct SessionMap {
    map: OwnMap,
    session: *mut Session,
}

impl SessionMap {
    /// Makes memory for a helper and fills in what it works with.
    ///
    /// The returned value must not outlive `works`: it keeps pointers to them.
    pub(super) fn new(plan: Plan<'_>, works: &mut Works<'_, '_>) -> Result<SessionMap, Errno> {
        let Plan { pid, caller, caller_registers, options, world, tracees, how } = plan;
        // Pages of the list that are never touched cost address space only.
        let room = 4 * tracees.room() + (16 << 10);
        let fixed = 2 * page_size() + SIGNAL_STACK + HELPER_STACK + size_of::<Session>();
        let map = OwnMap::new(fixed + room * size_of::<AtomicI32>())?;
        let start = map.range().start;
        let signal_stack = AddrRange::sized(start.plus(page_size()), SIGNAL_STACK);
        let stack_top = signal_stack.end.plus(page_size() + HELPER_STACK);
        for guard in [start, signal_stack.end] {
            // SAFETY: a page of the new mapping, which nobody uses.
            unsafe { memory::protect(AddrRange::sized(guard, page_size()), libc::PROT_NONE) }?;
        }
        let [ahead, work] = [&raw mut *works.ahead, &raw mut *works.work].map(|work| {
            // SAFETY: only the lifetime changes; Body::work says why the pointer is good whenever it is used.
            unsafe { core::mem::transmute::<*mut Work<'_>, *mut Work<'static>>(work) }
        });
        let session: *mut Session = core::ptr::with_exposed_provenance_mut(stack_top.get());
        // SAFETY: zeroed memory of the mapping behind the session, aligned for it and so for words; it lives as long as
        // the session that holds the reference.
        let watched = unsafe { core::slice::from_raw_parts(session.add(1).cast::<AtomicI32>(), room) };
        let value = Session {
            alive: AtomicU32::new(1),
            gate: AtomicU32::new(1),
            said: Said::nothing(),
            hard_deadline: AtomicU64::new(u64::MAX),
            due: AtomicU64::new(u64::MAX),
            stood_ns: AtomicU64::new(0),
            reaped: AtomicU32::new(0),
            pid,
            keep_descriptor: options.keep_descriptor,
            signal_stack,
            stack_top,
            watched,
            watched_len: AtomicUsize::new(0),
            body: UnsafeCell::new(Body {
                options: *options,
                pid,
                caller,
                caller_registers,
                caller_blocked: SignalSet::EMPTY,
                caller_pending: SignalSet::ALL,
                world,
                tracees,
                how,
                cuts: MapVec::new(),
                ahead,
                work,
            }),
        };
        // SAFETY: the mapping has room for it from the stack's end on, a page border.
        unsafe { session.write(value) };
        Ok(SessionMap { map, session })
    }

    /// The session.
    pub(super) fn get(&self) -> &Session {
        // SAFETY: written by new, in a mapping that lives as long as self.
        unsafe { &*self.session }
    }

    /// Leaves the mapping to a helper that nothing could end.
    pub(super) fn abandon(self) {
        core::mem::forget(self);
    }
}

impl Drop for SessionMap {
    fn drop(&mut self) {
        // SAFETY: written by new; nobody else uses it: the helper has ended, or was never made.
        unsafe { self.session.drop_in_place() };
        let _ = &self.map;
    }
}
