//! From a frame to its caller, by whatever knows it best.
//!
//! In this order: the rule that the cache has for the address; the row of .eh_frame, compiled to a rule and remembered,
//! or interpreted; a signal's return trampoline; the frame pointer. Each way either leads to a frame that lies above on
//! the same stack, or to another stack where the unwind table says so (a signal's frame; a frame that is found through
//! a register other than the stack pointer), or the stack ends.
//!
//! A step by rule reads one word, the return address. Callee-saved registers matter only to the few frames that have
//! their CFA in one: then the log of steps tells where it was saved last ([`Walker::register`]). A whole [`State`] is
//! made where something else than a rule makes the step; registers are then known from there.
//!
//! Never a loop: frames on one stack rise, and a walk has at most [`super::replay::LONGEST`] steps. Never a crash: words
//! are read by [`Stack`] only.

use crate::arch::CallerFrame;
use crate::arch::unwinding::{
    CALLEE_SAVED, FRAME_POINTER, FRAME_POINTER_PLACE, FRAME_RECORD_IS_LAST, REGISTERS, STACK_POINTER,
    callers_register,
};

use super::eh_frame::{self, Compiled, Interpreted, Missing};
use super::frame_pointer;
use super::rule::{RULES, Rule, RuleId};
use super::rule_cache::CACHE;
use super::signal_frame;
use super::stack_read::Stack;
use super::state::State;
use super::statistics::Statistics;

/// How a step was made; the replay cache remembers only what follows from rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// By a rule, upwards on the same stack.
    Rule,
    /// In any other way.
    Other,
    /// The outermost frame was reached; the walker stays there.
    Outermost,
    /// There is no unwind information and no frame pointer: the register points below the frame, as the zero of the process' first
    /// frame does. The walker stays there.
    NoFramePointer,
    /// Not the outermost frame, but nothing says how to go on; the walker stays there.
    Stuck,
}

impl Step {
    /// True when there is no further frame to be had.
    pub fn is_end(self) -> bool {
        matches!(self, Step::Outermost | Step::NoFramePointer | Step::Stuck)
    }
}

/// A step by rule: the rule, and the CFA it led to.
#[derive(Clone, Copy)]
pub struct Logged(u64);

impl Logged {
    /// Nothing.
    pub const NONE: Logged = Logged(0);

    fn new(rule: RuleId, cfa: usize) -> Logged {
        Logged((cfa as u64) << 16 | u64::from(rule.0))
    }

    /// The rule.
    pub fn rule(self) -> &'static Rule {
        RULES.rule(RuleId(self.0 as u16))
    }

    /// The frame address that it led to: the stack pointer in the caller's frame.
    pub fn cfa(self) -> usize {
        (self.0 >> 16) as usize
    }
}

/// A walk.
pub struct Walker<'a, 't> {
    pc: usize,
    sp: usize,
    interrupted: bool,
    /// The stack pointer is a lower bound only: a frame pointer led here, and records need not end their frames.
    sp_is_low: bool,
    /// Where registers have their values from that no step in the log has loaded: the entry point's caller, or a whole
    /// state.
    caller: &'a CallerFrame,
    state: Option<State>,
    /// The steps by rule since then begin here.
    since: usize,
    log: &'a mut [Logged],
    steps: usize,
    stack: Stack<'t>,
    statistics: &'a mut Statistics,
}

impl<'a, 't> Walker<'a, 't> {
    /// At the frame of an entry point's caller. `log` bounds the steps.
    #[inline]
    pub fn new(
        caller: &'a CallerFrame,
        stack: Stack<'t>,
        log: &'a mut [Logged],
        statistics: &'a mut Statistics,
    ) -> Self {
        let (pc, sp) = (caller.return_address, caller.stack_pointer());
        Walker {
            pc,
            sp,
            interrupted: false,
            sp_is_low: false,
            caller,
            state: None,
            since: 0,
            log,
            steps: 0,
            stack,
            statistics,
        }
    }

    /// At a frame of which everything is known, of any thread that stands still. `caller` is not looked at.
    pub fn at(
        state: State,
        caller: &'a CallerFrame,
        stack: Stack<'t>,
        log: &'a mut [Logged],
        statistics: &'a mut Statistics,
    ) -> Self {
        let (pc, sp, interrupted) = (state.pc, state.sp(), state.interrupted);
        let state = Some(state);
        Walker {
            pc,
            sp,
            interrupted,
            sp_is_low: false,
            caller,
            state,
            since: 0,
            log,
            steps: 0,
            stack,
            statistics,
        }
    }

    /// Where the frame goes on.
    pub fn pc(&self) -> usize {
        self.pc
    }

    /// See [`State::interrupted`].
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// The frame's stack pointer.
    pub fn sp(&self) -> usize {
        self.sp
    }

    /// The stack that the frame is on.
    pub fn stack(&mut self) -> &mut Stack<'t> {
        &mut self.stack
    }

    /// Ends the walk.
    pub fn into_stack(self) -> Stack<'t> {
        self.stack
    }

    /// What the walk has cost.
    pub fn statistics(&mut self) -> &mut Statistics {
        self.statistics
    }

    /// The steps by rule from the caller's frame, if all were such.
    pub fn log(&self) -> &[Logged] {
        self.log.get(..self.steps).unwrap_or_default()
    }

    /// See [`State::lookup_pc`].
    #[inline(always)]
    pub fn lookup_pc(&self) -> usize {
        self.pc.wrapping_sub(usize::from(!self.interrupted))
    }

    /// The callee-saved register with this place in [`CALLEE_SAVED`], in this frame. `None` when it was saved outside
    /// the stack.
    pub fn register(&mut self, place: usize) -> Option<usize> {
        for step in self.log.get(self.since..self.steps)?.iter().rev() {
            let words = *step.rule().saved.get(place)?;
            if words != 0 {
                return self.stack.word(Rule::at(words, step.cfa()));
            }
        }
        let register = *CALLEE_SAVED.get(place)?;
        match &self.state {
            Some(state) => state.registers.get(register).copied(),
            None => Some(callers_register(self.caller, place)),
        }
    }

    /// The register that a rule finds the CFA through.
    #[inline(always)]
    fn cfa_register(&mut self, number: usize) -> Option<usize> {
        if number == STACK_POINTER { Some(self.sp) } else { self.other_register(number) }
    }

    fn other_register(&mut self, number: usize) -> Option<usize> {
        match CALLEE_SAVED.into_iter().position(|register| register == number) {
            Some(place) => self.register(place),
            // A call does not keep it: it is known in an interrupted frame only.
            None => self.state.filter(|_| self.interrupted)?.registers.get(number).copied(),
        }
    }

    /// Where the next step finds the return address, and the lowest word that it may load, if a rule that is known makes
    /// it, upwards on the same stack.
    pub fn next_slots(&mut self) -> Option<(usize, usize)> {
        let id = CACHE.get(self.lookup_pc());
        if !id.is_rule() || self.sp_is_low {
            return None;
        }
        let rule = RULES.rule(id);
        let cfa = rule.cfa(self.cfa_register(usize::from(rule.cfa_register))?);
        (cfa > self.sp).then(|| (Rule::at(rule.return_address, cfa), Rule::at(rule.lowest, cfa)))
    }

    /// Everything known of the frame.
    pub fn state(&mut self) -> Option<State> {
        if let Some(state) = self.state.filter(|_| self.since == self.steps) {
            return Some(state);
        }
        let mut registers = [0; REGISTERS];
        registers[STACK_POINTER] = self.sp;
        for (place, register) in CALLEE_SAVED.into_iter().enumerate() {
            registers[register] = self.register(place)?;
        }
        Some(State { pc: self.pc, interrupted: self.interrupted, registers })
    }

    /// Goes on from a whole state.
    fn go_to(&mut self, state: State) -> Step {
        self.pc = state.pc;
        self.sp = state.sp();
        self.interrupted = state.interrupted;
        self.sp_is_low = false;
        self.state = Some(state);
        self.since = self.steps;
        Step::Other
    }

    /// Goes from the frame to its caller's.
    #[inline(always)]
    pub fn step(&mut self) -> Step {
        self.statistics.walked += 1;
        let id = CACHE.get(self.lookup_pc());
        let exact = FRAME_RECORD_IS_LAST || !self.sp_is_low;
        if exact && id.is_rule() && self.follow(id) { Step::Rule } else { self.slow_step(id) }
    }

    /// A step by rule. False, and nothing changed, if the caller's frame does not lie above on the same stack.
    #[inline(always)]
    fn follow(&mut self, id: RuleId) -> bool {
        let rule = RULES.rule(id);
        let Some(base) = self.cfa_register(usize::from(rule.cfa_register)) else { return false };
        let cfa = rule.cfa(base);
        if cfa <= self.sp {
            return false;
        }
        let Some(pc) = self.stack.word(Rule::at(rule.return_address, cfa)) else { return false };
        let Some(logged) = self.log.get_mut(self.steps) else { return false };
        *logged = Logged::new(id, cfa);
        self.steps += 1;
        self.pc = pc;
        self.sp = cfa;
        self.interrupted = false;
        true
    }

    #[cold]
    #[inline(never)]
    fn slow_step(&mut self, id: RuleId) -> Step {
        let id = if id == RuleId::UNKNOWN { learn(self.lookup_pc(), self.statistics) } else { Ok(id) };
        if id == Ok(RuleId::OUTERMOST) {
            return Step::Outermost;
        }
        if self.sp_is_low {
            return self.step_by_record(id);
        }
        if let Ok(id) = id
            && id.is_rule()
            && self.follow(id)
        {
            return Step::Rule;
        }
        if id == Ok(RuleId::NO_INFORMATION) {
            return self.frame_pointer_step();
        }
        let Some(state) = self.state() else { return Step::Stuck };
        let step = match id {
            Ok(RuleId::SIGNAL_RETURN) => {
                signal_frame::step(&state, &mut self.stack).map(Interpreted::Frame).ok_or(())
            }
            Ok(id) if id.is_rule() => return self.elsewhere(RULES.rule(id), &state),
            // A row that is no rule, or could not be remembered.
            _ => {
                self.statistics.interpreted += 1;
                eh_frame::interpret(&state, &mut self.stack).map_err(drop)
            }
        };
        match step {
            Ok(Interpreted::Outermost) => Step::Outermost,
            Ok(Interpreted::Frame(caller)) => {
                // Behind a signal's frame lies the interrupted stack, which may be this one or another.
                let leaves = caller.interrupted || caller.sp() <= state.sp();
                if leaves && !self.stack.switch_to(caller.sp()) {
                    return Step::Stuck;
                }
                self.go_to(caller)
            }
            Ok(Interpreted::Stuck) | Err(()) => Step::Stuck,
        }
    }

    fn frame_pointer_step(&mut self) -> Step {
        let known = |pc| CACHE.get(pc) != RuleId::UNKNOWN;
        let Some(frame) = self.other_register(FRAME_POINTER) else { return Step::Stuck };
        if !frame_pointer::is_one(frame, self.sp) {
            return Step::NoFramePointer;
        }
        if !frame_pointer::fits(frame, &mut self.stack, known) {
            return Step::Stuck;
        }
        match frame_pointer::rule().and_then(|rule| RULES.intern(&rule)) {
            Some(id) if self.follow(id) => {
                self.sp_is_low = !FRAME_RECORD_IS_LAST;
                if self.sp_is_low { Step::Other } else { Step::Rule }
            }
            _ => Step::Stuck,
        }
    }

    /// A step out of a frame whose stack pointer is not known: its frame pointer points to its record, and the rule says
    /// how far that lies from the CFA.
    fn step_by_record(&mut self, id: Result<RuleId, Missing>) -> Step {
        let rule = id.ok().filter(|id| id.is_rule()).map(|id| RULES.rule(id));
        let record = rule.filter(|rule| usize::from(rule.cfa_register) == STACK_POINTER).and_then(|rule| {
            let distance = *rule.saved.get(FRAME_POINTER_PLACE)?;
            let frame = self.register(FRAME_POINTER_PLACE)?;
            (distance != 0 && frame >= self.sp).then(|| (rule, Rule::at(-distance, frame)))
        });
        let Some((rule, cfa)) = record.filter(|(_, cfa)| *cfa > self.sp) else {
            return self.frame_pointer_step();
        };
        let Some(state) = self.state() else { return Step::Stuck };
        rule.load(cfa, &state, &mut self.stack).map_or(Step::Stuck, |caller| self.go_to(caller))
    }

    /// The CFA is not above on this stack. That is right where a function has moved the stack pointer to another stack
    /// and finds its own frame through another register (split stacks, calls on a fresh stack).
    fn elsewhere(&mut self, rule: &Rule, state: &State) -> Step {
        let number = usize::from(rule.cfa_register);
        if number == STACK_POINTER {
            return Step::Stuck;
        }
        let Some(base) = self.other_register(number) else { return Step::Stuck };
        let cfa = rule.cfa(base);
        if !self.stack.switch_to(Rule::at(rule.lowest, cfa)) {
            return Step::Stuck;
        }
        rule.load(cfa, state, &mut self.stack).map_or(Step::Stuck, |caller| self.go_to(caller))
    }

    /// Writes the lookup addresses of the frame and its callers into `frames`, until it is full or the stack ends.
    /// Returns how many.
    pub fn walk(&mut self, frames: &mut [usize]) -> usize {
        let mut len = 0;
        for frame in frames {
            if !State::is_code(self.pc) {
                break;
            }
            *frame = self.lookup_pc();
            len += 1;
            if self.step().is_end() {
                break;
            }
        }
        len
    }
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
