//! Nodes: mappings that are no roots, but whose contents count when something reachable points into them.
//!
//! A node is a run of touching mappings of one sort, whatever their protection, minus what is claimed: an arena with a
//! guard page in its middle is one node, the arenas on both sides of a thread's stack are two. Sorts are private memory
//! without a file; a private mapping of a file that is no module's data (its changed pages); and shared memory that the
//! program can write, here or elsewhere.
//!
//! Where it is known which memory the program has mapped at once ([`threads::mappings`](crate::threads::mappings)), that
//! is a sort of its own, whatever lies beside it; files that can only be read are nodes then as well, so that it is seen
//! whether anything points to them.

use crate::base::{Addr, AddrRange, Errno};
use crate::threads::mappings;

use super::maps::{Backing, FileId, Mapping, Maps};
use super::model::{Harvest, Node};
use super::regions::Claims;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Anonymous,
    Private(FileId),
    Shared(FileId),
    Group(u32),
}

/// Appends all nodes to `harvest`. `known`: what the program mapped, by address.
pub(super) fn find(
    maps: &Maps,
    claims: &Claims,
    known: &[mappings::Mapping],
    harvest: &mut Harvest,
) -> Result<(), Errno> {
    let mut last: Option<(Sort, Addr)> = None;
    for mapping in maps.all() {
        for range in claims.left_of(mapping.range) {
            for (range, group) in pieces(range, known) {
                let Some(sort) = sort(mapping, group) else { continue };
                if last != Some((sort, range.start)) {
                    harvest.runs += 1;
                }
                harvest.nodes.push(Node { range, run: harvest.runs - 1 })?;
                last = Some((sort, range.end));
            }
        }
    }
    Ok(())
}

/// Cuts a range at the borders of what is known.
fn pieces(
    range: AddrRange,
    known: &[mappings::Mapping],
) -> impl Iterator<Item = (AddrRange, Option<u32>)> + '_ {
    let first = known.partition_point(|one| one.range.end <= range.start);
    let mut known = known.get(first..).unwrap_or_default().iter().peekable();
    let mut at = range.start;
    core::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let (end, group) = match known.peek() {
            Some(one) if one.range.start <= at => (one.range.end, Some(one.group)),
            Some(one) => (one.range.start, None),
            None => (range.end, None),
        };
        let piece = AddrRange::new(at, end.min(range.end));
        at = piece.end;
        known.next_if(|one| one.range.end <= at);
        Some((piece, group))
    })
}

fn sort(mapping: &Mapping, group: Option<u32>) -> Option<Sort> {
    match (mapping.backing, group) {
        (Backing::Anonymous | Backing::File, Some(group)) => Some(Sort::Group(group)),
        (Backing::Anonymous, None) if !mapping.shared => Some(Sort::Anonymous),
        (Backing::File, None) if mapping.shared => {
            mapping.is_shared_memory().then_some(Sort::Shared(mapping.file))
        }
        (Backing::File, None) => Some(Sort::Private(mapping.file)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::StackId;

    #[test]
    fn a_range_is_cut_where_a_known_mapping_begins_and_ends() {
        let range = |start, end| AddrRange::new(Addr::new(start), Addr::new(end));
        let one =
            |start, end, group| mappings::Mapping { range: range(start, end), stack: StackId(1), group };
        let known = [one(10, 20, 0), one(20, 30, 1), one(50, 60, 2), one(90, 100, 3)];
        let all = |start, end| pieces(range(start, end), &known).collect::<Vec<_>>();
        assert_eq!(all(15, 18), [(range(15, 18), Some(0))]);
        assert_eq!(all(30, 50), [(range(30, 50), None)]);
        assert_eq!(
            all(0, 95),
            [
                (range(0, 10), None),
                (range(10, 20), Some(0)),
                (range(20, 30), Some(1)),
                (range(30, 50), None),
                (range(50, 60), Some(2)),
                (range(60, 90), None),
                (range(90, 95), Some(3)),
            ]
        );
    }
}
