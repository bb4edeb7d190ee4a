//! The records of all processes put together: which processes there were and how each check ended, and the leaks of all
//! of them by call stack, symbolized and suppressed.

mod processes;
mod survey;

use std::collections::HashMap;
use std::path::PathBuf;

use standstill_runtime::report::suppressions::Suppressions;

use crate::record::{self, Check, Leak, Module};
pub use crate::record::{Kind, Verdict};
use crate::symbols::{Symbol, Symbolizer};
pub use processes::{Ending, Seen, State, gather};
pub use survey::{Named, Variable};

/// One line of a call stack. Several frames share an address where calls were inlined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The address in the process, inside the calling instruction.
    pub address: u64,
    /// The program or library.
    pub module: Option<PathBuf>,
    /// The address as the module's file counts it.
    pub offset: Option<u64>,
    /// The module's build id; empty when unknown.
    pub build_id: Vec<u8>,
    /// The function, demangled.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The column.
    pub column: Option<u32>,
    /// The function was inlined into the next frame's.
    pub inlined: bool,
}

/// The leaks of one kind with one call stack, of all processes.
#[derive(Clone, Debug)]
pub struct Group {
    /// How they were lost.
    pub kind: Kind,
    /// The call stack, leaf first; empty when none was kept.
    pub frames: Vec<Frame>,
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that only they hold.
    pub retained_objects: u64,
    /// Bytes that only they hold.
    pub retained_bytes: u64,
    /// The baseline after which the oldest of them was allocated; 0 before the first.
    pub born: u32,
    /// In which processes: indices of [`Findings::processes`], ascending.
    pub processes: Vec<usize>,
    /// Each one's address and size, if they were listed.
    pub listed: Vec<(u64, u64)>,
}

/// A misuse of the heap.
#[derive(Clone, Debug)]
pub struct Misuse {
    /// In which process: an index of [`Findings::processes`].
    pub process: usize,
    /// The process ended by it.
    pub ends: bool,
    /// What was freed.
    pub block: u64,
    /// The rule, in a word or two.
    pub what: String,
    /// More of it, to stand behind the address.
    pub detail: String,
    /// The call stacks of the free, of the free before and of the allocation; empty where not known.
    pub stacks: [Vec<Frame>; 3],
}

/// Everything that is known in the end.
pub struct Findings {
    /// Every process of which we know, oldest first.
    pub processes: Vec<Process>,
    /// Unsuppressed leaks: direct first, then by bytes, most first.
    pub groups: Vec<Group>,
    /// Misuses of the heap, by process.
    pub misuses: Vec<Misuse>,
    /// Suppressions with their counts.
    pub suppressions: Suppressions,
    /// What could not be symbolized and why; for the talkative.
    pub problems: Vec<String>,
}

/// A process in the report.
pub struct Process {
    /// What is known of it.
    pub seen: Seen,
    /// After suppressions. `None`: not checked.
    pub verdict: Option<Verdict>,
    /// Objects and bytes leaked, after suppressions.
    pub leaked: (u64, u64),
    /// Objects and bytes possibly leaked, after suppressions.
    pub possible: (u64, u64),
    /// Of these, what nothing reaches: no leaks only because the check is incomplete.
    pub withheld: (u64, u64),
    /// What it told of objects that are no leaks.
    pub survey: Named,
}

impl Findings {
    /// Objects and bytes that are leaked in all processes.
    pub fn leaked(&self) -> (u64, u64) {
        sum(self.processes.iter().map(|process| process.leaked))
    }

    /// True if a misuse of the heap has ended a process.
    pub fn ended_by_misuse(&self) -> bool {
        self.misuses.iter().any(|misuse| misuse.ends)
    }

    /// What the whole run came to, as far as leaks go: leaks if there is one; clean only when every process was looked at whole; could not
    /// check when no process was looked at.
    pub fn verdict(&self) -> Verdict {
        let any = |wanted: &dyn Fn(Option<Verdict>) -> bool| self.processes.iter().any(|p| wanted(p.verdict));
        if any(&|verdict| verdict == Some(Verdict::Leaks)) {
            Verdict::Leaks
        } else if !any(&|verdict| matches!(verdict, Some(Verdict::Clean | Verdict::Incomplete))) {
            Verdict::CouldNotCheck
        } else if any(&|verdict| verdict != Some(Verdict::Clean)) {
            Verdict::Incomplete
        } else {
            Verdict::Clean
        }
    }
}

fn sum(pairs: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    pairs.fold((0, 0), |all, one| (all.0.saturating_add(one.0), all.1.saturating_add(one.1)))
}

/// Puts the processes' leaks together. `depth` cuts each call stack to so many addresses; 0 keeps all.
pub fn assemble(
    seen: Vec<Seen>,
    mut suppressions: Suppressions,
    symbolizer: &mut Symbolizer,
    depth: usize,
) -> Findings {
    let mut merged = Merged::default();
    let (mut processes, mut misuses) = (Vec::new(), Vec::new());
    for (index, seen) in seen.into_iter().enumerate() {
        let (leaked, possible, withheld, survey) = ((0, 0), (0, 0), (0, 0), Named::default());
        let mut process = Process { seen, verdict: None, leaked, possible, withheld, survey };
        if let State::Checked(check) = &process.seen.state {
            let left = merged.add(index, check, &mut suppressions, symbolizer, depth);
            let of = |possible: bool| {
                let chosen = left.iter().filter(|leak| (leak.kind == Kind::Possible) == possible);
                sum(chosen.map(|leak| (leak.objects, leak.bytes)))
            };
            (process.leaked, process.possible) = (of(false), of(true));
            process.withheld = sum(left.iter().map(|leak| leak.withheld));
            process.survey = Named::of(check, symbolizer);
            process.verdict = Some(match check.verdict {
                Verdict::CouldNotCheck => Verdict::CouldNotCheck,
                _ if process.leaked.0 > 0 => Verdict::Leaks,
                _ if check.reasons.is_empty() => Verdict::Clean,
                _ => Verdict::Incomplete,
            });
        }
        misuses.extend(process.seen.misuses.iter().map(|told| misuse(index, told, symbolizer, depth)));
        processes.push(process);
    }
    let mut groups = merged.groups;
    groups.sort_by_key(|group| (group.kind, std::cmp::Reverse(group.bytes)));
    let problems = std::mem::take(&mut symbolizer.problems);
    Findings { processes, groups, misuses, suppressions, problems }
}

fn misuse(process: usize, told: &record::Misuse, symbolizer: &mut Symbolizer, depth: usize) -> Misuse {
    let record::Misuse { ends, block, what, detail, stacks, modules } = told;
    let kept = if depth == 0 { usize::MAX } else { depth };
    let mut named = |stack: &Vec<u64>| frames(stack.get(..kept).unwrap_or(stack), modules, symbolizer);
    let stacks = [named(&stacks[0]), named(&stacks[1]), named(&stacks[2])];
    Misuse { process, ends: *ends, block: *block, what: what.clone(), detail: detail.clone(), stacks }
}

/// What makes two call stacks of two processes the same: where in which file, for frames in no known file the address.
type Key = (Kind, Vec<(Option<PathBuf>, u64)>);

#[derive(Default)]
struct Merged {
    groups: Vec<Group>,
    known: HashMap<Key, usize>,
}

impl Merged {
    /// Adds the leaks of a check and returns the ones that no suppression covers.
    fn add<'a>(
        &mut self,
        process: usize,
        check: &'a Check,
        suppressions: &mut Suppressions,
        symbolizer: &mut Symbolizer,
        depth: usize,
    ) -> Vec<&'a Leak> {
        for (_, _, pattern) in &check.suppressions {
            if !suppressions.all().any(|rule| rule.pattern == &pattern[..]) {
                // Without memory for it the command has ended before.
                let _ = suppressions.add(pattern);
            }
        }
        // Call stacks once each: their frames and the suppression that covers them.
        let mut stacks: HashMap<u32, (Vec<Frame>, Option<usize>)> = HashMap::new();
        for leak in &check.leaks {
            for stack in [leak.stack, leak.under] {
                stacks.entry(stack).or_insert_with(|| {
                    let addresses = check.stacks.get(&stack).map_or(&[][..], Vec::as_slice);
                    let kept = if depth == 0 { addresses.len() } else { depth.min(addresses.len()) };
                    let whole = frames(addresses, &check.modules, symbolizer);
                    let rule = covering(suppressions, &whole);
                    let last = addresses.get(..kept).map_or(0, <[u64]>::len);
                    (frames_of_first(whole, addresses, last), rule)
                });
            }
        }
        let mut left = Vec::new();
        for leak in &check.leaks {
            let Some((frames, rule)) = stacks.get(&leak.stack) else { continue };
            if let Some(rule) = rule {
                suppressions.count(*rule, leak.objects as usize, leak.bytes as usize);
                continue;
            }
            // What only a suppressed leak holds is not a leak either, as LeakSanitizer has it.
            let held = leak.kind == Kind::Indirect && leak.under != 0;
            if held && stacks.get(&leak.under).is_some_and(|(_, rule)| rule.is_some()) {
                continue;
            }
            left.push(leak);
            self.put(process, leak, frames);
        }
        left
    }

    fn put(&mut self, process: usize, leak: &Leak, frames: &[Frame]) {
        let place = |frame: &Frame| (frame.module.clone(), frame.offset.unwrap_or(frame.address));
        let mut places: Vec<_> = frames.iter().map(place).collect();
        places.dedup();
        let groups = &mut self.groups;
        let index = *self.known.entry((leak.kind, places)).or_insert_with(|| {
            groups.push(Group {
                kind: leak.kind,
                frames: frames.to_vec(),
                objects: 0,
                bytes: 0,
                retained_objects: 0,
                retained_bytes: 0,
                born: leak.born,
                processes: Vec::new(),
                listed: Vec::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[index];
        group.objects = group.objects.saturating_add(leak.objects);
        group.bytes = group.bytes.saturating_add(leak.bytes);
        group.retained_objects = group.retained_objects.saturating_add(leak.retained_objects);
        group.retained_bytes = group.retained_bytes.saturating_add(leak.retained_bytes);
        group.born = group.born.min(leak.born);
        group.listed.extend_from_slice(&leak.listed);
        if group.processes.last() != Some(&process) {
            group.processes.push(process);
        }
    }
}

fn covering(suppressions: &Suppressions, frames: &[Frame]) -> Option<usize> {
    frames.iter().find_map(|frame| {
        let module = frame.module.as_ref().map_or(&b""[..], |path| path.as_os_str().as_encoded_bytes());
        let function = frame.function.as_deref().unwrap_or("");
        let file = frame.file.as_deref().unwrap_or("");
        suppressions.find(&[module, function.as_bytes(), file.as_bytes()])
    })
}

/// The frames of the first `count` addresses.
fn frames_of_first(mut frames: Vec<Frame>, addresses: &[u64], count: usize) -> Vec<Frame> {
    if count < addresses.len() {
        // Frames are in the order of the addresses; a recursion repeats an address as its own frame.
        let mut taken = 0;
        let end = frames.iter().position(|frame| {
            let done = taken == count;
            taken += usize::from(!frame.inlined);
            done
        });
        frames.truncate(end.unwrap_or(frames.len()));
    }
    frames
}

fn frames(addresses: &[u64], modules: &[Module], symbolizer: &mut Symbolizer) -> Vec<Frame> {
    let mut frames = Vec::new();
    for &address in addresses {
        let Some(module) = module_of(address, modules) else {
            frames.push(Frame { address, ..Frame::default() });
            continue;
        };
        let offset = address.wrapping_sub(module.bias);
        let base = Frame {
            address,
            module: Some(module.path.clone()),
            offset: Some(offset),
            build_id: module.build_id.clone(),
            ..Frame::default()
        };
        frames.extend(base.named(symbolizer));
    }
    frames
}

impl Frame {
    /// The frames that were executing at this one's address, innermost first; itself where nothing is known.
    pub(crate) fn named(self, symbolizer: &mut Symbolizer) -> Vec<Frame> {
        let (Some(module), Some(offset)) = (&self.module, self.offset) else { return vec![self] };
        let symbols = symbolizer.find(module, &self.build_id, offset);
        let named = |symbol: &Symbol| Frame {
            function: symbol.function.clone(),
            file: symbol.file.clone(),
            line: symbol.line,
            column: symbol.column,
            inlined: symbol.inlined,
            ..self.clone()
        };
        let frames: Vec<Frame> = symbols.iter().map(named).collect();
        if frames.is_empty() { vec![self] } else { frames }
    }
}

/// The module at an address: of a loaded one and one that lay there before, the loaded one.
fn module_of(address: u64, modules: &[Module]) -> Option<&Module> {
    let holds = |module: &&Module| module.ranges.iter().any(|(start, end)| (*start..*end).contains(&address));
    let inside: Vec<&Module> = modules.iter().filter(holds).collect();
    inside.iter().copied().find(|module| module.loaded).or(inside.last().copied())
}

#[cfg(test)]
mod tests;
