//! Latches and pins of pages: trees that split and merge under readers, in a cache of fewer pages
//! than they have, with checkpoints in between.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicU64, Ordering};

use rustling_storage::{
    Direction, Durability, EngineKind, EvictionPolicyKind, KeyRange, StoreOptions,
};

use crate::world::{World, explore, key, small, value};

/// Four entries fill a page.
const LEN: usize = 900;

/// A tree of every second key up to `2 * entries`, on disk.
fn planted(entries: u32, options: StoreOptions) -> World {
    let world = World::new(EngineKind::BTree, options);
    for first in (0..entries).step_by(8) {
        let change = (first..entries.min(first + 8))
            .map(|at| (key(2 * at), Some(value(0, LEN))))
            .collect();
        world.commit(change, Durability::None).unwrap();
    }
    world.store.checkpoint().unwrap();
    world
}

/// Pages split under readers, and leave the cache for each other.
#[test]
fn readers_walk_a_tree_that_splits() {
    static EVICTIONS: AtomicU64 = AtomicU64::new(0);
    explore(40, || {
        let world = planted(48, small());
        let writers: Vec<_> = [1u32, 61]
            .map(|first| {
                world.spawn(move |world| {
                    for at in (first..first + 12).step_by(2) {
                        let change = vec![(key(at), Some(value(1, LEN)))];
                        world.commit(change, Durability::None).unwrap();
                    }
                })
            })
            .into();
        let reader = world.spawn(|world| {
            for direction in [Direction::Forward, Direction::Backward] {
                let snapshot = world.store.snapshot();
                world.look(&snapshot, KeyRange::all(), direction);
            }
        });
        reader.join();
        writers.into_iter().for_each(|thread| thread.join());
        EVICTIONS.fetch_add(world.store.stats().pages.evictions, Ordering::Relaxed);
        world.check();
    });
    assert!(EVICTIONS.load(Ordering::Relaxed) > 0, "the cache held all");
}

/// Pages change, split and leave while a checkpoint writes them as they were.
#[test]
fn a_checkpoint_beside_writers() {
    explore(40, || {
        let world = planted(48, small());
        // Changed pages that the checkpoint has to write, as many as the cache holds.
        let change = (0..8).map(|at| (key(12 * at), Some(value(3, LEN))));
        world.commit(change.collect(), Durability::None).unwrap();
        let writer = world.spawn(|world| {
            for at in 0..6 {
                let change = vec![(key(12 * at), Some(value(1, LEN)))];
                world.commit(change, Durability::None).unwrap();
            }
        });
        let other = world.spawn(|world| {
            world.promise(&key(36), value(2, LEN)).unwrap();
        });
        // It has the cache let go of what the others have changed.
        let reader = world.spawn(|world| {
            let snapshot = world.store.snapshot();
            for at in [90, 6, 54, 78, 30, 66] {
                world.look_at(&snapshot, &key(at));
            }
        });
        world.store.checkpoint().unwrap();
        writer.join();
        other.join();
        reader.join();
        world.check();
    });
}

/// A page leaves its frame to another while somebody is about to take it from there.
#[test]
fn pages_take_each_others_place() {
    explore(150, || {
        let options = StoreOptions {
            eviction: EvictionPolicyKind::Clock,
            ..small()
        };
        let world = planted(64, options);
        let wanderer = world.spawn(|world| {
            let snapshot = world.store.snapshot();
            for at in 0..20 {
                let found = world.look_at(&snapshot, &key(8 * at % 128));
                assert_eq!(found, Some(value(0, 0)), "{at}");
            }
        });
        let snapshot = world.store.snapshot();
        for at in 0..10 {
            let found = world.look_at(&snapshot, &key(80 * (at % 2)));
            assert_eq!(found, Some(value(0, 0)), "{at}");
        }
        drop(snapshot);
        wanderer.join();
        world.check();
    });
}

/// Pages that have become empty are merged away under those who stand on them.
#[test]
fn readers_walk_a_tree_that_merges() {
    explore(40, || {
        let world = planted(32, small());
        let remover = world.spawn(|world| {
            for first in [10, 26] {
                let change = (first..first + 12).map(|at| (key(2 * at), None)).collect();
                world.commit(change, Durability::None).unwrap();
                world.store.vacuum().unwrap();
            }
        });
        let writer = world.spawn(|world| {
            for at in [21, 41, 53] {
                let change = vec![(key(at), Some(value(1, LEN)))];
                world.commit(change, Durability::None).unwrap();
            }
        });
        let snapshot = world.store.snapshot();
        world.look(&snapshot, KeyRange::all(), Direction::Backward);
        world.look(&snapshot, KeyRange::all(), Direction::Forward);
        drop(snapshot);
        remover.join();
        writer.join();
        world.check();
    });
}
