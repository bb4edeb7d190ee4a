//! Roots: where the program can have pointers.

mod model;
pub mod resident;

pub use model::{Harvest, Node, Notes, Root, RootKind, RootWord, Strength};
pub use resident::Resident;
