//! Tests of the whole stop, each in a forked process of its own: a stop there disturbs no other test, and an alarm ends
//! a hang.

mod child;
mod threads;
