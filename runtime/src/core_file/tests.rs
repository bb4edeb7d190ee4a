//! Core files of forked processes, taken apart again.

use std::io::{Read, Seek};
use std::os::fd::AsRawFd;

use crate::arch::{self, CallerFrame};
use crate::base::Addr;
use crate::stop::{Caller, Options};

use super::{Written, write};

/// A core of a forked process with some threads; `memory` are (address, bytes) that must be in it.
fn core_of_child(file: &std::fs::File, prepare: fn() -> Vec<(usize, Vec<u8>)>) -> Vec<(usize, Vec<u8>)> {
    let shared = tempfile();
    // SAFETY: glibc keeps malloc and threads usable in the child of a threaded process.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: no memory involved: a child that hangs is ended.
        unsafe { libc::alarm(60) };
        let memory = prepare();
        let frame = CallerFrame::default();
        let caller = Caller { frame: &frame, stack_pointer: Addr::new(arch::stack_pointer()) };
        let written = write(&caller, &Options::DEFAULT, file.as_raw_fd());
        let mut text = String::new();
        for (address, bytes) in &memory {
            text += &format!(
                "{address} {}\n",
                bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            );
        }
        let told = std::io::Write::write_all(&mut &shared, text.as_bytes());
        let good =
            matches!(written, Ok((Written { threads: 4, without_registers: 0, unreadable: 0, .. }, _)));
        if !good {
            let _ = crate::sys::file::write_all(2, format!("in the child: {written:?}\n").as_bytes());
        }
        // SAFETY: ends the child without the test harness' exit handlers.
        unsafe { libc::_exit(i32::from(!good || told.is_err())) };
    }
    let mut status = 0;
    // SAFETY: status is ours.
    while unsafe { libc::waitpid(pid, &mut status, 0) } != pid {}
    assert_eq!(status, 0);
    let mut text = String::new();
    (&shared).rewind().unwrap();
    (&shared).read_to_string(&mut text).unwrap();
    let bytes = |hex: &str| {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    text.lines()
        .map(|line| line.split_once(' ').map(|(at, hex)| (at.parse().unwrap(), bytes(hex))).unwrap())
        .collect()
}

fn tempfile() -> std::fs::File {
    // SAFETY: a C string; the result is checked.
    let fd = unsafe { libc::memfd_create(c"core".as_ptr(), 0) };
    assert!(fd >= 0);
    // SAFETY: a new descriptor that nobody else owns.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}

/// The loadable segments of a core: (address, size in memory, bytes in the file), and its notes: (owner, type, bytes).
struct Parsed {
    loads: Vec<(usize, usize, Vec<u8>)>,
    notes: Vec<(String, u32, Vec<u8>)>,
}

fn parse(file: &[u8]) -> Parsed {
    let long = |at: usize| u64::from_ne_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    let half = |at: usize| u16::from_ne_bytes(file[at..at + 2].try_into().unwrap());
    assert_eq!(&file[..4], b"\x7fELF");
    assert_eq!((half(16), half(18), half(54)), (4, arch::ELF_MACHINE, 56));
    let mut parsed = Parsed { loads: vec![], notes: vec![] };
    for index in 0..usize::from(half(56)) {
        let at = long(32) + 56 * index;
        let (offset, address, size, memory) = (long(at + 8), long(at + 16), long(at + 32), long(at + 40));
        match word(at) {
            1 => parsed.loads.push((address, memory, file[offset..offset + size].to_vec())),
            4 => {
                let mut at = offset;
                while at < offset + size {
                    let (owner, len) = (word(at) as usize, word(at + 4) as usize);
                    let start = at + 12 + owner.next_multiple_of(4);
                    let name = String::from_utf8(file[at + 12..at + 11 + owner].to_vec()).unwrap();
                    parsed.notes.push((name, word(at + 8), file[start..start + len].to_vec()));
                    at = start + len.next_multiple_of(4);
                }
            }
            other => panic!("program header of type {other}"),
        }
    }
    parsed
}

fn prepare() -> Vec<(usize, Vec<u8>)> {
    for _ in 0..3 {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    let page = arch::page_size();
    let map = |flags: i32| {
        // SAFETY: a new mapping of four pages.
        let start = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                4 * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_ANONYMOUS | flags,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        start.cast::<u8>()
    };
    let (private, shared, closed) = (map(libc::MAP_PRIVATE), map(libc::MAP_SHARED), map(libc::MAP_PRIVATE));
    static mut DATA: [u8; 16] = *b"the program's da";
    let data = &raw mut DATA;
    let mut memory = vec![];
    for (start, what) in [(private, b"private"), (shared, b"shared."), (closed, b"closed.")] {
        // SAFETY: in the third of four pages that are ours.
        let place = unsafe { start.add(2 * page + 100) };
        // SAFETY: as above.
        unsafe { place.cast::<[u8; 7]>().write(*what) };
        memory.push((place.addr(), what.to_vec()));
    }
    // SAFETY: our own mapping, no longer used.
    assert_eq!(unsafe { libc::mprotect(closed.cast(), 4 * page, libc::PROT_NONE) }, 0);
    // SAFETY: a static of this function's own.
    unsafe { data.cast::<[u8; 3]>().write(*b"his") };
    memory.push((data.addr(), b"his program's da".to_vec()));
    memory
}

#[test]
fn memory_of_every_kind_is_in_it() {
    let mut file = tempfile();
    let memory = core_of_child(&file, prepare);
    file.rewind().unwrap();
    let mut bytes = vec![];
    file.read_to_end(&mut bytes).unwrap();
    let parsed = parse(&bytes);
    assert_eq!(memory.len(), 4);
    for (address, expected) in memory {
        let (start, _, content) = parsed
            .loads
            .iter()
            .find(|(start, size, content)| (*start..start + size).contains(&address) && !content.is_empty())
            .unwrap_or_else(|| panic!("{address:#x} is in no segment"));
        assert_eq!(content[address - start..][..expected.len()], expected[..]);
    }
    assert!(parsed.loads.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "segments overlap");
}

#[test]
fn each_thread_has_its_notes() {
    let mut file = tempfile();
    core_of_child(&file, prepare);
    file.rewind().unwrap();
    let mut bytes = vec![];
    file.read_to_end(&mut bytes).unwrap();
    let parsed = parse(&bytes);
    let count = |owner: &str, kind: u32| {
        parsed.notes.iter().filter(|(name, its, _)| name == owner && *its == kind).count()
    };
    // Status a thread; floating point of all but the caller; once process, siginfo, auxv, files; our own.
    assert_eq!((count("CORE", 1), count("CORE", 2)), (4, 3));
    assert_eq!((count("CORE", 3), count("CORE", 0x5349_4749), count("CORE", 6)), (1, 1, 1));
    assert_eq!((count("CORE", 0x4649_4c45), count("STANDSTILL", 1)), (1, 1));
    // `struct elf_prstatus` has the kernel's first set of registers, of which ours has more on some CPUs.
    let [(_, _, registers), ..] = arch::REGISTER_SETS;
    let status = 112 + 8 * registers + 8;
    assert!(
        parsed
            .notes
            .iter()
            .all(|(_, kind, bytes)| *kind != 1 || bytes.len() == status || bytes.len() == 4 * 24)
    );
}

#[test]
fn a_stream_gets_the_same_bytes() {
    // A pipe has no holes: what a file has as holes is written as zeros.
    let mut ends = [0; 2];
    // SAFETY: two ints of ours.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: new descriptors that nobody else owns.
    let (mut reader, writer): (std::fs::File, std::fs::File) = unsafe {
        (std::os::fd::FromRawFd::from_raw_fd(ends[0]), std::os::fd::FromRawFd::from_raw_fd(ends[1]))
    };
    let reading = std::thread::spawn(move || {
        let mut bytes = vec![];
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let memory = core_of_child(&writer, prepare);
    drop(writer);
    let parsed = parse(&reading.join().unwrap());
    let (address, expected) = &memory[0];
    let (start, _, content) =
        parsed.loads.iter().find(|(start, size, _)| (*start..start + size).contains(address)).unwrap();
    assert_eq!(content[address - start..][..expected.len()], expected[..]);
}
