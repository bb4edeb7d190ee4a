//! A block that is freed twice, or was never ours: said once on standard error, and otherwise left alone.
//!
//! Going on is right more often than not: a program with its own allocator inside hands us blocks of that one, and the
//! heap's metadata lie apart, so nothing of ours is damaged.

use core::ptr::NonNull;

use standstill_runtime::heap::{Misuse, Origin};
use standstill_runtime::report::say;

/// Reports what the heap refused to do.
#[cold]
#[inline(never)]
pub(crate) fn report(misuse: Misuse, block: NonNull<u8>, _by: Origin) {
    match misuse {
        Misuse::DoubleFree => {
            say(format_args!("the program frees {block:p} twice; the second time is ignored"))
        }
        Misuse::Interior => {
            say(format_args!("the program frees {block:p}, which is inside a block; ignored"))
        }
        _ => {}
    }
}
