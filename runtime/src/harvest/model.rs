//! What a harvest hands on: roots, nodes and what of them can be read.
//!
//! Contract: plain data in our own mappings; made by [`super::collect`] in the stopped world or by hand in a test.

use crate::base::{AddrRange, Errno};
use crate::mem::MapVec;

use super::resident::Resident;

/// Where a root was found. Each kind can be switched off but `InTransit`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RootKind {
    /// Writable data of a module: `.data`, `.bss` and what the loader made read-only afterwards.
    Globals,
    /// The live part of a thread's stack.
    Stack,
    /// A register of a stopped thread.
    Register,
    /// Thread-local variables: the static block, or the chunk of a dynamic one.
    Tls,
    /// Values of pthread_setspecific(3).
    ThreadSpecific,
    /// Registered by the program.
    Region,
    /// Held by the kernel: epoll data, timers, queued signals.
    Kernel,
    /// What a thread inside malloc, realloc or free holds at the moment.
    InTransit,
}

/// How much a root proves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Strength {
    /// The program can use it.
    Strong,
    /// Perhaps stale, perhaps not: what only such roots hold is "possible".
    Weak,
}

/// A range of words that are roots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root {
    /// Where.
    pub range: AddrRange,
    /// What it is.
    pub kind: RootKind,
    /// Whose; 0 where it belongs to no thread.
    pub tid: i32,
    /// What it proves.
    pub strength: Strength,
}

/// A single word that is a root, such as a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootWord {
    /// The value.
    pub word: usize,
    /// What it is.
    pub kind: RootKind,
    /// Whose; 0 where it belongs to no thread.
    pub tid: i32,
    /// What it proves.
    pub strength: Strength,
}

/// A piece of memory that is scanned when something reachable points into its run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    /// Where.
    pub range: AddrRange,
    /// The run it belongs to: one pointer into any piece reaches every piece of the run.
    pub run: u32,
}

/// Doubts and losses, for the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notes {
    /// Lines of the memory map that could not be understood.
    pub odd_lines: usize,
    /// Mappings of devices that the program can write: never read, for a read may be a command to the device.
    pub devices: usize,
    /// Their bytes.
    pub device_bytes: usize,
    /// Threads whose stack could not be found: only the page at the stack pointer was taken.
    pub lost_stacks: usize,
    /// Threads without thread pointer: no TLS, no thread-specific values.
    pub lost_tls: usize,
    /// Why presence of pages is not known from the best source, if so: the errno of PAGEMAP_SCAN.
    pub presence: Option<Errno>,
    /// Why the memory map could not be read, if so: what is mapped was found out otherwise.
    pub unlisted: Option<Errno>,
}

impl Notes {
    /// Whether roots are missing that there must be.
    pub fn lack_roots(&self) -> bool {
        self.odd_lines + self.lost_stacks + self.lost_tls > 0 || self.unlisted.is_some()
    }
}

/// All that the marker starts from.
pub struct Harvest {
    /// Ranges.
    pub roots: MapVec<Root>,
    /// Words.
    pub words: MapVec<RootWord>,
    /// Words that keep a chunk and nothing that it points to: what the C library holds for thread-local storage that is
    /// not to be looked at, or the kernel as a stack for signals. The chunk is no leak of the program's.
    pub kept: MapVec<usize>,
    /// By address, and so by run; pieces never overlap each other, a root or the heap.
    pub nodes: MapVec<Node>,
    /// Runs are `0..runs`.
    pub runs: u32,
    /// What may be read.
    pub resident: Resident,
    /// Memory that the program shares and can write, by address: a forked copy sees it change.
    pub shared: MapVec<AddrRange>,
    /// Scan what no reachable word points into as weak roots. Off: such mappings are not looked at.
    pub weak_nodes: bool,
    /// What went wrong.
    pub notes: Notes,
}

impl Harvest {
    /// Nothing at all; may read `resident`.
    pub const fn new(resident: Resident) -> Harvest {
        Harvest {
            roots: MapVec::new(),
            words: MapVec::new(),
            kept: MapVec::new(),
            nodes: MapVec::new(),
            runs: 0,
            resident,
            shared: MapVec::new(),
            weak_nodes: true,
            notes: Notes {
                odd_lines: 0,
                devices: 0,
                device_bytes: 0,
                lost_stacks: 0,
                lost_tls: 0,
                presence: None,
                unlisted: None,
            },
        }
    }

    /// The pieces of a run.
    pub fn pieces(&self, run: u32) -> &[Node] {
        let first = self.nodes.partition_point(|node| node.run < run);
        let behind = self.nodes.partition_point(|node| node.run <= run);
        self.nodes.get(first..behind).unwrap_or_default()
    }

    /// The run that `word` points into.
    #[inline]
    pub fn run_at(&self, word: usize) -> Option<u32> {
        let (first, last) = (self.nodes.first()?, self.nodes.last()?);
        if word < first.range.start.get() || word >= last.range.end.get() {
            return None;
        }
        let after = self.nodes.partition_point(|node| node.range.start.get() <= word);
        let node = self.nodes.get(after.checked_sub(1)?)?;
        (word < node.range.end.get()).then_some(node.run)
    }
}
