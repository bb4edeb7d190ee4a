//! Which words are worth a look: those between two values.
//!
//! Most memory holds no pointer for long stretches. The plain way to find the next is here; the CPU's vectors pass over
//! memory by [`ReadMemory::skip_words`](super::ReadMemory::skip_words), and must agree with it.

use crate::arch::untagged;
use crate::base::AddrRange;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter {
    low: usize,
    span: usize,
}

impl Filter {
    /// Lets addresses in `range` pass.
    pub const fn new(range: AddrRange) -> Filter {
        Filter { low: range.start.get(), span: range.len() }
    }

    /// The lowest value that passes.
    pub const fn low(self) -> usize {
        self.low
    }

    /// How many values pass.
    pub const fn span(self) -> usize {
        self.span
    }

    /// True when `word` passes, which is without a tag.
    #[inline(always)]
    pub const fn passes(self, word: usize) -> bool {
        word.wrapping_sub(self.low) < self.span
    }

    /// Calls `each` for the words that pass, without their tags. A block is first tested as a whole, without a branch for each word.
    #[inline(always)]
    pub fn for_each(self, words: &[usize], mut each: impl FnMut(usize)) {
        let mut some = |words: &[usize]| {
            for word in words.iter().map(|word| untagged(*word)) {
                if self.passes(word) {
                    each(word);
                }
            }
        };
        let (blocks, rest) = words.as_chunks::<8>();
        for block in blocks {
            if block.iter().fold(false, |any, word| any | self.passes(untagged(*word))) {
                some(block);
            }
        }
        some(rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Addr;

    fn filter(low: usize, span: usize) -> Filter {
        Filter::new(AddrRange::sized(Addr::new(low), span))
    }

    proptest! {
        #[test]
        fn what_lies_in_the_range_is_handed_on(
            words in proptest::collection::vec(0usize..100, 0..70),
            low in 0usize..100,
            span in 0usize..30,
        ) {
            let filter = filter(low, span);
            let passing: Vec<usize> = words.iter().copied().filter(|w| (low..low + span).contains(w)).collect();
            let mut seen = Vec::new();
            filter.for_each(&words, |word| seen.push(word));
            prop_assert_eq!(seen, passing);
        }
    }

    #[cfg(target_arch = "x86_64")]
    mod vectors {
        use super::*;
        use crate::arch::{Vectors, skip_words_with, widest};
        use crate::mem::FaultGuard;
        use crate::sys::memory;

        const PAGE: usize = 4096;
        const ALL: [(Vectors, usize); 3] = [(Vectors::Sse2, 8), (Vectors::Avx2, 16), (Vectors::Avx512, 32)];

        fn usable() -> impl Iterator<Item = (Vectors, usize)> {
            ALL.into_iter().filter(|(vectors, _)| *vectors <= widest())
        }

        /// Words near the ends of the filter, with all sorts of upper and lower halves.
        fn word(low: usize, span: usize) -> impl Strategy<Value = usize> {
            let end = low.wrapping_add(span);
            prop_oneof![
                8 => any::<usize>(),
                1 => any::<u32>().prop_map(move |by| low.wrapping_sub(by as usize)),
                1 => any::<u8>().prop_map(move |by| low.wrapping_sub(usize::from(by))),
                1 => any::<u8>().prop_map(move |by| end.wrapping_add(usize::from(by))),
                1 => any::<u8>().prop_map(move |by| low.wrapping_add(usize::from(by))),
            ]
        }

        fn case() -> impl Strategy<Value = (usize, usize, Vec<usize>)> {
            let low = prop_oneof![0usize..1 << 47, any::<usize>().prop_map(|low| low >> 1)];
            let span = prop_oneof![Just(0usize), 1usize..300, 1usize..1 << 46];
            (low, span).prop_flat_map(|(low, span)| {
                (Just(low), Just(span), proptest::collection::vec(word(low, span), 0..200))
            })
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(2000))]
            #[test]
            fn skip_what_the_plain_filter_skips((low, span, words) in case()) {
                let filter = filter(low, span);
                let first = words.iter().position(|word| filter.passes(*word)).unwrap_or(words.len());
                for (vectors, block) in usable() {
                    // SAFETY: `usable` gives no wider ones than there are.
                    let skipped = unsafe { skip_words_with(vectors, words.as_ptr().addr(), words.len(), low, span) };
                    prop_assert!(skipped <= first, "{:?} skips {} of {}", vectors, skipped, first);
                    if vectors == Vectors::Sse2 {
                        // Only upper halves are compared.
                        let near = |word: &usize| (word.wrapping_sub(low) as isize).unsigned_abs() < span + (1 << 33);
                        let first = words.iter().position(near).unwrap_or(words.len());
                        prop_assert!(skipped >= first / block * block);
                    } else {
                        prop_assert_eq!(skipped, first / block * block);
                    }
                }
            }
        }

        #[test]
        fn stop_at_a_page_that_cannot_be_read() {
            let start =
                memory::map_anonymous(Addr::NULL, 3 * PAGE, libc::PROT_READ | libc::PROT_WRITE, 0).unwrap();
            // SAFETY: the test's own mapping.
            unsafe { memory::protect(AddrRange::sized(start.plus(2 * PAGE), PAGE), libc::PROT_NONE) }
                .unwrap();
            let guard = FaultGuard::install().unwrap();
            for (vectors, block) in usable() {
                for offset in [0, 8, 24, 4000, 2 * PAGE - 8, 2 * PAGE, 2 * PAGE + 64] {
                    let readable = (2 * PAGE).saturating_sub(offset) / 8;
                    // SAFETY: `usable` gives no wider ones than there are; faults are absorbed.
                    let skipped = unsafe { skip_words_with(vectors, start.get() + offset, 3000, 1 << 40, 1) };
                    assert_eq!(skipped, readable / block * block, "{vectors:?} from {offset}");
                }
                // SAFETY: as above.
                assert_eq!(unsafe { skip_words_with(vectors, 1 << 62, 3000, 1 << 40, 1) }, 0);
            }
            drop(guard);
            // SAFETY: the test's own mapping.
            unsafe { memory::unmap(AddrRange::sized(start, 3 * PAGE)) }.unwrap();
        }
    }
}
