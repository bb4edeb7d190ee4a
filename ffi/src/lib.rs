//! # The C ABI of Standstill
//!
//! Every symbol that leaves the library is defined in this crate and listed in `exports.txt` or `exports-shared.txt`;
//! nothing else is decided here. A function of the C ABI takes its arguments apart, calls one function of
//! `standstill-runtime`, and turns the result into what C expects.
//!
//! # Safety
//!
//! Functions of the C ABI trust their callers as the C standard and the man pages do. Each block says on which clause
//! it rests. No Rust panic can leave: the profile aborts.
#![no_std]

// Symbols that may or may not be there.
mod weak;

// From .preinit_array or a constructor to the end of the process.
mod layout;
mod process;
mod start;

// The malloc family and operator new and delete.
mod heap_figures;
mod malloc;
mod misuse;
mod new_delete;

// Modules come and go.
mod modules;

// Calls that a check would leave a trace in.
mod exec;
mod next;
mod sleeping;
mod sockets;
mod timed;
mod transfers;
mod waits;

// What must be given back.
mod descriptors;
mod joins;
mod mappings;
mod resources;

// The interface for programs, and LSan's names for it.
mod api;
mod core_file;
mod explain;
mod lsan;
mod pending;
mod scope;
mod thread_dump;
mod world;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    standstill_runtime::sys::process::trap("a bug in the runtime itself (panic)")
}

// The shared library needs libc's symbols; a no_std crate does not ask for them by itself. In the static library this
// is only a note to the linker's user.
#[link(name = "c")]
unsafe extern "C" {}
