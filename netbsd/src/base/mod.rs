//! Words that every stage speaks: the files of the runtime.

#[path = "../../../runtime/src/base/addr.rs"]
mod addr;
#[path = "../../../runtime/src/base/errno.rs"]
mod errno;
#[path = "../../../runtime/src/base/tid.rs"]
mod tid;

pub use addr::{Addr, AddrRange};
pub use errno::Errno;
pub use tid::Tid;
