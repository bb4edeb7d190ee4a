//! The stages that run while the world stands still, one after another, and what they hand to the report.
//!
//! Contract: [`look`] is called in the stopped world, [`Seen::analyse`] there or in a copy of it: raw system calls and our own mappings only.

use crate::arch;
use crate::base::{Addr, AddrRange, Alone, Errno, Workers};
use crate::classify::{self, Kind};
use crate::harvest::maps::Maps;
use crate::harvest::registers;
use crate::harvest::{self, CouldNotHarvest, Harvest, Headers, Input, Switches, Thread};
use crate::heap::{HeapView, Provider};
use crate::init::{self, options::Options};
use crate::mem::{MapVec, ReadMemory, Sum};
use crate::report::{self, Totals};
use crate::scan::{self, Bits, CouldNotMark, Marks};
use crate::stop::snapshot::Handover;
use crate::stop::{self, Backend, Crew, ProcFile, World};
use crate::sys::signals::SignalSet;
use crate::sys::{file, task};
use crate::threads::{self, mappings::Mapping};
use crate::trace::{self, StackId};

use super::doubt::doubt;
use super::hooks;
use super::only::{self, Only};
use super::outcome::Counts;
use super::patience::Patience;
use super::remarks::Remarks;
use super::stopped::Prepared;
use super::survey::{self, Survey};

/// What the stopped world came to.
#[derive(Default)]
pub(super) struct Analysis {
    pub(super) leaks: MapVec<report::Leak>,
    pub(super) counts: Counts,
    pub(super) totals: Totals,
    pub(super) harvest: harvest::Notes,
    pub(super) doubts: Doubts,
    pub(super) survey: Survey,
}

/// Why something that was not reached may be held all the same.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Doubts {
    /// Bytes that should have been read and could not be.
    pub(super) unreadable: usize,
    /// There was no time for the second look that the options want.
    looked_short: bool,
    /// Threads with registers that only the kernel knows, where something was not reached.
    vfork_parents: usize,
    /// Signals wait whose values only the kernel knows, and something was not reached.
    signals: bool,
}

/// Why a stopped world came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// For want of memory for our own arrays.
    Memory(Errno),
    /// The memory map could not be read.
    Maps(Errno),
    /// A task that helped to mark died.
    Worker,
    /// A snapshot lacked memory that it should have had.
    Hole,
    /// It would have taken longer than the option allows.
    Time,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Memory(errno)
    }
}

impl From<CouldNotHarvest> for Failure {
    fn from(why: CouldNotHarvest) -> Failure {
        match why {
            CouldNotHarvest::Maps(errno) => Failure::Maps(errno),
            CouldNotHarvest::Memory(errno) => Failure::Memory(errno),
        }
    }
}

impl From<CouldNotMark> for Failure {
    fn from(why: CouldNotMark) -> Failure {
        match why {
            CouldNotMark::Memory(errno) => Failure::Memory(errno),
            CouldNotMark::WorkerDied => Failure::Worker,
        }
    }
}

/// Bytes from which it pays to ask for more tasks and wider vectors: what is read in half a millisecond.
pub(super) const LARGE: usize = 4 << 20;

/// All that marking starts from. A forked copy has it too.
pub(super) struct Seen {
    pub(super) heap: HeapView,
    pub(super) harvest: Harvest,
    /// The program uses userfaultfd(2).
    pub(super) faults_elsewhere: bool,
    /// Which chunks the check is about, and what there was at its baseline.
    only: Only,
    baseline: MapVec<Sum<u32>>,
    /// What the program is known to have mapped.
    mappings: MapVec<Mapping>,
    /// Present pages are not known yet, but of what a copy would not have.
    early: bool,
    /// Signals wait whose values are not known, now.
    unread_signals: bool,
    /// Registers were left that may be roots.
    registers_left: bool,
    /// CPUs that the program itself uses meanwhile: none while it stands.
    pub(super) busy: usize,
    /// Since the work began: in a copy, since the fork.
    pub(super) patience: Patience,
}

/// Harvests. `early`: present pages are left to [`Seen::find_pages`]; what is known of modules' headers.
pub(super) fn look(
    world: &World,
    memory: &impl ReadMemory,
    prepared: &Prepared<'_>,
    options: &Options,
    early: Option<&Headers>,
    only: Only,
    baseline: MapVec<Sum<u32>>,
) -> Result<Seen, Failure> {
    let patience = Patience::new(options);
    let heap = HeapView::new()?;
    let (harvest, faults_elsewhere) = collect(world, memory, &heap, prepared, options, early)?;
    let early = early.is_some();
    let registers_left = options.use_registers;
    let mut mappings = MapVec::new();
    mappings.extend(prepared.mappings)?;
    let mut seen = Seen {
        heap,
        harvest,
        faults_elsewhere,
        early,
        only,
        baseline,
        mappings,
        unread_signals: world.unread_signals().with_values() != SignalSet::EMPTY,
        registers_left,
        busy: 0,
        patience,
    };
    if early {
        // A copy cannot ask.
        seen.take_registers(world)?;
    }
    Ok(seen)
}

impl Seen {
    /// Finds present pages in the memory of the calling process, if that was left.
    pub(super) fn find_pages(&mut self, world: &World) -> Result<(), Failure> {
        if core::mem::take(&mut self.early) {
            let maps = maps_of(world)?;
            harvest::find_pages(&mut self.harvest, &maps, world.proc().open_of_memory("pagemap"))?;
        }
        Ok(())
    }

    /// Reads the registers that were left; where the words begin that came to the harvest by it.
    fn take_registers(&mut self, world: &World) -> Result<usize, Errno> {
        let words = &mut self.harvest.words;
        let (first, mut full) = (words.len(), Ok(()));
        if core::mem::take(&mut self.registers_left) {
            world.late_extended(&mut |thread, state| {
                if full.is_ok() {
                    full = registers::add_late(thread.tid.get(), state, words);
                }
            });
        }
        full.map(|()| first)
    }

    /// Marks, classifies.
    pub(super) fn analyse(
        &mut self,
        world: &World,
        memory: &(impl ReadMemory + Sync),
        options: &Options,
    ) -> Result<Analysis, Failure> {
        self.heap.index();
        let Seen { heap, harvest, .. } = &*self;
        let mut marks = if harvest.resident.bytes() < LARGE {
            mark_by(&Alone, heap, memory, harvest)?
        } else {
            arch::widen();
            mark_by(&Crew::new(options.scan_threads as usize, self.busy), heap, memory, harvest)?
        };
        if self.registers_left && (!marks.all_reached() || !self.mappings.is_empty()) {
            let first = self.take_registers(world)?;
            let Seen { heap, harvest, .. } = &*self;
            let late = harvest.words.get(first..).unwrap_or_default();
            scan::mark_late(heap, memory, harvest, late, &mut marks)?;
        }
        let Seen { heap, harvest, only, baseline, mappings, patience, unread_signals, .. } = &*self;
        let looked_short = !doubt(heap, memory, harvest, options, &marks, patience.second_look())?;
        let mut doubts =
            Doubts { unreadable: marks.statistics.unreadable, looked_short, ..Doubts::default() };
        let is_lost = !marks.all_reached();
        if is_lost {
            // A thread whose child could not be stopped is noted already.
            let are_noted = !options.use_registers || !world.notes().is_complete();
            doubts.vfork_parents = if are_noted { 0 } else { world.vfork_parents() };
            doubts.signals = *unread_signals;
        }
        // A thread that runs on moves pointers about while we look, and has some in registers that nobody sees. What
        // could not be read may hold the one pointer to any chunk.
        let lacks_roots = !world.has_all_registers() || harvest.notes.lack_roots();
        let mut withheld = Bits::new(0)?;
        if is_lost && (lacks_roots || doubts != Doubts::default()) {
            withheld = Bits::new(heap.slots())?;
            marks.for_each_unreached(|id| {
                withheld.add(id.index());
            });
            marks.doubt_all();
        }
        let leaks = classify::classify(heap, memory, &harvest.resident, &marks)?;
        let survey = survey::make(world, heap, memory, harvest, &marks, mappings, options, *patience)?;
        let mut analysis = Analysis { harvest: harvest.notes, survey, doubts, ..Analysis::default() };
        analysis.totals.threads = world.threads().len();
        analysis.totals.served = crate::heap::has_served();
        analysis.totals.chunks = marks.census.chunks;
        analysis.totals.bytes = marks.census.bytes;
        analysis.leaks.reserve(leaks.len())?;
        for leak in leaks.iter().filter(|leak| only.includes(&leak.chunk)) {
            analysis.enter(heap, leak, withheld.contains(leak.id.index()))?;
        }
        match *only {
            Only::All => {}
            Only::Since(number) => analysis.survey.add_grown(number, only::grown(heap, baseline)?),
            Only::Scopes(ending) => heap.move_scopes(|scope| ending.goes_to(scope)),
        }
        Ok(analysis)
    }
}

fn mark_by(
    workers: &(impl Workers + Sync),
    heap: &HeapView,
    memory: &(impl ReadMemory + Sync),
    harvest: &Harvest,
) -> Result<Marks, CouldNotMark> {
    let mut marks = Marks::new(heap, workers)?;
    scan::mark(heap, memory, harvest, workers, &mut marks)?;
    Ok(marks)
}

/// The memory map of the calling process.
pub(super) fn maps_of(world: &World) -> Result<Maps, Failure> {
    let file = world.proc().open_of_memory("maps").map_err(Failure::Maps)?;
    Maps::read(|into| file::read(&file, into)).map_err(Failure::Maps)
}

/// The roots of this world, as the options want them; and whether userfaultfd(2) is in use.
pub(super) fn collect(
    world: &World,
    memory: &impl ReadMemory,
    heap: &HeapView,
    prepared: &Prepared<'_>,
    options: &Options,
    early: Option<&Headers>,
) -> Result<(Harvest, bool), Failure> {
    let mut stopped = MapVec::new();
    stopped.reserve(world.threads().len())?;
    for record in world.threads() {
        if let Some(thread) = Thread::of(world, record) {
            stopped.push(thread)?;
        }
    }
    let (mut in_transit, mut all_kept) = (MapVec::new(), MapVec::new());
    for address in prepared.kept {
        all_kept.push(*address)?;
    }
    let mut full = Ok(());
    threads::for_each(&mut |thread| {
        if full.is_ok() && thread.alternate_stack != 0 {
            full = all_kept.push(thread.alternate_stack);
        }
        for word in thread.heap.in_transit() {
            if full.is_ok() && word != 0 {
                full = in_transit.push((thread.tid(), word));
            }
        }
    });
    full?;
    let mut kernel = MapVec::new();
    for signal in world.queued_signals() {
        kernel.push(signal.value())?;
    }
    let faults_elsewhere = harvest::kernel::words(|file| world.open_file(file), &mut kernel)?;
    let own = own_library();
    let unknown = Headers::none();
    let input = Input {
        switches: Switches {
            globals: options.use_globals,
            stacks: options.use_stacks,
            registers: options.use_registers,
            tls: options.use_tls,
            root_regions: options.use_root_regions,
            mappings: options.use_mappings,
        },
        pid: world.process(),
        threads: &stopped,
        regions: prepared.regions,
        in_transit: &in_transit,
        kernel: &kernel,
        kept: &all_kept,
        mappings: prepared.mappings,
        exclude: own.as_slice(),
        layout: hooks::layout(),
        maps: world.open_file(ProcFile::Maps),
        on_first_stack: init::on_first_stack(),
        // A filter may kill for calls that are seldom made, and the caller may be who makes them.
        may_ask: !world.proc().is_there() && task::seccomp_mode() == 0,
        pagemap: world.open_file(ProcFile::Pagemap),
        headers: early.unwrap_or(&unknown),
        faults_elsewhere,
        asleep: world.notes().backend == Backend::Watch,
        early: early.is_some(),
    };
    Ok((harvest::collect(input, heap, memory)?, faults_elsewhere))
}

/// The image of the shared library that this code is in; nothing when it is linked into the program.
fn own_library() -> Option<AddrRange> {
    let own = trace::modules::find(Addr::of(own_library as *const ()))?;
    // The loader lists the program first (dl_iterate_phdr(3)).
    let program = trace::modules::all().next()?;
    (own.range() != program.range()).then_some(own.range())
}

/// The part of an analysis that is one plain value.
#[derive(Clone, Copy)]
struct Rest {
    counts: Counts,
    totals: Totals,
    harvest: harvest::Notes,
    doubts: Doubts,
}

impl Analysis {
    /// In a snapshot: leaves of the survey what fits where it is handed over, behind the leaks. These fit.
    pub(super) fn fit(&mut self, handover: &Handover) {
        let verdict =
            Handover::needed::<Result<Rest, Failure>>(1) + Handover::needed::<report::Leak>(self.leaks.len());
        self.survey.fit(handover.left().saturating_sub(verdict));
    }

    /// From a snapshot: puts all of it, or why there is none, where the program finds it.
    pub(super) fn hand_over(result: &Result<Analysis, Failure>, handover: &Handover) -> Result<(), Errno> {
        match result {
            Ok(Analysis { leaks, counts, totals, harvest, doubts, survey }) => {
                let rest = Rest { counts: *counts, totals: *totals, harvest: *harvest, doubts: *doubts };
                handover.write::<Result<Rest, Failure>>(&[Ok(rest)])?;
                handover.write::<report::Leak>(leaks)?;
                survey.hand_over(handover)
            }
            Err(failure) => handover.write::<Result<Rest, Failure>>(&[Err(*failure)]),
        }
    }

    /// In the program: takes it out again.
    pub(super) fn take_over(handover: &Handover) -> Result<Analysis, Failure> {
        let mut lists = handover.lists();
        let head = lists.take::<Result<Rest, Failure>>()?;
        let Rest { counts, totals, harvest, doubts } =
            head.first().copied().unwrap_or(Err(Failure::Memory(Errno::new(libc::ENOSPC))))?;
        let leaks = lists.take()?;
        let survey = Survey::take_over(&mut lists)?;
        Ok(Analysis { leaks, counts, totals, harvest, doubts, survey })
    }

    fn enter(&mut self, heap: &HeapView, leak: &classify::Leak, withheld: bool) -> Result<(), Errno> {
        let (kind, total) = match leak.kind {
            Kind::Direct => (report::Kind::Direct, &mut self.counts.direct),
            Kind::Indirect => (report::Kind::Indirect, &mut self.counts.indirect),
            Kind::Possible => (report::Kind::Possible, &mut self.counts.possible),
        };
        total.add(leak.chunk.size);
        let direct = leak.kind == Kind::Direct;
        self.leaks.push(report::Leak {
            base: leak.chunk.base,
            size: leak.chunk.size,
            stack: leak.chunk.stack.0,
            kind,
            born: only::born(&leak.chunk),
            under: if direct { 0 } else { heap.chunk(leak.head).stack.0 },
            retained_bytes: if direct { leak.retained_bytes - leak.chunk.size } else { 0 },
            retained_objects: if direct { leak.retained_objects - 1 } else { 0 },
            withheld,
        })
    }
}

/// The call stacks of the depot, for the report.
pub(super) struct Depot;

impl report::Stacks for Depot {
    fn frames(&self, stack: u32, into: &mut [usize]) -> usize {
        trace::frames(StackId(stack), into)
    }
}

/// The modules that were ever loaded, for the report.
pub struct Remembered;

impl report::Modules for Remembered {
    fn for_each(&self, each: &mut dyn FnMut(&report::Module<'_>)) {
        // A check that needed no stop did without the list so far.
        hooks::update_modules();
        Known.for_each(each);
    }
}

/// Those that were entered so far; no lock of the loader's is taken.
pub struct Known;

impl report::Modules for Known {
    fn for_each(&self, each: &mut dyn FnMut(&report::Module<'_>)) {
        for module in trace::modules::all() {
            let (mut path, mut build_id) = ([0; trace::modules::PATH], [0; trace::modules::BUILD_ID]);
            let mut ranges = [AddrRange::new(Addr::NULL, Addr::NULL); trace::modules::EXECUTABLE];
            let mut count = 0;
            for (slot, range) in ranges.iter_mut().zip(module.executable()) {
                *slot = range;
                count += 1;
            }
            each(&report::Module {
                path: module.path(&mut path),
                build_id: module.build_id(&mut build_id),
                bias: module.bias(),
                image: module.range(),
                ranges: ranges.get(..count).unwrap_or_default(),
                loaded: module.is_loaded(),
            });
        }
    }
}

/// What the report says beside the leaks.
pub(super) fn remark(analysis: &Analysis, options: &Options, remarks: &mut Remarks) {
    let notes = &analysis.harvest;
    let (wanted, most) = (options.scan_threads as usize, stop::most_tasks());
    if wanted > most {
        remarks.note(format_args!(
            "scan_threads={wanted} is more than two for each CPU that can be used: not more than {most} tasks scan"
        ));
    }
    let doubts = &analysis.doubts;
    if doubts.vfork_parents > 0 {
        remarks.reason(format_args!(
            "{} thread(s) wait for a vfork child, and of their registers only the kernel knows: check when that has called exec",
            doubts.vfork_parents
        ));
    }
    if doubts.signals {
        remarks.reason(format_args!(
            "signals wait whose values could not be read, and one may be the only pointer to an object: check when they have \
             been delivered"
        ));
    }
    if doubts.unreadable > 0 {
        remarks.reason(format_args!(
            "{} bytes of reachable memory could not be read: pages that are broken, or that mprotect(2) has closed to a \
             process without its privileges; keep these, or call prctl(PR_SET_DUMPABLE, 1)",
            doubts.unreadable
        ));
    }
    if doubts.looked_short {
        remarks.reason(format_args!(
            "there was no time for the second look at pointers that the options want (pointer_mask, use_unaligned, \
             use_past_end, compressed_pointers, interior_possible): allow more by survey_deadline_ms"
        ));
    }
    if notes.lost_stacks > 0 {
        remarks.reason(format_args!(
            "the stacks of {} threads could not be found: they run on memory that is not both readable and writable. Map it \
             so, or register it as a root region",
            notes.lost_stacks
        ));
    }
    if notes.lost_tls > 0 {
        remarks.reason(format_args!(
            "the thread-local storage of {} threads could not be found: make threads by pthread_create, and check when none \
             is being made",
            notes.lost_tls
        ));
    }
    if notes.devices > 0 {
        remarks.note(format_args!(
            "{} writable mapping(s) of devices, {} bytes, were not read: what only they hold is called leaked. Register \
             such memory as a root region if it may be read (standstill_register_root_region)",
            notes.devices, notes.device_bytes
        ));
    }
    if let Some(errno) = notes.unlisted {
        remarks.reason(format_args!(
            "there is no /proc ({errno}): what is mapped was found by asking the kernel about all addresses, and what only the \
             kernel holds (epoll, timers) was not seen. Mount /proc where the program runs, before a chroot"
        ));
    }
    if notes.odd_lines > 0 {
        remarks.reason(format_args!(
            "{} lines of /proc/self/maps could not be understood: use a newer Standstill with this kernel",
            notes.odd_lines
        ));
    }
}
