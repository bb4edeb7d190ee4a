//! Mappings that nothing holds, by call stack. As descriptors that were not closed they are no leaks of the heap: neither
//! the verdict nor the exit status depends on them.

use crate::base::{Addr, Errno};
use crate::explain::mappings::Unheld;
use crate::mem::MapVec;

use super::sink::{Sink, write_to};
use super::text::StackText;

/// Those of one call stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mappings {
    /// Leaks point to them.
    pub indirect: bool,
    /// Who mapped them.
    pub stack: u32,
    /// How many pieces of memory.
    pub count: usize,
    /// The sum of their sizes.
    pub bytes: usize,
    /// The first of them.
    pub first: Addr,
    /// Chunks that nothing else holds.
    pub held_objects: usize,
    /// The sum of their sizes.
    pub held_bytes: usize,
}

impl Mappings {
    /// The words in records and documents.
    pub const KINDS: [&'static str; 2] = ["direct", "indirect"];

    /// Groups them; those that no leak holds first, then by bytes, most first.
    pub fn group(all: &[Unheld]) -> Result<MapVec<Mappings>, Errno> {
        let mut sorted = MapVec::new();
        sorted.extend(all)?;
        sorted.sort_unstable_by_key(|one| (one.indirect, one.stack, one.range.start));
        let mut groups = MapVec::new();
        for run in sorted.chunk_by(|a, b| (a.indirect, a.stack) == (b.indirect, b.stack)) {
            let Some(first) = run.first() else { continue };
            let sum = |of: fn(&Unheld) -> usize| run.iter().map(of).fold(0, usize::saturating_add);
            groups.push(Mappings {
                indirect: first.indirect,
                stack: first.stack.0,
                count: run.len(),
                bytes: sum(|one| one.range.len()),
                first: first.range.start,
                held_objects: sum(|one| one.objects),
                held_bytes: sum(|one| one.bytes),
            })?;
        }
        groups.sort_unstable_by_key(|group| (group.indirect, core::cmp::Reverse(group.bytes), group.stack));
        Ok(groups)
    }

    /// Whether leaks point to them, in a word.
    pub fn kind(&self) -> &'static str {
        let [direct, indirect] = Mappings::KINDS;
        if self.indirect { indirect } else { direct }
    }
}

/// Prints them.
pub(super) fn render(groups: &[Mappings], names: &dyn StackText, out: &mut dyn Sink) {
    for group in groups {
        let Mappings { indirect, count, bytes, first, held_objects, held_bytes, .. } = *group;
        let held = if indirect { ", held by leaks only" } else { "" };
        write_to(
            out,
            format_args!(
                "Not unmapped{held}: {bytes} byte(s) in {count} mapping(s), {first:#x} the first, mapped from:\n"
            ),
        );
        names.print(group.stack, out);
        if held_objects > 0 {
            write_to(
                out,
                format_args!("  nothing else holds {held_bytes} byte(s) in {held_objects} object(s)\n"),
            );
        }
        out.bytes(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AddrRange;
    use crate::trace::StackId;

    #[test]
    fn one_group_a_stack_and_kind_with_the_sums() {
        let one = |start, len, stack, indirect, objects| Unheld {
            range: AddrRange::sized(Addr::new(start), len),
            stack: StackId(stack),
            indirect,
            objects,
            bytes: objects * 10,
        };
        let all = [
            one(1, 5, 7, true, 0),
            one(10, 5, 3, false, 2),
            one(20, 7, 7, false, 0),
            one(30, 3, 3, false, 1),
        ];
        let groups = Mappings::group(&all).unwrap();
        let seen: Vec<_> = groups
            .iter()
            .map(|one| (one.kind(), one.stack, one.count, one.bytes, one.first.get(), one.held_objects))
            .collect();
        assert_eq!(
            seen,
            [("direct", 3, 2, 8, 10, 3), ("direct", 7, 1, 7, 20, 0), ("indirect", 7, 1, 5, 1, 0)]
        );
        assert_eq!(groups[0].held_bytes, 30);
    }
}
