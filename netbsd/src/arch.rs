//! The registers of a stopped thread on NetBSD/amd64.

/// Words of `struct reg` (sys/arch/amd64/include/reg.h).
pub const GENERAL_REGISTERS: usize = 26;

/// Bytes of `struct fpreg`: the FXSAVE area (the same file).
pub const FLOATING_BYTES: usize = 512;

/// `struct reg` in its own order (libc's `_REG_*`), and the thread pointer behind it: it is no general register here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Registers {
    general: [usize; GENERAL_REGISTERS],
    thread_pointer: usize,
}

/// What a thread kept over its call of us (psABI 3.2.1).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CallerFrame {
    /// Callee-saved.
    pub rbp: usize,
    /// Callee-saved.
    pub rbx: usize,
    /// Callee-saved.
    pub r12: usize,
    /// Callee-saved.
    pub r13: usize,
    /// Callee-saved.
    pub r14: usize,
    /// Callee-saved.
    pub r15: usize,
    /// Where the call returns to.
    pub return_address: usize,
}

impl Registers {
    /// All zero: nothing known.
    pub const NONE: Registers = Registers { general: [0; GENERAL_REGISTERS], thread_pointer: 0 };

    /// Of `struct reg`, with what PT_LWPSTATUS says of the thread pointer (`pl_private`).
    pub fn new(general: [usize; GENERAL_REGISTERS], thread_pointer: usize) -> Registers {
        Registers { general, thread_pointer }
    }

    /// The registers that a thread kept over its call of us; the others are zero.
    pub fn of_caller(frame: &CallerFrame, stack_pointer: usize, thread_pointer: usize) -> Registers {
        let mut general = [0; GENERAL_REGISTERS];
        let kept = [
            (libc::_REG_RBP, frame.rbp),
            (libc::_REG_RBX, frame.rbx),
            (libc::_REG_R12, frame.r12),
            (libc::_REG_R13, frame.r13),
            (libc::_REG_R14, frame.r14),
            (libc::_REG_R15, frame.r15),
            (libc::_REG_RIP, frame.return_address),
            (libc::_REG_RSP, stack_pointer),
        ];
        for (register, value) in kept {
            general[register as usize] = value;
        }
        Registers { general, thread_pointer }
    }

    /// rsp.
    pub fn stack_pointer(&self) -> usize {
        self.general[libc::_REG_RSP as usize]
    }

    /// rip.
    pub fn pc(&self) -> usize {
        self.general[libc::_REG_RIP as usize]
    }

    /// The base of fs.
    pub fn thread_pointer(&self) -> usize {
        self.thread_pointer
    }

    /// The kernel does not tell whether a stopped thread is inside a system call: all registers count.
    pub fn system_call(&self) -> Option<usize> {
        None
    }

    /// All words that may hold a pointer.
    pub fn words(&self) -> &[usize; GENERAL_REGISTERS] {
        &self.general
    }
}
