//! The power goes at every operation, and comes back.

use std::sync::Arc;

use super::{
    DIR, Model, check, check_clean, create,
    disk::{CrashDisk, FATES, Fate},
    model::Work,
    open, still_env, tiny,
};
use crate::{
    codec::Codec,
    env::Env,
    error::Error,
    lsn::Lsn,
    page::{PageId, PageStore},
};

/// What may be on the disk: the last checkpoint that was acknowledged (`None` before the
/// store was), and the one under way.
#[derive(Clone, Debug, Default)]
struct Expected {
    acknowledged: Option<(Lsn, Model)>,
    under_way: Option<(Lsn, Model)>,
}

/// Works on the store until the power goes or `checkpoints` more have been written.
fn work_on(store: &PageStore, work: &mut Work, expected: &mut Expected, checkpoints: u64) {
    let first = expected.acknowledged.as_ref().map_or(0, |(lsn, _)| lsn.0) + 1;
    for lsn in (first..first + checkpoints).map(Lsn) {
        for _ in 0..25 {
            if work.step(store, 40).is_err() {
                return;
            }
        }
        let metadata = vec![lsn.0 as u8; 700 * (lsn.0 as usize % 4)];
        let Ok(frozen) = store.freeze(lsn, metadata) else {
            return;
        };
        expected.under_way = Some((lsn, work.model.clone()));
        // The next epoch begins before the checkpoint is written.
        for _ in 0..15 {
            if work.step(store, 40).is_err() {
                return;
            }
        }
        if store.write_checkpoint(frozen).is_err() {
            return;
        }
        expected.acknowledged = expected.under_way.take();
    }
}

/// Opens the store and requires exactly one of the expected states. Answers it.
fn recover(env: &Env, expected: &Expected, what: &str) -> Option<(PageStore, (Lsn, Model))> {
    let opened = open(env, tiny(Codec::None, 10));
    let (store, info) = match opened {
        Ok(opened) => opened,
        Err(Error::NotFound { .. }) if expected.acknowledged.is_none() => return None,
        Err(error) => panic!("{what}: {error}"),
    };
    // Creation is acknowledged or not; an empty store is what it makes either way.
    let empty = (Lsn::ZERO, Model::new());
    let acknowledged = expected.acknowledged.clone().unwrap_or(empty);
    let candidates = [Some(acknowledged), expected.under_way.clone()];
    let Some(state) = candidates
        .into_iter()
        .flatten()
        .find(|(lsn, _)| *lsn == info.lsn)
    else {
        panic!(
            "{what}: found LSN {} where {expected:?} was expected",
            info.lsn
        );
    };
    assert_eq!(
        info.metadata,
        vec![info.lsn.0 as u8; 700 * (info.lsn.0 as usize % 4)],
        "{what}"
    );
    check(&store, &state.1);
    check_clean(&store);
    Some((store, state))
}

/// Runs a workload from the store's creation, with the power going at `crash_at`.
fn run(seed: u64, crash_at: Option<u64>) -> (CrashDisk, Expected) {
    let disk = CrashDisk::default();
    if let Some(at) = crash_at {
        disk.crash_at(at);
    }
    let env = still_env(disk.clone());
    let mut expected = Expected::default();
    if let Ok(store) = create(&env, tiny(Codec::None, 10)) {
        expected.acknowledged = Some((Lsn::ZERO, Model::new()));
        work_on(&store, &mut Work::new(seed), &mut expected, 6);
    }
    (disk, expected)
}

fn images(default: u64) -> u64 {
    std::env::var("RUSTLING_CRASH_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

#[test]
fn a_crash_leaves_the_last_checkpoint_or_the_one_under_way() {
    for seed in 0..images(2) {
        let total = run(seed, None).0.operations();
        for at in 1..=total {
            let (disk, expected) = run(seed, Some(at));
            for fate in FATES {
                let after = disk.after_crash(fate, seed * 1_000_003 + at);
                recover(
                    &still_env(after),
                    &expected,
                    &format!("seed {seed} op {at} {fate:?}"),
                );
            }
        }
    }
}

#[test]
fn a_second_crash_soon_after_the_first() {
    for seed in 100..100 + images(1) {
        let mut random = fastrand::Rng::with_seed(seed);
        let total = run(seed, None).0.operations();
        for at in 1..=total {
            let (disk, expected) = run(seed, Some(at));
            let fate = FATES[random.usize(..FATES.len())];
            let after = disk.after_crash(fate, random.u64(..));
            for second in 1..16 {
                let what = format!("seed {seed} op {at} {fate:?} then op {second}");
                // Each try begins with the disk as the first crash left it.
                let disk = after.after_crash(Fate::Drop, 0);
                let env = still_env(disk.clone());
                let Some((store, state)) = recover(&env, &expected, &what) else {
                    continue;
                };
                disk.crash_at(second);
                let mut work = Work::new(seed + second);
                work.model = state.1.clone();
                // Until the first write settles the state found, it is all there may be.
                let mut expected = Expected {
                    acknowledged: Some(state),
                    under_way: None,
                };
                work_on(&store, &mut work, &mut expected, 1);
                drop(store);
                for fate in FATES {
                    let after = disk.after_crash(fate, second);
                    recover(&still_env(after), &expected, &what);
                }
            }
        }
    }
}

/// The process dies but the system lives on: the new process sees what is not durable. Then
/// the power goes. Both the state that was seen and the old one are right, as long as nothing
/// has been built on the one seen; after that only what was built.
#[test]
fn a_state_seen_but_not_durable_is_settled_before_it_is_built_upon() {
    for seed in 200..200 + images(1) {
        let total = run(seed, None).0.operations();
        for at in 1..=total {
            let (disk, before) = run(seed, Some(at));
            for second in 1..14 {
                let what = format!("seed {seed} op {at} then op {second}");
                let disk = disk.reboot_process();
                let env = still_env(disk.clone());
                let Some((store, state)) = recover(&env, &before, &what) else {
                    continue;
                };
                disk.crash_at(second);
                let mut work = Work::new(seed + second);
                work.model = state.1.clone();
                let mut after = Expected {
                    acknowledged: Some(state),
                    under_way: None,
                };
                let settled = store.settle().is_ok();
                if settled {
                    work_on(&store, &mut work, &mut after, 1);
                } else {
                    after = before.clone();
                }
                drop(store);
                for fate in FATES {
                    recover(&still_env(disk.after_crash(fate, second)), &after, &what);
                }
            }
        }
    }
}

#[test]
fn a_failed_sync_stops_the_store_until_it_is_reopened() {
    let (disk, _) = run(300, None);
    let env = still_env(disk.clone());
    let (store, info) = open(&env, tiny(Codec::None, 10)).unwrap();
    let before: Vec<_> = store.allocated_pages();
    store.allocate().unwrap();
    let frozen = store.freeze(Lsn(99), vec![]).unwrap();
    disk.fail_next_sync();
    assert!(matches!(
        store.write_checkpoint(frozen),
        Err(Error::Io { .. })
    ));
    assert!(matches!(store.allocate(), Err(Error::Poisoned { .. })));
    assert!(matches!(
        store.write(before[0]),
        Err(Error::Poisoned { .. })
    ));
    assert!(matches!(
        store.freeze(Lsn(100), vec![]),
        Err(Error::Poisoned { .. })
    ));
    for id in &before {
        store.read(*id).unwrap();
    }
    drop(store);
    let after = disk.after_crash(Fate::Drop, 0);
    let (store, again) = open(&still_env(after), tiny(Codec::None, 10)).unwrap();
    assert_eq!(again.lsn, info.lsn);
    assert_eq!(store.allocated_pages(), before);
}

#[test]
fn a_checkpoint_that_is_dropped_stops_the_store() {
    let store = Arc::new(create(&Env::in_memory(), tiny(Codec::None, 10)).unwrap());
    drop(store.freeze(Lsn(1), vec![]).unwrap());
    assert!(matches!(store.allocate(), Err(Error::Poisoned { .. })));
}

#[test]
fn half_a_creation_is_no_store() {
    let disk = CrashDisk::default();
    disk.crash_at(4);
    let env = still_env(disk.clone());
    assert!(create(&env, tiny(Codec::None, 10)).is_err());
    let after = disk.after_crash(Fate::Keep, 0);
    let env = still_env(after.clone());
    assert!(matches!(
        open(&env, tiny(Codec::None, 10)),
        Err(Error::NotFound { .. })
    ));
    create(&env, tiny(Codec::None, 10)).unwrap();
    assert!(matches!(
        create(&env, tiny(Codec::None, 10)),
        Err(Error::Io { .. })
    ));
    assert!(
        !after
            .bytes(&std::path::Path::new(DIR).join("data.rdb"))
            .is_empty()
    );
}

/// Allocates that many pages.
fn allocate(store: &PageStore, count: usize) -> Vec<PageId> {
    let allocate = |_| store.allocate().unwrap().id();
    (0..count).map(allocate).collect()
}

fn checkpoint(store: &PageStore, lsn: u64) -> crate::error::Result<()> {
    store.write_checkpoint(store.freeze(Lsn(lsn), vec![7; 900])?)
}

/// The file's end is forgotten while a checkpoint is being written that still counts it.
#[test]
fn a_file_is_never_cut_shorter_than_its_superblock_says() {
    let disk = CrashDisk::default();
    let env = Env::with_vfs(disk.clone());
    let options = tiny(Codec::None, 20);
    let store = Arc::new(create(&env, options).unwrap());
    let pages = allocate(&store, 300);
    checkpoint(&store, 1).unwrap();
    for id in &pages[10..] {
        store.free(store.hold_to_free(*id).unwrap());
    }
    checkpoint(&store, 2).unwrap();
    // The page table moves to the front.
    drop(store.write(pages[0]).unwrap());
    checkpoint(&store, 3).unwrap();
    let before = store.stats().file_bytes;
    let trimmed = Arc::clone(&store);
    // After the superblock and before the file is cut.
    disk.after_syncs(3, move || trimmed.trim());
    drop(store.write(pages[0]).unwrap());
    checkpoint(&store, 4).unwrap();
    let after = store.stats().file_bytes;
    assert!(after < before, "{after} of {before}");
    let (opened, info) = open(&Env::with_vfs(disk.reboot_process()), options).unwrap();
    assert_eq!(info.lsn, Lsn(4));
    check_clean(&opened);
    // The next checkpoint cuts it.
    assert!(store.is_cut_due());
    checkpoint(&store, 5).unwrap();
    let path = std::path::Path::new(DIR).join("data.rdb");
    assert_eq!(disk.bytes(&path).len() as u64, after);
    drop(store);
    let (opened, _) = open(&env, options).unwrap();
    check_clean(&opened);
}

/// The file grows while a checkpoint is being written; then the power goes, and the superblock
/// has arrived and the new length has not.
#[test]
fn growth_behind_the_sync_of_a_checkpoint_is_not_counted_in_it() {
    for seed in 0..60 {
        let disk = CrashDisk::default();
        let env = Env::with_vfs(disk.clone());
        let options = tiny(Codec::None, 20);
        let store = Arc::new(create(&env, options).unwrap());
        let pages = allocate(&store, 20);
        checkpoint(&store, 1).unwrap();
        drop(store.write(pages[0]).unwrap());
        let (growing, power) = (Arc::clone(&store), disk.clone());
        disk.after_syncs(1, move || {
            drop(growing.reserve(2000).unwrap());
            // Two copies of the superblock are written, and not synced.
            power.crash_at(3);
        });
        assert!(checkpoint(&store, 2).is_err());
        let after = disk.after_crash(Fate::Subset, seed);
        let (opened, info) = open(&Env::with_vfs(after), options)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(info.lsn == Lsn(1) || info.lsn == Lsn(2));
        check_clean(&opened);
    }
}
