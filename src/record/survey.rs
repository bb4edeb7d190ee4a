//! The part of a record that tells of objects that are no leaks.

use standstill_runtime::base::{Addr, AddrRange};
use standstill_runtime::explain::{Holder, Hop};
use standstill_runtime::harvest::Strength;
use standstill_runtime::report;
use standstill_runtime::report::mappings::Mappings;
use standstill_runtime::report::resources::Resources;
use standstill_runtime::report::survey::{Grown, Path, Place, Pointers, Reachable, Retained};
use standstill_runtime::threads::resources::Kind;
use standstill_runtime::trace::StackId;

use super::Fields;

/// What the runtime wrote; see its [`report::Survey`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Reachable chunks by call stack and kind of first root.
    pub reachable: Vec<Reachable>,
    /// Which paths were asked for.
    pub wanted: String,
    /// Why single objects are alive.
    pub paths: Vec<Path>,
    /// Of all paths.
    pub hops: Vec<Hop>,
    /// Words that point to the objects of paths.
    pub referrers: Vec<Hop>,
    /// Root words.
    pub places: Vec<Place>,
    /// What they hold.
    pub retained: Vec<Retained>,
    /// What grew since a baseline.
    pub grown: Vec<Grown>,
    /// Which baseline.
    pub since: u32,
    /// What was not given back.
    pub resources: Vec<Resources>,
    /// Mappings that nothing holds.
    pub mappings: Vec<Mappings>,
    /// Why something is missing.
    pub short: String,
}

impl Survey {
    /// As the runtime's renderer wants it.
    pub fn view(&self) -> report::Survey<'_> {
        report::Survey {
            reachable: &self.reachable,
            wanted: &self.wanted,
            paths: &self.paths,
            hops: &self.hops,
            referrers: &self.referrers,
            places: &self.places,
            retained: &self.retained,
            grown: &self.grown,
            since: self.since,
            resources: &self.resources,
            mappings: &self.mappings,
            short: &self.short,
        }
    }

    /// Every stack that it names.
    pub fn stacks(&self) -> impl Iterator<Item = u32> {
        let groups = self.reachable.iter().map(|group| group.stack);
        let paths = self.paths.iter().map(|path| path.stack);
        let groups = groups.chain(self.grown.iter().map(|group| group.stack));
        let groups = groups.chain(self.resources.iter().map(|group| group.stack));
        let groups = groups.chain(self.mappings.iter().map(|group| group.stack));
        groups.chain(paths).chain(self.words().map(|hop| hop.stack.0))
    }

    /// Every word that it tells of, but for those of roots.
    pub fn words(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().chain(&self.referrers)
    }

    /// A line of it. `None` for a bad one; `Some(false)` for one that is of something else.
    pub(super) fn line<'a, I: Iterator<Item = &'a [u8]>>(
        &mut self,
        word: &[u8],
        fields: &mut Fields<'a, I>,
    ) -> Option<bool> {
        match word {
            b"reachable" => self.reachable.push(Reachable {
                stack: fields.decimal()?,
                root: holder(fields)?,
                objects: fields.decimal()?,
                bytes: fields.decimal()?,
            }),
            b"short" => self.short = fields.text()?,
            b"explain" => self.wanted = fields.text()?,
            b"path" => self.paths.push(Path {
                object: address(fields)?,
                size: fields.decimal()?,
                stack: fields.decimal()?,
                first: self.hops.len(),
                hops: 0,
                pointers: None,
            }),
            b"hop" => {
                let hop = hop(fields)?;
                self.paths.last_mut()?.hops += 1;
                self.hops.push(hop);
            }
            b"pointers" => {
                let (count, first) = (fields.decimal()?, self.referrers.len());
                self.paths.last_mut()?.pointers = Some(Pointers { count, first, told: 0 });
            }
            b"referrer" => {
                let hop = hop(fields)?;
                self.paths.last_mut()?.pointers.as_mut()?.told += 1;
                self.referrers.push(hop);
            }
            b"place" => {
                let (holder, tid) = (holder(fields)?, fields.decimal()?);
                self.places.push(Place { holder, tid, at: address(fields)? });
            }
            b"retained" => self.retained.push(Retained {
                first: fields.decimal()?,
                last: fields.decimal()?,
                objects: fields.decimal()?,
                bytes: fields.decimal()?,
            }),
            b"grown" => {
                self.grown.push(Grown {
                    stack: fields.decimal()?,
                    objects: fields.decimal()?,
                    bytes: fields.decimal()?,
                    now_objects: fields.decimal()?,
                    now_bytes: fields.decimal()?,
                });
                self.since = fields.decimal()?;
            }
            b"resource" => {
                let name = fields.str()?;
                self.resources.push(Resources {
                    kind: Kind::ALL.into_iter().find(|kind| kind.name() == name)?,
                    stack: fields.decimal()?,
                    count: fields.decimal()?,
                    first: fields.decimal()?,
                });
            }
            b"mapping" => {
                let kind = fields.str()?;
                self.mappings.push(Mappings {
                    indirect: Mappings::KINDS.into_iter().position(|name| name == kind)? == 1,
                    stack: fields.decimal()?,
                    count: fields.decimal()?,
                    bytes: fields.decimal()?,
                    first: address(fields)?,
                    held_objects: fields.decimal()?,
                    held_bytes: fields.decimal()?,
                });
            }
            _ => return Some(false),
        }
        Some(true)
    }
}

fn holder<'a, I: Iterator<Item = &'a [u8]>>(fields: &mut Fields<'a, I>) -> Option<Holder> {
    let name = fields.str()?;
    Holder::ALL.into_iter().find(|holder| holder.name() == name)
}

fn address<'a, I: Iterator<Item = &'a [u8]>>(fields: &mut Fields<'a, I>) -> Option<Addr> {
    fields.hex().map(|address| Addr::new(address as usize))
}

fn hop<'a, I: Iterator<Item = &'a [u8]>>(fields: &mut Fields<'a, I>) -> Option<Hop> {
    let (holder, tid) = (holder(fields)?, fields.decimal()?);
    let strength = if fields.decimal::<u8>()? == 0 { Strength::Strong } else { Strength::Weak };
    let (start, len): (Addr, usize) = (address(fields)?, fields.decimal()?);
    // Sizes come from outside, too.
    let range = AddrRange::new(start, Addr::new(start.get().saturating_add(len)));
    Some(Hop {
        holder,
        tid,
        strength,
        range,
        at: address(fields)?,
        word: fields.hex()? as usize,
        stack: StackId(fields.decimal()?),
        pc: fields.hex()? as usize,
        times: fields.decimal()?,
    })
}
