//! The harvest itself: the list of steps, in their order.

use crate::base::{Addr, AddrRange, Errno};
use crate::heap::Provider;
use crate::mem::{MapVec, ReadMemory, own};
use crate::sys::file::{self, Fd};
use crate::threads::mappings;

use super::globals::{self, Headers};
use super::libc_layout::Layout;
use super::maps::{Backing, Maps};
use super::model::{Harvest, Root, RootKind, RootWord, Strength};
use super::presence::{self, Granted};
use super::regions::Claims;
use super::stacks::{self, Borders};
use super::thread::{State, Thread};
use super::tls::{self, Life, Listed};
use super::{nodes, registers, unlisted};

/// Which kinds of roots are wanted. What is not wanted is neither root nor node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Switches {
    pub globals: bool,
    pub stacks: bool,
    pub registers: bool,
    /// Also thread-specific values.
    pub tls: bool,
    pub root_regions: bool,
    /// Mappings: reached ones as nodes, the others as weak roots.
    pub mappings: bool,
}

impl Switches {
    /// Everything.
    pub const ALL: Switches = Switches {
        globals: true,
        stacks: true,
        registers: true,
        tls: true,
        root_regions: true,
        mappings: true,
    };
}

/// What the harvest is made from.
pub struct Input<'a> {
    /// What is wanted.
    pub switches: Switches,
    /// The process, which is also the id of its first thread.
    pub pid: i32,
    /// Every thread.
    pub threads: &'a [Thread<'a>],
    /// Registered by the program.
    pub regions: &'a [AddrRange],
    /// What threads inside the allocator hold: their ids, and words.
    pub in_transit: &'a [(i32, usize)],
    /// Words that the kernel keeps for the program.
    pub kernel: &'a [usize],
    /// Addresses of chunks that somebody holds and nobody reads: an alternate signal stack that is not in use.
    pub kept: &'a [usize],
    /// Data that is neither root nor node: that of our own library, when it is a module apart.
    pub exclude: &'a [AddrRange],
    /// What the program is known to have mapped, by address.
    pub mappings: &'a [mappings::Mapping],
    /// Where the C library keeps things.
    pub layout: &'a Layout,
    /// The memory map.
    pub maps: Result<Fd, Errno>,
    /// Without it all addresses may be asked about, see [`super::unlisted`].
    pub may_ask: bool,
    /// An address on the stack of the first thread, which the map names.
    pub on_first_stack: Addr,
    /// /proc/PID/pagemap.
    pub pagemap: Result<Fd, Errno>,
    /// What [`look_ahead`] found; or [`Headers::none`].
    pub headers: &'a Headers,
    /// A page that is not there may be somebody else's to fill ([`super::kernel::words`]).
    pub faults_elsewhere: bool,
    /// Threads were not stopped, and only "nothing is lost" will be believed: what is known of their stacks need not be
    /// asked for.
    pub asleep: bool,
    /// Find present pages only as far as a forked copy could not; [`find_pages`] finds the rest.
    pub early: bool,
}

/// Why there is no harvest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CouldNotHarvest {
    /// The memory map could not be read.
    Maps(Errno),
    /// No memory for our own arrays.
    Memory(Errno),
}

/// Collects the roots and nodes of a stopped world.
pub fn collect(
    input: Input<'_>,
    provider: &impl Provider,
    memory: &impl ReadMemory,
) -> Result<Harvest, CouldNotHarvest> {
    let (maps, ours, unlisted) = match &input.maps {
        Ok(fd) => maps_and_ours(fd).map(|(maps, ours)| (maps, ours, None)),
        Err(errno) if input.may_ask => {
            unlisted_and_ours(input.on_first_stack, memory).map(|(maps, ours)| (maps, ours, Some(*errno)))
        }
        Err(errno) => Err(*errno),
    }
    .map_err(CouldNotHarvest::Maps)?;
    let mut harvest = steps(input, &maps, ours, provider, memory).map_err(CouldNotHarvest::Memory)?;
    harvest.notes.unlisted = unlisted;
    Ok(harvest)
}

/// As [`maps_and_ours`], without the map.
fn unlisted_and_ours(on_first_stack: Addr, memory: &impl ReadMemory) -> Result<(Maps, Claims), Errno> {
    let mut ours = Claims::new();
    add_ours(&mut ours)?;
    let maps = Maps::found(unlisted::find(on_first_stack, memory)?);
    add_ours(&mut ours)?;
    Ok((maps, ours))
}

/// Reads the map, and what of it is ours. That is noted at each read: a mapping of ours that the map shows may be gone at
/// the next step, and another array of ours in its place before the last.
pub(super) fn maps_and_ours(fd: &Fd) -> Result<(Maps, Claims), Errno> {
    let mut ours = Claims::new();
    let maps = Maps::read(|into| {
        add_ours(&mut ours)?;
        file::read(fd, into)
    })?;
    add_ours(&mut ours)?;
    Ok((maps, ours))
}

/// Reads what can be known before the stop, in the helper. `maps` and `pagemap` are of this memory.
pub fn look_ahead(
    maps: &Maps,
    pagemap: Result<Fd, Errno>,
    memory: &impl ReadMemory,
) -> Result<Headers, Errno> {
    let presence = presence::find_early(maps, &Headers::none(), pagemap)?;
    Headers::read(maps, &presence, memory)
}

/// Finds all present pages, of a harvest that was made early. `maps` and `pagemap` are of the memory that is going to be
/// read: this one, or a copy, where what the fork did not carry over was put back.
pub fn find_pages(harvest: &mut Harvest, maps: &Maps, pagemap: Result<Fd, Errno>) -> Result<(), Errno> {
    let presence = presence::find(maps, pagemap)?;
    harvest.resident = presence.readable.instead_of(&harvest.resident);
    harvest.notes.presence = presence.why_not_scan;
    Ok(())
}

fn add_ours(ours: &mut Claims) -> Result<(), Errno> {
    // Room first: growing changes the list that is read.
    ours.reserve(own::ranges().count() + 1)?;
    for range in own::ranges() {
        ours.add(range)?;
    }
    ours.sort();
    Ok(())
}

fn steps(
    input: Input<'_>,
    maps: &Maps,
    mut ours: Claims,
    provider: &impl Provider,
    memory: &impl ReadMemory,
) -> Result<Harvest, Errno> {
    let Input { switches, layout, threads, .. } = input;
    // A page that another waits to fill is not there, whoever sleeps on it.
    let granted =
        if input.asleep && !input.faults_elsewhere { stacks::granted(maps, threads)? } else { MapVec::new() };
    let presence = if input.early {
        presence::find_early(maps, input.headers, input.pagemap)?
    } else {
        presence::find_but(maps, input.pagemap, &granted)?
    };
    let mut data = MapVec::new();
    globals::find(maps, &presence, input.headers, memory, &mut data)?;
    let mut listed = MapVec::new();
    if let Some(lists) = &layout.lists {
        tls::listed(memory, layout, lists, &mut listed)?;
    }
    let mut borders = Borders::new(maps, layout.below(), layout.above());
    for top in threads.iter().map(|t| t.thread_pointer).chain(listed.iter().map(|l| l.top)) {
        borders.add(top)?;
    }
    borders.sort();

    let mut gather = Gather::new(Harvest::new(presence.readable));
    if input.faults_elsewhere {
        gather.harvest.resident.grant_nothing();
    }
    gather.granted = granted;
    gather.knows_dead = maps.is_listed;
    gather.asleep = input.asleep;
    gather.harvest.weak_nodes = switches.mappings;
    gather.harvest.notes.odd_lines = maps.odd_lines;
    gather.harvest.notes.presence = presence.why_not_scan;
    for device in maps.all().iter().filter(|mapping| mapping.backing == Backing::Device && mapping.write) {
        gather.harvest.notes.devices += 1;
        gather.harvest.notes.device_bytes += device.range.len();
    }
    add_ours(&mut ours)?;
    gather.exclude(&ours, input.exclude, provider)?;

    for mapping in maps.all().iter().filter(|mapping| mapping.is_shared_memory()) {
        for part in gather.excluded.left_of(mapping.range) {
            gather.harvest.shared.push(part)?;
        }
    }
    for range in data.iter() {
        gather.root(*range, RootKind::Globals, 0, switches.globals)?;
    }
    let by_id = by_id(&listed)?;
    let mut stopped = MapVec::new();
    for thread in threads {
        // Of a thread that was not stopped only the library knows it.
        let thread = Thread { thread_pointer: thread_pointer(thread, &by_id), ..*thread };
        let top = thread.thread_pointer;
        let is_first = thread.tid == input.pid && !listed.iter().any(|l| l.top == top && l.on_own_stack);
        gather.thread(&thread, is_first, &input.switches, layout, &borders, provider, memory)?;
        stopped.push(top)?;
    }
    stopped.sort_unstable();
    for thread in listed.iter().filter(|listed| stopped.binary_search(&listed.top).is_err()) {
        gather.listed(thread, &input.switches, layout, &borders, provider, memory)?;
    }
    if switches.root_regions {
        for range in input.regions {
            // What is not mapped holds nothing; a forked copy has to have the rest.
            for mapped in maps.mapped(*range) {
                for part in gather.excluded.left_of(mapped) {
                    gather.harvest.roots.push(root(part, RootKind::Region, 0))?;
                }
            }
        }
    }
    for &(tid, word) in input.in_transit {
        gather.word(word, RootKind::InTransit, tid)?;
    }
    for word in input.kept {
        gather.harvest.kept.push(*word)?;
    }
    for word in input.kernel {
        gather.word(*word, RootKind::Kernel, 0)?;
    }
    if switches.mappings {
        gather.claims.sort();
        nodes::find(maps, &gather.claims, input.mappings, &mut gather.harvest)?;
    }
    Ok(gather.harvest)
}

/// The library's threads that live, by their ids.
fn by_id(listed: &[Listed]) -> Result<MapVec<(i32, Addr)>, Errno> {
    let mut by_id = MapVec::new();
    for thread in listed.iter().filter(|thread| thread.tid != 0) {
        by_id.push((thread.tid, thread.top))?;
    }
    by_id.sort_unstable();
    Ok(by_id)
}

fn thread_pointer(thread: &Thread<'_>, by_id: &[(i32, Addr)]) -> Addr {
    if !thread.thread_pointer.is_null() {
        return thread.thread_pointer;
    }
    let found = by_id.binary_search_by_key(&thread.tid, |(tid, _)| *tid);
    found.ok().and_then(|at| by_id.get(at)).map_or(Addr::NULL, |(_, top)| *top)
}

fn root(range: AddrRange, kind: RootKind, tid: i32) -> Root {
    Root { range, kind, tid, strength: Strength::Strong }
}

/// A harvest in the making.
struct Gather {
    harvest: Harvest,
    /// No nodes.
    claims: Claims,
    /// No roots either.
    excluded: Claims,
    /// Stacks of which was not asked which pages are there.
    granted: MapVec<Granted>,
    /// The threads were not stopped: see [`Input::asleep`].
    asleep: bool,
    /// What lies between two stacks is known to be of one of them: where mappings end is known.
    knows_dead: bool,
}

impl Gather {
    fn new(harvest: Harvest) -> Gather {
        Gather {
            harvest,
            claims: Claims::new(),
            excluded: Claims::new(),
            granted: MapVec::new(),
            asleep: false,
            knows_dead: true,
        }
    }

    /// Takes out what is ours and what is the heap's.
    fn exclude(
        &mut self,
        ours: &Claims,
        exclude: &[AddrRange],
        provider: &impl Provider,
    ) -> Result<(), Errno> {
        for range in ours.ranges().iter().chain(exclude) {
            self.claims.add(*range)?;
            self.excluded.add(*range)?;
        }
        let mut full = Ok(());
        provider.records(&mut |range| {
            if full.is_ok() {
                full = self.claims.add(range).and_then(|()| self.excluded.add(range));
            }
        });
        provider.ranges(&mut |range| {
            if full.is_ok() {
                full = self.claims.add(range);
            }
        });
        self.excluded.sort();
        full
    }

    /// Claims a range, and makes it a root if it is wanted.
    fn root(&mut self, range: AddrRange, kind: RootKind, tid: i32, wanted: bool) -> Result<(), Errno> {
        self.claims.add(range)?;
        if wanted {
            for part in self.excluded.left_of(range) {
                self.harvest.roots.push(root(part, kind, tid))?;
            }
        }
        Ok(())
    }

    /// Claims what a stack does not use.
    fn dead(&mut self, range: AddrRange) -> Result<(), Errno> {
        if self.knows_dead { self.claims.add(range) } else { Ok(()) }
    }

    fn word(&mut self, word: usize, kind: RootKind, tid: i32) -> Result<(), Errno> {
        self.harvest.words.push(RootWord { word, kind, tid, strength: Strength::Strong })
    }

    #[allow(clippy::too_many_arguments)]
    fn thread(
        &mut self,
        thread: &Thread<'_>,
        is_first: bool,
        switches: &Switches,
        layout: &Layout,
        borders: &Borders<'_>,
        provider: &impl Provider,
        memory: &impl ReadMemory,
    ) -> Result<(), Errno> {
        let &Thread { tid, live_from: from, thread_pointer: top, .. } = thread;
        if switches.registers {
            registers::find(thread, &mut self.harvest.words)?;
        }
        let chunk_end = provider.locate(from).map(|(_, range)| range.end);
        let stacks = borders.stacks(from, top, is_first, chunk_end);
        // What lies below in that mapping has to be dead for certain.
        let granted = self.granted.partition_point(|one| one.all.end <= from);
        let is_granted = self.granted.get(granted).is_some_and(|one| one.all.start <= from);
        // Nobody says where on its own stack one sleeps whose record lies on another: read whole, its dead words would be roots.
        let is_away = self.asleep && !stacks.live[1].is_empty();
        let lost = stacks.lost || is_away || is_granted && stacks.dead.is_empty();
        self.harvest.notes.lost_stacks += usize::from(lost);
        for range in stacks.live {
            self.root(range, RootKind::Stack, tid, switches.stacks)?;
        }
        self.dead(stacks.dead)?;
        if top.is_null() {
            self.harvest.notes.lost_tls += usize::from(thread.state != State::Lost);
            return Ok(());
        }
        for (range, kind) in tls::static_parts(layout, borders, top) {
            self.root(range, kind, tid, switches.tls)?;
        }
        if !switches.tls {
            tls::allocated(layout, memory, top, &mut self.harvest.kept)?;
        }
        self.root(tls::vector(layout, borders, provider, memory, top), RootKind::Tls, tid, switches.tls)
    }

    /// A thread that is in the C library's lists and not among the stopped ones.
    fn listed(
        &mut self,
        thread: &Listed,
        switches: &Switches,
        layout: &Layout,
        borders: &Borders<'_>,
        provider: &impl Provider,
        memory: &impl ReadMemory,
    ) -> Result<(), Errno> {
        let top = thread.top;
        match thread.life {
            Life::Alive => {
                // Being made, or lost: its stack is a node that the library's list reaches.
                for (range, kind) in tls::static_parts(layout, borders, top) {
                    self.root(range, kind, 0, switches.tls)?;
                }
                self.root(tls::vector(layout, borders, provider, memory, top), RootKind::Tls, 0, switches.tls)
            }
            Life::Ended => {
                self.dead(borders.certain_below(top))?;
                self.claims.add(layout.static_block(top))?;
                let specific = layout.specific_values(top);
                let block = layout.control_block(top);
                let below = AddrRange::new(block.start, specific.start.max(block.start));
                let above = AddrRange::new(specific.end.max(block.start), block.end);
                self.root(below, RootKind::Tls, 0, true)?;
                self.root(above, RootKind::Tls, 0, true)
            }
            Life::Cached => {
                self.dead(borders.certain_below(top))?;
                self.claims.add(layout.static_block(top))?;
                tls::allocated(layout, memory, top, &mut self.harvest.kept)
            }
        }
    }
}
