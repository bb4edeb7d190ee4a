//! Pointers that a program keeps in 32 bits, as virtual machines and engines do: the option `compressed_pointers`.

use crate::base::text::parse_number;

/// What a compressed pointer counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// An address.
    At(usize),
    /// It is the low bits of an address: those above are those of any block.
    Heap,
}

/// Stands for `base + (number << shift)`; the number 0 for no pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compressed {
    /// What it counts from.
    pub base: Base,
    /// How many bits at the end of each offset are 0, and not kept.
    pub shift: u32,
}

impl Compressed {
    /// What a value looks like.
    pub(super) const KIND: &'static str =
        "BASE+SHIFT, BASE an address (0x..) or heap, SHIFT from 0 to 16, as in 0x800000000+3";
    const MOST: u64 = 16;

    /// Reads one. A colon may stand for the plus, where quotes keep it from ending the value.
    pub(super) fn parse(text: &str) -> Option<Compressed> {
        let (base, shift) = text.split_once(['+', ':'])?;
        let base = match base {
            "heap" => Base::Heap,
            _ if base.starts_with("0x") => Base::At(parse_number(base)?.try_into().ok()?),
            _ => return None,
        };
        let shift = parse_number(shift).filter(|shift| *shift <= Compressed::MOST)?;
        Some(Compressed { base, shift: shift as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_and_a_shift_are_read_and_nothing_else() {
        let some = |base, shift| Some(Compressed { base, shift });
        assert_eq!(Compressed::parse("0x800000000+3"), some(Base::At(0x8_0000_0000), 3));
        assert_eq!(Compressed::parse("0x0:16"), some(Base::At(0), 16));
        assert_eq!(Compressed::parse("heap+0"), some(Base::Heap, 0));
        for bad in
            ["heap", "heap+", "heap+17", "heap+-1", "800000000+3", "0x+3", "0xg+3", "+3", "0x8", "heap+3+1"]
        {
            assert_eq!(Compressed::parse(bad), None, "{bad}");
        }
    }
}
