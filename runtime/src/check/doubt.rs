//! What the options want doubted after marking: kinds of pointers that may be none, and kinds that marking does not take.
//!
//! Contract: as [`super::analysis`].

use crate::base::Errno;
use crate::explain::{self, Doubts, OddPointers};
use crate::harvest::Harvest;
use crate::heap::Provider;
use crate::init::options::Options;
use crate::mem::{ReadMemory, UpTo};
use crate::scan::Marks;

/// Makes possible what only doubtful words hold. False when the time was up before all was looked at: whatever was not
/// reached may then be held by a word in another form.
pub(super) fn doubt(
    heap: &impl Provider,
    memory: &impl ReadMemory,
    harvest: &Harvest,
    options: &Options,
    marks: &Marks,
    deadline_ns: u64,
) -> Result<bool, Errno> {
    let memory = &UpTo::new(memory, deadline_ns);
    if options.interior_possible {
        explain::doubt_interior(heap, memory, harvest, options.interior_heuristics, marks)?;
    }
    forms(options).mark(heap, memory, harvest, marks)?;
    Ok(!memory.passed())
}

/// The forms of pointers that the options want tried.
pub(super) fn forms(options: &Options) -> OddPointers {
    OddPointers {
        mask: options.pointer_mask as usize,
        unaligned: options.use_unaligned,
        past_end: options.use_past_end,
        compressed: options.compressed_pointers,
    }
}

/// What makes a pointer doubtful.
pub(super) fn doubts(options: &Options) -> Doubts {
    let interior = options.interior_possible.then_some(options.interior_heuristics);
    Doubts { forms: forms(options), interior }
}
