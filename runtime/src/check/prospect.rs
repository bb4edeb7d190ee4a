//! What is found out and made for a snapshot while the program still runs, so that it does not stand still for it.
//!
//! Contract: [`Prospect::of`] runs before the stop, in the task that stops: it opens files. What it knows is of that moment:
//! good for a choice, not for a scan.

use crate::arch::page_size;
use crate::base::Errno;
use crate::base::text::parse_number;
use crate::explain::Hop;
use crate::harvest::{self, Headers};
use crate::heap;
use crate::init::options;
use crate::mem::{ReadMemory, pool};
use crate::report;
use crate::stop::snapshot::{Copies, Handover};
use crate::stop::{Crew, World, cgroup};
use crate::sys::file;

use super::analysis;

/// Below this a scan in place takes hardly longer than a fork, and costs nothing afterwards.
const SMALL: usize = 64 << 20;
/// What a scan in place reads in the time that a copy costs for each thread: its mappings are copied, and when it goes on it
/// writes at once to its stack and to what the kernel keeps for it there, two or three pages in tables of their own. With
/// 4000 threads that wait, a copy of 50 MiB makes a check 1.5 times as long, and the pause hardly shorter.
const SMALL_PER_THREAD: usize = 64 << 10;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// The option, or what the caller of the interface says.
    pub(super) choice: options::Snapshot,
    /// The caller does not wait for the result.
    pub(super) later: bool,
}

impl Wish {
    /// In place.
    pub(super) const NONE: Wish = Wish { choice: options::Snapshot::Never, later: false };
}

/// See the module.
pub(super) struct Prospect {
    pub(super) wish: Wish,
    /// Bytes of the process that are in memory.
    pub(super) resident: usize,
    /// Bytes that the process can still get, of the system or of its control group, where that is known and matters.
    pub(super) available: Option<usize>,
    /// Should that be too little, it is not only the copy that is killed.
    pub(super) dies_as_one: bool,
    /// Where a copy puts its results, if one may be made.
    handover: Option<Handover>,
    /// What is known of modules, if a copy may be made.
    headers: Headers,
}

impl Prospect {
    /// Knows nothing: a copy is not wanted.
    pub(super) const fn none() -> Prospect {
        Prospect {
            wish: Wish::NONE,
            resident: 0,
            available: None,
            dies_as_one: false,
            handover: None,
            headers: Headers::none(),
        }
    }

    /// Looks.
    pub(super) fn of(wish: Wish, world: &World, memory: &impl ReadMemory) -> Prospect {
        let mut prospect = Prospect { wish, ..Prospect::none() };
        // A copy would have to be asked for all that it maps.
        if !world.proc().is_there() {
            prospect.wish = Wish::NONE;
        }
        let wish = prospect.wish;
        if wish.choice == options::Snapshot::Never {
            return prospect;
        }
        prospect.resident = resident();
        if prospect.resident >= analysis::LARGE {
            Crew::look_ahead();
        }
        let auto = wish.choice == options::Snapshot::Auto;
        if !auto || prospect.resident >= SMALL {
            let slots = heap::numbers_now();
            // Room for what is allocated before all stand still.
            const MORE: usize = 64 << 10;
            prospect.handover = Handover::new(most_bytes(slots + slots / 8 + MORE)).ok();
            if auto {
                let group = cgroup::memory();
                prospect.available = available().into_iter().chain(group.left).min();
                prospect.dies_as_one = group.dies_as_one;
            }
            warm();
            // What it does not know is looked for when all stand.
            prospect.headers = analysis::maps_of(world)
                .ok()
                .and_then(|maps| {
                    harvest::look_ahead(&maps, world.proc().open_of_memory("pagemap"), memory).ok()
                })
                .unwrap_or(Headers::none());
        }
        prospect
    }

    /// False when a copy is not wanted, or would not pay: nobody else runs, or little is to be scanned.
    pub(super) fn may_pay(&self, world: &World) -> bool {
        match self.wish.choice {
            options::Snapshot::Never => false,
            options::Snapshot::Always => true,
            options::Snapshot::Auto => {
                let threads = world.threads().len();
                self.resident >= most_in_place(threads) && (threads > 1 || self.wish.later)
            }
        }
    }

    /// What is known of modules, for a harvest before a copy; `None` where a scan in place follows for certain.
    pub(super) fn headers(&self, world: &World) -> Option<&Headers> {
        self.may_pay(world).then_some(&self.headers)
    }

    /// Where the results of a heap with so many numbers go. A new one when the heap has grown beyond what was made.
    pub(super) fn handover(&mut self, slots: usize) -> Result<Handover, Errno> {
        let needed = most_bytes(slots);
        match self.handover.take().filter(|made| made.room() >= needed) {
            Some(made) => Ok(made),
            None => Handover::new(needed),
        }
    }
}

/// Has the kernel make what the work will write to, pages of the stack and of small arrays, so that it does not when all
/// stand: each takes as long as to read the links of a descriptor or two, and there are more of them.
#[inline(never)]
fn warm() {
    // What a harvest was seen to use, and some more.
    const STACK: usize = 64 << 10;
    const ARRAYS: usize = 24;
    core::hint::black_box(&mut [0u8; STACK]);
    pool::warm(ARRAYS);
}

/// More bytes than the results of a heap with so many numbers can need.
fn most_bytes(slots: usize) -> usize {
    // Pages that are never touched cost address space only. Chains of a survey may be long.
    const REST: usize = 64 << 20;
    slots * (size_of::<report::Leak>() + size_of::<Hop>()) + REST
}

/// Bytes of a process with so many threads up to which a copy would not pay.
fn most_in_place(threads: usize) -> usize {
    SMALL + threads * SMALL_PER_THREAD
}

/// Whether a scan is made in place for certain, with so many threads.
pub(super) fn is_small(threads: usize) -> bool {
    resident() < most_in_place(threads)
}

/// /proc/self/statm (proc(5)).
pub(super) fn resident() -> usize {
    Copies::begin().resident_pages() as usize * page_size()
}

/// MemAvailable of /proc/meminfo (proc(5)).
fn available() -> Option<usize> {
    let mut text = [0; 4096];
    let len = file::read(&file::open(c"/proc/meminfo", libc::O_RDONLY, 0).ok()?, &mut text).ok()?;
    let text = core::str::from_utf8(text.get(..len)?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(parse_number(line.split_ascii_whitespace().next()?)? as usize * 1024)
}
