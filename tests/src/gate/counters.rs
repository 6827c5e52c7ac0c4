//! Writers that count in a real store until they are killed, and the check afterwards.
//!
//! Writer `w` commits number 1, 2, 3, … in order. Commit `n` sets its counter to `n` and slot
//! `n % SLOTS` to `n`, whole or not at all: some by a batch or a transaction, some by a sorted run
//! of all the writer's keys that is loaded past the log. So the counter alone tells what every slot
//! must hold, and the log of acknowledgements tells what the counter must be at least.

use std::{collections::BTreeMap, ops::Range, path::Path, time::Duration};

use rustling_storage::{
    Batch, Durability, EngineKind, Env, Error, KeyspaceOptions, Snapshot, Store, StoreOptions,
    staging,
};
use rustling_txn::{
    Error as TransactionError, ManagerOptions, TransactionManager, TransactionOptions,
};

use super::{
    branches::Branches,
    children::AckLog,
    options::{ENGINES, for_threads, of_engine},
};

/// Writers at a time.
pub const WRITERS: u32 = 3;
/// Where the superblocks lie in the page file.
pub const SUPERBLOCK_BYTES: Range<u64> = 0..16_384;

const SLOTS: u64 = 40;
/// Every so many commits are a sorted run.
const LOAD_EVERY: u64 = 16;
/// A run this small goes past the log already.
const LOGGED_LOAD_BYTES: usize = 1 << 10;

/// Where a store's writers write, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Batches, to keyspaces of this engine.
    Of(EngineKind),
    /// Transactions across a keyspace of each engine.
    Across,
    /// As [`Setup::Across`], while the keyspaces are given other engines again and again.
    Moving,
}

impl Setup {
    /// Every setup.
    pub const ALL: [Setup; 5] = [
        Setup::Of(EngineKind::BTree),
        Setup::Of(EngineKind::Lsm),
        Setup::Of(EngineKind::Hybrid),
        Setup::Across,
        Setup::Moving,
    ];

    /// The setup of a child with this seed: see [`Setup::seed`].
    #[must_use]
    pub fn of_seed(seed: u64) -> Setup {
        Setup::ALL[(seed % Setup::ALL.len() as u64) as usize]
    }

    /// A seed that tells a child this setup, chosen by `number`.
    #[must_use]
    pub fn seed(self, number: u64) -> u64 {
        let place = Setup::ALL.iter().position(|setup| *setup == self);
        let count = Setup::ALL.len() as u64;
        number / count / 2 * count + place.unwrap_or(0) as u64
    }

    fn engines(self) -> [EngineKind; ENGINES.len()] {
        match self {
            Setup::Of(engine) => [engine; ENGINES.len()],
            Setup::Across | Setup::Moving => ENGINES,
        }
    }
}

fn counter_key(who: u32) -> Vec<u8> {
    [&b"counter "[..], &who.to_be_bytes()].concat()
}

fn slot_key(who: u32, slot: u64) -> Vec<u8> {
    [&b"slot "[..], &who.to_be_bytes(), &slot.to_be_bytes()].concat()
}

fn slot_value(who: u32, number: u64) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(
        8 + ((number * 37 + u64::from(who)) % 300) as usize,
        number as u8,
    );
    value
}

/// The newest commit up to `counter` that went to this slot.
fn newest_in(slot: u64, counter: u64) -> Option<u64> {
    let newest = (counter + SLOTS - slot) / SLOTS * SLOTS + slot;
    newest.checked_sub(SLOTS).filter(|number| *number > 0)
}

fn number_in(value: &[u8]) -> u64 {
    value
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What commit number `number` of a writer sets, by key.
fn changes(who: u32, number: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let slots = match number.is_multiple_of(LOAD_EVERY) {
        true => 0..SLOTS,
        false => number % SLOTS..number % SLOTS + 1,
    };
    let slots = slots.filter_map(|slot| {
        let newest = newest_in(slot, number)?;
        Some((slot_key(who, slot), slot_value(who, newest)))
    });
    let counter = (counter_key(who), number.to_le_bytes().to_vec());
    slots.chain([counter]).collect()
}

/// Every other store flushes its log by `io_uring`, where the system lets it.
fn open(env: &Env, directory: &Path, seed: u64) -> Result<Store, Error> {
    let by_ring = StoreOptions {
        wal_io_uring: cfg!(target_os = "linux") && seed.is_multiple_of(2),
        ..for_threads(seed)
    };
    match Store::open(env.clone(), directory, by_ring) {
        Err(Error::Unavailable {
            option: "wal_io_uring",
            ..
        }) => Store::open(env.clone(), directory, for_threads(seed)),
        opened => opened,
    }
}

/// What the writers of a store share.
struct World {
    env: Env,
    setup: Setup,
    manager: TransactionManager,
    branches: Branches,
}

/// Opens the store and writes with several threads, for ever.
///
/// # Panics
/// On any error: the parent reports what the child said.
#[expect(clippy::panic, reason = "a child has nobody else to tell")]
pub fn write_until_killed(directory: &Path, seed: u64) {
    let run = || -> Result<(), String> {
        let world = World::open(directory, seed)?;
        std::thread::scope(|scope| {
            let world = &world;
            let mut all: Vec<_> = (0..WRITERS)
                .map(|who| scope.spawn(move || world.write(directory, who)))
                .collect();
            if world.setup == Setup::Moving {
                all.push(scope.spawn(move || world.change_engines(seed)));
            }
            all.into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
        })
    };
    if let Err(reason) = run() {
        panic!("{reason}");
    }
}

impl World {
    fn open(directory: &Path, seed: u64) -> Result<World, String> {
        let (env, setup) = (Env::system(), Setup::of_seed(seed));
        let store = open(&env, directory, seed).map_err(words)?;
        let found = Branches::of(&store);
        let options = ManagerOptions {
            attempts: 10_000,
            logged_load_bytes: LOGGED_LOAD_BYTES,
            ..ManagerOptions::default()
        };
        let manager = TransactionManager::with_options(store, env.clone(), options);
        let branches = match found {
            Some(branches) => branches,
            None => manager
                .transaction(TransactionOptions::default(), |transaction| {
                    Branches::found(transaction, setup.engines())
                })
                .map_err(words)?,
        };
        Ok(World {
            env,
            setup,
            manager,
            branches,
        })
    }

    fn write(&self, directory: &Path, who: u32) -> Result<(), String> {
        let mut acks = AckLog::open(&self.env, directory, who).map_err(words)?;
        let snapshot = self.manager.store().snapshot();
        let mut number = counter(&snapshot, self.branches, who)?;
        drop(snapshot);
        // What was in doubt when the last process died has been read now, and stays.
        acks.note(number).map_err(words)?;
        loop {
            number += 1;
            let changes = changes(who, number);
            let is_load = number.is_multiple_of(LOAD_EVERY);
            match self.setup {
                Setup::Of(engine) if is_load => self.load(engine, &changes).map_err(words)?,
                Setup::Of(_) => self.put(&changes).map_err(words)?,
                Setup::Across | Setup::Moving => self.commit(&changes, is_load)?,
            }
            acks.note(number).map_err(words)?;
        }
    }

    fn put(&self, changes: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
        let mut batch = Batch::new();
        for (key, value) in changes {
            batch.put(self.branches.keyspace(key), key.clone(), value.clone());
        }
        let committed = self.manager.store().commit(&batch, Durability::Sync);
        committed.map(|_| ())
    }

    /// Puts changes into staging keyspaces without logging them, and those in their places.
    fn load(&self, engine: EngineKind, changes: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
        let store = self.manager.store();
        let mut merge = Batch::new();
        for branch in self.branches.all() {
            let from = store.allocate_keyspace_id();
            let mut batch = Batch::new();
            batch.create_keyspace(
                from,
                KeyspaceOptions {
                    staging: true,
                    ..of_engine(engine)
                },
            );
            store.commit(&batch, Durability::None)?;
            let staged: Vec<(&[u8], Vec<u8>)> = changes
                .iter()
                .filter(|(key, _)| self.branches.keyspace(key) == branch)
                .map(|(key, value)| (&key[..], staging::encode_put(value)))
                .collect();
            let run: Vec<(&[u8], &[u8])> = staged
                .iter()
                .map(|(key, value)| (*key, &value[..]))
                .collect();
            store.ingest(from, &run)?;
            merge.merge(from, branch);
        }
        store.commit(&merge, Durability::Sync).map(|_| ())
    }

    fn commit(&self, changes: &BTreeMap<Vec<u8>, Vec<u8>>, is_load: bool) -> Result<(), String> {
        loop {
            let options = TransactionOptions::default();
            let committed = self.manager.transaction(options, |transaction| {
                // One branch after the other, so that no two wait for each other in a circle.
                for branch in self.branches.all() {
                    let mine: Vec<(Vec<u8>, Vec<u8>)> = changes
                        .iter()
                        .filter(|(key, _)| self.branches.keyspace(key) == branch)
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    if is_load {
                        let writer = transaction.bulk_writer(branch)?;
                        writer.write(&mine)?;
                        writer.finish()?;
                    } else {
                        mine.iter()
                            .try_for_each(|(key, value)| transaction.put(branch, key, value))?;
                    }
                }
                Ok(())
            });
            match committed {
                // The load came in the way of a change of engine: from its beginning.
                Err(TransactionError::Storage(Error::EngineChanging(_))) => {}
                other => return other.map_err(words),
            }
        }
    }

    /// Gives one branch after the other another engine.
    fn change_engines(&self, seed: u64) -> Result<(), String> {
        let mut random = fastrand::Rng::with_seed(seed);
        loop {
            for branch in self.branches.all() {
                let engine = ENGINES[random.usize(..ENGINES.len())];
                self.manager
                    .transaction(TransactionOptions::default(), |transaction| {
                        transaction.set_engine(branch, engine)
                    })
                    .map_err(words)?;
                self.env.sleep(Duration::from_millis(random.u64(..4)));
            }
        }
    }
}

fn counter(snapshot: &Snapshot, branches: Branches, who: u32) -> Result<u64, String> {
    let key = counter_key(who);
    let found = snapshot.get(branches.keyspace(&key), &key);
    Ok(found.map_err(words)?.as_deref().map_or(0, number_in))
}

/// Opens the store after its writers were killed and compares it with what was acknowledged.
/// The answer is the number of commits that it holds.
///
/// # Errors
/// In words: what was lost, or is there in part.
pub fn check(env: &Env, directory: &Path, acked: &BTreeMap<u32, u64>) -> Result<u64, String> {
    let store = Store::open(env.clone(), directory, for_threads(0)).map_err(words)?;
    let report = store.verify().map_err(words)?;
    if let Some(finding) = report.findings.first() {
        return Err(format!(
            "{} findings, the first: {finding:?}",
            report.findings.len()
        ));
    }
    let snapshot = store.snapshot();
    let Some(branches) = Branches::of(&store) else {
        let lost: u64 = acked.values().sum();
        return match (store.keyspaces().len(), lost) {
            (0, 0) => Ok(0),
            (keyspaces, _) => Err(format!(
                "the store has {keyspaces} keyspaces; {lost} commits were acknowledged"
            )),
        };
    };
    let mut commits = 0;
    for who in 0..WRITERS {
        let counter = counter(&snapshot, branches, who)?;
        let promised = acked.get(&who).copied().unwrap_or(0);
        if counter < promised || counter > promised + 1 {
            return Err(format!(
                "writer {who} counted to {counter}, {promised} were acknowledged"
            ));
        }
        for slot in 0..SLOTS {
            let (key, newest) = (slot_key(who, slot), newest_in(slot, counter));
            let found = snapshot.get(branches.keyspace(&key), &key).map_err(words)?;
            if found != newest.map(|number| slot_value(who, number)) {
                return Err(format!(
                    "writer {who} counted to {counter}, slot {slot} holds {:?} instead of {newest:?}",
                    found.as_deref().map(number_in)
                ));
            }
        }
        commits += counter;
    }
    drop(snapshot);
    store.close().map_err(words)?;
    Ok(commits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_commit_of_a_slot_is_known() {
        for counter in 0..200u64 {
            for slot in 0..SLOTS {
                assert_eq!(
                    newest_in(slot, counter),
                    (1..=counter).rev().find(|number| number % SLOTS == slot),
                    "{counter} {slot}"
                );
            }
        }
    }

    #[test]
    fn a_load_sets_what_the_commits_before_it_have_set() {
        let mut model = BTreeMap::new();
        for number in 1..200 {
            let before = model.clone();
            model.extend(changes(1, number));
            let slot = slot_key(1, number % SLOTS);
            let differ = model
                .iter()
                .filter(|(key, value)| before.get(*key) != Some(*value));
            let differ: Vec<_> = differ.map(|(key, _)| key.clone()).collect();
            assert_eq!(differ, [counter_key(1), slot]);
        }
    }

    #[test]
    fn a_seed_tells_the_setup() {
        for setup in Setup::ALL {
            for number in [0, 1, 17, u64::MAX - 3, u64::MAX] {
                assert_eq!(Setup::of_seed(setup.seed(number)), setup);
            }
        }
    }
}
