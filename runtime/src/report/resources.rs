//! Descriptors and threads that were not given back, by call stack. They are no leaks of memory: neither the verdict nor
//! the exit status depends on them.

use crate::base::Errno;
use crate::mem::MapVec;
use crate::threads::resources::{Kind, Resource};

use super::sink::{Sink, write_to};
use super::text::StackText;

/// Those of one kind and call stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resources {
    /// What they are.
    pub kind: Kind,
    /// Who opened or started them.
    pub stack: u32,
    /// How many.
    pub count: usize,
    /// The first of them: a descriptor's number, a `pthread_t`.
    pub first: usize,
}

impl Resources {
    /// Groups those of a sorted list that are there; within a kind the most come first.
    pub fn group(
        list: &[Resource],
        is_there: impl Fn(&Resource) -> bool,
    ) -> Result<MapVec<Resources>, Errno> {
        let mut groups = MapVec::<Resources>::new();
        for one in list.iter().filter(|one| is_there(one)) {
            let (kind, stack, first) = (one.kind, one.stack.0, one.key);
            match groups.last_mut() {
                Some(group) if (group.kind, group.stack) == (kind, stack) => group.count += 1,
                _ => groups.push(Resources { kind, stack, count: 1, first })?,
            }
        }
        groups.sort_unstable_by_key(|group| (group.kind, core::cmp::Reverse(group.count), group.stack));
        Ok(groups)
    }
}

/// Prints them.
pub(super) fn render(groups: &[Resources], names: &dyn StackText, out: &mut dyn Sink) {
    for Resources { kind, stack, count, first } in groups {
        match kind {
            Kind::Descriptor => write_to(
                out,
                format_args!("Not closed: {count} file descriptor(s), {first} the first, opened from:\n"),
            ),
            Kind::Thread => {
                write_to(out, format_args!("Neither joined nor detached: {count} thread(s) created from:\n"))
            }
        }
        names.print(*stack, out);
        out.bytes(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::resources::{add, all, find, given_back};
    use crate::trace::StackId;

    #[test]
    fn one_group_a_kind_and_stack() {
        let keys = [(Kind::Thread, 9001, 1), (Kind::Descriptor, 9005, 5), (Kind::Descriptor, 9003, 5)];
        for (kind, key, stack) in keys {
            add(kind, key, StackId(stack));
        }
        let groups = Resources::group(&all().unwrap(), |one| (9000..9010).contains(&one.key)).unwrap();
        assert_eq!(
            &groups[..],
            [
                Resources { kind: Kind::Descriptor, stack: 5, count: 2, first: 9003 },
                Resources { kind: Kind::Thread, stack: 1, count: 1, first: 9001 },
            ]
        );
        for (kind, key, _) in keys {
            given_back(&find(kind, key).unwrap());
        }
    }
}
