//! Enters images where the loader's lock may not be taken: inside free, which may be called with that lock held, or by a
//! thread for which its holder waits; and before a check, which a callback of dl_iterate_phdr(3) in another thread may wait
//! for, or whose process was forked while another thread held it.
//!
//! `_dl_find_object(3)` tells without a lock which image a pc is in, and where the loader describes it. From there its list
//! leads to all others. It is read by a system call that fails where nothing is mapped: an image that another thread is
//! opening or closing at this moment costs a name, no crash.
//!
//! A program whose segments lie apart (linked for larger pages than the kernel's, as is usual on aarch64) is known to that
//! function segment by segment: what it calls the start is not where the ELF header is. Neither is the bias, at fixed
//! addresses. So each of the places where the header may be is tried; the right one leads to the `l_ld` that the loader has.
//!
//! Contract: inside malloc. Waits for nobody.
//!
//! Not promised: without that function (glibc before 2.35) an image that was opened since the last update stays unknown.
//! musl's list is always up to date (`ffi/src/modules.rs`).
//!
//! References: `struct link_map` in link.h, whose first members debuggers read as well; getauxval(3), AT_PHDR.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::base::{Addr, Errno};
use crate::sys::{file, memory, task};

use super::find_object::image_at;
use super::modules::{self, BUILD_ID, CAPACITY, Loaded, PATH, build_id_of_notes};
use super::{MAX_DEPTH, StackId, frames};

/// More headers or longer notes than this no linker makes.
const HEADERS: usize = 32;
const NOTES: usize = 1024;
/// Bytes of an ELF header; in programs the program headers follow.
const ELF_HEADER: usize = 64;

static PROGRAM_HEADERS: AtomicUsize = AtomicUsize::new(0);

/// Takes the address of the program's headers (AT_PHDR), at init.
pub(super) fn set_program_headers(at: usize) {
    PROGRAM_HEADERS.store(at, Relaxed);
}

/// Enters the images of all frames of `stacks` that are not entered yet.
pub fn enter_images_of(stacks: &[StackId]) {
    for stack in stacks {
        let mut pcs = [0; MAX_DEPTH];
        let count = frames(*stack, &mut pcs);
        for pc in pcs.iter().take(count) {
            if !modules::find(Addr::new(*pc)).is_some_and(|module| module.is_loaded()) {
                let _ = enter(*pc);
            }
        }
    }
}

fn enter(pc: usize) -> Option<()> {
    let (piece, description) = image_at(pc)?;
    let map = LinkMap::read(description)?;
    map.tell(piece, false, &mut |loaded| modules::enter(loaded))
}

/// Calls `each` for every image of the program, as dl_iterate_phdr(3) does, without the loader's lock. `own` is the address
/// of some code. False when not all could be read: another thread is changing the list, or the loader cannot be asked.
pub fn for_each_image(own: usize, each: &mut dyn FnMut(&Loaded<'_>)) -> bool {
    walk(own, each).is_some()
}

fn walk(own: usize, each: &mut dyn FnMut(&Loaded<'_>)) -> Option<()> {
    let mut at = image_at(own)?.1;
    let mut map = LinkMap::read(at)?;
    for _ in 0..CAPACITY {
        if map.previous.is_null() {
            break;
        }
        at = map.previous;
        map = LinkMap::read(at)?;
    }
    // The program is the first.
    let mut is_program = true;
    for _ in 0..CAPACITY {
        let found = image_at(map.dynamic.get()).filter(|(_, description)| *description == at);
        map.tell(found.map_or(Addr::new(map.bias), |(piece, _)| piece), is_program, each)?;
        is_program = false;
        if map.next.is_null() {
            return Some(());
        }
        let next = LinkMap::read(map.next)?;
        // One that is being put in or taken out.
        if next.previous != at {
            return None;
        }
        (at, map) = (map.next, next);
    }
    None
}

/// What `struct link_map` begins with: `l_addr`, `l_name`, `l_ld`, `l_next`, `l_prev`.
struct LinkMap {
    bias: usize,
    name: Addr,
    dynamic: Addr,
    next: Addr,
    previous: Addr,
}

impl LinkMap {
    fn read(at: Addr) -> Option<LinkMap> {
        let mut words = [0; 40];
        read(at, &mut words)?;
        let address = |offset| word(&words, offset).map(Addr::new);
        Some(LinkMap {
            bias: word(&words, 0)?,
            name: address(8)?,
            dynamic: address(16)?,
            next: address(24)?,
            previous: address(32)?,
        })
    }

    /// Calls `each` with the image, of which `piece` is the start, or that of a segment. The program has no name.
    fn tell(&self, piece: Addr, is_program: bool, each: &mut dyn FnMut(&Loaded<'_>)) -> Option<()> {
        let mut name = [0; PATH];
        let name = if is_program { &[] } else { read_name(self.name, &mut name)? };
        let mut headers = [NO_HEADER; HEADERS];
        let headers = self.read_headers(piece, &mut headers)?;
        let mut build_id = [0; BUILD_ID];
        let build_id = read_build_id(self.bias, headers, &mut build_id);
        each(&Loaded::told(name, self.bias, headers, build_id));
        Some(())
    }

    fn read_headers<'a>(
        &self,
        piece: Addr,
        into: &'a mut [libc::Elf64_Phdr; HEADERS],
    ) -> Option<&'a [libc::Elf64_Phdr]> {
        let before_program_headers = Addr::new(PROGRAM_HEADERS.load(Relaxed).wrapping_sub(ELF_HEADER));
        let count = [piece, Addr::new(self.bias), before_program_headers].into_iter().find_map(|start| {
            let count = read_headers(start, into)?;
            let mut headers = into.iter().take(count);
            let dynamic = headers.find(|header| header.p_type == libc::PT_DYNAMIC)?;
            (self.bias.wrapping_add(dynamic.p_vaddr as usize) == self.dynamic.get()).then_some(count)
        })?;
        into.get(..count)
    }
}

/// A C string. Most are short: what lies behind it is read only where it is long.
fn read_name(at: Addr, into: &mut [u8; PATH]) -> Option<&[u8]> {
    const USUAL: usize = 128;
    for len in [USUAL, PATH] {
        let had = read_some(at, into.get_mut(..len)?).ok()?;
        if let Some(end) = into.get(..had)?.iter().position(|byte| *byte == 0) {
            return into.get(..end);
        }
        if had < len {
            return None;
        }
    }
    None
}

const NO_HEADER: libc::Elf64_Phdr = libc::Elf64_Phdr {
    p_type: 0,
    p_flags: 0,
    p_offset: 0,
    p_vaddr: 0,
    p_paddr: 0,
    p_filesz: 0,
    p_memsz: 0,
    p_align: 0,
};

/// The program headers of the image whose ELF header is at `start`, and how many (ELF gABI, "ELF Header", "Program Header").
fn read_headers(start: Addr, into: &mut [libc::Elf64_Phdr; HEADERS]) -> Option<usize> {
    const SIZE: usize = size_of::<libc::Elf64_Phdr>();
    let mut header = [0; ELF_HEADER];
    read(start, &mut header)?;
    let (table, count) = (word(&header, 32)?, usize::from(half(&header, 56)?));
    if !header.starts_with(b"\x7fELF") || usize::from(half(&header, 54)?) != SIZE || count > HEADERS {
        return None;
    }
    let mut bytes = [0; HEADERS * SIZE];
    let bytes = bytes.get_mut(..count * SIZE)?;
    read(Addr::new(start.get().wrapping_add(table)), bytes)?;
    for (to, bytes) in into.iter_mut().zip(bytes.chunks(SIZE)) {
        let long = |at| word(bytes, at).map(|word| word as u64);
        (to.p_type, to.p_flags) = (long(0)? as u32, (long(0)? >> 32) as u32);
        (to.p_offset, to.p_vaddr) = (long(8)?, long(16)?);
        (to.p_filesz, to.p_memsz, to.p_align) = (long(32)?, long(40)?, long(48)?);
    }
    Some(count)
}

fn read_build_id<'a>(bias: usize, headers: &[libc::Elf64_Phdr], into: &'a mut [u8; BUILD_ID]) -> &'a [u8] {
    for header in headers.iter().filter(|header| header.p_type == libc::PT_NOTE) {
        let mut notes = [0; NOTES];
        let Some(notes) = notes.get_mut(..header.p_memsz as usize) else { continue };
        let at = Addr::new(bias.wrapping_add(header.p_vaddr as usize));
        if read(at, notes).is_some()
            && let Some(id) = build_id_of_notes(notes)
        {
            into.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
            return into.get(..id.len()).unwrap_or_default();
        }
    }
    &[]
}

fn read(at: Addr, into: &mut [u8]) -> Option<()> {
    let len = into.len();
    read_some(at, into).is_ok_and(|read| read == len).then_some(())
}

/// As much as is there.
fn read_some(at: Addr, into: &mut [u8]) -> Result<usize, Errno> {
    if task::seccomp_mode() == 0 {
        return memory::read_own(at, into);
    }
    // A filter may kill for a call that is seldom made, but hardly for these.
    let memory = file::open(c"/proc/self/mem", libc::O_RDONLY, 0)?;
    file::read_at(&memory, into, at.get() as u64)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::find_object;

    fn ask_the_loader() {
        // SAFETY: a function of libc, or null.
        let ask = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
        assert!(!ask.is_null(), "glibc 2.35 and later have it");
        // SAFETY: the function of that name.
        find_object::set(Some(unsafe {
            core::mem::transmute::<*mut libc::c_void, find_object::FindObject>(ask)
        }));
    }

    #[test]
    fn the_list_is_the_same_with_and_without_the_lock() {
        ask_the_loader();
        let (mut with, mut without) = (vec![], vec![]);
        modules::tests::list(&mut |loaded| with.push(loaded.facts()));
        let own = the_list_is_the_same_with_and_without_the_lock as *const () as usize;
        assert!(for_each_image(own, &mut |loaded| without.push(loaded.facts())));
        assert!(with.len() >= 3 && with == without, "{with:x?}\n{without:x?}");
        assert!(!for_each_image(8, &mut |_| {}));
    }

    #[test]
    fn an_image_is_entered_as_the_loader_lists_it() {
        ask_the_loader();
        let pc = libc::qsort as *const () as usize;
        assert_eq!(enter(pc), Some(()));
        let entered = modules::find(Addr::new(pc)).unwrap();
        modules::update(modules::tests::list);
        let listed = modules::all().filter(|module| module.range().contains(Addr::new(pc))).count();
        assert_eq!(listed, 1, "the loader's list has the same: bias, range, path and build id");
        assert!(entered.is_loaded() && entered.build_id(&mut [0; BUILD_ID]).len() == 20);
        assert_eq!(enter(8), None);
    }
}
