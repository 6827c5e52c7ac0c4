//! Transactions on a simulated disk that loses power at every operation: small ones, ones that
//! spill, bulk loads, with savepoints and rollbacks among them. Each is there whole afterwards
//! or not at all, the acknowledged ones are there, and nothing staged is left.

#![expect(clippy::panic, reason = "a broken promise ends the test")]

use std::path::Path;

use rustling_storage::{
    Direction, Durability, EngineKind, Env, Error as StorageError, KeyRange, KeyspaceId,
    KeyspaceOptions, Store, StoreOptions,
};
use rustling_testkit::{
    harness::{Action, CrashPlan, Model, Outcome, Subject, check_crashes, record},
    sim::SimEnv,
};
use rustling_txn::{
    Error, IsolationLevel, ManagerOptions, Transaction, TransactionManager, TransactionOptions,
};

const ENGINES: [EngineKind; 3] = [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// A table of each of these engines.
#[derive(Clone, Copy)]
struct Program(&'static [EngineKind]);

/// B+ trees alone, as when the seeds below were found.
const TREES: Program = Program(&[EngineKind::BTree, EngineKind::BTree]);
const MIXED: Program = Program(&ENGINES);

struct Instance {
    manager: TransactionManager,
    tables: Vec<KeyspaceId>,
}

#[derive(Clone, Debug)]
enum Step {
    Transaction {
        seed: u64,
        size: usize,
        durability: Durability,
        commit: bool,
    },
    Checkpoint,
}

#[derive(Clone, Debug)]
enum Change {
    Put {
        table: usize,
        key: u8,
        value: Vec<u8>,
    },
    Delete {
        table: usize,
        key: u8,
    },
    Bulk {
        table: usize,
        entries: Vec<(u8, Vec<u8>)>,
    },
    /// Another engine for a table.
    Engine {
        table: usize,
        engine: EngineKind,
    },
    /// Changes that are rolled back to a savepoint.
    Undone(Vec<Change>),
}

/// The changes of a transaction follow from its seed.
fn changes(program: Program, random: &mut fastrand::Rng, size: usize, depth: u32) -> Vec<Change> {
    let tables = program.0.len();
    let is_mixed = program.0.len() == ENGINES.len();
    let value = |random: &mut fastrand::Rng| vec![random.u8(..); random.usize(..400)];
    (0..size)
        .map(|_| {
            let (table, key) = (random.usize(..tables), random.u8(..24));
            match random.u8(..20) {
                0..=13 => Change::Put {
                    table,
                    key,
                    value: value(random),
                },
                14..=17 => Change::Delete { table, key },
                18 if size > 4 => {
                    let entries = (0..random.u8(1..10))
                        .map(|at| (key.wrapping_add(at) % 24, value(random)))
                        .collect();
                    Change::Bulk { table, entries }
                }
                19 if is_mixed && random.u8(..4) == 0 => Change::Engine {
                    table,
                    engine: ENGINES[random.usize(..ENGINES.len())],
                },
                _ if depth < 2 => Change::Undone(changes(program, random, size / 2, depth + 1)),
                _ => Change::Delete { table, key },
            }
        })
        .collect()
}

fn key(table: usize, key: u8) -> Vec<u8> {
    vec![u8::try_from(table).unwrap_or(u8::MAX), key]
}

fn apply(changes: &[Change], model: &mut Model) {
    for change in changes {
        match change {
            Change::Put {
                table,
                key: at,
                value,
            } => {
                model.insert(key(*table, *at), value.clone());
            }
            Change::Delete { table, key: at } => {
                model.remove(&key(*table, *at));
            }
            Change::Bulk { table, entries } => {
                model.extend(
                    entries
                        .iter()
                        .map(|(at, value)| (key(*table, *at), value.clone())),
                );
            }
            Change::Engine { .. } | Change::Undone(_) => {}
        }
    }
}

fn run(transaction: &Transaction, tables: &[KeyspaceId], changes: &[Change]) -> Result<(), Error> {
    for change in changes {
        match change {
            Change::Put { table, key, value } => transaction.put(tables[*table], &[*key], value)?,
            Change::Delete { table, key } => transaction.delete(tables[*table], &[*key])?,
            Change::Bulk { table, entries } => {
                let writer = transaction.bulk_writer(tables[*table])?;
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (vec![*key], value.clone()))
                    .collect();
                writer.write(&entries)?;
                writer.finish()?;
            }
            Change::Engine { table, engine } => {
                match transaction.set_engine(tables[*table], *engine) {
                    // One change at a time.
                    Err(Error::Storage(StorageError::EngineChanging(_))) => {}
                    other => other?,
                }
            }
            Change::Undone(changes) => {
                let savepoint = transaction.savepoint();
                run(transaction, tables, changes)?;
                transaction.rollback_to(&savepoint)?;
                transaction.release(savepoint);
            }
        }
    }
    Ok(())
}

impl Program {
    fn transaction(
        self,
        instance: &Instance,
        seed: u64,
        size: usize,
        durability: Durability,
        commit: bool,
    ) -> Result<Outcome, Error> {
        let isolation = if seed.is_multiple_of(2) {
            IsolationLevel::Snapshot
        } else {
            IsolationLevel::ReadCommitted
        };
        let options = TransactionOptions {
            durability,
            ..TransactionOptions::isolation(isolation)
        };
        let transaction = instance.manager.begin(options)?;
        run(
            &transaction,
            &instance.tables,
            &changes(self, &mut fastrand::Rng::with_seed(seed), size, 0),
        )?;
        if !commit {
            transaction.rollback();
            return Ok(Outcome::Volatile);
        }
        transaction.commit()?;
        Ok(if durability == Durability::Sync {
            Outcome::Durable
        } else {
            Outcome::Volatile
        })
    }
}

impl Subject for Program {
    type Step = Step;
    type Instance = Instance;

    fn open(&self, env: Env) -> Result<Instance, String> {
        let options = StoreOptions {
            page_size: 4096,
            memory_budget: 1 << 20,
            wal_segment_bytes: 16 << 10,
            background: false,
            ..StoreOptions::default()
        };
        let open = || -> Result<Instance, Error> {
            let store = Store::open(env.clone(), Path::new("/data"), options)?;
            // A load this small does not fit.
            let share = ManagerOptions {
                write_set_bytes: Some(2 << 10),
                ..ManagerOptions::default()
            };
            let manager = TransactionManager::with_options(store, env.clone(), share);
            if manager.store().keyspaces().is_empty() {
                manager.transaction(TransactionOptions::default(), |transaction| {
                    for engine in self.0 {
                        transaction.create_keyspace(KeyspaceOptions {
                            engine: *engine,
                            ..KeyspaceOptions::default()
                        })?;
                    }
                    Ok(())
                })?;
            }
            let tables = manager
                .store()
                .keyspaces()
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            Ok(Instance { manager, tables })
        };
        let instance = open().map_err(|error| error.to_string())?;
        if instance.tables.len() == self.0.len() {
            Ok(instance)
        } else {
            Err(format!(
                "keyspaces {:?}, not {} of them",
                instance.tables,
                self.0.len()
            ))
        }
    }

    fn run(&self, instance: &mut Instance, step: &Step) -> Outcome {
        let result = match step {
            Step::Checkpoint => instance
                .manager
                .store()
                .checkpoint()
                .map(|_| Outcome::Flushed)
                .map_err(Error::from),
            Step::Transaction {
                seed,
                size,
                durability,
                commit,
            } => self.transaction(instance, *seed, *size, *durability, *commit),
        };
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(
                error @ Error::Storage(StorageError::Poisoned { .. } | StorageError::Io { .. }),
            ) => Outcome::Unknown(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        let keyspaces = instance.manager.store().keyspaces().len();
        if keyspaces > self.0.len() {
            Outcome::Failed(format!("{keyspaces} keyspaces are left"))
        } else {
            outcome
        }
    }

    fn effect(&self, step: &Step, model: &mut Model) {
        if let Step::Transaction {
            seed,
            size,
            commit: true,
            ..
        } = step
        {
            apply(
                &changes(*self, &mut fastrand::Rng::with_seed(*seed), *size, 0),
                model,
            );
        }
    }

    fn contents(
        &self,
        instance: &Instance,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), String> {
        let mut read = || -> Result<(), Error> {
            let reader = instance
                .manager
                .begin(TransactionOptions::isolation(IsolationLevel::Snapshot))?;
            for (at, table) in instance.tables.iter().enumerate() {
                let mut cursor = reader.scan(*table, KeyRange::all(), Direction::Forward)?;
                while let Some((found, value)) = cursor.next()? {
                    visit(&key(at, found[0]), value);
                }
            }
            Ok(())
        };
        read().map_err(|error| error.to_string())
    }

    fn verify(&self, instance: &Instance) -> Result<(), String> {
        let report = instance
            .manager
            .store()
            .verify()
            .map_err(|error| error.to_string())?;
        if report.is_clean() {
            Ok(())
        } else {
            Err(format!("{:?}", report.findings))
        }
    }

    fn close(&self, instance: Instance) -> Result<(), String> {
        instance
            .manager
            .store()
            .clone()
            .close()
            .map_err(|error| error.to_string())
    }

    fn probe(&self) -> Step {
        Step::Transaction {
            seed: 4,
            size: 12,
            durability: Durability::Sync,
            commit: true,
        }
    }
}

fn script(seed: u64, steps: usize) -> Vec<Action<Step>> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..steps)
        .map(|_| match random.u8(..12) {
            0 => Action::Step(Step::Checkpoint),
            1 => Action::Reopen,
            2 => Action::Kill,
            _ => {
                let durability =
                    [Durability::Sync, Durability::Sync, Durability::None][random.usize(..3)];
                let size = [2, 6, 30][random.usize(..3)];
                Action::Step(Step::Transaction {
                    seed: random.u64(..),
                    size,
                    durability,
                    commit: random.u8(..5) > 0,
                })
            }
        })
        .collect()
}

fn survives(program: Program, seed: u64, steps: usize) {
    let recorded = record(&program, seed, &script(seed, steps))
        .unwrap_or_else(|violation| panic!("{violation}"));

    let plan = CrashPlan {
        second_every: 400,
        probe_every: 16,
        ..CrashPlan::all()
    };
    let tally = check_crashes(
        &program,
        &recorded,
        &recorded.crash_points(),
        &plan,
        SimEnv::env,
    );
    assert!(tally.violations.is_empty(), "{}", tally.violations[0]);
    assert!(tally.images > 100 && tally.undecided > 0, "{tally:?}");
}

#[test]
fn transactions_are_whole_after_every_crash() {
    // More of them: RUSTLING_TXN_CRASH_SEEDS=100 (each takes a while).
    let seeds = std::env::var("RUSTLING_TXN_CRASH_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    match seeds {
        Some(seeds) => (0..seeds).for_each(|seed| survives(MIXED, seed, 40)),
        None => {
            survives(TREES, 0, 24);
            (0..2).for_each(|seed| survives(MIXED, seed, 24));
            // A kill between the writing of a segment's last record and its sync: recovery once
            // showed commits that a power failure then took back.
            survives(TREES, 3, 40);
        }
    }
}
