//! Leak scopes for Rust: what the calling thread allocates in a scope must be freed, or still be held by somebody, when
//! the scope ends.
//!
//! Copy this file into your crate, or name it by `#[path = ".../standstill.rs"] mod standstill;`. It needs no crate and
//! links nothing: without the library the scope does nothing, and under `standstill run -- cargo test`, or
//! `LD_PRELOAD=libstandstill.so`, it checks:
//!
//! ```ignore
//! #[test]
//! fn parsing_leaks_nothing() {
//!     let scope = standstill::LeakScope::begin();
//!     parse("..");
//!     scope.assert_clean();
//! }
//! ```

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// `struct standstill_scope` of standstill.h.
#[repr(C)]
struct Raw {
    size: usize,
    flags: u32,
    number: u32,
    outer: u32,
    thread: i32,
}

/// The first fields of `struct standstill_check_result`.
#[repr(C)]
#[derive(Default)]
struct RawResult {
    size: usize,
    direct_objects: u64,
    direct_bytes: u64,
    indirect_objects: u64,
    indirect_bytes: u64,
}

/// How a scope ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing that was allocated in it is leaked.
    Clean,
    /// So many objects and bytes are; the report, on standard error, says by whom.
    Leaks {
        /// How many, direct and indirect.
        objects: u64,
        /// The sum of their sizes.
        bytes: u64,
    },
    /// The library is not loaded, or its checks are off.
    NotChecked,
    /// No answer could be had: an `enum standstill_code`. A line on standard error says why.
    Unknown(i32),
}

/// An open scope of the calling thread. Scopes nest; the end of one ends those inside of it.
#[must_use = "a scope that ends at once checks nothing"]
pub struct LeakScope {
    // In the heap the value would be an allocation of the scope around.
    raw: Result<Raw, Ended>,
    // Ends on the thread that began it.
    thread: PhantomData<*const ()>,
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: dlsym(3) with RTLD_DEFAULT, which is null on Linux, and a C string.
    let found = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

impl LeakScope {
    /// Begins a scope.
    pub fn begin() -> LeakScope {
        let mut raw = Raw { size: size_of::<Raw>(), flags: 0, number: 0, outer: 0, thread: 0 };
        let begun = symbol(c"standstill_scope_begin").map(|function| {
            // SAFETY: the library's function of this name has this type (standstill.h).
            let begin: unsafe extern "C" fn(*mut Raw) -> c_int = unsafe { std::mem::transmute(function) };
            // SAFETY: a struct of ours with its size.
            unsafe { begin(&mut raw) }
        });
        let raw = match begun {
            Some(0) => Ok(raw),
            Some(code) => Err(Ended::Unknown(code)),
            None => Err(Ended::NotChecked),
        };
        LeakScope { raw, thread: PhantomData }
    }

    /// Ends it and checks.
    pub fn end(mut self) -> Ended {
        self.end_now()
    }

    /// Ends it, and panics if anything that was allocated in it is leaked, or if nobody can tell.
    pub fn assert_clean(self) {
        match self.end() {
            Ended::Clean | Ended::NotChecked => {}
            Ended::Leaks { objects, bytes } => {
                panic!("{bytes} byte(s) in {objects} object(s) that were allocated in this scope are leaked")
            }
            Ended::Unknown(code) => panic!("leaks of this scope could not be looked for: code {code}"),
        }
    }

    fn end_now(&mut self) -> Ended {
        let mut raw = match std::mem::replace(&mut self.raw, Err(Ended::NotChecked)) {
            Ok(raw) => raw,
            Err(ended) => return ended,
        };
        let Some(function) = symbol(c"standstill_scope_end") else { return Ended::NotChecked };
        // SAFETY: the library's function of this name has this type (standstill.h).
        let end: unsafe extern "C" fn(*mut Raw, *mut RawResult) -> c_int = unsafe { std::mem::transmute(function) };
        let mut result = RawResult { size: size_of::<RawResult>(), ..RawResult::default() };
        // SAFETY: structs of ours with their sizes.
        match unsafe { end(&mut raw, &mut result) } {
            0 => Ended::Clean,
            1 => Ended::Leaks {
                objects: result.direct_objects + result.indirect_objects,
                bytes: result.direct_bytes + result.indirect_bytes,
            },
            4 => Ended::NotChecked,
            code => Ended::Unknown(code),
        }
    }
}

/// A scope that is left by a panic or a return ends too: what it leaks is reported, and nothing else happens.
impl Drop for LeakScope {
    fn drop(&mut self) {
        self.end_now();
    }
}
