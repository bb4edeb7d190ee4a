//! The model of a report. Plain data, borrowed from whoever checked; nothing here prints.

use crate::base::text::Text;
use crate::base::{Addr, AddrRange};

use super::suppressions::Suppressions;
use super::survey::Survey;

/// One sentence for the user: a reason, a remark.
pub type Sentence = Text<240>;

/// Frames that are asked of a stack at most: the largest depth that an allocation can be recorded with.
pub const MAX_FRAMES: usize = 256;

/// How a leaked chunk was lost. The order is the order in a report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Nothing points to it, or only the cycle whose head it is.
    Direct,
    /// Only leaked chunks point to it.
    Indirect,
    /// Only something doubtful points to it: an unreached mapping, a register that may be dead. Never counted as a
    /// leak and never a reason for an exit code.
    Possible,
}

impl Kind {
    /// The word in the text report and in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Direct => "Direct",
            Kind::Indirect => "Indirect",
            Kind::Possible => "Possible",
        }
    }
}

/// One leaked chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leak {
    /// Where it begins.
    pub base: Addr,
    /// Bytes that the program asked for.
    pub size: usize,
    /// The call stack that allocated it, as [`Stacks`] knows it; 0 when none was kept.
    pub stack: u32,
    /// How it was lost.
    pub kind: Kind,
    /// The baseline after which it was allocated; 0 before the first, or too long ago.
    pub born: u32,
    /// For an indirect leak: the call stack of the direct leak that holds it; 0 when there is none or many.
    pub under: u32,
    /// For a direct leak: bytes of what only direct leaks of its call stack hold, without them; at one of them.
    pub retained_bytes: usize,
    /// For a direct leak: how many chunks these are.
    pub retained_objects: usize,
    /// Nothing at all reaches it: it is possible, and no leak, only because the check did not see everything.
    pub withheld: bool,
}

/// The leaks of one kind that were allocated by one call stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// How they were lost.
    pub kind: Kind,
    /// Who allocated them; 0 when no stack was kept.
    pub stack: u32,
    /// How many.
    pub objects: usize,
    /// The sum of their sizes.
    pub bytes: usize,
    /// Sum of [`Leak::retained_bytes`].
    pub retained_bytes: usize,
    /// Sum of [`Leak::retained_objects`].
    pub retained_objects: usize,
    /// The lowest [`Leak::born`].
    pub born: u32,
    /// Where the members begin in the sorted list of leaks; they are neighbours.
    pub first: usize,
}

/// Figures of the whole heap at the time of the check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Chunks in use.
    pub chunks: usize,
    /// Bytes in use, as asked for by the program.
    pub bytes: usize,
    /// The program has allocated from our heap at least once. If not, its memory does not come from us, and nothing is
    /// known about its leaks.
    pub served: bool,
    /// Threads that were looked at.
    pub threads: usize,
}

/// What the check came to, before suppressions are counted.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The heap was scanned.
    Checked,
    /// It was not.
    CouldNotCheck {
        /// What failed, with its subject and error: a sentence without a full stop.
        why: &'a str,
        /// What the user can do about it: a sentence without a full stop; empty when there is nothing.
        advice: &'a str,
    },
}

/// The four ends of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything was looked at, and no leak is left.
    Clean,
    /// Leaks that no suppression covers.
    Leaks,
    /// No leak seen, but not everything was seen.
    Incomplete,
    /// Nothing is known.
    CouldNotCheck,
}

impl Verdict {
    /// The word in texts and in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Leaks => "leaks",
            Verdict::Incomplete => "incomplete",
            Verdict::CouldNotCheck => "could not check",
        }
    }
}

/// Call stacks by their number.
pub trait Stacks {
    /// Writes the lookup addresses of stack `stack`, leaf first, and returns how many there are in `into`. A lookup
    /// address lies inside the instruction that was executing: a return address less one.
    fn frames(&self, stack: u32, into: &mut [usize]) -> usize;
}

/// A program or library that is or was loaded.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Its file, as the loader named it.
    pub path: &'a [u8],
    /// The contents of its NT_GNU_BUILD_ID note; empty when it has none.
    pub build_id: &'a [u8],
    /// What must be subtracted from an address to get the address that the file speaks of (`dlpi_addr`).
    pub bias: usize,
    /// From its first segment to the end of its last.
    pub image: AddrRange,
    /// Where its code was.
    pub ranges: &'a [AddrRange],
    /// False after dlclose.
    pub loaded: bool,
}

/// All modules of the process, also the unloaded ones.
pub trait Modules {
    /// Calls `each` for every module, in the order of loading.
    fn for_each(&self, each: &mut dyn FnMut(&Module<'_>));

    /// Calls `found` for the module that holds `pc`, if any. Where an unloaded module and a loaded one shared an
    /// address the loaded one is meant, since the caller resolves addresses of chunks that are still allocated.
    fn find(&self, pc: Addr, found: &mut dyn FnMut(&Module<'_>)) {
        self.choose(&|module| module.ranges.iter().any(|range| range.contains(pc)), found);
    }

    /// Calls `found` for the module whose image holds `addr`, data included.
    fn containing(&self, addr: Addr, found: &mut dyn FnMut(&Module<'_>)) {
        self.choose(&|module| module.image.contains(addr), found);
    }

    /// Calls `found` for the module that `is` is true of; of several for a loaded one.
    fn choose(&self, is: &dyn Fn(&Module<'_>) -> bool, found: &mut dyn FnMut(&Module<'_>)) {
        let (mut index, mut best, mut best_loaded) = (0, None, false);
        self.for_each(&mut |module| {
            if is(module) && (module.loaded || !best_loaded) {
                (best, best_loaded) = (Some(index), module.loaded);
            }
            index += 1;
        });
        let mut index = 0;
        self.for_each(&mut |module| {
            if best == Some(index) {
                found(module);
            }
            index += 1;
        });
    }
}

/// All that is known after a check.
pub struct Report<'a> {
    /// The process, as it numbers itself.
    pub pid: i32,
    /// The file of its program.
    pub program: &'a [u8],
    /// What the check came to.
    pub outcome: Outcome<'a>,
    /// Unsuppressed leaks, by [`group`](super::group): direct first, then by bytes, most first.
    pub groups: &'a [Group],
    /// The same leaks one by one, as `group` sorted them.
    pub leaks: &'a [Leak],
    /// The whole heap.
    pub totals: Totals,
    /// Why the check did not see everything.
    pub reasons: &'a [Sentence],
    /// What the user should know beside that.
    pub notes: &'a [Sentence],
    /// What is no leak.
    pub survey: Survey<'a>,
    /// The suppressions with their counts.
    pub suppressions: &'a Suppressions,
    /// Call stacks.
    pub stacks: &'a dyn Stacks,
    /// Programs and libraries.
    pub modules: &'a dyn Modules,
}

impl Report<'_> {
    /// Which of the four ends this is.
    pub fn verdict(&self) -> Verdict {
        if let Outcome::CouldNotCheck { .. } = self.outcome {
            Verdict::CouldNotCheck
        } else if self.leaked().0 > 0 {
            Verdict::Leaks
        } else if self.reasons.is_empty() {
            Verdict::Clean
        } else {
            Verdict::Incomplete
        }
    }

    /// Objects and bytes that are leaked, directly or indirectly.
    pub fn leaked(&self) -> (usize, usize) {
        self.sum(|kind| kind != Kind::Possible)
    }

    /// Objects and bytes that are possibly leaked.
    pub fn possible(&self) -> (usize, usize) {
        self.sum(|kind| kind == Kind::Possible)
    }

    /// Objects and bytes that nothing reaches, and that are not called leaked only because not everything was seen.
    pub fn withheld(&self) -> (usize, usize) {
        let withheld = self.leaks.iter().filter(|leak| leak.withheld);
        withheld.fold((0, 0), |sum, leak| (sum.0 + 1, sum.1.saturating_add(leak.size)))
    }

    fn sum(&self, of: impl Fn(Kind) -> bool) -> (usize, usize) {
        let chosen = self.groups.iter().filter(|group| of(group.kind));
        chosen.fold((0, 0), |sum, group| {
            (sum.0.saturating_add(group.objects), sum.1.saturating_add(group.bytes))
        })
    }
}
