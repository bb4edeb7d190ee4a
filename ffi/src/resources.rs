//! What must be given back: what the functions of [`crate::descriptors`] and [`crate::joins`] have in common.

use standstill_runtime::arch::CallerFrame;
use standstill_runtime::threads::resources::{self, Kind};
use standstill_runtime::trace::StackId;
use standstill_runtime::{init, threads, trace};

use crate::{descriptors, joins, next};

/// At the start of the process, when the options are known.
pub(crate) fn start() {
    let options = init::options();
    if options.report_descriptors {
        resources::keep(Kind::Descriptor);
    } else if next::in_shared_library() {
        descriptors::pass_on();
    }
    if options.report_threads {
        resources::keep(Kind::Thread);
    } else if next::in_shared_library() {
        joins::pass_on();
    }
}

/// The call stack of the function `entry`, which `frame` describes.
#[cold]
pub(crate) fn stack_of(entry: usize, frame: &CallerFrame) -> StackId {
    threads::enter()
        .map_or(StackId::NONE, |mut thread| trace::capture(&mut thread.trace, frame, entry, usize::MAX))
}

/// Calls `real`, which gives back what `key` names if it has `succeeded`.
#[inline]
pub(crate) fn gives_back(
    kind: Kind,
    key: usize,
    real: impl FnOnce() -> isize,
    succeeded: impl FnOnce(isize) -> bool,
) -> isize {
    if !resources::are_kept(kind) {
        return real();
    }
    let noted = resources::find(kind, key);
    let result = real();
    if let Some(noted) = noted.filter(|_| succeeded(result)) {
        resources::given_back(&noted);
    }
    result
}
