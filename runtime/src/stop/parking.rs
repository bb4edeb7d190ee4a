//! Where threads stand still when a signal stopped them: the handler, and the places it fills.
//!
//! The signal carries the number of a place as its value. The handler writes the interrupted context there, says so, and
//! sleeps on a word until the world goes on. A signal that is not ours is handed to the handler that was there before.
//!
//! The signal is libc's internal one: no program can block it or wait for it, and debuggers pass it through. A real-time
//! signal of the program's range would be taken by sigwaitinfo and signalfd readers as theirs, or blocked for ever.
//!
//! Contract of the handler: async-signal context in any thread of the program. Only atomics and system calls; errno and
//! thread-local storage are not touched. Every other signal that does something is blocked meanwhile.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

use crate::arch::{self, InterruptedContext, Registers};
use crate::base::{Errno, Tid};
use crate::mem::{OwnMap, OwnMemory};
use crate::sys::signals::{self, Action, SignalSet, libc_internal};
use crate::sys::{futex, process, task, timer};

use super::call::Call;
use super::first::First;
use super::mend::fails_without_restart;
use super::proc_files::ProcFiles;
use super::task_list::InSystemCall;

/// A thread's place.
pub(super) struct Place {
    tid: AtomicI32,
    /// As /proc numbers it.
    listed: AtomicI32,
    /// 1 when its call has failed because of the signal, or is made again ([`First`]).
    goes_first: AtomicU32,
    /// 0, or 1 when the thread stands here.
    parked: AtomicU32,
    /// The system call that the thread was in before the signal was sent, to be made again; `usize::MAX` for none.
    call: AtomicUsize,
    /// Where the thread would go on behind that call, its stack pointer, and the call's arguments.
    call_pc: AtomicUsize,
    call_stack_pointer: AtomicUsize,
    arguments: [AtomicUsize; 6],
    /// The address of the [`Call`] that the thread is inside, as the helper has found it; 0 for none.
    wrapped: AtomicUsize,
    context: UnsafeCell<Option<InterruptedContext>>,
}

/// All places of one stop.
pub(super) struct Parking {
    number: u32,
    /// 0 while the world stands.
    open: AtomicU32,
    /// How many threads stand here.
    parked: AtomicU32,
    /// Signals that wait.
    pending: AtomicU64,
    /// Whoever makes `parked` this wakes the helper.
    wanted: AtomicU32,
    /// Threads whose call has failed.
    first: First,
    /// System calls that were made again instead of failing.
    mended: AtomicU32,
    places: &'static [Place],
    used: AtomicUsize,
}

/// The parking of the stop that is going on.
static CURRENT: AtomicPtr<Parking> = AtomicPtr::new(core::ptr::null_mut());
/// Handlers between their first and last use of a parking.
static INSIDE: AtomicU32 = AtomicU32::new(0);
static NUMBER: AtomicU32 = AtomicU32::new(1);
/// The action that was there before ours: handler and flags.
static OLD_HANDLER: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static OLD_FLAGS: AtomicU64 = AtomicU64::new(0);

impl Parking {
    /// Reserves a place for thread `tid`, which may be inside a system call.
    pub(super) fn reserve(&self, tid: Tid, listed: Tid, call: Option<InSystemCall>) -> Option<usize> {
        let index = self.used.load(Relaxed);
        let place = self.places.get(index)?;
        place.call.store(usize::MAX, Relaxed);
        if let Some(InSystemCall { number: Some(number), arguments, pc, stack_pointer }) = call {
            place.call.store(number, Relaxed);
            place.call_pc.store(pc, Relaxed);
            place.call_stack_pointer.store(stack_pointer, Relaxed);
            place.arguments.iter().zip(arguments).for_each(|(word, argument)| word.store(argument, Relaxed));
        }
        place.listed.store(listed.get(), Relaxed);
        place.tid.store(tid.get(), Relaxed);
        self.used.store(index + 1, Release);
        Some(index)
    }

    /// Gives back the place that was reserved last.
    pub(super) fn give_back(&self) {
        self.used.fetch_sub(1, Release);
    }

    /// The signals that waited for the threads that stand here, or for their process.
    pub(super) fn pending(&self) -> SignalSet {
        SignalSet(self.pending.load(Acquire))
    }

    /// Sends the thread there.
    pub(super) fn send(&self, group: i32, index: usize) -> Result<(), Errno> {
        let place = self.places.get(index).ok_or(Errno::new(libc::EINVAL))?;
        let tid = Tid::new(place.tid.load(Relaxed)).ok_or(Errno::new(libc::ESRCH))?;
        signals::queue(group, tid, libc_internal(), (self.number as usize) << 32 | index)
    }

    /// What the thread of a place was doing, once it stands there.
    pub(super) fn context(&self, index: usize) -> Option<InterruptedContext> {
        let place = self.places.get(index)?;
        // SAFETY: written once, before `parked` was set, and not again.
        (place.parked.load(Acquire) != 0).then(|| unsafe { *place.context.get() })?
    }

    /// The call that the thread of a place was in, if it was interrupted there: with the same stack and the same
    /// arguments. (libc makes calls of many kinds by one instruction, and the thread may have gone on since.)
    pub(super) fn call(&self, index: usize, registers: &Registers) -> Option<usize> {
        let place = self.places.get(index)?;
        let number = place.call.load(Relaxed);
        let is_there =
            registers.is_at_call(place.call_pc.load(Relaxed), place.call_stack_pointer.load(Relaxed));
        // The first is no more where the result lies in its register.
        let is_same = || (1..6).all(|at| place.arguments[at].load(Relaxed) == registers.argument(at));
        (number != usize::MAX && is_there && is_same()).then_some(number)
    }

    /// True when the kernel has set the thread of a place back, to make its call again; but not after a handler of another kind
    /// than ours.
    fn is_made_again(&self, index: usize, registers: &Registers) -> bool {
        self.places.get(index).is_some_and(|place| {
            let [number, pc, stack_pointer] =
                [&place.call, &place.call_pc, &place.call_stack_pointer].map(|word| word.load(Relaxed));
            registers.stands_before_call(number, pc, stack_pointer)
                && fails_without_restart(number as libc::c_long)
        })
    }

    fn first_argument(&self, index: usize) -> usize {
        self.places.get(index).map_or(0, |place| place.arguments[0].load(Relaxed))
    }

    /// The thread of a place is inside a wrapped call.
    pub(super) fn note_wrapped(&self, index: usize, call: &Call) {
        if let Some(place) = self.places.get(index) {
            place.wrapped.store(core::ptr::from_ref(call).expose_provenance(), Release);
        }
    }

    /// Lets those threads go on whose call has failed, and sees them back into it. For the helper, whose descriptors are its
    /// own.
    pub(super) fn see_first_back(&self, proc: &ProcFiles) {
        let places = self.places.iter().take(self.used.load(Relaxed));
        let first = places.filter(|place| place.goes_first.load(Acquire) != 0);
        self.first.see_back(proc, first.filter_map(|place| Tid::new(place.listed.load(Relaxed))));
    }

    /// Sleeps until `count` threads stand here, a signal comes, or the time is over. True when they do.
    pub(super) fn wait_for(&self, count: u32, ns: u64) -> bool {
        self.wanted.store(count, SeqCst);
        let parked = self.parked.load(SeqCst);
        if parked < count {
            let _ = futex::wait(&self.parked, parked, ns);
        }
        self.parked.load(Acquire) >= count
    }
}

/// Owns the parking of one stop and the action of the signal.
pub(super) struct ParkingMap {
    parking: &'static Parking,
    map: Option<OwnMap>,
    old: Action,
}

impl ParkingMap {
    /// Makes room for `count` threads and puts the handler in place.
    pub(super) fn new(count: usize) -> Result<ParkingMap, Errno> {
        let map = OwnMap::new(size_of::<Parking>() + count * size_of::<Place>())?;
        let at: *mut Parking = map.start().cast();
        // SAFETY: zeroed memory of the mapping behind the Parking, aligned alike (both hold words). Place is made of
        // integers and of an Option whose bytes are written before they are read.
        let places = unsafe { core::slice::from_raw_parts(at.add(1).cast::<Place>(), count) };
        let number = NUMBER.fetch_add(1, Relaxed);
        let new = Parking {
            number,
            open: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            pending: AtomicU64::new(0),
            wanted: AtomicU32::new(u32::MAX),
            first: First::new(),
            mended: AtomicU32::new(0),
            places,
            used: AtomicUsize::new(0),
        };
        // SAFETY: the mapping's start has room for it.
        let parking: &'static Parking = unsafe {
            at.write(new);
            &*at
        };
        // SAFETY: asks only.
        let old = unsafe { signals::set_action(libc_internal(), None) }?;
        if old.handler != on_stop as *const () as usize {
            OLD_FLAGS.store(old.flags, Relaxed);
            OLD_HANDLER.store(old.handler, Release);
        }
        CURRENT.store(core::ptr::from_ref(parking).cast_mut(), SeqCst);
        let flags = libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: on_stop has the handler's type and keeps the contract of this module.
        if let Err(errno) = unsafe {
            signals::set_action(libc_internal(), Some(&Action::handle(on_stop, flags, signals::handleable())))
        } {
            CURRENT.store(core::ptr::null_mut(), SeqCst);
            return Err(errno);
        }
        Ok(ParkingMap { parking, map: Some(map), old })
    }

    /// The parking.
    pub(super) fn get(&self) -> &'static Parking {
        self.parking
    }
}

impl ParkingMap {
    /// Lets all threads go on; returns how many system calls were made again.
    pub(super) fn open(mut self) -> u32 {
        self.let_go()
    }

    fn let_go(&mut self) -> u32 {
        let Some(map) = self.map.take() else { return 0 };
        self.parking.first.open();
        self.parking.open.store(1, Release);
        let _ = futex::wake(&self.parking.open, i32::MAX);
        CURRENT.store(core::ptr::null_mut(), SeqCst);
        // A place that never was filled: its signal may still come, and must find our handler, which ignores it. With
        // the default action it would kill the process.
        let used = self.parking.used.load(Relaxed);
        let pid = process::pid();
        let answered = self.parking.places.iter().take(used).all(|place| {
            let tid = Tid::new(place.tid.load(Relaxed));
            place.parked.load(Acquire) != 0 || !tid.is_some_and(|tid| task::is_thread_of(pid, tid))
        });
        if answered {
            // SAFETY: puts back what was there.
            let _ = unsafe { signals::set_action(libc_internal(), Some(&self.old)) };
        }
        let start = process::monotonic_ns();
        while INSIDE.load(SeqCst) != 0 {
            const PATIENCE_NS: u64 = 1_000_000_000;
            if process::monotonic_ns() - start > PATIENCE_NS {
                // A thread that cannot leave (a debugger holds it) will still look at the parking.
                core::mem::forget(map);
                return self.parking.mended.load(Relaxed);
            }
            timer::sleep(20_000);
        }
        self.parking.mended.load(Relaxed)
    }
}

impl Drop for ParkingMap {
    fn drop(&mut self) {
        self.let_go();
    }
}

unsafe extern "C" fn on_stop(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel passes both to a handler with SA_SIGINFO (sigaction(2)), ours until we return.
    let (Some(info), Some(frame)) = (unsafe { info.as_ref() }, unsafe { context.as_mut() }) else { return };
    if info.si_code != libc::SI_QUEUE {
        // SAFETY: the arguments that this handler got.
        return unsafe { chain(signal, info, context) };
    }
    // SAFETY: a queued signal has a value.
    let value = unsafe { info.si_value() }.sival_ptr.addr();
    INSIDE.fetch_add(1, SeqCst);
    // SAFETY: not unmapped while INSIDE counts us: the owner first takes the pointer away and then waits for 0.
    let parking = unsafe { CURRENT.load(SeqCst).as_ref() };
    if let Some(parking) = parking.filter(|parking| value >> 32 == parking.number as usize) {
        park(parking, value & 0xffff_ffff, frame);
    } else {
        come_late(frame);
    }
    INSIDE.fetch_sub(1, SeqCst);
}

/// What libc meant the signal for: changing the user of all threads, say.
///
/// # Safety
///
/// - As for a signal handler.
unsafe fn chain(signal: i32, info: &libc::siginfo_t, context: *mut libc::ucontext_t) {
    let handler = OLD_HANDLER.load(Acquire);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    let info = core::ptr::from_ref(info).cast_mut();
    if OLD_FLAGS.load(Relaxed) & libc::SA_SIGINFO as u64 != 0 {
        // SAFETY: the kernel held this address as a handler with SA_SIGINFO.
        let handler: signals::Handler = unsafe { core::mem::transmute(handler) };
        // SAFETY: the arguments of a signal, passed on.
        unsafe { handler(signal, info, context) };
    } else {
        // SAFETY: the kernel held this address as a handler of one argument.
        let handler: unsafe extern "C" fn(i32) = unsafe { core::mem::transmute(handler) };
        // SAFETY: as above.
        unsafe { handler(signal) };
    }
}

fn park(parking: &Parking, index: usize, frame: &mut libc::ucontext_t) {
    let Some(place) = parking.places.get(index) else { return };
    let context = InterruptedContext::of(frame, arch::any_thread_pointer());
    // SAFETY: the place is this thread's alone until `parked` says that it may be read.
    unsafe { *place.context.get() = Some(context) };
    let is_made_again = parking.is_made_again(index, &context.registers);
    let goes_first = is_made_again || context.registers.result() == -(libc::EINTR as isize);
    if goes_first {
        place.goes_first.store(1, Release);
        parking.first.join();
    }
    parking.pending.fetch_or(signals::pending().unwrap_or(SignalSet::ALL).0, Release);
    place.parked.store(1, Release);
    if parking.parked.fetch_add(1, AcqRel) + 1 == parking.wanted.load(SeqCst) {
        let _ = futex::wake(&parking.parked, 1);
    }
    if goes_first {
        parking.first.stand();
    }
    while !goes_first && parking.open.load(Acquire) == 0 {
        const LOOK_NS: u64 = 1_000_000_000;
        if futex::wait(&parking.open, 0, LOOK_NS).is_err_and(|errno| errno.get() == libc::ENOSYS) {
            arch::yield_now();
        }
    }
    if is_made_again {
        // The kernel saw our handler, which has SA_RESTART. What came meanwhile may have none.
        if coming(SignalSet(context.blocked))
            .is_some_and(|action| action.flags & libc::SA_RESTART as u64 == 0)
        {
            arch::fail_system_call(frame);
        }
        return parking.first.leave();
    }
    let wrapped = place.wrapped.load(Acquire);
    // SAFETY: 0, or a Call in a frame of this thread, which stood still since the helper found it there. Atomic words only.
    let wrapped: Option<&Call> = unsafe { core::ptr::with_exposed_provenance::<Call>(wrapped).as_ref() };
    // A thread that came when the helper had given it up was not looked at: then it looks itself.
    let told = || parking.call(index, &context.registers);
    let wrapped = wrapped.or_else(|| Call::left(&context.registers, &OwnMemory, told()));
    let call = wrapped
        .map(|call| (call.number(), call.first()))
        .or_else(|| Some((told()?, parking.first_argument(index))));
    if call.is_some_and(|(number, first)| go_on_with(frame, &context, wrapped, number, first)) {
        parking.mended.fetch_add(1, Relaxed);
    }
    if goes_first {
        parking.first.leave();
    }
}

/// The stop that the signal was for is over: the thread was not given a CPU in time. The signal has interrupted a call all
/// the same, and the thread itself is left to find out which.
#[cold]
fn come_late(frame: &mut libc::ucontext_t) {
    let context = InterruptedContext::of(frame, arch::any_thread_pointer());
    if let Some(call) = Call::left(&context.registers, &OwnMemory, None) {
        go_on_with(frame, &context, Some(call), call.number(), call.first());
    }
}

/// Before a thread goes on that the signal took out of a system call: has it make the call again, or move the rest. True
/// when the call is made again.
fn go_on_with(
    frame: &mut libc::ucontext_t,
    context: &InterruptedContext,
    wrapped: Option<&Call>,
    number: usize,
    first: usize,
) -> bool {
    // Then the call must fail as it did.
    if coming(SignalSet(context.blocked)).is_some() {
        return false;
    }
    let mut registers = context.registers;
    if registers.result() == -(libc::EINTR as isize) {
        let (mut number, mut first) = (number, first);
        if let Some(call) = wrapped {
            call.shorten(&mut registers);
            (number, first) = (call.number(), call.first());
        }
        arch::repeat_system_call(frame, number, &registers, first);
        return true;
    }
    if let Some(call) = wrapped.filter(|call| call.is_short(&registers)) {
        call.set_cut(true);
    }
    false
}

/// The action of the signal that came meanwhile and will run a handler of the program, the first if there are more.
fn coming(blocked: SignalSet) -> Option<Action> {
    let coming = signals::pending().unwrap_or_default().0 & !blocked.0;
    (1..=64)
        .filter(|signal| *signal != libc_internal() && SignalSet(coming).contains(*signal))
        // SAFETY: asks only.
        .filter_map(|signal| unsafe { signals::set_action(signal, None) }.ok())
        .find(|action| action.handler != libc::SIG_DFL && action.handler != libc::SIG_IGN)
}
