//! The notes of an ELF file: a build id that is found lies inside of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standstill_runtime::trace::modules::build_id_of_notes;

fuzz_target!(|notes: &[u8]| {
    if let Some(id) = build_id_of_notes(notes) {
        assert!(notes.as_ptr_range().start <= id.as_ptr_range().start);
        assert!(id.as_ptr_range().end <= notes.as_ptr_range().end);
    }
});
