//! Undoing the one trace that a stop leaves in a thread: system calls that fail with EINTR although no handler ran.
//!
//! Most calls restart by themselves after a stop (signal(7)). A few return a plain EINTR from the kernel whenever they
//! were woken, and would tell the program of a signal that never was. At the stop such a thread stands inside its call
//! with result -EINTR. On x86-64, replacing the result by -ERESTARTNOHAND, *and nothing else*, hands the decision back to
//! the kernel: when a signal with a handler comes before the thread goes on, the call fails with EINTR as it must,
//! otherwise it starts again (arch/x86/kernel/signal.c, handle_signal and arch_do_signal_or_restart). Rewinding the
//! instruction pointer instead would swallow true EINTRs. Where the kernel gives no other way: blocked.rs.
//!
//! A thread that is stopped again before it has run still holds the mended result, and needs nothing more.
//!
//! Not promised: a call that starts again has its relative timeout in full again, and a transfer that had moved some bytes
//! returns short, since it did not fail; but see call.rs.

use crate::arch::{Registers, SYS_EPOLL_WAIT, SYS_IO_PGETEVENTS};

/// What a stop did to the system call of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// It would fail with EINTR because of the stop; the registers are mended.
    Mended,
    /// It will fail with EINTR and is not in the list.
    Unlisted,
}

/// Mends the registers of an interrupted thread, whose call had this first argument.
pub(super) fn mend(registers: &mut Registers, first_argument: usize) -> Effect {
    let Some(number) = registers.system_call() else { return Effect::None };
    if registers.result() != -(libc::EINTR as isize) || !registers.is_native() {
        return Effect::None;
    }
    if !fails_when_stopped(number as libc::c_long) {
        return Effect::Unlisted;
    }
    registers.restart_system_call(first_argument);
    Effect::Mended
}

/// The calls that return EINTR after a stop without a handler. The test `interrupted_calls` in stop/tests derives the
/// first group by blocking in each; the second returns so only on sockets with SO_RCVTIMEO or SO_SNDTIMEO
/// (net/core/sock.c, sock_intr_errno).
fn fails_when_stopped(number: libc::c_long) -> bool {
    matches!(
        number,
        SYS_EPOLL_WAIT
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            | libc::SYS_semop
            | libc::SYS_semtimedop
            | libc::SYS_rt_sigtimedwait
            | libc::SYS_io_getevents
            | SYS_IO_PGETEVENTS
            | libc::SYS_io_uring_enter
    ) || is_transfer(number)
}

/// The calls that move data or make a connection, and so wait for another end.
fn is_transfer(number: libc::c_long) -> bool {
    matches!(
        number,
        libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_connect
            | libc::SYS_sendfile
            | libc::SYS_splice
    )
}

/// The calls that start again after a handler that was set up with SA_RESTART, and fail with EINTR after one without
/// (signal(7)). Others start again after any, as clone(2) does, or after none.
pub(super) fn fails_without_restart(number: libc::c_long) -> bool {
    is_transfer(number)
        || matches!(
            number,
            libc::SYS_openat
                | libc::SYS_wait4
                | libc::SYS_waitid
                | libc::SYS_flock
                | libc::SYS_fcntl
                | libc::SYS_ioctl
                | libc::SYS_mq_timedsend
                | libc::SYS_mq_timedreceive
                | libc::SYS_getrandom
                | libc::SYS_futex
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: isize = libc::SYS_epoll_pwait as isize;

    #[test]
    fn a_listed_call_is_made_again() {
        let mut registers = Registers::behind_call(CALL, -4);
        assert_eq!(mend(&mut registers, 77), Effect::Mended);
        assert!(registers.makes_call_again(&Registers::behind_call(CALL, -4), 77), "{registers:x?}");
    }

    #[test]
    fn everything_else_is_left_alone() {
        for (number, result, effect) in [
            (-1, -4, Effect::None),
            (CALL, 3, Effect::None),
            (CALL, -512, Effect::None),
            (libc::SYS_close as isize, -4, Effect::Unlisted),
        ] {
            let mut registers = Registers::behind_call(number, result);
            let before = registers;
            assert_eq!(mend(&mut registers, 77), effect);
            assert_eq!(registers, before);
        }
    }
}
