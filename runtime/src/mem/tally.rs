//! Sums by key, for keys that come again and again: a sorted list that folds itself when it has grown.
//!
//! Contract: own mappings only, for every phase; memory is proportional to the number of different keys.
//!
//! Why not a hash table: the order is wanted in the end anyway, and equal keys come in runs.

use crate::base::Errno;

use super::MapVec;

/// A key's sums.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sum<K> {
    /// Of what.
    pub key: K,
    /// How many.
    pub objects: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// See the module.
pub struct Tally<K: Copy> {
    list: MapVec<Sum<K>>,
    /// So many at the front are sorted and different.
    folded: usize,
}

/// Entries that may wait unfolded behind twice the folded ones.
const SLACK: usize = 4096;

impl<K: Copy + Ord> Tally<K> {
    /// Nothing.
    pub const fn new() -> Tally<K> {
        Tally { list: MapVec::new(), folded: 0 }
    }

    /// Adds an object.
    pub fn add(&mut self, key: K, bytes: usize) -> Result<(), Errno> {
        match self.list.last_mut() {
            Some(last) if last.key == key => {
                last.objects += 1;
                last.bytes = last.bytes.saturating_add(bytes);
                return Ok(());
            }
            _ => {}
        }
        if self.list.len() > 2 * self.folded + SLACK {
            self.fold();
        }
        self.list.push(Sum { key, objects: 1, bytes })
    }

    fn fold(&mut self) {
        self.list.sort_unstable_by_key(|sum| sum.key);
        let mut kept = 0usize;
        for at in 0..self.list.len() {
            let Some(&next) = self.list.get(at) else { break };
            match kept.checked_sub(1).and_then(|last| self.list.get_mut(last)) {
                Some(last) if last.key == next.key => {
                    last.objects += next.objects;
                    last.bytes = last.bytes.saturating_add(next.bytes);
                }
                _ => {
                    if let Some(slot) = self.list.get_mut(kept) {
                        *slot = next;
                    }
                    kept += 1;
                }
            }
        }
        self.list.truncate(kept);
        self.folded = kept;
    }

    /// The sums, by key.
    pub fn sums(mut self) -> MapVec<Sum<K>> {
        self.fold();
        self.list
    }
}

impl<K: Copy + Ord> Default for Tally<K> {
    fn default() -> Self {
        Tally::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sums_are_those_of_a_map(items in prop::collection::vec((0u32..3000, 0usize..100), 0..20_000)) {
            let (mut tally, mut map) = (Tally::new(), BTreeMap::<u32, (usize, usize)>::new());
            for (key, bytes) in items {
                tally.add(key, bytes).unwrap();
                let sum = map.entry(key).or_default();
                *sum = (sum.0 + 1, sum.1 + bytes);
            }
            let sums: Vec<_> = tally.sums().iter().map(|sum| (sum.key, (sum.objects, sum.bytes))).collect();
            prop_assert_eq!(sums, map.into_iter().collect::<Vec<_>>());
        }
    }
}
