//! Trees under a long load.

use super::space;
use crate::{
    btree::TreeEntry,
    codec::Codec,
    lsm::{Compacted, LsmTree, compaction::level_limit, debt::Debt, run::Tables},
    lsn::Lsn,
    vfs_memory::MemoryVfs,
};

/// Flushes between two steps of the compactor, where nobody waits for it.
const FLUSHES: u64 = 4;

fn levels(tree: &LsmTree) -> Vec<u64> {
    let version = tree.version();
    let levels = version.levels.iter();
    levels.map(Tables::bytes).collect()
}

fn flush(tree: &LsmTree, random: &mut fastrand::Rng, lsn: u64) {
    let mut keys: Vec<[u8; 8]> = (0..40).map(|_| random.u64(..).to_be_bytes()).collect();
    keys.sort_unstable();
    let entries: Vec<_> = keys
        .iter()
        .map(|key| TreeEntry {
            key,
            value: Some(&[5; 90]),
        })
        .collect();
    tree.apply(&entries, Lsn(lsn));
    let mut frozen = tree.freeze();
    tree.write_out(&mut frozen, Lsn(lsn)).unwrap();
}

/// Compactions that are slower than what comes in keep all levels within bounds, as writers wait at
/// the hard limit only, and what comes in goes down all the time; at rest no level is larger than
/// it should be, and nothing is owed.
#[test]
fn levels_stay_within_bounds_under_a_long_load() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let options = &space.options;
    let tree = LsmTree::create(&space);
    let mut random = fastrand::Rng::with_seed(11);
    let (mut waited, mut deepest) = (0, 0);
    for round in 1..=900 {
        flush(&tree, &mut random, round);
        if round % FLUSHES == 0 {
            tree.compact(Lsn(round)).unwrap();
        }
        while tree.debt_excess().is_some_and(|excess| excess.stops()) {
            assert_eq!(tree.compact(Lsn(round)).unwrap(), Compacted::Some);
            waited += 1;
        }
        let bytes = levels(&tree);
        deepest = deepest.max(bytes.iter().filter(|bytes| **bytes > 0).count());
        for (number, bytes) in (1..).zip(&bytes) {
            // All that is beyond the limit is owed at least once.
            let bound = level_limit(options, number) + options.debt_hard_bytes;
            assert!(*bytes <= bound, "round {round}: level {number} has {bytes}");
        }
        let runs = tree.debt().runs;
        assert!(runs <= 24, "round {round}: {runs} runs in front");
    }
    assert!(
        waited > 0 && deepest > 1,
        "{waited} waits, {deepest} levels"
    );
    while tree.compact(Lsn(900)).unwrap() == Compacted::Some {}
    for (number, bytes) in (1..).zip(levels(&tree)) {
        assert!(bytes <= 2 * level_limit(options, number), "level {number}");
    }
    let debt = tree.debt();
    assert_eq!(debt.bytes, 0);
    assert_eq!(debt, Debt::of(&tree.version(), options));
    let tables = tree.table_bytes().0;
    assert!(tables > 10 * level_limit(options, 1), "{tables}");
}
