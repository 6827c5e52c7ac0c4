//! Sorted loads against a model: runs of keys into tables of every engine, among other changes,
//! savepoints and rollbacks, over rows that are there and beside them, while snapshots are held
//! open; and on a simulated disk that loses power at every operation.

#![expect(clippy::panic, reason = "a model that disagrees ends the test")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, Error as StorageError, KeyRange, KeyspaceId,
    KeyspaceOptions, LogArchive, LogSegment, MemoryVfs, Store, StoreOptions, Vfs,
};
use rustling_testkit::{
    harness::{Action, CrashPlan, Model, Outcome, Subject, check_crashes, record},
    sim::{Crash, CrashPolicy, SimEnv},
};
use rustling_txn::{
    Error, IsolationLevel, ManagerOptions, Savepoint, Transaction, TransactionManager,
    TransactionOptions,
};

const ENGINES: [EngineKind; 3] = [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];
/// Loads beyond this go past the log.
const LOGGED_BYTES: usize = 800;

/// A part of a transaction. `table` is reduced to those there are.
#[derive(Clone, Debug)]
enum Part {
    /// A run of keys.
    Load {
        table: u8,
        first: u8,
        count: u8,
        apart: u8,
        /// Keys at the end that do not ascend.
        strays: Vec<u8>,
        /// Whether keys must not be there.
        insert: bool,
        /// What else is written to the table before the load ends.
        beside: Option<u8>,
    },
    Put {
        table: u8,
        key: u8,
    },
    Delete {
        table: u8,
        key: u8,
    },
    /// What is rolled back to a savepoint.
    Undone(Vec<Part>),
}

#[derive(Clone, Debug)]
enum Step {
    Transaction {
        parts: Vec<Part>,
        commit: bool,
    },
    /// Deletes all rows of a table; nothing of them is left once no snapshot sees them.
    Clear(u8),
    /// Another table of the same engine in its place.
    Recreate(u8),
    Checkpoint,
    Snapshot,
    Forget(u8),
}

fn part(g: &mut Gen, depth: u32) -> Part {
    let (table, key) = (u8::arbitrary(g), u8::arbitrary(g));
    match u8::arbitrary(g) % 8 {
        0..=3 => Part::Load {
            table,
            first: key,
            count: u8::arbitrary(g) % 96,
            apart: u8::arbitrary(g),
            strays: match u8::arbitrary(g) % 4 {
                0 => Vec::arbitrary(g).into_iter().take(3).collect(),
                _ => Vec::new(),
            },
            insert: bool::arbitrary(g),
            beside: Option::arbitrary(g),
        },
        4 | 5 => Part::Put { table, key },
        6 if depth < 2 => Part::Undone(
            (0..u8::arbitrary(g) % 4)
                .map(|_| part(g, depth + 1))
                .collect(),
        ),
        _ => Part::Delete { table, key },
    }
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        match u8::arbitrary(g) % 12 {
            0 => Step::Clear(u8::arbitrary(g)),
            1 => Step::Recreate(u8::arbitrary(g)),
            2 => Step::Checkpoint,
            3 => Step::Snapshot,
            4 => Step::Forget(u8::arbitrary(g)),
            _ => Step::Transaction {
                parts: (0..1 + u8::arbitrary(g) % 4).map(|_| part(g, 0)).collect(),
                commit: u8::arbitrary(g) % 5 > 0,
            },
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Step>> {
        match self {
            Step::Transaction { parts, commit } if parts.len() > 1 => {
                let (parts, commit) = (parts.clone(), *commit);
                Box::new((0..parts.len()).map(move |without| {
                    let mut parts = parts.clone();
                    parts.remove(without);
                    Step::Transaction { parts, commit }
                }))
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// The rows of each table.
type Tables = Vec<Rows>;

fn key(number: u16) -> Vec<u8> {
    format!("k{number:04}").into_bytes()
}

/// A value that tells writers apart.
fn value(key: &[u8], what: u8) -> Vec<u8> {
    let mut value = key.to_vec();
    value.resize(30 + usize::from(what % 40), what);
    value
}

/// The keys of a load that ascend, and those that come after them.
fn load_keys(first: u8, count: u8, apart: u8, strays: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let step = u16::from(apart % 5) + 1;
    let run = (0..u16::from(count)).map(|at| key(u16::from(first) + at * step));
    (
        run.collect(),
        strays.iter().map(|stray| key(u16::from(*stray))).collect(),
    )
}

/// What a part does to the rows.
fn apply(part: &Part, tables: &mut Tables) {
    let count = tables.len();
    let at = |table: u8| usize::from(table) % count;
    match part {
        Part::Load {
            table,
            first,
            count,
            apart,
            strays,
            insert,
            beside,
        } => {
            let rows = &mut tables[at(*table)];
            if let Some(beside) = beside {
                let key = key(u16::from(*beside));
                rows.insert(key.clone(), value(&key, 3));
            }
            let (run, strays) = load_keys(*first, *count, *apart, strays);
            let mut loaded = Rows::new();
            for key in run.into_iter().chain(strays) {
                let is_there = rows.contains_key(&key) || loaded.contains_key(&key);
                if !*insert || !is_there {
                    let value = value(&key, first.wrapping_add(*count));
                    loaded.insert(key, value);
                }
            }
            rows.extend(loaded);
        }
        Part::Put { table, key: number } => {
            let key = key(u16::from(*number));
            tables[at(*table)].insert(key.clone(), value(&key, 7));
        }
        Part::Delete { table, key: number } => {
            tables[at(*table)].remove(&key(u16::from(*number)));
        }
        Part::Undone(_) => {}
    }
}

fn load(transaction: &Transaction, keyspace: KeyspaceId, part: &Part) -> Result<(), Error> {
    let Part::Load {
        first,
        count,
        apart,
        strays,
        insert,
        beside,
        ..
    } = part
    else {
        return Ok(());
    };
    let writer = transaction.bulk_writer(keyspace)?;
    if let Some(beside) = beside {
        let key = key(u16::from(*beside));
        transaction.put(keyspace, &key, &value(&key, 3))?;
    }
    let (run, strays) = load_keys(*first, *count, *apart, strays);
    let entry = |key: &Vec<u8>| (key.clone(), value(key, first.wrapping_add(*count)));
    let mut pieces: Vec<Vec<_>> = run.chunks(5).map(<[_]>::to_vec).collect();
    pieces.extend(strays.into_iter().map(|stray| vec![stray]));
    for piece in pieces {
        let entries: Vec<_> = piece.iter().map(entry).collect();
        if !insert {
            writer.write(&entries)?;
            continue;
        }
        for entry in entries {
            let is_there = writer.contains(&entry.0)?;
            match writer.insert(&[entry]) {
                Ok(()) if !is_there => {}
                Err(Error::KeyExists { .. }) if is_there => {}
                Ok(()) => panic!("a key that was there has been inserted"),
                Err(error) => return Err(error),
            }
        }
    }
    writer.finish()
}

fn run(transaction: &Transaction, tables: &[KeyspaceId], parts: &[Part]) -> Result<(), Error> {
    for part in parts {
        transaction.begin_statement();
        let at = |table: u8| tables[usize::from(table) % tables.len()];
        match part {
            Part::Load { table, .. } => load(transaction, at(*table), part)?,
            Part::Put { table, key: number } => {
                let key = key(u16::from(*number));
                transaction.put(at(*table), &key, &value(&key, 7))?;
            }
            Part::Delete { table, key: number } => {
                transaction.delete(at(*table), &key(u16::from(*number)))?;
            }
            Part::Undone(parts) => {
                let savepoint: Savepoint = transaction.savepoint();
                run(transaction, tables, parts)?;
                transaction.rollback_to(&savepoint)?;
                transaction.release(savepoint);
            }
        }
        transaction.end_statement();
    }
    Ok(())
}

fn read(transaction: &Transaction, tables: &[KeyspaceId]) -> Result<Tables, Error> {
    let mut all = Tables::new();
    for table in tables {
        let mut both = Vec::new();
        for direction in [Direction::Forward, Direction::Backward] {
            let mut cursor = transaction.scan(*table, KeyRange::all(), direction)?;
            let mut rows = Vec::new();
            while let Some((key, value)) = cursor.next()? {
                rows.push((key.to_vec(), value.to_vec()));
            }
            both.push(rows);
        }
        both[1].reverse();
        assert_eq!(both[0], both[1]);
        for (key, value) in both[0].iter().step_by(5) {
            assert_eq!(transaction.get(*table, key)?.as_ref(), Some(value));
        }
        all.push(both.swap_remove(0).into_iter().collect());
    }
    Ok(all)
}

/// Loads as the crash harness sees them.
#[derive(Clone, Copy)]
struct Program;

struct Instance {
    // Snapshots first: they end before the store does.
    snapshots: Vec<(Transaction, Vec<KeyspaceId>, Tables)>,
    manager: TransactionManager,
}

impl Instance {
    fn open(env: Env) -> Result<Instance, Error> {
        Instance::open_with(env, StoreOptions::default())
    }

    fn open_with(env: Env, options: StoreOptions) -> Result<Instance, Error> {
        let options = StoreOptions {
            page_size: 4096,
            memory_budget: 1 << 20,
            wal_segment_bytes: 16 << 10,
            // Tables of 4 kB, four of them on level 1.
            checkpoint_wal_bytes: 4 << 10,
            background: false,
            ..options
        };
        let store = Store::open(env.clone(), Path::new("/data"), options)?;
        let share = ManagerOptions {
            write_set_bytes: Some(4 << 10),
            logged_load_bytes: LOGGED_BYTES,
            ..ManagerOptions::default()
        };
        let manager = TransactionManager::with_options(store, env, share);
        if manager.store().keyspaces().is_empty() {
            let mut batch = Batch::new();
            for engine in ENGINES {
                let id = manager.store().allocate_keyspace_id();
                let staging = false;
                batch.create_keyspace(id, KeyspaceOptions { engine, staging });
            }
            manager.store().commit(&batch, Durability::Sync)?;
        }
        Ok(Instance {
            snapshots: Vec::new(),
            manager,
        })
    }

    /// The table of each engine.
    fn tables(&self) -> Vec<KeyspaceId> {
        let all = self.manager.store().keyspaces();
        let of = |engine| {
            let mut all = all.iter();
            all.find(|(_, options)| options.engine == engine && !options.staging)
        };
        ENGINES
            .into_iter()
            .filter_map(|engine| of(engine).map(|(id, _)| *id))
            .collect()
    }

    fn begin(&self, isolation: IsolationLevel) -> Result<Transaction, Error> {
        let options = TransactionOptions::isolation(isolation);
        self.manager.begin(options)
    }

    fn step(&mut self, step: &Step) -> Result<Outcome, Error> {
        let tables = self.tables();
        match step {
            Step::Transaction { parts, commit } => {
                let transaction = self.begin(IsolationLevel::ReadCommitted)?;
                run(&transaction, &tables, parts)?;
                if !commit {
                    transaction.rollback();
                    return Ok(Outcome::Volatile);
                }
                transaction.commit()?;
                Ok(Outcome::Durable)
            }
            Step::Clear(table) => {
                let table = tables[usize::from(*table) % tables.len()];
                let transaction = self.begin(IsolationLevel::ReadCommitted)?;
                let rows = read(&transaction, &[table])?;
                for key in rows[0].keys() {
                    transaction.delete(table, key)?;
                }
                transaction.commit()?;
                Ok(Outcome::Durable)
            }
            Step::Recreate(table) => {
                let at = usize::from(*table) % tables.len();
                let transaction = self.begin(IsolationLevel::ReadCommitted)?;
                transaction.drop_keyspace(tables[at])?;
                let staging = false;
                let engine = ENGINES[at];
                transaction.create_keyspace(KeyspaceOptions { engine, staging })?;
                transaction.commit()?;
                Ok(Outcome::Durable)
            }
            Step::Checkpoint => {
                self.manager.store().checkpoint()?;
                Ok(Outcome::Flushed)
            }
            Step::Snapshot => {
                let reader = self.begin(IsolationLevel::Snapshot)?;
                let seen = read(&reader, &tables)?;
                self.snapshots.push((reader, tables, seen));
                Ok(Outcome::Volatile)
            }
            Step::Forget(which) => {
                if !self.snapshots.is_empty() {
                    let at = usize::from(*which) % self.snapshots.len();
                    self.snapshots.swap_remove(at);
                }
                Ok(Outcome::Volatile)
            }
        }
    }
}

fn apply_step(step: &Step, tables: &mut Tables) {
    let count = tables.len();
    match step {
        Step::Transaction {
            parts,
            commit: true,
        } => parts.iter().for_each(|part| apply(part, tables)),
        Step::Clear(table) | Step::Recreate(table) => tables[usize::from(*table) % count].clear(),
        Step::Transaction { .. } | Step::Checkpoint | Step::Snapshot | Step::Forget(_) => {}
    }
}

/// The key of a table's row among all.
fn global(table: usize, key: &[u8]) -> Vec<u8> {
    [&[table as u8], key].concat()
}

impl Subject for Program {
    type Step = Step;
    type Instance = Instance;

    fn open(&self, env: Env) -> Result<Instance, String> {
        let instance = Instance::open(env).map_err(|error| error.to_string())?;
        match instance.manager.store().keyspaces().len() {
            3 => Ok(instance),
            count => Err(format!("{count} keyspaces")),
        }
    }

    fn run(&self, instance: &mut Instance, step: &Step) -> Outcome {
        let outcome = match instance.step(step) {
            Ok(outcome) => outcome,
            Err(
                error @ Error::Storage(StorageError::Poisoned { .. } | StorageError::Io { .. }),
            ) => Outcome::Unknown(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        match instance.manager.store().keyspaces().len() {
            3 => outcome,
            count => Outcome::Failed(format!("{count} keyspaces are left")),
        }
    }

    fn effect(&self, step: &Step, model: &mut Model) {
        let mut tables = vec![Rows::new(); ENGINES.len()];
        for (key, value) in std::mem::take(model) {
            tables[usize::from(key[0])].insert(key[1..].to_vec(), value);
        }
        apply_step(step, &mut tables);
        for (at, rows) in tables.into_iter().enumerate() {
            model.extend(
                rows.into_iter()
                    .map(|(key, value)| (global(at, &key), value)),
            );
        }
    }

    fn contents(
        &self,
        instance: &Instance,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), String> {
        let mut read_all = || -> Result<(), Error> {
            let reader = instance.begin(IsolationLevel::Snapshot)?;
            let tables = read(&reader, &instance.tables())?;
            for (at, rows) in tables.iter().enumerate() {
                rows.iter()
                    .for_each(|(key, value)| visit(&global(at, key), value));
            }
            Ok(())
        };
        read_all().map_err(|error| error.to_string())
    }

    fn verify(&self, instance: &Instance) -> Result<(), String> {
        let store = instance.manager.store();
        let report = store.verify().map_err(|error| error.to_string())?;
        match report.is_clean() {
            true => Ok(()),
            false => Err(format!("{:?}", report.findings)),
        }
    }

    fn close(&self, instance: Instance) -> Result<(), String> {
        drop(instance.snapshots);
        let store = instance.manager.store().clone();
        store.close().map_err(|error| error.to_string())
    }

    fn probe(&self) -> Step {
        let load = |table| Part::Load {
            table,
            first: 20,
            count: 40,
            apart: 1,
            strays: Vec::new(),
            insert: false,
            beside: None,
        };
        Step::Transaction {
            parts: (0..3).map(load).collect(),
            commit: true,
        }
    }
}

fn loads_like_the_model(steps: Vec<Step>) -> bool {
    let vfs = MemoryVfs::new();
    let mut instance = Instance::open(Env::with_vfs(vfs.clone())).expect("a store");
    let reserved = instance.manager.store().memory().used();
    let mut tables = vec![Rows::new(); ENGINES.len()];
    for step in &steps {
        // The view from within, part by part.
        if let Step::Transaction { parts, .. } = step {
            let transaction = instance
                .begin(IsolationLevel::Snapshot)
                .expect("a transaction");
            let mut own = tables.clone();
            for part in parts {
                run(&transaction, &instance.tables(), std::slice::from_ref(part)).expect("a part");
                apply(part, &mut own);
                assert_eq!(read(&transaction, &instance.tables()).expect("rows"), own);
            }
        }
        instance.step(step).expect("a step");
        apply_step(step, &mut tables);
        let reader = instance.begin(IsolationLevel::Snapshot).expect("a reader");
        assert_eq!(read(&reader, &instance.tables()).expect("rows"), tables);
        assert_eq!(instance.manager.store().keyspaces().len(), 3);
        assert_eq!(instance.manager.store().memory().used(), reserved);
    }
    // Each snapshot shows what it did.
    for (snapshot, tables, seen) in &instance.snapshots {
        assert_eq!(&read(snapshot, tables).expect("rows"), seen);
    }
    let report = instance.manager.store().verify().expect("a report");
    assert!(report.is_clean(), "{report:?}");
    // The process ends here.
    let vfs = vfs.fork();
    drop(instance);
    let instance = Instance::open(Env::with_vfs(vfs)).expect("a store");
    let reader = instance.begin(IsolationLevel::Snapshot).expect("a reader");
    assert_eq!(read(&reader, &instance.tables()).expect("rows"), tables);
    true
}

fn survives_every_crash(steps: Vec<Step>) -> bool {
    // Every operation of each step, times every crash: few are much.
    let script: Vec<_> = steps.into_iter().take(8).map(Action::Step).collect();
    let recorded = record(&Program, 1, &script).unwrap_or_else(|violation| panic!("{violation}"));
    let plan = CrashPlan {
        second_every: 400,
        probe_every: 32,
        ..CrashPlan::all()
    };
    let points = recorded.crash_points();
    let tally = check_crashes(&Program, &recorded, &points, &plan, SimEnv::env);
    assert!(tally.violations.is_empty(), "{}", tally.violations[0]);
    true
}

fn number(variable: &str, usual: u64) -> u64 {
    let asked = std::env::var(variable).ok();
    asked
        .and_then(|number| number.parse().ok())
        .unwrap_or(usual)
}

#[test]
fn loads_read_like_a_map() {
    QuickCheck::new()
        .tests(number("RUSTLING_LOAD_RUNS", 60))
        .quickcheck(loads_like_the_model as fn(Vec<Step>) -> bool);
}

#[test]
fn loads_are_whole_after_every_crash() {
    QuickCheck::new()
        .tests(number("RUSTLING_LOAD_CRASH_RUNS", 4))
        .quickcheck(survives_every_crash as fn(Vec<Step>) -> bool);
}

/// A load of that many rows into a table, in one piece or many.
fn load_rows(transaction: &Transaction, table: KeyspaceId, rows: u16) {
    let writer = transaction.bulk_writer(table).expect("a bulk writer");
    let keys: Vec<u16> = (0..rows).collect();
    for some in keys.chunks(100) {
        let entries: Vec<_> = some.iter().map(|at| (key(*at), vec![5; 60])).collect();
        writer.write(&entries).expect("rows");
    }
    writer.finish().expect("the end of a load");
}

#[test]
fn what_a_sorted_load_logs_does_not_grow_with_it() {
    let logged = |at: usize, rows: u16| {
        let instance = Instance::open(Env::with_vfs(MemoryVfs::new())).expect("a store");
        let store = instance.manager.store();
        let before = store.stats().wal_bytes;
        let transaction = instance
            .begin(IsolationLevel::Snapshot)
            .expect("a transaction");
        load_rows(&transaction, instance.tables()[at], rows);
        transaction.commit().expect("a commit");
        store.stats().wal_bytes - before
    };
    for (at, engine) in ENGINES.into_iter().enumerate() {
        let bytes = [20, 300, 9_000].map(|rows| logged(at, rows));
        // Creating and merging a staging keyspace.
        assert!(bytes[1] < 200, "{engine:?}: {bytes:?}");
        assert_eq!(bytes[1], bytes[2], "{engine:?}: {bytes:?}");
        assert_eq!(bytes[0], logged(at, 20));
    }
    // What is not worth a checkpoint is logged.
    assert!(logged(0, 10) > 600 && logged(0, 10) < 1_000);
}

/// Forgets what it is given.
#[derive(Debug)]
struct Archive;

impl LogArchive for Archive {
    fn archive(&self, _: LogSegment<'_>) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is restored from the log must be in it, however much it is.
#[test]
fn with_an_archive_every_load_is_logged() {
    for at in 0..ENGINES.len() {
        for rows in [10, 300, 9_000] {
            let options = StoreOptions {
                wal_archive: Some(Arc::new(Archive)),
                wal_compress_above: usize::MAX,
                ..StoreOptions::default()
            };
            let env = Env::with_vfs(MemoryVfs::new());
            let instance = Instance::open_with(env, options).expect("a store");
            let table = instance.tables()[at];
            let store = instance.manager.store();
            let before = store.stats().wal_bytes;
            let transaction = instance
                .begin(IsolationLevel::Snapshot)
                .expect("a transaction");
            load_rows(&transaction, table, rows);
            transaction.commit().expect("a commit");
            let bytes = store.stats().wal_bytes - before;
            assert!(bytes > u64::from(rows) * 60, "{at} {rows}: {bytes}");
            let reader = instance.begin(IsolationLevel::Snapshot).expect("a reader");
            let found = read(&reader, &[table]).expect("rows").remove(0);
            assert_eq!(found.len(), usize::from(rows));
        }
    }
}

/// What a load comes to lie upon does not bring it back into memory.
#[test]
fn a_load_above_other_changes_stays_out_of_memory() {
    let instance = Instance::open(Env::with_vfs(MemoryVfs::new())).expect("a store");
    for table in instance.tables() {
        let transaction = instance
            .begin(IsolationLevel::Snapshot)
            .expect("a transaction");
        let writer = transaction.bulk_writer(table).expect("a bulk writer");
        let keys: Vec<u16> = (0..9_000).collect();
        for some in keys.chunks(100) {
            let entries: Vec<_> = some.iter().map(|at| (key(*at), vec![5; 60])).collect();
            writer.write(&entries).expect("rows");
        }
        // Written before the load ends, and so below it.
        transaction.put(table, &key(7), b"below").expect("a row");
        transaction
            .put(table, &key(9_500), b"beside")
            .expect("a row");
        writer.finish().expect("the end of a load");
        transaction.commit().expect("a commit");
        let memtables = instance.manager.store().stats().tables.memtable_bytes;
        assert!(memtables < 4 << 10, "{memtables}");
        let reader = instance.begin(IsolationLevel::Snapshot).expect("a reader");
        let rows = read(&reader, &[table]).expect("rows").remove(0);
        assert_eq!(rows.len(), 9_001);
        assert_eq!(rows.get(&key(7)), Some(&vec![5; 60]));
        assert_eq!(rows.get(&key(9_500)), Some(&b"beside".to_vec()));
    }
}

#[test]
fn no_crash_and_no_rollback_leaves_a_file() {
    let Step::Transaction { parts, .. } = Program.probe() else {
        panic!("a probe is a transaction");
    };
    let load = |commit: bool| {
        let parts = parts.clone();
        Action::Step(Step::Transaction { parts, commit })
    };
    let undone = Step::Transaction {
        parts: vec![Part::Undone(parts.clone())],
        commit: true,
    };
    let script = [load(false), Action::Step(undone), load(true), load(true)];
    let recorded = record(&Program, 5, &script).unwrap_or_else(|violation| panic!("{violation}"));
    let mut found = 0;
    for (life, operations) in recorded.crash_points() {
        let image = recorded.image_at(life, operations);
        for crash in [
            Crash::process(),
            Crash::power(CrashPolicy::DropAll, 1),
            Crash::power(CrashPolicy::KeepAll, 1),
        ] {
            let world = SimEnv::from_image(&image.crash(&crash), 3);
            let Ok(instance) = Instance::open(world.env()) else {
                panic!("operation {operations}, {crash:?}: the store does not open");
            };
            let store = instance.manager.store();
            store.checkpoint().expect("a checkpoint");
            store.checkpoint().expect("another");
            let files = world.vfs.read_dir(Path::new("/data/tables"));
            let files = files.map_or(0, |files| files.len());
            let listed = store.stats().tables.tables;
            assert_eq!(files, listed, "operation {operations}, {crash:?}");
            found += files;
        }
    }
    assert!(found > 0);
}
