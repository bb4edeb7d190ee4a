//! Work on a stack of our own: who asks may be a coroutine, a handler on an alternate stack or a small thread, with a few KiB
//! left.
//!
//! Contract: any phase in which a mapping can be made. A debugger sees the frames on both stacks as one.

use crate::arch::{self, page_size};
use crate::base::{Addr, AddrRange, Errno};
use crate::sys::memory;

use super::OwnMap;

/// Address space; what is touched of it costs memory.
const BYTES: usize = 1 << 20;

/// A stack above a page that cannot be touched.
pub struct OwnStack(OwnMap);

impl OwnStack {
    /// Maps one.
    ///
    /// # Errors
    ///
    /// There is no memory, or no more mappings can be had.
    pub fn new() -> Result<OwnStack, Errno> {
        let map = OwnMap::new(page_size() + BYTES)?;
        // SAFETY: a page of the new mapping, which nobody uses.
        unsafe { memory::protect(AddrRange::sized(map.range().start, page_size()), libc::PROT_NONE) }?;
        Ok(OwnStack(map))
    }

    /// Where it begins: a page border.
    pub fn top(&self) -> Addr {
        self.0.range().end
    }

    /// Does the work on it.
    pub fn run(self, work: &mut dyn FnMut()) {
        let mut work = work;
        let argument = (&raw mut work).expose_provenance();
        // SAFETY: the mapping's end is a page border, and the memory is used by nobody else: `self` is given up.
        unsafe { arch::call_on_stack(self.top().get(), on_own_stack, argument) };
    }
}

extern "C" fn on_own_stack(argument: usize) {
    // SAFETY: run passes the address of its pointer to the work, which it does not touch until this returns.
    let work: &mut &mut dyn FnMut() = unsafe { &mut *core::ptr::with_exposed_provenance_mut(argument) };
    work();
}

/// Does the work on a stack of our own; without memory for one, on the caller's.
// Not inlined, nor is the work: the caller's frame stays small.
#[inline(never)]
pub fn with_room(work: &mut dyn FnMut()) {
    match OwnStack::new() {
        Ok(stack) => stack.run(work),
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_another_stack_which_is_ours_and_gone_afterwards() {
        let here = 0u8;
        let mut there = 0;
        with_room(&mut || {
            let local = [0u8; 512 << 10];
            let local = core::hint::black_box(&local);
            there = local.as_ptr().addr();
            assert!(super::super::own::ranges().any(|range| range.contains(Addr::new(there))));
        });
        assert!(there.abs_diff((&raw const here).addr()) > 512 << 10);
    }
}
