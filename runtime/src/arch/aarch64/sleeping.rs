//! What a function that may sleep leaves on the stack while it does: see `threads/asleep.rs`.

use super::CallerFrame;

/// Words of a [`SleepFrame`].
pub const SLEEP_FRAME: usize = size_of::<SleepFrame>() / size_of::<usize>();

/// What [`sleeping!`](crate::sleeping) lays on the stack, from the stack pointer up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SleepFrame {
    /// [`SleepFrame::mark`] while the function is inside its call.
    pub mark: usize,
    /// What the thread's word was before.
    pub previous: usize,
    /// Whose pointers others do not see while libc's functions use these registers.
    pub caller: CallerFrame,
}

impl SleepFrame {
    /// From the words that were read at its place.
    pub fn of(words: [usize; SLEEP_FRAME]) -> SleepFrame {
        let [mark, previous, d8, d9, d10, d11, d12, d13, d14, d15, rest @ ..] = words;
        let [saved @ .., frame_pointer, return_address] = rest;
        let vectors = [d8, d9, d10, d11, d12, d13, d14, d15].map(|word| word as u64);
        SleepFrame { mark, previous, caller: CallerFrame { vectors, saved, frame_pointer, return_address } }
    }

    /// No word that lies on a stack by chance: it is no address, and differs from place to place.
    pub fn mark(at: usize, return_address: usize) -> usize {
        !(at ^ return_address)
    }
}

/// Exports functions of the C ABI of up to six arguments, none of them on the stack, that note for the time of a call where
/// the caller's frames begin, and go on in the functions of these names in the module around the macro.
///
/// `$word` is the distance of the word (an `AtomicUsize`) from where the thread's word points; a thread whose word is 0 is
/// not noted. `$left` is the personality routine: it is called when an exception or a cancellation leaves the call.
#[macro_export]
macro_rules! sleeping {
    (word at $word:expr, left by $left:path: $($name:ident)+) => {
        mod asleep {
            $(
                #[unsafe(no_mangle)]
                #[unsafe(naked)]
                unsafe extern "C" fn $name() {
                    core::arch::naked_asm!(
                        ".cfi_startproc",
                        // DW_EH_PE_pcrel | DW_EH_PE_sdata4 (LSB, Core, 10.5.1).
                        ".cfi_personality 0x1b, {left}",
                        "adrp x16, :gottprel:standstill_thread",
                        "ldr x16, [x16, :gottprel_lo12:standstill_thread]",
                        "mrs x17, tpidr_el0",
                        "ldr x16, [x17, x16]",
                        "cbz x16, 2f",
                        ".cfi_remember_state",
                        $crate::push_caller_frame!(),
                        // Kept over the call, which may have no other memory of ours than this.
                        "mov x17, #{word}",
                        "add x19, x16, x17",
                        "ldr x20, [x19]",
                        "sub sp, sp, #16", ".cfi_adjust_cfa_offset 16",
                        "mov x21, sp",
                        "eor x22, x30, x21",
                        "mvn x22, x22",
                        "stp x22, x20, [sp]",
                        "str x21, [x19]",
                        "bl {target}",
                        // A record below is of a call that was left for good, or on another stack: forgotten.
                        "ldr x20, [sp, #8]",
                        "mov x21, sp",
                        "cmp x20, x21",
                        "csel x20, x20, xzr, hs",
                        "str x20, [x19]",
                        "str xzr, [sp]",
                        "add sp, sp, #16", ".cfi_adjust_cfa_offset -16",
                        // The call has kept the others (AAPCS64, 6.1).
                        "ldp x19, x20, [sp, #64]", ".cfi_restore x19", ".cfi_restore x20",
                        "ldp x21, x22, [sp, #80]", ".cfi_restore x21", ".cfi_restore x22",
                        $crate::pop_caller_frame!(),
                        "ret",
                        "2:",
                        ".cfi_restore_state",
                        "b {target}",
                        ".cfi_endproc",
                        target = sym super::$name,
                        left = sym $left,
                        word = const $word,
                    )
                }
            )+
        }
    };
}

/// Exports functions of at most two arguments that jump to where `$target` says, which is called with the function's number.
#[macro_export]
macro_rules! leaving {
    (target from $target:path: $($name:ident = $number:literal)+) => {
        mod leaving {
            $(
                #[unsafe(no_mangle)]
                #[unsafe(naked)]
                unsafe extern "C" fn $name() {
                    core::arch::naked_asm!(
                        ".cfi_startproc",
                        "stp x29, x30, [sp, #-32]!", ".cfi_adjust_cfa_offset 32",
                        ".cfi_rel_offset x29, 0", ".cfi_rel_offset x30, 8",
                        "mov x29, sp",
                        "stp x0, x1, [sp, #16]",
                        "mov x0, #{number}",
                        "bl {target}",
                        "mov x16, x0",
                        "ldp x0, x1, [sp, #16]",
                        "ldp x29, x30, [sp], #32", ".cfi_adjust_cfa_offset -32",
                        ".cfi_restore x29", ".cfi_restore x30",
                        "br x16",
                        ".cfi_endproc",
                        target = sym $target,
                        number = const $number,
                    )
                }
            )+
        }
    };
}
