//! What the scenarios are made of: a store on a simulated disk, notes of what threads did and saw,
//! and what must hold of them.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::{Arc, Mutex},
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, KeyspaceOptions, Lsn,
    Result, Snapshot, Store, StoreOptions, Vfs,
};
use rustling_testkit::sim::{Crash, CrashPolicy, DiskImage, SimEnv};
use shuttle::{
    Config, Runner,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

const DIR: &str = "/store";
/// Switches between threads that a schedule of the second kind has at most where it matters.
const DEPTH: usize = 3;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs `scenario` under `schedules` random schedules, and as many that have few switches;
/// `RUSTLING_SCHEDULES` says otherwise.
pub(crate) fn explore(schedules: usize, scenario: impl Fn() + Send + Sync + Copy + 'static) {
    let given = number_from("RUSTLING_SCHEDULES").map(|given| given as usize);
    let schedules = given.unwrap_or(schedules);
    let seed = number_from("RUSTLING_SEED").unwrap_or(1);
    run(RandomScheduler::new_from_seed(seed, schedules), scenario);
    run(
        PctScheduler::new_from_seed(seed, DEPTH, schedules),
        scenario,
    );
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    // Orders are the business of the models.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

/// A cache of eight pages, small segments, memtables of a few entries.
pub(crate) fn small() -> StoreOptions {
    StoreOptions {
        page_size: 4096,
        memory_budget: 64 << 10,
        wal_segment_bytes: 16 << 10,
        checkpoint_wal_bytes: 16 << 10,
        compaction_threads: 2,
        background: false,
        ..StoreOptions::default()
    }
}

/// The same, with background threads. What they do after a while, they do when they are asked to: time
/// does not pass.
pub(crate) fn with_threads() -> StoreOptions {
    StoreOptions {
        background: true,
        ..small()
    }
}

/// A simulated disk, and threads that the scheduler runs.
pub(crate) fn env_of(world: &SimEnv) -> Env {
    Env {
        spawner: Env::in_memory().spawner,
        ..world.env()
    }
}

/// A store with a keyspace.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) disk: SimEnv,
    pub(crate) store: Store,
    pub(crate) id: KeyspaceId,
    pub(crate) notes: Arc<Mutex<Notes>>,
}

/// What a commit does: values by key, `None` where it deletes.
pub(crate) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What happened.
#[derive(Default)]
pub(crate) struct Notes {
    /// Commits, as they were answered.
    commits: BTreeMap<Lsn, Changes>,
    /// What snapshots of an LSN showed between two keys.
    seen: Vec<(Lsn, KeyRange, BTreeMap<Vec<u8>, Vec<u8>>)>,
    /// What the disk held when somebody had just been told that a commit is durable: one of those
    /// moments, by chance.
    promised: Option<(Lsn, DiskImage)>,
    promises: u32,
    /// The newest commit of which somebody has been told so.
    durable: Lsn,
}

/// Bytes of a value that say which one it is; the others fill pages.
const TOLD: usize = 4;

impl World {
    /// Opens a store on a new disk, with a keyspace of that engine.
    pub(crate) fn new(engine: EngineKind, options: StoreOptions) -> World {
        let disk = SimEnv::new(1);
        let env = env_of(&disk);
        World::on(disk, env, engine, options)
    }

    /// As [`World::new`], with the disk seen through `vfs`.
    pub(crate) fn through(vfs: impl FnOnce(Arc<dyn Vfs>) -> Arc<dyn Vfs>) -> World {
        let disk = SimEnv::new(1);
        let env = env_of(&disk);
        let env = Env {
            vfs: vfs(Arc::clone(&env.vfs)),
            ..env
        };
        World::on(disk, env, EngineKind::BTree, small())
    }

    fn on(disk: SimEnv, env: Env, engine: EngineKind, options: StoreOptions) -> World {
        let store = Store::open(env, Path::new(DIR), options).unwrap();
        let id = store.allocate_keyspace_id();
        let mut batch = Batch::new();
        let options = KeyspaceOptions {
            engine,
            ..KeyspaceOptions::default()
        };
        batch.create_keyspace(id, options);
        store.commit(&batch, Durability::Sync).unwrap();
        World {
            disk,
            store,
            id,
            notes: Arc::default(),
        }
    }

    /// Runs `body` on a thread of the schedule.
    pub(crate) fn spawn(&self, body: impl FnOnce(&World) + Send + 'static) -> Thread {
        let world = self.clone();
        Thread(thread::spawn(move || body(&world)))
    }

    /// Commits, and notes it where the answer is that it is done.
    pub(crate) fn commit(&self, changes: Changes, durability: Durability) -> Result<Lsn> {
        let mut batch = Batch::new();
        for (key, value) in &changes {
            match value {
                Some(value) => batch.put(self.id, key.as_slice(), value.as_slice()),
                None => batch.delete(self.id, key.as_slice()),
            }
        }
        let lsn = self.store.commit(&batch, durability)?;
        // Nothing is asked of the store with the lock held: the scheduler would not know of it.
        let before = self.notes.lock().unwrap().commits.insert(lsn, changes);
        assert!(before.is_none(), "two commits have LSN {lsn}");
        Ok(lsn)
    }

    /// Commits one value durably, and notes what the disk holds then.
    pub(crate) fn promise(&self, key: &[u8], value: Vec<u8>) -> Result<Lsn> {
        let lsn = self.commit(vec![(key.to_vec(), Some(value))], Durability::Sync)?;
        let image = self.disk.vfs.image();
        assert!(self.store.published_lsn() >= lsn);
        assert!(self.store.durable_lsn() >= lsn);
        let mut notes = self.notes.lock().unwrap();
        notes.promises += 1;
        notes.durable = notes.durable.max(lsn);
        // The chance is the schedule's too.
        if thread_rng().gen_ratio(1, notes.promises) {
            notes.promised = Some((lsn, image));
        }
        Ok(lsn)
    }

    /// Notes everything that `snapshot` shows of the keys in `range`, read in that direction.
    pub(crate) fn look(&self, snapshot: &Snapshot, range: KeyRange, direction: Direction) {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut cursor = snapshot.scan(self.id, range.clone(), direction).unwrap();
        while let Some((key, value)) = cursor.next().unwrap() {
            if let Some((last, _)) = found.last() {
                let is_next = match direction {
                    Direction::Forward => last.as_slice() < key,
                    Direction::Backward => last.as_slice() > key,
                };
                assert!(is_next, "{key:?} after {last:?}");
            }
            found.push((key.to_vec(), told(value)));
        }
        drop(cursor);
        let found = found.into_iter().collect();
        let mut notes = self.notes.lock().unwrap();
        notes.seen.push((snapshot.lsn(), range, found));
    }

    /// Notes the one value that `snapshot` shows of `key`.
    pub(crate) fn look_at(&self, snapshot: &Snapshot, key: &[u8]) -> Option<Vec<u8>> {
        let found = snapshot.get(self.id, key).unwrap();
        let found = found.map(|value| told(&value));
        let seen = found.iter().map(|value| (key.to_vec(), value.clone()));
        let seen = seen.collect();
        let mut notes = self.notes.lock().unwrap();
        notes.seen.push((snapshot.lsn(), only(key), seen));
        found
    }

    /// Ends the run: what was seen is what the commits had made by then, nothing is damaged, and what
    /// was promised is there after a power failure that keeps nothing else. Everything was answered.
    pub(crate) fn check(self) {
        let now = self.store.snapshot();
        self.look(&now, KeyRange::all(), Direction::Forward);
        drop(now);
        let report = self.store.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
        self.check_notes();
        let World {
            disk, store, notes, ..
        } = self;
        assert_eq!(store.stats().pins.pins, 0, "a pin was left behind");
        store.close().unwrap();
        let end = disk.vfs.image();
        let notes = std::mem::take(&mut *notes.lock().unwrap());
        let last = notes.commits.keys().next_back().copied();
        check_image(&notes, &end, self.id, last.unwrap_or(Lsn::ZERO));
        if let Some((lsn, image)) = &notes.promised {
            check_image(&notes, image, self.id, *lsn);
        }
    }

    /// As [`World::check`], of a store that has stopped writing, and may hold commits that nobody
    /// was told of.
    pub(crate) fn check_promises(self) {
        let World {
            disk, store, notes, ..
        } = self;
        drop(store);
        let notes = std::mem::take(&mut *notes.lock().unwrap());
        check_image(&notes, &disk.vfs.image(), self.id, notes.durable);
    }

    /// What was seen is what the commits had made by then.
    pub(crate) fn check_notes(&self) {
        let notes = self.notes.lock().unwrap();
        for (lsn, range, found) in &notes.seen {
            assert_eq!(
                *found,
                notes.state(*lsn, range),
                "a snapshot of commit {lsn} saw something else in {range:?}"
            );
        }
    }
}

/// A thread of the schedule.
pub(crate) struct Thread(thread::JoinHandle<()>);

impl Thread {
    pub(crate) fn join(self) {
        self.0.join().unwrap();
    }
}

impl Notes {
    /// What the commits up to `lsn` have made of the keys in `range`.
    fn state(&self, lsn: Lsn, range: &KeyRange) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut state = BTreeMap::new();
        for (key, value) in self.commits.range(..=lsn).flat_map(|(_, changes)| changes) {
            match value {
                Some(value) => state.insert(key.clone(), told(value)),
                None => state.remove(key),
            };
        }
        let bounds = (range.start.clone(), range.end.clone());
        state.retain(|key, _| bounds.contains(key));
        state
    }
}

/// What a power failure leaves of `image` where it keeps nothing that was not synced opens, is
/// whole, and holds the state of a commit, of `least` at least.
fn check_image(notes: &Notes, image: &DiskImage, id: KeyspaceId, least: Lsn) {
    let left = image.crash(&Crash::power(CrashPolicy::DropAll, 1));
    let disk = SimEnv::from_image(&left, 2);
    let store = Store::open(env_of(&disk), Path::new(DIR), small()).unwrap();
    assert!(store.verify().unwrap().is_clean());
    let snapshot = store.snapshot();
    let lsn = snapshot.lsn();
    assert!(
        lsn >= least,
        "commit {least} was durable, and after a power failure {lsn} is the last"
    );
    let mut cursor = snapshot
        .scan(id, KeyRange::all(), Direction::Forward)
        .unwrap();
    let mut found = BTreeMap::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        found.insert(key.to_vec(), told(value));
    }
    // Commits that nobody was told of may be there beyond.
    let known = notes.commits.range(..=lsn).count() as u64;
    let is_known = known + 1 == lsn.0;
    if is_known {
        assert_eq!(found, notes.state(lsn, &KeyRange::all()));
    }
}

fn only(key: &[u8]) -> KeyRange {
    KeyRange {
        start: Bound::Included(key.to_vec()),
        end: Bound::Included(key.to_vec()),
    }
}

fn told(value: &[u8]) -> Vec<u8> {
    value[..TOLD].to_vec()
}

/// A key of that number.
pub(crate) fn key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A value of `len` bytes that says its number.
pub(crate) fn value(number: u32, len: usize) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(len.max(TOLD), 7);
    value
}
