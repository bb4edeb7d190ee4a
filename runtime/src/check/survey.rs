//! What the options want to know of objects that are no leaks, found in the stopped world.

use crate::base::text::parse_number;
use crate::base::{Addr, Errno};
use crate::explain::{Holder, Hop, Owners, Paths, frames, mappings, referrers};
use crate::harvest::Harvest;
use crate::heap::{Chunk, ChunkId, HeapView, Provider, Tag};
use crate::init::options::Options;
use crate::mem::{Lists, MapVec, ReadMemory, Tally, UpTo};
use crate::report;
use crate::report::Sentence;
use crate::report::mappings::Mappings;
use crate::report::resources::Resources;
use crate::report::survey::{Grown, Path, Place, Pointers, Reachable, Retained};
use crate::scan::{Bits, Marks};
use crate::stop::World;
use crate::stop::snapshot::{Handover, Head};
use crate::sys::file;
use crate::threads::mappings::Mapping;
use crate::threads::resources::{self, Kind, Resource};

use super::doubt::{doubts, forms};
use super::patience::Patience;

/// See [`report::Survey`].
#[derive(Default)]
pub(super) struct Survey {
    reachable: MapVec<Reachable>,
    paths: MapVec<Path>,
    hops: MapVec<Hop>,
    referrers: MapVec<Hop>,
    places: MapVec<Place>,
    retained: MapVec<Retained>,
    grown: MapVec<Grown>,
    since: u32,
    resources: MapVec<Resources>,
    mappings: MapVec<Mappings>,
    /// Why something is missing; empty when nothing is.
    short: Sentence,
}

/// Of which objects the option `explain` wants the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// The one that contains an address.
    Address(Addr),
    /// Those of this size: one of each call stack.
    Size(usize),
    /// One of each call stack. A pattern is such a wish as well: names are known only where symbols are.
    Each,
}

impl Wanted {
    fn read(text: &str) -> Option<Wanted> {
        match text {
            "" => None,
            _ => Some(match (text.strip_prefix("0x"), parse_number(text)) {
                (Some(_), Some(address)) => Wanted::Address(Addr::new(address as usize)),
                (None, Some(size)) => Wanted::Size(size as usize),
                _ => Wanted::Each,
            }),
        }
    }

    fn is(&self, chunk: &Chunk) -> bool {
        match self {
            Wanted::Address(address) => chunk.range().contains(*address) || chunk.base == *address,
            Wanted::Size(size) => chunk.size == *size,
            Wanted::Each => true,
        }
    }
}

/// Makes it, as far as the options want it and the time allows: a part that it ends in is left out, since half of one would
/// say of what was not reached that nothing holds it; and so are those after it. Of explained objects those stay that were done.
#[allow(clippy::too_many_arguments)]
pub(super) fn make(
    world: &World,
    heap: &HeapView,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    marks: &Marks,
    mapped: &[Mapping],
    options: &Options,
    patience: Patience,
) -> Result<Survey, Errno> {
    let memory = &UpTo::new(memory, patience.survey());
    let mut survey = Survey::default();
    if let Some(wanted) = Wanted::read(options.explain.as_str()) {
        let objects = survey.add_paths(heap, memory, harvest, &wanted, options)?;
        if memory.passed() {
            let none = survey.paths.is_empty();
            let what =
                if none { "why objects are alive (explain)" } else { "why more objects are alive (explain)" };
            survey.cut_short(what, options);
        } else if options.explain_referrers > 0 {
            survey.add_referrers(heap, memory, harvest, &objects, options)?;
            if memory.passed() {
                survey.forget_referrers();
                survey.cut_short("who points to objects (explain_referrers)", options);
            }
        }
        frames::name(world, &mut survey.hops);
        frames::name(world, &mut survey.referrers);
    }
    if options.report_reachable || options.report_retained > 0 {
        let owners = Owners::new(heap, memory, harvest, options.report_retained > 0)?;
        if memory.passed() {
            survey
                .cut_short("what is reachable, and from where (report_reachable, report_retained)", options);
        } else {
            if options.report_reachable {
                survey.add_reachable(heap, marks, &owners)?;
            }
            if options.report_retained > 0 {
                survey.add_retained(heap, marks, &owners)?;
            }
        }
    }
    if !mapped.is_empty() {
        survey.add_mappings(heap, memory, harvest, marks, mapped, options)?;
        if memory.passed() {
            survey.mappings.clear();
            survey.cut_short("mappings that nothing holds (report_mappings)", options);
        }
    }
    Ok(survey)
}

impl Survey {
    /// There was no time for `what`; of several parts the first is named.
    fn cut_short(&mut self, what: &str, options: &Options) {
        if self.short.as_str().is_empty() {
            let allowed = options.survey_deadline_ms;
            self.short = Sentence::of(format_args!(
                "the survey was cut short: there was no time for {what}, nor for what follows it; the verdict on leaks holds. \
                 survey_deadline_ms={allowed} can be made longer"
            ));
        }
    }

    /// Leaves out what does not fit into so many bytes, the longest-winded first, and says so: root words are as many as the
    /// program pleases, and whose chains are asked for too.
    pub(super) fn fit(&mut self, room: usize) {
        type Part = (&'static str, fn(&mut Survey));
        let leave_out: [Part; 4] = [
            ("what roots retain (report_retained)", Survey::forget_retained),
            ("who points to objects (explain_referrers)", Survey::forget_referrers),
            ("why objects are alive (explain)", Survey::forget_paths),
            ("what is reachable, and which mappings nothing holds", Survey::forget_groups),
        ];
        for (what, forget) in leave_out {
            let needed = self.needed();
            if needed <= room {
                return;
            }
            forget(self);
            if self.needed() < needed && self.short.as_str().is_empty() {
                self.short = Sentence::of(format_args!(
                    "the survey was cut short: {what} takes more than a snapshot can hand over, {} MiB; the verdict on leaks \
                     holds. snapshot=0 does without a snapshot, the program standing still",
                    room >> 20
                ));
            }
        }
    }

    /// Bytes that it takes in a handover.
    fn needed(&self) -> usize {
        Handover::needed::<Reachable>(self.reachable.len())
            + Handover::needed::<Path>(self.paths.len())
            + Handover::needed::<Hop>(self.hops.len())
            + Handover::needed::<Hop>(self.referrers.len())
            + Handover::needed::<Place>(self.places.len())
            + Handover::needed::<Retained>(self.retained.len())
            + Handover::needed::<Mappings>(self.mappings.len())
            + Handover::needed::<Sentence>(1)
    }

    fn forget_retained(&mut self) {
        self.places.clear();
        self.retained.clear();
    }

    fn forget_groups(&mut self) {
        self.reachable.clear();
        self.mappings.clear();
    }

    fn forget_paths(&mut self) {
        self.paths.clear();
        self.hops.clear();
    }

    fn forget_referrers(&mut self) {
        self.referrers.clear();
        self.paths.iter_mut().for_each(|path| path.pointers = None);
    }

    /// From a snapshot; see [`super::analysis::Analysis::hand_over`].
    pub(super) fn hand_over(&self, handover: &Handover) -> Result<(), Errno> {
        // What grew is told of checks in place only, what was not given back is found afterwards.
        let Survey { reachable, paths, hops, referrers, places, retained, mappings, short, .. } = self;
        handover.write::<Reachable>(reachable)?;
        handover.write::<Path>(paths)?;
        handover.write::<Hop>(hops)?;
        handover.write::<Hop>(referrers)?;
        handover.write::<Place>(places)?;
        handover.write::<Retained>(retained)?;
        handover.write::<Mappings>(mappings)?;
        handover.write::<Sentence>(&[*short])
    }

    /// In the program.
    pub(super) fn take_over(lists: &mut Lists<'_, Head>) -> Result<Survey, Errno> {
        let (reachable, paths, hops, referrers) =
            (lists.take()?, lists.take()?, lists.take()?, lists.take()?);
        let (places, retained, mappings) = (lists.take()?, lists.take()?, lists.take()?);
        let short = lists.take::<Sentence>()?.first().copied().unwrap_or_default();
        let survey =
            Survey { reachable, paths, hops, referrers, places, retained, mappings, ..Survey::default() };
        Ok(Survey { short, ..survey })
    }

    /// For the report.
    pub(super) fn view<'a>(&'a self, options: &'a Options) -> report::Survey<'a> {
        report::Survey {
            reachable: &self.reachable,
            wanted: options.explain.as_str(),
            paths: &self.paths,
            hops: &self.hops,
            referrers: &self.referrers,
            places: &self.places,
            retained: &self.retained,
            grown: &self.grown,
            since: self.since,
            resources: &self.resources,
            mappings: &self.mappings,
            short: self.short.as_str(),
        }
    }

    /// What grew since a baseline.
    pub(super) fn add_grown(&mut self, since: u32, grown: MapVec<Grown>) {
        (self.since, self.grown) = (since, grown);
    }

    /// Mappings that nothing holds.
    fn add_mappings(
        &mut self,
        heap: &HeapView,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        marks: &Marks,
        known: &[Mapping],
        options: &Options,
    ) -> Result<(), Errno> {
        let unheld = mappings::unheld(heap, memory, harvest, marks, known, forms(options))?;
        self.mappings = Mappings::group(&unheld)?;
        Ok(())
    }

    /// What was not given back by now, the world running. Without memory nothing is told.
    pub(super) fn add_resources(&mut self) {
        if Kind::ALL.into_iter().any(resources::are_kept)
            && let Ok(all) = resources::all()
        {
            // Not every call that closes one is seen.
            let is_there = |one: &Resource| one.kind != Kind::Descriptor || file::is_open(one.key as i32);
            self.resources = Resources::group(&all, is_there).unwrap_or_default();
        }
    }

    fn add_reachable(&mut self, heap: &HeapView, marks: &Marks, owners: &Owners) -> Result<(), Errno> {
        let (mut tally, mut full) = (Tally::new(), Ok(()));
        heap.for_each(&mut |id, chunk| {
            if full.is_ok() && chunk.tag == Tag::Allocated && marks.strong(id) {
                let entry = owners.first(id).and_then(|first| owners.entries.get(first as usize));
                let root = entry.map_or(Holder::Kept, |entry| entry.holder);
                let rank = Holder::ALL.iter().position(|holder| *holder == root).unwrap_or(0);
                full = tally.add((chunk.stack.0, rank), chunk.size);
            }
        });
        full?;
        for sum in tally.sums().iter() {
            let (stack, rank) = sum.key;
            let root = Holder::ALL.get(rank).copied().unwrap_or(Holder::Kept);
            self.reachable.push(Reachable { stack, root, objects: sum.objects, bytes: sum.bytes })?;
        }
        self.reachable.sort_unstable_by_key(|group| (core::cmp::Reverse(group.bytes), group.stack));
        Ok(())
    }

    fn add_retained(&mut self, heap: &HeapView, marks: &Marks, owners: &Owners) -> Result<(), Errno> {
        let (mut tally, mut full) = (Tally::new(), Ok(()));
        heap.for_each(&mut |id, chunk| {
            if full.is_ok()
                && marks.strong(id)
                && let Some(between) = owners.between(id)
            {
                full = tally.add(between, chunk.size);
            }
        });
        full?;
        for sum in tally.sums().iter() {
            let ((first, last), objects, bytes) = (sum.key, sum.objects, sum.bytes);
            self.retained.push(Retained { first, last, objects, bytes })?;
        }
        for entry in owners.entries.iter() {
            self.places.push(Place { holder: entry.holder, tid: entry.tid, at: entry.at })?;
        }
        Ok(())
    }

    /// The objects that are wanted, one for each path. When the time is up those whose chain is whole stay.
    fn add_paths(
        &mut self,
        heap: &HeapView,
        memory: &UpTo<'_, impl ReadMemory>,
        harvest: &Harvest,
        wanted: &Wanted,
        options: &Options,
    ) -> Result<MapVec<ChunkId>, Errno> {
        let paths = Paths::new(heap, memory, harvest, doubts(options))?;
        let mut last_stack = 0;
        heap.for_each(&mut |_, chunk| last_stack = last_stack.max(chunk.stack.0));
        let mut told = Bits::new(last_stack as usize + 1)?;
        let (mut objects, mut full) = (MapVec::new(), Ok(()));
        heap.for_each(&mut |id, chunk| {
            if full.is_ok() && !memory.passed() && wanted.is(&chunk) && told.insert(chunk.stack.0 as usize) {
                let first = self.hops.len();
                full = paths.chain(heap, memory, harvest, id, &mut self.hops).and_then(|()| {
                    if memory.passed() {
                        self.hops.truncate(first);
                        return Ok(());
                    }
                    let hops = self.hops.len() - first;
                    let (object, size, stack) = (chunk.base, chunk.size, chunk.stack.0);
                    objects.push(id)?;
                    self.paths.push(Path { object, size, stack, first, hops, pointers: None })
                });
            }
        });
        full.map(|()| objects)
    }

    /// Who points to the objects of the paths.
    fn add_referrers(
        &mut self,
        heap: &HeapView,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        objects: &[ChunkId],
        options: &Options,
    ) -> Result<(), Errno> {
        let (forms, limit) = (forms(options), options.explain_referrers as usize);
        // Ids are found again in a sorted list; an index tells which path they are of.
        let (mut sorted, mut wanted) = (MapVec::new(), MapVec::new());
        for (index, id) in objects.iter().enumerate() {
            sorted.push((*id, index))?;
        }
        sorted.sort_unstable();
        for (id, _) in sorted.iter() {
            wanted.push(*id)?;
        }
        let mut words = MapVec::<(usize, usize, Hop)>::new();
        let counts =
            referrers::find_each(heap, memory, harvest, forms, &wanted, limit, &mut |index, hop| {
                words.push((index, words.len(), hop))
            })?;
        words.sort_unstable_by_key(|(index, order, _)| (*index, *order));
        for (index, ((_, path), count)) in sorted.iter().zip(counts.iter()).enumerate() {
            let first = self.referrers.len();
            let start = words.partition_point(|(of, ..)| *of < index);
            for (.., hop) in words.iter().skip(start).take_while(|(of, ..)| *of == index) {
                self.referrers.push(*hop)?;
            }
            if let Some(path) = self.paths.get_mut(*path) {
                let told = self.referrers.len() - first;
                path.pointers = Some(Pointers { count: *count, first, told });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A survey of each kind, with so many root words.
    fn survey(places: usize) -> Survey {
        let mut survey = Survey::default();
        let place = Place { holder: Holder::Kept, tid: 0, at: Addr::new(8) };
        survey.places.resize(places, place).unwrap();
        survey.retained.push(Retained { first: 0, last: 1, objects: 1, bytes: 2 }).unwrap();
        survey.reachable.push(Reachable { stack: 1, root: Holder::Kept, objects: 1, bytes: 2 }).unwrap();
        let pointers = Some(Pointers { count: 0, first: 0, told: 0 });
        let path = Path { object: Addr::new(8), size: 8, stack: 1, first: 0, hops: 0, pointers };
        survey.paths.push(path).unwrap();
        survey
    }

    #[test]
    fn what_a_snapshot_cannot_hand_over_is_left_out_and_named_and_the_rest_comes_home() {
        for (places, fits) in [(10, true), (1000, false)] {
            let handover = Handover::new(8000).unwrap();
            let mut survey = survey(places);
            survey.fit(handover.left());
            assert_eq!(survey.places.is_empty(), !fits);
            survey.hand_over(&handover).unwrap();
            let home = Survey::take_over(&mut handover.lists()).unwrap();
            assert_eq!(home.places.len(), if fits { places } else { 0 });
            assert_eq!((home.reachable.len(), home.paths.len()), (1, 1));
            assert_eq!(home.short.as_str().contains("report_retained"), !fits, "{}", home.short.as_str());
            assert_eq!(home.short.as_str().is_empty(), fits);
        }
        // Hardly anything fits.
        let mut survey = survey(10);
        survey.fit(0);
        assert!(survey.reachable.is_empty() && survey.paths.is_empty() && survey.places.is_empty());
        assert!(survey.short.as_str().contains("report_retained"));
    }

    #[test]
    fn an_address_a_size_or_a_pattern() {
        assert_eq!(Wanted::read(""), None);
        assert_eq!(Wanted::read("0x7f00"), Some(Wanted::Address(Addr::new(0x7f00))));
        assert_eq!(Wanted::read("48"), Some(Wanted::Size(48)));
        assert_eq!(Wanted::read("make_node"), Some(Wanted::Each));
    }
}
