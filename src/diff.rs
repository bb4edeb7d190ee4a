//! `standstill diff`: the reports of two runs, side by side: what is new, what grew, what shrank, what is gone.
//!
//! A run that was not wholly looked at may have what it does not tell: of what is missing there nothing is called gone.
//!
//! Groups of two JSON documents are the same when kind and call stack are the same. Misuses of the heap are groups too, by
//! the call stack of the free. Call stacks are compared by function
//! and source file where they are known, else by module and offset: addresses differ from run to run, and lines move when
//! a file is edited above them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use crate::cli::Diff;
use crate::json::FORMAT;
use crate::render::UNCHECKED;
use crate::run::Problem;

/// What the exit status says when something is new or grew.
pub const GREW: u8 = 23;

/// One group of both documents.
#[derive(Clone, Debug, Default)]
struct Group {
    kind: String,
    /// Lines for people, leaf first.
    frames: Vec<String>,
    /// Objects and bytes, before and after.
    before: (i64, i64),
    after: (i64, i64),
    /// The run after was not wholly looked at.
    unsure: bool,
}

#[derive(Serialize)]
struct Change<'a> {
    change: &'static str,
    kind: &'a str,
    before: Sum,
    after: Sum,
    frames: &'a [String],
}

#[derive(Serialize)]
struct Sum {
    objects: i64,
    bytes: i64,
}

type Key = (String, Vec<String>);

/// Runs the subcommand.
pub fn diff(options: &Diff) -> Result<ExitCode, Problem> {
    let mut groups = BTreeMap::new();
    let before = add(&mut groups, &options.before, |group| &mut group.before)?;
    let after = add(&mut groups, &options.after, |group| &mut group.after)?;
    let is_plain = |verdict: &str| matches!(verdict, "clean" | "leaks");
    if !(is_plain(&before) && is_plain(&after)) {
        eprintln!("Standstill: of the run before: {before}; of the run after: {after}");
    }
    if !is_plain(&after) {
        groups.values_mut().for_each(|group| group.unsure = true);
    }
    let mut changed: Vec<&Group> = groups.values().filter(|group| group.before != group.after).collect();
    changed.retain(|group| options.reachable || group.kind != "reachable");
    changed.sort_by_key(|group| (order(&group.kind), std::cmp::Reverse(group.after.1 - group.before.1)));
    let text = if options.json { document(&changed) } else { text(&changed) };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Problem::new(format!("cannot write the difference: {error}")))?;
    let grew =
        changed.iter().any(|group| group.kind != "reachable" && group.kind != "possible" && group.grew());
    Ok(ExitCode::from(if grew {
        GREW
    } else if is_plain(&after) {
        0
    } else {
        UNCHECKED
    }))
}

impl Group {
    fn grew(&self) -> bool {
        self.after.0 > self.before.0 || self.after.1 > self.before.1
    }

    fn change(&self) -> &'static str {
        match (self.before.0, self.after.0) {
            (0, _) => "new",
            (_, 0) if self.unsure => "not seen",
            (_, 0) => "gone",
            _ if self.grew() => "grew",
            _ => "shrank",
        }
    }
}

fn order(kind: &str) -> usize {
    ["direct", "indirect", "possible", "reachable"].iter().position(|known| *known == kind).unwrap_or(MISUSE)
}

/// Any kind that is not one of objects.
const MISUSE: usize = 4;

/// Adds the groups of a document to one side of all: its verdict.
fn add(
    groups: &mut BTreeMap<Key, Group>,
    path: &Path,
    side: impl Fn(&mut Group) -> &mut (i64, i64),
) -> Result<String, Problem> {
    let shown = path.display();
    let bad = |what: &str| Problem::new(format!("{shown}: {what}; give two files written by --json"));
    let text = fs::read(path).map_err(|error| Problem::new(format!("cannot read {shown}: {error}")))?;
    let document: Value = serde_json::from_slice(&text).map_err(|error| bad(&format!("no JSON: {error}")))?;
    if document["tool"] != "standstill" {
        return Err(bad("not a report of Standstill"));
    }
    if document["format"] != FORMAT {
        return Err(bad(&format!("format {}, but this command reads {FORMAT}", document["format"])));
    }
    let leaks = document["leaks"].as_array().ok_or_else(|| bad("it has no list of leaks"))?;
    for leak in leaks {
        enter(groups, leak["kind"].as_str().unwrap_or("?"), leak, sum(leak), "frames", &side);
    }
    for misuse in document["misuses"].as_array().into_iter().flatten() {
        enter(groups, misuse["what"].as_str().unwrap_or("?"), misuse, (1, 0), "freed_by", &side);
    }
    for process in document["processes"].as_array().into_iter().flatten() {
        for group in process["survey"]["reachable"].as_array().into_iter().flatten() {
            enter(groups, "reachable", group, sum(group), "frames", &side);
        }
    }
    Ok(document["verdict"].as_str().unwrap_or("unknown").to_owned())
}

fn sum(of: &Value) -> (i64, i64) {
    let number = |name: &str| of[name].as_i64().unwrap_or(0);
    (number("objects"), number("bytes"))
}

fn enter(
    groups: &mut BTreeMap<Key, Group>,
    kind: &str,
    from: &Value,
    more: (i64, i64),
    stack: &str,
    side: &impl Fn(&mut Group) -> &mut (i64, i64),
) {
    let frames = from[stack].as_array().map_or(&[][..], Vec::as_slice);
    let key = (kind.to_owned(), frames.iter().map(identity).collect());
    let group = groups.entry(key).or_default();
    if group.frames.is_empty() {
        kind.clone_into(&mut group.kind);
        group.frames = frames.iter().map(shown).collect();
    }
    let sum = side(group);
    *sum = (sum.0 + more.0, sum.1 + more.1);
}

/// What must be the same in two runs.
fn identity(frame: &Value) -> String {
    let word = |name: &str| frame[name].as_str().unwrap_or("");
    match frame["function"].as_str() {
        Some(function) => format!("{function} {}", word("file")),
        None if frame["module"].is_string() => format!("{}+{}", word("module"), word("offset")),
        None => "?".to_owned(),
    }
}

fn shown(frame: &Value) -> String {
    let word = |name: &str| frame[name].as_str().unwrap_or("");
    let text = match (frame["function"].as_str(), frame["file"].as_str()) {
        (Some(function), Some(file)) => match frame["line"].as_u64() {
            Some(line) => format!("in {function} {file}:{line}"),
            None => format!("in {function} {file}"),
        },
        (Some(function), None) => format!("in {function} ({}+{})", word("module"), word("offset")),
        _ if frame["module"].is_string() => format!("({}+{})", word("module"), word("offset")),
        _ => format!("{} (<unknown module>)", word("address")),
    };
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn text(changed: &[&Group]) -> String {
    let mut out = String::new();
    for group in changed {
        let (objects, bytes) = (group.after.0 - group.before.0, group.after.1 - group.before.1);
        // Writing to a String cannot fail.
        let _ = write!(out, "{} {}: ", group.change(), group.kind);
        let _ = if order(&group.kind) == MISUSE {
            writeln!(out, "{objects:+} time(s), now {}, freed by:", group.after.0)
        } else {
            let (now_objects, now) = group.after;
            writeln!(
                out,
                "{bytes:+} byte(s) in {objects:+} object(s), now {now} in {now_objects}, allocated from:"
            )
        };
        for (number, frame) in group.frames.iter().enumerate() {
            let _ = writeln!(out, "    #{number} {frame}");
        }
        out.push('\n');
    }
    let count = |change: &str| changed.iter().filter(|group| group.change() == change).count();
    let mut kinds =
        ["new", "grew", "shrank", "gone"].map(|change| format!("{} {change}", count(change))).to_vec();
    if count("not seen") > 0 {
        kinds.push(format!("{} not seen", count("not seen")));
    }
    let _ = writeln!(out, "Standstill: difference: {} group(s): {}", changed.len(), kinds.join(", "));
    out
}

fn document(changed: &[&Group]) -> String {
    let sum = |(objects, bytes): (i64, i64)| Sum { objects, bytes };
    let changes: Vec<Change> = changed
        .iter()
        .map(|group| Change {
            change: group.change(),
            kind: &group.kind,
            before: sum(group.before),
            after: sum(group.after),
            frames: &group.frames,
        })
        .collect();
    // Plain data with text keys cannot fail to be written.
    serde_json::to_string_pretty(&changes).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(leaks: &str) -> String {
        format!(r#"{{"format":1,"tool":"standstill","leaks":[{leaks}],"processes":[]}}"#)
    }

    fn leak(kind: &str, function: &str, line: u32, objects: u32) -> String {
        format!(
            r#"{{"kind":"{kind}","objects":{objects},"bytes":{},"frames":[{{"function":"{function}","file":"a.c","line":{line}}}]}}"#,
            objects * 10
        )
    }

    fn changes(before: &str, after: &str) -> Vec<(&'static str, String, i64)> {
        let folder = std::env::temp_dir().join(format!("standstill-diff-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut groups = BTreeMap::new();
        for (name, text) in [("before", before), ("after", after)] {
            fs::write(folder.join(name), text).unwrap();
        }
        add(&mut groups, &folder.join("before"), |group| &mut group.before).unwrap();
        add(&mut groups, &folder.join("after"), |group| &mut group.after).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let changed = groups.values().filter(|group| group.before != group.after);
        changed.map(|g| (g.change(), g.frames[0].clone(), g.after.1 - g.before.1)).collect()
    }

    #[test]
    fn each_group_is_new_grown_shrunk_gone_or_the_same() {
        let before = [
            ("direct", "same", 1, 2),
            ("direct", "more", 1, 2),
            ("indirect", "less", 1, 3),
            ("direct", "gone", 1, 1),
        ];
        // Lines have moved; functions have not.
        let after = [
            ("direct", "same", 9, 2),
            ("direct", "more", 9, 5),
            ("indirect", "less", 9, 1),
            ("direct", "new", 9, 1),
        ];
        let join = |all: &[(&str, &str, u32, u32)]| {
            document(&all.iter().map(|l| leak(l.0, l.1, l.2, l.3)).collect::<Vec<_>>().join(","))
        };
        assert_eq!(
            changes(&join(&before), &join(&after)),
            [
                ("gone", "in gone a.c:1".to_owned(), -10),
                ("grew", "in more a.c:1".to_owned(), 30),
                ("new", "in new a.c:9".to_owned(), 10),
                ("shrank", "in less a.c:1".to_owned(), -20),
            ]
        );
    }

    #[test]
    fn other_files_are_refused_with_their_name() {
        let folder = std::env::temp_dir().join(format!("standstill-diff-bad-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.json");
        for (text, word) in [
            ("nonsense", "no JSON"),
            ("{}", "not a report"),
            (r#"{"tool":"standstill","format":99}"#, "format 99"),
        ] {
            fs::write(&path, text).unwrap();
            let problem = add(&mut BTreeMap::new(), &path, |group| &mut group.after).unwrap_err().to_string();
            assert!(problem.contains(word) && problem.contains("x.json"), "{problem}");
        }
        fs::remove_dir_all(&folder).unwrap();
        assert!(add(&mut BTreeMap::new(), &path, |group| &mut group.after).is_err());
    }
}
