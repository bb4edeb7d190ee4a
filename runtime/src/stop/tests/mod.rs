//! Tests of the whole stop, each in a forked process of its own: a stop there disturbs no other test, and an alarm ends
//! a hang.

mod by_signal;
mod calls;
pub(crate) mod child;
#[cfg(test)]
mod faults;
mod odd;
mod refused;
mod signals;
mod snapshot;
mod speed;
mod threads;
mod watch;
