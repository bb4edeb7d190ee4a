//! What a wrapped system call tells a stop, so that the stop leaves no trace in it.
//!
//! A stop cuts short what the kernel cannot take up again by itself: a blocked transfer returns what it has moved so far,
//! and a call with a relative timeout starts again with the whole of it. The preload wraps these calls. Around each it
//! keeps a [`Call`] on the caller's stack and its address in a word of thread-local storage, which the helper finds from
//! the thread's pointer:
//!
//! ```text
//! wrapper: Call, word = &Call, the real function, word = what it was
//! stop:    a transfer came back short   -> marked "cut": the wrapper moves the rest
//!          a call is to start again     -> the timeout becomes what is left until the deadline
//!                                       -> of a socket's call, which has no argument for it: the call becomes a wait
//!                                          for the descriptor (ppoll(2)) of that length, and the wrapper calls again
//! ```
//!
//! Contract: the wrapper's side is async-signal-safe and takes a few stores; handlers may nest. The stop's side runs in
//! the helper, or in the stopped thread's own handler, while the thread stands still. A word may be stale, since a call
//! can be left by siglongjmp(3) or by cancellation: a Call counts only when it lies in the live part of the stack and
//! holds a mark made from its own address.
//!
//! Not promised: calls that a program makes without libc's functions.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::arch::{self, Registers, SYS_EPOLL_WAIT, SYS_POLL};
use crate::base::Addr;
use crate::mem::ReadMemory;
use crate::sys::process;

/// Mixed with the address: no word that lies on a stack by chance.
const MARK: usize = 0x5a4d_5354_494c_4c2b;
/// A Call lies in the frame above the function that makes the system call.
const NEAR: usize = 64 << 10;
/// Between the two there is room for no frame of a signal handler: registers and siginfo alone are more
/// (`struct rt_sigframe` in arch/x86/include/asm/sigframe.h and arch/arm64/kernel/signal.c).
const NO_HANDLER_BETWEEN: usize = 1 << 10;
/// The same for sendmsg(2), whose function in musl copies up to 1 KiB of control data to its own frame (src/network/sendmsg.c).
/// A small handler fits between, which would have to make this very call without libc's function.
const NO_HANDLER_BETWEEN_SENDMSG: usize = 2 << 10;
const NS: u64 = 1_000_000_000;

/// One wrapped call, on the stack of the thread that makes it.
#[repr(C)]
pub struct Call {
    mark: AtomicUsize,
    number: AtomicUsize,
    /// The call's first argument, of which arm64 keeps no copy that a handler can see.
    first: AtomicUsize,
    /// Of a transfer: bytes wanted. 0 for other calls.
    wanted: AtomicUsize,
    /// Of a timed call: CLOCK_MONOTONIC nanoseconds at which it is over. 0 for other calls.
    deadline: AtomicUsize,
    /// The timeout that the kernel reads, as a timespec: seconds, nanoseconds.
    left: [AtomicUsize; 2],
    /// Of a call on a socket that has a timeout of its own: a `struct pollfd`. 0 for other calls.
    poll: AtomicUsize,
    /// A stop ended the transfer early.
    cut: AtomicUsize,
    /// [`seal`] of the words that do not change. A Call that was left by siglongjmp(3) is overwritten bit by bit.
    seal: AtomicUsize,
}

/// Mixes the words of a Call that do not change.
const fn seal(at: usize, number: usize, first: usize, wanted: usize, deadline: usize) -> usize {
    at.wrapping_add(number.rotate_left(7))
        .wrapping_add(first.rotate_left(21))
        .wrapping_add(wanted.rotate_left(35))
        .wrapping_add(deadline.rotate_left(49))
        ^ !MARK
}

const WORDS: usize = size_of::<Call>() / size_of::<usize>();

impl Call {
    const fn new(
        number: libc::c_long,
        first: usize,
        wanted: usize,
        deadline: usize,
        left: [usize; 2],
    ) -> Call {
        Call {
            mark: AtomicUsize::new(0),
            number: AtomicUsize::new(number as usize),
            first: AtomicUsize::new(first),
            wanted: AtomicUsize::new(wanted),
            deadline: AtomicUsize::new(deadline),
            left: [AtomicUsize::new(left[0]), AtomicUsize::new(left[1])],
            poll: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            seal: AtomicUsize::new(0),
        }
    }

    /// A transfer of `wanted` bytes by system call `number` with this first argument.
    pub const fn transfer(number: libc::c_long, first: usize, wanted: usize) -> Call {
        Call::new(number, first, wanted, 0, [0; 2])
    }

    /// A call that waits for ever or not at all.
    pub const fn untimed(number: libc::c_long, first: usize) -> Call {
        Call::new(number, first, 0, 0, [0; 2])
    }

    /// A call that waits at most `ns`, made at CLOCK_MONOTONIC nanoseconds `now`.
    pub fn timed(number: libc::c_long, first: usize, now: u64, ns: u64) -> Call {
        let deadline = now.saturating_add(ns).max(1);
        Call::new(number, first, 0, deadline as usize, [(ns / NS) as usize, (ns % NS) as usize])
    }

    /// The descriptor of the call is a socket on which it waits until there is one of `events` (poll(2)), but not beyond
    /// CLOCK_MONOTONIC nanoseconds `deadline`. To be said before each time that the call is made: number and first argument
    /// are the call's own again.
    pub fn on_socket(&self, number: libc::c_long, fd: libc::c_int, events: libc::c_short, deadline: u64) {
        self.number.store(number as usize, Relaxed);
        self.first.store(fd as usize, Relaxed);
        self.deadline.store(deadline.max(1) as usize, Relaxed);
        // `struct pollfd`: an int, a short of what is wanted, a short of what there is.
        let word = fd as u32 as usize | (events as u16 as usize) << 32;
        self.poll.store(word, Relaxed);
    }

    /// True when a stop came, and the result is that of a wait for the descriptor: ppoll(2)'s.
    pub fn became_wait(&self) -> bool {
        self.poll.load(Relaxed) != 0 && self.number() == libc::SYS_ppoll as usize
    }

    /// The timespec to hand to the kernel: the stop shortens it.
    pub fn timespec(&self) -> *const libc::timespec {
        self.left.as_ptr().cast()
    }

    /// Makes `call` known as the one that the calling thread is inside, while `make` runs.
    #[inline]
    pub fn inside<R>(&self, make: impl FnOnce() -> R) -> R {
        let at = core::ptr::from_ref(self).expose_provenance();
        self.mark.store(at ^ MARK, Relaxed);
        let [number, first, wanted, deadline] =
            [&self.number, &self.first, &self.wanted, &self.deadline].map(|word| word.load(Relaxed));
        self.seal.store(seal(at, number, first, wanted, deadline), Relaxed);
        let word = arch::call_word();
        let before = word.load(Relaxed);
        word.store(at, Relaxed);
        // A signal handler of this thread is all that can come between, and it sees its own thread's stores in order.
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        let result = make();
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        word.store(before, Relaxed);
        self.mark.store(0, Relaxed);
        result
    }

    /// True once after a stop has cut the transfer short.
    #[inline]
    pub fn was_cut(&self) -> bool {
        self.cut.load(Relaxed) != 0 && self.cut.swap(0, Relaxed) != 0
    }

    /// Says whether the stop has cut the transfer short.
    pub(super) fn set_cut(&self, cut: bool) {
        self.cut.store(usize::from(cut), Relaxed);
    }

    /// The wrapped call that a stopped thread is inside.
    pub(super) fn of<'w>(registers: &Registers, memory: &impl ReadMemory) -> Option<&'w Call> {
        let number = registers.system_call()?;
        Call::near(registers, memory).filter(|call| call.number() == number)
    }

    /// The wrapped call out of which a signal, or a stop that could not ask before, has taken a thread, whose registers do
    /// not tell the call's number.
    /// `told` is the number of the call that the kernel saw it in there, if it saw one. Else the thread may have left
    /// the wrapped call for a signal handler of the program, which has made another. (One that was stopped before may be
    /// in restart_syscall(2) in place of its call.)
    pub(super) fn left<'w>(
        registers: &Registers,
        memory: &impl ReadMemory,
        told: Option<usize>,
    ) -> Option<&'w Call> {
        let told = told.filter(|number| *number != libc::SYS_restart_syscall as usize);
        let is_left = |call: &&Call| match told {
            Some(number) => call.number() == number,
            None => {
                let below = Addr::of(core::ptr::from_ref(*call)).get() - registers.stack_pointer();
                let is_sendmsg = call.number() == libc::SYS_sendmsg as usize;
                let room = if is_sendmsg { NO_HANDLER_BETWEEN_SENDMSG } else { NO_HANDLER_BETWEEN };
                below < room && registers.may_have_made(call.number())
            }
        };
        Call::near(registers, memory).filter(is_left)
    }

    fn near<'w>(registers: &Registers, memory: &impl ReadMemory) -> Option<&'w Call> {
        if registers.thread_pointer() == 0 {
            return None;
        }
        let word = Addr::new(registers.thread_pointer().wrapping_add(arch::call_word_offset()));
        let at = read::<1>(memory, word)?[0];
        if at.wrapping_sub(registers.stack_pointer()) >= NEAR {
            return None;
        }
        let [mark, number, first, wanted, deadline, _, _, _, cut, sealed] =
            read::<WORDS>(memory, Addr::new(at))?;
        if mark != at ^ MARK || cut > 1 || sealed != seal(at, number, first, wanted, deadline) {
            return None;
        }
        // SAFETY: a Call in the live stack of a thread that stands still: its frame cannot end before the thread goes on.
        // It is made of atomic words only.
        Some(unsafe { &*core::ptr::with_exposed_provenance(at) })
    }

    /// The system call's number.
    pub(super) fn number(&self) -> usize {
        self.number.load(Relaxed)
    }

    /// The call's first argument.
    pub(super) fn first(&self) -> usize {
        self.first.load(Relaxed)
    }

    /// True when the thread's call is a transfer that has come back with less than was wanted.
    pub(super) fn is_short(&self, registers: &Registers) -> bool {
        let moved = registers.result();
        moved > 0 && (moved as usize) < self.wanted.load(Relaxed) && !self.became_wait()
    }

    /// At each further stop of a call that became a wait, which the kernel makes again by itself, with what was left when the
    /// stop began: makes it end when it would have.
    pub(super) fn keep_end(&self) {
        if self.became_wait() {
            let deadline = self.deadline.load(Relaxed) as u64;
            self.set_left(deadline.saturating_sub(process::monotonic_ns()));
        }
    }

    /// Before the call starts again: makes its timeout end when it would have.
    pub(super) fn shorten(&self, registers: &mut Registers) {
        let deadline = self.deadline.load(Relaxed) as u64;
        if deadline == 0 {
            return;
        }
        let left = deadline.saturating_sub(process::monotonic_ns());
        if self.poll.load(Relaxed) != 0 {
            return self.wait_instead(registers, left);
        }
        match timeout_of(self.number() as libc::c_long) {
            // An int. It never waits less than was asked for.
            Some((index, Unit::Milliseconds)) => {
                registers.set_argument(index, left.div_ceil(1_000_000) as usize);
            }
            Some((index, Unit::Timespec)) if registers.argument(index) == self.timespec().addr() => {
                self.set_left(left);
            }
            _ => {}
        }
    }
}

impl Call {
    /// Has the thread wait for its descriptor in place of the call, for `left` nanoseconds: ppoll(2). A signal that comes
    /// during it ends it with EINTR, as it would end the call: no other thing than the kernel stands between the two.
    fn wait_instead(&self, registers: &mut Registers, left: u64) {
        let (number, first) = (libc::SYS_ppoll as usize, Addr::of(&raw const self.poll).get());
        self.set_left(left);
        self.number.store(number, Relaxed);
        self.first.store(first, Relaxed);
        let [wanted, deadline] = [&self.wanted, &self.deadline].map(|word| word.load(Relaxed));
        let at = core::ptr::from_ref(self).addr();
        self.seal.store(seal(at, number, first, wanted, deadline), Relaxed);
        registers.set_call(number);
        for (index, value) in [first, 1, self.timespec().addr(), 0, 0].into_iter().enumerate() {
            registers.set_argument(index, value);
        }
    }

    fn set_left(&self, ns: u64) {
        self.left[0].store((ns / NS) as usize, Relaxed);
        self.left[1].store((ns % NS) as usize, Relaxed);
    }
}

enum Unit {
    Milliseconds,
    Timespec,
}

/// Which argument of a call is its relative timeout.
fn timeout_of(number: libc::c_long) -> Option<(usize, Unit)> {
    Some(match number {
        SYS_POLL => (2, Unit::Milliseconds),
        SYS_EPOLL_WAIT | libc::SYS_epoll_pwait => (3, Unit::Milliseconds),
        libc::SYS_rt_sigtimedwait | libc::SYS_clock_nanosleep => (2, Unit::Timespec),
        libc::SYS_epoll_pwait2 | libc::SYS_semtimedop => (3, Unit::Timespec),
        _ => return None,
    })
}

fn read<const N: usize>(memory: &impl ReadMemory, at: Addr) -> Option<[usize; N]> {
    let mut words = [0; N];
    (at.get().is_multiple_of(8) && memory.read_words(at, &mut words) == N).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::ProcessMemory;

    /// As the helper sees a thread that stands inside `call` with `result`.
    fn registers(call: &Call, number: libc::c_long, arguments: [usize; 6], result: isize) -> Registers {
        let stack_pointer = Addr::of(call).get() - 256;
        let top = arch::thread_pointer();
        Registers::of_system_call(number as usize, arguments, stack_pointer, 0, top).with_result(result)
    }

    fn memory() -> ProcessMemory<'static> {
        // SAFETY: what these tests read is there.
        unsafe { ProcessMemory::with_own_handlers() }
    }

    #[test]
    fn a_call_is_known_while_it_is_made_and_no_longer() {
        let call = Call::transfer(libc::SYS_write, 1, 100);
        let at = registers(&call, libc::SYS_write, [0; 6], 40);
        assert!(Call::of(&at, &memory()).is_none());
        call.inside(|| {
            assert!(Call::of(&at, &memory()).is_some_and(|found| found.is_short(&at)));
            let other = registers(&call, libc::SYS_read, [0; 6], 40);
            assert!(Call::of(&other, &memory()).is_none(), "inside a handler, say");
            let inner = Call::transfer(libc::SYS_write, 1, 7);
            inner.inside(|| {
                let found = Call::of(&registers(&inner, libc::SYS_write, [0; 6], 7), &memory());
                assert!(core::ptr::eq(found.unwrap(), &inner));
            });
            assert!(core::ptr::eq(Call::of(&at, &memory()).unwrap(), &call));
        });
        assert!(Call::of(&at, &memory()).is_none());
    }

    #[test]
    fn a_call_made_in_a_handler_is_not_taken_for_the_one_that_it_left() {
        let call = Call::untimed(libc::SYS_epoll_pwait, 0);
        call.inside(|| {
            let here = Addr::of(&raw const call).get();
            let behind = |below| {
                let (number, top) = (libc::SYS_epoll_pwait as usize, arch::thread_pointer());
                Registers::of_system_call(number, [0; 6], here - below, 0, top)
            };
            let found = |below, told: Option<libc::c_long>| {
                Call::left(&behind(below), &memory(), told.map(|number| number as usize)).is_some()
            };
            assert!(found(256, Some(libc::SYS_epoll_pwait)) && found(256, None));
            assert!(!found(256, Some(libc::SYS_futex)), "the kernel saw another");
            assert!(found(256, Some(libc::SYS_restart_syscall)), "stopped before");
            assert!(found(8 << 10, Some(libc::SYS_epoll_pwait)), "a libc with large frames");
            assert!(!found(1300, None) && !found(8 << 10, None), "a handler's frame fits between");
        });
    }

    #[test]
    fn musls_sendmsg_is_known_behind_its_own_large_frame() {
        let call = Call::transfer(libc::SYS_sendmsg, 0, 100);
        call.inside(|| {
            let at = Addr::of(&raw const call).get() - 1800;
            let number = libc::SYS_sendmsg as usize;
            let registers = Registers::of_system_call(number, [0; 6], at, 0, arch::thread_pointer());
            assert!(Call::left(&registers, &memory(), None).is_some());
        });
    }

    #[test]
    fn a_call_of_which_a_part_is_overwritten_does_not_count() {
        let call = Call::timed(libc::SYS_epoll_pwait, 3, 5, 7);
        call.inside(|| {
            let at = registers(&call, libc::SYS_epoll_pwait, [3, 0, 0, 1, 0, 0], -4);
            for word in [&call.mark, &call.first, &call.wanted, &call.deadline, &call.cut, &call.seal] {
                assert!(Call::of(&at, &memory()).is_some());
                let before = word.swap(1 << 20, Relaxed);
                assert!(Call::of(&at, &memory()).is_none());
                word.store(before, Relaxed);
            }
        });
    }

    #[test]
    fn only_a_partial_transfer_is_short() {
        let call = Call::transfer(libc::SYS_write, 1, 100);
        for (result, short) in [(-4, false), (0, false), (1, true), (99, true), (100, false)] {
            assert_eq!(call.is_short(&registers(&call, libc::SYS_write, [0; 6], result)), short, "{result}");
        }
        let timed = Call::timed(libc::SYS_epoll_pwait, 0, process::monotonic_ns(), 100);
        assert!(!timed.is_short(&registers(&timed, libc::SYS_epoll_pwait, [0; 6], 1)));
    }

    #[test]
    fn a_timeout_becomes_what_is_left() {
        let call = Call::timed(libc::SYS_epoll_pwait, 0, process::monotonic_ns(), 5 * NS);
        let mut at = registers(&call, libc::SYS_epoll_pwait, [0, 0, 0, 5000, 0, 0], -514);
        std::thread::sleep(std::time::Duration::from_millis(20));
        call.shorten(&mut at);
        assert!((1..=4980).contains(&at.argument(3)), "{}", at.argument(3));
        let over = Call::timed(libc::SYS_rt_sigtimedwait, 0, 1, 1);
        let mut at =
            registers(&over, libc::SYS_rt_sigtimedwait, [0, 0, over.timespec().addr(), 8, 0, 0], -514);
        over.shorten(&mut at);
        assert_eq!([over.left[0].load(Relaxed), over.left[1].load(Relaxed)], [0, 0]);
    }
    #[test]
    fn a_call_on_a_socket_becomes_a_wait_for_what_is_left() {
        let call = Call::transfer(libc::SYS_sendto, 3, 100);
        call.on_socket(libc::SYS_sendto, 3, libc::POLLOUT, process::monotonic_ns() + 5 * NS);
        call.inside(|| {
            assert!(!call.became_wait());
            let mut at = registers(&call, libc::SYS_sendto, [3, 0, 100, 0, 0, 0], -4);
            // The second stop finds the wait.
            for _ in 0..2 {
                std::thread::sleep(std::time::Duration::from_millis(2));
                call.shorten(&mut at);
                let Some(found) = Call::of(&registers(&call, libc::SYS_ppoll, [0; 6], 1), &memory()) else {
                    panic!("not known any more")
                };
                assert!(found.became_wait() && !found.is_short(&at.with_result(1)), "1 is a number of files");
                assert_eq!([at.argument(1), at.argument(2)], [1, call.timespec().addr()]);
                assert_eq!(call.left[0].load(Relaxed), 4);
            }
        });
        call.on_socket(libc::SYS_sendto, 3, libc::POLLOUT, 1);
        assert!(!call.became_wait());
    }
}
