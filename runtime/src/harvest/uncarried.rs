//! Memory that a forked copy of the process does not have as it is, saved before the fork.
//!
//! A fork leaves out what madvise(2) marked with MADV_DONTFORK, gives zeroes for MADV_WIPEONFORK, and shares what is
//! shared: the copy sees what the program writes later. Real programs have such memory (the heap of V8 is of the first
//! kind). So its words that may be pointers are noted while the world stands, with their addresses, and the copy puts
//! them back where they were: to every later stage the copy is the world as it stood.
//!
//! Which memory that is: shared mappings stand in the map. The marks stand in /proc/PID/smaps alone, which costs a walk
//! over every page; it is read only when the program is known to have marked something ([`note_advice`]), or to use
//! userfaultfd(2), whose memory must not be forked at all. The copy itself finds what was marked unseen, by a system call
//! that nobody interposes: there its map has a hole ([`is_whole`]), or memory of the copy's own.
//!
//! Contract: [`find`] and [`save`] run in the stopped world, [`is_whole`] in the copy.
//!
//! References: madvise(2); proc(5), VmFlags; userfaultfd(2).

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::base::{AddrRange, Errno};
use crate::heap::Provider;
use crate::mem::{MapVec, ReadMemory};
use crate::stop::snapshot::Saved;
use crate::sys::file::{self, Fd};

use super::collect::maps_and_ours;
use super::lines;
use super::maps;
use super::model::Harvest;

/// The program has marked memory with MADV_DONTFORK or MADV_WIPEONFORK at some time.
static ADVISED: AtomicBool = AtomicBool::new(false);

/// Called when the program marks memory so.
pub fn note_advice() {
    ADVISED.store(true, Relaxed);
}

/// True when it ever did.
pub fn was_advised() -> bool {
    ADVISED.load(Relaxed)
}

/// What a fork would not carry over.
pub struct Uncarried {
    /// By address, disjoint.
    pub ranges: MapVec<AddrRange>,
    /// Somebody else may fill pages here (userfaultfd): no fork.
    pub watched: bool,
}

/// Finds it. `smaps` is asked for only if it has to be read; it must be when it is there.
pub fn find(harvest: &Harvest, smaps: Option<Result<Fd, Errno>>) -> Result<Uncarried, Errno> {
    let mut found = Uncarried { ranges: MapVec::new(), watched: false };
    found.ranges.extend(&harvest.shared)?;
    let Some(smaps) = smaps else { return Ok(found) };
    let smaps = smaps?;
    let mut at = None;
    lines::for_each(
        |into| file::read(&smaps, into),
        |line| match line.strip_prefix(b"VmFlags:") {
            None => {
                at = maps::parse(line).map(|mapping| mapping.range).or(at);
                Ok(())
            }
            Some(flags) => {
                let has = |flag: &[u8]| flags.split(|byte| *byte == b' ').any(|word| word == flag);
                found.watched |= has(b"um") || has(b"uw");
                match at.filter(|_| has(b"dc") || has(b"wf")) {
                    Some(range) => found.ranges.push(range),
                    None => Ok(()),
                }
            }
        },
    )?;
    found.ranges.sort_unstable();
    Ok(found)
}

impl Uncarried {
    /// Bytes that would have to be read, and so the program stand still for.
    pub fn bytes(&self, harvest: &Harvest) -> usize {
        self.parts(harvest).map(AddrRange::len).sum()
    }

    fn parts<'a>(&'a self, harvest: &'a Harvest) -> impl Iterator<Item = AddrRange> + 'a {
        self.ranges.iter().flat_map(|range| harvest.resident.within(*range))
    }
}

/// Notes the words of that memory that lie between the lowest and the highest thing that a pointer can point to; `all`
/// words where pointers may be written in other ways, tagged or unaligned. `None` when some of it cannot be read: in the
/// copy its pages could be, and would hold nothing.
pub fn save(
    uncarried: &Uncarried,
    all: bool,
    harvest: &Harvest,
    provider: &impl Provider,
    memory: &impl ReadMemory,
) -> Result<Option<Saved>, Errno> {
    const WORD: usize = size_of::<usize>();
    let bounds = provider.bounds();
    let (first, last) = (harvest.nodes.first(), harvest.nodes.last());
    let low = first.map_or(bounds.start, |node| node.range.start.min(bounds.start)).get();
    // One more: the address behind an empty array with a cookie.
    let high = last.map_or(bounds.end, |node| node.range.end.max(bounds.end)).get() + WORD;
    let mut saved = Saved::nothing();
    let mut buffer = MapVec::new();
    buffer.resize(512, 0usize)?;
    // Also where nothing is in memory: the copy must not have a hole there.
    for range in uncarried.ranges.iter() {
        saved.add_range(*range)?;
    }
    for part in uncarried.parts(harvest) {
        let mut at = part.start;
        while at < part.end {
            let want = (AddrRange::new(at, part.end).len() / WORD).min(buffer.len());
            let into = buffer.get_mut(..want).unwrap_or_default();
            let got = memory.read_words(at, into).min(want);
            let is_wanted = |word: usize| word != 0 && (all || (low..high).contains(&word));
            for (index, word) in into.iter().take(got).enumerate().filter(|(_, word)| is_wanted(**word)) {
                saved.add_word(at.plus(index * WORD), *word)?;
            }
            if got < want {
                return Ok(None);
            }
            at = at.plus(got * WORD);
        }
    }
    Ok(Some(saved))
}

/// In the copy: true when everything that is going to be read is there. `maps` is the copy's own. What the copy itself
/// has mapped may lie where a hole was.
pub fn is_whole(harvest: &Harvest, provider: &impl Provider, maps: &Fd) -> Result<bool, Errno> {
    let (maps, ours) = maps_and_ours(maps)?;
    let is_there = |part: AddrRange| maps.mapped(part).eq([part]);
    let is_theirs = |part: AddrRange| is_there(part) && ours.left_of(part).eq([part]);
    let mut whole = harvest.roots.iter().all(|root| is_theirs(root.range));
    whole &= harvest.nodes.iter().all(|node| is_theirs(node.range));
    provider.ranges(&mut |range| whole &= is_theirs(range));
    provider.records(&mut |range| whole &= is_there(range));
    Ok(whole)
}
