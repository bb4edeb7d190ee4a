//! What a port may do in plain Rust until it has something faster; the x86-64 versions are tested against it.

use super::block::Block;

/// See `first_changed_block` of the x86-64 port.
///
/// # Safety
///
/// - `base` and the `farthest` words behind it can be read. Other threads may write to them.
/// - `[at, end)` is valid for reads.
pub unsafe fn first_changed_block(
    base: usize,
    farthest: u16,
    mut at: *const Block,
    end: *const Block,
) -> *const Block {
    let changed = |(offset, value): (&u16, &u64)| {
        let word = core::ptr::with_exposed_provenance::<u64>(base + usize::from(*offset) * 8);
        // SAFETY: the caller's duty. Volatile, because other threads may write to the word.
        *offset > farthest || unsafe { word.read_volatile() } != *value
    };
    while at != end {
        // SAFETY: the caller's duty.
        let block = unsafe { &*at };
        if block.offsets.iter().zip(&block.values).any(changed) {
            break;
        }
        // SAFETY: at most one past the last block.
        at = unsafe { at.add(1) };
    }
    at
}

/// See `is_unchanged` of the x86-64 port.
///
/// # Safety
///
/// - All the words can be read. Other threads may write to them.
/// - `[at, end)` is valid for reads.
#[inline(always)]
pub unsafe fn is_unchanged(base: usize, at: *const Block, end: *const Block) -> bool {
    // SAFETY: the caller's duty.
    unsafe { first_changed_block(base, u16::MAX, at, end) == end }
}

#[cfg(test)]
mod tests {
    use super::{Block, first_changed_block, is_unchanged};
    use crate::arch;

    #[test]
    fn the_fast_comparison_is_the_plain_one() {
        let mut state = 1u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut memory = vec![0u64; 2048];
        memory.iter_mut().for_each(|word| *word = random(u64::MAX));
        let base = memory.as_ptr().expose_provenance();
        for round in 0..20_000 {
            let mut blocks = [Block { offsets: [0; 8], values: [0; 8] }; 8];
            for block in &mut blocks {
                for (offset, value) in block.offsets.iter_mut().zip(&mut block.values) {
                    *offset = random(2048) as u16;
                    *value = memory[usize::from(*offset)];
                }
            }
            let compared = random(9) as usize;
            let farthest = if round % 3 == 0 { 2047 - random(300) as u16 } else { 2047 };
            if round % 2 == 0 {
                // One bit anywhere, also behind what is compared.
                blocks[random(8) as usize].values[random(8) as usize] ^= 1 << random(64);
            }
            let range = blocks[..compared].as_ptr_range();
            // SAFETY: the array has eight blocks, and the memory 2048 words.
            let (plain, fast) = unsafe {
                (
                    first_changed_block(base, farthest, range.start, range.end),
                    arch::first_changed_block(base, farthest, range.start, range.end),
                )
            };
            assert_eq!(plain, fast, "round {round}");
            // SAFETY: as above; all offsets are below 2048.
            let [plain, fast] = unsafe {
                [is_unchanged(base, range.start, range.end), arch::is_unchanged(base, range.start, range.end)]
            };
            assert_eq!(plain, fast, "round {round}");
        }
    }

    #[test]
    fn what_lies_too_far_is_not_read() {
        let far = [Block { offsets: [u16::MAX; 8], values: [0; 8] }];
        let near = [Block { offsets: [0; 8], values: [0; 8] }];
        let word = [0u64; 1];
        let base = word.as_ptr().expose_provenance();
        let (far, near) = (far.as_ptr_range(), near.as_ptr_range());
        // SAFETY: one block each, and offset 0 may be read.
        unsafe {
            assert_eq!(arch::first_changed_block(base, 0, far.start, far.end), far.start);
            assert_eq!(arch::first_changed_block(base, 0, near.start, near.end), near.end);
        }
    }
}
