//! Functions that start, join or detach a thread, noted where an option asks for it. Otherwise each only goes on in libc's.
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::c_int;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::entry_point_of_six;
use standstill_runtime::threads::resources::{self, Kind};

use crate::next::nexts;
use crate::resources::{gives_back, stack_of};

type Create = unsafe extern "C" fn(usize, usize, usize, usize) -> c_int;

nexts! {
    real_create: Create = c"pthread_create";
    real_detach: unsafe extern "C" fn(usize) -> c_int = c"pthread_detach";
    real_detach_state: unsafe extern "C" fn(usize, *mut c_int) -> c_int = c"pthread_attr_getdetachstate";
}

entry_point_of_six!(/// As libc's, noted.
    pthread_create => pthread_create_for);

unsafe extern "C" fn pthread_create_for(
    thread: usize,
    attributes: usize,
    start: usize,
    argument: usize,
    _: usize,
    _: usize,
    frame: &CallerFrame,
) -> isize {
    let Some(real) = real_create() else { return libc::ENOSYS as isize };
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real(thread, attributes, start, argument) } as isize;
    created(result, [thread, attributes, start, argument], pthread_create as *const () as usize, frame);
    result
}

fn created(result: isize, [thread, attributes, ..]: [usize; 4], entry: usize, frame: &CallerFrame) {
    if result as c_int != 0 || !resources::are_kept(Kind::Thread) {
        return;
    }
    let mut state = libc::PTHREAD_CREATE_JOINABLE;
    if attributes != 0
        && let Some(get_state) = real_detach_state()
    {
        // SAFETY: the caller's attributes, which it has just used.
        unsafe { get_state(attributes, &mut state) };
    }
    if state == libc::PTHREAD_CREATE_JOINABLE {
        // SAFETY: the caller's variable, which the call has just set.
        let thread = unsafe { core::ptr::with_exposed_provenance::<usize>(thread).read_unaligned() };
        resources::add(Kind::Thread, thread, stack_of(entry, frame));
    }
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
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(thread: usize $(, $argument: usize)*) -> c_int {
                let Some(real) = real::$name() else { return libc::ENOSYS };
                // SAFETY: the caller's arguments, passed on.
                let join = || unsafe { real(thread $(, $argument)*) } as isize;
                gives_back(Kind::Thread, thread, join, |result| result as c_int != 0) as c_int
            }
        )+
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
    if resources::are_kept(Kind::Thread) && resources::take(Kind::Thread, thread).is_none() {
        resources::returned_early(thread);
    }
    // SAFETY: the caller's argument, passed on. It can only fail for what is no thread that can be joined.
    unsafe { real(thread) }
}
