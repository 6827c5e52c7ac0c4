//! See `fuzzing::manifest_and_superblock` of the crate that it calls.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rustling_storage::fuzzing::manifest_and_superblock(data));
