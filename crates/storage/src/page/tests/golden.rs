//! The bytes of a small store, so that the format does not change unnoticed.

use std::{fmt::Write, path::Path};

use super::{DIR, create, disk::CrashDisk, still_env, tiny};
use crate::{codec::Codec, lsn::Lsn};

/// The lines of sixteen bytes that are not zero, runs of equal lines once.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut last: &[u8] = &[];
    for (at, line) in bytes.chunks(16).enumerate() {
        if line.iter().any(|byte| *byte != 0) && line != last {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{:06x}  {}", at * 16, hex.join(" ")).unwrap();
        }
        last = line;
    }
    text
}

/// A change here is a change of the format: it needs a new version number, and programs that
/// still read the old one.
#[test]
fn the_bytes_of_a_small_store() {
    let disk = CrashDisk::default();
    let store = create(&still_env(disk.clone()), tiny(Codec::None, 20)).unwrap();
    for byte in 1..4 {
        store.allocate().unwrap().fill(byte);
    }
    store
        .write_checkpoint(store.freeze(Lsn(7), b"first".to_vec()).unwrap())
        .unwrap();
    store.write(crate::page::PageId(2)).unwrap().fill(0x22);
    store.free(store.write(crate::page::PageId(3)).unwrap());
    store
        .write_checkpoint(store.freeze(Lsn(9), b"second".to_vec()).unwrap())
        .unwrap();
    let found = dump(&disk.bytes(&Path::new(DIR).join("data.rdb")));
    assert_eq!(
        found,
        include_str!("golden/pages_v1.txt"),
        "found:\n{found}"
    );
}
