//! The notes: what a debugger asks of threads and of the process (include/uapi/linux/elfcore.h, elf.h).
//!
//! The first thread is the caller's: a debugger shows it as the one that it stands in. Its status comes first of all
//! notes, then those of the process, as the kernel orders them (fs/binfmt_elf.c, write_note_info).

use crate::arch::{self, REGISTER_SETS, WholeState, page_size};
use crate::base::{Addr, Errno};
use crate::harvest::{lines, maps};
use crate::mem::MapVec;
use crate::stop::{StopKind, ThreadRecord, World};
use crate::sys::file::{self, Fd};

use super::Written;
use super::bytes::Bytes;
use super::status::Identity;

const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;
const NT_SIGINFO: u32 = 0x5349_4749;
/// Of our own name: for each thread its id (4 bytes), how it stood still (4), its name (16, filled with zeros).
const THREADS: u32 = 1;

/// Appends all notes.
pub(super) fn write(to: &mut Bytes, world: &World, identity: &Identity) -> Result<Written, Errno> {
    let mut written = Written::default();
    for thread in world.threads().iter().filter(|thread| has_note(thread)) {
        note(to, b"CORE\0", NT_PRSTATUS, |to| status(to, world, thread, identity))?;
        if written.threads == 0 {
            process(to, world, identity)?;
        }
        extended(to, world.extended(thread))?;
        // Sets of general registers beside the status: the thread pointer, where it is none of those.
        for (set, first, count) in REGISTER_SETS.into_iter().skip(1) {
            note(to, b"LINUX\0", set as u32, |to| registers(to, thread, first, count))?;
        }
        written.threads += 1;
        written.without_registers += u32::from(!thread.has_registers());
    }
    note(to, b"STANDSTILL\0", THREADS, |to| names(to, world))?;
    Ok(written)
}

/// Threads of this process that run in user mode.
fn has_note(thread: &ThreadRecord) -> bool {
    thread.stop != StopKind::KernelWorker && !thread.shares_memory
}

/// A note: sizes, type, owner, description, both filled to words of four bytes.
fn note(
    to: &mut Bytes,
    owner: &[u8],
    kind: u32,
    description: impl FnOnce(&mut Bytes) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let size_at = to.len() + 4;
    to.word(owner.len() as u32)?;
    to.word(0)?;
    to.word(kind)?;
    to.bytes(owner)?;
    to.align(4)?;
    let start = to.len();
    description(to)?;
    to.set_word(size_at, (to.len() - start) as u32);
    to.align(4)
}

/// `struct elf_prstatus`.
fn status(to: &mut Bytes, world: &World, thread: &ThreadRecord, identity: &Identity) -> Result<(), Errno> {
    let signal = match thread.stop {
        StopKind::SignalDelivery(signal) => signal,
        _ => 0,
    };
    let own = world.queued_signals().iter().filter(|queued| queued.tid == Some(thread.tid));
    let pending = own.fold(0u64, |set, queued| set | 1 << (queued.info.si_signo - 1).clamp(0, 63));
    to.zeros(12)?; // signal, code, errno: nothing has died
    to.half(signal as u16)?;
    to.half(0)?;
    to.long(pending)?;
    to.long(thread.blocked.map_or(0, |blocked| blocked.0))?;
    for id in [thread.tid.get(), identity.parent, identity.group, identity.session] {
        to.word(id as u32)?;
    }
    to.zeros(4 * 16)?; // times: reading them would cost more than the stop
    let [(_, first, count), ..] = REGISTER_SETS;
    registers(to, thread, first, count)?;
    to.word(u32::from(!world.extended(thread).is_empty()))?;
    to.word(0)
}

fn registers(to: &mut Bytes, thread: &ThreadRecord, first: usize, count: usize) -> Result<(), Errno> {
    let words = thread.registers.0.iter().skip(first).take(count);
    words.into_iter().try_for_each(|word| to.long(*word as u64))
}

/// The floating point registers, and all of the extended state where that is more.
fn extended(to: &mut Bytes, state: &[u64]) -> Result<(), Errno> {
    if state.is_empty() {
        return Ok(());
    }
    let layout = arch::extended_layout(state);
    note(to, b"CORE\0", NT_FPREGSET, |to| filled(to, state, layout.float))?;
    if let Some(WholeState { kind, from, size, words }) = layout.whole {
        note(to, b"LINUX\0", kind, |to| {
            let start = to.len();
            let state = state.get(from / 8..).unwrap_or_default();
            filled(to, state, size.max(size_of_val(state)))?;
            for (at, value) in words {
                to.set_word(start + at, value);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// `size` bytes of `state`, whose trailing zeros may be missing.
fn filled(to: &mut Bytes, state: &[u64], size: usize) -> Result<(), Errno> {
    let words = state.len().min(size / 8);
    state.iter().take(words).try_for_each(|word| to.long(*word))?;
    to.zeros(size - 8 * words)
}

fn process(to: &mut Bytes, world: &World, identity: &Identity) -> Result<(), Errno> {
    note(to, b"CORE\0", NT_PRPSINFO, |to| description(to, world, identity))?;
    note(to, b"CORE\0", NT_SIGINFO, |to| to.zeros(128))?;
    if let Ok(auxiliary) = world.proc().open_of_memory("auxv") {
        note(to, b"CORE\0", NT_AUXV, |to| copy(to, &auxiliary))?;
    }
    if let Ok(list) = world.proc().open_of_memory("maps") {
        note(to, b"CORE\0", NT_FILE, |to| file_map(to, &list))?;
    }
    Ok(())
}

fn copy(to: &mut Bytes, from: &Fd) -> Result<(), Errno> {
    let mut piece = [0; 512];
    loop {
        match file::read(from, &mut piece) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(got) => to.bytes(piece.get(..got).unwrap_or_default())?,
        }
    }
}

/// `struct elf_prpsinfo`.
fn description(to: &mut Bytes, world: &World, identity: &Identity) -> Result<(), Errno> {
    const NAME: usize = 16;
    const ARGUMENTS: usize = 80;
    let mut name = [0; NAME];
    let mut arguments = [0; ARGUMENTS];
    let proc = world.proc();
    let got = proc.open_of_group("comm").and_then(|comm| file::read(&comm, &mut name)).unwrap_or(0);
    let name = name.get(..got).unwrap_or_default();
    let got = proc.open_of_memory("cmdline").and_then(|list| file::read(&list, &mut arguments)).unwrap_or(0);
    // Arguments are separated by zeros there and by blanks here; the last byte stays zero.
    let arguments = arguments.get_mut(..got.min(ARGUMENTS - 1)).unwrap_or_default();
    arguments.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    to.bytes(&[0, b'R', 0, 0])?; // running
    to.word(0)?;
    to.long(0)?; // no flags
    to.word(identity.user)?;
    to.word(identity.user_group)?;
    for id in [identity.pid, identity.parent, identity.group, identity.session] {
        to.word(id as u32)?;
    }
    to.text(name.trim_ascii_end(), NAME)?;
    to.text(arguments.trim_ascii_end(), ARGUMENTS)
}

/// Which file lies where: count, unit of the offsets, then start, end and offset of each, then the names.
fn file_map(to: &mut Bytes, list: &Fd) -> Result<(), Errno> {
    let mut places = MapVec::<(Addr, Addr, u64)>::new();
    let mut names = Bytes::new();
    lines::for_each(
        |into| file::read(list, into),
        |line| {
            let (Some(mapping), name) = (maps::parse(line), maps::name(line)) else { return Ok(()) };
            if !name.starts_with(b"/") {
                return Ok(());
            }
            places.push((mapping.range.start, mapping.range.end, mapping.offset / page_size() as u64))?;
            names.bytes(name)?;
            names.bytes(b"\0")
        },
    )?;
    to.long(places.len() as u64)?;
    to.long(page_size() as u64)?;
    for (start, end, offset) in places.iter() {
        to.long(start.get() as u64)?;
        to.long(end.get() as u64)?;
        to.long(*offset)?;
    }
    to.bytes(&names)
}

fn names(to: &mut Bytes, world: &World) -> Result<(), Errno> {
    for thread in world.threads() {
        let mut name = [0; 16];
        let got =
            world.proc().open_of_thread(thread.listed, "comm").and_then(|comm| file::read(&comm, &mut name));
        to.word(thread.tid.get() as u32)?;
        to.word(kind(thread.stop))?;
        to.text(name.get(..got.unwrap_or(0)).unwrap_or_default().trim_ascii_end(), 16)?;
    }
    Ok(())
}

/// In the note of names.
fn kind(stop: StopKind) -> u32 {
    match stop {
        StopKind::Caller => 0,
        StopKind::Interrupted => 1,
        StopKind::GroupStopped => 2,
        StopKind::SignalDelivery(_) => 3,
        StopKind::Cloning => 4,
        StopKind::Running => 5,
        StopKind::VforkParent => 6,
        StopKind::KernelWorker => 7,
    }
}
