//! Numbers of scopes: which are given, and which scope is around which.
//!
//! A number is *open* from the begin of a scope to its end, and *given* until no block has it any more. In between it was
//! *left*: its scope ended without a walk over the blocks (the check failed, or was turned off), the scope around it ended
//! before it (it was left by longjmp), or its thread ended. What is left goes to the next open scope around it of the same
//! thread, or to none, at the next walk that anybody makes for a scope; who is going to make one *claims* the numbers before,
//! and nobody else does meanwhile.
//!
//! Contract: a thread's own innermost scope, where one is asked for, is that of its [`super::ThreadState`].

use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::heap::Scope;

const COUNT: usize = Scope::MOST as usize + 1;

/// Sets of numbers, a bit each.
#[derive(Clone, Copy)]
struct Numbers {
    given: u16,
    open: u16,
    claimed: u16,
}

impl Numbers {
    fn of(word: u64) -> Numbers {
        Numbers { given: word as u16, open: (word >> 16) as u16, claimed: (word >> 32) as u16 }
    }

    fn word(self) -> u64 {
        u64::from(self.given) | u64::from(self.open) << 16 | u64::from(self.claimed) << 32
    }
}

/// Number 0 is no scope's.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// The scope around each that is given.
static AROUND: [AtomicU8; COUNT] = [const { AtomicU8::new(0) }; COUNT];

/// A change of all sets at once; `None` when `change` wants none.
fn update<R>(mut change: impl FnMut(&mut Numbers) -> Option<R>) -> Option<R> {
    let mut word = NUMBERS.load(Acquire);
    loop {
        let mut numbers = Numbers::of(word);
        let result = change(&mut numbers)?;
        match NUMBERS.compare_exchange_weak(word, numbers.word(), AcqRel, Acquire) {
            Ok(_) => return Some(result),
            Err(now) => word = now,
        }
    }
}

fn bit(scope: Scope) -> u16 {
    1 << (scope.0 & Scope::MOST)
}

fn around(scope: Scope) -> Scope {
    AROUND.get(usize::from(scope.0)).map_or(Scope::NONE, |around| Scope(around.load(Relaxed)))
}

/// `scope`, the one around it, and so on.
fn outward(scope: Scope) -> impl Iterator<Item = Scope> {
    let one = |scope: Scope| (scope != Scope::NONE).then_some(scope);
    core::iter::successors(one(scope), move |scope| one(around(*scope))).take(COUNT)
}

fn bits(scopes: impl Iterator<Item = Scope>) -> u16 {
    scopes.fold(0, |set, scope| set | bit(scope))
}

/// The number of a new scope inside of `innermost`, the caller's; `None` when all are given.
pub fn begin(innermost: Scope) -> Option<Scope> {
    update(|numbers| {
        let scope = Scope(numbers.given.trailing_ones() as u8);
        AROUND.get(usize::from(scope.0)).filter(|_| scope.0 <= Scope::MOST)?;
        numbers.given |= bit(scope);
        numbers.open |= bit(scope);
        Some(scope)
    })
    .inspect(|scope| {
        // Nobody asks for that of an open scope but its own thread.
        if let Some(slot) = AROUND.get(usize::from(scope.0)) {
            slot.store(innermost.0, Relaxed);
        }
    })
}

/// What the next walk over all blocks is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The scopes that end: numbers, a bit each.
    of: u16,
    /// Where the blocks of each go.
    to: [Scope; COUNT],
    claimed: u16,
}

impl Ending {
    /// True for a block of a scope that ends.
    pub fn includes(&self, scope: Scope) -> bool {
        self.of & bit(scope) != 0
    }

    /// The scope to which a block of `scope` goes.
    pub fn goes_to(&self, scope: Scope) -> Scope {
        self.to.get(usize::from(scope.0)).copied().unwrap_or(scope)
    }

    /// True when no walk is called for.
    pub fn is_nothing(&self) -> bool {
        self.claimed == 0
    }

    /// After the walk, or when there was none.
    pub fn settle(self, walked: bool) {
        update(|numbers| {
            numbers.claimed &= !self.claimed;
            if walked {
                numbers.given &= !self.claimed;
            }
            Some(())
        });
    }
}

/// Ends `scope` and those inside of it; `None` when it is not a scope of the thread whose innermost one is given. That
/// thread's is the one around it from now on.
pub fn end(scope: Scope, innermost: Scope) -> Option<(Ending, Scope)> {
    let inner = bits(outward(innermost).take_while(|one| *one != scope)) | bit(scope);
    let outer = around(scope);
    outward(innermost).any(|one| one == scope).then(|| (claim(scope, inner, outer), outer))
}

/// Claims what others have left, without an end.
pub fn left(innermost: Scope) -> Ending {
    claim(Scope::NONE, 0, innermost)
}

/// Closes the numbers `closed` and claims what is left and is the caller's, whose innermost scope is going to be `own`, or
/// nobody's. Blocks of `ends`, and of what is in it, are those of scopes that end.
fn claim(ends: Scope, closed: u16, own: Scope) -> Ending {
    let own = bits(outward(own));
    update(|numbers| {
        numbers.open &= !closed;
        let mut ending = Ending { of: 0, to: core::array::from_fn(|number| Scope(number as u8)), claimed: 0 };
        for number in 1..=Scope::MOST {
            let scope = Scope(number);
            if numbers.given & !numbers.open & !numbers.claimed & bit(scope) == 0 {
                continue;
            }
            let to = outward(scope).find(|one| numbers.open & bit(*one) != 0).unwrap_or(Scope::NONE);
            if to != Scope::NONE && own & bit(to) == 0 {
                continue;
            }
            if outward(scope).any(|one| one == ends) {
                ending.of |= bit(scope);
            }
            if let Some(slot) = ending.to.get_mut(usize::from(number)) {
                *slot = to;
            }
            ending.claimed |= bit(scope);
        }
        numbers.claimed |= ending.claimed;
        Some(ending)
    })
    .unwrap_or(Ending { of: 0, to: [Scope::NONE; COUNT], claimed: 0 })
}

/// A thread ends in its scopes, of which `innermost` is the innermost.
pub(super) fn abandon(innermost: Scope) {
    let own = bits(outward(innermost));
    if own != 0 {
        update(|numbers| {
            numbers.open &= !own;
            Some(())
        });
    }
}

/// In the child of a fork(2): only the caller's scopes are open, and nobody walks.
pub(super) fn after_fork_in_child(innermost: Scope) {
    let open = bits(outward(innermost));
    update(|numbers| {
        *numbers = Numbers { open, claimed: 0, ..*numbers };
        Some(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are the process': one test, step by step.
    #[test]
    fn every_number_comes_back() {
        let given = || Numbers::of(NUMBERS.load(Acquire)).given;
        let before = given();
        let outer = begin(Scope::NONE).unwrap();
        let inner = begin(outer).unwrap();
        let innermost = begin(inner).unwrap();
        assert!(end(Scope(innermost.0 + 1), innermost).is_none() && end(outer, Scope::NONE).is_none());

        // A check that failed: what is left is the outer one's, whoever walks.
        let (failed, around) = end(innermost, innermost).unwrap();
        assert!(failed.includes(innermost) && !failed.includes(inner) && failed.goes_to(innermost) == inner);
        assert_eq!(around, inner);
        failed.settle(false);
        assert!(left(Scope::NONE).is_nothing());

        // An end closes what is inside of it, and takes what was left there.
        let lost = begin(inner).unwrap();
        let (ending, around) = end(inner, lost).unwrap();
        for scope in [inner, innermost, lost] {
            assert!(ending.includes(scope) && ending.goes_to(scope) == outer, "{scope:?}");
        }
        assert!(around == outer && !ending.includes(outer) && ending.goes_to(outer) == outer);
        // Nobody else takes them meanwhile.
        assert!(left(outer).is_nothing());
        ending.settle(true);

        // A thread ends: its blocks are in no scope.
        let lost = begin(outer).unwrap();
        abandon(lost);
        let left = left(Scope::NONE);
        assert!(!left.includes(lost) && [lost, outer].iter().all(|one| left.goes_to(*one) == Scope::NONE));
        left.settle(true);
        assert_eq!(given(), before);
    }
}
