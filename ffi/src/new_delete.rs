//! operator new and operator delete, all variants (C++20 [new.delete]).
//!
//! A throwing operator new that finds no memory calls the program's new_handler as long as there is one, and then
//! throws std::bad_alloc (one that does not throw returns null). No Rust frame may stand between the C++ code that throws and the C++ code that catches: this
//! crate aborts on unwinding. So the loop is in assembly with call frame information, and the last step is a jump to
//! the C++ library's own `std::__throw_bad_alloc()` as if the program had called it.

use core::ffi::c_void;
use core::ptr::null_mut;

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::heap::Origin;
use standstill_runtime::quick_entry_point;
use standstill_runtime::sys::process::trap;

use crate::malloc::{ALIGN, allocate, allocate_quickly, release};
use crate::start::symbol;
use crate::weak::weak;

type NewHandler = unsafe extern "C" fn();

weak!(/// `std::get_new_handler()`.
    get_new_handler: unsafe extern "C" fn() -> Option<NewHandler> = "_ZSt15get_new_handlerv");
weak!(/// `std::__throw_bad_alloc()` of libstdc++.
    throw_bad_alloc: unsafe extern "C" fn() = "_ZSt17__throw_bad_allocv");
weak!(/// `__cxa_allocate_exception` (Itanium C++ ABI 2.4.2), as are those below.
    allocate_exception: unsafe extern "C" fn(usize) -> *mut *const usize = "__cxa_allocate_exception");
weak!(/// The table of virtual functions of `std::bad_alloc`.
    bad_alloc_table: *const usize = "_ZTVSt9bad_alloc");
weak!(/// Its type information.
    bad_alloc_type: *const c_void = "_ZTISt9bad_alloc");
weak!(/// Its destructor.
    bad_alloc_destructor: *const c_void = "_ZNSt9bad_allocD1Ev");
weak!(/// `__cxa_throw`.
    throw_exception: *const c_void = "__cxa_throw");

/// The handler to call, or null.
extern "C" fn handler() -> *const () {
    // SAFETY: takes nothing, changes nothing ([get.new.handler]).
    let handler = get_new_handler().and_then(|get| unsafe { get() });
    handler.map_or(core::ptr::null(), |handler| handler as *const ())
}

/// The function to jump to when there is no memory and no handler.
extern "C" fn thrower() -> *const () {
    if let Some(throw) = throw_bad_alloc() {
        return throw as *const ();
    }
    // Where the C++ library came later than we.
    if let Some(found) = symbol(c"_ZSt17__throw_bad_allocv") {
        return found.cast();
    }
    // A static program has of the C++ library what it uses itself: whoever catches the exception has all of this.
    let parts = (
        allocate_exception(),
        bad_alloc_table(),
        bad_alloc_type(),
        bad_alloc_destructor(),
        throw_exception(),
    );
    match parts {
        (Some(_), Some(_), Some(_), Some(_), Some(_)) => throw_by_hand as *const (),
        _ => give_up as *const (),
    }
}

/// What `throw std::bad_alloc()` begins with: the exception in memory of the C++ library's.
extern "C" fn make_bad_alloc() -> *mut c_void {
    let (Some(allocate), Some(table)) = (allocate_exception(), bad_alloc_table()) else { give_up() };
    // SAFETY: room for an object of one word; there always is (std::terminate is called otherwise).
    let exception = unsafe { allocate(size_of::<usize>()) };
    // SAFETY: an object of this class is the pointer to its virtual functions, which follow two words of the table
    // (Itanium C++ ABI 2.5.2).
    unsafe { exception.write(table.add(2)) };
    exception.cast()
}

/// `throw std::bad_alloc()`, as if the caller of operator new had written it: the last step is a jump.
#[unsafe(naked)]
#[cfg(target_arch = "x86_64")]
extern "C" fn throw_by_hand() {
    core::arch::naked_asm!(
        ".weak _ZTISt9bad_alloc, _ZNSt9bad_allocD1Ev, __cxa_throw",
        ".cfi_startproc",
        "sub rsp, 8", ".cfi_adjust_cfa_offset 8",
        "call {make}",
        "add rsp, 8", ".cfi_adjust_cfa_offset -8",
        "mov rdi, rax",
        "mov rsi, qword ptr [rip + _ZTISt9bad_alloc@GOTPCREL]",
        "mov rdx, qword ptr [rip + _ZNSt9bad_allocD1Ev@GOTPCREL]",
        "jmp qword ptr [rip + __cxa_throw@GOTPCREL]",
        ".cfi_endproc",
        make = sym make_bad_alloc,
    )
}

/// As above.
#[unsafe(naked)]
#[cfg(target_arch = "aarch64")]
extern "C" fn throw_by_hand() {
    core::arch::naked_asm!(
        ".weak _ZTISt9bad_alloc, _ZNSt9bad_allocD1Ev, __cxa_throw",
        ".cfi_startproc",
        "stp x29, x30, [sp, #-16]!", ".cfi_adjust_cfa_offset 16", ".cfi_rel_offset x29, 0", ".cfi_rel_offset x30, 8",
        "bl {make}",
        "ldp x29, x30, [sp], #16", ".cfi_adjust_cfa_offset -16", ".cfi_restore x29", ".cfi_restore x30",
        "adrp x1, :got:_ZTISt9bad_alloc",
        "ldr x1, [x1, :got_lo12:_ZTISt9bad_alloc]",
        "adrp x2, :got:_ZNSt9bad_allocD1Ev",
        "ldr x2, [x2, :got_lo12:_ZNSt9bad_allocD1Ev]",
        "adrp x16, :got:__cxa_throw",
        "ldr x16, [x16, :got_lo12:__cxa_throw]",
        "br x16",
        ".cfi_endproc",
        make = sym make_bad_alloc,
    )
}

/// The function to jump to in an operator new that does not throw.
extern "C" fn returner() -> *const () {
    extern "C" fn null() -> *mut c_void {
        null_mut()
    }
    null as *const ()
}

/// As the C++ library does without exceptions.
extern "C" fn give_up() -> ! {
    trap("operator new found no memory, and there is no C++ library to throw std::bad_alloc");
}

unsafe extern "C" fn new_for(size: usize, _: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    allocate(frame, _Znwm as *const () as usize, size, ALIGN, false, Origin::New)
}

unsafe extern "C" fn new_array_for(size: usize, _: usize, _: usize, frame: &CallerFrame) -> *mut c_void {
    allocate(frame, _Znam as *const () as usize, size, ALIGN, false, Origin::NewArray)
}

unsafe extern "C" fn new_aligned_for(
    size: usize,
    align: usize,
    _: usize,
    frame: &CallerFrame,
) -> *mut c_void {
    allocate(frame, _ZnwmSt11align_val_t as *const () as usize, size, align.max(ALIGN), false, Origin::New)
}

unsafe extern "C" fn new_array_aligned_for(
    size: usize,
    align: usize,
    _: usize,
    frame: &CallerFrame,
) -> *mut c_void {
    allocate(
        frame,
        _ZnamSt11align_val_t as *const () as usize,
        size,
        align.max(ALIGN),
        false,
        Origin::NewArray,
    )
}

extern "C" fn new_quickly(size: usize, frame: &CallerFrame) -> *mut c_void {
    allocate_quickly(frame, _Znwm as *const () as usize, size, Origin::New)
}

extern "C" fn new_array_quickly(size: usize, frame: &CallerFrame) -> *mut c_void {
    allocate_quickly(frame, _Znam as *const () as usize, size, Origin::NewArray)
}

extern "C" fn new_aligned_quickly(size: usize, align: usize, frame: &CallerFrame) -> *mut c_void {
    if align > ALIGN {
        return null_mut();
    }
    allocate_quickly(frame, _ZnwmSt11align_val_t as *const () as usize, size, Origin::New)
}

extern "C" fn new_array_aligned_quickly(size: usize, align: usize, frame: &CallerFrame) -> *mut c_void {
    if align > ALIGN {
        return null_mut();
    }
    allocate_quickly(frame, _ZnamSt11align_val_t as *const () as usize, size, Origin::NewArray)
}

/// Exports an operator new: as `entry_point!`, but with the loop described above on a null result. Without a handler it
/// goes on in the function whose address `$otherwise` returns.
macro_rules! new {
    ($(#[$doc:meta])* $name:ident => $implementation:path, or $otherwise:path) => {
        new!($(#[$doc])* #[unsafe(no_mangle)] local $name => $implementation, or $otherwise);
    };
    ($(#[$doc:meta])* local $name:ident => $implementation:path, or $otherwise:path) => {
        $(#[$doc])*
        #[unsafe(naked)]
        #[cfg(target_arch = "x86_64")]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                standstill_runtime::push_caller_frame!(),
                // The arguments, for the next turn. At entry rsp is 8 modulo 16; nine words make it 0 (psABI 3.2.2).
                "sub rsp, 24", ".cfi_adjust_cfa_offset 24",
                "mov [rsp], rdi",
                "mov [rsp + 8], rsi",
                "2:",
                "lea rcx, [rsp + 24]",
                "call {implementation}",
                "test rax, rax",
                "jz 3f",
                ".cfi_remember_state",
                "add rsp, 72", ".cfi_adjust_cfa_offset -72",
                "ret",
                ".cfi_restore_state",
                "3:",
                "call {handler}",
                "test rax, rax",
                "jz 4f",
                "call rax",
                "mov rdi, [rsp]",
                "mov rsi, [rsp + 8]",
                "jmp 2b",
                "4:",
                "call {otherwise}",
                "add rsp, 72", ".cfi_adjust_cfa_offset -72",
                "jmp rax",
                ".cfi_endproc",
                implementation = sym $implementation,
                handler = sym handler,
                otherwise = sym $otherwise,
            )
        }

        $(#[$doc])*
        #[unsafe(naked)]
        #[cfg(target_arch = "aarch64")]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                standstill_runtime::push_caller_frame!(),
                // The arguments, for the next turn.
                "stp x0, x1, [sp, #-16]!", ".cfi_adjust_cfa_offset 16",
                "2:",
                "add x3, sp, #16",
                "bl {implementation}",
                "cbz x0, 3f",
                ".cfi_remember_state",
                "add sp, sp, #16", ".cfi_adjust_cfa_offset -16",
                standstill_runtime::pop_caller_frame!(),
                "ret",
                ".cfi_restore_state",
                "3:",
                "bl {handler}",
                "cbz x0, 4f",
                "blr x0",
                "ldp x0, x1, [sp]",
                "b 2b",
                "4:",
                "bl {otherwise}",
                "mov x16, x0",
                "add sp, sp, #16", ".cfi_adjust_cfa_offset -16",
                standstill_runtime::pop_caller_frame!(),
                "br x16",
                ".cfi_endproc",
                implementation = sym $implementation,
                handler = sym handler,
                otherwise = sym $otherwise,
            )
        }
    };
}

new!(/// [`_Znwm`], where its short way ends.
    local new_throwing => new_for, or thrower);
quick_entry_point!(/// `operator new(size_t)`
    _Znwm(a) => new_quickly, else new_throwing);
new!(/// [`_Znam`], where its short way ends.
    local new_array_throwing => new_array_for, or thrower);
quick_entry_point!(/// `operator new[](size_t)`
    _Znam(a) => new_array_quickly, else new_array_throwing);
new!(/// [`_ZnwmSt11align_val_t`], where its short way ends.
    local new_aligned_throwing => new_aligned_for, or thrower);
quick_entry_point!(/// `operator new(size_t, align_val_t)`
    _ZnwmSt11align_val_t(a, b) => new_aligned_quickly, else new_aligned_throwing);
new!(/// [`_ZnamSt11align_val_t`], where its short way ends.
    local new_array_aligned_throwing => new_array_aligned_for, or thrower);
quick_entry_point!(/// `operator new[](size_t, align_val_t)`
    _ZnamSt11align_val_t(a, b) => new_array_aligned_quickly, else new_array_aligned_throwing);
new!(/// [`_ZnwmRKSt9nothrow_t`], where its short way ends.
    local new_without_exceptions => new_for, or returner);
quick_entry_point!(/// `operator new(size_t, nothrow_t const&)`
    _ZnwmRKSt9nothrow_t(a) => new_quickly, else new_without_exceptions);
new!(/// [`_ZnamRKSt9nothrow_t`], where its short way ends.
    local new_array_without_exceptions => new_array_for, or returner);
quick_entry_point!(/// `operator new[](size_t, nothrow_t const&)`
    _ZnamRKSt9nothrow_t(a) => new_array_quickly, else new_array_without_exceptions);
new!(/// `operator new(size_t, align_val_t, nothrow_t const&)`
    _ZnwmSt11align_val_tRKSt9nothrow_t => new_aligned_for, or returner);
new!(/// `operator new[](size_t, align_val_t, nothrow_t const&)`
    _ZnamSt11align_val_tRKSt9nothrow_t => new_array_aligned_for, or returner);

macro_rules! delete {
    ($($(#[$doc:meta])* $name:ident => $origin:expr;)+) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(block: *mut c_void) {
            release(block, $origin, $name as *const () as usize);
        }
    )+};
}

// The further arguments (size, alignment, nothrow) come in registers that are not looked at.
delete! {
    /// `operator delete(void*)`
    _ZdlPv => Origin::New;
    /// `operator delete[](void*)`
    _ZdaPv => Origin::NewArray;
    /// `operator delete(void*, nothrow_t const&)`
    _ZdlPvRKSt9nothrow_t => Origin::New;
    /// `operator delete[](void*, nothrow_t const&)`
    _ZdaPvRKSt9nothrow_t => Origin::NewArray;
    /// `operator delete(void*, size_t)`
    _ZdlPvm => Origin::New;
    /// `operator delete[](void*, size_t)`
    _ZdaPvm => Origin::NewArray;
    /// `operator delete(void*, align_val_t)`
    _ZdlPvSt11align_val_t => Origin::New;
    /// `operator delete[](void*, align_val_t)`
    _ZdaPvSt11align_val_t => Origin::NewArray;
    /// `operator delete(void*, align_val_t, nothrow_t const&)`
    _ZdlPvSt11align_val_tRKSt9nothrow_t => Origin::New;
    /// `operator delete[](void*, align_val_t, nothrow_t const&)`
    _ZdaPvSt11align_val_tRKSt9nothrow_t => Origin::NewArray;
    /// `operator delete(void*, size_t, align_val_t)`
    _ZdlPvmSt11align_val_t => Origin::New;
    /// `operator delete[](void*, size_t, align_val_t)`
    _ZdaPvmSt11align_val_t => Origin::NewArray;
}
