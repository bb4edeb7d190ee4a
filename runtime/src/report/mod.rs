//! What is said of a check: one model, two renderers, and the places to which they write.
//!
//! [`Report`] is the model. [`text`] prints it in LeakSanitizer's text format; [`record`] writes it down whole, as lines
//! for the `standstill` command, which finds the symbols outside of the dying process. [`output`] knows where each of
//! them goes.
//!
//! Contract: called by the thread that asked for the check, after the world has been let go (the program's threads
//! run on, and may write to the same descriptors). No memory of the program's heap, no libc, no lock is used. Nothing
//! here waits but for a write to the descriptor that the user chose.
//!
//! Safe code: stacks and modules come through traits, so that the renderers are tested with made-up ones.

mod deliver;
mod group;
pub mod mappings;
mod misuse;
mod model;
pub mod output;
pub mod record;
pub mod render_child;
pub mod resources;
mod say;
mod sink;
pub mod suppressions;
pub mod survey;
pub mod text;
mod told;

pub use deliver::{Delivered, Findings, announce, deliver};
pub use group::group;
pub use misuse::{MisuseReport, TITLES, misuse};
pub use model::{
    Group, Kind, Leak, MAX_FRAMES, Module, Modules, Outcome, Report, Sentence, Stacks, Totals, Verdict,
};
pub use say::{destination, say};
pub use sink::{Sink, write_to};
pub use survey::Survey;
pub use told::say_what_was_left_out;

#[cfg(test)]
mod tests;
