//! From a program counter to the unwind tables of the image that it lies in, without a lock.
//!
//! glibc >= 2.35 has `_dl_find_object(3)` for exactly this: lock-free, async-signal-safe, and right also between a
//! library's mapping and the end of its dlopen. Its address is handed in at init (weak symbol), since the core links
//! with no libc. Without it the table of remembered modules serves (modules.rs), which is filled outside malloc.
//!
//! Why never dl_iterate_phdr(3) here: it takes the loader's lock, and malloc is called with that lock held.

use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::base::{Addr, AddrRange};

use super::modules;

/// `struct dl_find_object` (bits/dl_find_object.h; x86-64 has no dlfo_eh_dbase).
#[repr(C)]
pub struct DlFindObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: usize,
    eh_frame: usize,
    reserved: [u64; 7],
}

impl DlFindObject {
    fn range(&self) -> AddrRange {
        AddrRange::new(Addr::new(self.map_start), Addr::new(self.map_end))
    }

    fn tables_in(&self, image: AddrRange) -> UnwindTables {
        UnwindTables { search_table: AddrRange::new(Addr::new(self.eh_frame), image.end), image }
    }
}

/// `int _dl_find_object(void *pc, struct dl_find_object *result)`: 0 if an object was found.
pub type FindObject = unsafe extern "C" fn(usize, *mut DlFindObject) -> i32;

static FIND_OBJECT: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Where the unwind tables of an image lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnwindTables {
    /// The table for binary search, in the form of .eh_frame_hdr; it may end before.
    pub search_table: AddrRange,
    /// Where they lie: the image, from its first to its last segment, or a segment of it.
    pub image: AddrRange,
}

/// Takes the loader's function. Called once, at init, before or after the first capture.
pub fn set(function: Option<FindObject>) {
    FIND_OBJECT.store(function.map_or(core::ptr::null_mut(), |f| f as *mut ()), Relaxed);
}

/// The image that `pc` is in: where it begins, or, of a program whose segments lie apart, the segment; and where the loader
/// describes it (`struct link_map`, link.h).
pub fn image_at(pc: usize) -> Option<(Addr, Addr)> {
    let found = ask(pc)?;
    Some((Addr::new(found.map_start), Addr::new(found.link_map)))
}

/// Asks the loader, where it can be asked.
fn ask(pc: usize) -> Option<DlFindObject> {
    let function = FIND_OBJECT.load(Relaxed);
    if function.is_null() {
        return None;
    }
    // SAFETY: only `set` stores here, and it stores functions of this type.
    let function = unsafe { core::mem::transmute::<*mut (), FindObject>(function) };
    let mut found =
        DlFindObject { flags: 0, map_start: 0, map_end: 0, link_map: 0, eh_frame: 0, reserved: [0; 7] };
    // SAFETY: the function fills one structure, which has the layout of its header.
    (unsafe { function(pc, &mut found) } == 0).then_some(found)
}

/// The tables for the code at `pc`; `None` for code that no image contains, or an image without tables.
pub fn unwind_tables(pc: usize) -> Option<UnwindTables> {
    if FIND_OBJECT.load(Relaxed).is_null() {
        return modules::unwind_tables(Addr::new(pc));
    }
    let found = ask(pc)?;
    if found.eh_frame == 0 {
        // A static program, perhaps, for which we have made a table.
        return modules::unwind_tables(Addr::new(pc));
    }
    let image = found.range();
    if image.contains(Addr::new(found.eh_frame)) {
        return Some(found.tables_in(image));
    }
    // The loader knows a program whose segments lie apart segment by segment: another has the tables.
    let segment = ask(found.eh_frame)?.range();
    segment.contains(Addr::new(found.eh_frame)).then_some(found.tables_in(segment))
}
