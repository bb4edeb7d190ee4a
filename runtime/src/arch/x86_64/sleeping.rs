//! What a function that may sleep leaves on the stack while it does: see `threads/asleep.rs`.

use super::CallerFrame;

/// Words of a [`SleepFrame`].
pub const SLEEP_FRAME: usize = size_of::<SleepFrame>() / size_of::<usize>();

/// What [`sleeping!`](crate::sleeping) lays on the stack, from the stack pointer up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SleepFrame {
    /// Keeps the stack aligned.
    pub unused: usize,
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
        let [unused, mark, previous, rbp, rbx, r12, r13, r14, r15, return_address] = words;
        let caller = CallerFrame { rbp, rbx, r12, r13, r14, r15, return_address };
        SleepFrame { unused, mark, previous, caller }
    }

    /// No word that lies on a stack by chance: it is no address, and differs from place to place.
    pub fn mark(at: usize, return_address: usize) -> usize {
        !((at + 16) ^ return_address)
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
                        "mov r11, qword ptr [rip + standstill_thread@GOTTPOFF]",
                        "mov r11, qword ptr fs:[r11]",
                        "test r11, r11",
                        "jz 2f",
                        ".cfi_remember_state",
                        $crate::push_caller_frame!(),
                        // Kept over the call, which may have no other memory of ours than this.
                        "lea rbx, [r11 + {word}]",
                        "push qword ptr [rbx]", ".cfi_adjust_cfa_offset 8",
                        "mov r12, qword ptr [rsp + 56]",
                        "xor r12, rsp",
                        "not r12",
                        "push r12", ".cfi_adjust_cfa_offset 8",
                        // At entry rsp is 8 modulo 16 (psABI 3.2.2), and at the call 0.
                        "sub rsp, 8", ".cfi_adjust_cfa_offset 8",
                        "mov qword ptr [rbx], rsp",
                        "call {target}",
                        // A record below is of a call that was left for good, or on another stack: forgotten.
                        "mov r11, qword ptr [rsp + 16]",
                        "xor r12d, r12d",
                        "cmp r11, rsp",
                        "cmovb r11, r12",
                        "mov qword ptr [rbx], r11",
                        "mov qword ptr [rsp + 8], 0",
                        // The call has kept the others (psABI 3.2.1).
                        "mov rbx, qword ptr [rsp + 32]", ".cfi_restore rbx",
                        "mov r12, qword ptr [rsp + 40]", ".cfi_restore r12",
                        "add rsp, 72", ".cfi_adjust_cfa_offset -72",
                        "ret",
                        "2:",
                        ".cfi_restore_state",
                        "jmp {target}",
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
                        "push rdi", ".cfi_adjust_cfa_offset 8",
                        "push rsi", ".cfi_adjust_cfa_offset 8",
                        "sub rsp, 8", ".cfi_adjust_cfa_offset 8",
                        "mov edi, {number}",
                        "call {target}",
                        "add rsp, 8", ".cfi_adjust_cfa_offset -8",
                        "pop rsi", ".cfi_adjust_cfa_offset -8",
                        "pop rdi", ".cfi_adjust_cfa_offset -8",
                        "jmp rax",
                        ".cfi_endproc",
                        target = sym $target,
                        number = const $number,
                    )
                }
            )+
        }
    };
}
