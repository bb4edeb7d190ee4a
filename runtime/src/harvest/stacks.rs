//! Where stacks begin and end.
//!
//! A line of the map is no stack: neighbouring stacks without guard pages are one mapping, and so are a stack and an
//! arena beside it. A thread library puts the control block and static TLS at the top of the stack that it allocates, so
//! the live part of a thread's stack reaches from its stack pointer to its thread pointer, when both lie in one
//! accessible stretch of memory and no other thread's control block lies between. Where they do not, the thread runs on
//! an alternate signal stack or a coroutine's: then that stack is taken from the stack pointer up, and its own as a
//! whole, since nothing tells how much of it is live.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::mem::MapVec;

use super::maps::{Backing, Mapping, Maps};
use super::presence::Granted;
use super::thread::Thread;

/// The most that is taken for a stack whose end nothing marks: the customary limit (getrlimit(2), RLIMIT_STACK).
const MOST: usize = 8 << 20;

/// What one thread's stacks come to.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Stacks {
    /// Live.
    pub(super) live: [AddrRange; 2],
    /// Certainly dead: below the live part of its own stack.
    pub(super) dead: AddrRange,
    /// No stack could be found.
    pub(super) lost: bool,
}

/// The places that stacks are cut at.
pub(super) struct Borders<'a> {
    maps: &'a Maps,
    /// Thread pointers, by address.
    tops: MapVec<Addr>,
    /// Bytes of static TLS or control block below a thread pointer ([`super::Layout`]).
    below: usize,
    /// Bytes of the other from a thread pointer on.
    above: usize,
}

impl<'a> Borders<'a> {
    pub(super) const fn new(maps: &'a Maps, below: usize, above: usize) -> Borders<'a> {
        Borders { maps, tops: MapVec::new(), below, above }
    }

    /// Adds a thread pointer; [`Borders::sort`] must follow the last.
    pub(super) fn add(&mut self, thread_pointer: Addr) -> Result<(), Errno> {
        if thread_pointer.is_null() { Ok(()) } else { self.tops.push(thread_pointer) }
    }

    pub(super) fn sort(&mut self) {
        self.tops.sort_unstable();
    }

    /// The stretch of readable and writable memory around `addr`.
    pub(super) fn stretch(&self, addr: Addr) -> Option<AddrRange> {
        let (index, mapping) = self.maps.at(addr)?;
        is_open(mapping).then(|| self.maps.run(index, is_open))
    }

    /// A thread pointer in `from..to`.
    fn top_between(&self, from: Addr, to: Addr) -> Option<Addr> {
        let first = self.tops.partition_point(|top| *top < from);
        self.tops.get(first).copied().filter(|top| *top < to)
    }

    /// The lowest address of the stack whose control block is at `top`, and whether a guard or a gap says so.
    fn floor(&self, stretch: AddrRange, top: Addr) -> (Addr, bool) {
        let before = self.tops.partition_point(|other| *other < top);
        let other = before.checked_sub(1).and_then(|at| self.tops.get(at)).filter(|o| stretch.contains(**o));
        if let Some(other) = other {
            return (other.plus(self.above).align_up(page_size()).min(top), false);
        }
        let guard = stretch.start.minus(1);
        let guarded = self.maps.at(guard).is_none_or(|(_, mapping)| mapping.is_closed());
        if guarded {
            return (stretch.start, true);
        }
        (stretch.start.max(top.minus(MOST)), false)
    }

    /// All of the stack below the control block at `top`, when it is certain how far it reaches.
    pub(super) fn certain_below(&self, top: Addr) -> AddrRange {
        match self.stretch(top).map(|stretch| self.floor(stretch, top)) {
            Some((floor, true)) => AddrRange::new(floor, top),
            _ => AddrRange::default(),
        }
    }

    /// The stacks of a thread that is live from `from` up. `is_main`: its own stack is the process' first one.
    /// `chunk_end`: the end of the heap chunk that `from` lies in, if any.
    pub(super) fn stacks(&self, from: Addr, top: Addr, is_main: bool, chunk_end: Option<Addr>) -> Stacks {
        let own_end = top.minus(self.below);
        let here = if from.is_null() { None } else { self.stretch(from) };
        if let Some(stretch) = here {
            // The first thread's control block is not on its stack, though the two may touch.
            let at_home = !is_main
                && chunk_end.is_none_or(|end| top < end)
                && stretch.contains(top)
                && from <= own_end
                && self.top_between(from, top).is_none();
            if at_home {
                let (floor, certain) = self.floor(stretch, top);
                let dead = if certain { AddrRange::new(floor, from) } else { AddrRange::default() };
                return Stacks {
                    live: [AddrRange::new(from, own_end), AddrRange::default()],
                    dead,
                    lost: false,
                };
            }
            if let Some(main) = self.main_stack().filter(|main| main.contains(from)) {
                let dead = AddrRange::new(main.start, from);
                let live = AddrRange::new(from, main.end);
                // Another thread on the main stack leaves its own one unknown.
                let own = if is_main { AddrRange::default() } else { self.own(top, false) };
                return Stacks { live: [live, own], dead, lost: false };
            }
        }
        let elsewhere = here.map(|stretch| {
            let end = self.top_between(from, stretch.end).map_or(stretch.end, |top| top.minus(self.below));
            AddrRange::new(from, chunk_end.unwrap_or(end.min(from.plus(MOST))))
        });
        let own = self.own(top, is_main);
        Stacks {
            live: [elsewhere.unwrap_or_default(), own],
            dead: AddrRange::default(),
            lost: elsewhere.is_none() || own.is_empty(),
        }
    }

    /// The whole stack of a thread that runs elsewhere.
    fn own(&self, top: Addr, is_main: bool) -> AddrRange {
        if is_main {
            return self.main_stack().unwrap_or_default();
        }
        match self.stretch(top) {
            Some(stretch) => AddrRange::new(self.floor(stretch, top).0, top.minus(self.below)),
            None => AddrRange::default(),
        }
    }

    /// The stretch that the kernel names the stack of the main thread, whatever its pieces.
    pub(super) fn main_stack(&self) -> Option<AddrRange> {
        let all = self.maps.all();
        let index = all.iter().rposition(|mapping| mapping.backing == Backing::MainStack)?;
        Some(self.maps.run(index, is_open))
    }
}

/// Live parts so short are read without asking which of their pages are there.
const SHORT: usize = 64 << 10;

/// The stacks of which nobody has to ask what is there: what is live is short, and there, and the rest of the mapping, down
/// to its guard, is dead. By address.
pub(super) fn granted(maps: &Maps, threads: &[Thread<'_>]) -> Result<MapVec<Granted>, Errno> {
    let mut granted: MapVec<Granted> = MapVec::new();
    granted.reserve(threads.len())?;
    for from in threads.iter().map(|thread| thread.live_from).filter(|from| !from.is_null()) {
        let Some((index, mapping)) = maps.at(from).filter(|(_, mapping)| mapping.is_anonymous()) else {
            continue;
        };
        let guard = index.checked_sub(1).and_then(|below| maps.all().get(below));
        let guard = guard.filter(|guard| guard.is_closed() && guard.range.end == mapping.range.start);
        let live = AddrRange::new(from.align_down(page_size()), mapping.range.end);
        if let Some(guard) = guard.filter(|_| is_open(mapping) && live.len() <= SHORT) {
            let start = if guard.is_anonymous() { guard.range.start } else { mapping.range.start };
            granted.push(Granted { all: AddrRange::new(start, mapping.range.end), present: live })?;
        }
    }
    granted.sort_unstable_by_key(|one| (one.all.start, one.present.start));
    let mut kept = 0usize;
    for at in 0..granted.len() {
        let Some(one) = granted.get(at).copied() else { break };
        // Two threads in one mapping: what is live of one is dead of the other.
        let before = kept.checked_sub(1).and_then(|last| granted.get(last)).map(|last| last.all);
        if before != Some(one.all) {
            if let Some(slot) = granted.get_mut(kept) {
                *slot = one;
            }
            kept += 1;
        }
    }
    granted.truncate(kept);
    Ok(granted)
}

fn is_open(mapping: &Mapping) -> bool {
    mapping.read && mapping.write && !matches!(mapping.backing, Backing::Device | Backing::Kernel)
}

#[cfg(test)]
mod tests {
    use super::super::thread::State;
    use super::*;
    use crate::arch::Registers;

    fn borders(text: &str) -> Maps {
        let mut rest = text.as_bytes();
        Maps::read(|into| {
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            Ok(n)
        })
        .unwrap()
    }

    fn with_tops<'a>(maps: &'a Maps, tops: &[usize]) -> Borders<'a> {
        let mut borders = Borders::new(maps, 0x100, 0x200);
        tops.iter().for_each(|top| borders.add(Addr::new(*top)).unwrap());
        borders.sort();
        borders
    }

    fn range(start: usize, end: usize) -> AddrRange {
        AddrRange::new(Addr::new(start), Addr::new(end))
    }

    fn stacks(borders: &Borders<'_>, from: usize, top: usize, main: bool) -> Stacks {
        borders.stacks(Addr::new(from), Addr::new(top), main, None)
    }

    const GUARDED: &str = "\
10000-11000 ---p 0 0:0 0
11000-20000 rw-p 0 0:0 0
20000-21000 ---p 0 0:0 0
21000-30000 rw-p 0 0:0 0
7ff000-800000 rw-p 0 0:0 0 [stack]
";

    #[test]
    fn a_guarded_stack_is_live_from_its_pointer_to_its_tls_and_dead_below() {
        let maps = borders(GUARDED);
        let b = with_tops(&maps, &[0x1fd00, 0x2fd00]);
        let s = stacks(&b, 0x1f000, 0x1fd00, false);
        assert_eq!((s.live[0], s.dead, s.lost), (range(0x1f000, 0x1fc00), range(0x11000, 0x1f000), false));
        assert!(s.live[1].is_empty());
        assert_eq!(b.certain_below(Addr::new(0x2fd00)), range(0x21000, 0x2fd00));
    }

    #[test]
    fn what_is_there_of_a_short_stack_above_a_guard_is_granted() {
        let maps = borders(GUARDED);
        let thread = |from| Thread {
            tid: 1,
            live_from: Addr::new(from),
            thread_pointer: Addr::NULL,
            registers: &Registers::NONE,
            extended: &[],
            state: State::Lost,
        };
        // The last are on the main stack, nowhere, in a guard, and have more that is live.
        let threads = [0x2f080, 0x1f000, 0x1e000, 0x7ff800, 0, 0x20800].map(thread);
        let expected = [
            Granted { all: range(0x10000, 0x20000), present: range(0x1e000, 0x20000) },
            Granted { all: range(0x20000, 0x30000), present: range(0x2f000, 0x30000) },
        ];
        assert_eq!(granted(&maps, &threads).unwrap()[..], expected);
        let maps = borders("10000-11000 ---p 0 0:0 0\n11000-80000 rw-p 0 0:0 0\n80000-90000 rw-s 0 0:0 0\n");
        assert!(granted(&maps, &[thread(0x6e000), thread(0x88000)]).unwrap().is_empty());
        assert_eq!(granted(&maps, &[thread(0x71000)]).unwrap().len(), 1);
    }

    #[test]
    fn stacks_without_guards_are_cut_at_the_next_control_block() {
        let maps = borders("10000-40000 rw-p 0 0:0 0\n");
        let b = with_tops(&maps, &[0x1fd00, 0x2fd00, 0x3fd00]);
        let s = stacks(&b, 0x2f000, 0x2fd00, false);
        assert_eq!((s.live[0], s.dead), (range(0x2f000, 0x2fc00), range(0, 0)));
        // Running on the stack below its own: a coroutine's, or a stolen one.
        let s = stacks(&b, 0x1f000, 0x2fd00, false);
        assert_eq!(s.live, [range(0x1f000, 0x1fc00), range(0x20000, 0x2fc00)]);
    }

    #[test]
    fn a_thread_on_another_stack_has_both() {
        let maps = borders(GUARDED);
        let b = with_tops(&maps, &[0x1fd00]);
        let s = stacks(&b, 0x22000, 0x1fd00, false);
        assert_eq!(s.live, [range(0x22000, 0x30000), range(0x11000, 0x1fc00)]);
        // The main thread there, and in a chunk of the heap.
        let s = b.stacks(Addr::new(0x22000), Addr::new(0x2fd00), true, Some(Addr::new(0x23000)));
        assert_eq!(s.live, [range(0x22000, 0x23000), range(0x7ff000, 0x800000)]);
        assert!(!s.lost);
    }

    #[test]
    fn the_main_stack_reaches_to_its_end_also_in_pieces() {
        let maps = borders("7fe000-7ff000 rwxp 0 0:0 0\n7ff000-800000 rw-p 0 0:0 0 [stack]\n");
        let b = with_tops(&maps, &[0x1fd00]);
        let s = stacks(&b, 0x7fe800, 0x1fd00, true);
        assert_eq!((s.live[0], s.dead), (range(0x7fe800, 0x800000), range(0x7fe000, 0x7fe800)));
    }

    #[test]
    fn a_stack_pointer_to_nowhere_is_lost_and_the_own_stack_is_kept() {
        let maps = borders(GUARDED);
        let b = with_tops(&maps, &[0x1fd00]);
        let s = stacks(&b, 0, 0x1fd00, false);
        assert_eq!((s.live[1], s.lost), (range(0x11000, 0x1fc00), true));
        assert!(stacks(&b, 0x20800, 0, false).lost);
    }
}
