//! Gate B: many readers and writers over caches of pages and blocks far smaller than the data, with
//! random eviction and checkpoints in between, against a model: keyspaces of every engine, and
//! transactions across all of them. (The latch and pin protocol itself is checked exhaustively by the
//! loom model in the storage crate.)

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
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, Snapshot, Store,
    StoreOptions,
};
use rustling_testkit::{
    harness::{in_parallel, threads},
    sim::{Crash, CrashPolicy, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    crossing::{self, Scenario},
    options::{ENGINES, eviction, for_threads, of_engine},
    pool::{GROUPS, GroupModel, Pressure, check_group, group_batch, read_group},
};

/// An entry: key and value.
type Entry = (Vec<u8>, Vec<u8>);

struct World {
    engine: EngineKind,
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
        let mut held: Option<(Snapshot, u64, Vec<Entry>)> = None;
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

fn dump(snapshot: &Snapshot, id: KeyspaceId, group: u64) -> Vec<Entry> {
    read_group(snapshot, id, group, Direction::Forward).unwrap()
}

/// A keyspace of this engine.
fn create(store: &Store, engine: EngineKind) -> KeyspaceId {
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(id, of_engine(engine));
    store.commit(&batch, Durability::Sync).unwrap();
    id
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

fn storm(seed: u64, world: &World, env: &Env, tally: &Tally) -> Pressure {
    let directory = Path::new("/pool");
    let store = Store::open(env.clone(), directory, world.options.clone()).unwrap();
    let id = create(&store, world.engine);
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
    let pressure = Pressure::of(&store);
    store.close().unwrap();
    let store = Store::open(env.clone(), directory, world.options.clone()).unwrap();
    check_all(&store, id, &models);
    pressure
}

/// Storms over stores with one keyspace of `engine`; how scarce memory was in them.
#[expect(clippy::print_stdout, reason = "says what was tried, as tests do")]
fn storms(engine: EngineKind, test: &'static str, first_seed: u64) -> Pressure {
    let mode = Mode::from_environment();
    let tally = Tally::default();
    let mut pressure = Pressure::default();
    let worlds = mode.pick(2, 12, 2);
    let rounds = mode.rounds(test, 18);
    let all = rounds.flat_map(|first| (0..worlds).map(move |number| (first, number)));
    let mut stores = 0;
    for (first, number) in all {
        stores += 1;
        let seed = first + first_seed + number;
        let options = StoreOptions {
            eviction: eviction(number),
            ..for_threads(seed)
        };
        let world = World {
            engine,
            options,
            commits: mode.pick(1_200, 10_000, 10_000),
            writers: 2 + seed % 3,
            readers: 1 + seed / 3 % 3,
        };
        let env = match number % 2 {
            0 => Env::in_memory(),
            _ => SimEnv::new(seed).env_with_threads(),
        };
        pressure.merge(storm(seed, &world, &env, &tally));
    }
    println!(
        "gate B: {engine:?}: {stores} stores with 1 MiB of memory, {} commits, {} snapshots read, {} checkpoints, {pressure}",
        tally.commits.load(Ordering::Relaxed),
        tally.reads.load(Ordering::Relaxed),
        tally.checkpoints.load(Ordering::Relaxed)
    );
    pressure
}

#[test]
fn readers_and_writers_over_a_tiny_page_cache_agree_with_the_model() {
    let pressure = storms(EngineKind::BTree, "gate B: B+ trees", 0);
    assert!(pressure.pages_evicted > 0);
}

#[test]
fn readers_and_writers_over_a_tiny_block_cache_agree_with_the_model() {
    let pressure = storms(EngineKind::Lsm, "gate B: LSM trees", 200);
    assert!(pressure.blocks_missed > 0 && pressure.compactions > 0);
}

#[test]
fn readers_and_writers_over_tiny_caches_of_both_agree_with_the_model() {
    let pressure = storms(EngineKind::Hybrid, "gate B: hybrid trees", 400);
    assert!(pressure.blocks_missed > 0 && pressure.pages_evicted > 0);
}

#[test]
fn transactions_across_engines_over_tiny_caches_agree_with_the_model() {
    let mode = Mode::from_environment();
    let mut total = crossing::Tally::default();
    let worlds = mode.pick(2, 12, 4);
    let rounds = mode.rounds("gate B: transactions across engines", 18);
    let all = rounds.flat_map(|first| (0..worlds).map(move |number| (first, number)));
    let mut stores = 0;
    for (first, number) in all {
        stores += 1;
        let seed = first + 600 + number;
        let scenario = Scenario {
            seed,
            options: StoreOptions {
                eviction: eviction(number),
                ..for_threads(seed)
            },
            // Every other time most transactions outgrow their share of the memory.
            write_set_bytes: (number % 2 == 1).then_some(8 << 10),
            writers: 2 + seed % 2,
            readers: 1 + seed % 2,
            commits: mode.pick(120, 1_500, 1_500),
        };
        let env = match number % 4 {
            0 | 1 => Env::in_memory(),
            _ => SimEnv::new(seed).env_with_threads(),
        };
        let tally = crossing::play(&env, &scenario)
            .unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        total.merge(&tally);
    }
    println!(
        "gate B: transactions across engines: {stores} stores with 1 MiB of memory, {} commits, {} given up, {} run again, {} bytes spilled, {} reads, {}",
        total.commits,
        total.given_up,
        total.retried,
        total.spilled_bytes,
        total.reads,
        total.pressure
    );
    let Pressure {
        pages_evicted,
        blocks_missed,
        ..
    } = total.pressure;
    assert!(pages_evicted > 0 && blocks_missed > 0 && total.spilled_bytes > 0);
}

#[test]
fn a_power_failure_amid_transactions_across_engines_leaves_each_whole() {
    let mode = Mode::from_environment();
    let worlds = mode.pick(2, 40, 10);
    let run = |seed: u64| {
        let scenario = Scenario {
            seed,
            options: for_threads(seed),
            write_set_bytes: (seed % 2 == 1).then_some(8 << 10),
            writers: 3,
            readers: 0,
            commits: 40,
        };
        crossing::crash(&scenario, 30).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"))
    };
    let mut images = 0;
    for first in mode.rounds("gate B: power failures amid transactions", 14) {
        let found = in_parallel(worlds, threads().div_ceil(2), |number| {
            run(first + 800 + number as u64)
        });
        images += found.into_iter().sum::<u64>();
    }
    println!("gate B: {images} crash images taken under three threads of transactions");
    assert!(images > 0);
}

#[test]
fn a_power_failure_in_the_middle_of_the_storm_loses_nothing_acknowledged() {
    let mode = Mode::from_environment();
    let worlds = mode.pick(3, 200, 30);
    let run = |seed: u64| {
        let world = SimEnv::new(seed);
        let options = for_threads(seed);
        let store = Store::open(
            world.env_with_threads(),
            Path::new("/pool"),
            options.clone(),
        )
        .unwrap();
        let engine = ENGINES[(seed % ENGINES.len() as u64) as usize];
        let id = create(&store, engine);
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
                let version = check_group(&snapshot, id, group, Direction::Forward).unwrap_or_else(
                    |reason| panic!("{engine:?}, seed {seed}, {policy:?}: {reason}"),
                );
                let range = promised[group as usize]..=possible[group as usize];
                assert!(
                    range.contains(&version),
                    "{engine:?}, seed {seed}, {policy:?}: group {group} is at {version}, {range:?} expected"
                );
            }
            assert_eq!(store.verify().unwrap().findings, []);
        }
        count
    };
    let mut images = 0;
    for first in mode.rounds("gate B: power failures in a storm", 14) {
        let found = in_parallel(worlds, threads().div_ceil(2), |number| {
            run(first + 100 + number as u64)
        });
        images += found.into_iter().sum::<u64>();
    }
    println!("gate B: {images} crash images taken under three writing threads");
    assert!(images > 0);
}
