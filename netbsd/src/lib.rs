//! # Stopping the world on NetBSD
//!
//! The records of a stopped world ([`stop::ThreadRecord`], [`stop::World`], [`stop::StopNotes`]) and the words of `base` are
//! the very files of `runtime`: what reads them there reads them here. What lies below is NetBSD's: one PT_ATTACH stops
//! all threads at once, PT_LWPNEXT lists them with their names, signals and thread pointers, PT_IO reads memory.
//!
//! State: type-checked for x86_64-unknown-netbsd (`cargo check -p standstill-netbsd --target x86_64-unknown-netbsd`), not
//! run on NetBSD. The stages above it are not ported: docs/PORTING.md says what they ask of a system.
//!
//! On every other system this crate is empty.
#![no_std]
#![cfg(target_os = "netbsd")]

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "Standstill's backend for NetBSD knows the registers of x86_64 only: add them in netbsd/src/arch.rs."
);

pub mod arch;
pub mod base;
pub mod mem;
pub mod stop;
pub mod sys;
