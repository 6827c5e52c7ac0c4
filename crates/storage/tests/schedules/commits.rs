//! Group commit, and the order in which commits become visible.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::{World, explore, key, small, value, with_threads};
use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Error, KeyRange, KeyspaceId, KeyspaceOptions, Lsn,
    Result,
};
use rustling_testkit::sim::{Fault, FaultPlan};

/// Flushes of the log so far.
fn flushes(world: &World) -> u64 {
    let waits = world.store.waits().snapshot();
    let flush = waits.iter().find(|wait| wait.name == "wal.fsync");
    flush.map_or(0, |wait| wait.count)
}

/// Durable commits share flushes, and whoever has an answer finds his commit on the disk.
#[test]
fn commits_share_flushes_and_are_durable_when_they_answer() {
    // The fewest flushes that a schedule needed.
    static FEWEST: AtomicU64 = AtomicU64::new(u64::MAX);
    const COMMITS: u64 = 6;
    explore(200, || {
        let world = World::new(EngineKind::BTree, small());
        let before = flushes(&world);
        let threads: Vec<_> = (0..3)
            .map(|who| {
                world.spawn(move |world| {
                    let first = world.promise(&key(who), value(0, 9)).unwrap();
                    let second = world.promise(&key(who), value(1, 9)).unwrap();
                    assert!(first < second);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join());
        let flushes = flushes(&world) - before;
        assert!((2..=COMMITS).contains(&flushes), "{flushes} flushes");
        FEWEST.fetch_min(flushes, Ordering::Relaxed);
        world.check();
    });
    assert_eq!(FEWEST.load(Ordering::Relaxed), 2, "commits are to share");
}

/// A log whose flush has failed: nobody is told that his commit is durable who cannot find it after a
/// power failure, nobody waits for ever, and nobody gets a commit done from then on.
#[test]
fn nobody_is_told_durable_after_a_failed_flush() {
    // How many schedules had commits before the failure, and after.
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    explore(200, || {
        let world = World::new(EngineKind::BTree, small());
        let committers: Vec<_> = (0..3)
            .map(|who| {
                world.spawn(move |world| {
                    let mut has_failed = false;
                    for step in 0..2 {
                        match world.promise(&key(who), value(step, 9)) {
                            Ok(_) => {
                                assert!(!has_failed, "a commit after a failed one");
                                ANSWERED.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                assert!(is_of_the_failure(&error), "{error}");
                                has_failed = true;
                                REFUSED.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    // Who asks for a flush is told, or all there is has been flushed.
                    match world.store.flush() {
                        Ok(_) => assert!(!has_failed),
                        Err(error) => assert!(is_of_the_failure(&error), "{error}"),
                    }
                })
            })
            .collect();
        // It waits for nothing but the commits before it.
        let follower = world.spawn(|world| {
            let change = vec![(key(9), Some(value(0, 9)))];
            if let Err(error) = world.commit(change, Durability::None) {
                assert!(is_of_the_failure(&error), "{error}");
            }
        });
        let fault = FaultPlan::new(1).from(0, Fault::SyncErrorThenClean);
        world.disk.vfs.set_faults(fault.on_path("/wal/"));
        committers.into_iter().for_each(|thread| thread.join());
        follower.join();
        world.disk.vfs.set_faults(FaultPlan::new(1));
        world.check_promises();
    });
    let counts = [&ANSWERED, &REFUSED].map(|count| count.load(Ordering::Relaxed));
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

fn is_of_the_failure(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::Poisoned { .. })
}

/// Readers see the commits up to one of them, whole, and all are durable that asked to be.
#[test]
fn readers_see_a_prefix_that_is_durable() {
    explore(150, || {
        let world = World::new(EngineKind::BTree, small());
        let writers: Vec<_> = (0..2)
            .map(|who| {
                world.spawn(move |world| {
                    for step in 0..2 {
                        // Two keys of one commit: seen both or neither.
                        let both = [who, 10 + who].map(|at| (key(at), Some(value(step, 9))));
                        world.commit(both.into(), Durability::Sync).unwrap();
                    }
                })
            })
            .collect();
        let reader = world.spawn(|world| {
            let mut last = Lsn::ZERO;
            for _ in 0..3 {
                let snapshot = world.store.snapshot();
                let durable = world.store.durable_lsn();
                assert!(snapshot.lsn() <= durable, "{durable} is the last durable");
                assert!(last <= snapshot.lsn(), "what was visible is no more");
                last = snapshot.lsn();
                world.look(&snapshot, KeyRange::all(), Direction::Forward);
            }
        });
        reader.join();
        writers.into_iter().for_each(|thread| thread.join());
        world.check();
    });
}

/// Commits that wait for nothing are visible in their order between those that do, and a flush by
/// whoever covers them all.
#[test]
fn commits_of_every_durability_keep_their_order() {
    explore(150, || {
        let world = World::new(EngineKind::BTree, with_threads());
        let durabilities = [Durability::None, Durability::Async, Durability::Sync];
        let writers: Vec<_> = (0..)
            .zip(durabilities)
            .map(|(who, durability)| {
                world.spawn(move |world| {
                    for step in 0..2 {
                        let change = vec![(key(who), Some(value(step, 9)))];
                        let lsn = world.commit(change, durability).unwrap();
                        assert!(world.store.published_lsn() >= lsn);
                        if durability == Durability::Sync {
                            assert!(world.store.durable_lsn() >= lsn);
                        }
                        let snapshot = world.store.snapshot();
                        assert!(snapshot.lsn() >= lsn, "{lsn} was answered");
                        world.look(&snapshot, KeyRange::all(), Direction::Backward);
                    }
                })
            })
            .collect();
        let flushed = world.store.flush().unwrap();
        assert!(world.store.durable_lsn() >= flushed);
        writers.into_iter().for_each(|thread| thread.join());
        world.check();
    });
}

/// A log that goes on from segment to segment under several committers, checkpoints beside them that
/// remove what is behind.
#[test]
fn segments_end_under_committers() {
    explore(40, || {
        let world = World::new(EngineKind::BTree, with_threads());
        let committers: Vec<_> = (0..2)
            .map(|who| {
                world.spawn(move |world| {
                    for step in 0..4 {
                        world.promise(&key(who), value(step, 2500)).unwrap();
                    }
                })
            })
            .collect();
        world.store.checkpoint().unwrap();
        committers.into_iter().for_each(|thread| thread.join());
        world.check();
    });
}

/// A flush that no commit has asked for covers some of those that wait: whoever was to lead theirs
/// leaves it to one of the others.
#[test]
fn the_log_is_flushed_on_nobodys_behalf() {
    explore(150, || {
        let world = World::new(EngineKind::BTree, small());
        // It gets a segment of its own, which the log leaves for a smaller one at rest.
        world.promise(&key(0), value(0, 20_000)).unwrap();
        let committers: Vec<_> = (1..4)
            .map(|who| {
                world.spawn(move |world| {
                    for step in 0..3 {
                        world.promise(&key(who), value(step, 9)).unwrap();
                    }
                })
            })
            .collect();
        world.store.vacuum().unwrap();
        committers.into_iter().for_each(|thread| thread.join());
        world.check();
    });
}

/// Keyspaces come and go while others commit: whoever sees one sees all of it.
#[test]
fn keyspaces_come_and_go_under_committers() {
    explore(80, || {
        let world = World::new(EngineKind::BTree, small());
        let writer = world.spawn(|world| {
            for step in 0..3 {
                let change = vec![(key(0), Some(value(step, 9)))];
                world.commit(change, Durability::Sync).unwrap();
            }
        });
        let id = world.store.allocate_keyspace_id();
        let changes = world.spawn(move |world| structural(world, id).unwrap());
        for _ in 0..3 {
            let snapshot = world.store.snapshot();
            match snapshot.get(id, b"first") {
                Ok(found) => assert_eq!(found.as_deref(), Some(&b"value"[..])),
                Err(error) => assert!(matches!(error, Error::UnknownKeyspace(_)), "{error}"),
            }
            world.look_at(&snapshot, &key(0));
        }
        world.store.checkpoint().unwrap();
        writer.join();
        changes.join();
        // The commits of that keyspace are in nobody's notes.
        world.check_notes();
        assert!(!world.store.contains_keyspace(id));
        assert!(world.store.verify().unwrap().is_clean());
    });
}

fn structural(world: &World, id: KeyspaceId) -> Result<()> {
    let mut batch = Batch::new();
    batch.create_keyspace(id, KeyspaceOptions::default());
    batch.put(id, "first", "value");
    world.store.commit(&batch, Durability::Sync)?;
    let mut batch = Batch::new();
    batch.drop_keyspace(id);
    world.store.commit(&batch, Durability::None)?;
    Ok(())
}
