//! A string of options: whatever is in it, a complaint is one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standstill_runtime::init::Options;

fuzz_target!(|text: &[u8]| {
    let mut options = Options::DEFAULT;
    options.apply(text, &mut |problem| assert!(!problem.to_string().is_empty()));
});
