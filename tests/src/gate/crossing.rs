//! Transactions across engines over memory far smaller than the data: a group has a keyspace of
//! each engine, and one transaction takes it to its next version in all of them.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use rustling_storage::{
    Direction, Durability, Env, KeyRange, KeyspaceId, Snapshot, Store, StoreOptions,
};
use rustling_testkit::sim::{Crash, CrashPolicy, DiskImage, SimEnv};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, ManagerOptions, Transaction, TransactionManager,
    TransactionOptions,
};

use super::{
    branches::Branches,
    options::ENGINES,
    pool::{
        GROUPS, GroupModel, Pressure, View, Wrong, check_group, group_changes, marker, read_group,
        version_of,
    },
};

const DIRECTORY: &str = "/pool";
/// Groups that half of the transactions are about, in each other's way.
const HOT: u64 = 8;

/// What happens in one world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where the randomness starts.
    pub seed: u64,
    /// How the store is opened.
    pub options: StoreOptions,
    /// Bytes of changes that a transaction keeps in memory.
    pub write_set_bytes: Option<usize>,
    /// Threads that write.
    pub writers: u64,
    /// Threads that read, where the power does not fail.
    pub readers: u64,
    /// Transactions of each writer.
    pub commits: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Transactions committed.
    pub commits: u64,
    /// Transactions that were given up on purpose, all their changes made.
    pub given_up: u64,
    /// Transactions that were run again, because another got in the way.
    pub retried: u64,
    /// Bytes of changes that went to the store before their transaction ended.
    pub spilled_bytes: u64,
    /// Groups read in all keyspaces in one transaction.
    pub reads: u64,
    /// How scarce memory was.
    pub pressure: Pressure,
}

impl Tally {
    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        self.commits += other.commits;
        self.given_up += other.given_up;
        self.retried += other.retried;
        self.spilled_bytes += other.spilled_bytes;
        self.reads += other.reads;
        self.pressure.merge(other.pressure);
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const LEVELS: [IsolationLevel; 3] = [
    IsolationLevel::ReadCommitted,
    IsolationLevel::Snapshot,
    IsolationLevel::Serializable,
];

/// What the threads of a world share.
struct World {
    manager: TransactionManager,
    branches: Branches,
    /// For each group the newest version that was acknowledged, and that a transaction which was
    /// to be committed has written.
    acknowledged: Vec<AtomicU64>,
    begun: Vec<AtomicU64>,
    done: AtomicBool,
    given_up: AtomicU64,
    reads: AtomicU64,
}

/// The versions that the groups may be at.
type Bounds = Vec<(u64, u64)>;

impl World {
    fn open(env: &Env, scenario: &Scenario) -> Result<World, String> {
        let directory = Path::new(DIRECTORY);
        let store = Store::open(env.clone(), directory, scenario.options.clone()).map_err(words)?;
        let found = Branches::of(&store);
        let options = ManagerOptions {
            write_set_bytes: scenario.write_set_bytes,
            attempts: 10_000,
            ..ManagerOptions::default()
        };
        let manager = TransactionManager::with_options(store, env.clone(), options);
        let branches = match found {
            Some(branches) => branches,
            None => manager
                .transaction(TransactionOptions::default(), |transaction| {
                    Branches::found(transaction, ENGINES)
                })
                .map_err(words)?,
        };
        let zeros = || (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        Ok(World {
            manager,
            branches,
            acknowledged: zeros(),
            begun: zeros(),
            done: AtomicBool::new(false),
            given_up: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        })
    }

    /// Takes a group to its next version, wherever others have left it; which that is.
    fn advance(&self, transaction: &Transaction, group: u64) -> Result<u64, Error> {
        let [first, ..] = self.branches.all();
        let marker = marker(group);
        transaction.begin_statement();
        // Whoever holds the marker's row has the group in every keyspace.
        transaction.lock_row(first, &marker, LockMode::Exclusive, LockWait::Wait)?;
        let newest = transaction.get_latest(first, &marker)?;
        let version = newest.as_deref().and_then(version_of).unwrap_or(0);
        let (before, after) = (
            GroupModel::at(group, version),
            GroupModel::at(group, version + 1),
        );
        for keyspace in self.branches.all() {
            for (key, value) in group_changes(group, &before, &after) {
                match value {
                    Some(value) => transaction.put(keyspace, &key, &value)?,
                    None => transaction.delete(keyspace, &key)?,
                }
            }
        }
        transaction.end_statement();
        Ok(after.version)
    }

    fn write(&self, commits: u64, mut random: fastrand::Rng, sync: bool) -> Result<(), String> {
        for _ in 0..commits {
            let groups = if random.bool() { GROUPS } else { HOT };
            let group = random.u64(..groups);
            let mut options = TransactionOptions::isolation(LEVELS[random.usize(..LEVELS.len())]);
            if random.u8(..8) == 0 {
                let transaction = self.manager.begin(options.clone()).map_err(words)?;
                match self.advance(&transaction, group) {
                    Err(error) if !error.is_retryable() => return Err(words(error)),
                    // `begun` does not know of it: who sees it has seen what never was.
                    Ok(_) | Err(_) => transaction.rollback(),
                }
                self.given_up.fetch_add(1, Ordering::Relaxed);
            }
            options.durability = match sync || random.u8(..4) == 0 {
                true => Durability::Sync,
                false => Durability::None,
            };
            let version = self
                .manager
                .transaction(options, |transaction| {
                    let version = self.advance(transaction, group)?;
                    self.begun[group as usize].fetch_max(version, Ordering::SeqCst);
                    Ok(version)
                })
                .map_err(words)?;
            self.acknowledged[group as usize].fetch_max(version, Ordering::SeqCst);
        }
        Ok(())
    }

    /// The version of a group, which is the same in every keyspace.
    fn version(
        &self,
        view: &impl View,
        group: u64,
        random: &mut fastrand::Rng,
    ) -> Result<u64, Wrong> {
        let mut versions = Vec::new();
        for keyspace in self.branches.all() {
            let direction = match random.bool() {
                true => Direction::Forward,
                false => Direction::Backward,
            };
            versions.push(check_group(view, keyspace, group, direction)?);
        }
        match versions.iter().all(|version| *version == versions[0]) {
            true => Ok(versions[0]),
            false => Err(Wrong::Found(format!(
                "group {group} is at versions {versions:?} in one transaction"
            ))),
        }
    }

    /// Everything that a transaction sees of a group.
    fn dump(&self, view: &impl View, group: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for keyspace in self.branches.all() {
            for (key, value) in read_group(view, keyspace, group, Direction::Forward)? {
                bytes.extend(key);
                bytes.extend(value);
            }
        }
        Ok(bytes)
    }

    /// Looks at one group in a transaction of its own, which is held for a while where it keeps its
    /// snapshot.
    fn look(&self, held: &mut Option<Held>, random: &mut fastrand::Rng) -> Result<(), Wrong> {
        let group = random.u64(..GROUPS);
        let isolation = LEVELS[random.usize(..LEVELS.len())];
        let mut options = TransactionOptions::isolation(isolation);
        options.read_only = random.bool();
        let least = self.acknowledged[group as usize].load(Ordering::SeqCst);
        let transaction = self.manager.begin(options)?;
        // READ COMMITTED sees one state for as long as the statement lasts.
        transaction.begin_statement();
        let version = self.version(&transaction, group, random)?;
        let most = self.begun[group as usize].load(Ordering::SeqCst);
        if !(least..=most).contains(&version) {
            return Err(Wrong::Found(format!(
                "group {group} is at version {version} at {isolation:?}, {least} was acknowledged, {most} written"
            )));
        }
        if let Some(held) = held {
            // What it read first it goes on reading, whatever was written since.
            if self.dump(&held.transaction, held.group)? != held.first {
                return Err(Wrong::Found(format!(
                    "group {} has changed within a transaction at {:?}",
                    held.group,
                    held.transaction.isolation()
                )));
            }
        }
        if isolation.keeps_snapshot() && (held.is_none() || random.u8(..4) == 0) {
            let first = self.dump(&transaction, group)?;
            *held = Some(Held {
                transaction,
                group,
                first,
            });
        } else {
            transaction.end_statement();
            transaction.commit()?;
        }
        Ok(())
    }

    fn read(&self, mut random: fastrand::Rng) -> Result<(), String> {
        let mut held = None;
        while !self.done.load(Ordering::Relaxed) {
            match self.look(&mut held, &mut random) {
                Ok(()) => {
                    self.reads.fetch_add(1, Ordering::Relaxed);
                }
                // SERIALIZABLE may have to end a transaction, the one that is held too.
                Err(Wrong::Failed(error)) if error.is_retryable() => held = None,
                Err(wrong) => return Err(words(wrong)),
            }
        }
        Ok(())
    }

    /// Checkpoints again and again.
    fn checkpoint(&self, env: &Env) -> Result<(), String> {
        while !self.done.load(Ordering::Relaxed) {
            self.manager.store().checkpoint().map_err(words)?;
            env.sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether every group is whole, the same in every keyspace, and at a version within its
    /// bounds, and the store is sound.
    fn check(&self, bounds: &Bounds, mut random: fastrand::Rng) -> Result<(), String> {
        let store = self.manager.store();
        let snapshot = store.snapshot();
        let mut entries = 0;
        for (group, (least, most)) in bounds.iter().enumerate() {
            let group = group as u64;
            let version = self.version(&snapshot, group, &mut random).map_err(words)?;
            if !(*least..=*most).contains(&version) {
                return Err(format!(
                    "group {group} is at version {version}, {least} to {most} expected"
                ));
            }
            entries += GroupModel::at(group, version).keys;
        }
        for keyspace in self.branches.all() {
            let found = count(&snapshot, keyspace)?;
            if found != entries {
                return Err(format!(
                    "keyspace {keyspace} holds {found} entries, its groups {entries}"
                ));
            }
        }
        drop(snapshot);
        let report = store.verify().map_err(words)?;
        match report.findings.first() {
            Some(finding) => Err(format!("verification: {finding:?}")),
            None => Ok(()),
        }
    }

    fn close(self) -> Result<(), String> {
        let store = self.manager.store().clone();
        drop(self);
        store.close().map_err(words)
    }
}

/// The versions of all groups as of now.
fn newest(versions: &[AtomicU64]) -> Vec<u64> {
    let versions = versions.iter();
    versions
        .map(|version| version.load(Ordering::SeqCst))
        .collect()
}

/// A transaction that is held open, with what it read of a group at first.
struct Held {
    transaction: Transaction,
    group: u64,
    first: Vec<u8>,
}

fn count(snapshot: &Snapshot, keyspace: KeyspaceId) -> Result<u64, String> {
    let cursor = snapshot.scan(keyspace, KeyRange::all(), Direction::Forward);
    let mut cursor = cursor.map_err(words)?;
    let mut found = 0;
    while cursor.next().map_err(words)?.is_some() {
        found += 1;
    }
    Ok(found)
}

/// Plays a scenario, and opens the store again.
///
/// # Errors
/// In words: what a transaction saw that it should not have.
pub fn play(env: &Env, scenario: &Scenario) -> Result<Tally, String> {
    let world = World::open(env, scenario)?;
    let random = |who: u64| fastrand::Rng::with_seed(scenario.seed << 8 | who);
    std::thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> = (0..scenario.writers)
            .map(|who| scope.spawn(move || world.write(scenario.commits, random(who), false)))
            .collect();
        let mut others: Vec<_> = (0..scenario.readers)
            .map(|who| scope.spawn(move || world.read(random(100 + who))))
            .collect();
        others.push(scope.spawn(move || world.checkpoint(env)));
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        world.done.store(true, Ordering::Relaxed);
        let read = others.into_iter().map(|other| other.join());
        written
            .into_iter()
            .chain(read)
            .try_for_each(|result| result.map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let stats = world.manager.stats();
    if (stats.active, stats.locks) != (0, 0) {
        return Err(format!(
            "{} transactions are left, and {} locks",
            stats.active, stats.locks
        ));
    }
    let tally = Tally {
        commits: scenario.writers * scenario.commits,
        given_up: world.given_up.load(Ordering::Relaxed),
        retried: stats.retried,
        spilled_bytes: stats.spilled_bytes,
        reads: world.reads.load(Ordering::Relaxed),
        pressure: Pressure::of(world.manager.store()),
    };
    let newest = newest(&world.acknowledged).into_iter();
    let bounds: Bounds = newest.map(|version| (version, version)).collect();
    world.check(&bounds, random(200))?;
    world.close()?;
    let world = World::open(env, scenario)?;
    world.check(&bounds, random(201))?;
    world.close()?;
    Ok(tally)
}

/// What was on the disk when the power failed, and the versions that may be found in it.
struct Image {
    policy: CrashPolicy,
    disk: DiskImage,
    bounds: Bounds,
}

/// Plays a scenario on a disk whose power fails while its writers run, up to `most` times; the
/// answer is how often.
///
/// # Errors
/// In words: what was lost, or is there in part.
pub fn crash(scenario: &Scenario, most: usize) -> Result<u64, String> {
    let seed = scenario.seed;
    let random = |who: u64| fastrand::Rng::with_seed(seed << 8 | who);
    let sim = SimEnv::new(seed);
    let world = World::open(&sim.env_with_threads(), scenario)?;
    let mut images = Vec::new();
    std::thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> = (0..scenario.writers)
            .map(|who| scope.spawn(move || world.write(scenario.commits, random(who), true)))
            .collect();
        while images.len() < most && writers.iter().any(|writer| !writer.is_finished()) {
            // What was acknowledged before must be there after.
            let promised = newest(&world.acknowledged);
            let policy = CrashPolicy::ALL[images.len() % CrashPolicy::ALL.len()];
            let disk = sim.vfs.crash(&Crash::power(policy, seed));
            let possible = newest(&world.begun);
            images.push(Image {
                policy,
                disk,
                bounds: promised.into_iter().zip(possible).collect(),
            });
            std::thread::yield_now();
        }
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().map_err(|_| "a writer panicked".to_owned())?)
    })?;
    for image in &images {
        let env = SimEnv::from_image(&image.disk, seed).env_with_threads();
        World::open(&env, scenario)
            .and_then(|world| {
                world.check(&image.bounds, random(200))?;
                world.close()
            })
            .map_err(|reason| format!("{:?}: {reason}", image.policy))?;
    }
    Ok(images.len() as u64)
}
