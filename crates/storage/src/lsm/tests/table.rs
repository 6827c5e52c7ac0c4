//! Tables against a sorted list, and under damage.

use std::{ops::Bound, sync::Arc};

use super::space;
use crate::{
    codec::Codec,
    cursor::{VersionCursor, VersionRef},
    error::Error,
    lsm::{
        block::compare,
        block_reader::Access,
        hash::Sought,
        range::Range,
        run::{ListedTable, Tables},
        table::{Table, TableRecord},
        tables_cursor::TablesCursor,
        writer::TableWriter,
    },
    lsn::Lsn,
    store::{Direction, KeyRange},
    vfs::{OpenMode, Vfs},
    vfs_memory::MemoryVfs,
};

type Listed = Vec<(Vec<u8>, u64, Option<Vec<u8>>)>;

/// Random versions of few keys, in order; some keys have many, some values are long.
fn sample(count: usize, seed: u64) -> Listed {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut listed: Listed = (0..count)
        .map(|_| {
            let number = random.usize(0..count);
            let key = match number % 10 {
                0 => b"popular".to_vec(),
                _ => format!("key{:04}", number / 3).into_bytes(),
            };
            let long = if random.u8(..40) == 0 { 900 } else { 30 };
            let value = (random.u8(..6) > 0).then(|| vec![random.u8(..); random.usize(..long)]);
            (key, random.u64(1..200), value)
        })
        .collect();
    listed.sort_by(|a, b| compare((&a.0, Lsn(a.1)), (&b.0, Lsn(b.1))));
    listed.dedup_by(|a, b| (&a.0, a.1) == (&b.0, b.1));
    listed
}

fn write(vfs: &MemoryVfs, codec: Codec, listed: &Listed) -> Arc<Table> {
    // Level 2 has the store's own codec.
    let mut writer = TableWriter::create(&space(vfs, codec), 2).unwrap();
    for (key, lsn, value) in listed {
        let version = VersionRef {
            key,
            lsn: Lsn(*lsn),
            value: value.as_deref(),
        };
        writer.add(version).unwrap();
    }
    writer.finish().unwrap()
}

fn all(cursor: &mut impl VersionCursor) -> Result<Listed, Error> {
    let mut found = Vec::new();
    while let Some(version) = cursor.next_version()? {
        let value = version.value.map(<[u8]>::to_vec);
        found.push((version.key.to_vec(), version.lsn.0, value));
    }
    Ok(found)
}

fn everything(table: &Arc<Table>, access: Access) -> Result<Listed, Error> {
    let tables = Tables::new(vec![ListedTable::plain(Arc::clone(table))]);
    all(&mut TablesCursor::new(&tables, Range::everything(), access))
}

#[test]
fn a_table_answers_as_a_sorted_list_does() {
    let mut random = fastrand::Rng::with_seed(6);
    for seed in 0..24 {
        let listed = sample(1 + (seed * seed * 3) as usize, seed);
        let codec = [Codec::None, Codec::Lz4, Codec::Zstd { level: 1 }][seed as usize % 3];
        let codec = if codec.check().is_ok() {
            codec
        } else {
            Codec::None
        };
        let table = write(&MemoryVfs::new(), codec, &listed);
        assert_eq!(everything(&table, Access::Cached).unwrap(), listed);
        assert_eq!(everything(&table, Access::Streaming).unwrap(), listed);
        for _ in 0..200 {
            let number = random.usize(0..2 * listed.len());
            let key = match listed.get(number) {
                Some((key, ..)) => key.clone(),
                None => format!("key{number:04}x").into_bytes(),
            };
            let at = random.u64(0..210);
            let expected = listed.iter().find(|(k, lsn, _)| *k == key && *lsn <= at);
            let found = table.find(Sought::new(&key), Lsn(at)).unwrap();
            let found = found.map(|found| (found.lsn.0, found.value().map(<[u8]>::to_vec)));
            assert_eq!(found, expected.map(|(_, lsn, value)| (*lsn, value.clone())));
        }
    }
}

#[test]
fn a_run_of_tables_is_walked_both_ways() {
    let mut random = fastrand::Rng::with_seed(8);
    for seed in 0..12 {
        let listed = sample(300, seed);
        let vfs = MemoryVfs::new();
        // Cut where a key ends.
        let mut tables = Vec::new();
        let mut rest = listed.as_slice();
        while !rest.is_empty() {
            let mut cut = random.usize(1..=rest.len().min(150));
            while cut < rest.len() && rest[cut].0 == rest[cut - 1].0 {
                cut += 1;
            }
            let (now, later) = rest.split_at(cut);
            let space = space(&vfs, Codec::None);
            space.spend_numbers_below(1 + tables.len() as u64);
            let mut writer = TableWriter::create(&space, 1).unwrap();
            for (key, lsn, value) in now {
                let (lsn, value) = (Lsn(*lsn), value.as_deref());
                writer.add(VersionRef { key, lsn, value }).unwrap();
            }
            tables.push(writer.finish().unwrap());
            rest = later;
        }
        let tables = Tables::new(ListedTable::all_plain(tables));
        for _ in 0..60 {
            let mut bound = || {
                let key = listed[random.usize(..listed.len())].0.clone();
                match random.u8(..3) {
                    0 => Bound::Unbounded,
                    1 => Bound::Included(key),
                    _ => Bound::Excluded([&key[..], b"x"].concat()),
                }
            };
            let keys = KeyRange {
                start: bound(),
                end: bound(),
            };
            let within = |key: &[u8]| {
                let after = match &keys.start {
                    Bound::Unbounded => true,
                    Bound::Included(start) => key >= start.as_slice(),
                    Bound::Excluded(start) => key > start.as_slice(),
                };
                after
                    && match &keys.end {
                        Bound::Unbounded => true,
                        Bound::Included(end) => key <= end.as_slice(),
                        Bound::Excluded(end) => key < end.as_slice(),
                    }
            };
            let mut expected: Listed = listed
                .iter()
                .filter(|(key, ..)| within(key))
                .cloned()
                .collect();
            for direction in [Direction::Forward, Direction::Backward] {
                if direction == Direction::Backward {
                    expected.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.cmp(&a.1)));
                }
                let range = Range::new(keys.clone(), direction);
                let mut cursor = TablesCursor::new(&tables, range, Access::Cached);
                assert_eq!(all(&mut cursor).unwrap(), expected);
                if let Some((sought, ..)) = expected.get(expected.len() / 2) {
                    cursor.seek(sought).unwrap();
                    let rest = expected.iter().position(|(key, ..)| key == sought).unwrap();
                    assert_eq!(all(&mut cursor).unwrap(), expected[rest..]);
                }
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_table_is_seen() {
    let listed = sample(60, 3);
    let vfs = MemoryVfs::new();
    let table = write(&vfs, Codec::Lz4, &listed);
    let (path, record) = (table.path().to_path_buf(), table.record(Lsn::ZERO));
    drop(table);
    let read = |vfs: &MemoryVfs, record: &TableRecord| {
        let table = Arc::new(Table::open(&space(vfs, Codec::None), record)?);
        for (key, lsn, value) in &listed {
            let found = table.find(Sought::new(key), Lsn(*lsn))?.unwrap();
            assert_eq!(found.value(), value.as_deref());
        }
        everything(&table, Access::Streaming)
    };
    assert_eq!(read(&vfs, &record).unwrap(), listed);
    for bit in 0..record.len * 8 {
        let copy = vfs.fork();
        let file = copy.open(&path, OpenMode::ReadWrite).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, bit / 8).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8)
            .unwrap();
        let damaged = read(&copy, &record);
        assert!(
            matches!(damaged, Err(Error::Corrupt { .. })),
            "bit {bit}: {damaged:?}"
        );
    }
    for len in 0..record.len {
        let copy = vfs.fork();
        let file = copy.open(&path, OpenMode::ReadWrite).unwrap();
        file.set_len(len).unwrap();
        assert!(matches!(read(&copy, &record), Err(Error::Corrupt { .. })));
    }
    let other = TableRecord {
        salt: record.salt ^ 1,
        ..record
    };
    assert!(matches!(read(&vfs, &other), Err(Error::Corrupt { .. })));
}
