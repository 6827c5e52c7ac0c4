//! Gate E: compaction under reads and writes, with snapshots held open.
//!
//! Writers change keys of their own and note what they have committed. Meanwhile memtables are
//! written out, tables merged, and runs taken over by the B+ tree of hybrid keyspaces; old
//! snapshots are read again and again and must show exactly what they showed at first.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, KeyspaceOptions, Lsn,
    Snapshot, Store, StoreOptions, check, staging,
};
use rustling_testkit::sim::SimEnv;
use rustling_tests::gate::{Mode, options::for_threads};

const DIRECTORY: &str = "/store";
const WRITERS: usize = 2;
/// Keys of a writer.
const KEYS: u64 = 600;
/// Snapshots held at a time.
const HELD: usize = 6;

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;
type Change = (Vec<u8>, Option<Vec<u8>>);

/// Commits between two states that a history keeps whole.
const STATE_EVERY: usize = 128;

/// What a writer has committed, in order.
#[derive(Default)]
struct History {
    commits: Vec<(Lsn, Vec<Change>)>,
    /// The contents after all of them.
    newest: Contents,
    /// The contents before every so many commits, so that no question is answered from the
    /// beginning.
    states: Vec<Contents>,
}

fn apply(changes: &[Change], contents: &mut Contents) {
    for (key, value) in changes {
        match value {
            Some(value) => contents.insert(key.clone(), value.clone()),
            None => contents.remove(key),
        };
    }
}

impl History {
    fn push(&mut self, lsn: Lsn, changes: Vec<Change>) {
        if self.commits.len().is_multiple_of(STATE_EVERY) {
            self.states.push(self.newest.clone());
        }
        apply(&changes, &mut self.newest);
        self.commits.push((lsn, changes));
    }

    /// The contents as of the newest commit that is not above `at`.
    fn at(&self, at: Lsn) -> Contents {
        let count = self.commits.partition_point(|(lsn, _)| *lsn <= at);
        let state = count / STATE_EVERY;
        let Some(contents) = self.states.get(state) else {
            return self.newest.clone();
        };
        let mut contents = contents.clone();
        for (_, changes) in &self.commits[state * STATE_EVERY..count] {
            apply(changes, &mut contents);
        }
        contents
    }
}

struct World {
    store: Store,
    keyspace: KeyspaceId,
    /// A writer's lock is held from before its commit until the commit is noted.
    histories: Vec<Mutex<History>>,
    done: AtomicBool,
    commits: AtomicU64,
    checks: AtomicU64,
}

fn key(writer: usize, number: u64) -> Vec<u8> {
    // Writers' keys lie between each other's.
    format!("{:05}/{writer}", number * 7919 % 100_000).into_bytes()
}

fn value(random: &mut fastrand::Rng) -> Vec<u8> {
    let len = match random.u8(..50) {
        0 => 6000,
        1..10 => 400,
        _ => 60,
    };
    vec![random.u8(..); random.usize(1..len)]
}

fn lock(history: &Mutex<History>) -> std::sync::MutexGuard<'_, History> {
    history
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl World {
    fn new(env: &Env, options: StoreOptions, engine: EngineKind) -> World {
        let store = Store::open(env.clone(), Path::new(DIRECTORY), options).expect("opens");
        let keyspace = store.allocate_keyspace_id();
        let mut batch = Batch::new();
        let how = KeyspaceOptions {
            engine,
            ..KeyspaceOptions::default()
        };
        batch.create_keyspace(keyspace, how);
        store.commit(&batch, Durability::Sync).expect("creates");
        World {
            store,
            keyspace,
            histories: (0..WRITERS).map(|_| Mutex::default()).collect(),
            done: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            checks: AtomicU64::new(0),
        }
    }

    /// Changes of one commit. Few keys, so that versions pile up.
    fn changes(writer: usize, random: &mut fastrand::Rng) -> Vec<Change> {
        let count = if random.u8(..10) == 0 { 60 } else { 6 };
        let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for _ in 0..random.usize(1..=count) {
            let changed = key(writer, random.u64(..KEYS));
            changes.insert(changed, (random.u8(..4) > 0).then(|| value(random)));
        }
        changes.into_iter().collect()
    }

    fn write(&self, writer: usize, commits: usize, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for number in 0..commits {
            let changes = World::changes(writer, &mut random);
            let mut history = lock(&self.histories[writer]);
            // Now and then through a staging keyspace, which is taken over whole.
            let lsn = if number % 40 == 39 {
                self.load(&changes)
            } else {
                let mut batch = Batch::new();
                for (key, value) in &changes {
                    match value {
                        Some(value) => batch.put(self.keyspace, key.clone(), value.clone()),
                        None => batch.delete(self.keyspace, key.clone()),
                    }
                }
                let all = [Durability::Async, Durability::None, Durability::Sync];
                let durability = all[random.usize(..40).min(2)];
                self.store.commit(&batch, durability)
            };
            history.push(lsn.expect("commits"), changes);
            drop(history);
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn load(&self, changes: &[Change]) -> Result<Lsn, rustling_storage::Error> {
        let from = self.store.allocate_keyspace_id();
        let options = self.store.keyspaces().into_iter();
        let target = options.clone().find(|(id, _)| *id == self.keyspace);
        let mut batch = Batch::new();
        batch.create_keyspace(
            from,
            KeyspaceOptions {
                staging: true,
                ..target.map(|(_, options)| options).unwrap_or_default()
            },
        );
        for (key, value) in changes {
            let staged = value
                .as_deref()
                .map_or_else(staging::encode_delete, staging::encode_put);
            batch.put(from, key.clone(), staged);
        }
        self.store.commit(&batch, Durability::None)?;
        let mut batch = Batch::new();
        batch.merge(from, self.keyspace);
        self.store.commit(&batch, Durability::None)
    }

    /// What a snapshot at `at` must show.
    fn expected(&self, at: Lsn) -> Contents {
        let mut contents = Contents::new();
        for history in &self.histories {
            contents.append(&mut lock(history).at(at));
        }
        contents
    }

    /// Reads through a snapshot in one of several ways.
    fn check(&self, snapshot: &Snapshot, expected: &Contents, random: &mut fastrand::Rng) {
        let seen = snapshot.lsn();
        if random.bool() {
            for _ in 0..100 {
                let key = key(random.usize(..WRITERS), random.u64(..KEYS));
                let found = snapshot.get(self.keyspace, &key).expect("reads");
                assert!(found.as_ref() == expected.get(&key), "{key:02x?} at {seen}");
            }
        } else {
            let direction = match random.bool() {
                true => Direction::Forward,
                false => Direction::Backward,
            };
            let cursor = snapshot.scan(self.keyspace, KeyRange::all(), direction);
            let mut cursor = cursor.expect("scans");
            let mut found = Vec::new();
            while let Some((key, value)) = cursor.next().expect("reads") {
                found.push((key.to_vec(), value.to_vec()));
                if random.u8(..200) == 0 {
                    // The tree changes under the cursor.
                    std::thread::yield_now();
                }
            }
            if direction == Direction::Backward {
                found.reverse();
            }
            let same = found.iter().map(|(key, value)| (key, value)).eq(expected);
            assert!(same, "a scan at {seen} shows another state");
        }
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut held: Vec<(Snapshot, Contents)> = Vec::new();
        while !self.done.load(Ordering::Relaxed) {
            if held.len() < HELD {
                let snapshot = self.store.snapshot();
                let expected = self.expected(snapshot.lsn());
                held.push((snapshot, expected));
            } else if random.u8(..20) == 0 {
                held.swap_remove(random.usize(..held.len()));
            }
            let (snapshot, expected) = &held[random.usize(..held.len())];
            self.check(snapshot, expected, &mut random);
        }
        for (snapshot, expected) in &held {
            self.check(snapshot, expected, &mut random);
        }
    }

    /// Everything there is, after the writers have ended.
    fn check_at_rest(&self, seed: u64) {
        let snapshot = self.store.snapshot();
        let expected = self.expected(Lsn::MAX);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..6 {
            self.check(&snapshot, &expected, &mut random);
        }
        let report = self.store.verify().expect("verifies");
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

/// Tables on disk, by name.
fn table_files(env: &Env) -> usize {
    let tables = Path::new(DIRECTORY).join("tables");
    env.vfs.read_dir(&tables).map_or(0, |names| names.len())
}

/// One world: writers and readers, then rest, reopening, and a look at what is left on disk.
fn run(env: &Env, engine: EngineKind, seed: u64, commits: usize) -> (u64, u64, u64) {
    let options = StoreOptions {
        checkpoint_wal_bytes: 24 << 10,
        ..for_threads(seed)
    };
    let world = World::new(env, options.clone(), engine);
    std::thread::scope(|scope| {
        let world = &world;
        let readers: Vec<_> = (0..2)
            .map(|reader| scope.spawn(move || world.read(seed ^ (77 + reader))))
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || world.write(writer, commits, seed + writer as u64)))
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        world.done.store(true, Ordering::Relaxed);
        let readers = readers.into_iter().map(|reader| reader.join());
        for result in ended.into_iter().chain(readers) {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    world.check_at_rest(seed);
    let tables = world.store.stats().tables;
    assert!(tables.flushes > 0 && tables.compactions > 0, "{tables:?}");
    let World {
        store,
        keyspace,
        histories,
        commits,
        checks,
        ..
    } = world;
    store.close().expect("closes");
    let report = check(env, Path::new(DIRECTORY)).expect("is checked");
    assert!(report.is_clean(), "{:?}", report.findings);
    let quiet = StoreOptions {
        background: false,
        ..options
    };
    let store = Store::open(env.clone(), Path::new(DIRECTORY), quiet).expect("reopens");
    let world = World {
        store,
        keyspace,
        histories,
        done: AtomicBool::new(true),
        commits,
        checks,
    };
    world.check_at_rest(seed);
    // Without snapshots, compaction leaves one version of each key and no file too many.
    world.store.checkpoint().expect("is checkpointed");
    let left = world.store.stats().tables;
    assert_eq!(table_files(env), left.tables, "{left:?}");
    if engine == EngineKind::Hybrid {
        assert_eq!(left.tables, 0, "at rest everything is in the tree");
    }
    world.check_at_rest(seed);
    (
        world.commits.into_inner(),
        world.checks.into_inner(),
        tables.compactions + tables.moves,
    )
}

#[test]
fn snapshots_stay_as_they_are_while_tables_are_merged() {
    let mode = Mode::from_environment();
    let (worlds, commits) = mode.pick((4, 1200), (24, 12_000), (2, 12_000));
    let (mut all_commits, mut all_checks, mut all_compactions) = (0, 0, 0);
    let rounds = mode.rounds("gate E: compaction", 100);
    let seeds = rounds.flat_map(|first| first + 1300..first + 1300 + worlds);
    let mut stores = 0;
    for seed in seeds {
        for engine in [EngineKind::Lsm, EngineKind::Hybrid] {
            stores += 1;
            let env = if seed % 2 == 0 {
                Env::in_memory()
            } else {
                SimEnv::new(seed).env_with_threads()
            };
            let (commits, checks, compactions) = run(&env, engine, seed, commits);
            all_commits += commits;
            all_checks += checks;
            all_compactions += compactions;
        }
    }
    println!(
        "gate E: {stores} stores, {all_commits} commits, {all_compactions} compactions, {all_checks} looks through snapshots held open, 0 differences"
    );
    assert!(all_compactions > stores * 2);
}
