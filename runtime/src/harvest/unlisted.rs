//! The memory map where /proc/PID/maps cannot be read: in a chroot, mostly.
//!
//! The kernel is asked address by address, by calls that always fail and by their errors tell what is there
//! ([`memory::is_anything_mapped`], [`memory::is_in_one_mapping`]); halving the distance finds the borders of mappings, exactly.
//! What of a mapping may be read is seen by reading a byte of it that is in memory. Which are modules is seen at their first
//! bytes, and their headers say where their other parts lie.
//!
//! Contract: runs in the stopped world, or ahead of it for a list that need not be exact; changes nothing: no page is touched that
//! is not in memory.
//!
//! Not promised: which mappings are shared, or writable, but for modules: all count as private and writable, and what they
//! hold as pointers. A mapping of a device is one that may never grow: it is not read, and nobody is told of it. One that mseal(2) has closed, and of
//! which no page but the first is asked, may look like several.

use crate::arch::{USER_END, page_size};
use crate::base::{Addr, AddrRange, Errno};
use crate::mem::{MapVec, ReadMemory};
use crate::sys::{memory, pagemap};

use super::globals::{self, MOST_HEADERS, Segment};
use super::maps::{Backing, FileId, Mapping};

/// Mappings for which there is room from the start: an array that grew would be found on the way.
const ROOM: usize = 64 << 10;
/// Below lies what only the privileged may map (mmap_min_addr): asking for it would be refused.
const LOWEST: Addr = Addr::new(64 << 10);
/// Pages of a device that are asked one by one.
const MOST_OF_DEVICE: usize = 64 << 10;
/// Pages asked for in one call.
const PAGES: usize = 4096;

/// Finds all mappings, by address. `on_first_stack`: an address on the stack of the first thread.
pub(super) fn find(on_first_stack: Addr, reader: &impl ReadMemory) -> Result<MapVec<Mapping>, Errno> {
    let mut list = MapVec::new();
    list.reserve(ROOM)?;
    let mut core = MapVec::new();
    core.resize(PAGES, 0u8)?;
    // A kernel that knows no MAP_FIXED_NOREPLACE says that nothing is mapped, nowhere.
    let here = Addr::of(&raw const core).align_down(page_size());
    if !memory::is_anything_mapped(AddrRange::sized(here, page_size()))? {
        return Err(Errno::new(libc::ENOSYS));
    }
    let Some(end) = end_of_addresses() else { return Err(Errno::new(libc::ENOSYS)) };
    let mut module = Module::none();
    let mut at = LOWEST;
    while let Some(start) = next_mapped(at, end)? {
        let (range, is_device) = extent(start, end);
        let present = if is_device { None } else { first_present(range, &mut core) };
        let read = present.map_or(!is_device && pagemap::may_be_swapped(), is_readable);
        if read && present == Some(range.start) && !module.contains(range.start) {
            module.begin(range.start, reader);
        }
        let backing = match () {
            () if is_device => Backing::Device,
            () if range.contains(on_first_stack) => Backing::MainStack,
            () => Backing::Anonymous,
        };
        let mapping = Mapping {
            range,
            read,
            write: !is_device,
            execute: false,
            shared: false,
            backing,
            offset: 0,
            file: FileId::default(),
            unlinked: false,
            in_memory: false,
        };
        list.push(module.part(mapping))?;
        at = range.end;
    }
    Ok(list)
}

/// Where the kernel's addresses for programs end, less a page: 47 bits on x86-64, and on aarch64 as the kernel was built
/// (Documentation/arch/arm64/memory.rst). More is refused.
fn end_of_addresses() -> Option<Addr> {
    let ends = [48, 47, 42, 39, 36].map(|bits| Addr::new((1 << bits) - page_size()));
    let is_known = |end: &Addr| memory::is_anything_mapped(AddrRange::new(LOWEST, *end)).is_ok();
    ends.into_iter().filter(|end| end.get() < USER_END).find(is_known)
}

/// The first mapped page from `at` on.
fn next_mapped(at: Addr, end: Addr) -> Result<Option<Addr>, Errno> {
    let page = page_size();
    let is_there = |from: Addr, to: Addr| memory::is_anything_mapped(AddrRange::new(from, to));
    if at >= end || !is_there(at, end)? {
        return Ok(None);
    }
    // Mappings are close to each other, in groups that are far apart.
    let (mut low, mut step) = (at, page);
    while !is_there(low, low.plus(step).min(end))? {
        low = low.plus(step);
        step *= 2;
    }
    let mut high = low.plus(step).min(end);
    while high.get() - low.get() > page {
        let middle = low.plus((high.get() - low.get()) / 2).align_down(page);
        if is_there(low, middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Some(low))
}

/// The mapping that begins at `start`, and whether it is a device's.
fn extent(start: Addr, end: Addr) -> (AddrRange, bool) {
    let page = page_size();
    let is_in_one = |range: AddrRange| range.end <= end && memory::is_in_one_mapping(range, end);
    let is_one = |len: usize| is_in_one(AddrRange::sized(start, len));
    if !is_one(page) {
        let is_device = |n: &usize| {
            let one = AddrRange::sized(start.plus(n * page), page);
            memory::is_anything_mapped(one) == Ok(true) && !is_in_one(one)
        };
        let pages = 1 + (1..MOST_OF_DEVICE).take_while(is_device).count();
        return (AddrRange::sized(start, pages * page), true);
    }
    let mut len = page;
    while is_one(len * 2) {
        len *= 2;
    }
    let mut step = len / 2;
    while step >= page {
        if is_one(len + step) {
            len += step;
        }
        step /= 2;
    }
    (AddrRange::sized(start, len), false)
}

/// The first page of a mapping that is in memory.
fn first_present(range: AddrRange, core: &mut [u8]) -> Option<Addr> {
    let mut at = range.start;
    while at < range.end {
        let piece = AddrRange::new(at, at.plus(PAGES * page_size()).min(range.end));
        pagemap::in_core(piece, core).ok()?;
        let pages = core.get(..piece.len() / page_size()).unwrap_or_default();
        if let Some(n) = pages.iter().position(|page| page & 1 != 0) {
            return Some(at.plus(n * page_size()));
        }
        at = piece.end;
    }
    None
}

fn is_readable(at: Addr) -> bool {
    memory::read_own(at, &mut [0; 1]) == Ok(1)
}

/// The module whose parts are being found.
struct Module {
    number: u64,
    /// What its headers' addresses are relative to.
    bias: u64,
    segments: [Segment; MOST_HEADERS],
    count: usize,
}

impl Module {
    fn none() -> Module {
        Module { number: 0, bias: 0, segments: [Segment::default(); MOST_HEADERS], count: 0 }
    }

    /// What begins at `start` may be a module.
    fn begin(&mut self, start: Addr, reader: &impl ReadMemory) {
        let Some(count) = globals::read_segments(reader, start, &mut self.segments) else { return };
        let segments = self.segments.get(..count).unwrap_or_default();
        let Some(bias) = globals::bias(start, segments) else { return };
        *self = Module { number: self.number + 1, bias, count, segments: self.segments };
    }

    /// The segment that has `at`, its bytes of the file only.
    fn segment(&self, at: Addr) -> Option<(&Segment, u64)> {
        let page = page_size() as u64;
        let segments = self.segments.get(..self.count)?;
        segments.iter().filter(|segment| segment.file_size > 0).find_map(|segment| {
            let start = self.bias.wrapping_add(segment.start) & !(page - 1);
            let end = self.bias.wrapping_add(segment.start + segment.file_size).next_multiple_of(page);
            let at = at.get() as u64;
            (start <= at && at < end).then(|| (segment, (segment.offset & !(page - 1)) + at - start))
        })
    }

    fn contains(&self, at: Addr) -> bool {
        self.segment(at).is_some()
    }

    /// A mapping, as a part of the file if it is one.
    fn part(&self, mapping: Mapping) -> Mapping {
        match self.segment(mapping.range.start) {
            Some((segment, offset)) if mapping.backing == Backing::Anonymous => Mapping {
                write: segment.writable,
                backing: Backing::File,
                offset,
                // Of no device that there is.
                file: FileId { device: (u32::MAX, u32::MAX), inode: self.number },
                ..mapping
            },
            _ => mapping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::maps::Maps;
    use super::*;
    use crate::stop::tests::child::in_child;
    use crate::sys::file;

    fn listed() -> Maps {
        let fd = file::open(c"/proc/self/maps", libc::O_RDONLY, 0).unwrap();
        Maps::read(|into| file::read(&fd, into)).unwrap()
    }

    /// Alone in a process of its own, since the map of this one changes under the hands of other tests.
    #[test]
    fn what_is_found_is_what_the_kernel_lists() {
        in_child(60, || {
            let page = page_size();
            let held: Vec<Addr> = [libc::PROT_NONE, libc::PROT_READ | libc::PROT_WRITE]
                .into_iter()
                .flat_map(|prot| (1..40).map(move |n| (prot, n)))
                .map(|(prot, n)| memory::map_anonymous(Addr::NULL, n * 3 * page, prot, 0).unwrap())
                .collect();
            assert!(held.len() == 78);
            let local = 0u8;
            let before = listed();
            let found = find(Addr::of(&raw const local), &crate::mem::OwnMemory).unwrap();
            let after = listed();
            // What came or went meanwhile is of the test.
            let stays =
                |mapping: &&Mapping| after.all().contains(mapping) && mapping.range.end < Addr::new(USER_END);
            let mut compared = 0;
            // The kernel's own that follow each other are found as one.
            for mapping in before.all().iter().filter(stays).filter(|one| one.backing != Backing::Kernel) {
                let Some(one) = found.iter().find(|one| one.range == mapping.range) else {
                    panic!("not found: {mapping:?} in {found:#?}", found = &found[..])
                };
                assert!(mapping.read || !one.read, "{mapping:?}: {one:?}");
                compared += 1;
            }
            assert!(compared > 20, "{compared}");
            for one in found.iter() {
                let is_listed = |maps: &Maps| maps.mapped(one.range).next() == Some(one.range);
                assert!(is_listed(&before) || is_listed(&after), "{one:?}");
            }
        });
    }
}
