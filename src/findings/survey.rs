//! What a process told of its live objects, with names: functions of call stacks, variables of root words.

use std::collections::HashMap;
use std::path::PathBuf;

use standstill_runtime::report::suppressions::Suppressions;
use standstill_runtime::report::survey::Place;

use super::{Frame, covering, frames};
use crate::record::{Check, Module, Survey};
use crate::symbols::Symbolizer;

/// A variable of a program or library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// The file it is in.
    pub module: PathBuf,
    /// The address as the file counts it.
    pub offset: u64,
    /// Its name, demangled, and how far behind its beginning the address lies; `None` where no symbol is known.
    pub name: Option<(String, u64)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// What was told, without the paths that were not asked for.
    pub survey: Survey,
    /// The frames of each call stack.
    pub stacks: HashMap<u32, Vec<Frame>>,
    /// The functions whose frames hold something, by address.
    pub code: HashMap<usize, Vec<Frame>>,
    /// The variables that hold something, by address.
    pub variables: HashMap<usize, Variable>,
}

impl Named {
    /// Names a check's survey.
    pub fn of(check: &Check, symbolizer: &mut Symbolizer) -> Named {
        let mut named = Named { survey: check.survey.clone(), ..Named::default() };
        let survey = &named.survey;
        for stack in survey.stacks() {
            named.stacks.entry(stack).or_insert_with(|| {
                let addresses = check.stacks.get(&stack).map_or(&[][..], Vec::as_slice);
                frames(addresses, &check.modules, symbolizer)
            });
        }
        named.choose();
        let survey = &named.survey;
        for hop in survey.words().filter(|hop| hop.pc != 0) {
            let name = || frames(&[hop.pc as u64], &check.modules, symbolizer);
            named.code.entry(hop.pc).or_insert_with(name);
        }
        let roots = survey.words().filter(|hop| hop.is_root()).map(|hop| hop.at);
        for at in roots.chain(survey.places.iter().map(|place| place.at)) {
            if let Some(variable) = variable(at.get() as u64, &check.modules, symbolizer) {
                named.variables.insert(at.get(), variable);
            }
        }
        named
    }

    /// Keeps the paths of objects that the pattern means. An address and a size were heeded by the process.
    fn choose(&mut self) {
        let wanted = &self.survey.wanted;
        let is_number = wanted.starts_with("0x") || wanted.bytes().all(|byte| byte.is_ascii_digit());
        let mut rules = Suppressions::new();
        if is_number || wanted == "all" || rules.add(wanted.as_bytes()).is_err() {
            return;
        }
        let stacks = &self.stacks;
        self.survey
            .paths
            .retain(|path| stacks.get(&path.stack).is_some_and(|frames| covering(&rules, frames).is_some()));
    }

    /// True when two neighbouring root words belong to one variable, thread or module.
    pub fn same_place(&self, first: &Place, second: &Place) -> bool {
        if (first.holder, first.tid) != (second.holder, second.tid) {
            return false;
        }
        let unit = |place: &Place| {
            let variable = self.variables.get(&place.at.get())?;
            let start = variable.name.as_ref().map(|(_, into)| variable.offset - into);
            Some((&variable.module, start))
        };
        unit(first) == unit(second)
    }
}

fn variable(address: u64, modules: &[Module], symbolizer: &mut Symbolizer) -> Option<Variable> {
    let holds = |module: &&Module| module.image.is_some_and(|(start, end)| (start..end).contains(&address));
    let module = modules.iter().filter(holds).max_by_key(|module| module.loaded)?;
    let offset = address.wrapping_sub(module.bias);
    let name = symbolizer.variable(&module.path, &module.build_id, offset);
    Some(Variable { module: module.path.clone(), offset, name })
}
