//! Which of the mappings that a program made (mmap) nothing holds any more: leaked mappings.
//!
//! A mapping is held when a strong or a weak root leads to it, in whatever form of a pointer is asked for, when a root lies in it (it is a thread's stack), or when
//! the C library or the kernel keeps it. Of the others some are held by leaks alone; those that only hold each other have
//! one head, as chunks have.
//!
//! Contract: as [`crate::scan::mark`], after it. The harvest knew of the mappings, so that each group of them has runs of
//! its own. A mapping of which no page is there any more is none.

use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::{Harvest, Strength};
use crate::heap::{ChunkId, Provider};
use crate::mem::{MapVec, ReadMemory};
use crate::scan::{Bits, Marks};
use crate::threads::mappings::Mapping;
use crate::trace::StackId;

use super::leads::Lead;
use super::odd_pointers::{OddPointers, Scanner, Spot};

/// A mapping that nothing holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unheld {
    /// Its pages.
    pub range: AddrRange,
    /// Who mapped it.
    pub stack: StackId,
    /// Only leaks hold it.
    pub indirect: bool,
    /// Chunks that are reached from here, and from no root: of a head, at its first mapping.
    pub objects: usize,
    /// The sum of their sizes.
    pub bytes: usize,
}

/// What is known of a group of mappings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No page of it is a node.
    Absent,
    Held,
    Unheld,
    Indirect,
    /// With the chunks that it holds.
    Head(usize, usize),
}

/// Finds them, by address. `mappings` is what the harvest knew; `forms` of pointers hold, too.
pub fn unheld(
    provider: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    marks: &Marks,
    mappings: &[Mapping],
    forms: OddPointers,
) -> Result<MapVec<Unheld>, Errno> {
    let mut told = MapVec::new();
    if mappings.is_empty() {
        return Ok(told);
    }
    let groups = Groups::new(harvest, marks, mappings)?;
    let found = Found {
        marks,
        groups,
        seen: Bits::new(provider.slots())?,
        seen_runs: Bits::new(harvest.runs as usize)?,
        chunks: MapVec::new(),
        runs: MapVec::new(),
        full: Ok(()),
    };
    let mut flood = Flood { scanner: Scanner::new(forms, provider, memory, harvest)?, marks, found };
    flood.follow_doubts();
    flood.follow_leaks();
    flood.find_heads(mappings);
    let Found { groups, full, .. } = flood.found;
    full?;
    let mut once = Bits::new(groups.states.len())?;
    for one in mappings {
        let state = groups.state(one.group);
        let (objects, bytes) = match state {
            State::Absent | State::Held => continue,
            State::Head(objects, bytes) if once.insert(one.group as usize) => (objects, bytes),
            _ => (0, 0),
        };
        let indirect = state == State::Indirect;
        told.push(Unheld { range: one.range, stack: one.stack, indirect, objects, bytes })?;
    }
    Ok(told)
}

/// States of groups, and which runs belong to them.
struct Groups {
    states: MapVec<State>,
    /// By runs; [`NO_GROUP`] for what nobody knows.
    of_run: MapVec<u32>,
    /// By groups: the first of its runs. By runs: the next of the same group. [`NO_RUN`] where there is none.
    first_run: MapVec<u32>,
    next_run: MapVec<u32>,
    /// Whose flood this is.
    current: Option<u32>,
}

const NO_GROUP: u32 = u32::MAX;
const NO_RUN: u32 = u32::MAX;

impl Groups {
    fn new(harvest: &Harvest, marks: &Marks, mappings: &[Mapping]) -> Result<Groups, Errno> {
        let count = mappings.iter().map(|one| one.group as usize + 1).max().unwrap_or(0);
        let (mut states, mut of_run) = (MapVec::new(), MapVec::new());
        states.resize(count, State::Absent)?;
        of_run.resize(harvest.runs as usize, NO_GROUP)?;
        let (mut first_run, mut next_run) = (MapVec::new(), MapVec::new());
        first_run.resize(count, NO_RUN)?;
        next_run.resize(harvest.runs as usize, NO_RUN)?;
        let mut groups = Groups { states, of_run, first_run, next_run, current: None };
        for node in harvest.nodes.iter() {
            let Some(one) = covering(mappings, node.range.start) else { continue };
            if let Some(slot) = groups.of_run.get_mut(node.run as usize) {
                *slot = one.group;
            }
            if groups.state(one.group) == State::Absent {
                groups.set(one.group, State::Unheld);
            }
            if marks.run(node.run) == Some(Strength::Strong) {
                groups.set(one.group, State::Held);
            }
        }
        groups.link_runs();
        for range in harvest.roots.iter().map(|root| root.range) {
            let first = mappings.partition_point(|one| one.range.end <= range.start);
            let behind = mappings.get(first..).unwrap_or_default().iter();
            behind
                .take_while(|one| one.range.start < range.end)
                .for_each(|one| groups.set(one.group, State::Held));
        }
        for word in harvest.kept.iter() {
            if let Some(one) = covering(mappings, Addr::new(*word)) {
                groups.set(one.group, State::Held);
            }
        }
        Ok(groups)
    }

    /// Links the runs of each group, so that nobody has to look through all of them for one group's.
    fn link_runs(&mut self) {
        let Groups { of_run, first_run, next_run, .. } = self;
        for (run, (group, next)) in (0..).zip(of_run.iter().zip(next_run.iter_mut())) {
            if let Some(first) = first_run.get_mut(*group as usize) {
                *next = core::mem::replace(first, run);
            }
        }
    }

    /// The first run of a group, and the one behind a run of it.
    fn first_run(&self, group: u32) -> Option<u32> {
        self.first_run.get(group as usize).copied().filter(|run| *run != NO_RUN)
    }

    fn next_run(&self, run: u32) -> Option<u32> {
        self.next_run.get(run as usize).copied().filter(|run| *run != NO_RUN)
    }

    fn state(&self, group: u32) -> State {
        self.states.get(group as usize).copied().unwrap_or(State::Absent)
    }

    fn set(&mut self, group: u32, state: State) {
        if let Some(slot) = self.states.get_mut(group as usize) {
            *slot = state;
        }
    }
}

fn covering(mappings: &[Mapping], addr: Addr) -> Option<&Mapping> {
    let at = mappings.partition_point(|one| one.range.end <= addr);
    mappings.get(at).filter(|one| one.range.contains(addr))
}

struct Flood<'a, P, M> {
    scanner: Scanner<'a, P, M>,
    marks: &'a Marks,
    found: Found<'a>,
}

/// What the flood came to so far.
struct Found<'a> {
    marks: &'a Marks,
    groups: Groups,
    /// Chunks and runs that were reached.
    seen: Bits,
    seen_runs: Bits,
    /// Those of them that were not read yet.
    chunks: MapVec<ChunkId>,
    runs: MapVec<u32>,
    full: Result<(), Errno>,
}

impl Found<'_> {
    /// Something in state `holder` points here.
    fn reach(&mut self, lead: Lead, holder: State) {
        match lead {
            // What is strong leads to what is strong.
            Lead::Chunk(id) => {
                if !self.marks.strong(id) && self.seen.insert(id.index()) {
                    self.full = self.full.and(self.chunks.push(id));
                }
            }
            Lead::Run(run) => {
                if let Some(group) = self.groups.of_run.get(run as usize).copied()
                    && let State::Unheld | State::Head(..) = self.groups.state(group)
                    && self.groups.current != Some(group)
                {
                    self.groups.set(group, holder);
                }
                self.run(run);
            }
        }
    }

    fn run(&mut self, run: u32) {
        if self.marks.run(run) != Some(Strength::Strong) && self.seen_runs.insert(run as usize) {
            self.full = self.full.and(self.runs.push(run));
        }
    }
}

impl<P: Provider, M: ReadMemory> Flood<'_, P, M> {
    /// What a weak root leads to is in doubt, and not told; and so is what a word in an odd form leads to.
    fn follow_doubts(&mut self) {
        let Flood { scanner, marks, found } = self;
        let (provider, harvest) = (scanner.leads.provider, scanner.leads.harvest);
        let is_odd = scanner.is_odd();
        let is_wanted = |strength: Strength| is_odd || strength == Strength::Weak;
        for root in harvest.words.iter().filter(|root| is_wanted(root.strength)) {
            scanner.word(Spot::Word(0), root.word, true, &mut |word| found.reach(word.lead, State::Held));
        }
        for root in harvest.roots.iter().filter(|root| is_wanted(root.strength)) {
            scanner.memory(root.range, &mut |word| found.reach(word.lead, State::Held));
        }
        if is_odd {
            for run in (0..harvest.runs).filter(|run| marks.run(*run) == Some(Strength::Strong)) {
                scanner.holder(Lead::Run(run), &mut |word| found.reach(word.lead, State::Held));
            }
            provider.for_each(&mut |id, _| {
                if marks.strong(id) {
                    scanner.holder(Lead::Chunk(id), &mut |word| found.reach(word.lead, State::Held));
                }
            });
        }
        self.drain(State::Held);
    }

    fn follow_leaks(&mut self) {
        let (provider, marks) = (self.scanner.leads.provider, self.marks);
        provider.for_each(&mut |id, _| {
            if !marks.strong(id) && !marks.weak(id) {
                self.found.reach(Lead::Chunk(id), State::Indirect);
                self.drain(State::Indirect);
            }
        });
    }

    fn find_heads(&mut self, mappings: &[Mapping]) {
        for one in mappings {
            if self.found.groups.state(one.group) != State::Unheld {
                continue;
            }
            // That it points to itself makes it no less a head.
            self.found.groups.current = Some(one.group);
            let mut next = self.found.groups.first_run(one.group);
            while let Some(run) = next {
                self.found.run(run);
                next = self.found.groups.next_run(run);
            }
            let (objects, bytes) = self.drain(State::Indirect);
            self.found.groups.set(one.group, State::Head(objects, bytes));
        }
    }

    /// Reads all that was reached. Returns how many chunks that were, and their bytes.
    fn drain(&mut self, holder: State) -> (usize, usize) {
        let (mut objects, mut bytes) = (0, 0);
        loop {
            if let Some(id) = self.found.chunks.pop() {
                let size = self.scanner.leads.provider.chunk(id).size;
                (objects, bytes) = (objects + 1, bytes + size);
                self.scanner.holder(Lead::Chunk(id), &mut |word| self.found.reach(word.lead, holder));
            } else if let Some(run) = self.found.runs.pop() {
                self.scanner.holder(Lead::Run(run), &mut |word| self.found.reach(word.lead, holder));
            } else {
                return (objects, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Alone;
    use crate::harvest::Resident;
    use crate::heap::Tag;
    use crate::scan::made_up::{self, HEAP, Heap, MAPPINGS, Memory, World};
    use crate::scan::mark;

    const SIZE: usize = 0x1000;

    fn at(number: usize) -> usize {
        MAPPINGS + number * SIZE
    }

    /// Eight mappings of a page side by side, each a group of its own, and four chunks.
    fn world() -> (World, Vec<Mapping>) {
        let mut heap = Heap::new(1);
        let mut memory = Memory::default();
        for i in 0..4 {
            memory.touch(heap.add(HEAP + i * 32, 16, Tag::Allocated).range());
        }
        let mut harvest = Harvest::new(Resident::everything().unwrap());
        let mut mappings = Vec::new();
        for number in 0..8 {
            let range = AddrRange::sized(Addr::new(at(number)), SIZE);
            memory.touch(range);
            harvest.nodes.push(made_up::node(at(number), SIZE, number as u32)).unwrap();
            mappings.push(Mapping { range, stack: StackId(number as u32), group: number as u32 });
        }
        harvest.runs = 8;
        (World { heap, memory, harvest }, mappings)
    }

    fn hold(world: &mut World, word: usize, strength: Strength) {
        world.harvest.words.push(made_up::root_word(word, strength)).unwrap();
    }

    /// Numbers of mappings that are not held; negative if leaks hold them (less one, since there is no -0).
    fn lost(world: &World, mappings: &[Mapping]) -> Vec<(i32, usize)> {
        lost_with(world, mappings, false)
    }

    /// `odd`: where a pointer past the end holds.
    fn lost_with(world: &World, mappings: &[Mapping], odd: bool) -> Vec<(i32, usize)> {
        let World { heap, memory, harvest } = world;
        let mut marks = Marks::new(heap, &Alone).unwrap();
        mark(heap, memory, harvest, &Alone, &mut marks).unwrap();
        let forms = OddPointers { past_end: true, ..OddPointers::default() };
        let found =
            unheld(heap, memory, harvest, &marks, mappings, if odd { forms } else { Default::default() });
        let found = found.unwrap();
        let one = |one: &Unheld| {
            let number = ((one.range.start.get() - MAPPINGS) / SIZE) as i32;
            (if one.indirect { -number - 1 } else { number }, one.objects)
        };
        found.iter().map(one).collect()
    }

    #[test]
    fn what_a_root_leads_to_is_held_in_whatever_way() {
        let (mut world, mappings) = world();
        // 0 by a word, 1 by a chunk, 2 by a mapping, 3 perhaps, 4 because a stack lies in it, 5 by the kernel.
        hold(&mut world, at(0) + 8, Strength::Strong);
        hold(&mut world, HEAP, Strength::Strong);
        world.memory.write(HEAP, at(1));
        world.memory.write(at(1), at(2) + SIZE - 1);
        hold(&mut world, at(3), Strength::Weak);
        world.harvest.roots.push(made_up::root(at(4) + 64, 64, Strength::Strong)).unwrap();
        world.harvest.kept.push(at(5)).unwrap();
        assert_eq!(lost(&world, &mappings), [(6, 0), (7, 0)]);
        // Of one that is gone nothing is told.
        world.harvest.nodes.truncate(7);
        world.harvest.runs = 7;
        assert_eq!(lost(&world, &mappings), [(6, 0)]);
        assert_eq!(lost(&world, &[]), []);
    }

    #[test]
    fn what_only_leaks_hold_is_told_apart_and_so_is_what_a_leak_holds() {
        let (mut world, mappings) = world();
        for number in 5..8 {
            hold(&mut world, at(number), Strength::Strong);
        }
        // A lost chunk holds 0, which holds 1; 2 and 3 hold each other and a chunk; 4 holds 2 and itself.
        world.memory.write(HEAP, at(0));
        world.memory.write(at(0) + 8, at(1));
        world.memory.write(at(2), at(3));
        world.memory.write(at(3), at(2));
        world.memory.write(at(3) + 8, HEAP + 32);
        world.memory.write(at(4) + 8, at(2));
        world.memory.write(at(4) + 16, at(4));
        world.memory.write(at(4) + 24, HEAP + 64);
        assert_eq!(lost(&world, &mappings), [(-1, 0), (-2, 0), (-3, 0), (-4, 0), (4, 1)]);
    }

    #[test]
    fn pointers_in_odd_forms_hold_where_they_are_asked_for() {
        let (mut world, mappings) = world();
        world.harvest.nodes.truncate(2);
        world.harvest.runs = 2;
        hold(&mut world, at(0) + SIZE, Strength::Strong);
        // What lies behind it begins there, and is held.
        assert_eq!(lost(&world, &mappings), [(0, 0)]);
        assert_eq!(lost_with(&world, &mappings, true), []);
        // By a chunk that is held.
        world.harvest.words.clear();
        hold(&mut world, HEAP, Strength::Strong);
        world.memory.write(HEAP, at(1) + SIZE);
        assert_eq!(lost(&world, &mappings), [(0, 0), (1, 0)]);
        assert_eq!(lost_with(&world, &mappings, true), [(0, 0)]);
    }

    #[test]
    fn mappings_of_one_group_are_held_together() {
        let (mut world, mut mappings) = world();
        for group in [0, 3, 6] {
            for one in &mut mappings[group..(group + 3).min(8)] {
                one.group = group as u32;
            }
        }
        hold(&mut world, at(2), Strength::Strong);
        world.memory.write(at(4), HEAP);
        world.memory.write(at(5), HEAP + 32);
        assert_eq!(lost(&world, &mappings), [(3, 2), (4, 0), (5, 0), (6, 0), (7, 0)]);
    }

    #[test]
    fn a_group_with_pieces_in_several_places_is_one_head_with_what_each_holds() {
        let (mut world, mut mappings) = world();
        for number in [1, 4, 7] {
            mappings[number].group = 1;
        }
        for number in [0, 2, 3, 5, 6] {
            hold(&mut world, at(number), Strength::Strong);
        }
        for (chunk, number) in [(0, 1), (1, 4), (2, 7)] {
            world.memory.write(at(number) + 8, HEAP + chunk * 32);
        }
        assert_eq!(lost(&world, &mappings), [(1, 3), (4, 0), (7, 0)]);
    }
}
