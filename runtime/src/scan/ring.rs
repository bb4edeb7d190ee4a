//! A short queue between asking for memory and looking at it.

/// How many cache misses are kept under way: as many as a core has line fill buffers, rounded to a power of two.
const RING: usize = 16;

/// A first-in, first-out queue of fixed size.
pub(super) struct Ring<T: Copy> {
    slots: [Option<T>; RING],
    /// How many were put in and how many taken out, ever.
    put: usize,
    taken: usize,
}

impl<T: Copy> Ring<T> {
    pub(super) const fn new() -> Self {
        Ring { slots: [None; RING], put: 0, taken: 0 }
    }

    /// Puts a value in; from a full ring the oldest comes out.
    #[inline(always)]
    pub(super) fn push(&mut self, value: T) -> Option<T> {
        let oldest = if self.put - self.taken == RING { self.pop() } else { None };
        self.slots[self.put % RING] = Some(value);
        self.put += 1;
        oldest
    }

    /// True when nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.put == self.taken
    }

    /// Takes the oldest out, before its time: for when there is nothing better to do.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.put == self.taken {
            return None;
        }
        self.taken += 1;
        self.slots[(self.taken - 1) % RING]
    }
}
