//! Gate B: many readers and writers over a page cache far smaller than the data, with random
//! eviction and checkpoints in between, against a model. (The latch and pin protocol itself is
//! checked exhaustively by the loom model in the storage crate.)

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use rustling_storage::{
    Batch, Direction, Durability, Env, KeyRange, KeyspaceId, KeyspaceOptions, Snapshot, Store,
    StoreOptions,
};
use rustling_testkit::{
    harness::{in_parallel, threads},
    sim::{Crash, CrashPolicy, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    mode::seed,
    options::{eviction, for_threads},
    pool::{GROUPS, GroupModel, check_group, group_batch, group_prefix},
};

struct World {
    options: StoreOptions,
    commits: u64,
    writers: u64,
    readers: u64,
}

#[derive(Default)]
struct Tally {
    commits: AtomicU64,
    reads: AtomicU64,
    checkpoints: AtomicU64,
}

/// What the threads of one storm share.
struct Storm<'a> {
    world: &'a World,
    store: &'a Store,
    id: KeyspaceId,
    seed: u64,
    /// For each group the newest version that was acknowledged, and that was begun.
    acked: Vec<AtomicU64>,
    begun: Vec<AtomicU64>,
    done: AtomicBool,
    tally: &'a Tally,
}

impl Storm<'_> {
    /// One writer: it alone changes the groups `group % writers == who`, each in whole.
    fn write(&self, who: u64) -> Vec<(u64, GroupModel)> {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ who);
        let mine: Vec<u64> = (0..GROUPS)
            .filter(|group| group % self.world.writers == who)
            .collect();
        let mut models: Vec<GroupModel> = mine.iter().map(|_| GroupModel::default()).collect();
        for _ in 0..self.world.commits / self.world.writers {
            let index = rng.usize(..mine.len());
            let (group, version) = (mine[index], models[index].version + 1);
            let mut batch = Batch::new();
            models[index] = group_batch(&mut batch, self.id, group, version, &models[index]);
            self.begun[group as usize].store(version, Ordering::SeqCst);
            let durability = if rng.u8(..4) == 0 {
                Durability::Sync
            } else {
                Durability::None
            };
            self.store.commit(&batch, durability).unwrap();
            self.acked[group as usize].store(version, Ordering::SeqCst);
            self.tally.commits.fetch_add(1, Ordering::Relaxed);
        }
        mine.into_iter().zip(models).collect()
    }

    /// One reader: every group is whole in a snapshot, never older than what was acknowledged
    /// before the snapshot was taken, and never newer than what had begun after.
    fn read(&self, who: u64) {
        let mut rng = fastrand::Rng::with_seed(!(self.seed + who));
        let mut held: Option<(Snapshot, u64, Vec<u8>)> = None;
        while !self.done.load(Ordering::Relaxed) {
            let group = rng.u64(..GROUPS);
            let least = self.acked[group as usize].load(Ordering::SeqCst);
            let snapshot = self.store.snapshot();
            let most = self.begun[group as usize].load(Ordering::SeqCst);
            let direction = if rng.bool() {
                Direction::Forward
            } else {
                Direction::Backward
            };
            let version = check_group(&snapshot, self.id, group, direction)
                .unwrap_or_else(|reason| panic!("seed {}: {reason}", self.seed));
            assert!(
                (least..=most).contains(&version),
                "seed {}: group {group} is at version {version}, {least} was acknowledged, {most} begun",
                self.seed
            );
            // An old snapshot goes on reading what it read first, whatever was written since.
            match &held {
                Some((snapshot, group, first)) if rng.u8(..4) > 0 => assert_eq!(
                    &dump(snapshot, self.id, *group),
                    first,
                    "seed {}",
                    self.seed
                ),
                _ => held = Some((snapshot.clone(), group, dump(&snapshot, self.id, group))),
            }
            self.tally.reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checkpoints again and again.
    fn checkpoint(&self, env: &Env) {
        while !self.done.load(Ordering::Relaxed) {
            self.store.checkpoint().unwrap();
            self.tally.checkpoints.fetch_add(1, Ordering::Relaxed);
            env.sleep(std::time::Duration::from_millis(2));
        }
    }
}

fn dump(snapshot: &Snapshot, id: KeyspaceId, group: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cursor = snapshot
        .scan(
            id,
            KeyRange::prefix(&group_prefix(group)),
            Direction::Forward,
        )
        .unwrap();
    while let Some((key, value)) = cursor.next().unwrap() {
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
    bytes
}

fn check_all(store: &Store, id: KeyspaceId, models: &[(u64, GroupModel)]) {
    let snapshot = store.snapshot();
    let mut entries = 0;
    for (group, model) in models {
        let version = check_group(&snapshot, id, *group, Direction::Forward)
            .unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(version, model.version, "group {group}");
        entries += model.keys;
    }
    let mut cursor = snapshot
        .scan(id, KeyRange::all(), Direction::Backward)
        .unwrap();
    let mut found = 0;
    while cursor.next().unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, entries);
    assert_eq!(store.verify().unwrap().findings, []);
}

fn storm(seed: u64, world: &World, env: &Env, tally: &Tally) {
    let directory = Path::new("/pool");
    let store = Store::open(env.clone(), directory, world.options.clone()).unwrap();
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(id, KeyspaceOptions::default());
    store.commit(&batch, Durability::Sync).unwrap();
    let counters = || (0..GROUPS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    let storm = Storm {
        world,
        store: &store,
        id,
        seed,
        acked: counters(),
        begun: counters(),
        done: AtomicBool::new(false),
        tally,
    };
    let models: Vec<(u64, GroupModel)> = std::thread::scope(|scope| {
        let storm = &storm;
        let readers: Vec<_> = (0..world.readers)
            .map(|who| scope.spawn(move || storm.read(who)))
            .collect();
        let checkpoints = scope.spawn(move || storm.checkpoint(env));
        let writers: Vec<_> = (0..world.writers)
            .map(|who| scope.spawn(move || storm.write(who)))
            .collect();
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        storm.done.store(true, Ordering::Relaxed);
        for other in readers.into_iter().chain([checkpoints]) {
            other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        results
            .into_iter()
            .flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    check_all(&store, id, &models);
    store.close().unwrap();
    let store = Store::open(env.clone(), directory, world.options.clone()).unwrap();
    check_all(&store, id, &models);
}

#[test]
fn readers_and_writers_over_a_tiny_cache_agree_with_the_model() {
    let mode = Mode::from_environment();
    let tally = Tally::default();
    let worlds = mode.pick(3, 18, 120);
    for number in 0..worlds {
        let seed = seed() + number;
        let options = StoreOptions {
            eviction: eviction(number),
            ..for_threads(seed)
        };
        let world = World {
            options,
            commits: mode.pick(2_000, 10_000, 30_000),
            writers: 1 + seed % 4,
            readers: 1 + seed % 3,
        };
        if seed.is_multiple_of(2) {
            storm(seed, &world, &Env::in_memory(), &tally);
        } else {
            storm(seed, &world, &SimEnv::new(seed).env_with_threads(), &tally);
        }
    }
    println!(
        "gate B: {worlds} stores with a cache of 512 KiB, {} commits, {} snapshots read, {} checkpoints",
        tally.commits.load(Ordering::Relaxed),
        tally.reads.load(Ordering::Relaxed),
        tally.checkpoints.load(Ordering::Relaxed)
    );
}

#[test]
fn a_power_failure_in_the_middle_of_the_storm_loses_nothing_acknowledged() {
    let mode = Mode::from_environment();
    let worlds = mode.pick(6, 200, 2000);
    let images: u64 = in_parallel(worlds, threads().div_ceil(2), |number| {
        let seed = seed() + 100 + number as u64;
        let world = SimEnv::new(seed);
        let options = for_threads(seed);
        let store = Store::open(
            world.env_with_threads(),
            Path::new("/pool"),
            options.clone(),
        )
        .unwrap();
        let id = store.allocate_keyspace_id();
        let mut batch = Batch::new();
        batch.create_keyspace(id, KeyspaceOptions::default());
        store.commit(&batch, Durability::Sync).unwrap();
        let acked: Vec<AtomicU64> = (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        let begun: Vec<AtomicU64> = (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        let mut images = Vec::new();
        std::thread::scope(|scope| {
            let (store, acked, begun) = (&store, &acked, &begun);
            let writers: Vec<_> = (0..3u64)
                .map(|who| {
                    scope.spawn(move || {
                        let mut model: Vec<GroupModel> =
                            (0..GROUPS).map(|_| GroupModel::default()).collect();
                        let mut rng = fastrand::Rng::with_seed(seed ^ who);
                        for _ in 0..60 {
                            let group = rng.u64(..GROUPS / 3) * 3 + who;
                            let (at, version) = (group as usize, model[group as usize].version + 1);
                            let mut batch = Batch::new();
                            model[at] = group_batch(&mut batch, id, group, version, &model[at]);
                            begun[at].store(version, Ordering::SeqCst);
                            store.commit(&batch, Durability::Sync).unwrap();
                            acked[at].store(version, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            // Pull the plug while they run: what was acknowledged before must be there after.
            while writers.iter().any(|writer| !writer.is_finished()) {
                let promised: Vec<u64> = acked
                    .iter()
                    .map(|count| count.load(Ordering::SeqCst))
                    .collect();
                let policy = CrashPolicy::ALL[images.len() % CrashPolicy::ALL.len()];
                let image = world.vfs.crash(&Crash::power(policy, seed));
                let possible: Vec<u64> = begun
                    .iter()
                    .map(|count| count.load(Ordering::SeqCst))
                    .collect();
                images.push((policy, image, promised, possible));
                std::thread::yield_now();
                if images.len() >= 60 {
                    break;
                }
            }
        });
        let count = images.len() as u64;
        for (policy, image, promised, possible) in images {
            let store = Store::open(
                SimEnv::from_image(&image, seed).env_with_threads(),
                Path::new("/pool"),
                options.clone(),
            )
            .unwrap();
            let snapshot = store.snapshot();
            for group in 0..GROUPS {
                let version = check_group(&snapshot, id, group, Direction::Forward)
                    .unwrap_or_else(|reason| panic!("seed {seed}, {policy:?}: {reason}"));
                let range = promised[group as usize]..=possible[group as usize];
                assert!(
                    range.contains(&version),
                    "seed {seed}, {policy:?}: group {group} is at {version}, {range:?} expected"
                );
            }
            assert_eq!(store.verify().unwrap().findings, []);
        }
        count
    })
    .into_iter()
    .sum();
    println!("gate B: {images} crash images taken under three writing threads");
    assert!(images > 0);
}
