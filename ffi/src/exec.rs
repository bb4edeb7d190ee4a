//! execve(2) and the functions of its family that take arrays: announced, so that a stop by signal does not hit the new
//! program (`stop::exec`). Those that take their arguments one by one cannot be defined here (docs/LIMITS.md).
//!
//! In the shared library only (exports-shared.txt): in a static program there is no other function to go on in.

use core::ffi::{c_char, c_int};

use standstill_runtime::stop::exec;

use crate::next::{absent, nexts};

type Strings = *const *const c_char;

/// Exports functions that go on in the C library's of the same name, and come back only when that has failed.
macro_rules! execs {
    ($($name:ident($($argument:ident: $type:ty),*) = $symbol:literal;)+) => {
        pub(crate) mod real {
            use super::*;

            nexts! {
                $(pub(super) $name: unsafe extern "C" fn($($type),*) -> c_int = $symbol;)+
            }
        }

        $(
            /// As in the C library.
            ///
            /// # Safety
            ///
            /// As in C.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
                let Some(real) = real::$name() else { return absent() as c_int };
                // SAFETY: the caller's arguments, passed on.
                exec::announced(|| unsafe { real($($argument),*) })
            }
        )+
    };
}

execs! {
    execv(path: *const c_char, arguments: Strings) = c"execv";
    execve(path: *const c_char, arguments: Strings, environment: Strings) = c"execve";
    execvp(file: *const c_char, arguments: Strings) = c"execvp";
    execvpe(file: *const c_char, arguments: Strings, environment: Strings) = c"execvpe";
    fexecve(file: c_int, arguments: Strings, environment: Strings) = c"fexecve";
}
