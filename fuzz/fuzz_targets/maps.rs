//! The text of /proc/PID/maps, read in pieces of any size: mappings come out ordered and disjoint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standstill_runtime::harvest::maps::{self, Maps};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, mut text) = input;
    for line in text.split(|byte| *byte == b'\n') {
        let _ = (maps::parse(line), maps::name(line));
    }
    let read = Maps::read(|into| {
        let len = text.len().min(into.len()).min(usize::from(piece) + 1);
        let (now, later) = text.split_at(len);
        into[..len].copy_from_slice(now);
        text = later;
        Ok(len)
    });
    let Ok(maps) = read else { return };
    for pair in maps.all().windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start);
    }
    for mapping in maps.all() {
        assert!(!mapping.range.is_empty());
        assert!(maps.at(mapping.range.start).is_some_and(|(_, found)| found.range == mapping.range));
    }
});
