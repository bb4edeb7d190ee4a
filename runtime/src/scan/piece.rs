//! A piece of memory that waits to be read.

use crate::base::{Addr, AddrRange};

use super::words;

/// Aligned words of a chunk, or of a mapping. Two words, since frontiers hold many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// The lowest bit, which an aligned address leaves free, says that it is of a mapping.
    start: usize,
    end: usize,
}

const OF_MAPPING: usize = 1;

impl Piece {
    /// No bytes.
    pub(super) const NOTHING: Piece = Piece { start: 0, end: 0 };

    /// Of a chunk.
    #[inline]
    pub(super) fn of_chunk(range: AddrRange) -> Piece {
        let AddrRange { start, end } = words::aligned(range);
        Piece { start: start.get(), end: end.get() }
    }

    /// Of a mapping that something reached.
    pub(super) fn of_mapping(range: AddrRange) -> Piece {
        let Piece { start, end } = Piece::of_chunk(range);
        Piece { start: start | OF_MAPPING, end }
    }

    /// Where.
    #[inline]
    pub(super) fn range(self) -> AddrRange {
        AddrRange::new(Addr::new(self.start & !OF_MAPPING), Addr::new(self.end))
    }

    /// Bytes.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.end.saturating_sub(self.start & !OF_MAPPING)
    }

    /// Of a mapping?
    pub(super) fn is_of_mapping(self) -> bool {
        self.start & OF_MAPPING != 0
    }

    /// Splits off what lies behind the first `bytes`, a multiple of the word size.
    pub(super) fn split_at(self, bytes: usize) -> (Piece, Piece) {
        let middle = self.range().start.get().saturating_add(bytes).min(self.end);
        (Piece { end: middle, ..self }, Piece { start: middle | self.start & OF_MAPPING, ..self })
    }

    /// As two words, and back.
    pub(super) const fn into_words(self) -> [usize; 2] {
        [self.start, self.end]
    }

    /// As two words, and back.
    pub(super) const fn from_words([start, end]: [usize; 2]) -> Piece {
        Piece { start, end }
    }
}
