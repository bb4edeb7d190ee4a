//! The memory map: /proc/PID/maps, read raw (proc_pid_maps(5)).
//!
//! Contract: a pure function of bytes, however they arrive in pieces. The map may change between two reads of the file:
//! the kernel goes on at the address where it stopped, so a mapping that grew meanwhile may begin below the end of the
//! last; it is cut. What cannot be understood is counted and passed over.
//!
//! Newlines in names arrive as `\012`; blanks do not matter, since the name is the last field.

use crate::base::{Addr, AddrRange, Errno};
use crate::mem::MapVec;

use super::lines;

/// What is behind a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    /// Private memory without a file, whatever its name.
    Anonymous,
    /// The stack of the main thread.
    MainStack,
    /// A file, or memory that can be shared (memfd, System V, /dev/shm, shared anonymous).
    File,
    /// The kernel's own pages (vdso, vvar, vsyscall).
    Kernel,
    /// Something whose reading may have effects, or of which nothing is known. Never read.
    Device,
}

/// A file's identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileId {
    /// Major and minor number.
    pub device: (u32, u32),
    /// 0 for no file.
    pub inode: u64,
}

/// A line of the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Where.
    pub range: AddrRange,
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub execute: bool,
    /// MAP_SHARED.
    pub shared: bool,
    /// Of what.
    pub backing: Backing,
    /// Where in the file, bytes.
    pub offset: u64,
    /// Which file.
    pub file: FileId,
    /// The file has no name any more, or never had one: its bytes are nowhere but in memory.
    pub unlinked: bool,
    /// The file is nothing but memory: shared anonymous memory, memfd, System V, /dev/shm. What it holds is not told by
    /// the page table: other processes and other mappings write to it, and a fork carries over no entry of it.
    pub in_memory: bool,
}

impl Mapping {
    /// True for shared memory whose words may be the program's: it can write to them here, or elsewhere to the same file.
    pub fn is_shared_memory(&self) -> bool {
        self.backing == Backing::File && self.shared && (self.write || self.in_memory)
    }

    /// True for private memory without a file, of any protection.
    pub fn is_anonymous(&self) -> bool {
        self.backing == Backing::Anonymous && !self.shared
    }

    /// True when nothing may be read here by plain loads.
    pub fn is_closed(&self) -> bool {
        !self.read
    }
}

/// Mappings by address, disjoint.
pub struct Maps {
    list: MapVec<Mapping>,
    /// Lines that could not be understood.
    pub odd_lines: usize,
    /// False: found otherwise ([`super::unlisted`]); what may be read of them is only known of pages that are in core.
    pub is_listed: bool,
}

impl Maps {
    /// Reads until `read` returns 0. Fails when `read` fails or memory cannot be had.
    pub fn read(read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Maps, Errno> {
        let mut maps = Maps { list: MapVec::new(), odd_lines: 0, is_listed: true };
        let cut = lines::for_each(read, |line| maps.line(line))?;
        maps.odd_lines += cut;
        Ok(maps)
    }

    /// Those that were found otherwise: by address, disjoint.
    pub(super) fn found(list: MapVec<Mapping>) -> Maps {
        Maps { list, odd_lines: 0, is_listed: false }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Errno> {
        let Some(mut mapping) = parse(line) else {
            self.odd_lines += 1;
            return Ok(());
        };
        if let Some(last) = self.list.last() {
            mapping.range.start = mapping.range.start.max(last.range.end);
        }
        if mapping.range.is_empty() { Ok(()) } else { self.list.push(mapping) }
    }

    /// All mappings.
    pub fn all(&self) -> &[Mapping] {
        &self.list
    }

    /// The index of the first mapping that ends behind `addr`.
    pub fn first_behind(&self, addr: Addr) -> usize {
        self.list.partition_point(|mapping| mapping.range.end <= addr)
    }

    /// The mapping that contains `addr`, with its index.
    pub fn at(&self, addr: Addr) -> Option<(usize, &Mapping)> {
        let index = self.first_behind(addr);
        self.list.get(index).filter(|mapping| mapping.range.contains(addr)).map(|mapping| (index, mapping))
    }

    /// The mapped parts of `range`, by address; none touches the next.
    pub fn mapped(&self, range: AddrRange) -> impl Iterator<Item = AddrRange> + '_ {
        let mut rest = self.list.get(self.first_behind(range.start)..).unwrap_or_default().iter().peekable();
        core::iter::from_fn(move || {
            let mut part = rest.next()?.range.intersect(range);
            while let Some(more) = rest.next_if(|next| next.range.start == part.end && part.end < range.end) {
                part.end = more.range.end.min(range.end);
            }
            (!part.is_empty()).then_some(part)
        })
    }

    /// The neighbourhood of mapping `index`: as far down and up as mappings touch each other and `same` holds.
    pub fn run(&self, index: usize, same: impl Fn(&Mapping) -> bool) -> AddrRange {
        let Some(middle) = self.list.get(index) else { return AddrRange::default() };
        let mut range = middle.range;
        for mapping in self.list.get(..index).unwrap_or_default().iter().rev() {
            if mapping.range.end != range.start || !same(mapping) {
                break;
            }
            range.start = mapping.range.start;
        }
        for mapping in self.list.get(index + 1..).unwrap_or_default() {
            if mapping.range.start != range.end || !same(mapping) {
                break;
            }
            range.end = mapping.range.end;
        }
        range
    }
}

/// A line without its newline: `start-end perms offset major:minor inode name`.
pub fn parse(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let (start, end) = split(field(&mut rest)?, b'-')?;
    let range = AddrRange::new(Addr::new(hex(start)? as usize), Addr::new(hex(end)? as usize));
    let &[r, w, x, p] = field(&mut rest)? else { return None };
    let offset = hex(field(&mut rest)?)?;
    let (major, minor) = split(field(&mut rest)?, b':')?;
    let device = (hex(major)?.try_into().ok()?, hex(minor)?.try_into().ok()?);
    let inode = core::str::from_utf8(field(&mut rest)?).ok()?.parse().ok()?;
    let name = rest.trim_ascii_start();
    let unlinked = name.ends_with(b" (deleted)");
    let shared = p == b's';
    let backing = backing(name, inode, shared);
    let (read, write, execute) = (r == b'r', w == b'w', x == b'x');
    let file = FileId { device, inode };
    let in_memory = backing == Backing::File && is_memory(name);
    let mapping = Mapping { range, read, write, execute, shared, backing, offset, file, unlinked, in_memory };
    (!range.is_empty()).then_some(mapping)
}

/// The name at the end of a line, as the kernel writes it; empty where there is none.
pub fn name(line: &[u8]) -> &[u8] {
    let mut rest = line;
    for _ in 0..5 {
        if field(&mut rest).is_none() {
            return b"";
        }
    }
    rest.trim_ascii_start()
}

/// Takes the next field and the blanks before it.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let text = rest.trim_ascii_start();
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let (field, behind) = text.split_at_checked(end)?;
    *rest = behind;
    (!field.is_empty()).then_some(field)
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let middle = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..middle)?, text.get(middle + 1..)?))
}

/// Digits as the kernel writes them. A map of thousands of threads has tens of thousands.
fn hex(text: &[u8]) -> Option<u64> {
    const MOST: usize = 16;
    let digits = Some(text).filter(|text| (1..=MOST).contains(&text.len()))?;
    digits.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// Devices are known by name alone: the flags that tell (VM_IO, VM_PFNMAP) are only in smaps, which costs a walk over
/// every page. A name that is not known is taken for a device unless it is a path elsewhere than in /dev.
fn backing(name: &[u8], inode: u64, shared: bool) -> Backing {
    const MEMORY_IN_DEV: [&[u8]; 4] = [b"/dev/shm/", b"/dev/hugepages/", b"/dev/mqueue/", b"/dev/zero"];
    match name {
        b"" if inode == 0 => Backing::Anonymous,
        b"[heap]" => Backing::Anonymous,
        b"[stack]" => Backing::MainStack,
        _ if name.starts_with(b"[anon:") => Backing::Anonymous,
        _ if name.starts_with(b"[anon_shmem:") => Backing::File,
        _ if name.starts_with(b"[") => Backing::Kernel,
        b"/dev/zero" if !shared => Backing::Anonymous,
        _ if MEMORY_IN_DEV.iter().any(|prefix| name.starts_with(prefix)) => Backing::File,
        _ if name.starts_with(b"/dev/") || name.starts_with(b"/drm ") || name.starts_with(b"/dmabuf") => {
            Backing::Device
        }
        _ if name.starts_with(b"/") || name.starts_with(b"anon_inode:[io_uring]") => Backing::File,
        _ => Backing::Device,
    }
}

/// A file of shmem by its name (mm/shmem.c, ipc/shm.c): "/dev/zero" is what shared anonymous memory is called.
fn is_memory(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [b"/dev/zero", b"/memfd:", b"/SYSV", b"/dev/shm/", b"[anon_shmem:"];
    NAMES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], step: usize) -> Maps {
        let mut rest = text;
        Maps::read(|into| {
            let n = rest.len().min(step).min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            Ok(n)
        })
        .unwrap()
    }

    const REAL: &[u8] = b"\
556ed0c66000-556ed0c68000 r--p 00000000 fe:00 247030                     /usr/bin/cat
556ed0c71000-556ed0c72000 rw-p 0000a000 fe:00 247030                     /usr/bin/a name with\\012newline (deleted)
556ee1336000-556ee1357000 rw-p 00000000 00:00 0                          [heap]
7fb9b4c1c000-7fb9b4c3e000 rw-p 00000000 00:00 0 
7fb9b4c3e000-7fb9b4c3f000 ---p 00000000 00:00 0                          [anon:guard]
7fb9b4c84000-7fb9b4c8b000 rw-s 00000000 00:01 1024                       /dev/zero (deleted)
7fb9b4c8b000-7fb9b4c8c000 rw-s 00000000 00:05 9                          /dev/dri/card0
7fb9b4c8c000-7fb9b4c8d000 rw-s 00000000 00:0f 9                          anon_inode:[perf_event]
7fb9b4e8e000-7fb9b4e92000 r--p 00000000 00:00 0                          [vvar]
7ffd0d0fa000-7ffd0d11b000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn a_real_map_in_pieces_of_any_size() {
        use Backing::{Anonymous, Device, File, Kernel, MainStack};
        for step in [1, 7, 100, 100_000] {
            let maps = read(REAL, step);
            let backings: Vec<_> = maps.all().iter().map(|mapping| mapping.backing).collect();
            assert_eq!(
                backings,
                [
                    File, File, Anonymous, Anonymous, Anonymous, File, Device, Device, Kernel, MainStack,
                    Kernel
                ]
            );
            assert_eq!(maps.odd_lines, 0);
            let data = maps.all()[1];
            assert_eq!((data.offset, data.file.inode, data.file.device), (0xa000, 247030, (0xfe, 0)));
            assert!(data.read && data.write && !data.execute && !data.shared);
            assert!(maps.all()[5].shared && maps.all()[4].is_closed());
            assert_eq!(maps.at(Addr::new(0x7ffd0d0fa008)).unwrap().0, 9);
            assert!(maps.at(Addr::new(0x7ffd0d11b000)).is_none());
            let run = maps.run(3, |mapping| mapping.backing == Anonymous);
            assert_eq!(run, AddrRange::new(Addr::new(0x7fb9b4c1c000), Addr::new(0x7fb9b4c3f000)));
        }
    }

    #[test]
    fn odd_lines_are_counted_and_passed_over() {
        let mut text = b"nonsense\n1000-2000 rw-p 0 0:0 0\n5000-4000 rw-p 0 0:0 0\n".to_vec();
        text.extend(b"6000-7000 rw-p 0 0:0 0 /");
        text.extend([b'x'; 100_000]);
        text.extend(b"\n7000-8000 rw-p 0 0:0 0\n8000-9000 rw-p 0 0");
        let maps = read(&text, 4096);
        let starts: Vec<_> = maps.all().iter().map(|mapping| mapping.range.start.get()).collect();
        assert_eq!((starts, maps.odd_lines), (vec![0x1000, 0x7000], 4));
    }

    #[test]
    fn a_mapping_that_grew_between_two_reads_is_cut() {
        let maps = read(b"1000-3000 rw-p 0 0:0 0\n2000-5000 rw-p 0 0:0 0\n2000-4000 rw-p 0 0:0 0\n", 9);
        let ends: Vec<_> = maps.all().iter().map(|m| (m.range.start.get(), m.range.end.get())).collect();
        assert_eq!(ends, [(0x1000, 0x3000), (0x3000, 0x5000)]);
    }

    #[test]
    fn the_map_of_this_process_has_no_odd_line() {
        let text = std::fs::read("/proc/self/maps").unwrap();
        let maps = read(&text, 1000);
        assert_eq!(maps.odd_lines, 0);
        assert_eq!(maps.all().len(), text.iter().filter(|byte| **byte == b'\n').count());
        let local = 1;
        assert_eq!(maps.at(Addr::of(&raw const local)).map(|(_, m)| m.write), Some(true));
    }

    proptest! {
        #[test]
        fn any_bytes_give_disjoint_ordered_mappings(
            text in prop::collection::vec(prop_oneof![
                any::<u8>(), Just(b'\n'), Just(b' '), Just(b'-'), Just(b'0'), Just(b':')], 0..2000),
            step in 1usize..300,
        ) {
            let maps = read(&text, step);
            prop_assert!(maps.all().windows(2).all(|two| two[0].range.end <= two[1].range.start));
        }

        #[test]
        fn a_damaged_real_map_never_panics(at in 0..REAL.len(), byte in any::<u8>(), step in 1usize..300) {
            let mut text = REAL.to_vec();
            text[at] = byte;
            let maps = read(&text, step);
            prop_assert!(maps.all().windows(2).all(|two| two[0].range.end <= two[1].range.start));
        }
    }
}
