//! Thread ids, as the kernel numbers them (gettid(2)).

use core::num::NonZeroI32;

/// A kernel thread id, always positive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct Tid(NonZeroI32);

impl Tid {
    /// Takes a positive number as a thread id; `None` for anything else (0 and negative numbers name groups in
    /// kill(2) and wait(2), which no caller of ours means).
    pub const fn new(raw: i32) -> Option<Tid> {
        match NonZeroI32::new(raw) {
            Some(id) if raw > 0 => Some(Tid(id)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0.get()
    }
}
