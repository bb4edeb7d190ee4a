//! What each thread is doing, for people: name, how it stood, call stack, signals, processor time.
//!
//! ```text
//! stopped world -> capture (frames, signals) -> go on -> names and times from /proc -> text
//! ```
//!
//! Contract: [`capture`] runs in the stopped world: raw system calls, own memory, no lock. [`text`] is made while the
//! program runs again: names and times cost a file each, and are not worth a longer stop. A thread that ended in between has
//! neither.

mod capture;
mod system_calls;
mod text;

pub use capture::{Captured, CapturedThread, capture};
pub use text::text;
