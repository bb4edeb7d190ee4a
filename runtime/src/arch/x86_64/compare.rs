//! Words of memory compared with what they were, eight at a time: what a replayed call stack costs.
//!
//! SSE2, which every x86-64 CPU has: two words are loaded into the halves of a register and compared at once. Measured
//! for 32 words (ns, Zen 4): SSE2 8, plain 10 to 13, gather of AVX2 and of AVX-512 14: there a gather is microcode. So
//! nothing is chosen at run time.

use core::arch::asm;

use super::super::block::Block;

/// Compares the words of `[at, end)` with what they are now; they are counted from `base`. Returns the first block with
/// a difference; `end` if there is none. An offset above `farthest` counts as a difference, and is not read.
///
/// # Safety
///
/// - `base` and the `farthest` words behind it can be read. Other threads may write to them.
/// - `[at, end)` is valid for reads.
#[inline(always)]
pub unsafe fn first_changed_block(
    base: usize,
    farthest: u16,
    mut at: *const Block,
    end: *const Block,
) -> *const Block {
    // SAFETY:
    // - Reads only: blocks, which the caller answers for; and words whose offsets were just compared with `farthest`
    //   (psubusw leaves 0 where they are not above).
    // - pcmpeqd reads aligned memory: a block is aligned, and its values begin 16 bytes into it.
    unsafe {
        asm!(
            "movd {limit}, {i:e}",
            "pshuflw {limit}, {limit}, 0",
            "punpcklqdq {limit}, {limit}",
            "pxor {zero}, {zero}",
            "2:",
            "cmp {at}, {end}",
            "je 3f",
            "movdqa {a}, xmmword ptr [{at}]",
            "psubusw {a}, {limit}",
            "pcmpeqw {a}, {zero}",
            "pmovmskb {i:e}, {a}",
            "cmp {i:e}, 0xffff",
            "jne 3f",
            "movzx {i:e}, word ptr [{at}]",
            "movzx {j:e}, word ptr [{at} + 2]",
            "movq {a}, qword ptr [{base} + {i}*8]",
            "movhps {a}, qword ptr [{base} + {j}*8]",
            "movzx {i:e}, word ptr [{at} + 4]",
            "movzx {j:e}, word ptr [{at} + 6]",
            "movq {b}, qword ptr [{base} + {i}*8]",
            "movhps {b}, qword ptr [{base} + {j}*8]",
            "pcmpeqd {a}, xmmword ptr [{at} + 16]",
            "pcmpeqd {b}, xmmword ptr [{at} + 32]",
            "pand {a}, {b}",
            "movzx {i:e}, word ptr [{at} + 8]",
            "movzx {j:e}, word ptr [{at} + 10]",
            "movq {b}, qword ptr [{base} + {i}*8]",
            "movhps {b}, qword ptr [{base} + {j}*8]",
            "movzx {i:e}, word ptr [{at} + 12]",
            "movzx {j:e}, word ptr [{at} + 14]",
            "movq {c}, qword ptr [{base} + {i}*8]",
            "movhps {c}, qword ptr [{base} + {j}*8]",
            "pcmpeqd {b}, xmmword ptr [{at} + 48]",
            "pcmpeqd {c}, xmmword ptr [{at} + 64]",
            "pand {b}, {c}",
            "pand {a}, {b}",
            "pmovmskb {i:e}, {a}",
            "add {at}, 80",
            "cmp {i:e}, 0xffff",
            "je 2b",
            "sub {at}, 80",
            "3:",
            base = in(reg) base,
            at = inout(reg) at,
            end = in(reg) end,
            i = inout(reg) u64::from(farthest) => _,
            j = out(reg) _,
            limit = out(xmm_reg) _,
            zero = out(xmm_reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            options(nostack, readonly),
        );
    }
    at
}

/// True when the words of `[at, end)` are what they were; they are counted from `base`. All of them are compared before
/// the first difference tells: for who expects none.
///
/// # Safety
///
/// - All the words can be read. Other threads may write to them.
/// - `[at, end)` is valid for reads.
#[inline(always)]
pub unsafe fn is_unchanged(base: usize, at: *const Block, end: *const Block) -> bool {
    let same: u64;
    // SAFETY: reads only, of what the caller answers for. A block is aligned for pcmpeqd, as above.
    unsafe {
        asm!(
            "pcmpeqd {all}, {all}",
            "cmp {at}, {end}",
            "je 3f",
            "2:",
            "movzx {i:e}, word ptr [{at}]",
            "movzx {j:e}, word ptr [{at} + 2]",
            "movq {a}, qword ptr [{base} + {i}*8]",
            "movhps {a}, qword ptr [{base} + {j}*8]",
            "movzx {i:e}, word ptr [{at} + 4]",
            "movzx {j:e}, word ptr [{at} + 6]",
            "movq {b}, qword ptr [{base} + {i}*8]",
            "movhps {b}, qword ptr [{base} + {j}*8]",
            "pcmpeqd {a}, xmmword ptr [{at} + 16]",
            "pcmpeqd {b}, xmmword ptr [{at} + 32]",
            "pand {a}, {b}",
            "movzx {i:e}, word ptr [{at} + 8]",
            "movzx {j:e}, word ptr [{at} + 10]",
            "movq {b}, qword ptr [{base} + {i}*8]",
            "movhps {b}, qword ptr [{base} + {j}*8]",
            "movzx {i:e}, word ptr [{at} + 12]",
            "movzx {j:e}, word ptr [{at} + 14]",
            "movq {c}, qword ptr [{base} + {i}*8]",
            "movhps {c}, qword ptr [{base} + {j}*8]",
            "pcmpeqd {b}, xmmword ptr [{at} + 48]",
            "pcmpeqd {c}, xmmword ptr [{at} + 64]",
            "pand {b}, {c}",
            "pand {all}, {a}",
            "pand {all}, {b}",
            "add {at}, 80",
            "cmp {at}, {end}",
            "jne 2b",
            "3:",
            "pmovmskb {i:e}, {all}",
            base = in(reg) base,
            at = inout(reg) at => _,
            end = in(reg) end,
            i = out(reg) same,
            j = out(reg) _,
            all = out(xmm_reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            options(nostack, readonly),
        );
    }
    same == 0xffff
}

const _: () = assert!(size_of::<Block>() == 80 && core::mem::offset_of!(Block, values) == 16);
