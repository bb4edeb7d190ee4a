//! Enters the images that call stacks run through, where the loader's lock may not be taken: inside free, which may be
//! called with that lock held, or by a thread for which its holder waits.
//!
//! `_dl_find_object(3)` tells without a lock which image a pc is in. What it points to is read through /proc/self/mem: an
//! image that another thread is closing at this moment costs a name, no crash.
//!
//! Contract: inside malloc. Waits for nobody.
//!
//! Not promised: without that function (glibc before 2.35) an image that was opened since the last update stays unknown.
//! musl's list is always up to date (`ffi/src/modules.rs`).

use crate::base::Addr;
use crate::sys::file::{self, Fd};

use super::find_object::image_at;
use super::modules::{self, BUILD_ID, Loaded, PATH, build_id_of_notes};
use super::{MAX_DEPTH, StackId, frames};

/// More headers or longer notes than this no linker makes.
const HEADERS: usize = 32;
const NOTES: usize = 1024;

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
    let (start, description) = image_at(pc)?;
    let memory = file::open(c"/proc/self/mem", libc::O_RDONLY, 0).ok()?;
    // The first members of struct link_map, which are public (link.h): l_addr and l_name.
    let mut words = [0; 16];
    read(&memory, description, &mut words)?;
    let (bias, name_at) = (word(&words, 0)?, word(&words, 8)?);
    let mut name = [0; PATH];
    let read_of_name = file::read_at(&memory, &mut name, name_at as u64).ok()?;
    let name = name.get(..read_of_name)?.split(|byte| *byte == 0).next()?;
    let mut headers = [NO_HEADER; HEADERS];
    let headers = read_headers(&memory, start, &mut headers)?;
    let mut build_id = [0; BUILD_ID];
    let build_id = read_build_id(&memory, bias, headers, &mut build_id);
    modules::enter(&Loaded::told(name, bias, headers, build_id));
    Some(())
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

/// The program headers of the image whose ELF header is at `start` (ELF gABI, "ELF Header", "Program Header").
fn read_headers<'a>(
    memory: &Fd,
    start: Addr,
    into: &'a mut [libc::Elf64_Phdr; HEADERS],
) -> Option<&'a [libc::Elf64_Phdr]> {
    let mut header = [0; 64];
    read(memory, start, &mut header)?;
    let (table, count) = (word(&header, 32)?, usize::from(half(&header, 56)?));
    if !header.starts_with(b"\x7fELF") || half(&header, 54)? != 56 || count > HEADERS {
        return None;
    }
    for (index, to) in into.iter_mut().take(count).enumerate() {
        let mut bytes = [0; 56];
        read(memory, Addr::new(start.get().wrapping_add(table + index * 56)), &mut bytes)?;
        let long = |at| word(&bytes, at).map(|word| word as u64);
        (to.p_type, to.p_flags) = (long(0)? as u32, (long(0)? >> 32) as u32);
        (to.p_offset, to.p_vaddr) = (long(8)?, long(16)?);
        (to.p_filesz, to.p_memsz, to.p_align) = (long(32)?, long(40)?, long(48)?);
    }
    into.get(..count)
}

fn read_build_id<'a>(
    memory: &Fd,
    bias: usize,
    headers: &[libc::Elf64_Phdr],
    into: &'a mut [u8; BUILD_ID],
) -> &'a [u8] {
    for header in headers.iter().filter(|header| header.p_type == libc::PT_NOTE) {
        let mut notes = [0; NOTES];
        let Some(notes) = notes.get_mut(..header.p_memsz as usize) else { continue };
        let at = Addr::new(bias.wrapping_add(header.p_vaddr as usize));
        if read(memory, at, notes).is_some()
            && let Some(id) = build_id_of_notes(notes)
        {
            into.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
            return into.get(..id.len()).unwrap_or_default();
        }
    }
    &[]
}

fn read(memory: &Fd, at: Addr, into: &mut [u8]) -> Option<()> {
    let len = into.len();
    file::read_at(memory, into, at.get() as u64).is_ok_and(|read| read == len).then_some(())
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

    #[test]
    fn an_image_is_entered_as_the_loader_lists_it() {
        // SAFETY: a function of libc, or null.
        let ask = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
        assert!(!ask.is_null(), "glibc 2.35 and later have it");
        // SAFETY: the function of that name.
        find_object::set(Some(unsafe {
            core::mem::transmute::<*mut libc::c_void, find_object::FindObject>(ask)
        }));
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
