//! Nodes: mappings that are no roots, but whose contents count when something reachable points into them.
//!
//! A node is a run of touching mappings of one sort, whatever their protection, minus what is claimed: an arena with a
//! guard page in its middle is one node, the arenas on both sides of a thread's stack are two. Sorts are private memory
//! without a file; a private mapping of a file that is no module's data (its changed pages); and shared memory that the
//! program can write.

use crate::base::{Addr, Errno};

use super::maps::{Backing, FileId, Mapping, Maps};
use super::model::{Harvest, Node};
use super::regions::Claims;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Anonymous,
    Private(FileId),
    Shared(FileId),
}

/// Appends all nodes to `harvest`.
pub(super) fn find(maps: &Maps, claims: &Claims, harvest: &mut Harvest) -> Result<(), Errno> {
    let mut last: Option<(Sort, Addr)> = None;
    for mapping in maps.all() {
        let Some(sort) = sort(mapping) else { continue };
        for range in claims.left_of(mapping.range) {
            if last != Some((sort, range.start)) {
                harvest.runs += 1;
            }
            harvest.nodes.push(Node { range, run: harvest.runs - 1 })?;
            last = Some((sort, range.end));
        }
    }
    Ok(())
}

fn sort(mapping: &Mapping) -> Option<Sort> {
    match mapping.backing {
        Backing::Anonymous if !mapping.shared => Some(Sort::Anonymous),
        Backing::File if mapping.shared => mapping.write.then_some(Sort::Shared(mapping.file)),
        Backing::File => Some(Sort::Private(mapping.file)),
        _ => None,
    }
}
