//! standstill.h: why an object is alive.

use core::ffi::{c_int, c_void};

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::base::Addr;
use standstill_runtime::check::{self, Answer, Question};
use standstill_runtime::entry_point;
use standstill_runtime::explain::{Holder, Hop};
use standstill_runtime::harvest::{RootKind, Strength};
use standstill_runtime::mem::with_room;

use crate::api::{acceptable, code};

/// `struct standstill_step`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Step {
    holder: u32,
    thread: i32,
    base: usize,
    bytes: usize,
    word_at: usize,
    word: usize,
    frame: usize,
    flags: u32,
    reserved: u32,
}

/// `struct standstill_chain`
#[repr(C)]
struct Chain {
    size: usize,
    step_size: usize,
    steps: *mut Step,
    capacity: usize,
    count: usize,
    object: usize,
    object_bytes: usize,
}

/// STANDSTILL_STEP_DOUBTFUL
const DOUBTFUL: u32 = 1;

/// Values of `enum standstill_holder`.
fn holder(of: Holder) -> u32 {
    match of {
        Holder::Chunk => 1,
        Holder::Root(RootKind::Globals) => 2,
        Holder::Root(RootKind::Stack) => 3,
        Holder::Root(RootKind::Register) => 4,
        Holder::Root(RootKind::Tls) => 5,
        Holder::Root(RootKind::ThreadSpecific) => 6,
        Holder::Root(RootKind::Region) => 7,
        Holder::Root(RootKind::Kernel) => 8,
        Holder::Root(RootKind::InTransit) => 9,
        Holder::Mapping | Holder::UnreachedMapping => 10,
        Holder::Ignored => 11,
        // The middle of a chain is left out only for people.
        Holder::Kept | Holder::Skipped => 12,
    }
}

fn step(hop: &Hop) -> Step {
    let doubtful = hop.strength == Strength::Weak || hop.holder == Holder::UnreachedMapping;
    Step {
        holder: holder(hop.holder),
        thread: hop.tid,
        base: hop.range.start.get(),
        bytes: hop.range.len(),
        word_at: hop.at.get(),
        word: hop.word,
        frame: hop.pc,
        flags: if doubtful { DOUBTFUL } else { 0 },
        reserved: 0,
    }
}

unsafe fn ask(question: Question, object: *const c_void, chain: *mut Chain, frame: &CallerFrame) -> c_int {
    // SAFETY: standstill.h: null, or a struct whose first member tells its size.
    if !unsafe { acceptable(chain) } {
        return code::BAD_ARGUMENT;
    }
    // SAFETY: as above, and it is large enough, since there is one version of it.
    let given = unsafe { chain.as_ref() };
    if given.is_some_and(|chain| {
        let bad_steps = chain.capacity > 0 && chain.steps.is_null();
        chain.size < size_of::<Chain>() || chain.step_size != size_of::<Step>() || bad_steps
    }) {
        return code::BAD_ARGUMENT;
    }
    let limit = given.map_or(0, |chain| chain.capacity);
    let mut answer = None;
    with_room(&mut || answer = check::ask(question, Addr::of(object), limit, frame));
    let Some(answer) = answer else { return code::COULD_NOT_CHECK };
    let Some(found) = answer.object else { return code::NO_OBJECT };
    // SAFETY: as above; nobody else uses it, as the header says.
    if let Some(chain) = unsafe { chain.as_mut() } {
        chain.count = answer.count;
        chain.object = found.base.get();
        chain.object_bytes = found.size;
        // SAFETY: standstill.h: `steps` has room for `capacity` steps, and there are no more hops than that.
        unsafe { write_steps(chain.steps, &answer) };
    }
    if answer.held { code::CLEAN } else { code::LEAKS }
}

/// # Safety
///
/// - `to` is writable for as many steps as the answer has hops.
unsafe fn write_steps(to: *mut Step, answer: &Answer) {
    for (index, hop) in answer.hops.iter().enumerate() {
        // SAFETY: the caller's duty.
        unsafe { to.add(index).write(step(hop)) };
    }
}

unsafe extern "C" fn explain(
    object: *const c_void,
    chain: *mut Chain,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: as standstill.h has it.
    unsafe { ask(Question::Chain, object, chain, frame) }
}

entry_point!(/// `int standstill_explain(object, chain)`
    standstill_explain => explain);

unsafe extern "C" fn referrers(
    object: *const c_void,
    chain: *mut Chain,
    _: usize,
    frame: &CallerFrame,
) -> c_int {
    // SAFETY: as standstill.h has it.
    unsafe { ask(Question::Referrers, object, chain, frame) }
}

entry_point!(/// `int standstill_referrers(object, chain)`
    standstill_referrers => referrers);
