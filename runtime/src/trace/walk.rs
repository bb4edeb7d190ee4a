//! One step from a frame to its caller, by whatever knows it best; and the walk of a whole stack.
//!
//! In this order: the rule that the cache has for the address; the row of .eh_frame, compiled to a rule and remembered,
//! or interpreted; a signal's return trampoline; the frame pointer. Each way either leads to a frame that lies above on
//! the same stack, or to another stack where the unwind table says so (a signal's frame; a frame that is found through
//! a register other than the stack pointer), or the stack ends.
//!
//! Never a loop: frames on one stack rise, and a walk has at most [`super::MAX_DEPTH`] steps. Never a crash: words are
//! read by [`Stack`] only.

use super::eh_frame::{self, Compiled, Interpreted, Missing};
use super::frame_pointer;
use super::rule::{RULES, Rule, RuleId};
use super::rule_cache::CACHE;
use super::signal_frame;
use super::stack_read::Stack;
use super::state::{RSP, State};
use super::statistics::Statistics;

/// How a step was made; the replay cache remembers only what follows from the rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// By a rule, upwards on the same stack.
    Rule(RuleId),
    /// In any other way.
    Other,
    /// The outermost frame was reached; `state` is as it was.
    Outermost,
    /// Not the outermost frame, but nothing says how to go on; `state` is as it was.
    Stuck,
}

/// Goes from the frame in `state` to its caller's.
#[inline(always)]
pub fn step(state: &mut State, stack: &mut Stack<'_>, statistics: &mut Statistics) -> Step {
    let id = CACHE.get(state.lookup_pc());
    if id.is_rule() && RULES.rule(id).apply(state, stack) {
        return Step::Rule(id);
    }
    slow_step(state, stack, id, statistics)
}

#[cold]
#[inline(never)]
fn slow_step(state: &mut State, stack: &mut Stack<'_>, id: RuleId, statistics: &mut Statistics) -> Step {
    let id = if id == RuleId::UNKNOWN { learn(state.lookup_pc(), statistics) } else { Ok(id) };
    let step = match id {
        Ok(RuleId::OUTERMOST) => return Step::Outermost,
        Ok(RuleId::NO_INFORMATION) => {
            let caller = frame_pointer::step(state, stack, |pc| CACHE.get(pc) != RuleId::UNKNOWN);
            return go(state, caller, Step::Other);
        }
        Ok(RuleId::SIGNAL_RETURN) => signal_frame::step(state, stack).map(Interpreted::Frame).ok_or(()),
        Ok(id) if id.is_rule() => {
            let rule = RULES.rule(id);
            return if rule.apply(state, stack) { Step::Rule(id) } else { elsewhere(&rule, state, stack) };
        }
        // A row that is no rule, or could not be remembered.
        _ => {
            statistics.interpreted += 1;
            eh_frame::interpret(state, stack).map_err(drop)
        }
    };
    match step {
        Ok(Interpreted::Outermost) => Step::Outermost,
        Ok(Interpreted::Frame(caller)) if caller.interrupted || caller.sp() <= state.sp() => {
            // Behind a signal's frame lies the interrupted stack, which may be this one or another.
            let found = stack.switch_to(caller.sp());
            go(state, found.then_some(caller), Step::Other)
        }
        Ok(Interpreted::Frame(caller)) => go(state, Some(caller), Step::Other),
        Ok(Interpreted::Stuck) | Err(()) => Step::Stuck,
    }
}

fn go(state: &mut State, caller: Option<State>, step: Step) -> Step {
    match caller {
        Some(caller) => {
            *state = caller;
            step
        }
        None => Step::Stuck,
    }
}

/// The CFA is not above on this stack. That is right where a function has moved the stack pointer to another stack and
/// finds its own frame through another register (split stacks, calls on a fresh stack).
fn elsewhere(rule: &Rule, state: &mut State, stack: &mut Stack<'_>) -> Step {
    let cfa = rule.cfa(state);
    let lowest = cfa.wrapping_add((isize::from(rule.lowest) * 8) as usize);
    if usize::from(rule.cfa_register) == RSP || !stack.switch_to(lowest) || !rule.load(cfa, state, stack) {
        return Step::Stuck;
    }
    Step::Other
}

/// Finds out what is to be known of a lookup address, and remembers it. `Err` when there is a row that could not be
/// remembered, or that cannot be had at the moment.
fn learn(pc: usize, statistics: &mut Statistics) -> Result<RuleId, Missing> {
    statistics.unwinder_steps += 1;
    let epoch = CACHE.epoch();
    let id = match eh_frame::compile(pc) {
        Ok(Compiled::Rule(rule)) => RULES.intern(&rule).ok_or(Missing::Busy)?,
        Ok(Compiled::Outermost) => RuleId::OUTERMOST,
        Ok(Compiled::Interpret) => RuleId::INTERPRET,
        // A trampoline is returned to, not called: its first byte is the return address.
        Err(Missing::NoInformation) if signal_frame::is_signal_return(pc + 1) => RuleId::SIGNAL_RETURN,
        Err(Missing::NoInformation) => RuleId::NO_INFORMATION,
        Err(Missing::Busy) => return Err(Missing::Busy),
    };
    CACHE.put(pc, id, epoch);
    Ok(id)
}

/// Writes the lookup addresses of `state`'s frame and its callers into `frames`, until it is full or the stack ends.
/// Returns how many.
pub fn walk(
    state: &mut State,
    stack: &mut Stack<'_>,
    frames: &mut [usize],
    statistics: &mut Statistics,
) -> usize {
    let mut len = 0;
    for frame in frames {
        if !State::is_code(state.pc) {
            break;
        }
        *frame = state.lookup_pc();
        len += 1;
        statistics.walked += 1;
        if matches!(step(state, stack, statistics), Step::Outermost | Step::Stuck) {
            break;
        }
    }
    len
}
