//! Memtables that fill, end and become tables, and tables that are merged, under those who read and
//! write them; with background threads, or by whoever asks for a checkpoint.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicU64, Ordering};

use rustling_storage::{Direction, Durability, EngineKind, KeyRange, StoreOptions};

use crate::world::{World, explore, key, small, value, with_threads};

/// Tables written by flushes and compactions, so far.
static FLUSHES: AtomicU64 = AtomicU64::new(0);
static COMPACTIONS: AtomicU64 = AtomicU64::new(0);

/// A few entries fill a memtable.
const LEN: usize = 900;

fn writes(world: &World, first: u32, round: u32) {
    for at in 0..5 {
        let change = vec![(key(first + 3 * at), Some(value(round, LEN)))];
        world.commit(change, Durability::None).unwrap();
    }
}

fn run(engine: EngineKind, options: StoreOptions) {
    let world = World::new(engine, options);
    for round in 0..4 {
        writes(&world, 0, round);
        world.store.checkpoint().unwrap();
    }
    let writers: Vec<_> = [0, 1]
        .map(|first| {
            world.spawn(move |world| {
                writes(world, first, 2);
                let change = vec![(key(first + 3), None)];
                world.commit(change, Durability::None).unwrap();
            })
        })
        .into();
    let reader = world.spawn(|world| {
        let old = world.store.snapshot();
        for direction in [Direction::Forward, Direction::Backward] {
            let snapshot = world.store.snapshot();
            world.look(&snapshot, KeyRange::all(), direction);
            world.look_at(&snapshot, &key(3));
        }
        world.look(&old, KeyRange::all(), Direction::Forward);
    });
    world.store.checkpoint().unwrap();
    reader.join();
    writers.into_iter().for_each(|thread| thread.join());
    world.store.checkpoint().unwrap();
    let stats = world.store.stats();
    FLUSHES.fetch_add(stats.tables.flushes, Ordering::Relaxed);
    COMPACTIONS.fetch_add(stats.tables.compactions, Ordering::Relaxed);
    world.check();
}

fn have_been() {
    assert!(FLUSHES.load(Ordering::Relaxed) > 0, "no memtable ended");
    assert!(COMPACTIONS.load(Ordering::Relaxed) > 0, "nothing merged");
}

#[test]
fn memtables_end_under_readers_and_writers() {
    explore(40, || run(EngineKind::Lsm, small()));
    have_been();
}

#[test]
fn memtables_end_in_the_background() {
    explore(40, || run(EngineKind::Lsm, with_threads()));
    have_been();
}

#[test]
fn a_front_is_merged_into_its_tree() {
    explore(40, || run(EngineKind::Hybrid, small()));
    have_been();
}

#[test]
fn a_front_is_merged_into_its_tree_in_the_background() {
    explore(40, || run(EngineKind::Hybrid, with_threads()));
    have_been();
}
