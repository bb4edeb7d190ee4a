//! DWARF expressions as they occur in unwind rows: a stack machine over registers, constants and stack words.
//!
//! Met in practice: the CFA of .plt entries, functions that align their stack (CFA behind a saved pointer), and
//! signal frames (every register at an address in the ucontext). Parsing is gimli's; its own evaluator is not used, as
//! it stops for every register and every word to be asked for, and carries storage for pieces and calls.

use gimli::{EndianSlice, Expression, LittleEndian, Operation};

use crate::arch::unwinding::PC;

use super::eh_frame::ENCODING;
use super::stack_read::Stack;
use super::state::State;

/// Deeper expressions and longer ones do not occur in unwind tables; a loop ends here.
const DEPTH: usize = 16;
const STEPS: usize = 96;

struct Values {
    values: [usize; DEPTH],
    len: usize,
}

impl Values {
    fn push(&mut self, value: usize) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<usize> {
        self.len = self.len.checked_sub(1)?;
        self.values.get(self.len).copied()
    }

    fn binary(&mut self, operation: impl FnOnce(usize, usize) -> Option<usize>) -> Option<()> {
        let second = self.pop()?;
        let first = self.pop()?;
        self.push(operation(first, second)?)
    }
}

/// The value of an expression for a frame; `initial` is on the machine's stack to begin with (the CFA, for a
/// register's rule). `None` for an operation that unwind tables do not use, and for memory outside the stack.
pub fn evaluate(
    expression: Expression<EndianSlice<'_, LittleEndian>>,
    initial: Option<usize>,
    state: &State,
    stack: &mut Stack<'_>,
) -> Option<usize> {
    let all = expression.0;
    let mut rest = expression.0;
    let mut values = Values { values: [0; DEPTH], len: 0 };
    if let Some(initial) = initial {
        values.push(initial)?;
    }
    let truth = |condition: bool| Some(usize::from(condition));
    for _ in 0..STEPS {
        if rest.is_empty() {
            return values.pop();
        }
        match Operation::parse(&mut rest, ENCODING).ok()? {
            Operation::RegisterOffset { register, offset, .. } => {
                let value = match usize::from(register.0) {
                    PC => state.pc,
                    register => *state.registers.get(register)?,
                };
                values.push(value.wrapping_add(offset as usize))?;
            }
            Operation::UnsignedConstant { value } => values.push(value as usize)?,
            Operation::SignedConstant { value } => values.push(value as usize)?,
            Operation::PlusConstant { value } => {
                let top = values.pop()?;
                values.push(top.wrapping_add(value as usize))?;
            }
            Operation::Deref { size: 8, space: false, .. } => {
                let at = values.pop()?;
                values.push(stack.word(at)?)?;
            }
            Operation::Pick { index } => {
                let at = values.len.checked_sub(1 + usize::from(index))?;
                values.push(*values.values.get(at)?)?;
            }
            Operation::Drop => drop(values.pop()?),
            Operation::Swap => {
                let (second, first) = (values.pop()?, values.pop()?);
                values.push(second)?;
                values.push(first)?;
            }
            Operation::Plus => values.binary(|a, b| Some(a.wrapping_add(b)))?,
            Operation::Minus => values.binary(|a, b| Some(a.wrapping_sub(b)))?,
            Operation::Mul => values.binary(|a, b| Some(a.wrapping_mul(b)))?,
            Operation::And => values.binary(|a, b| Some(a & b))?,
            Operation::Or => values.binary(|a, b| Some(a | b))?,
            Operation::Xor => values.binary(|a, b| Some(a ^ b))?,
            Operation::Shl => values.binary(|a, b| a.checked_shl(b as u32))?,
            Operation::Shr => values.binary(|a, b| a.checked_shr(b as u32))?,
            Operation::Shra => {
                values.binary(|a, b| (a as isize).checked_shr(b as u32).map(|n| n as usize))?
            }
            Operation::Neg => {
                let top = values.pop()?;
                values.push(top.wrapping_neg())?;
            }
            Operation::Not => {
                let top = values.pop()?;
                values.push(!top)?;
            }
            // DWARF 5, 2.5.1.5: comparisons are signed.
            Operation::Eq => values.binary(|a, b| truth(a == b))?,
            Operation::Ne => values.binary(|a, b| truth(a != b))?,
            Operation::Ge => values.binary(|a, b| truth(a as isize >= b as isize))?,
            Operation::Gt => values.binary(|a, b| truth(a as isize > b as isize))?,
            Operation::Le => values.binary(|a, b| truth(a as isize <= b as isize))?,
            Operation::Lt => values.binary(|a, b| truth((a as isize) < b as isize))?,
            Operation::Nop => {}
            Operation::Skip { target } => rest = jump(all, rest, target)?,
            Operation::Bra { target } => {
                if values.pop()? != 0 {
                    rest = jump(all, rest, target)?;
                }
            }
            _ => return None,
        }
    }
    None
}

fn jump<'a>(
    all: EndianSlice<'a, LittleEndian>,
    rest: EndianSlice<'a, LittleEndian>,
    by: i16,
) -> Option<EndianSlice<'a, LittleEndian>> {
    let here = all.len() - rest.len();
    let to = here.checked_add_signed(isize::from(by))?;
    all.slice().get(to..).map(|bytes| EndianSlice::new(bytes, LittleEndian))
}

#[cfg(test)]
mod tests {
    use super::super::stack_read::OwnStack;
    use super::*;
    use crate::arch::unwinding::{REGISTERS, STACK_POINTER};

    fn run(bytes: &[u8], initial: Option<usize>, state: &State) -> Option<usize> {
        let mut own = OwnStack::new();
        let mut stack = Stack::of_caller(&mut own, state.sp());
        evaluate(Expression(EndianSlice::new(bytes, LittleEndian)), initial, state, &mut stack)
    }

    #[test]
    fn expressions_of_real_tables() {
        let words = [7usize, 9, 11];
        let mut state = State { pc: 0x40_100b, interrupted: true, registers: [0; REGISTERS] };
        state.registers[STACK_POINTER] = words.as_ptr().addr();
        let sp = state.sp();
        // A .plt entry: breg7 8, breg16 0, lit15, and, lit11, ge, lit3, shl, plus.
        let plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(run(&plt, None, &state), Some(sp + 16));
        state.pc -= 1;
        assert_eq!(run(&plt, None, &state), Some(sp + 8));
        // breg7 8, deref
        assert_eq!(run(&[0x77, 8, 0x06], None, &state), Some(9));
        // With the CFA on the stack: plus_uconst 16, deref
        assert_eq!(run(&[0x23, 16, 0x06], Some(sp), &state), Some(11));
        // Bad ones: nothing on the stack, unknown operation, memory outside, endless loop.
        assert_eq!(run(&[0x22], None, &state), None);
        assert_eq!(run(&[0x97], None, &state), None);
        assert_eq!(run(&[0x38, 0x06], None, &state), None);
        assert_eq!(run(&[0x2f, 0xfd, 0xff], None, &state), None);
        assert_eq!(run(&[0x2f, 0x80, 0xff], None, &state), None);
    }
}
