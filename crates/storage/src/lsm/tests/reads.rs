//! What point reads of tables look at.

use super::space;
use crate::{
    codec::Codec,
    cursor::VersionRef,
    lsm::{hash::Sought, writer::TableWriter},
    lsn::Lsn,
    vfs_memory::MemoryVfs,
};

/// Filters and indexes stay with their table: a read of what is there looks for one block in the
/// cache, a read of what is not there mostly for none.
#[test]
fn filters_and_indexes_stay_with_their_table() {
    const COUNT: u64 = 300;
    let space = space(&MemoryVfs::new(), Codec::None);
    let mut writer = TableWriter::create(&space, 1).unwrap();
    for number in 0..COUNT {
        let version = VersionRef {
            key: &(2 * number).to_be_bytes(),
            lsn: Lsn(1),
            value: Some(&[3; 30]),
        };
        writer.add(version).unwrap();
    }
    let table = writer.finish().unwrap();
    let find = |number: u64| {
        let key = number.to_be_bytes();
        table.find(Sought::new(&key), Lsn(9)).unwrap().is_some()
    };
    let looks = || {
        let statistics = space.cache.statistics();
        statistics.hits + statistics.misses
    };
    assert!((0..COUNT).all(|number| find(2 * number)));
    let warm = looks();
    assert!((0..COUNT).all(|number| find(2 * number)));
    assert_eq!(looks() - warm, COUNT);
    let warm = looks();
    assert!(!(1..COUNT).any(|number| find(2 * number - 1)));
    let statistics = space.cache.statistics();
    assert!(statistics.filtered > COUNT - COUNT / 20, "{statistics:?}");
    assert!(looks() - warm < COUNT / 20);
    // Data blocks alone stay when the table goes.
    drop(table);
    let left = space.cache.statistics().bytes;
    assert!(left < statistics.bytes && left > 0, "{left}");
}
