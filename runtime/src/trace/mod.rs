//! Call stacks.

/// The number of a call stack in the depot; 0 says that there is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct StackId(pub u32);
