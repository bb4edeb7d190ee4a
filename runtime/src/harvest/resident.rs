//! Which memory may be read: pages that hold something.
//!
//! A page that was never touched holds no pointer; reading it would make the kernel map it (more resident memory), or
//! wait for the program (userfaultfd). Pages of a file that nobody changed are the file's bytes: no pointer either.

use crate::base::{Addr, AddrRange, Errno};
use crate::mem::MapVec;

/// Blocks up to so many bytes share their page with others, of which one is likely to have been touched.
const TAKEN_FOR_GRANTED: usize = 512;

/// Readable extents by address, disjoint.
pub struct Resident {
    extents: MapVec<AddrRange>,
    /// Bytes of a heap chunk up to which nobody asks for its page.
    granted: usize,
    /// Pages that guard others (MADV_GUARD_INSTALL) are not among these: one that cannot be read is a loss.
    without_guards: bool,
}

impl Resident {
    /// Nothing.
    pub const fn nothing() -> Resident {
        Resident { extents: MapVec::new(), granted: TAKEN_FOR_GRANTED, without_guards: false }
    }

    /// Chunks of any size have to be asked for: a page that is not there may be somebody else's to fill, who stands still
    /// (userfaultfd(2)).
    pub fn grant_nothing(&mut self) {
        self.granted = 0;
    }

    /// The kernel has told guards apart.
    pub(super) fn say_without_guards(&mut self) {
        self.without_guards = true;
    }

    /// Whether a page of these that cannot be read is certainly no guard.
    pub fn is_without_guards(&self) -> bool {
        self.without_guards
    }

    /// In place of `other`, of the same memory.
    pub(super) fn instead_of(self, other: &Resident) -> Resident {
        Resident { granted: other.granted, ..self }
    }

    /// Whether a heap chunk of so many bytes is read without a look here. The look costs more than to read it.
    #[inline]
    pub fn is_granted(&self, bytes: usize) -> bool {
        bytes <= self.granted
    }

    /// All memory, for a memory that survives any read by itself.
    pub fn everything() -> Result<Resident, Errno> {
        let mut resident = Resident::nothing();
        resident.push(AddrRange::new(Addr::NULL, Addr::new(usize::MAX & !7)))?;
        Ok(resident)
    }

    /// Appends an extent, which begins at or behind the end of the last one.
    pub fn push(&mut self, extent: AddrRange) -> Result<(), Errno> {
        if extent.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.extents.last_mut() {
            debug_assert!(last.end <= extent.start);
            if last.end == extent.start {
                last.end = extent.end;
                return Ok(());
            }
        }
        self.extents.push(extent)
    }

    /// With `others`, which are by address, disjoint, and may overlap these.
    pub fn joined(&self, others: &[AddrRange]) -> Result<Resident, Errno> {
        let mut all = Resident { extents: MapVec::new(), ..*self };
        let (mut own, mut others) = (self.extents.iter().peekable(), others.iter().peekable());
        while let Some(next) = match (own.peek(), others.peek()) {
            (Some(one), Some(other)) if other.start < one.start => others.next(),
            (Some(_), _) => own.next(),
            (None, _) => others.next(),
        } {
            let end = all.extents.last().map_or(Addr::NULL, |last| last.end);
            all.push(AddrRange::new(next.start.max(end), next.end.max(end)))?;
        }
        Ok(all)
    }

    /// The extents.
    pub fn extents(&self) -> &[AddrRange] {
        &self.extents
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.extents.iter().map(|extent| extent.len()).sum()
    }

    /// The readable parts of `range`, by address.
    pub fn within(&self, range: AddrRange) -> impl Iterator<Item = AddrRange> + '_ {
        let first = self.extents.partition_point(|extent| extent.end <= range.start);
        self.extents
            .get(first..)
            .unwrap_or_default()
            .iter()
            .map(move |extent| extent.intersect(range))
            .take_while(|part| !part.is_empty())
    }
}
