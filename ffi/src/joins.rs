//! Functions that start, join or detach a thread, noted where an option asks for it. Otherwise each only goes on in libc's.
//!
//! A thread is noted before anybody else can know its name: libc stores that in a [`Ticket`], and whoever comes first, the
//! new thread or its maker, notes it and passes it on to where the program wants it. So nobody can join a thread that is
//! not noted, and the program's variable is not touched once the program may have freed it.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use standstill_runtime::arch::{self, CallerFrame};
use standstill_runtime::entry_point_of_six;
use standstill_runtime::heap::{self, Origin, Request, Tag};
use standstill_runtime::threads;
use standstill_runtime::threads::resources::{self, Kind};
use standstill_runtime::trace::StackId;

use crate::malloc;
use crate::next::nexts;
use crate::resources::{gives_back, stack_of};
use crate::sleeping::sleeping;

type Create = unsafe extern "C" fn(*mut usize, usize, usize, usize) -> c_int;

nexts! {
    real_create: Create = c"pthread_create";
    real_detach: unsafe extern "C" fn(usize) -> c_int = c"pthread_detach";
    real_detach_state: unsafe extern "C" fn(usize, *mut c_int) -> c_int = c"pthread_attr_getdetachstate";
    real_self: unsafe extern "C" fn() -> usize = c"pthread_self";
}

/// A thread that is being started, in the program's heap: what holds the thread's argument must be seen by a check.
struct Ticket {
    /// What the program has the thread do.
    start: usize,
    argument: usize,
    /// Where the program wants the thread's name.
    name: *mut usize,
    /// Where libc stores it: musl while the thread runs already.
    id: UnsafeCell<usize>,
    stack: StackId,
    /// See [`Ticket::note`].
    noted: AtomicU32,
    /// Of the new thread and its maker, how many still use this.
    users: AtomicU32,
}

impl Ticket {
    const NEW: u32 = 0;
    const BEING_NOTED: u32 = 1;
    const NOTED: u32 = 2;

    /// None without memory.
    fn new(name: *mut usize, start: usize, argument: usize, stack: StackId) -> Option<NonNull<Ticket>> {
        let (size, align) = (size_of::<Ticket>(), malloc::ALIGN);
        let mut thread = threads::enter()?;
        let (origin, tag, scope) = (Origin::Malloc, Tag::Ignored, thread.scope);
        let request = Request { size, align, zeroed: false, origin, tag, scope, stack };
        let ticket = heap::allocate(&mut thread.heap, &request)?.cast::<Ticket>();
        let (noted, users) = (AtomicU32::new(Ticket::NEW), AtomicU32::new(2));
        // SAFETY: a new block of this size and alignment.
        unsafe {
            ticket.write(Ticket { start, argument, name, id: UnsafeCell::new(0), stack, noted, users })
        };
        Some(ticket)
    }

    /// Notes the thread `id` and passes its name on, once; when it returns, that has been done.
    fn note(&self, id: usize) {
        match self.noted.compare_exchange(Ticket::NEW, Ticket::BEING_NOTED, AcqRel, Acquire) {
            Ok(_) => {
                resources::add(Kind::Thread, id, self.stack);
                // SAFETY: the caller's variable. Its pthread_create has not returned and its thread has not begun, for both
                // wait for what is stored below.
                unsafe { self.name.write_unaligned(id) };
                self.noted.store(Ticket::NOTED, Release);
            }
            Err(Ticket::NOTED) => {}
            Err(_) => {
                while self.noted.load(Acquire) != Ticket::NOTED {
                    arch::yield_now();
                }
            }
        }
    }

    /// # Safety
    ///
    /// - The caller is one of the two users, and is none after this.
    unsafe fn leave(ticket: NonNull<Ticket>) {
        // SAFETY: it lives until its last user has left.
        if unsafe { ticket.as_ref() }.users.fetch_sub(1, AcqRel) == 1 {
            malloc::release(ticket.as_ptr().cast(), Origin::Malloc, malloc::free as *const () as usize);
        }
    }
}

static CREATE_OF_LIBC: AtomicUsize = AtomicUsize::new(0);

/// From now on nothing is noted.
pub(crate) fn pass_on() {
    if let Some(real) = real_create() {
        CREATE_OF_LIBC.store(real as *const () as usize, Relaxed);
    }
}

entry_point_of_six!(/// As libc's, noted.
    pthread_create => pthread_create_for, or jumps to CREATE_OF_LIBC);

unsafe extern "C" fn pthread_create_for(
    name: usize,
    attributes: usize,
    start: usize,
    argument: usize,
    _: usize,
    _: usize,
    frame: &CallerFrame,
) -> isize {
    let Some(real) = real_create() else { return libc::ENOSYS as isize };
    let name = core::ptr::with_exposed_provenance_mut(name);
    let ticket = (resources::are_kept(Kind::Thread) && is_joinable(attributes))
        .then(|| Ticket::new(name, start, argument, stack_of(pthread_create as *const () as usize, frame)))
        .flatten();
    let Some(ticket) = ticket else {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { real(name, attributes, start, argument) } as isize;
    };
    // SAFETY: a field of the ticket, which nobody else looks at; the attributes are the caller's.
    let result = unsafe {
        let id = ticket.as_ref().id.get();
        real(id, attributes, begin as *const () as usize, ticket.as_ptr().expose_provenance())
    };
    // SAFETY: the ticket is in use by us, and of a thread that was not made by nobody else; each leaves once.
    unsafe {
        match result {
            0 => ticket.as_ref().note(*ticket.as_ref().id.get()),
            _ => Ticket::leave(ticket),
        }
        Ticket::leave(ticket);
    }
    result as isize
}

/// Whether threads with these attributes are to be joined.
fn is_joinable(attributes: usize) -> bool {
    let mut state = libc::PTHREAD_CREATE_JOINABLE;
    if attributes != 0
        && let Some(detach_state) = real_detach_state()
    {
        // SAFETY: the caller's attributes, which it is about to use.
        unsafe { detach_state(attributes, &mut state) };
    }
    state == libc::PTHREAD_CREATE_JOINABLE
}

/// What two registers hold when a function returns it (psABI 3.2.3; AAPCS64 6.9).
#[repr(C)]
struct Work {
    start: usize,
    argument: usize,
}

extern "C" fn begun(ticket: NonNull<Ticket>) -> Work {
    // SAFETY: the ticket is in use by us, and we leave once.
    unsafe {
        if let Some(own) = real_self() {
            ticket.as_ref().note(own());
        }
        let work = Work { start: ticket.as_ref().start, argument: ticket.as_ref().argument };
        Ticket::leave(ticket);
        work
    }
}

/// What a noted thread begins with. It jumps to the program's function, so that no frame of ours is on the thread's stack.
#[unsafe(naked)]
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn begin(ticket: *mut c_void) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8", ".cfi_adjust_cfa_offset 8",
        "call {begun}",
        "add rsp, 8", ".cfi_adjust_cfa_offset -8",
        "mov rdi, rdx",
        "jmp rax",
        ".cfi_endproc",
        begun = sym begun,
    )
}

/// As above.
#[unsafe(naked)]
#[cfg(target_arch = "aarch64")]
unsafe extern "C" fn begin(ticket: *mut c_void) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-16]!", ".cfi_adjust_cfa_offset 16",
        ".cfi_rel_offset x29, 0", ".cfi_rel_offset x30, 8",
        "mov x29, sp",
        "bl {begun}",
        "ldp x29, x30, [sp], #16", ".cfi_adjust_cfa_offset -16",
        ".cfi_restore x29", ".cfi_restore x30",
        "mov x16, x0",
        "mov x0, x1",
        "br x16",
        ".cfi_endproc",
        begun = sym begun,
    )
}

macro_rules! replace {
    ($argument:ident $with:ty) => {
        $with
    };
}

/// Exports functions that wait for a thread.
macro_rules! joins {
    ($($name:ident($($argument:ident),*) = $symbol:literal;)+) => {
        pub(crate) mod real {
            use super::*;

            nexts! {
                $(pub(super) $name: unsafe extern "C" fn(usize $(, replace!($argument usize))*) -> c_int = $symbol;)+
            }
        }

        $(
            /// As libc's.
            ///
            /// # Safety
            ///
            /// As in C.
            pub(crate) unsafe extern "C" fn $name(thread: usize $(, $argument: usize)*) -> c_int {
                let Some(real) = real::$name() else { return libc::ENOSYS };
                // SAFETY: the caller's arguments, passed on.
                let join = || unsafe { real(thread $(, $argument)*) } as isize;
                gives_back(Kind::Thread, thread, join, |result| result as c_int == 0) as c_int
            }
        )+

        sleeping! { $($name)+ }
    };
}

joins! {
    pthread_join(value) = c"pthread_join";
    pthread_tryjoin_np(value) = c"pthread_tryjoin_np";
    pthread_timedjoin_np(value, until) = c"pthread_timedjoin_np";
    pthread_clockjoin_np(value, clock, until) = c"pthread_clockjoin_np";
}

/// As libc's.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_detach(thread: usize) -> c_int {
    let Some(real) = real_detach() else { return libc::ENOSYS };
    // SAFETY: the caller's argument, passed on.
    gives_back(Kind::Thread, thread, || unsafe { real(thread) } as isize, |result| result as c_int == 0)
        as c_int
}
