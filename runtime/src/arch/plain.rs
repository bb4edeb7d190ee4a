//! What a port may do in plain Rust until it has something faster; the x86-64 versions are tested against it.

/// See `first_changed_block` of the x86-64 port.
///
/// # Safety
///
/// - `base` and the `farthest` words behind it can be read. Other threads may write to them.
/// - `offsets` and `values` are valid for reads of `blocks * 8` values each.
pub unsafe fn first_changed_block(
    base: usize,
    farthest: u16,
    offsets: *const u16,
    values: *const u64,
    blocks: usize,
) -> usize {
    let changed = |n: usize| {
        // SAFETY: the caller's duty; n is below blocks * 8. Volatile, because other threads may write to the word.
        unsafe {
            let offset = *offsets.add(n);
            let word = core::ptr::with_exposed_provenance::<u64>(base + usize::from(offset) * 8);
            offset > farthest || word.read_volatile() != *values.add(n)
        }
    };
    (0..blocks).find(|block| (block * 8..block * 8 + 8).any(changed)).unwrap_or(blocks)
}

#[cfg(test)]
mod tests {
    use super::first_changed_block;
    use crate::arch;

    #[repr(align(16))]
    struct Aligned([u64; 64]);

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
            let mut offsets = [0u16; 64];
            let mut values = Aligned([0; 64]);
            for (offset, value) in offsets.iter_mut().zip(&mut values.0) {
                *offset = random(2048) as u16;
                *value = memory[usize::from(*offset)];
            }
            let blocks = random(9) as usize;
            let farthest = if round % 3 == 0 { 2047 - random(300) as u16 } else { 2047 };
            if round % 2 == 0 {
                // One bit anywhere, also behind what is compared.
                values.0[random(64) as usize] ^= 1 << random(64);
            }
            let (at, to) = (offsets.as_ptr(), values.0.as_ptr());
            // SAFETY: the arrays have eight blocks, and the memory 2048 words.
            let (plain, fast) = unsafe {
                (
                    first_changed_block(base, farthest, at, to, blocks),
                    arch::first_changed_block(base, farthest, at, to, blocks),
                )
            };
            assert_eq!(plain, fast, "round {round}");
        }
    }

    #[test]
    fn what_lies_too_far_is_not_read() {
        let offsets = [u16::MAX; 8];
        let values = Aligned([0; 64]);
        let word = [0u64; 1];
        let base = word.as_ptr().expose_provenance();
        // SAFETY: one block, and offset 0 may be read.
        unsafe {
            assert_eq!(arch::first_changed_block(base, 0, offsets.as_ptr(), values.0.as_ptr(), 1), 0);
            assert_eq!(first_changed_block(base, 0, [0; 8].as_ptr(), values.0.as_ptr(), 1), 1);
        }
    }
}
