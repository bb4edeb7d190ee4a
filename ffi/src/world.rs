//! standstill.h: stopping the world for other runtimes, and the records of its threads.

use core::ffi::{c_int, c_void};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::base::{Addr, Tid};
use standstill_runtime::entry_point;
use standstill_runtime::harvest::maps::Maps;
use standstill_runtime::init;
use standstill_runtime::mem::{ProcessMemory, ReadMemory};
use standstill_runtime::report::say;
use standstill_runtime::stop::snapshot::{self, Handover, Limits, Saved};
use standstill_runtime::stop::{self, Backend, Caller, Means, StopKind, ThreadRecord, World};
use standstill_runtime::sys::file;

use crate::api::{acceptable, code, read_versioned, write_versioned};

/// `struct standstill_stop_options`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct StopOptions {
    size: usize,
    flags: u32,
    means: u32,
    deadline_ms: u32,
    work_deadline_ms: u32,
}

/// STANDSTILL_STOP_SNAPSHOT, STANDSTILL_STOP_STACKS
const SNAPSHOT: u32 = 1;
const STACKS: u32 = 2;

/// `struct standstill_world`: lives as long as the callback.
pub struct StoppedWorld<'a> {
    world: &'a World,
    memory: ProcessMemory<'a>,
    maps: Option<Maps>,
}

type Callback = unsafe extern "C" fn(*const StoppedWorld<'_>, *mut c_void);

unsafe extern "C" fn stop_the_world(
    options: *const StopOptions,
    callback: Option<Callback>,
    user: *mut c_void,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    let (Some(wanted), Some(callback)) = (unsafe { read_versioned(options) }, callback) else {
        return code::BAD_ARGUMENT;
    };
    let Some(how) = how(&wanted) else { return code::BAD_ARGUMENT };
    let caller = Caller { frame, stack_pointer: Addr::new(frame.stack_pointer()) };
    let mut pending = None;
    let stopped = stop::stop_the_world(&caller, &how, &mut |world, memory| {
        let run = |memory: ProcessMemory<'_>| {
            let maps = (wanted.flags & STACKS != 0).then(|| maps(world)).flatten();
            let stopped = StoppedWorld { world, memory, maps };
            // SAFETY: the program's function, which keeps to what standstill.h allows it.
            unsafe { callback(&raw const stopped, user) }
        };
        if wanted.flags & SNAPSHOT == 0 {
            return run(memory);
        }
        let limits = Limits { deadline_ns: how.work_deadline_ns, outlives_thread: false, memory: usize::MAX };
        let forked = Handover::new(0).and_then(|handover| {
            snapshot::fork(world, handover, &limits, &Saved::nothing(), &mut |_, memory| run(memory))
        });
        pending = Some(forked);
    });
    let failed = |why: core::fmt::Arguments<'_>| {
        say(format_args!("standstill_stop_the_world: {why}"));
        code::COULD_NOT_CHECK
    };
    let notes = match stopped {
        Ok(notes) => notes,
        Err(why) => return failed(format_args!("{why}")),
    };
    match pending.map(|forked| forked.map(|pending| pending.finish().map(drop))) {
        Some(Err(errno)) => return failed(format_args!("the process could not be forked ({errno})")),
        Some(Ok(Err(why))) => return failed(format_args!("{why}")),
        Some(Ok(Ok(()))) | None => {}
    }
    if notes.is_complete() { code::DONE } else { code::INCOMPLETE }
}

entry_point!(/// `int standstill_stop_the_world(options, callback, user)`
    standstill_stop_the_world => stop_the_world);

fn how(wanted: &StopOptions) -> Option<stop::Options> {
    let means = match wanted.means {
        0 => Means::Any,
        1 => Means::Ptrace,
        2 => Means::Signal,
        _ => return None,
    };
    let or = |ms: u32, default: u64| if ms == 0 { default } else { u64::from(ms) * 1_000_000 };
    (wanted.flags & !(SNAPSHOT | STACKS) == 0).then(|| stop::Options {
        means,
        deadline_ns: or(wanted.deadline_ms, u64::from(init::options().deadline_ms) * 1_000_000),
        work_deadline_ns: or(wanted.work_deadline_ms, stop::Options::DEFAULT.work_deadline_ns),
        signal_masks: true,
        away: true,
        ..stop::Options::DEFAULT
    })
}

fn maps(world: &World) -> Option<Maps> {
    let file = world.proc().open_of_memory("maps").ok()?;
    Maps::read(|into| file::read(&file, into)).ok()
}

/// `struct standstill_thread`
#[repr(C)]
pub struct Thread {
    size: usize,
    tid: i32,
    listed_tid: i32,
    stop: u32,
    had: u32,
    name: [u8; 16],
    pending: u64,
    blocked: u64,
    tls_base: usize,
    stack_pointer: usize,
    pc: usize,
    stack_end: usize,
    system_call: i64,
    general: *const usize,
    general_words: usize,
    extended: *const u64,
    extended_bytes: usize,
}

/// Bits of `standstill_thread.had`.
mod had {
    pub(super) const GENERAL: u32 = 1;
    pub(super) const EXTENDED: u32 = 2;
    pub(super) const BLOCKED: u32 = 4;
    pub(super) const PENDING: u32 = 8;
    pub(super) const NAME: u32 = 16;
    pub(super) const STACK: u32 = 32;
}

impl StoppedWorld<'_> {
    fn describe(&self, record: &ThreadRecord) -> Thread {
        let mut had = 0;
        let mut note = |bit: u32, is_had: bool| had |= if is_had { bit } else { 0 };
        let is_caller = record.stop == StopKind::Caller;
        note(had::GENERAL, record.has_registers() && !is_caller);
        let extended = self.world.extended(record);
        note(had::EXTENDED, !extended.is_empty());
        note(had::BLOCKED, record.blocked.is_some());
        let by_ptrace = self.world.notes().backend == Backend::Ptrace;
        note(had::PENDING, record.pending.is_some() || by_ptrace && record.has_registers() && !is_caller);
        let queued = self.world.queued_signals().iter().filter(|signal| signal.tid == Some(record.tid));
        let known = record.pending.map_or(0, |set| set.0);
        let pending = queued.fold(known, |set, signal| set | 1 << ((signal.info.si_signo - 1) & 63));
        let mut name = [0; 16];
        let comm = self.world.proc().open_of_thread(record.listed, "comm");
        let length = comm.and_then(|file| file::read(&file, &mut name)).unwrap_or(0);
        note(had::NAME, length > 0);
        if let Some(last) = name.get_mut(length.saturating_sub(1)) {
            *last = 0;
        }
        let stack_end = self.stack_end(record);
        note(had::STACK, stack_end.is_some());
        Thread {
            size: 0,
            tid: record.tid.get(),
            listed_tid: record.listed.get(),
            stop: match record.stop {
                StopKind::Caller => 1,
                StopKind::Interrupted => 2,
                StopKind::GroupStopped => 3,
                StopKind::SignalDelivery(_) => 4,
                StopKind::Cloning => 5,
                StopKind::Running => 6,
                StopKind::VforkParent => 7,
                StopKind::KernelWorker => 8,
            },
            had,
            name,
            pending,
            blocked: record.blocked.map_or(0, |set| set.0),
            tls_base: record.thread_pointer().get(),
            stack_pointer: record.stack_pointer().get(),
            pc: record.pc().get(),
            stack_end: stack_end.map_or(0, Addr::get),
            system_call: record.system_call().map_or(-1, |number| number as i64),
            general: record.registers.0.as_ptr(),
            general_words: record.registers.0.len(),
            extended: extended.as_ptr(),
            extended_bytes: size_of_val(extended),
        }
    }

    /// Up to where the stack reaches on which the thread runs: its control block, where that lies above in one piece with
    /// it, or the end of the mapping.
    fn stack_end(&self, record: &ThreadRecord) -> Option<Addr> {
        let stack_pointer = record.stack_pointer();
        let (_, mapping) = self.maps.as_ref()?.at(stack_pointer)?;
        let top = record.thread_pointer();
        let at_home = mapping.range.contains(top) && top > stack_pointer;
        Some(if at_home { top } else { mapping.range.end })
    }
}

/// Writes the record that `find` finds.
///
/// # Safety
///
/// - standstill.h: `world` is what the callback got, `thread` a struct whose first member tells its size.
unsafe fn give(
    world: *const StoppedWorld<'_>,
    thread: *mut Thread,
    find: impl FnOnce(&World) -> Option<&ThreadRecord>,
) -> c_int {
    // SAFETY: the caller's duty.
    let Some(world) = (unsafe { world.as_ref() }) else { return code::BAD_ARGUMENT };
    // SAFETY: as above.
    if thread.is_null() || !unsafe { acceptable(thread) } {
        return code::BAD_ARGUMENT;
    }
    let Some(record) = find(world.world) else { return code::NO_OBJECT };
    // SAFETY: found acceptable.
    unsafe { write_versioned(thread, &world.describe(record)) };
    code::DONE
}

/// `size_t standstill_thread_count(world)`
///
/// # Safety
///
/// - standstill.h: `world` is what the callback got.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_thread_count(world: *const StoppedWorld<'_>) -> usize {
    // SAFETY: the caller's duty.
    unsafe { world.as_ref() }.map_or(0, |world| world.world.threads().len())
}

/// `int standstill_thread_at(world, index, thread)`
///
/// # Safety
///
/// - As [`give`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_thread_at(
    world: *const StoppedWorld<'_>,
    index: usize,
    thread: *mut Thread,
) -> c_int {
    // SAFETY: the caller's duty.
    unsafe { give(world, thread, |world| world.threads().get(index)) }
}

/// `int standstill_thread_by_tid(world, tid, thread)`
///
/// # Safety
///
/// - As [`give`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_thread_by_tid(
    world: *const StoppedWorld<'_>,
    tid: i32,
    thread: *mut Thread,
) -> c_int {
    // SAFETY: the caller's duty.
    unsafe { give(world, thread, |world| world.threads().iter().find(|record| record.tid.get() == tid)) }
}

/// `int standstill_thread_next(world, tid, thread)`
///
/// # Safety
///
/// - As [`give`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_thread_next(
    world: *const StoppedWorld<'_>,
    tid: i32,
    thread: *mut Thread,
) -> c_int {
    let next = |world: &World| -> Option<usize> {
        let later = world.threads().iter().enumerate().filter(|(_, record)| record.tid.get() > tid);
        later.min_by_key(|(_, record)| record.tid.get()).map(|(index, _)| index)
    };
    // SAFETY: the caller's duty.
    unsafe { give(world, thread, |world| world.threads().get(next(world)?)) }
}

/// `size_t standstill_signal_count(world)`
///
/// # Safety
///
/// - standstill.h: `world` is what the callback got.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_signal_count(world: *const StoppedWorld<'_>) -> usize {
    // SAFETY: the caller's duty.
    unsafe { world.as_ref() }.map_or(0, |world| world.world.queued_signals().len())
}

/// `int standstill_signal_at(world, index, tid, info)`
///
/// # Safety
///
/// - standstill.h: `world` is what the callback got; the others are null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_signal_at(
    world: *const StoppedWorld<'_>,
    index: usize,
    tid: *mut i32,
    info: *mut libc::siginfo_t,
) -> c_int {
    // SAFETY: the caller's duty.
    let Some(world) = (unsafe { world.as_ref() }) else { return code::BAD_ARGUMENT };
    let Some(signal) = world.world.queued_signals().get(index) else { return code::NO_OBJECT };
    // SAFETY: the caller's duty.
    unsafe {
        if let Some(tid) = tid.as_mut() {
            *tid = signal.tid.map_or(0, Tid::get);
        }
        if let Some(info) = info.as_mut() {
            *info = signal.info;
        }
    }
    code::DONE
}

/// `size_t standstill_read_words(world, address, words, count)`
///
/// # Safety
///
/// - standstill.h: `world` is what the callback got; `words` has room for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standstill_read_words(
    world: *const StoppedWorld<'_>,
    address: usize,
    words: *mut usize,
    count: usize,
) -> usize {
    // SAFETY: the caller's duty.
    let Some(world) = (unsafe { world.as_ref() }) else { return 0 };
    if words.is_null() || !address.is_multiple_of(size_of::<usize>()) {
        return 0;
    }
    // SAFETY: the caller's duty.
    let into = unsafe { core::slice::from_raw_parts_mut(words, count) };
    world.memory.read_words(Addr::new(address), into)
}
