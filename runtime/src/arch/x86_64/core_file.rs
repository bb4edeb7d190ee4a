//! What a core file needs of the CPU.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use crate::arch::{ExtendedLayout, WholeState};

/// `e_machine` of the CPU's ELF files: EM_X86_64.
pub const ELF_MACHINE: u16 = 62;

/// The state is in the layout of XSAVE: an FXSAVE image, in whose unused bytes debuggers look for the components that the
/// system has switched on (XCR0 at byte 464; arch/x86/include/asm/user.h, struct user_xstateregs), then those.
pub fn extended_layout(_state: &[u64]) -> ExtendedLayout {
    const FXSAVE: usize = 512;
    const XCR0_AT: usize = 464;
    const NT_X86_XSTATE: u32 = 0x202;
    let features = enabled_features();
    let whole = (features != 0).then(|| {
        // CPUID leaf 0xd: ebx is the size for what XCR0 has switched on (Intel SDM 1, 13.2).
        let size = __cpuid_count(0xd, 0).ebx as usize;
        let words = [(XCR0_AT, features as u32), (XCR0_AT + 4, (features >> 32) as u32)];
        WholeState { kind: NT_X86_XSTATE, from: 0, size, words }
    });
    ExtendedLayout { float: FXSAVE, whole }
}

/// XCR0; 0 where the system does not use XSAVE.
fn enabled_features() -> u64 {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that xgetbv may be used in user mode (Intel SDM 1, 13.3); it only writes eax and edx.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}
