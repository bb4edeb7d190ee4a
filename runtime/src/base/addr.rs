//! Addresses of the traced world.
//!
//! An [`Addr`] is a number, not a pointer: what lies there may be unmapped, guarded, or change under us, so there is
//! no dereference here. Reading goes through [`crate::mem::read`], which survives faults.

use core::fmt;

/// An address in the process that is checked. Never dereferenced; see the module.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Addr(usize);

impl Addr {
    /// The address 0.
    pub const NULL: Addr = Addr(0);

    /// Takes a number as an address.
    pub const fn new(value: usize) -> Addr {
        Addr(value)
    }

    /// The address of a pointer.
    pub fn of<T: ?Sized>(pointer: *const T) -> Addr {
        Addr(pointer.cast::<u8>().addr())
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }

    /// True for address 0.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// `self + bytes`, stopping at the end of the address space.
    pub const fn plus(self, bytes: usize) -> Addr {
        Addr(self.0.saturating_add(bytes))
    }

    /// `self - bytes`, stopping at 0.
    pub const fn minus(self, bytes: usize) -> Addr {
        Addr(self.0.saturating_sub(bytes))
    }

    /// Rounded down to a multiple of `unit`, a power of two.
    pub const fn align_down(self, unit: usize) -> Addr {
        debug_assert!(unit.is_power_of_two());
        Addr(self.0 & !(unit - 1))
    }

    /// Rounded up to a multiple of `unit`, a power of two; stops at the last such multiple.
    pub const fn align_up(self, unit: usize) -> Addr {
        debug_assert!(unit.is_power_of_two());
        match self.0.checked_add(unit - 1) {
            Some(sum) => Addr(sum & !(unit - 1)),
            None => Addr(usize::MAX & !(unit - 1)),
        }
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A half-open range of addresses, `start..end`; empty where `end <= start`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct AddrRange {
    /// First address inside.
    pub start: Addr,
    /// First address past the end.
    pub end: Addr,
}

impl AddrRange {
    /// `start..end`.
    pub const fn new(start: Addr, end: Addr) -> AddrRange {
        AddrRange { start, end }
    }

    /// `start..start + bytes`.
    pub const fn sized(start: Addr, bytes: usize) -> AddrRange {
        AddrRange { start, end: start.plus(bytes) }
    }

    /// Bytes inside.
    pub const fn len(self) -> usize {
        self.end.get().saturating_sub(self.start.get())
    }

    /// True when no address is inside.
    pub const fn is_empty(self) -> bool {
        self.end.get() <= self.start.get()
    }

    /// True when `addr` is inside.
    pub const fn contains(self, addr: Addr) -> bool {
        self.start.get() <= addr.get() && addr.get() < self.end.get()
    }

    /// True when the two share an address.
    pub const fn overlaps(self, other: AddrRange) -> bool {
        !self.intersect(other).is_empty()
    }

    /// What both contain; empty (but not canonical) when they share nothing.
    pub const fn intersect(self, other: AddrRange) -> AddrRange {
        let start = if self.start.get() > other.start.get() { self.start } else { other.start };
        let end = if self.end.get() < other.end.get() { self.end } else { other.end };
        AddrRange { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        let range = AddrRange::sized(Addr::new(0x1000), 0x10);
        assert!(range.contains(Addr::new(0x1000)));
        assert!(!range.contains(Addr::new(0x1010)));
        assert_eq!(range.len(), 16);
        assert!(!range.overlaps(AddrRange::sized(range.end, 8)));
        assert!(range.overlaps(AddrRange::sized(Addr::new(0xfff), 2)));
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Addr::new(8).minus(16), Addr::NULL);
        assert_eq!(Addr::new(usize::MAX - 1).plus(16), Addr::new(usize::MAX));
        assert_eq!(Addr::new(usize::MAX).align_up(4096).get() % 4096, 0);
    }
}
