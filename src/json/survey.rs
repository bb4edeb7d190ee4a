//! Live objects for machines.

use serde::Serialize;
use standstill_runtime::explain::Hop;
use standstill_runtime::harvest::Strength;
use standstill_runtime::report::survey::{Place, rows};

use super::{OneFrame, Sum, frame, hex, total};
use crate::findings::Named;

#[derive(Serialize)]
pub(super) struct OneSurvey<'a> {
    reachable: Vec<OneReachable<'a>>,
    paths: Vec<OnePath<'a>>,
    retained: Option<Retained>,
    grown: Vec<OneGrown<'a>>,
    since: Option<u32>,
    not_returned: Vec<OneResource<'a>>,
    not_unmapped: Vec<OneMapping<'a>>,
    cut_short: Option<&'a str>,
}

#[derive(Serialize)]
struct OneResource<'a> {
    kind: &'static str,
    count: usize,
    first: usize,
    frames: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct OneMapping<'a> {
    kind: &'static str,
    count: usize,
    bytes: usize,
    first: String,
    holds: Sum,
    frames: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct OneGrown<'a> {
    objects: isize,
    bytes: isize,
    now: Sum,
    frames: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct OneReachable<'a> {
    first_root: &'static str,
    objects: usize,
    bytes: usize,
    frames: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct OnePath<'a> {
    address: String,
    bytes: usize,
    held: bool,
    frames: Vec<OneFrame<'a>>,
    steps: Vec<OneStep<'a>>,
    pointers: Option<usize>,
    referrers: Vec<OneStep<'a>>,
}

#[derive(Serialize)]
struct OneStep<'a> {
    holder: &'static str,
    doubtful: bool,
    thread: Option<i32>,
    address: Option<String>,
    bytes: usize,
    offset: usize,
    word: String,
    times: usize,
    variable: Option<Variable<'a>>,
    frames: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct Variable<'a> {
    module: String,
    offset: String,
    name: Option<&'a str>,
    into: u64,
}

#[derive(Serialize)]
struct Retained {
    roots: Vec<Root>,
    shared: Sum,
}

#[derive(Serialize)]
struct Root {
    root: String,
    holder: &'static str,
    thread: Option<i32>,
    objects: usize,
    bytes: usize,
}

/// The part of one process; nothing where nothing was asked for.
pub(super) fn survey(named: &Named) -> Option<OneSurvey<'_>> {
    let survey = &named.survey;
    if survey.view().is_empty() && survey.wanted.is_empty() {
        return None;
    }
    let stack = |stack: u32| named.stacks.get(&stack).map_or(&[][..], Vec::as_slice);
    Some(OneSurvey {
        reachable: survey
            .reachable
            .iter()
            .map(|group| OneReachable {
                first_root: group.root.name(),
                objects: group.objects,
                bytes: group.bytes,
                frames: stack(group.stack).iter().map(frame).collect(),
            })
            .collect(),
        paths: survey
            .paths
            .iter()
            .map(|path| {
                let hops = survey.hops.get(path.first..path.first + path.hops).unwrap_or_default();
                let words = path.pointers.and_then(|pointers| {
                    survey.referrers.get(pointers.first..pointers.first + pointers.told)
                });
                let words = words.unwrap_or_default();
                OnePath {
                    address: hex(path.object.get() as u64),
                    bytes: path.size,
                    held: !hops.is_empty(),
                    frames: stack(path.stack).iter().map(frame).collect(),
                    steps: hops.iter().map(|hop| step(named, hop)).collect(),
                    pointers: path.pointers.map(|pointers| pointers.count),
                    referrers: words.iter().map(|hop| step(named, hop)).collect(),
                }
            })
            .collect(),
        retained: (!survey.places.is_empty()).then(|| retained(named)),
        grown: survey
            .grown
            .iter()
            .map(|group| OneGrown {
                objects: group.objects,
                bytes: group.bytes,
                now: total((group.now_objects as u64, group.now_bytes as u64)),
                frames: stack(group.stack).iter().map(frame).collect(),
            })
            .collect(),
        since: (survey.since > 0).then_some(survey.since),
        not_returned: survey
            .resources
            .iter()
            .map(|group| OneResource {
                kind: group.kind.name(),
                count: group.count,
                first: group.first,
                frames: stack(group.stack).iter().map(frame).collect(),
            })
            .collect(),
        not_unmapped: survey
            .mappings
            .iter()
            .map(|group| OneMapping {
                kind: group.kind(),
                count: group.count,
                bytes: group.bytes,
                first: hex(group.first.get() as u64),
                holds: total((group.held_objects as u64, group.held_bytes as u64)),
                frames: stack(group.stack).iter().map(frame).collect(),
            })
            .collect(),
        cut_short: (!survey.short.is_empty()).then_some(survey.short.as_str()),
    })
}

fn step<'a>(named: &'a Named, hop: &Hop) -> OneStep<'a> {
    let frames = if hop.pc != 0 { named.code.get(&hop.pc) } else { named.stacks.get(&hop.stack.0) };
    let variable = named.variables.get(&hop.at.get()).filter(|_| hop.is_root());
    OneStep {
        holder: hop.holder.name(),
        doubtful: hop.strength == Strength::Weak,
        thread: (hop.tid != 0).then_some(hop.tid),
        address: (!hop.range.is_empty()).then(|| hex(hop.range.start.get() as u64)),
        bytes: hop.range.len(),
        offset: hop.offset(),
        word: hex(hop.word as u64),
        times: hop.times,
        variable: variable.map(|variable| Variable {
            module: variable.module.to_string_lossy().into_owned(),
            offset: hex(variable.offset),
            name: variable.name.as_ref().map(|(name, _)| name.as_str()),
            into: variable.name.as_ref().map_or(0, |(_, into)| *into),
        }),
        frames: frames.into_iter().flatten().map(frame).collect(),
    }
}

fn retained(named: &Named) -> Retained {
    let view = named.survey.view();
    let same = &mut |first: &Place, second: &Place| named.same_place(first, second);
    // Without memory for the sums there are none.
    let Ok((rows, shared)) = rows(&view, same) else {
        return Retained { roots: Vec::new(), shared: total((0, 0)) };
    };
    let roots = rows.iter().filter(|row| row.objects > 0).map(|row| Root {
        root: crate::show::whole(named, &row.place),
        holder: row.place.holder.name(),
        thread: (row.place.tid != 0).then_some(row.place.tid),
        objects: row.objects,
        bytes: row.bytes,
    });
    Retained { roots: roots.collect(), shared: total((shared.0 as u64, shared.1 as u64)) }
}
