//! Rows of .eh_frame: found by binary search in .eh_frame_hdr, compiled to a rule or interpreted for one frame.
//!
//! Contract: no lock that can be waited for, no allocation; usable inside malloc, and inside a signal handler that has
//! interrupted this very code. gimli's evaluation context (3.5 KiB) does not lie on the stack, which may be a
//! coroutine's of 16 KiB: a few contexts in static memory are taken by try-lock.
//!
//! Not promised: a row that is broken, or needs more registers than [`Storage`] holds, is no row.
//!
//! References: LSB Core 5.0, "Exception Frames"; DWARF 5, 6.4; psABI AMD64 1.0, 3.7.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Register, RegisterRule,
    UnwindContext, UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow,
};

use crate::arch::unwinding::{
    CALLEE_SAVED, COLUMNS, REGISTERS, RETURN_ADDRESS, RETURN_ADDRESS_IN_REGISTER, STACK_POINTER, VENDOR,
    significant,
};
use crate::base::lock::Lock;
use crate::base::{Addr, AddrRange};

use super::expression;
use super::find_object::{self, UnwindTables};
use super::rule::Rule;
use super::stack_read::{Stack, image_bytes};
use super::state::State;

/// .eh_frame of 64-bit code. The version says nothing for expressions of unwind tables.
pub const ENCODING: gimli::Encoding =
    gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };

type Bytes = EndianSlice<'static, LittleEndian>;

/// Room for a row.
struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); COLUMNS];
    type Stack = [UnwindTableRow<usize, Storage>; 4];
}

type Context = UnwindContext<usize, Storage>;
type Row = UnwindTableRow<usize, Storage>;

const CONTEXTS: usize = 4;
static POOL: [Lock<Option<Context>>; CONTEXTS] = [const { Lock::new(None) }; CONTEXTS];

/// In a forked child: contexts may be held by threads that are not here.
pub fn after_fork_in_child() {
    for context in &POOL {
        // SAFETY: the child has one thread, and it is not inside `with_row`; a context is reset before each use.
        unsafe { context.force_unlock() };
    }
}

/// Why there is no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// No image, no tables, or no entry that covers the address.
    NoInformation,
    /// All contexts are in use.
    Busy,
}

/// What the row of a lookup address amounts to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compiled {
    /// A simple one.
    Rule(Rule),
    /// The outermost frame.
    Outermost,
    /// Something else: [`interpret`] it.
    Interpret,
}

/// Looks up and compiles the row for `pc`.
pub fn compile(pc: usize) -> Result<Compiled, Missing> {
    with_row(pc, |row, _, signal| {
        let return_address = match row.register(Register(RETURN_ADDRESS as u16)) {
            Some(RegisterRule::Offset(offset)) => offset,
            Some(RegisterRule::Undefined) => return Compiled::Outermost,
            None if !RETURN_ADDRESS_IN_REGISTER => return Compiled::Outermost,
            _ => return Compiled::Interpret,
        };
        let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else { return Compiled::Interpret };
        if signal || row.register(Register(STACK_POINTER as u16)).is_some() {
            return Compiled::Interpret;
        }
        let mut saved = [None; CALLEE_SAVED.len()];
        for (slot, number) in saved.iter_mut().zip(CALLEE_SAVED) {
            match row.register(Register(number as u16)) {
                None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => {}
                Some(RegisterRule::Offset(offset)) => *slot = Some(offset),
                Some(_) => return Compiled::Interpret,
            }
        }
        match Rule::new((usize::from(register.0), offset), return_address, saved) {
            Some(rule) => Compiled::Rule(rule),
            None => Compiled::Interpret,
        }
    })
}

/// What one interpreted step led to.
// It lives for one step, on the stack; there is no heap to put the state on.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interpreted {
    /// The caller's frame; behind a signal's frame it is interrupted code, perhaps on another stack.
    Frame(State),
    /// There is no caller.
    Outermost,
    /// The row cannot be followed.
    Stuck,
}

/// Steps out of `state`'s frame by its row, whatever that says.
pub fn interpret(state: &State, stack: &mut Stack<'_>) -> Result<Interpreted, Missing> {
    with_row(state.lookup_pc(), |row, section, signal| {
        step(row, section, signal, state, stack).unwrap_or(Interpreted::Stuck)
    })
}

fn step(
    row: &Row,
    section: &EhFrame<Bytes>,
    signal: bool,
    state: &State,
    stack: &mut Stack<'_>,
) -> Option<Interpreted> {
    let get = |expression: UnwindExpression<usize>| expression.get(section).ok();
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            state.registers.get(usize::from(register.0))?.wrapping_add(*offset as usize)
        }
        CfaRule::Expression(at) => expression::evaluate(get(*at)?, None, state, stack)?,
    };
    let mut caller = State { pc: 0, interrupted: signal, registers: state.registers };
    caller.registers[STACK_POINTER] = cfa;
    // Behind a call the register holds where the callee returned to; only interrupted code may still have its own there.
    let in_register = RETURN_ADDRESS_IN_REGISTER && state.interrupted;
    let mut return_address = state.registers.get(RETURN_ADDRESS).copied().filter(|_| in_register);
    for (register, rule) in row.registers() {
        let number = usize::from(register.0);
        if number >= REGISTERS && number != RETURN_ADDRESS {
            continue;
        }
        let value = match rule {
            RegisterRule::Undefined if number == RETURN_ADDRESS => return Some(Interpreted::Outermost),
            RegisterRule::Undefined | RegisterRule::SameValue => continue,
            RegisterRule::Offset(offset) => stack.word(cfa.wrapping_add(*offset as usize))?,
            RegisterRule::ValOffset(offset) => cfa.wrapping_add(*offset as usize),
            RegisterRule::Register(other) => *state.registers.get(usize::from(other.0))?,
            RegisterRule::Expression(at) => {
                let at = expression::evaluate(get(*at)?, Some(cfa), state, stack)?;
                stack.word(at)?
            }
            RegisterRule::ValExpression(at) => expression::evaluate(get(*at)?, Some(cfa), state, stack)?,
            RegisterRule::Constant(value) => *value as usize,
            _ => return None,
        };
        if number == RETURN_ADDRESS {
            return_address = Some(value);
        } else {
            *caller.registers.get_mut(number)? = value;
        }
    }
    let Some(return_address) = return_address else { return Some(Interpreted::Outermost) };
    caller.pc = significant(return_address);
    Some(Interpreted::Frame(caller))
}

/// Calls `with(row, section, signal frame?)` for the row that covers `pc`.
fn with_row<T>(pc: usize, with: impl FnOnce(&Row, &EhFrame<Bytes>, bool) -> T) -> Result<T, Missing> {
    let tables = find_object::unwind_tables(pc).ok_or(Missing::NoInformation)?;
    for context in &POOL {
        if let Some(mut context) = context.try_lock() {
            let context = context.get_or_insert_with(UnwindContext::new_in);
            return find_row(tables, pc, context, with).ok_or(Missing::NoInformation);
        }
    }
    Err(Missing::Busy)
}

fn find_row<T>(
    tables: UnwindTables,
    pc: usize,
    context: &mut Context,
    with: impl FnOnce(&Row, &EhFrame<Bytes>, bool) -> T,
) -> Option<T> {
    // SAFETY: a table of the image of code that the calling thread is to return to, or one of ours.
    let table = unsafe { image_bytes(tables.search_table) };
    let bases = BaseAddresses::default().set_eh_frame_hdr(tables.search_table.start.get() as u64);
    let header = EhFrameHdr::new(table, LittleEndian).parse(&bases, 8).ok()?;
    let section_at = header.eh_frame_ptr().direct().ok()?;
    let bases = bases.set_eh_frame(section_at);
    let section = AddrRange::new(Addr::new(section_at as usize), tables.image.end);
    if !tables.image.contains(section.start) {
        return None;
    }
    // SAFETY: the range is inside the image of code that the calling thread is to return to.
    let section = unsafe { image_bytes(section) };
    let mut section = EhFrame::new(section, LittleEndian);
    section.set_vendor(VENDOR);
    let pc = pc as u64;
    let fde = match header.table() {
        Some(table) => table.fde_for_address(&section, &bases, pc, EhFrame::cie_from_offset).ok()?,
        None => linear_search(&section, &bases, pc)?,
    };
    let signal = fde.is_signal_trampoline();
    let row = fde.unwind_info_for_address(&section, &bases, context, pc).ok()?;
    Some(with(row, &section, signal))
}

/// For an image whose linker made no search table.
fn linear_search(
    section: &EhFrame<Bytes>,
    bases: &BaseAddresses,
    pc: u64,
) -> Option<gimli::FrameDescriptionEntry<Bytes>> {
    let mut entries = section.entries(bases);
    while let Some(entry) = entries.next().ok()? {
        if let CieOrFde::Fde(partial) = entry {
            let fde = partial.parse(EhFrame::cie_from_offset).ok()?;
            if fde.contains(pc) {
                return Some(fde);
            }
        }
    }
    None
}
