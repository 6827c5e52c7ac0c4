//! Snapshots that are held open, read again and again, while others write and old versions are
//! removed.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use rustling_storage::{Direction, Env, KeyRange, KeyspaceId, Store, StoreOptions};
use rustling_txn::{
    IsolationLevel, ManagerOptions, Transaction, TransactionManager, TransactionOptions,
};

use super::{
    options::{ENGINES, of_engine},
    store::DIRECTORY,
};

/// Keys that are written to.
const KEYS: u16 = 300;
/// Keyspaces that each commit may touch: one of each engine.
const KEYSPACES: usize = ENGINES.len();
/// Snapshots that a reader holds at a time.
const HELD: usize = 6;

/// What happens in one world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where the randomness starts.
    pub seed: u64,
    /// How the store is opened.
    pub options: StoreOptions,
    /// Threads that write.
    pub writers: u64,
    /// Threads that hold snapshots.
    pub readers: u64,
    /// Commits of each writer.
    pub commits: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Commits.
    pub commits: u64,
    /// Times that old versions were removed.
    pub vacuums: u64,
    /// Snapshots held.
    pub snapshots: u64,
    /// Times that a snapshot was read whole.
    pub readings: u64,
    /// How many commits came after a snapshot before it was read for the last time, at most.
    pub oldest: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        self.commits += other.commits;
        self.vacuums += other.vacuums;
        self.snapshots += other.snapshots;
        self.readings += other.readings;
        self.oldest = self.oldest.max(other.oldest);
    }
}

/// What a commit changed: keyspace number, key, value.
type Changes = Vec<(usize, Vec<u8>, Option<Vec<u8>>)>;

/// The entries of each keyspace.
type Contents = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

/// A fingerprint of everything that a snapshot shows, that does not depend on the order.
type Digest = u64;

fn hash(keyspace: usize, key: &[u8], value: &[u8]) -> Digest {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((keyspace, key, value))
}

/// What a reader saw at an LSN.
#[derive(Clone, Copy, Debug)]
struct Seen {
    lsn: u64,
    digest: Digest,
    entries: u64,
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

struct World<'a> {
    manager: &'a TransactionManager,
    keyspaces: [KeyspaceId; KEYSPACES],
    done: AtomicBool,
    commits: AtomicU64,
}

/// A snapshot that is held, with what it showed first.
struct Held {
    transaction: Transaction,
    seen: Seen,
    contents: Contents,
    /// Commits when it was taken.
    since: u64,
}

impl World<'_> {
    /// Writes until its commits are done; gives them with their LSNs.
    fn write(
        &self,
        commits: u64,
        mut random: fastrand::Rng,
    ) -> Result<Vec<(u64, Changes)>, String> {
        let mut log = Vec::new();
        for _ in 0..commits {
            let options = TransactionOptions::isolation(IsolationLevel::ReadCommitted);
            let transaction = self.manager.begin(options).map_err(words)?;
            let mut changes: BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>> = BTreeMap::new();
            // In the order of keys: two writers never wait for each other in a circle.
            let mut keys: Vec<(usize, u16)> = (0..random.usize(1..12))
                .map(|_| (random.usize(..KEYSPACES), random.u16(..KEYS)))
                .collect();
            keys.sort_unstable();
            for (number, key) in keys {
                let key = key.to_be_bytes().to_vec();
                let value = (random.u8(..4) != 0).then(|| {
                    let long = if random.u8(..40) == 0 { 3_000 } else { 60 };
                    vec![random.u8(..); random.usize(..long)]
                });
                let keyspace = self.keyspaces[number];
                match &value {
                    Some(value) => transaction.put(keyspace, &key, value),
                    None => transaction.delete(keyspace, &key),
                }
                .map_err(words)?;
                changes.insert((number, key), value);
            }
            let lsn = transaction.commit().map_err(words)?;
            self.commits.fetch_add(1, Ordering::Relaxed);
            let changes = changes
                .into_iter()
                .map(|((number, key), value)| (number, key, value))
                .collect();
            log.push((lsn.0, changes));
        }
        Ok(log)
    }

    fn read(
        &self,
        transaction: &Transaction,
        direction: Direction,
    ) -> Result<(Seen, Contents), String> {
        let mut seen = Seen {
            lsn: transaction.snapshot_lsn().0,
            digest: 0,
            entries: 0,
        };
        let mut contents = Vec::new();
        for (number, keyspace) in self.keyspaces.into_iter().enumerate() {
            let mut found = BTreeMap::new();
            let mut cursor = transaction
                .scan(keyspace, KeyRange::all(), direction)
                .map_err(words)?;
            while let Some((key, value)) = cursor.next().map_err(words)? {
                seen.digest ^= hash(number, key, value);
                seen.entries += 1;
                if found.insert(key.to_vec(), value.to_vec()).is_some() {
                    return Err(format!("a scan showed {key:?} twice"));
                }
            }
            contents.push(found);
        }
        Ok((seen, contents))
    }

    fn hold(&self, random: &mut fastrand::Rng) -> Result<Held, String> {
        let isolation = if random.bool() {
            IsolationLevel::Snapshot
        } else {
            IsolationLevel::Serializable
        };
        let transaction = self
            .manager
            .begin(TransactionOptions {
                read_only: true,
                ..TransactionOptions::isolation(isolation)
            })
            .map_err(words)?;
        let since = self.commits.load(Ordering::Relaxed);
        let (seen, contents) = self.read(&transaction, Direction::Forward)?;
        Ok(Held {
            transaction,
            seen,
            contents,
            since,
        })
    }

    /// Reads a held snapshot again, whole or key by key.
    fn read_again(&self, held: &Held, random: &mut fastrand::Rng) -> Result<(), String> {
        if random.bool() {
            let direction = if random.bool() {
                Direction::Forward
            } else {
                Direction::Backward
            };
            let (again, _) = self.read(&held.transaction, direction)?;
            if (again.lsn, again.digest, again.entries)
                != (held.seen.lsn, held.seen.digest, held.seen.entries)
            {
                return Err(format!("{again:?} after {:?}", held.seen));
            }
            return Ok(());
        }
        for _ in 0..100 {
            let (number, key) = (random.usize(..KEYSPACES), random.u16(..KEYS).to_be_bytes());
            let found = held
                .transaction
                .get(self.keyspaces[number], &key)
                .map_err(words)?;
            if found.as_ref() != held.contents[number].get(&key[..]) {
                return Err(format!(
                    "key {key:?} of the snapshot at {} changed",
                    held.seen.lsn
                ));
            }
        }
        Ok(())
    }

    /// Takes snapshots and reads them again until the writers are done.
    fn watch(&self, mut random: fastrand::Rng) -> Result<(Vec<Seen>, Tally), String> {
        let mut tally = Tally::default();
        let mut all = Vec::new();
        let mut held: Vec<Held> = Vec::new();
        loop {
            let last = self.done.load(Ordering::Relaxed);
            if held.len() < HELD || random.u8(..3) == 0 {
                let new = self.hold(&mut random)?;
                all.push(new.seen);
                tally.snapshots += 1;
                tally.readings += 1;
                held.push(new);
            }
            let at = random.usize(..held.len());
            self.read_again(&held[at], &mut random)?;
            tally.readings += 1;
            if held.len() > HELD {
                // Mostly a young one goes: some become very old.
                let at = if random.u8(..10) == 0 {
                    0
                } else {
                    held.len() - 1
                };
                let gone = held.swap_remove(at);
                self.read_again(&gone, &mut random)?;
                let age = self.commits.load(Ordering::Relaxed) - gone.since;
                tally.oldest = tally.oldest.max(age);
                gone.transaction.commit().map_err(words)?;
            }
            if last {
                for old in &held {
                    self.read_again(old, &mut random)?;
                    let age = self.commits.load(Ordering::Relaxed) - old.since;
                    tally.oldest = tally.oldest.max(age);
                }
                return Ok((all, tally));
            }
        }
    }

    /// Removes old versions and writes checkpoints until the writers are done.
    fn vacuum(&self) -> Result<u64, String> {
        let mut vacuums = 0;
        let store = self.manager.store();
        while !self.done.load(Ordering::Relaxed) {
            store.vacuum().map_err(words)?;
            store.checkpoint().map_err(words)?;
            vacuums += 1;
            std::thread::yield_now();
        }
        Ok(vacuums)
    }
}

/// Compares what was seen with what the commits, in the order of their LSNs, make.
fn check(mut log: Vec<(u64, Changes)>, mut seen: Vec<Seen>) -> Result<Digest, String> {
    log.sort_by_key(|(lsn, _)| *lsn);
    seen.sort_by_key(|seen| seen.lsn);
    let mut state: BTreeMap<(usize, Vec<u8>), Vec<u8>> = BTreeMap::new();
    let mut digest = 0;
    let mut commits = log.into_iter().peekable();
    let mut apply = |until: u64, digest: &mut Digest| {
        while let Some((_, changes)) = commits.next_if(|(lsn, _)| *lsn <= until) {
            for (number, key, value) in changes {
                let new = value.as_ref().map_or(0, |value| hash(number, &key, value));
                let old = match value {
                    Some(value) => state.insert((number, key.clone()), value),
                    None => state.remove(&(number, key.clone())),
                };
                *digest ^= new ^ old.map_or(0, |old| hash(number, &key, &old));
            }
        }
        state.len() as u64
    };
    for seen in seen {
        let entries = apply(seen.lsn, &mut digest);
        if (seen.digest, seen.entries) != (digest, entries) {
            return Err(format!(
                "the snapshot at {} showed {} entries; {entries} other ones were committed by then",
                seen.lsn, seen.entries
            ));
        }
    }
    apply(u64::MAX, &mut digest);
    Ok(digest)
}

/// Plays a scenario.
///
/// # Errors
/// In words: what a snapshot showed that it should not have.
pub fn play(env: &Env, scenario: &Scenario) -> Result<Tally, String> {
    let directory = Path::new(DIRECTORY);
    let open = || Store::open(env.clone(), directory, scenario.options.clone()).map_err(words);
    let manager = TransactionManager::with_options(open()?, env.clone(), ManagerOptions::default());
    let keyspaces = manager
        .transaction(TransactionOptions::default(), |transaction| {
            let mut keyspaces = [KeyspaceId(0); KEYSPACES];
            for (keyspace, engine) in keyspaces.iter_mut().zip(ENGINES) {
                *keyspace = transaction.create_keyspace(of_engine(engine))?;
            }
            Ok(keyspaces)
        })
        .map_err(words)?;
    let world = World {
        manager: &manager,
        keyspaces,
        done: AtomicBool::new(false),
        commits: AtomicU64::new(0),
    };
    let random = |who: u64| fastrand::Rng::with_seed(scenario.seed << 8 | who);
    let (log, seen, mut tally) = std::thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> = (0..scenario.writers)
            .map(|who| scope.spawn(move || world.write(scenario.commits, random(who))))
            .collect();
        let readers: Vec<_> = (0..scenario.readers)
            .map(|who| scope.spawn(move || world.watch(random(100 + who))))
            .collect();
        let vacuum = scope.spawn(|| world.vacuum());
        let join = |panicked: &str| format!("{panicked} panicked");
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        world.done.store(true, Ordering::Relaxed);
        let mut log = Vec::new();
        for written in written {
            log.extend(written.map_err(|_| join("a writer"))??);
        }
        let mut tally = Tally::default();
        let mut all = Vec::new();
        for reader in readers {
            let (seen, read) = reader.join().map_err(|_| join("a reader"))??;
            all.extend(seen);
            tally.merge(&read);
        }
        tally.vacuums = vacuum.join().map_err(|_| join("the vacuum"))??;
        Ok::<_, String>((log, all, tally))
    })?;
    tally.commits = log.len() as u64;
    let digest = check(log, seen)?;
    let last = manager
        .begin(TransactionOptions::default())
        .map_err(words)?;
    let (before, _) = world.read(&last, Direction::Backward)?;
    drop(last);
    if before.digest != digest {
        return Err("the last state is not what the commits make".to_owned());
    }
    manager.store().vacuum().map_err(words)?;
    let report = manager.store().verify().map_err(words)?;
    if let Some(finding) = report.findings.first() {
        return Err(format!("verification: {finding:?}"));
    }
    let store = manager.store().clone();
    drop(manager);
    store.close().map_err(words)?;
    let manager = TransactionManager::with_options(open()?, env.clone(), ManagerOptions::default());
    let world = World {
        manager: &manager,
        keyspaces,
        done: AtomicBool::new(true),
        commits: AtomicU64::new(0),
    };
    let reader = manager
        .begin(TransactionOptions::default())
        .map_err(words)?;
    let (after, _) = world.read(&reader, Direction::Forward)?;
    if (after.digest, after.entries) != (before.digest, before.entries) {
        return Err("reopened, the store holds something else".to_owned());
    }
    Ok(tally)
}
