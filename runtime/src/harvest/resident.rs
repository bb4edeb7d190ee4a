//! Which memory may be read: pages that hold something.
//!
//! A page that was never touched holds no pointer; reading it would make the kernel map it (more resident memory), or
//! wait for the program (userfaultfd). Pages of a file that nobody changed are the file's bytes: no pointer either.

use crate::base::{Addr, AddrRange, Errno};
use crate::mem::MapVec;

/// Readable extents by address, disjoint.
pub struct Resident {
    extents: MapVec<AddrRange>,
}

impl Resident {
    /// Nothing.
    pub const fn nothing() -> Resident {
        Resident { extents: MapVec::new() }
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
        let mut all = Resident::nothing();
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
