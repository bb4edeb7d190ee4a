//! Which parts of memory are segments of the file, and what of them is written.

use crate::arch::page_size;
use crate::base::{AddrRange, Errno};
use crate::harvest::maps::{Backing, Mapping, Maps};
use crate::harvest::presence::Presence;
use crate::mem::MapVec;

use super::target::Target;

/// A loadable segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) range: AddrRange,
    /// PF_R, PF_W, PF_X.
    pub(super) flags: u32,
    /// The size of the range, or 0 where nothing is written: the debugger then looks in the mapped file.
    pub(super) file_size: u64,
    pub(super) file_start: u64,
    content: Content,
}

/// Which pages of a segment are copied; the others were never touched and stay holes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// None.
    Nothing,
    /// All: no list of present pages knows them, or it is one page.
    Whole,
    /// The program's own.
    Own,
    /// Those of a file without a name.
    Shared,
}

/// All segments by address.
pub(super) struct Segments {
    list: MapVec<Segment>,
}

impl Segments {
    /// Decides for each mapping.
    pub(super) fn of(maps: &Maps, present: &Presence, target: &Target) -> Result<Segments, Errno> {
        let mut segments = Segments { list: MapVec::new() };
        for mapping in maps.all() {
            match mapping.backing {
                Backing::Device => {}
                // The code that the kernel maps is needed to unwind through it; its data changes by itself.
                Backing::Kernel if mapping.execute && mapping.read => {
                    segments.push(mapping, mapping.range, Content::Whole)?;
                }
                Backing::Kernel => {}
                Backing::Anonymous | Backing::MainStack => {
                    let touched = present.readable.within(mapping.range).next().is_some();
                    let content = if touched { Content::Own } else { Content::Nothing };
                    segments.push(mapping, mapping.range, content)?;
                }
                Backing::File if mapping.shared => {
                    let touched = mapping.unlinked && present.file.within(mapping.range).next().is_some();
                    let content = if touched { Content::Shared } else { Content::Nothing };
                    segments.push(mapping, mapping.range, content)?;
                }
                Backing::File => segments.private_file(mapping, present, target)?,
            }
        }
        Ok(segments)
    }

    /// Pages that the program changed are written, and the first page of an ELF image; the rest is the file's.
    fn private_file(&mut self, mapping: &Mapping, present: &Presence, target: &Target) -> Result<(), Errno> {
        let mut at = mapping.range.start;
        let head = AddrRange::sized(at, page_size());
        let has_head = mapping.offset == 0 && present.file.within(head).next().is_some();
        if has_head && target.begins_with(head.start, b"\x7fELF") {
            self.push(mapping, head, Content::Whole)?;
            at = head.end;
        }
        for changed in present.readable.within(AddrRange::new(at, mapping.range.end)) {
            self.push(mapping, AddrRange::new(at, changed.start), Content::Nothing)?;
            self.push(mapping, changed, Content::Own)?;
            at = changed.end;
        }
        self.push(mapping, AddrRange::new(at, mapping.range.end), Content::Nothing)
    }

    fn push(&mut self, mapping: &Mapping, range: AddrRange, content: Content) -> Result<(), Errno> {
        const PF_X: u32 = 1;
        const PF_W: u32 = 2;
        const PF_R: u32 = 4;
        if range.is_empty() {
            return Ok(());
        }
        let mut flags = 0;
        for (is, flag) in [(mapping.read, PF_R), (mapping.write, PF_W), (mapping.execute, PF_X)] {
            flags |= if is { flag } else { 0 };
        }
        let file_size = if content == Content::Nothing { 0 } else { range.len() as u64 };
        self.list.push(Segment { range, flags, file_size, file_start: 0, content })
    }

    /// Gives each its place in the file, from `at` on.
    pub(super) fn place(&mut self, mut at: u64) {
        for segment in self.list.iter_mut() {
            segment.file_start = at;
            at += segment.file_size;
        }
    }

    pub(super) fn all(&self) -> &[Segment] {
        &self.list
    }

    /// What of a segment is copied, by address.
    pub(super) fn contents<'a>(
        &self,
        segment: &'a Segment,
        present: &'a Presence,
    ) -> impl Iterator<Item = AddrRange> + 'a {
        let content = segment.content;
        let whole = (content == Content::Whole).then_some(segment.range);
        let own = present.readable.within(segment.range).filter(move |_| content == Content::Own);
        let shared = present.file.within(segment.range).filter(move |_| content == Content::Shared);
        whole.into_iter().chain(own).chain(shared)
    }
}
