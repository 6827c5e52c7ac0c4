//! Damaged pages: typed errors or wrong answers, never a panic and never an endless loop.

use std::sync::Arc;

use fastrand::Rng;

use super::{BTree, TreeEntry, tiny_pages};
use crate::{
    btree::{
        fuzzing::use_node,
        layout::{KIND_INNER, KIND_LEAF},
    },
    cursor::VersionCursor,
    lsn::Lsn,
    store::{Direction, KeyRange},
    verify::VerifyReport,
};

/// Random bytes behind a plausible beginning.
#[test]
fn random_bytes_as_nodes_do_no_harm() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..20_000 {
        let len = *rng.choice(&[0, 5, 24, 480, 512, 992]).unwrap();
        let mut page: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        if len >= 24 {
            page[0] = if rng.bool() { KIND_LEAF } else { KIND_INNER };
            page[1] = if page[0] == KIND_LEAF {
                0
            } else {
                rng.u8(1..4)
            };
            page[3] = 0;
            page[4..6].copy_from_slice(&rng.u16(..=len as u16).to_le_bytes());
            page[6..8].copy_from_slice(&rng.u16(..100).to_le_bytes());
            page[8..10].copy_from_slice(&rng.u16(..40).to_le_bytes());
            page[14..16].fill(0);
        }
        let key: Vec<u8> = (0..rng.usize(..40)).map(|_| rng.u8(..)).collect();
        let _ = use_node(&mut page, &key);
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..10) {
        0 => vec![b'l'; rng.usize(55..400)],
        _ => format!("key/{:03}", rng.u16(..400)).into_bytes(),
    }
}

fn apply(tree: &BTree, rng: &mut Rng, lsn: u64, count: usize) -> crate::Result<()> {
    let mut keys: Vec<Vec<u8>> = (0..count).map(|_| key(rng)).collect();
    keys.sort();
    keys.dedup();
    let value = vec![
        7;
        if rng.u8(..8) == 0 {
            2500
        } else {
            rng.usize(..80)
        }
    ];
    let entries: Vec<TreeEntry<'_>> = keys
        .iter()
        .map(|key| TreeEntry {
            key,
            value: (!rng.bool()).then_some(value.as_slice()),
        })
        .collect();
    tree.apply(&entries, Lsn(lsn), Lsn(lsn.saturating_sub(5)))
}

#[test]
fn mutated_pages_do_no_harm() {
    let rounds = std::env::var("RUSTLING_LONG_TESTS").map_or(60, |_| 20_000);
    for seed in 0..rounds {
        let mut rng = Rng::with_seed(seed);
        let pages = tiny_pages();
        let tree = BTree::create(Arc::clone(&pages)).unwrap();
        for lsn in 1..20 {
            apply(&tree, &mut rng, lsn, 40).unwrap();
        }
        let ids = pages.allocated_pages();
        for _ in 0..rng.usize(1..4) {
            let mut page = pages.write(*rng.choice(&ids).unwrap()).unwrap();
            let other = *rng.choice(&ids).unwrap();
            match rng.u8(..4) {
                // Another page's bytes.
                0 if other != page.id() => {
                    let bytes = pages.read(other).unwrap().to_vec();
                    page.copy_from_slice(&bytes);
                }
                // The header, where most depends on every byte.
                1 => page[rng.usize(..24)] = rng.u8(..),
                _ => {
                    for _ in 0..rng.usize(1..8) {
                        let at = rng.usize(..page.len());
                        page[at] = rng.u8(..);
                    }
                }
            }
        }
        for direction in [Direction::Forward, Direction::Backward] {
            let mut cursor = tree.cursor(KeyRange::all(), direction);
            while let Ok(Some(_)) = cursor.next_version() {}
        }
        let _ = tree.verify(&mut |_| {}, &mut VerifyReport::default());
        let _ = tree.estimate();
        for _ in 0..20 {
            let _ = tree.get(&key(&mut rng), Lsn(15), |_, _| ());
        }
        for lsn in 20..26 {
            let _ = apply(&tree, &mut rng, lsn, 40);
        }
        let _ = tree.prune(Lsn(25), None, 1000);
        let _ = tree.verify(&mut |_| {}, &mut VerifyReport::default());
        let _ = tree.destroy();
    }
}
