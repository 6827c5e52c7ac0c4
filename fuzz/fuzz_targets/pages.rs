//! See `fuzzing::pages` of the crate that it calls.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rustling_storage::fuzzing::pages(data));
