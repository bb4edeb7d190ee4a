//! A file of suppressions, and names that are looked up: a pattern matches what a naive matcher says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standstill_runtime::report::suppressions::{Suppressions, matches};

/// LSan's language: `*` is any text, `^` and `$` bind to the ends, everything else is itself; a pattern matches anywhere.
fn naive(pattern: &[u8], name: &[u8]) -> bool {
    let (bound, pattern) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    if name.is_empty() {
        // A name that is not known.
        return false;
    }
    let starts = if bound { 0..=0 } else { 0..=name.len() };
    starts.into_iter().any(|start| glob(pattern, &name[start..]))
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => true,
        Some((b'$', [])) => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| glob(rest, &name[at..])),
        Some((byte, rest)) => name.first() == Some(byte) && glob(rest, &name[1..]),
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (text, name) = input;
    let mut suppressions = Suppressions::new();
    suppressions.add_text(text, "fuzz", &mut |line| assert!(!line.is_empty()));
    let found = suppressions.find(&[name]);
    assert!(found.is_none_or(|index| index < suppressions.all().count()));
    // The naive matcher takes exponential time for many stars.
    let plain = |byte: &u8| !matches!(byte, b'\n' | b'^' | b'$');
    if text.iter().filter(|byte| **byte == b'*').count() < 4 && text.iter().all(plain) && !text.is_empty() {
        assert_eq!(matches(text, name), naive(text, name), "{text:?} {name:?}");
    }
});
