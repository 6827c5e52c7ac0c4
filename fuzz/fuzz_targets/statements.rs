//! See `fuzzing::statements` of the crate that it calls.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rustling_sql::fuzzing::statements(data));
