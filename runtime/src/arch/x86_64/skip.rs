//! Passing over memory that holds no pointer: SSE2 (part of x86-64), AVX2, AVX-512.
//!
//! Each routine reads blocks of words straight from the program's memory, where a copy to a buffer would cost more than
//! the look, and stops before the first block that may hold a wanted word. A fault ends it, see
//! [`absorb_copy_fault`](super::absorb_copy_fault).
//!
//! Contract of all: `rdi` from, `rsi` words, `rdx` low, `rcx` span -> `rax`: how many words from `from` on are certain
//! not to lie in `low..low + span`. Always whole blocks; words behind the last whole block are not looked at.
//!
//! Why in assembly: the place of a load that may fault has to be known to the instruction.
//!
//! References: Intel SDM vol. 2 (PCMPGTD, VPCMPGTQ, VPCMPUQ, KORTEST), vol. 1 13.3 (XGETBV).

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Instructions that may be used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Vectors {
    /// 16 bytes; every x86-64 CPU.
    Sse2 = 1,
    /// 32 bytes.
    Avx2,
    /// 64 bytes.
    Avx512,
}

/// What [`widen`] found; 0 before.
static WIDEST: AtomicU8 = AtomicU8::new(0);

/// Asks the CPU for the widest vectors. On a virtual machine that takes microseconds, so it is done when there is enough
/// to read.
pub fn widen() {
    if WIDEST.load(Relaxed) == 0 {
        WIDEST.store(widest() as u8, Relaxed);
    }
}

/// The widest vectors that CPU and kernel know.
pub fn widest() -> Vectors {
    const OSXSAVE: u32 = 1 << 27;
    const AVX2: u32 = 1 << 5;
    const AVX512F: u32 = 1 << 16;
    // State components that the kernel saves: SSE and AVX; with AVX-512 also masks and both halves of its registers.
    const AVX_STATE: u32 = 0x06;
    const AVX512_STATE: u32 = 0xe6;
    let leaf = |number| core::arch::x86_64::__cpuid_count(number, 0);
    if leaf(0).eax < 7 || leaf(1).ecx & OSXSAVE == 0 {
        return Vectors::Sse2;
    }
    let (state, features) = (enabled_state(), leaf(7).ebx);
    if state & AVX512_STATE == AVX512_STATE && features & AVX512F != 0 {
        Vectors::Avx512
    } else if state & AVX_STATE == AVX_STATE && features & AVX2 != 0 {
        Vectors::Avx2
    } else {
        Vectors::Sse2
    }
}

fn enabled_state() -> u32 {
    let state;
    // SAFETY: the caller has seen OSXSAVE, so the instruction exists in user mode (SDM vol. 1, 13.3).
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") state, out("edx") _, options(nomem, nostack, preserves_flags));
    }
    state
}

/// How many words from `from` on, an address that may be bad, are certain not to lie in `low..low + span`: an under-
/// estimate, 0 if nothing is known. Asks for handlers as [`copy_words`](super::copy_words) does.
#[inline]
pub fn skip_words(from: usize, words: usize, low: usize, span: usize) -> usize {
    let vectors = match WIDEST.load(Relaxed) {
        3 => Vectors::Avx512,
        2 => Vectors::Avx2,
        _ => Vectors::Sse2,
    };
    // SAFETY: `widen` has seen that CPU and kernel know these.
    unsafe { skip_words_with(vectors, from, words, low, span) }
}

/// As [`skip_words`], with given vectors.
///
/// # Safety
///
/// - `vectors` is at most [`widest`].
#[inline]
pub unsafe fn skip_words_with(vectors: Vectors, from: usize, words: usize, low: usize, span: usize) -> usize {
    // SAFETY: the routines only read, faults included, and follow the psABI's calling convention; the instructions exist
    // by the caller's promise.
    unsafe {
        match vectors {
            Vectors::Sse2 => standstill_skip_sse2(from, words, low, span),
            Vectors::Avx2 => standstill_skip_avx2(from, words, low, span),
            Vectors::Avx512 => standstill_skip_avx512(from, words, low, span),
        }
    }
}

unsafe extern "C" {
    fn standstill_skip_sse2(from: usize, words: usize, low: usize, span: usize) -> usize;
    fn standstill_skip_avx2(from: usize, words: usize, low: usize, span: usize) -> usize;
    fn standstill_skip_avx512(from: usize, words: usize, low: usize, span: usize) -> usize;
}

// SSE2 compares no 64-bit numbers: the upper halves are compared, as signed numbers moved by 2^31, and the span is
// rounded up to what its ends' upper halves enclose. Blocks of 8 words.
global_asm!(
    ".pushsection .text.standstill_skip_sse2,\"ax\",@progbits",
    ".p2align 4",
    ".hidden standstill_skip_sse2",
    ".globl standstill_skip_sse2",
    ".type standstill_skip_sse2,@function",
    "standstill_skip_sse2:",
    "xor eax, eax",
    "and rsi, -8",
    "jz 3f",
    // An empty span lets nothing pass: it would be rounded up.
    "test rcx, rcx",
    "jz 4f",
    "lea r8, [rdx + rcx - 1]",
    "shr rdx, 32",
    "shr r8, 32",
    // The upper half passes when (half - first) < count, unsigned, in 32 bits.
    "sub r8d, edx",
    "inc r8d",
    // All 2^32 values of the upper half: nothing can be skipped.
    "jz 3f",
    "sub edx, 0x80000000",
    "sub r8d, 0x80000000",
    "movd xmm0, edx",
    "pshufd xmm0, xmm0, 0",
    "movd xmm1, r8d",
    "pshufd xmm1, xmm1, 0",
    "2:",
    "movdqu xmm2, xmmword ptr [rdi + rax*8]",
    "movdqu xmm3, xmmword ptr [rdi + rax*8 + 16]",
    "movdqu xmm4, xmmword ptr [rdi + rax*8 + 32]",
    "movdqu xmm5, xmmword ptr [rdi + rax*8 + 48]",
    // The four upper halves of two registers into one.
    "shufps xmm2, xmm3, 0xdd",
    "shufps xmm4, xmm5, 0xdd",
    "psubd xmm2, xmm0",
    "psubd xmm4, xmm0",
    "movdqa xmm3, xmm1",
    "movdqa xmm5, xmm1",
    "pcmpgtd xmm3, xmm2",
    "pcmpgtd xmm5, xmm4",
    "por xmm3, xmm5",
    "pmovmskb ecx, xmm3",
    "test ecx, ecx",
    "jnz 3f",
    "add rax, 8",
    "cmp rax, rsi",
    "jb 2b",
    "3:",
    "ret",
    "4:",
    "mov rax, rsi",
    "ret",
    ".size standstill_skip_sse2, . - standstill_skip_sse2",
    ".popsection",
    ".pushsection .data.rel.ro.standstill_skip_faults_sse2,\"aw\",@progbits",
    ".p2align 3",
    ".hidden standstill_skip_faults_sse2",
    ".globl standstill_skip_faults_sse2",
    "standstill_skip_faults_sse2:",
    ".quad 2b, 3b, 3b",
    ".popsection",
);

// Signed comparison of numbers moved by 2^63. Blocks of 16 words.
global_asm!(
    ".pushsection .text.standstill_skip_avx2,\"ax\",@progbits",
    ".p2align 4",
    ".hidden standstill_skip_avx2",
    ".globl standstill_skip_avx2",
    ".type standstill_skip_avx2,@function",
    "standstill_skip_avx2:",
    "xor eax, eax",
    "and rsi, -16",
    "jz 4f",
    "btc rdx, 63",
    "btc rcx, 63",
    "vmovq xmm0, rdx",
    "vmovq xmm1, rcx",
    "vpbroadcastq ymm0, xmm0",
    "vpbroadcastq ymm1, xmm1",
    ".p2align 4",
    "2:",
    "vmovdqu ymm2, ymmword ptr [rdi + rax*8]",
    "vmovdqu ymm3, ymmword ptr [rdi + rax*8 + 32]",
    "vmovdqu ymm4, ymmword ptr [rdi + rax*8 + 64]",
    "vmovdqu ymm5, ymmword ptr [rdi + rax*8 + 96]",
    "vpsubq ymm2, ymm2, ymm0",
    "vpsubq ymm3, ymm3, ymm0",
    "vpsubq ymm4, ymm4, ymm0",
    "vpsubq ymm5, ymm5, ymm0",
    "vpcmpgtq ymm2, ymm1, ymm2",
    "vpcmpgtq ymm3, ymm1, ymm3",
    "vpcmpgtq ymm4, ymm1, ymm4",
    "vpcmpgtq ymm5, ymm1, ymm5",
    "vpor ymm2, ymm2, ymm3",
    "vpor ymm4, ymm4, ymm5",
    "vpor ymm2, ymm2, ymm4",
    "vptest ymm2, ymm2",
    "jnz 3f",
    "add rax, 16",
    "cmp rax, rsi",
    "jb 2b",
    "3:",
    "vzeroupper",
    "4:",
    "ret",
    ".size standstill_skip_avx2, . - standstill_skip_avx2",
    ".popsection",
    ".pushsection .data.rel.ro.standstill_skip_faults_avx2,\"aw\",@progbits",
    ".p2align 3",
    ".hidden standstill_skip_faults_avx2",
    ".globl standstill_skip_faults_avx2",
    "standstill_skip_faults_avx2:",
    ".quad 2b, 3b, 3b",
    ".popsection",
);

// Unsigned comparison into masks. Blocks of 32 words.
global_asm!(
    ".pushsection .text.standstill_skip_avx512,\"ax\",@progbits",
    ".p2align 4",
    ".hidden standstill_skip_avx512",
    ".globl standstill_skip_avx512",
    ".type standstill_skip_avx512,@function",
    "standstill_skip_avx512:",
    "xor eax, eax",
    "and rsi, -32",
    "jz 4f",
    "vpbroadcastq zmm0, rdx",
    "vpbroadcastq zmm1, rcx",
    ".p2align 4",
    "2:",
    "vmovdqu64 zmm2, zmmword ptr [rdi + rax*8]",
    "vmovdqu64 zmm3, zmmword ptr [rdi + rax*8 + 64]",
    "vmovdqu64 zmm4, zmmword ptr [rdi + rax*8 + 128]",
    "vmovdqu64 zmm5, zmmword ptr [rdi + rax*8 + 192]",
    "vpsubq zmm2, zmm2, zmm0",
    "vpsubq zmm3, zmm3, zmm0",
    "vpsubq zmm4, zmm4, zmm0",
    "vpsubq zmm5, zmm5, zmm0",
    "vpcmpltuq k1, zmm2, zmm1",
    "vpcmpltuq k2, zmm3, zmm1",
    "vpcmpltuq k3, zmm4, zmm1",
    "vpcmpltuq k4, zmm5, zmm1",
    "korw k1, k1, k2",
    "korw k3, k3, k4",
    "kortestw k1, k3",
    "jnz 3f",
    "add rax, 32",
    "cmp rax, rsi",
    "jb 2b",
    "3:",
    "vzeroupper",
    "4:",
    "ret",
    ".size standstill_skip_avx512, . - standstill_skip_avx512",
    ".popsection",
    ".pushsection .data.rel.ro.standstill_skip_faults_avx512,\"aw\",@progbits",
    ".p2align 3",
    ".hidden standstill_skip_faults_avx512",
    ".globl standstill_skip_faults_avx512",
    "standstill_skip_faults_avx512:",
    ".quad 2b, 3b, 3b",
    ".popsection",
);

unsafe extern "C" {
    static standstill_skip_faults_sse2: [usize; 3];
    static standstill_skip_faults_avx2: [usize; 3];
    static standstill_skip_faults_avx512: [usize; 3];
}

/// Where the routines may fault, and where they go on: start, end, and the place to go on at.
pub(super) fn faults() -> [[usize; 3]; 3] {
    // SAFETY: read-only tables of this object, relocated before any code of ours runs.
    unsafe { [standstill_skip_faults_sse2, standstill_skip_faults_avx2, standstill_skip_faults_avx512] }
}
