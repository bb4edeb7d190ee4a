//! Claims: ranges that are spoken for, and what is left of the map when they are cut out.
//!
//! Ranges are classified, never lines of the map: the kernel merges neighbours of different use and splits what belongs
//! together.

use crate::base::{AddrRange, Errno};
use crate::mem::MapVec;

/// Ranges that are no nodes: our own, the heap's, modules' data, stacks, TLS. They may overlap.
pub(super) struct Claims {
    list: MapVec<AddrRange>,
    sorted: bool,
}

impl Claims {
    pub(super) const fn new() -> Claims {
        Claims { list: MapVec::new(), sorted: true }
    }

    /// Takes `range` out of the nodes.
    pub(super) fn add(&mut self, range: AddrRange) -> Result<(), Errno> {
        self.sorted = false;
        if range.is_empty() { Ok(()) } else { self.list.push(range) }
    }

    /// Makes room for `more` claims.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), Errno> {
        self.list.reserve(self.list.len() + more)
    }

    /// The claims.
    pub(super) fn ranges(&self) -> &[AddrRange] {
        &self.list
    }

    /// Orders the claims and merges those that overlap or touch.
    pub(super) fn sort(&mut self) {
        self.list.sort_unstable();
        let mut kept = 0usize;
        for at in 0..self.list.len() {
            let Some(&next) = self.list.get(at) else { break };
            match kept.checked_sub(1).and_then(|last| self.list.get_mut(last)) {
                Some(last) if next.start <= last.end => last.end = last.end.max(next.end),
                _ => {
                    if let Some(slot) = self.list.get_mut(kept) {
                        *slot = next;
                    }
                    kept += 1;
                }
            }
        }
        self.list.truncate(kept);
        self.sorted = true;
    }

    /// What of `range` nobody claims, by address.
    pub(super) fn left_of(&self, range: AddrRange) -> impl Iterator<Item = AddrRange> + '_ {
        debug_assert!(self.sorted);
        let first = self.list.partition_point(|claim| claim.end <= range.start);
        let mut claims = self.list.get(first..).unwrap_or_default().iter();
        let mut at = range.start;
        core::iter::from_fn(move || {
            while at < range.end {
                let claim = claims.next().filter(|claim| claim.start < range.end);
                let piece = AddrRange::new(at, claim.map_or(range.end, |claim| claim.start));
                at = claim.map_or(range.end, |claim| claim.end);
                if !piece.is_empty() {
                    return Some(piece);
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Addr;
    use proptest::prelude::*;

    fn range(start: usize, end: usize) -> AddrRange {
        AddrRange::new(Addr::new(start), Addr::new(end))
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_no_claim_contains(
            claims in prop::collection::vec((0usize..60, 0usize..20), 0..12),
            start in 0usize..40,
            len in 1usize..40,
        ) {
            let mut list = Claims::new();
            for (at, len) in &claims {
                list.add(range(*at, at + len)).unwrap();
            }
            list.sort();
            let left: Vec<usize> =
                list.left_of(range(start, start + len)).flat_map(|r| r.start.get()..r.end.get()).collect();
            let expected: Vec<usize> = (start..start + len)
                .filter(|at| !claims.iter().any(|(from, len)| (*from..from + len).contains(at)))
                .collect();
            prop_assert_eq!(left, expected);
        }
    }
}
