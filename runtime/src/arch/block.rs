//! Words of memory as they were, for `first_changed_block`, which every port has.

/// Eight words: where they lie, in words from somewhere, and what they held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(16))]
pub struct Block {
    /// The distances.
    pub offsets: [u16; 8],
    /// The words.
    pub values: [u64; 8],
}
