//! What the control group of the process allows it (cgroups(7), version 2): in a container, less than the machine has.
//!
//! The files are looked for below /sys/fs/cgroup, in the directory that /proc/self/cgroup names and in those above it, up to
//! the root of what can be seen, which in a container is its own group. The tightest limit counts.
//!
//! Contract: raw system calls only; opens files, one at a time.
//!
//! Not promised: groups of version 1, and those that are mounted elsewhere, seem to allow everything.

use core::ffi::CStr;

use crate::base::text::{Text, parse_number};
use crate::sys::file;

/// More than the files have in which something is looked for; of memory.stat the needed line is among the first.
const LONGEST: usize = 2048;
type Contents = Text<LONGEST>;

/// What is known of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Bytes that the processes of the group can still get; `None` when there is no limit.
    pub left: Option<usize>,
    /// When memory runs out, all processes of the group are killed (memory.oom.group).
    pub dies_as_one: bool,
}

/// Of the calling process.
pub fn memory() -> Memory {
    memory_of(&read)
}

/// For how many CPUs the group has time: its quota in a period, rounded up; `None` when there is no limit.
pub fn cpus() -> Option<usize> {
    cpus_of(&read)
}

fn memory_of(read: &ReadFile<'_>) -> Memory {
    let mut memory = Memory { left: None, dies_as_one: false };
    each_group(read, &mut |file| {
        if let Some(most) = file("memory.max").and_then(number) {
            let used = file("memory.current").and_then(number).unwrap_or(0);
            // Pages of files that nobody has used lately go first.
            let spare = file("memory.stat").and_then(inactive_file).unwrap_or(0);
            let left = most.saturating_sub(used.saturating_sub(spare)) as usize;
            memory.left = Some(memory.left.map_or(left, |least| least.min(left)));
        }
        memory.dies_as_one |= file("memory.oom.group").and_then(number) == Some(1);
    });
    memory
}

fn cpus_of(read: &ReadFile<'_>) -> Option<usize> {
    let mut least = None;
    each_group(read, &mut |file| {
        if let Some(cpus) = file("cpu.max").and_then(cpus_in) {
            least = Some(least.map_or(cpus, |least: usize| least.min(cpus)));
        }
    });
    least
}

/// What a file of that name holds.
type ReadFile<'r> = dyn Fn(&str) -> Option<Contents> + 'r;

/// Calls `each` for the group and all above it, with what reads a file of that group.
fn each_group(read: &ReadFile<'_>, each: &mut dyn FnMut(&ReadFile<'_>)) {
    let Some(groups) = read("/proc/self/cgroup") else { return };
    let own = groups.as_str().lines().find_map(|line| line.strip_prefix("0::"));
    let mut path = own.map(|own| own.trim_end_matches('/'));
    while let Some(group) = path {
        each(&|name| read(Text::<LONGEST>::of(format_args!("/sys/fs/cgroup{group}/{name}")).as_str()));
        path = group.rsplit_once('/').map(|(above, _)| above);
    }
}

/// `None` for "max".
fn number(contents: Contents) -> Option<u64> {
    parse_number(contents.as_str().trim())
}

fn inactive_file(contents: Contents) -> Option<u64> {
    parse_number(contents.as_str().lines().find_map(|line| line.strip_prefix("inactive_file "))?)
}

/// `QUOTA PERIOD`, of which the first may be "max".
fn cpus_in(contents: Contents) -> Option<usize> {
    let (quota, period) = contents.as_str().trim().split_once(' ')?;
    let (quota, period) = (parse_number(quota)?, parse_number(period).filter(|period| *period > 0)?);
    Some(quota.div_ceil(period).max(1) as usize)
}

fn read(path: &str) -> Option<Contents> {
    let path = Text::<LONGEST>::of(format_args!("{path}\0"));
    let path = CStr::from_bytes_with_nul(path.as_bytes()).ok()?;
    let mut bytes = [0; LONGEST];
    let len = file::read(&file::open(path, libc::O_RDONLY, 0).ok()?, &mut bytes).ok()?;
    let text = core::str::from_utf8(bytes.get(..len)?).ok()?;
    Some(Text::of(format_args!("{text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by their paths.
    fn files<'a>(all: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<Contents> + 'a {
        move |path| all.iter().find(|(at, _)| *at == path).map(|(_, text)| Text::of(format_args!("{text}")))
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let read = files(&[
            ("/proc/self/cgroup", "4:memory:/other\n0::/a/b\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/b/memory.current", "77\n"),
            ("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000\n"),
            ("/sys/fs/cgroup/a/memory.current", "700\n"),
            ("/sys/fs/cgroup/a/memory.stat", "anon 500\nfile 200\ninactive_file 50\nactive_file 150\n"),
            ("/sys/fs/cgroup/a/cpu.max", "250000 100000\n"),
            ("/sys/fs/cgroup/memory.max", "5000\n"),
            ("/sys/fs/cgroup/memory.current", "4000\n"),
            ("/sys/fs/cgroup/cpu.max", "400000 100000\n"),
        ]);
        assert_eq!(memory_of(&read), Memory { left: Some(350), dies_as_one: false });
        assert_eq!(cpus_of(&read), Some(3));
    }

    #[test]
    fn in_a_container_its_own_group_is_the_root() {
        let read = files(&[
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.max", "1000\n"),
            ("/sys/fs/cgroup/memory.current", "1200\n"),
            ("/sys/fs/cgroup/memory.oom.group", "1\n"),
            ("/sys/fs/cgroup/cpu.max", "5000 100000\n"),
        ]);
        assert_eq!(memory_of(&read), Memory { left: Some(0), dies_as_one: true });
        assert_eq!(cpus_of(&read), Some(1));
    }

    #[test]
    fn what_is_not_there_or_odd_limits_nothing() {
        let nothing = Memory { left: None, dies_as_one: false };
        let version_1 = "4:memory:/x\n1:name=systemd:/\n";
        for groups in [version_1, "", "0::", "0::/gone (deleted)\n", "0::/../above\n"] {
            let all = [
                ("/proc/self/cgroup", groups),
                ("/sys/fs/cgroup/cpu.max", "100000 0"),
                ("/sys/fs/cgroup/memory.max", "much"),
                ("/sys/fs/cgroup/memory.oom.group", "0\n"),
            ];
            assert_eq!(memory_of(&files(&all)), nothing);
            assert_eq!(cpus_of(&files(&all)), None);
        }
        assert_eq!(memory_of(&|_| None), nothing);
        // Whatever this machine has.
        let _ = (memory(), cpus());
    }
}
