//! Rules: unwind rows compiled to what nearly all of them are, and their table.
//!
//! A row of .eh_frame says nearly always: the CFA is a register plus a constant, the return address lies at a constant
//! distance from the CFA, and so do the callee-saved registers that the function has saved. Such a row is a [`Rule`] of
//! 24 or 32 bytes, and a program has few different ones (clang: thousands), so they are kept once each and named by a
//! [`RuleId`] of 16 bits, which fits beside a program counter in one word (rule_cache.rs).
//!
//! Contract: [`RuleTable::rule`] is lock-free; [`RuleTable::intern`] takes a lock without waiting for long, since a
//! signal handler may have interrupted its holder: who does not get it goes on without an id.
//!
//! # Safety
//!
//! The table hands out references to slots that are written once. The cell is unsafe only in `slot`.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::arch::unwinding::{CALLEE_SAVED, REGISTERS, STACK_POINTER};
use crate::base::lock::Lock;

use super::stack_read::Stack;
use super::state::State;

/// A compiled row. Distances are in words, from the CFA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Rule {
    /// CFA = register + this many bytes.
    pub cfa_offset: i32,
    /// Number of that register, below [`REGISTERS`].
    pub cfa_register: u8,
    /// Where the return address lies.
    pub return_address: i16,
    /// Where the callee-saved registers lie; 0 for one that the frame has not changed.
    pub saved: [i16; CALLEE_SAVED.len()],
    /// The lowest of all distances.
    pub lowest: i16,
}

const _: () = assert!(size_of::<Rule>() == if CALLEE_SAVED.len() == 6 { 24 } else { 32 });

impl Rule {
    const ZERO: Rule =
        Rule { cfa_offset: 0, cfa_register: 0, return_address: 0, saved: [0; CALLEE_SAVED.len()], lowest: 0 };

    /// A rule from its parts; `None` if the row cannot be said so: no return address, or a slot that is not below the CFA,
    /// in the frame itself.
    pub fn new(
        cfa: (usize, i64),
        return_address: i64,
        saved: [Option<i64>; CALLEE_SAVED.len()],
    ) -> Option<Rule> {
        let words = |bytes: i64| -> Option<i16> {
            let words = i16::try_from(bytes / 8).ok()?;
            (bytes % 8 == 0 && words < 0).then_some(words)
        };
        let mut rule = Rule {
            cfa_offset: i32::try_from(cfa.1).ok()?,
            cfa_register: u8::try_from(cfa.0).ok().filter(|_| cfa.0 < REGISTERS)?,
            return_address: words(return_address)?,
            ..Rule::ZERO
        };
        rule.lowest = rule.return_address;
        for (slot, bytes) in rule.saved.iter_mut().zip(saved) {
            if let Some(bytes) = bytes {
                *slot = words(bytes)?;
                rule.lowest = rule.lowest.min(*slot);
            }
        }
        Some(rule)
    }

    /// The CFA, from the value of its register.
    #[inline(always)]
    pub fn cfa(&self, base: usize) -> usize {
        base.wrapping_add(self.cfa_offset as isize as usize)
    }

    /// Where a slot lies, from the CFA.
    #[inline(always)]
    pub fn at(words: i16, cfa: usize) -> usize {
        cfa.wrapping_add((isize::from(words) * 8) as usize)
    }

    /// The whole state of the caller's frame, whose CFA is known.
    pub fn load(&self, cfa: usize, state: &State, stack: &mut Stack<'_>) -> Option<State> {
        let mut caller = *state;
        caller.pc = stack.word(Self::at(self.return_address, cfa))?;
        caller.interrupted = false;
        for (register, slot) in CALLEE_SAVED.into_iter().zip(self.saved) {
            if slot != 0 {
                caller.registers[register] = stack.word(Self::at(slot, cfa))?;
            }
        }
        caller.registers[STACK_POINTER] = cfa;
        Some(caller)
    }

    fn hash(&self) -> usize {
        let mut hash: u64 = 0;
        let saved = self.saved.iter().fold(0u64, |all, slot| all.rotate_left(11) ^ *slot as u16 as u64);
        for word in [self.cfa_offset as u64, u64::from(self.cfa_register), self.return_address as u64, saved]
        {
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        hash as usize
    }
}

/// What is known of a program counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleId(pub u16);

impl RuleId {
    /// Nothing known.
    pub const UNKNOWN: RuleId = RuleId(0);
    /// The outermost frame: its return address is undefined (psABI 6.2).
    pub const OUTERMOST: RuleId = RuleId(1);
    /// There is a row, but not a simple one: it is interpreted each time.
    pub const INTERPRET: RuleId = RuleId(2);
    /// There is no unwind information: code made at run time, or assembly.
    pub const NO_INFORMATION: RuleId = RuleId(3);
    /// The code that a signal handler returns to, without unwind information.
    pub const SIGNAL_RETURN: RuleId = RuleId(4);
    const FIRST: u16 = 8;

    /// True when [`RuleTable::rule`] has it.
    #[inline(always)]
    pub fn is_rule(self) -> bool {
        self.0 >= Self::FIRST
    }
}

const CAPACITY: usize = 1 << 14;
const INDEX: usize = CAPACITY * 2;
/// Places of the index that are in use at first: a page. Programs have some hundred rules, and a hash would spread them
/// over all of it.
const FIRST_INDEX: usize = 1 << 11;

/// Rules, once each.
pub struct RuleTable {
    slots: [UnsafeCell<Rule>; CAPACITY],
    /// Open addressing by hash; 0 is free. Written under `writer` only.
    index: [AtomicU16; INDEX],
    /// How often the places in use have doubled. Changed under `writer`.
    doubled: AtomicU32,
    used: AtomicU32,
    writer: Lock<()>,
}

// SAFETY: a slot is written once, under `writer`, before its id is stored anywhere with Release; readers got the id
// with Acquire. A slot whose id nobody has is read by nobody.
unsafe impl Sync for RuleTable {}

/// The table of the process.
pub static RULES: RuleTable = RuleTable::new();

impl RuleTable {
    /// No rules; all zero, so that it costs no pages.
    pub const fn new() -> RuleTable {
        RuleTable {
            slots: [const { UnsafeCell::new(Rule::ZERO) }; CAPACITY],
            index: [const { AtomicU16::new(0) }; INDEX],
            doubled: AtomicU32::new(0),
            used: AtomicU32::new(0),
            writer: Lock::new(()),
        }
    }

    /// The rule with this id, which came from [`RuleTable::intern`].
    #[inline(always)]
    pub fn rule(&self, id: RuleId) -> &Rule {
        let slot = &self.slots[usize::from(id.0) % CAPACITY];
        // SAFETY: see Sync: written once before the id was published, and never again.
        unsafe { &*slot.get() }
    }

    /// The id of `rule`. `None` when the table is full or somebody else is writing: then the row is interpreted.
    pub fn intern(&self, rule: &Rule) -> Option<RuleId> {
        self.place_of(rule).ok().or_else(|| self.insert(rule))
    }

    /// The id of `rule`, or else where in the index it would be; behind its end when that is full.
    fn place_of(&self, rule: &Rule) -> Result<RuleId, usize> {
        let places = (FIRST_INDEX << self.doubled.load(Acquire)).min(INDEX);
        let hash = rule.hash();
        for probe in 0..places {
            let at = hash.wrapping_add(probe) % places;
            match self.index[at].load(Acquire) {
                0 => return Err(at),
                id if self.rule(RuleId(id)) == rule => return Ok(RuleId(id)),
                _ => {}
            }
        }
        Err(INDEX)
    }

    fn insert(&self, rule: &Rule) -> Option<RuleId> {
        let guard = self.writer.try_lock()?;
        let used = self.used.load(Relaxed).max(u32::from(RuleId::FIRST));
        if used as usize >= CAPACITY {
            return None;
        }
        if used as usize > FIRST_INDEX << self.doubled.load(Relaxed) >> 1 {
            self.double(used);
        }
        // Once more: another thread may have been first, or have doubled the index.
        let free = match self.place_of(rule) {
            Ok(id) => return Some(id),
            Err(free) => self.index.get(free)?,
        };
        // SAFETY: the slot's id was given to nobody, and the lock makes this the only writer.
        unsafe { *self.slots[used as usize].get() = *rule };
        self.used.store(used + 1, Relaxed);
        free.store(used as u16, Release);
        drop(guard);
        Some(RuleId(used as u16))
    }

    /// Doubles the index. Who looks in it meanwhile may miss a rule, and asks again under the lock.
    fn double(&self, used: u32) {
        let places = FIRST_INDEX << self.doubled.load(Relaxed);
        self.index.iter().take(places).for_each(|place| place.store(0, Relaxed));
        self.doubled.store(self.doubled.load(Relaxed) + 1, Release);
        for id in RuleId::FIRST..used as u16 {
            if let Err(free) = self.place_of(self.rule(RuleId(id)))
                && let Some(place) = self.index.get(free)
            {
                place.store(id, Release);
            }
        }
    }

    /// Rules so far.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.used.load(Relaxed).saturating_sub(u32::from(RuleId::FIRST)) as usize
    }

    /// In a forked child: the lock may have been held by a thread that is not here.
    pub fn after_fork_in_child(&self) {
        // A half-written slot was not published (`used` is stored after it), and is written again by the next.
        // SAFETY: the child has one thread, and it is not inside `insert`.
        unsafe { self.writer.force_unlock() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots of callee-saved registers, by place and distance.
    fn saved(slots: &[(usize, i64)]) -> [Option<i64>; CALLEE_SAVED.len()] {
        let mut saved = [None; CALLEE_SAVED.len()];
        for (place, bytes) in slots {
            saved[*place] = Some(*bytes);
        }
        saved
    }

    #[test]
    fn equal_rules_have_one_id() {
        static TABLE: RuleTable = RuleTable::new();
        let rule = |n: i64| Rule::new((STACK_POINTER, 8 * n), -8, saved(&[(1, -16 * (n % 7 + 1))]));
        let ids: Vec<_> = (0..3000).map(|n| TABLE.intern(&rule(n).unwrap()).unwrap()).collect();
        for n in 0..3000 {
            assert_eq!(TABLE.intern(&rule(n).unwrap()), Some(ids[n as usize]));
            assert_eq!(*TABLE.rule(ids[n as usize]), rule(n).unwrap());
        }
        assert_eq!(TABLE.len(), 3000);
        assert!(ids.iter().all(|id| id.0 >= RuleId::FIRST));
    }

    #[test]
    fn rows_that_are_not_simple_make_no_rule() {
        assert_eq!(Rule::new((STACK_POINTER, 8), 0, saved(&[])), None);
        assert_eq!(Rule::new((STACK_POINTER, 8), -4, saved(&[])), None);
        assert_eq!(Rule::new((STACK_POINTER, 8), -8, saved(&[(0, 8)])), None);
        assert_eq!(Rule::new((STACK_POINTER, 1 << 40), -8, saved(&[])), None);
        assert_eq!(Rule::new((REGISTERS, 8), -8, saved(&[])), None);
        assert_eq!(Rule::new((STACK_POINTER, 8), -8, saved(&[(0, -8 << 20)])), None);
        let rule = Rule::new((STACK_POINTER, 8), -8, saved(&[(0, -64), (5, -24)])).unwrap();
        assert_eq!((rule.lowest, rule.return_address), (-8, -1));
    }
}
