//! See `fuzzing::table_blocks` of the crate that it calls.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rustling_storage::fuzzing::table_blocks(data));
