//! What a check tells of objects that are no leaks: which are reachable and from where, why single ones are alive, who
//! points to them, what each root holds alone. Plain data and its text; made only when an option asks for it.

use crate::base::Addr;
use crate::base::Errno;
use crate::explain::{Holder, Hop};
use crate::harvest::Strength;
use crate::mem::MapVec;

use super::mappings::Mappings;
use super::resources::Resources;
use super::sink::{Sink, write_to};
use super::text::StackText;

macro_rules! say {
    ($out:expr, $($format:tt)*) => { write_to($out, format_args!($($format)*)) };
}

/// Reachable chunks of one call stack whose first root is of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reachable {
    /// Who allocated them.
    pub stack: u32,
    /// The kind of the first root that reaches them.
    pub root: Holder,
    /// How many.
    pub objects: usize,
    /// The sum of their sizes.
    pub bytes: usize,
}

/// Why one object is alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Where it begins.
    pub object: Addr,
    /// Bytes asked for.
    pub size: usize,
    /// Who allocated it.
    pub stack: u32,
    /// Where its hops begin in the list of all hops, from the root on.
    pub first: usize,
    /// How many they are; 0: nothing holds it.
    pub hops: usize,
    /// Who points to it; `None` where that was not asked.
    pub pointers: Option<Pointers>,
}

/// The words that point to one object, itself left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pointers {
    /// How many there are.
    pub count: usize,
    /// Where those that are told begin in the list of all referrers.
    pub first: usize,
    /// How many are told.
    pub told: usize,
}

/// A root word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// What it is.
    pub holder: Holder,
    /// Whose; 0 where it belongs to no thread.
    pub tid: i32,
    /// Where it lies; null for a register or a word that the kernel keeps.
    pub at: Addr,
}

/// Chunks that are reached by the root words from one place to another and by no word outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retained {
    /// The first of the words, as an index into the places.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// How many chunks.
    pub objects: usize,
    /// The sum of their sizes.
    pub bytes: usize,
}

/// Call stacks of which more is alive than at a baseline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grown {
    /// Who allocated.
    pub stack: u32,
    /// How many objects more.
    pub objects: isize,
    /// How many bytes more.
    pub bytes: isize,
    /// How many objects there are now.
    pub now_objects: usize,
    /// The sum of their sizes.
    pub now_bytes: usize,
}

/// See the module.
#[derive(Clone, Copy, Default)]
pub struct Survey<'a> {
    /// By bytes, most first.
    pub reachable: &'a [Reachable],
    /// Which paths were asked for: the option `explain`.
    pub wanted: &'a str,
    /// In the order of the heap.
    pub paths: &'a [Path],
    /// Of all paths.
    pub hops: &'a [Hop],
    /// Words that point to the objects of paths.
    pub referrers: &'a [Hop],
    /// In the order of [`crate::explain::Owners`].
    pub places: &'a [Place],
    /// Sums, by first and last place.
    pub retained: &'a [Retained],
    /// By bytes, most first.
    pub grown: &'a [Grown],
    /// The baseline since which they grew.
    pub since: u32,
    /// What was not given back.
    pub resources: &'a [Resources],
    /// Mappings that nothing holds.
    pub mappings: &'a [Mappings],
    /// Why something that was asked for is missing: a sentence; empty when nothing is.
    pub short: &'a str,
}

impl Survey<'_> {
    /// True when there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.reachable.is_empty()
            && self.paths.is_empty()
            && self.places.is_empty()
            && self.grown.is_empty()
            && self.resources.is_empty()
            && self.mappings.is_empty()
            && self.short.is_empty()
    }
}

/// What belongs to one name, and what it holds alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The first of its places.
    pub place: Place,
    /// How many chunks.
    pub objects: usize,
    /// The sum of their sizes.
    pub bytes: usize,
}

/// What the places that belong together hold alone, most bytes first, and what only several of them together hold:
/// objects and bytes. Neighbours belong together when `same` says so.
pub fn rows(
    survey: &Survey<'_>,
    same: &mut dyn FnMut(&Place, &Place) -> bool,
) -> Result<(MapVec<Row>, (usize, usize)), Errno> {
    let (mut rows, mut row_of) = (MapVec::<Row>::new(), MapVec::<u32>::new());
    for (index, place) in survey.places.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| survey.places.get(before));
        if !before.is_some_and(|before| same(before, place)) {
            rows.push(Row { place: *place, objects: 0, bytes: 0 })?;
        }
        row_of.push(rows.len() as u32 - 1)?;
    }
    let mut shared = (0, 0);
    for sum in survey.retained {
        let row = |place: u32| row_of.get(place as usize).copied();
        match row(sum.first)
            .filter(|first| row(sum.last) == Some(*first))
            .and_then(|at| rows.get_mut(at as usize))
        {
            Some(row) => {
                row.objects += sum.objects;
                row.bytes += sum.bytes;
            }
            None => shared = (shared.0 + sum.objects, shared.1 + sum.bytes),
        }
    }
    rows.sort_unstable_by_key(|row: &Row| (core::cmp::Reverse(row.bytes), row.place.at, row.place.tid));
    Ok((rows, shared))
}

/// How much of a survey to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Groups of reachable objects at most; 0 all.
    pub reachable: usize,
    /// Roots with what they retain at most.
    pub retained: usize,
}

/// Prints all that there is.
pub fn render(survey: &Survey<'_>, extent: Extent, names: &dyn StackText, out: &mut dyn Sink) {
    reachable(survey, extent, names, out);
    grown(survey, extent, names, out);
    for path in survey.paths {
        let hops = survey.hops.get(path.first..path.first + path.hops).unwrap_or_default();
        one_path(path, hops, names, out);
        if let Some(pointers) = &path.pointers {
            let end = pointers.first.saturating_add(pointers.told);
            let words = survey.referrers.get(pointers.first..end).unwrap_or_default();
            pointed_to(path, pointers.count, words, names, out);
        }
        out.bytes(b"\n");
    }
    super::mappings::render(survey.mappings, names, out);
    super::resources::render(survey.resources, names, out);
    if extent.retained > 0 && !survey.places.is_empty() {
        retained(survey, extent.retained, names, out);
    }
    if !survey.short.is_empty() {
        say!(out, "Standstill: {}\n\n", survey.short);
    }
}

fn reachable(survey: &Survey<'_>, extent: Extent, names: &dyn StackText, out: &mut dyn Sink) {
    let shown = if extent.reachable == 0 { usize::MAX } else { extent.reachable };
    for group in survey.reachable.iter().take(shown) {
        let Reachable { stack, root, objects, bytes } = *group;
        say!(out, "Still reachable: {bytes} byte(s) in {objects} object(s) allocated from:\n");
        names.print(stack, out);
        say!(out, "  first held by {}\n\n", root.phrase());
    }
    let more = survey.reachable.len().saturating_sub(shown);
    if more > 0 {
        say!(out, "Omitting {more} more group(s) of reachable objects.\n\n");
    }
}

fn grown(survey: &Survey<'_>, extent: Extent, names: &dyn StackText, out: &mut dyn Sink) {
    let shown = if extent.reachable == 0 { usize::MAX } else { extent.reachable };
    for group in survey.grown.iter().take(shown) {
        let Grown { stack, objects, bytes, now_objects, now_bytes } = *group;
        say!(out, "Grew by {bytes} byte(s) in {objects} object(s) since baseline {},", survey.since);
        say!(out, " now {now_bytes} in {now_objects}, allocated from:\n");
        names.print(stack, out);
        out.bytes(b"\n");
    }
    let more = survey.grown.len().saturating_sub(shown);
    if more > 0 {
        say!(out, "Omitting {more} more group(s) that grew.\n\n");
    }
}

fn one_path(path: &Path, hops: &[Hop], names: &dyn StackText, out: &mut dyn Sink) {
    let Path { object, size, stack, .. } = *path;
    let state = if hops.is_empty() { "Lost" } else { "Alive" };
    say!(out, "{state}: {size} byte(s) at {object:#x} allocated from:\n");
    names.print(stack, out);
    if hops.is_empty() {
        out.bytes(b"  nothing holds it: a leak\n");
        return;
    }
    out.bytes(b"  held by\n");
    for hop in hops {
        one_hop(hop, names, out);
    }
    let inside = hops.last().map_or(0, |hop| hop.word.wrapping_sub(object.get()));
    say!(out, "    -> the object");
    if inside > 0 && inside <= size {
        say!(out, ", at offset {inside}");
    }
    out.bytes(b"\n");
}

/// Who points to an object: `words`, and how many there are with those that are not told.
fn pointed_to(path: &Path, count: usize, words: &[Hop], names: &dyn StackText, out: &mut dyn Sink) {
    if count == 0 {
        return out.bytes(b"  no word points to it\n");
    }
    say!(out, "  pointed to by {count} word(s)\n");
    for hop in words {
        one_word(hop, names, out);
        let inside = hop.word.wrapping_sub(path.object.get());
        if inside > 0 && inside <= path.size {
            say!(out, ", to offset {inside}");
        }
        out.bytes(b"\n");
    }
    let more = count.saturating_sub(words.len());
    if more > 0 {
        say!(out, "    and {more} more\n");
    }
}

/// Before what is in doubt.
fn perhaps(hop: &Hop) -> &'static str {
    if hop.strength == Strength::Weak { "possibly " } else { "" }
}

fn one_word(hop: &Hop, names: &dyn StackText, out: &mut dyn Sink) {
    let (offset, len) = (hop.offset(), hop.range.len());
    match hop.holder {
        Holder::Chunk => {
            say!(out, "    {}{len} byte(s) at {:#x}, in offset {offset}", perhaps(hop), hop.range.start);
            names.allocated(hop.stack.0, out);
        }
        Holder::Mapping | Holder::UnreachedMapping => {
            say!(
                out,
                "    {}{} at {:#x}, in offset {offset}",
                perhaps(hop),
                hop.holder.phrase(),
                hop.range.start
            );
        }
        _ => root_word(hop, names, out),
    }
}

fn root_word(hop: &Hop, names: &dyn StackText, out: &mut dyn Sink) {
    say!(out, "    {}", perhaps(hop));
    names.place(&Place { holder: hop.holder, tid: hop.tid, at: hop.at }, out);
    if hop.pc != 0 {
        names.frame(hop.pc, out);
    }
}

fn one_hop(hop: &Hop, names: &dyn StackText, out: &mut dyn Sink) {
    let (offset, len) = (hop.offset(), hop.range.len());
    match hop.holder {
        Holder::Skipped => say!(out, "    -> {} more steps", hop.times),
        Holder::Chunk => {
            say!(out, "    -> {}{len} byte(s) at {:#x}, in offset {offset}", perhaps(hop), hop.range.start);
            names.allocated(hop.stack.0, out);
            if hop.times > 1 {
                say!(out, ", the first of a list of {}", hop.times);
            }
        }
        Holder::Mapping => {
            say!(out, "    -> {}a mapping at {:#x}, in offset {offset}", perhaps(hop), hop.range.start);
        }
        Holder::UnreachedMapping => {
            say!(out, "    possibly {} at {:#x}, in offset {offset}", hop.holder.phrase(), hop.range.start);
        }
        _ => root_word(hop, names, out),
    }
    out.bytes(b"\n");
}

fn retained(survey: &Survey<'_>, shown: usize, names: &dyn StackText, out: &mut dyn Sink) {
    let Ok((rows, shared)) = rows(survey, &mut |a, b| names.same_place(a, b)) else {
        return out.bytes(b"no memory to add up what roots retain\n");
    };
    out.bytes(b"Retained by roots (what would be lost without the root):\n       bytes    objects root\n");
    let holding = || rows.iter().filter(|row| row.objects > 0);
    for row in holding().take(shown) {
        say!(out, "{:12} {:10} ", row.bytes, row.objects);
        names.whole(&row.place, out);
        out.bytes(b"\n");
    }
    let rest = holding().skip(shown).fold((0, 0, 0), |s, row| (s.0 + 1, s.1 + row.objects, s.2 + row.bytes));
    if rest.0 > 0 {
        say!(out, "{:12} {:10} {} more roots, each alone\n", rest.2, rest.1, rest.0);
    }
    say!(out, "{:12} {:10} several roots together\n\n", shared.1, shared.0);
}
