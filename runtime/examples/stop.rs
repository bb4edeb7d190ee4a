//! Stops its own world and tells what it saw: `stop [THREADS [ROUNDS [any|ptrace|signal]]]`.
//!
//! For trying the stop by hand where a test cannot go: under gdb, strace, in containers, as another user.

use std::time::{Duration, Instant};

use standstill_runtime::arch::{self, CallerFrame};
use standstill_runtime::base::Addr;
use standstill_runtime::stop::{Caller, Means, Options, stop_the_world};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default| arguments.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let means = match arguments.get(3).map(String::as_str) {
        Some("ptrace") => Means::Ptrace,
        Some("signal") => Means::Signal,
        _ => Means::Any,
    };
    for _ in 0..number(1, 4) {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    }
    std::thread::sleep(Duration::from_millis(50));
    let options = Options { means, ..Options::DEFAULT };
    for _ in 0..number(2, 1) {
        let start = Instant::now();
        let frame = CallerFrame::default();
        let caller = Caller { frame: &frame, stack_pointer: Addr::new(arch::stack_pointer()) };
        let mut with_registers = 0;
        let result = stop_the_world(&caller, &options, &mut |world, _| {
            with_registers = world.threads().iter().filter(|thread| thread.has_registers()).count();
        });
        match result {
            Ok(notes) => println!(
                "{:?}: {} threads, {with_registers} with registers, {} missing, {} calls mended, {:?}",
                notes.backend,
                notes.threads,
                notes.missing,
                notes.mended,
                start.elapsed()
            ),
            Err(reason) => {
                println!("could not stop: {reason}");
                std::process::exit(1);
            }
        }
    }
}
