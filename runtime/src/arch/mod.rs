//! One file a CPU, exporting the same names; the choice is made here and nowhere else.
//!
//! What a CPU must supply is listed in docs/PORTING.md, in the order of the files; build.rs stops where there is none.
//!
//! # Safety
//!
//! This module holds instructions: system calls, the thread pointer, register capture. Each file cites the ABI document
//! that its assembly rests on.

mod block;
mod extended;
#[cfg(any(test, target_arch = "aarch64"))]
mod plain;

pub use block::Block;
pub use extended::*;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
