//! Where the C library keeps what a thread control block leads to.
//!
//! glibc exports descriptors of these places for its own libthread_db (symbols `_thread_db_*`, each `{bits, count,
//! offset}` or one size; nptl_db/structs.def): the loaded library describes itself, and no table of versions is needed.
//! Without them (musl, static) the psABI gives the rest.
//!
//! Contract: made once at start by whoever can look symbols up, then only read.

use core::ffi::CStr;

use crate::arch::TLS_BELOW;
use crate::base::{Addr, AddrRange};

/// The places. Offsets are from the control block's start, in bytes.
///
/// ```text
/// ... stack | static TLS | control block          thread pointer: at the control block (variant II, x86)
/// ... stack | control block | head | static TLS   thread pointer: at the head (variant I, most other CPUs)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes of static TLS, with the surplus for libraries loaded later; 0 when unknown. With variant I the head, two
    /// words, is counted here.
    pub static_tls: usize,
    /// Bytes of the thread control block.
    pub control_block: usize,
    /// The pointer to the DTV.
    pub dtv: usize,
    /// How the DTV is made.
    pub vector: Vector,
    /// Values of pthread_setspecific(3) in the control block: the first block of values, and pointers to all blocks.
    pub specific: Option<Specific>,
    /// The lists of threads, which also name those that have ended and were not joined.
    pub lists: Option<Lists>,
}

/// How a DTV is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vector {
    /// glibc: an entry of so many bytes for each module. Entry -1 begins with the number of entries, entry 0 with the
    /// generation.
    Entries(usize),
    /// musl: a word for each module, the number of modules in front.
    Words,
}

impl Vector {
    /// Bytes of an entry.
    pub fn entry(self) -> usize {
        match self {
            Vector::Entries(bytes) => bytes,
            Vector::Words => size_of::<usize>(),
        }
    }

    /// Where the number of modules is, for the DTV at `dtv`.
    pub fn count(self, dtv: Addr) -> Addr {
        match self {
            Vector::Entries(bytes) => dtv.minus(bytes),
            Vector::Words => dtv,
        }
    }
}

/// See [`Layout::specific`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Specific {
    /// The array of pointers to blocks.
    pub blocks: usize,
    /// How many of them.
    pub count: usize,
    /// Bytes of a block; the first lies in the control block directly before `blocks`.
    pub block_bytes: usize,
}

/// See [`Layout::lists`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lists {
    /// The head of the list of threads whose stack the library allocated.
    pub used: Addr,
    /// The head of the list of threads on stacks of the program's.
    pub user: Addr,
    /// The link in the control block.
    pub link: usize,
    /// The thread's id in the control block; 0 when it has ended.
    pub tid: usize,
}

/// Where the psABI has the DTV pointer, from the thread pointer: in the second word with variant II, in the first with
/// variant I (ELF TLS ABI).
const DTV_AT: usize = if TLS_BELOW { 8 } else { 0 };
/// Where nothing is known: more than any library's control block. With variant II it ends at the top of its mapping anyway.
const UNKNOWN_BLOCK: usize = 4096;

impl Layout {
    /// What the psABI says, with the static TLS and the DTV that the caller knows (from PT_TLS; 0 when it does not know).
    pub const fn fallback(static_tls: usize, vector: Vector) -> Layout {
        Layout {
            static_tls,
            control_block: UNKNOWN_BLOCK,
            dtv: if TLS_BELOW { DTV_AT } else { UNKNOWN_BLOCK + DTV_AT },
            vector,
            specific: None,
            lists: None,
        }
    }

    /// With the size of the control block, where something tells it.
    pub const fn with_control_block(mut self, bytes: usize) -> Layout {
        // From the block's start, behind whose end the head has it with variant I.
        self.dtv = if TLS_BELOW { self.dtv } else { self.dtv - self.control_block + bytes };
        self.control_block = bytes;
        self
    }

    /// Asks the loaded library. `read(symbol, words)` copies the first words of a data symbol and says whether it
    /// exists. `static_tls` is the loader's total of static TLS (`_dl_get_tls_static_info`), or 0; with variant II it
    /// includes the control block. `rtld_global` is the address of `_rtld_global`, or null.
    pub fn from_symbols(
        mut read: impl FnMut(&CStr, &mut [u32]) -> bool,
        static_tls: usize,
        rtld_global: Addr,
    ) -> Layout {
        let mut number = |symbol: &CStr| {
            let mut word = [0];
            read(symbol, &mut word).then_some(word[0] as usize)
        };
        let Some(control_block) = number(c"_thread_db_sizeof_pthread") else {
            return Layout::fallback(without_block(static_tls, UNKNOWN_BLOCK), Vector::Entries(16));
        };
        let key_bytes = number(c"_thread_db_sizeof_pthread_key_data");
        let mut field = |symbol: &CStr| {
            let mut words = [0; 3];
            read(symbol, &mut words).then_some(words.map(|word| word as usize))
        };
        let fallback = if TLS_BELOW { DTV_AT } else { control_block + DTV_AT };
        let dtv = field(c"_thread_db_pthread_dtvp").map_or(fallback, |[_, _, offset]| offset);
        let vector = Vector::Entries(field(c"_thread_db_dtv_dtv").map_or(16, |[bits, _, _]| bits / 8));
        let specific = field(c"_thread_db_pthread_specific").zip(key_bytes).and_then(|(field, key_bytes)| {
            let [bits, _, blocks] = field;
            // As many blocks as pointers, as many keys in a block as blocks (nptl/descr.h).
            let count = bits / usize::BITS as usize;
            let [_, keys, _] = level2(&mut read)?;
            let block_bytes = key_bytes * keys;
            (block_bytes <= blocks && blocks + count * 8 <= control_block).then_some(Specific {
                blocks,
                count,
                block_bytes,
            })
        });
        let mut field = |symbol: &CStr| {
            let mut words = [0; 3];
            read(symbol, &mut words).then_some(words.map(|word| word as usize)[2])
        };
        let lists = (|| {
            Some(Lists {
                used: rtld_global.plus(field(c"_thread_db_rtld_global__dl_stack_used")?),
                user: rtld_global.plus(field(c"_thread_db_rtld_global__dl_stack_user")?),
                link: field(c"_thread_db_pthread_list")?,
                tid: field(c"_thread_db_pthread_tid")?,
            })
        })()
        .filter(|_| !rtld_global.is_null());
        Layout {
            static_tls: without_block(static_tls, control_block),
            control_block,
            dtv,
            vector,
            specific,
            lists,
        }
    }

    /// The control block of the thread with this thread pointer, and the head, which has the pointer to the DTV.
    pub fn control_block(&self, thread_pointer: Addr) -> AddrRange {
        const HEAD: usize = 2 * size_of::<usize>();
        if TLS_BELOW {
            AddrRange::sized(thread_pointer, self.control_block)
        } else {
            AddrRange::new(thread_pointer.minus(self.control_block), thread_pointer.plus(HEAD))
        }
    }

    /// The thread pointer of the thread with this control block.
    pub fn thread_pointer(&self, control_block: Addr) -> Addr {
        if TLS_BELOW { control_block } else { control_block.plus(self.control_block) }
    }

    /// Static TLS and control block of the thread with this thread pointer.
    pub fn static_block(&self, thread_pointer: Addr) -> AddrRange {
        AddrRange::new(thread_pointer.minus(self.below()), thread_pointer.plus(self.above()))
    }

    /// Bytes below a thread pointer that the stack ends before.
    pub fn below(&self) -> usize {
        if TLS_BELOW { self.static_tls } else { self.control_block }
    }

    /// Bytes from a thread pointer on that are the thread's.
    pub fn above(&self) -> usize {
        if TLS_BELOW { self.control_block } else { self.static_tls }
    }

    /// The part of the control block that holds thread-specific values.
    pub fn specific_values(&self, thread_pointer: Addr) -> AddrRange {
        let block = self.control_block(thread_pointer).start;
        match self.specific {
            Some(specific) => AddrRange::new(
                block.plus(specific.blocks - specific.block_bytes),
                block.plus(specific.blocks + specific.count * 8),
            ),
            None => AddrRange::default(),
        }
    }
}

/// The loader's total without the control block, where it is counted.
const fn without_block(static_tls: usize, control_block: usize) -> usize {
    if TLS_BELOW { static_tls.saturating_sub(control_block) } else { static_tls }
}

fn level2(read: &mut impl FnMut(&CStr, &mut [u32]) -> bool) -> Option<[usize; 3]> {
    let mut words = [0; 3];
    read(c"_thread_db_pthread_key_data_level2_data", &mut words).then_some(words.map(|word| word as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_block_of_known_size_leaves_the_dtv_where_the_psabi_has_it() {
        let thread_pointer = Addr::new(0x10_0000);
        let fallback = Layout::fallback(0x100, Vector::Entries(16));
        for layout in [fallback, fallback.with_control_block(1776)] {
            let dtv = layout.control_block(thread_pointer).start.plus(layout.dtv);
            assert_eq!(dtv, thread_pointer.plus(DTV_AT));
        }
        let known = fallback.with_control_block(1776);
        assert_eq!(known.control_block(thread_pointer).len(), if TLS_BELOW { 1776 } else { 1776 + 16 });
    }
}
