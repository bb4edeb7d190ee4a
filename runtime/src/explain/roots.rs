//! Which root an address lies in.

use crate::base::{Addr, Errno};
use crate::harvest::{Harvest, Root, Strength};
use crate::mem::MapVec;

/// Indexes of the roots of a harvest, by address: each with the farthest end of those up to it, for roots may overlap.
pub(super) struct Roots(MapVec<(Addr, Addr, usize)>);

impl Roots {
    pub(super) fn new(harvest: &Harvest) -> Result<Roots, Errno> {
        let mut list = MapVec::new();
        for (index, root) in harvest.roots.iter().enumerate() {
            list.push((root.range.start, root.range.end, index))?;
        }
        list.sort_unstable();
        let mut farthest = Addr::NULL;
        for (_, end, _) in list.iter_mut() {
            farthest = farthest.max(*end);
            *end = farthest;
        }
        Ok(Roots(list))
    }

    /// The root that holds `at`; of several a strong one, and the first of the harvest.
    pub(super) fn at<'a>(&self, harvest: &'a Harvest, at: Addr) -> Option<&'a Root> {
        let before = self.0.partition_point(|(start, ..)| *start <= at);
        let near = self.0.get(..before).unwrap_or_default().iter().rev();
        near.take_while(|(_, farthest, _)| at < *farthest)
            .filter_map(|(.., index)| Some((*index, harvest.roots.get(*index)?)))
            .filter(|(_, root)| root.range.contains(at))
            .min_by_key(|(index, root)| (root.strength != Strength::Strong, *index))
            .map(|(_, root)| root)
    }
}
