//! A chain for people: lists folded, the middle of a long one left out.

use crate::base::{Addr, AddrRange, Errno};
use crate::harvest::Harvest;
use crate::heap::{ChunkId, Provider};
use crate::mem::{MapVec, ReadMemory};
use crate::trace::StackId;

use super::hop::{Holder, Hop};
use super::paths::Paths;

/// Hops kept at each end of a chain.
const KEPT: usize = 24;

impl Paths {
    /// Appends the chain to chunk `id`, from the root on. Hops of a list become one, and of a long chain the middle
    /// becomes one that says how many were left out. Nothing is appended when nothing reaches the chunk.
    pub fn chain(
        &self,
        provider: &impl Provider,
        memory: &impl ReadMemory,
        harvest: &Harvest,
        id: ChunkId,
        into: &mut MapVec<Hop>,
    ) -> Result<(), Errno> {
        let mut ends = Ends { last: None, near: MapVec::new(), far: MapVec::new(), passed: 0, full: Ok(()) };
        self.up(provider, memory, harvest, id, &mut |hop| ends.add(hop));
        ends.close();
        ends.full?;
        let skipped = ends.passed.saturating_sub(KEPT);
        for index in (skipped..ends.passed).rev() {
            if let Some(hop) = ends.far.get(index % KEPT) {
                into.push(*hop)?;
            }
        }
        if let Some(hop) = ends.far.first().filter(|_| skipped > 0) {
            let (range, stack) = (AddrRange::default(), StackId::NONE);
            let times = skipped;
            into.push(Hop { holder: Holder::Skipped, at: Addr::NULL, range, stack, pc: 0, times, ..*hop })?;
        }
        for hop in ends.near.iter().rev() {
            into.push(*hop)?;
        }
        Ok(())
    }
}

/// Takes hops from the object up to the root.
struct Ends {
    /// Not yet put away: the next may be of the same list.
    last: Option<Hop>,
    /// The first ones, by the object.
    near: MapVec<Hop>,
    /// The last ones so far, a ring: in the end those by the root.
    far: MapVec<Hop>,
    /// How many went into the ring.
    passed: usize,
    full: Result<(), Errno>,
}

impl Ends {
    fn add(&mut self, hop: &Hop) {
        match &mut self.last {
            Some(last) if hop.is_like(last) => *last = Hop { times: last.times + 1, ..*hop },
            _ => {
                self.close();
                self.last = Some(*hop);
            }
        }
    }

    fn close(&mut self) {
        let Some(hop) = self.last.take().filter(|_| self.full.is_ok()) else { return };
        if self.near.len() < KEPT {
            self.full = self.near.push(hop);
            return;
        }
        match self.far.get_mut(self.passed % KEPT) {
            Some(slot) => *slot = hop,
            None => self.full = self.far.push(hop),
        }
        self.passed += 1;
    }
}
