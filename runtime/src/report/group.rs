//! Leaks of one kind and one call stack become one group.

use crate::base::Errno;
use crate::mem::MapVec;

use super::model::{Group, Leak};

/// Sorts `leaks` by kind, stack and address, and returns their groups in the order of a report: direct, indirect,
/// possible; in each by bytes, most first; equal ones by stack, so that the order is the same in every run.
///
/// `same_stack` gives the stack that stands for a stack: itself, or the first one with the same leaf frames where only
/// some frames are to count (option `resolution`).
///
/// Fails with ENOMEM only.
pub fn group(leaks: &mut [Leak], same_stack: &mut dyn FnMut(u32) -> u32) -> Result<MapVec<Group>, Errno> {
    for leak in leaks.iter_mut() {
        leak.stack = same_stack(leak.stack);
    }
    leaks.sort_unstable_by_key(|leak| (leak.kind, leak.stack, leak.under, leak.base));
    let mut groups = MapVec::<Group>::new();
    for (index, leak) in leaks.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if (group.kind, group.stack) == (leak.kind, leak.stack) => {
                group.objects += 1;
                group.born = group.born.min(leak.born);
                group.bytes = group.bytes.saturating_add(leak.size);
                group.retained_bytes = group.retained_bytes.saturating_add(leak.retained_bytes);
                group.retained_objects = group.retained_objects.saturating_add(leak.retained_objects);
            }
            _ => groups.push(Group {
                kind: leak.kind,
                stack: leak.stack,
                objects: 1,
                bytes: leak.size,
                retained_bytes: leak.retained_bytes,
                retained_objects: leak.retained_objects,
                born: leak.born,
                first: index,
            })?,
        }
    }
    groups.sort_unstable_by_key(|group| (group.kind, core::cmp::Reverse(group.bytes), group.stack));
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::super::model::Kind;
    use super::*;
    use crate::base::Addr;

    fn leak(base: usize, size: usize, stack: u32, kind: Kind) -> Leak {
        Leak {
            base: Addr::new(base),
            size,
            stack,
            kind,
            born: size as u32,
            under: 0,
            retained_bytes: size,
            retained_objects: 1,
            withheld: false,
        }
    }

    #[test]
    fn direct_comes_first_and_then_the_most_bytes() {
        let mut leaks = [
            leak(0x50, 900, 4, Kind::Indirect),
            leak(0x10, 10, 1, Kind::Direct),
            leak(0x60, 5, 1, Kind::Possible),
            leak(0x30, 7, 2, Kind::Direct),
            leak(0x20, 10, 2, Kind::Direct),
            leak(0x40, 1, 1, Kind::Indirect),
        ];
        let groups = group(&mut leaks, &mut |stack| stack).unwrap();
        let order: Vec<_> = groups.iter().map(|g| (g.kind, g.stack, g.objects, g.bytes)).collect();
        assert_eq!(
            order,
            [
                (Kind::Direct, 2, 2, 17),
                (Kind::Direct, 1, 1, 10),
                (Kind::Indirect, 4, 1, 900),
                (Kind::Indirect, 1, 1, 1),
                (Kind::Possible, 1, 1, 5),
            ]
        );
        assert_eq!((groups[0].retained_bytes, groups[0].born), (17, 7));
        let members = &leaks[groups[0].first..groups[0].first + groups[0].objects];
        assert_eq!(members.iter().map(|leak| leak.base.get()).collect::<Vec<_>>(), [0x20, 0x30]);
    }

    #[test]
    fn stacks_that_count_as_one_are_merged() {
        let mut leaks = [leak(0x10, 1, 1, Kind::Direct), leak(0x20, 2, 2, Kind::Direct)];
        let groups = group(&mut leaks, &mut |_| 1).unwrap();
        assert_eq!((groups.len(), groups[0].objects, groups[0].bytes), (1, 2, 3));
        assert!(group(&mut [], &mut |stack| stack).unwrap().is_empty());
    }
}
