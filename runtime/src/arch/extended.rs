//! How the extended state of a thread (floating point, vectors) becomes notes of a core file, whatever the CPU.

/// The notes that `extended_layout` of each CPU makes of it.
#[derive(Clone, Copy, Debug)]
pub struct ExtendedLayout {
    /// Bytes at its beginning that are the floating point registers (NT_FPREGSET).
    pub float: usize,
    /// The note of further state, where there is one.
    pub whole: Option<WholeState>,
}

/// A note of further extended state.
#[derive(Clone, Copy, Debug)]
pub struct WholeState {
    /// Its type.
    pub kind: u32,
    /// Where it begins in the extended state, in bytes.
    pub from: usize,
    /// Its bytes.
    pub size: usize,
    /// Words to be written over it as (offset, value).
    pub words: [(usize, u32); 2],
}
