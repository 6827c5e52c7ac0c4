//! A full disk in the middle of a batch: a typed error, a sound tree, no page lost; and the
//! same batch can be applied again once there is room.

use std::{collections::BTreeMap, io::ErrorKind, sync::Arc};

use fastrand::Rng;

use super::{BTree, Disk, TreeEntry, assert_sound, get};
use crate::{error::Error, lsn::Lsn, vfs_memory::MemoryVfs};

fn random_key(rng: &mut Rng) -> Vec<u8> {
    let mut key = format!("{:04}", rng.u16(..2000)).into_bytes();
    if rng.u8(..20) == 0 {
        key.resize(rng.usize(60..900), b'x');
    }
    key
}

#[test]
fn a_full_disk_in_the_middle_of_a_batch_leaves_a_sound_tree() {
    let mut failures = 0;
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let vfs = MemoryVfs::with_limit(300 << 10);
        let disk = Disk::on(vfs.clone(), *rng.choice(&[24, 10_000]).unwrap());
        let pages = disk.create();
        let tree = BTree::create(Arc::clone(&pages)).unwrap();
        let mut limit = 300 << 10;
        let mut model = BTreeMap::new();
        for lsn in 1..120u64 {
            let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = (0..rng.usize(1..80))
                .map(|_| {
                    let len = if rng.u8(..15) == 0 {
                        2500
                    } else {
                        rng.usize(..90)
                    };
                    let value = rng.bool().then(|| vec![lsn as u8; len]);
                    (random_key(&mut rng), value)
                })
                .collect();
            let entries: Vec<TreeEntry<'_>> = changes
                .iter()
                .map(|(key, value)| TreeEntry {
                    key,
                    value: value.as_deref(),
                })
                .collect();
            let watermark = Lsn(lsn.saturating_sub(3));
            while let Err(error) = tree.apply(&entries, Lsn(lsn), watermark) {
                let Error::Io { source, .. } = error else {
                    panic!("not the error of a full disk: {error:?}")
                };
                assert_eq!(source.kind(), ErrorKind::StorageFull);
                failures += 1;
                assert_sound(&tree, &pages, 0);
                limit += rng.u64(1..100) << 10;
                vfs.set_limit(limit);
            }
            model.extend(changes);
            if rng.u8(..8) == 0 {
                let frozen = pages.freeze(Lsn(lsn), Vec::new()).unwrap();
                // What was promised room is written without asking for more.
                pages.write_checkpoint(frozen).unwrap();
            }
        }
        assert_sound(&tree, &pages, 0);
        for (key, value) in model {
            let found = get(&tree, &key, u64::MAX).and_then(|(_, value)| value);
            assert_eq!(found, value);
        }
    }
    assert!(failures > 50, "the disk was full only {failures} times");
}
