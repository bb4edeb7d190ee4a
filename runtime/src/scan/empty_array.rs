//! Addresses behind an empty array of C++ objects: `new T[0]` with a destructor to call is a chunk with one word, the count
//! 0, and the program holds the address behind it (Itanium C++ ABI, 2.7).

use crate::base::{Addr, AddrRange};
use crate::heap::{ChunkId, Provider};
use crate::mem::ReadMemory;

use super::words::WORD;

/// The chunk of the array that `addr`, which lies in no live chunk, lies behind.
#[cold]
pub(crate) fn before(
    addr: Addr,
    provider: &impl Provider,
    memory: &impl ReadMemory,
) -> Option<(ChunkId, AddrRange)> {
    let (id, range) = provider.locate(addr.minus(WORD))?;
    let mut cookie = [1];
    let is_empty_array = range == AddrRange::new(addr.minus(WORD), addr)
        && memory.read_words(range.start, &mut cookie) == 1
        && cookie == [0];
    is_empty_array.then_some((id, range))
}
