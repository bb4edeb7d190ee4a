//! What a program has mapped by mmap(2) and not unmapped: which addresses, and the call stack of the mmap.
//!
//! Contract: as [`super::resources`]. Ranges are whole pages, by address, and never overlap.
//!
//! Mappings that a program puts where it wants them (MAP_FIXED, an address that it asks for) over or beside others of its own belong
//! to one *group* with those: an arena is reserved first and mapped piece by piece later, and whoever holds one of its
//! addresses can reach all. What the kernel has placed is a group of its own, whatever lies beside it.
//!
//! Nothing is kept unless an option asks for it: see [`keep`].

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::base::{AddrRange, Errno};
use crate::heap::lock::OwnerLock;
use crate::mem::MapVec;
use crate::trace::StackId;

/// A mapping, or what is left of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Its pages.
    pub range: AddrRange,
    /// Who mapped it.
    pub stack: StackId,
    /// Which mappings are held together.
    pub group: u32,
}

/// See the module.
struct List {
    all: MapVec<Mapping>,
    /// Groups so far.
    groups: u32,
}

static KEPT: AtomicBool = AtomicBool::new(false);
static LIST: OwnerLock<List> = OwnerLock::new(List { all: MapVec::new(), groups: 0 });

/// From now on mappings are noted. At the start.
pub fn keep() {
    KEPT.store(true, Relaxed);
}

/// Whether they are.
#[inline]
pub fn are_kept() -> bool {
    KEPT.load(Relaxed)
}

/// What was taken out of the list, to be put back or moved.
#[derive(Default)]
pub struct Taken(MapVec<Mapping>);

/// Notes a new mapping, in place of what was there. `asked`: the program chose the place.
pub fn add(range: AddrRange, stack: StackId, asked: bool) {
    if let Some(mut list) = LIST.lock() {
        list.add(range, stack, asked);
    }
}

/// Takes out what lies in `range`, before it is unmapped: the place may be used anew at once.
pub fn take(range: AddrRange) -> Taken {
    let mut taken = Taken::default();
    if let Some(mut list) = LIST.lock() {
        list.cut(range, Some(&mut taken.0));
    }
    taken
}

/// Puts back what is still mapped.
pub fn put_back(taken: &Taken) {
    if let Some(mut list) = LIST.lock() {
        taken.0.iter().for_each(|one| list.put(*one));
    }
}

/// Notes that what was taken lies at `to` now. If that was nothing, `stack` is who mapped it.
pub fn moved(taken: &Taken, to: AddrRange, stack: StackId) {
    let Some(mut list) = LIST.lock() else { return };
    match taken.0.first() {
        Some(one) => list.put(Mapping { range: to, ..*one }),
        None => list.add(to, stack, false),
    }
}

/// A copy of the list.
pub fn all() -> Result<MapVec<Mapping>, Errno> {
    let mut all = MapVec::new();
    if are_kept()
        && let Some(list) = LIST.lock()
    {
        all.extend(&list.all)?;
    }
    Ok(all)
}

/// In the child of a fork, which has its parent's mappings.
pub fn after_fork_in_child() {
    let is_half_done = LIST.free_of_others();
    if is_half_done && let Some(mut list) = LIST.lock() {
        core::mem::forget(core::mem::take(&mut list.all));
    }
}

impl List {
    fn add(&mut self, range: AddrRange, stack: StackId, asked: bool) {
        let beside = |one: &&Mapping| one.range.start <= range.end && range.start <= one.range.end;
        let of_others = if asked { self.all.iter().find(beside).map(|one| one.group) } else { None };
        let group = of_others.unwrap_or_else(|| {
            self.groups += 1;
            self.groups - 1
        });
        self.put(Mapping { range, stack, group });
    }

    fn put(&mut self, one: Mapping) {
        if !one.range.is_empty() {
            self.cut(one.range, None);
            let at = self.all.partition_point(|other| other.range.start < one.range.start);
            self.replace(at, at, &[one]);
        }
    }

    /// Takes `range` out of all mappings. What is taken goes to `into`; without memory it is lost.
    fn cut(&mut self, range: AddrRange, mut into: Option<&mut MapVec<Mapping>>) {
        let from = self.all.partition_point(|one| one.range.end <= range.start);
        let to = self.all.partition_point(|one| one.range.start < range.end);
        let Some(affected) = self.all.get(from..to).filter(|affected| !affected.is_empty()) else { return };
        for one in affected {
            if let Some(into) = &mut into {
                let _ = into.push(Mapping { range: one.range.intersect(range), ..*one });
            }
        }
        let mut rest = [None; 2];
        if let [first, ..] = affected
            && first.range.start < range.start
        {
            rest[0] = Some(Mapping { range: AddrRange::new(first.range.start, range.start), ..*first });
        }
        if let [.., last] = affected
            && range.end < last.range.end
        {
            rest[1] = Some(Mapping { range: AddrRange::new(range.end, last.range.end), ..*last });
        }
        match rest {
            [Some(first), Some(last)] => self.replace(from, to, &[first, last]),
            [Some(one), None] | [None, Some(one)] => self.replace(from, to, &[one]),
            [None, None] => self.replace(from, to, &[]),
        }
    }

    /// Puts `with` in place of the mappings `from..to`. Without memory for more, the last of `with` are not told.
    fn replace(&mut self, from: usize, to: usize, with: &[Mapping]) {
        let Some(filler) = with.first() else {
            self.all.copy_within(to.., from);
            let len = self.all.len() - (to - from);
            return self.all.truncate(len);
        };
        let old = self.all.len();
        let (mut new, mut with) = (old - (to - from) + with.len(), with);
        if new > old && self.all.resize(new, *filler).is_err() {
            (new, with) = (old, with.get(..to - from).unwrap_or_default());
        }
        self.all.copy_within(to..old, from + with.len());
        self.all.truncate(new);
        if let Some(slots) = self.all.get_mut(from..from + with.len()) {
            slots.copy_from_slice(with);
        }
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

    fn list() -> List {
        List { all: MapVec::new(), groups: 0 }
    }

    fn told(list: &List) -> Vec<(usize, usize, u32, u32)> {
        let one = |one: &Mapping| (one.range.start.get(), one.range.end.get(), one.stack.0, one.group);
        list.all.iter().map(one).collect()
    }

    #[test]
    fn what_is_put_over_or_beside_others_on_purpose_belongs_to_them() {
        let mut list = list();
        list.add(range(100, 200), StackId(1), false);
        list.add(range(200, 300), StackId(2), false);
        assert_eq!(told(&list), [(100, 200, 1, 0), (200, 300, 2, 1)]);
        list.add(range(120, 140), StackId(3), true);
        list.add(range(300, 310), StackId(4), true);
        list.add(range(500, 510), StackId(5), true);
        let first = [(100, 120, 1, 0), (120, 140, 3, 0), (140, 200, 1, 0)];
        let rest = [(200, 300, 2, 1), (300, 310, 4, 1), (500, 510, 5, 2)];
        assert_eq!(told(&list), [&first[..], &rest[..]].concat());
    }

    #[test]
    fn what_could_not_be_unmapped_is_put_back_and_what_moved_keeps_its_stack() {
        let mut list = list();
        list.add(range(100, 200), StackId(1), false);
        let mut taken = MapVec::new();
        list.cut(range(150, 160), Some(&mut taken));
        assert_eq!(told(&list), [(100, 150, 1, 0), (160, 200, 1, 0)]);
        list.put(taken[0]);
        assert_eq!(told(&list), [(100, 150, 1, 0), (150, 160, 1, 0), (160, 200, 1, 0)]);
        let [far, stack] = [900, 7].map(|key| (range(key, key + 10), StackId(key as u32)));
        add(range(100, 200), StackId(1), false);
        let taken = take(range(100, 200));
        assert!(all().unwrap().is_empty(), "nothing is kept unless asked for");
        moved(&taken, far.0, stack.1);
        keep();
        assert!(all().unwrap().iter().any(|one| (one.range, one.stack) == (far.0, StackId(1))));
        take(far.0);
        moved(&take(range(0, 1)), far.0, stack.1);
        assert!(all().unwrap().iter().any(|one| (one.range, one.stack) == (far.0, stack.1)));
        take(far.0);
    }

    proptest! {
        /// Against a table with an entry a page.
        #[test]
        fn the_list_says_of_each_page_who_mapped_it(
            steps in prop::collection::vec((0usize..60, 1usize..20, any::<bool>()), 0..60),
        ) {
            let (mut list, mut pages) = (list(), [None; 80]);
            for (number, (start, len, maps)) in steps.into_iter().enumerate() {
                let stack = StackId(number as u32 + 1);
                let range = range(start, start + len);
                if maps {
                    list.add(range, stack, false);
                    pages[start..start + len].fill(Some(stack));
                } else {
                    let mut taken = MapVec::new();
                    list.cut(range, Some(&mut taken));
                    let taken: usize = taken.iter().map(|one| one.range.len()).sum();
                    prop_assert_eq!(taken, pages[start..start + len].iter().flatten().count());
                    pages[start..start + len].fill(None);
                }
            }
            let mut last = Addr::NULL;
            let mut seen = [None; 80];
            for one in list.all.iter() {
                prop_assert!(last <= one.range.start && !one.range.is_empty());
                last = one.range.end;
                seen[one.range.start.get()..one.range.end.get()].fill(Some(one.stack));
            }
            prop_assert_eq!(seen, pages);
        }
    }
}
