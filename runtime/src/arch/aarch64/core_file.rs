//! What a core file needs of the CPU.

use crate::arch::{ExtendedLayout, WholeState};

/// `e_machine` of the CPU's ELF files: EM_AARCH64.
pub const ELF_MACHINE: u16 = 183;

/// The state is `struct user_fpsimd_state`, and then, where the CPU has it, `struct user_sve_header` with what follows it
/// (arch/arm64/include/uapi/asm/ptrace.h).
pub fn extended_layout(state: &[u64]) -> ExtendedLayout {
    const FLOAT: usize = 528;
    const NT_ARM_SVE: u32 = 0x405;
    let whole = state.get(FLOAT / 8).filter(|sizes| **sizes != 0).map(|sizes| {
        let (size, largest) = (*sizes as u32, (*sizes >> 32) as u32);
        WholeState { kind: NT_ARM_SVE, from: FLOAT, size: size as usize, words: [(0, size), (4, largest)] }
    });
    ExtendedLayout { float: FLOAT, whole }
}
