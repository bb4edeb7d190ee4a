//! Undoing the one trace that a stop leaves in a thread: system calls that fail with EINTR although no handler ran.
//!
//! Most calls restart by themselves after a stop (signal(7)). A few return a plain EINTR from the kernel whenever they
//! were woken, and would tell the program of a signal that never was. At the stop such a thread stands inside its call
//! with result -EINTR. Replacing the result by -ERESTARTNOHAND, *and nothing else*, hands the decision back to the
//! kernel: when a signal with a handler comes before the thread goes on, the call fails with EINTR as it must, otherwise
//! it starts again (arch/x86/kernel/signal.c, handle_signal and arch_do_signal_or_restart). Rewinding the instruction
//! pointer instead would swallow true EINTRs.
//!
//! A thread that is stopped again before it has run still holds the mended result, and needs nothing more.
//!
//! Not promised: a call that starts again has its relative timeout in full again; a transfer that had moved some bytes
//! returns short, since it did not fail.

use crate::arch::Registers;

/// -ERESTARTNOHAND (include/linux/errno.h), never seen by programs.
pub(super) const RESTART_UNLESS_HANDLER: isize = -514;

/// io_pgetevents(2), which the libc crate lacks for x86-64.
const SYS_IO_PGETEVENTS: libc::c_long = if cfg!(target_arch = "x86_64") { 333 } else { 292 };

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

/// Mends the registers of an interrupted thread.
pub(super) fn mend(registers: &mut Registers) -> Effect {
    let Some(number) = registers.system_call() else { return Effect::None };
    if registers.result() != -(libc::EINTR as isize) || !registers.is_native() {
        return Effect::None;
    }
    if !fails_when_stopped(number as libc::c_long) {
        return Effect::Unlisted;
    }
    registers.set_result(RESTART_UNLESS_HANDLER);
    Effect::Mended
}

/// The calls that return EINTR after a stop without a handler. The test `interrupted_calls` in stop/tests derives the
/// first group by blocking in each; the second returns so only on sockets with SO_RCVTIMEO or SO_SNDTIMEO
/// (net/core/sock.c, sock_intr_errno).
fn fails_when_stopped(number: libc::c_long) -> bool {
    matches!(
        number,
        libc::SYS_epoll_wait
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            | libc::SYS_semop
            | libc::SYS_semtimedop
            | libc::SYS_rt_sigtimedwait
            | libc::SYS_io_getevents
            | SYS_IO_PGETEVENTS
            | libc::SYS_io_uring_enter
    ) || matches!(
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

#[cfg(test)]
mod tests {
    use super::*;

    const AX: usize = 10;
    const ORIG_AX: usize = 15;
    const CS: usize = 17;

    fn at(number: isize, result: isize) -> Registers {
        let mut registers = Registers::NONE;
        registers.0[AX] = result as usize;
        registers.0[ORIG_AX] = number as usize;
        registers.0[CS] = 0x33;
        registers
    }

    #[test]
    fn only_the_result_of_a_listed_call_changes() {
        let mut registers = at(libc::SYS_epoll_wait as isize, -4);
        assert_eq!(mend(&mut registers), Effect::Mended);
        assert_eq!(registers, at(libc::SYS_epoll_wait as isize, -514));
    }

    #[test]
    fn everything_else_is_left_alone() {
        for (mut registers, effect) in [
            (at(-1, -4), Effect::None),
            (at(libc::SYS_epoll_wait as isize, 3), Effect::None),
            (at(libc::SYS_epoll_wait as isize, -512), Effect::None),
            (at(libc::SYS_close as isize, -4), Effect::Unlisted),
        ] {
            let before = registers;
            assert_eq!(mend(&mut registers), effect);
            assert_eq!(registers, before);
        }
    }
}
