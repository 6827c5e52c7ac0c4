//! Snapshots that pin what they see, while versions that nobody sees are dropped.

#![expect(clippy::unwrap_used, reason = "a test")]

use rustling_storage::{Direction, Durability, EngineKind, KeyRange, Lsn};
use shuttle::thread;

use crate::world::{World, explore, key, small, value};

fn overwrite(world: &World, rounds: std::ops::Range<u32>) {
    for round in rounds {
        let change = [0, 1].map(|at| (key(at), Some(value(round, 700))));
        world.commit(change.into(), Durability::None).unwrap();
    }
}

fn run(engine: EngineKind) {
    let world = World::new(engine, small());
    overwrite(&world, 0..2);
    let writer = world.spawn(|world| overwrite(world, 2..8));
    let collector = world.spawn(|world| {
        let mut last = Lsn::ZERO;
        for _ in 0..2 {
            let watermark = world.store.watermark();
            assert!(watermark >= last, "a watermark has gone back");
            last = watermark;
            world.store.vacuum().unwrap();
        }
    });
    let readers: Vec<_> = (0..2)
        .map(|_| {
            world.spawn(|world| {
                for _ in 0..2 {
                    let snapshot = world.store.snapshot();
                    let first = world.look_at(&snapshot, &key(0));
                    thread::yield_now();
                    assert_eq!(first, world.look_at(&snapshot, &key(1)), "of one commit");
                    assert!(world.store.watermark() <= snapshot.lsn());
                    world.look(&snapshot, KeyRange::all(), Direction::Backward);
                }
            })
        })
        .collect();
    readers.into_iter().for_each(|thread| thread.join());
    writer.join();
    collector.join();
    assert_eq!(world.store.watermark(), world.store.published_lsn());
    world.check();
}

/// A snapshot that is being made while the watermark is computed: it is counted, or it moves on.
#[test]
fn no_snapshot_is_missed() {
    explore(400, || {
        let world = World::new(EngineKind::BTree, small());
        overwrite(&world, 0..1);
        let writer = world.spawn(|world| {
            overwrite(world, 1..2);
            assert!(world.store.watermark() <= world.store.published_lsn());
            overwrite(world, 2..3);
        });
        let snapshot = world.store.snapshot();
        assert!(world.store.watermark() <= snapshot.lsn(), "it was missed");
        world.look_at(&snapshot, &key(0));
        drop(snapshot);
        writer.join();
        world.check();
    });
}

#[test]
fn what_a_snapshot_sees_is_not_collected_from_pages() {
    explore(50, || run(EngineKind::BTree));
}

#[test]
fn what_a_snapshot_sees_is_not_collected_from_tables() {
    explore(50, || run(EngineKind::Lsm));
}

#[test]
fn what_a_snapshot_sees_is_not_collected_from_either() {
    explore(50, || run(EngineKind::Hybrid));
}
