//! The memory map where there is no /proc: in a chroot, mostly.
//!
//! The kernel is asked whether anything is mapped in a range, and whether all of it is ([`memory::is_anything_mapped`],
//! [`memory::is_mapped_throughout`]): calls that do nothing. Halving the distance finds where mapped memory begins and ends.
//! Which of it is modules the loader's list says, and their headers say what is data of theirs.
//!
//! Contract: runs in the stopped world; changes nothing. Nothing will be read but pages that are in core and of which the kernel
//! gives a byte (presence.rs), which leaves out guards, devices and what was never touched.
//!
//! Not promised: where one mapping ends and the next begins, what is shared, and what may be written: all but modules counts
//! as private and writable. What only the kernel holds for the program is not seen. So nothing is certain to be lost, and a
//! check says that it has not seen everything.

use crate::arch::page_size;
use crate::base::{Addr, AddrRange, Errno};
use crate::mem::{MapVec, ReadMemory};
use crate::sys::memory;
use crate::trace::modules;

use super::globals::{self, MOST_HEADERS, Segment};
use super::maps::{Backing, FileId, Mapping};

/// Mappings for which there is room from the start: an array that grew would be found on the way.
const ROOM: usize = 16 << 10;
/// Below lies what only the privileged may map (mmap_min_addr): asking for it would be refused.
const LOWEST: Addr = Addr::new(64 << 10);
/// Of more that is mapped without a gap only the two ends are looked at, a second's work: the middle is a reservation.
const MOST: usize = 128 << 30;

/// Finds all that is mapped, by address. `on_first_stack`: an address on the stack of the first thread.
pub(super) fn find(on_first_stack: Addr, reader: &impl ReadMemory) -> Result<MapVec<Mapping>, Errno> {
    let mut list = MapVec::new();
    list.reserve(ROOM)?;
    let mut images = MapVec::new();
    for module in modules::all().filter(modules::Module::is_loaded) {
        images.push(AddrRange::new(
            module.range().start.align_down(page_size()),
            module.range().end.plus(page_size() - 1).align_down(page_size()),
        ))?;
    }
    images.sort_unstable_by_key(|image| image.start);
    let end = end_of_addresses().ok_or(Errno::new(libc::ENOSYS))?;
    let mut at = LOWEST;
    while let Some(start) = next_mapped(at, end)? {
        let run = run(start, end)?;
        at = run.start;
        for (number, image) in images.iter().enumerate() {
            let image = image.intersect(run);
            if !image.is_empty() && at <= image.start {
                add(&mut list, AddrRange::new(at, image.start), on_first_stack)?;
                add_module(&mut list, image, number, reader)?;
                at = image.end;
            }
        }
        add(&mut list, AddrRange::new(at, run.end), on_first_stack)?;
        at = run.end;
    }
    Ok(list)
}

/// Where the addresses of programs end, less a page, as the kernel was built and the processor is
/// (Documentation/arch/x86/x86_64/mm.rst, arch/arm64/memory.rst): more is refused.
fn end_of_addresses() -> Option<Addr> {
    let ends = [56, 52, 48, 47, 42, 39, 36].map(|bits| Addr::new((1 << bits) - page_size()));
    // This code is mapped there; a kernel that says otherwise looks at the first page alone, or knows no MAP_FIXED_NOREPLACE.
    let is_known = |end: &Addr| memory::is_anything_mapped(AddrRange::new(LOWEST, *end)).is_ok();
    let end = ends.into_iter().find(is_known)?;
    (memory::is_anything_mapped(AddrRange::new(LOWEST, end)) == Ok(true)).then_some(end)
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

/// What is mapped from `start` on without a gap.
fn run(start: Addr, end: Addr) -> Result<AddrRange, Errno> {
    let page = page_size();
    let is_whole = |len: usize| {
        let range = AddrRange::sized(start, len);
        if range.end > end { Ok(false) } else { memory::is_mapped_throughout(range) }
    };
    let mut len = page;
    while is_whole(len * 2)? {
        len *= 2;
    }
    let mut step = len / 2;
    while step >= page {
        if is_whole(len + step)? {
            len += step;
        }
        step /= 2;
    }
    Ok(AddrRange::sized(start, len))
}

/// Memory of no module.
fn add(list: &mut MapVec<Mapping>, range: AddrRange, on_first_stack: Addr) -> Result<(), Errno> {
    let parts = if range.len() > MOST {
        [AddrRange::sized(range.start, MOST / 2), AddrRange::new(range.end.minus(MOST / 2), range.end)]
    } else {
        [range, AddrRange::default()]
    };
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let on_stack = part.contains(on_first_stack);
        list.push(mapping(part, if on_stack { Backing::MainStack } else { Backing::Anonymous }))?;
    }
    Ok(())
}

/// The parts of a module that are of its file, and the rest: `.bss`, and gaps that nothing can be read of.
fn add_module(
    list: &mut MapVec<Mapping>,
    image: AddrRange,
    number: usize,
    reader: &impl ReadMemory,
) -> Result<(), Errno> {
    let page = page_size();
    let mut segments = [Segment::default(); MOST_HEADERS];
    let count = globals::read_segments(reader, image.start, &mut segments).unwrap_or(0);
    let segments = segments.get(..count).unwrap_or_default();
    let Some(bias) = globals::bias(image.start, segments) else {
        return list.push(mapping(image, Backing::Anonymous));
    };
    let mut at = image.start;
    for segment in segments.iter().filter(|segment| segment.file_size > 0) {
        let first = Addr::new(bias.wrapping_add(segment.start) as usize);
        let last = first.plus(segment.file_size as usize + page - 1);
        let part = AddrRange::new(first.align_down(page).max(at), last.align_down(page)).intersect(image);
        if part.is_empty() {
            continue;
        }
        if at < part.start {
            list.push(mapping(AddrRange::new(at, part.start), Backing::Anonymous))?;
        }
        list.push(Mapping {
            write: segment.writable,
            offset: (segment.offset & !(page as u64 - 1))
                + (part.start.get() - first.align_down(page).get()) as u64,
            // Of no device that there is.
            file: FileId { device: (u32::MAX, u32::MAX), inode: number as u64 + 1 },
            ..mapping(part, Backing::File)
        })?;
        at = part.end;
    }
    if at < image.end {
        list.push(mapping(AddrRange::new(at, image.end), Backing::Anonymous))?;
    }
    Ok(())
}

fn mapping(range: AddrRange, backing: Backing) -> Mapping {
    Mapping {
        range,
        read: true,
        write: true,
        execute: false,
        shared: false,
        backing,
        offset: 0,
        file: FileId::default(),
        unlinked: false,
        in_memory: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::maps::Maps;
    use super::*;
    use crate::arch::USER_END;
    use crate::stop::tests::child::in_child;
    use crate::sys::file;

    fn listed() -> Maps {
        let fd = file::open(c"/proc/self/maps", libc::O_RDONLY, 0).unwrap();
        Maps::read(|into| file::read(&fd, into)).unwrap()
    }

    /// In a process with one thread, since the map of this one changes under the hands of other tests. Among the mappings are
    /// kinds of which other calls give no answer: huge pages (none is needed to reserve some), and one that is sealed.
    #[test]
    fn what_is_found_is_what_the_kernel_lists() {
        in_child(60, || {
            let page = page_size();
            let map = |len, prot, flags| memory::map_anonymous(Addr::NULL, len, prot, flags);
            for n in 1..40 {
                map(n * 3 * page, libc::PROT_NONE, 0).unwrap();
                map(n * 5 * page, libc::PROT_READ | libc::PROT_WRITE, 0).unwrap();
            }
            let _ = map(2 << 20, libc::PROT_READ, libc::MAP_HUGETLB | libc::MAP_NORESERVE);
            let sealed = map(page, libc::PROT_READ, 0).unwrap();
            const SYS_MSEAL: libc::c_long = 462;
            // SAFETY: seals a page that nobody uses.
            unsafe { libc::syscall(SYS_MSEAL, sealed.get(), page, 0) };
            map(3 << 40, libc::PROT_NONE, libc::MAP_NORESERVE).unwrap();
            let local = 0u8;
            let before = listed();
            let found = find(Addr::of(&raw const local), &crate::mem::OwnMemory).unwrap();
            let after = listed();
            assert!(found.iter().any(|one| one.backing == Backing::MainStack));
            let is_within = |maps: &Maps, range: AddrRange| maps.mapped(range).next() == Some(range);
            for pair in found.windows(2) {
                assert!(pair[0].range.end <= pair[1].range.start, "{pair:?}");
            }
            for one in found.iter() {
                assert!(is_within(&before, one.range) || is_within(&after, one.range), "{one:?}");
            }
            let found = Maps::found(found);
            // What came or went meanwhile is of the test; of the reservation only a part is looked at.
            for one in before.all().iter().filter(|one| after.all().contains(one)) {
                if one.range.end < Addr::new(USER_END) && one.range.len() < MOST {
                    assert!(is_within(&found, one.range), "{one:?}");
                }
            }
            let begins = |one: &&Mapping| one.backing == Backing::File && one.offset == 0 && one.read;
            let (is_found, is_listed) =
                (found.all().iter().filter(begins).count(), before.all().iter().filter(begins).count());
            assert!(is_found <= is_listed, "{is_found} of {is_listed}");
        });
    }
}
