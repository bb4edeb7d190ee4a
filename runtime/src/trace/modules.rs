//! The images that were ever loaded: path, build id, where, from when to when.
//!
//! A frame of a stack is a bare address; to name it after its library was closed, the library must have been
//! remembered. The table is filled from the loader's list *outside* malloc: around dlclose, before a check ([`update`]);
//! at init where the unwinder needs it; inside free, where a report is made, by `running.rs`. It is read lock-free in every phase, also in the stopped world: entries are atomics, added at the
//! end and never removed. Where `_dl_find_object` does not exist, or knows no table, it also serves the unwinder
//! ([`unwind_tables`]).
//!
//! Build ids are read from the mapped PT_NOTE segment, without libc and without opening the file.
//!
//! Not promised: an image that came and went between two updates; more than [`CAPACITY`] images.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::base::lock::Lock;
use crate::base::{Addr, AddrRange};
use crate::mem::ForeverWords;
use crate::sys::file;

use super::find_object::UnwindTables;
use super::search_table;
use super::stack_read::image_bytes;

/// Images remembered at most.
pub const CAPACITY: usize = 2048;
/// Executable ranges kept of each image; linkers make one, rarely two.
pub const EXECUTABLE: usize = 4;
/// The longest build id kept; SHA-1 has 20 bytes.
pub const BUILD_ID: usize = 32;
/// The longest path kept (PATH_MAX).
pub const PATH: usize = 4096;

/// An image as the loader lists it now (dl_iterate_phdr(3)).
pub struct Loaded<'a> {
    name: &'a [u8],
    bias: usize,
    headers: &'a [libc::Elf64_Phdr],
    /// None: the image is read for it.
    build_id: Option<&'a [u8]>,
}

impl<'a> Loaded<'a> {
    /// From `dlpi_name` (may be empty, for the program), `dlpi_addr` and `dlpi_phdr`.
    ///
    /// # Safety
    ///
    /// - The headers are those of an image that is mapped at `bias`, and stays so until the value is dropped.
    pub unsafe fn new(name: &'a [u8], bias: usize, headers: &'a [libc::Elf64_Phdr]) -> Loaded<'a> {
        Loaded { name, bias, headers, build_id: None }
    }

    /// The same of an image that may not be read: all is told that is to be known of it.
    pub(super) fn told(
        name: &'a [u8],
        bias: usize,
        headers: &'a [libc::Elf64_Phdr],
        build_id: &'a [u8],
    ) -> Loaded<'a> {
        Loaded { name, bias, headers, build_id: Some(build_id) }
    }

    fn range_of(&self, header: &libc::Elf64_Phdr) -> AddrRange {
        AddrRange::sized(Addr::new(self.bias.wrapping_add(header.p_vaddr as usize)), header.p_memsz as usize)
    }

    /// All that the table takes from it.
    #[cfg(test)]
    pub(super) fn facts(&self) -> (Vec<u8>, usize, AddrRange, AddrRange, Vec<u8>) {
        let name = self.name.to_vec();
        (name, self.bias, self.image(), self.search_table(), self.build_id().unwrap_or_default().to_vec())
    }

    fn segments(&self) -> impl Iterator<Item = (AddrRange, u32)> {
        let loads = self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        loads.map(|header| (self.range_of(header), header.p_flags))
    }

    /// The search table that its linker made (PT_GNU_EH_FRAME); for a static program without one, ours.
    fn search_table(&self) -> AddrRange {
        let made = self.headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME);
        match made {
            Some(header) => self.range_of(header),
            None if self.name.is_empty() => self.made_table().unwrap_or_default(),
            None => AddrRange::default(),
        }
    }

    /// A table of our own making, for the program.
    pub(super) fn made_table(&self) -> Option<AddrRange> {
        let is_loaded = |range: AddrRange| {
            self.segments().any(|(load, flags)| flags & libc::PF_R != 0 && load.intersect(range) == range)
        };
        search_table::of_program(self.bias, is_loaded)
    }

    /// Bytes of its thread-local storage, and their alignment.
    pub fn thread_local_storage(&self) -> Option<(usize, usize)> {
        let segment = self.headers.iter().find(|header| header.p_type == libc::PT_TLS)?;
        Some((segment.p_memsz as usize, (segment.p_align as usize).max(1)))
    }

    fn image(&self) -> AddrRange {
        let mut image = AddrRange::default();
        for (range, _) in self.segments() {
            let start = if image.is_empty() { range.start } else { image.start.min(range.start) };
            image = AddrRange::new(start, image.end.max(range.end));
        }
        image
    }

    /// The description of the NT_GNU_BUILD_ID note (ELF gABI, "Note Section"; linkers' --build-id).
    fn build_id(&self) -> Option<&[u8]> {
        if self.build_id.is_some() {
            return self.build_id;
        }
        let notes = self.headers.iter().filter(|header| header.p_type == libc::PT_NOTE);
        notes.map(|header| self.range_of(header)).find_map(|range| {
            let readable =
                |(load, flags): (AddrRange, u32)| flags & libc::PF_R != 0 && load.intersect(range) == range;
            if range.is_empty() || !self.segments().any(readable) {
                return None;
            }
            // SAFETY: inside a readable segment of a mapped image, which the type promises.
            build_id_of_notes(unsafe { image_bytes(range) })
        })
    }
}

/// Finds the build id among the notes of an ELF file, which may be damaged.
pub fn build_id_of_notes(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let word =
        |bytes: &[u8], at: usize| bytes.get(at..at + 4).map(|w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
    loop {
        let (name_len, len, kind) = (word(notes, 0)? as usize, word(notes, 4)? as usize, word(notes, 8)?);
        let name = notes.get(12..12usize.checked_add(name_len)?)?;
        let start = 12usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let description = notes.get(start..start.checked_add(len)?)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return Some(description);
        }
        notes = notes.get(start.checked_add(len.checked_next_multiple_of(4)?)?..)?;
    }
}

struct Slot {
    bias: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    search_table: (AtomicUsize, AtomicUsize),
    executable: [(AtomicUsize, AtomicUsize); EXECUTABLE],
    build_id: [AtomicU32; BUILD_ID / 4],
    build_id_len: AtomicU32,
    path: AtomicU32,
    path_len: AtomicU32,
    loaded: AtomicU32,
    unloaded: AtomicU32,
    /// The update that saw it last.
    seen: AtomicU32,
}

impl Slot {
    const fn new() -> Slot {
        Slot {
            bias: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            search_table: (AtomicUsize::new(0), AtomicUsize::new(0)),
            executable: [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; EXECUTABLE],
            build_id: [const { AtomicU32::new(0) }; BUILD_ID / 4],
            build_id_len: AtomicU32::new(0),
            path: AtomicU32::new(0),
            path_len: AtomicU32::new(0),
            loaded: AtomicU32::new(0),
            unloaded: AtomicU32::new(0),
            seen: AtomicU32::new(0),
        }
    }
}

static SLOTS: [Slot; CAPACITY] = [const { Slot::new() }; CAPACITY];
static USED: AtomicUsize = AtomicUsize::new(0);
static PATHS: ForeverWords<16> = ForeverWords::new();
/// Held by the one who updates; the number of updates.
static UPDATES: Lock<u32> = Lock::new(0);

/// A remembered image.
#[derive(Clone, Copy)]
pub struct Module {
    slot: &'static Slot,
    /// Its place in the table, from 0.
    pub index: usize,
}

impl Module {
    /// What is to be subtracted from an address to have the one in the file.
    pub fn bias(&self) -> usize {
        self.slot.bias.load(Relaxed)
    }

    /// From the first segment to the end of the last.
    pub fn range(&self) -> AddrRange {
        AddrRange::new(Addr::new(self.slot.start.load(Relaxed)), Addr::new(self.slot.end.load(Relaxed)))
    }

    /// Where its code lies.
    pub fn executable(&self) -> impl Iterator<Item = AddrRange> {
        let ranges = self.slot.executable.iter();
        let ranges = ranges
            .map(|(start, end)| AddrRange::new(Addr::new(start.load(Relaxed)), Addr::new(end.load(Relaxed))));
        ranges.filter(|range| !range.is_empty())
    }

    /// The bytes of its build id, in `into`; empty if it has none.
    pub fn build_id<'a>(&self, into: &'a mut [u8; BUILD_ID]) -> &'a [u8] {
        for (bytes, word) in into.chunks_exact_mut(4).zip(&self.slot.build_id) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        into.get(..self.slot.build_id_len.load(Relaxed) as usize).unwrap_or_default()
    }

    /// Its path, in `into`, as the loader names it; the program's own by /proc/self/exe.
    pub fn path<'a>(&self, into: &'a mut [u8; PATH]) -> &'a [u8] {
        let len = (self.slot.path_len.load(Relaxed) as usize).min(PATH);
        let Some(words) = PATHS.words(self.slot.path.load(Relaxed), len.div_ceil(4)) else { return &[] };
        for (bytes, word) in into.chunks_mut(4).zip(words) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        into.get(..len).unwrap_or_default()
    }

    fn path_is(&self, name: &[u8]) -> bool {
        let len = self.slot.path_len.load(Relaxed) as usize;
        let words = PATHS.words(self.slot.path.load(Relaxed), len.div_ceil(4)).unwrap_or_default();
        len == name.len().min(PATH)
            && words.iter().zip(name.chunks(4)).all(|(word, bytes)| word.load(Relaxed) == packed(bytes))
    }

    /// The update that saw it first, and the one that missed it, if it is gone.
    pub fn lifetime(&self) -> (u32, Option<u32>) {
        let unloaded = self.slot.unloaded.load(Acquire);
        (self.slot.loaded.load(Relaxed), (unloaded != 0).then_some(unloaded))
    }

    /// True while it is loaded, as far as the last update knows.
    pub fn is_loaded(&self) -> bool {
        self.lifetime().1.is_none()
    }
}

/// Every remembered image, in the order in which they were seen.
pub fn all() -> impl DoubleEndedIterator<Item = Module> {
    let used = USED.load(Acquire).min(CAPACITY);
    SLOTS.iter().take(used).enumerate().map(|(index, slot)| Module { slot, index })
}

/// The image that `pc` lies in: a loaded one, else the one that was there last. One may lie in a gap between the segments of
/// another (on aarch64 the vdso in the loader's): the smallest.
pub fn find(pc: Addr) -> Option<Module> {
    let all = || all().rev().filter(|module| module.range().contains(pc));
    all().filter(Module::is_loaded).min_by_key(|module| module.range().len()).or_else(|| all().next())
}

/// The unwind tables for the code at `pc`, by this table.
pub fn unwind_tables(pc: Addr) -> Option<UnwindTables> {
    let module = all().find(|module| module.is_loaded() && module.range().contains(pc))?;
    let (start, end) = &module.slot.search_table;
    let search_table = AddrRange::new(Addr::new(start.load(Relaxed)), Addr::new(end.load(Relaxed)));
    (!search_table.is_empty()).then_some(UnwindTables { search_table, image: module.range() })
}

/// Brings the table up to date. `list` calls its argument for every loaded image, as dl_iterate_phdr(3) does, and says
/// whether these were all; it may hold the loader's lock, and nobody asks for that lock while holding ours. Returns true if
/// anything changed; then the unwinder's memory of code has been dropped as well.
pub fn update(list: impl FnOnce(&mut dyn FnMut(&Loaded<'_>)) -> bool) -> bool {
    let Some(mut updates) = UPDATES.try_lock() else { return false };
    let update = updates.wrapping_add(1).max(1);
    let mut changed = false;
    let all_listed = list(&mut |loaded| changed |= see(loaded, update));
    for module in all() {
        if all_listed && module.is_loaded() && module.slot.seen.load(Relaxed) != update {
            module.slot.unloaded.store(update, Release);
            changed = true;
        }
    }
    *updates = update;
    drop(updates);
    // What the first update enters was there all the time.
    if changed && update > 1 {
        super::modules_changed();
    }
    changed
}

/// Enters one image more. Waits for nobody: not if somebody else is updating.
pub(super) fn enter(loaded: &Loaded<'_>) {
    if let Some(updates) = UPDATES.try_lock() {
        see(loaded, (*updates).max(1));
    }
}

/// Enters an image, or finds it entered. True if it is new.
fn see(loaded: &Loaded<'_>, update: u32) -> bool {
    let image = loaded.image();
    let build_id = loaded.build_id().unwrap_or_default();
    let build_id = build_id.get(..build_id.len().min(BUILD_ID)).unwrap_or_default();
    let known = |module: &Module| {
        module.is_loaded()
            && module.range() == image
            && module.bias() == loaded.bias
            && module.build_id(&mut [0; BUILD_ID]) == build_id
            && (loaded.name.is_empty() || module.path_is(loaded.name))
    };
    if let Some(module) = all().find(known) {
        module.slot.seen.store(update, Relaxed);
        return false;
    }
    let used = USED.load(Relaxed);
    let Some(slot) = SLOTS.get(used) else { return false };
    match loaded.name {
        [] => name_program(slot),
        name => set_path(slot, name),
    }
    let executable = loaded.segments().filter(|(_, flags)| flags & libc::PF_X != 0);
    for ((start, end), (range, _)) in slot.executable.iter().zip(executable) {
        start.store(range.start.get(), Relaxed);
        end.store(range.end.get(), Relaxed);
    }
    for (word, bytes) in slot.build_id.iter().zip(build_id.chunks(4)) {
        word.store(packed(bytes), Relaxed);
    }
    slot.build_id_len.store(build_id.len() as u32, Relaxed);
    let search_table = loaded.search_table();
    slot.search_table.0.store(search_table.start.get(), Relaxed);
    slot.search_table.1.store(search_table.end.get(), Relaxed);
    slot.bias.store(loaded.bias, Relaxed);
    slot.start.store(image.start.get(), Relaxed);
    slot.end.store(image.end.get(), Relaxed);
    slot.loaded.store(update, Relaxed);
    slot.seen.store(update, Relaxed);
    // Release: whoever sees the number sees the entry.
    USED.store(used + 1, Release);
    true
}

fn packed(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u32::from_ne_bytes(word)
}

fn set_path(slot: &Slot, path: &[u8]) {
    let path = path.get(..path.len().min(PATH)).unwrap_or_default();
    let Some(index) = PATHS.reserve(path.len().div_ceil(4), usize::MAX) else { return };
    for (word, bytes) in
        PATHS.words(index, path.len().div_ceil(4)).unwrap_or_default().iter().zip(path.chunks(4))
    {
        word.store(packed(bytes), Relaxed);
    }
    slot.path.store(index, Relaxed);
    slot.path_len.store(path.len() as u32, Relaxed);
}

/// A page of stack, once.
#[cold]
#[inline(never)]
fn name_program(slot: &Slot) {
    set_path(slot, file::read_link(PROGRAM, &mut [0; PATH]).unwrap_or_default());
}

const PROGRAM: &CStr = c"/proc/self/exe";

/// In a forked child: a thread that is not here may have been updating.
pub fn after_fork_in_child() {
    // An entry that was being written is not counted yet, and is written again by the next.
    // SAFETY: the child has one thread, and it is not inside `update`.
    unsafe { UPDATES.force_unlock() };
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The loader's list, by libc.
    pub fn list(each: &mut dyn FnMut(&Loaded<'_>)) -> bool {
        type Each<'a> = &'a mut dyn FnMut(&Loaded<'_>);
        unsafe extern "C" fn one(info: *mut libc::dl_phdr_info, _: usize, each: *mut libc::c_void) -> i32 {
            // SAFETY: dl_iterate_phdr passes a valid structure, whose name is a C string and whose headers are an
            // array, and our own pointer.
            unsafe {
                let info = &*info;
                let each: &mut Each<'_> = &mut *each.cast();
                let headers = core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
                let name = CStr::from_ptr(info.dlpi_name).to_bytes();
                each(&Loaded::new(name, info.dlpi_addr as usize, headers));
            }
            0
        }
        let mut each = each;
        // SAFETY: `one` has the callback's type, and gets the pointer that it expects.
        unsafe { libc::dl_iterate_phdr(Some(one), (&raw mut each).cast()) };
        true
    }

    #[test]
    fn the_program_and_libc_are_remembered() {
        update(list);
        let own = the_program_and_libc_are_remembered as *const () as usize;
        let module = find(Addr::new(own)).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(module.path(&mut [0; PATH]), exe.as_os_str().as_encoded_bytes());
        assert!(module.executable().any(|range| range.contains(Addr::new(own))));
        let libc = find(Addr::new(libc::getpid as *const () as usize)).unwrap();
        assert!(libc.path(&mut [0; PATH]).ends_with(b"libc.so.6"));
        assert_eq!(libc.build_id(&mut [0; BUILD_ID]).len(), 20);
        assert!(libc.is_loaded());
        assert!(unwind_tables(Addr::new(own)).is_some());
        assert!(find(Addr::new(8)).is_none());
    }

    #[test]
    fn notes_are_parsed_with_care() {
        let mut notes = vec![];
        for word in [4u32, 16, 1] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(b"GNU\0");
        notes.extend([0; 16]);
        for word in [4u32, 3, 3] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(b"GNU\0");
        notes.extend([1, 2, 3, 0]);
        assert_eq!(build_id_of_notes(&notes), Some(&[1, 2, 3][..]));
        for len in 0..notes.len() - 1 {
            assert_eq!(build_id_of_notes(&notes[..len]), None);
        }
        notes[0] = 0xff;
        notes[3] = 0xff;
        assert_eq!(build_id_of_notes(&notes), None);
    }
}
