//! Words of memory compared with what they were, eight at a time: what a replayed call stack costs.
//!
//! SSE2, which every x86-64 CPU has: two words are loaded into the halves of a register and compared at once. Measured
//! for 32 words (ns, Zen 4): SSE2 8, plain 10 to 13, gather of AVX2 and of AVX-512 14: there a gather is microcode. So
//! nothing is chosen at run time.

use core::arch::asm;

/// Compares word number `offsets[n]` of those that begin at `base` with `values[n]`, for `blocks` blocks of eight.
/// Returns the number of the first block with a difference; `blocks` if there is none. An offset above `farthest` counts
/// as a difference, and is not read.
///
/// # Safety
///
/// - `base` and the `farthest` words behind it can be read. Other threads may write to them.
/// - `offsets` and `values` are valid for reads of `blocks * 8` values each, and `values` is aligned to 16 bytes.
#[inline(always)]
pub unsafe fn first_changed_block(
    base: usize,
    farthest: u16,
    offsets: *const u16,
    values: *const u64,
    blocks: usize,
) -> usize {
    let mut done = 0usize;
    // SAFETY:
    // - Reads only: 16 bytes of offsets and 64 of values a block, which the caller answers for; and words whose offsets
    //   were just compared with `farthest` (psubusw leaves 0 where they are not above).
    // - pcmpeqd reads aligned memory: `values` is, and moves on by 64 bytes.
    unsafe {
        asm!(
            "movd {limit}, {farthest:e}",
            "pshuflw {limit}, {limit}, 0",
            "punpcklqdq {limit}, {limit}",
            "pxor {zero}, {zero}",
            "2:",
            "cmp {done}, {blocks}",
            "je 3f",
            "movdqu {a}, xmmword ptr [{offsets}]",
            "psubusw {a}, {limit}",
            "pcmpeqw {a}, {zero}",
            "pmovmskb {i:e}, {a}",
            "cmp {i:e}, 0xffff",
            "jne 3f",
            "movzx {i:e}, word ptr [{offsets}]",
            "movzx {j:e}, word ptr [{offsets} + 2]",
            "movq {a}, qword ptr [{base} + {i}*8]",
            "movhps {a}, qword ptr [{base} + {j}*8]",
            "movzx {i:e}, word ptr [{offsets} + 4]",
            "movzx {j:e}, word ptr [{offsets} + 6]",
            "movq {b}, qword ptr [{base} + {i}*8]",
            "movhps {b}, qword ptr [{base} + {j}*8]",
            "pcmpeqd {a}, xmmword ptr [{values}]",
            "pcmpeqd {b}, xmmword ptr [{values} + 16]",
            "pand {a}, {b}",
            "movzx {i:e}, word ptr [{offsets} + 8]",
            "movzx {j:e}, word ptr [{offsets} + 10]",
            "movq {b}, qword ptr [{base} + {i}*8]",
            "movhps {b}, qword ptr [{base} + {j}*8]",
            "movzx {i:e}, word ptr [{offsets} + 12]",
            "movzx {j:e}, word ptr [{offsets} + 14]",
            "movq {c}, qword ptr [{base} + {i}*8]",
            "movhps {c}, qword ptr [{base} + {j}*8]",
            "pcmpeqd {b}, xmmword ptr [{values} + 32]",
            "pcmpeqd {c}, xmmword ptr [{values} + 48]",
            "pand {b}, {c}",
            "pand {a}, {b}",
            "pmovmskb {i:e}, {a}",
            "cmp {i:e}, 0xffff",
            "jne 3f",
            "add {offsets}, 16",
            "add {values}, 64",
            "inc {done}",
            "jmp 2b",
            "3:",
            base = in(reg) base,
            farthest = in(reg) u32::from(farthest),
            offsets = inout(reg) offsets => _,
            values = inout(reg) values => _,
            blocks = in(reg) blocks,
            done = inout(reg) done,
            i = out(reg) _,
            j = out(reg) _,
            limit = out(xmm_reg) _,
            zero = out(xmm_reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            options(nostack, readonly),
        );
    }
    done
}
