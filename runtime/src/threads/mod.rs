//! What is known of the program's threads, and the state that each keeps for the heap and for call stacks.
//!
//! Contract: [`enter`], its shorter form [`enter_quickly`], or [`with`], is the way into the runtime from malloc and its like: it finds the calling thread's
//! [`ThreadState`] in one load, makes one where there is none, and hands out another when the thread is already inside
//! (a signal handler that allocates while it interrupts malloc). No libc, no lock on the common way.
//!
//! Not promised: a list of the process' threads. /proc is the truth about those; here stand only threads that have
//! allocated.
//!
//! Why states are reused only when the kernel no longer knows the thread: libc frees memory of a thread after its last
//! destructor (`__libc_thread_freeres`), so no hook in user space is late enough to take the state away.

pub mod asleep;
pub mod mappings;
mod registry;
pub mod resources;
pub mod scopes;
mod state;
mod waiting;

pub use registry::{
    Inside, after_fork_in_child, enter, enter_quickly, for_each, leaving, on_first_use, with,
};
pub use state::ThreadState;
