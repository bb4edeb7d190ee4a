//! Finding out which pages hold something.
//!
//! Sources in the order of their worth: PAGEMAP_SCAN (one call for thousands of pages), /proc/PID/pagemap (8 bytes a
//! page), mincore(2) (knows no swap). With none of them every readable mapping without a file is read whole.
//!
//! Of files that are memory ([`Mapping::in_memory`]) the page table tells nothing, and the page cache is asked, by
//! mincore(2): the child of a fork has not one entry of what it inherited.
//!
//! Contract: system calls, no reads of the memory itself. Runs in the stopped world after the map was read.

use crate::arch::{USER_END, page_size};
use crate::base::{Addr, AddrRange, Errno};
use crate::mem::{MapVec, own};
use crate::sys::file::Fd;
use crate::sys::memory;
use crate::sys::pagemap::{self, PageEntry, PageRegion, category};

use super::globals::Headers;
use super::maps::{Backing, Mapping, Maps};
use super::resident::Resident;

/// Pages that hold something.
pub struct Presence {
    /// What may be read: memory of the program's own, and present pages of shared writable mappings.
    pub readable: Resident,
    /// Present pages of files: reading them waits for nobody.
    pub file: Resident,
    /// Why the best source could not be used.
    pub why_not_scan: Option<Errno>,
}

/// A range of which nobody asks what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Granted {
    /// All of it, whole mappings.
    pub(super) all: AddrRange,
    /// Pages of it, which are there.
    pub(super) present: AddrRange,
}

/// Regions asked for in one call; and where few are expected: what fits in a page, which costs no mapping.
const REGIONS: usize = 1024;
const FEW_REGIONS: usize = 4096 / size_of::<PageRegion>();
/// Pages asked for in one call.
const PAGES: usize = 4096;
/// Bytes of files that are memory of which the page cache is asked, a page some tens of nanoseconds, while the program stands
/// still. A collector may reserve terabytes of such a file; of the rest the page table tells.
const MOST_ASKED: usize = 4 << 30;

/// Asks the best source that answers.
pub fn find(maps: &Maps, pagemap: Result<Fd, Errno>) -> Result<Presence, Errno> {
    find_but(maps, pagemap, &[])
}

/// As [`find`], taking for granted what is there of some ranges, where that spares asking.
pub(super) fn find_but(
    maps: &Maps,
    pagemap: Result<Fd, Errno>,
    granted: &[Granted],
) -> Result<Presence, Errno> {
    let mut presence =
        Presence { readable: Resident::nothing(), file: Resident::nothing(), why_not_scan: None };
    let why = match &pagemap {
        Ok(pagemap) => match by_scan(maps, pagemap, granted, &mut presence) {
            Ok(()) => {
                if pagemap::tells_guards() {
                    presence.readable.say_without_guards();
                }
                return with_memory_files(maps, presence);
            }
            Err(errno) => {
                presence = fresh(errno);
                match by_entries(maps, pagemap, &mut presence) {
                    Ok(()) => return with_memory_files(maps, presence),
                    Err(_) => errno,
                }
            }
        },
        Err(errno) => *errno,
    };
    presence = fresh(why);
    by_core(maps, &mut presence)?;
    Ok(presence)
}

/// As [`find`], but no more than what a forked copy of the process could not find out by itself: the pages of files that
/// begin modules, if their `headers` are not known yet, and of shared memory. The rest costs as long as a fork where much
/// is in memory.
pub(super) fn find_early(
    maps: &Maps,
    headers: &Headers,
    pagemap: Result<Fd, Errno>,
) -> Result<Presence, Errno> {
    let mut presence =
        Presence { readable: Resident::nothing(), file: Resident::nothing(), why_not_scan: None };
    let mut early = maps.all().iter().filter_map(|mapping| match mapping.backing {
        Backing::File if mapping.is_shared_memory() => Some(mapping.range),
        Backing::File if !mapping.shared && mapping.offset == 0 && !headers.has(mapping) => {
            Some(AddrRange::sized(mapping.range.start, page_size()))
        }
        _ => None,
    });
    let mut regions = room(FEW_REGIONS)?;
    match &pagemap {
        Ok(file) if early.all(|range| scan(maps, file, range, &mut regions, &mut presence).is_ok()) => {
            with_memory_files(maps, presence)
        }
        _ => find(maps, pagemap),
    }
}

fn fresh(errno: Errno) -> Presence {
    Presence { readable: Resident::nothing(), file: Resident::nothing(), why_not_scan: Some(errno) }
}

fn by_scan(maps: &Maps, pagemap: &Fd, granted: &[Granted], presence: &mut Presence) -> Result<(), Errno> {
    let mut regions = room(REGIONS)?;
    let mut at = Addr::NULL;
    for one in granted {
        scan(maps, pagemap, AddrRange::new(at, one.all.start), &mut regions, presence)?;
        presence.readable.push(one.present)?;
        at = one.all.end;
    }
    let rest = AddrRange::new(at, Addr::new(USER_END - page_size()));
    scan(maps, pagemap, rest, &mut regions, presence)
}

fn room(len: usize) -> Result<MapVec<PageRegion>, Errno> {
    let mut regions = MapVec::new();
    regions.resize(len, PageRegion::default())?;
    Ok(regions)
}

fn scan(
    maps: &Maps,
    pagemap: &Fd,
    range: AddrRange,
    regions: &mut [PageRegion],
    presence: &mut Presence,
) -> Result<(), Errno> {
    let AddrRange { start: mut at, end } = range;
    while at < end {
        let got = pagemap::scan(pagemap, AddrRange::new(at, end), regions)?;
        for region in regions.iter().take(got) {
            let range = AddrRange::new(Addr::new(region.start as usize), Addr::new(region.end as usize));
            add(maps, presence, range, region.categories & category::FILE != 0)?;
            at = at.max(range.end);
        }
        if got < regions.len() {
            return Ok(());
        }
    }
    Ok(())
}

fn by_entries(maps: &Maps, pagemap: &Fd, presence: &mut Presence) -> Result<(), Errno> {
    let mut entries = MapVec::<PageEntry>::new();
    entries.resize(PAGES, PageEntry::default())?;
    for mapping in maps.all().iter().filter(|mapping| has_pages(mapping)) {
        let mut at = mapping.range.start;
        while at < mapping.range.end {
            let want = (AddrRange::new(at, mapping.range.end).len() / page_size()).min(PAGES);
            let Some(into) = entries.get_mut(..want) else { break };
            let got = pagemap::entries(pagemap, at, into)?.min(want);
            if got == 0 {
                break;
            }
            for entry in into.iter().take(got) {
                if entry.holds_something() {
                    add(maps, presence, AddrRange::sized(at, page_size()), entry.is_file())?;
                }
                at = at.plus(page_size());
            }
        }
    }
    Ok(())
}

fn by_core(maps: &Maps, presence: &mut Presence) -> Result<(), Errno> {
    // A page that is not in core may be in swap; then it must be read, and one that was never touched with it.
    let all = maps.is_listed && pagemap::may_be_swapped();
    let mut core = MapVec::<u8>::new();
    core.resize(PAGES, 0)?;
    for mapping in maps.all().iter().filter(|mapping| has_pages(mapping)) {
        let own = mapping.is_anonymous() || mapping.backing == Backing::MainStack;
        let mut at = mapping.range.start;
        while at < mapping.range.end {
            let piece = AddrRange::new(at, at.plus(PAGES * page_size()).min(mapping.range.end));
            let known = pagemap::in_core(piece, &mut core).is_ok();
            for page in core.iter().take(piece.len() / page_size()) {
                // Of what is no file, as devices may be, and of others' files mincore says that all is there.
                let is_there =
                    page & 1 != 0 && (maps.is_listed || known && memory::read_own(at, &mut [0; 1]) == Ok(1));
                if is_there || own && (all || !known && maps.is_listed) {
                    // mincore does not tell pages of a file from the private copies that the program wrote.
                    let range = AddrRange::sized(at, page_size());
                    add(maps, presence, range, mapping.shared)?;
                    if mapping.backing == Backing::File && !mapping.shared {
                        presence.file.push(range)?;
                    }
                }
                at = at.plus(page_size());
            }
            at = piece.end;
        }
    }
    // A guard is not in core (mm/mincore.c, pte_none_mostly).
    if !all {
        presence.readable.say_without_guards();
    }
    Ok(())
}

/// With what the page cache holds of files that are memory.
fn with_memory_files(maps: &Maps, mut presence: Presence) -> Result<Presence, Errno> {
    let mut found = Resident::nothing();
    // What is ours is never read, and where a snapshot puts its results is large.
    let is_own =
        |mapping: &Mapping| own::ranges().any(|range| range.intersect(mapping.range) == mapping.range);
    in_page_cache(maps.all().iter().filter(|mapping| mapping.in_memory && !is_own(mapping)), &mut found)?;
    if !found.extents().is_empty() {
        presence.readable = presence.readable.joined(found.extents())?;
    }
    Ok(presence)
}

/// A page that is not in the cache is left alone, also where it may be in swap: to read a hole makes the kernel fill it.
fn in_page_cache<'m>(mappings: impl Iterator<Item = &'m Mapping>, into: &mut Resident) -> Result<(), Errno> {
    let mut core = MapVec::<u8>::new();
    let mut left = MOST_ASKED;
    for mapping in mappings {
        core.resize(PAGES, 0)?;
        let mut at = mapping.range.start;
        while at < mapping.range.end && left > 0 {
            let piece = AddrRange::new(at, at.plus(PAGES * page_size()).min(mapping.range.end));
            let known = pagemap::in_core(piece, &mut core).is_ok();
            for page in core.iter().take(piece.len() / page_size()) {
                if known && page & 1 != 0 {
                    into.push(AddrRange::sized(at, page_size()))?;
                }
                at = at.plus(page_size());
            }
            at = piece.end;
            left = left.saturating_sub(piece.len());
        }
    }
    Ok(())
}

fn has_pages(mapping: &Mapping) -> bool {
    !matches!(mapping.backing, Backing::Kernel | Backing::Device)
}

/// Sorts present pages: their own to `readable`, a file's to `file` and, where the program can write through to them
/// (shared memory), to `readable` too.
fn add(maps: &Maps, presence: &mut Presence, range: AddrRange, file: bool) -> Result<(), Errno> {
    let first = maps.first_behind(range.start);
    for mapping in maps.all().get(first..).unwrap_or_default() {
        let part = mapping.range.intersect(range);
        if mapping.range.start >= range.end {
            break;
        }
        if part.is_empty() || !has_pages(mapping) {
            continue;
        }
        if !file || mapping.shared && mapping.write {
            presence.readable.push(part)?;
        }
        if file {
            presence.file.push(part)?;
        }
    }
    Ok(())
}
