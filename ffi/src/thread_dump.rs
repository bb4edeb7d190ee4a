//! standstill_dump_threads, and the signal that does the same (option `dump_signal`).

use core::ffi::c_int;

use standstill_runtime::arch::{self, CallerFrame, InterruptedContext};
use standstill_runtime::check::{Asker, dump_threads};
use standstill_runtime::mem::with_room;
use standstill_runtime::report::say;
use standstill_runtime::sys::signals::{self, Action, SignalSet};
use standstill_runtime::{entry_point, init};

use crate::api::code;
use crate::{modules, start};

unsafe extern "C" fn dump(descriptor: usize, _: usize, _: usize, frame: &CallerFrame) -> c_int {
    let descriptor = Some(descriptor as c_int).filter(|descriptor| *descriptor >= 0);
    let mut answer = code::COULD_NOT_CHECK;
    with_room(&mut || {
        answer = match dump_threads(&Asker::Call(frame), descriptor) {
            Some(notes) if notes.is_complete() => code::DONE,
            Some(_) => code::INCOMPLETE,
            None => code::COULD_NOT_CHECK,
        }
    });
    answer
}

entry_point!(/// `int standstill_dump_threads(int fd)`
    standstill_dump_threads => dump);

/// At the start of the process: the program's own handler, if it sets one later, replaces ours.
pub(crate) fn start() {
    let signal = init::options().dump_signal;
    if signal == 0 {
        return;
    }
    let signal = c_int::try_from(signal).unwrap_or(c_int::MAX);
    let libc_keeps = 32..=signals::libc_internal();
    if !(1..=64).contains(&signal) || libc_keeps.contains(&signal) {
        return say(format_args!("dump_signal: {signal} is no signal that a program can have; ignored"));
    }
    let action = Action::handle(on_signal, libc::SA_RESTART | libc::SA_ONSTACK, SignalSet::EMPTY);
    // SAFETY: on_signal has the handler's type and may run at any moment: it makes raw system calls, takes no lock that
    // it would wait for but the loader's, which its own thread may hold twice, and touches no errno.
    if let Err(errno) = unsafe { signals::set_action(signal, Some(&action)) } {
        say(format_args!("dump_signal: signal {signal} cannot be handled ({errno}); ignored"));
    }
}

unsafe extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes the interrupted context to a handler with SA_SIGINFO (sigaction(2)).
    let Some(context) = (unsafe { context.as_ref() }) else { return };
    let registers = InterruptedContext::of(context, arch::thread_pointer()).registers;
    // Alternate stacks are small: Rust's have two pages.
    with_room(&mut || {
        // musl's lock of the loader cannot be had twice by one thread.
        if !start::is_musl() {
            modules::update_without_lock();
        }
        dump_threads(&Asker::Signal(&registers), None);
    });
}
