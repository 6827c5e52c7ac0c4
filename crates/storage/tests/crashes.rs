//! The store under the crash harness: every crash at every operation of runs that also create,
//! drop and merge keyspaces, and an error at every operation in turn.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::Path;

use rustling_storage::{
    Batch, Direction, Durability, EngineChange, EngineKind, Env, Error, KeyRange, KeyspaceId,
    KeyspaceOptions, Store, StoreOptions, staging,
};
use rustling_testkit::{
    harness::{Action, CrashPlan, Model, Outcome, Subject, check_crashes, record, sweep_faults},
    sim::{Crash, Fault, FaultPlan, SimEnv},
};

const DIR: &str = "/dir/store";

struct Program;

/// Entries by number; `None` deletes.
type Entries = Vec<(u8, Option<u16>)>;

#[derive(Clone, Debug)]
enum Step {
    Create(u32),
    Drop(u32),
    Write {
        id: u32,
        entries: Entries,
        sync: bool,
    },
    /// Through staging keyspace `from`, created and merged in one go or step by step.
    Load {
        from: u32,
        into: u32,
        create: bool,
        entries: Entries,
    },
    /// Begins to give a keyspace another engine.
    BeginChange(u32, EngineKind),
    /// Switches a keyspace whose engine is being changed over.
    FinishChange(u32),
    GiveUpChange(u32),
    Checkpoint,
    Vacuum,
    Flush,
}

/// The store, and the changes of engines under way.
struct Opened {
    // Dropped before the store.
    changes: Vec<EngineChange>,
    store: Store,
}

fn key(number: u8) -> Vec<u8> {
    let mut key = vec![number];
    if number.is_multiple_of(9) {
        key.resize(700, number);
    }
    key
}

fn value(number: u16) -> Vec<u8> {
    vec![number as u8; usize::from(number % 700)]
}

const ENGINES: [EngineKind; 3] = [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// Every engine in turn.
fn kind(id: u32) -> KeyspaceOptions {
    KeyspaceOptions {
        engine: ENGINES[id as usize % ENGINES.len()],
        ..KeyspaceOptions::default()
    }
}

impl Program {
    fn commit(opened: &mut Opened, step: &Step) -> Result<Outcome, Error> {
        let Opened { store, changes } = opened;
        let under_way = |changes: &Vec<EngineChange>, id: u32| {
            let mut all = changes.iter();
            all.position(|change| change.keyspace() == KeyspaceId(id))
        };
        let mut batch = Batch::new();
        let mut durability = Durability::Sync;
        match step {
            Step::Create(id) => batch.create_keyspace(KeyspaceId(*id), kind(*id)),
            Step::Drop(id) => batch.drop_keyspace(KeyspaceId(*id)),
            Step::Write { id, entries, sync } => {
                for (at, to) in entries {
                    match to {
                        Some(to) => batch.put(KeyspaceId(*id), key(*at), value(*to)),
                        None => batch.delete(KeyspaceId(*id), key(*at)),
                    }
                }
                if !sync {
                    durability = Durability::None;
                }
            }
            Step::Load {
                from,
                into,
                create,
                entries,
            } => {
                let (from, into) = (KeyspaceId(*from), KeyspaceId(*into));
                batch.create_keyspace(
                    from,
                    KeyspaceOptions {
                        staging: true,
                        ..kind(from.0)
                    },
                );
                store.commit(&batch, Durability::None)?;
                for piece in entries.chunks(5) {
                    let mut batch = Batch::new();
                    for (at, to) in piece {
                        let staged = match to {
                            Some(to) => staging::encode_put(&value(*to)),
                            None => staging::encode_delete(),
                        };
                        batch.put(from, key(*at), staged);
                    }
                    store.commit(&batch, Durability::None)?;
                }
                batch = Batch::new();
                if *create {
                    batch.create_keyspace(into, kind(into.0));
                }
                batch.merge(from, into);
            }
            Step::BeginChange(id, engine) => {
                changes.push(store.change_engine(KeyspaceId(*id), *engine)?);
                return Ok(Outcome::Volatile);
            }
            Step::FinishChange(id) => {
                // After a restart there is nothing under way.
                let Some(at) = under_way(changes, *id) else {
                    return Ok(Outcome::Volatile);
                };
                let change = changes.swap_remove(at);
                let mut batch = Batch::new();
                change.finish(&mut batch);
                store.commit(&batch, Durability::Sync)?;
                return Ok(Outcome::Durable);
            }
            Step::GiveUpChange(id) => {
                if let Some(at) = under_way(changes, *id) {
                    drop(changes.swap_remove(at));
                }
                return Ok(Outcome::Volatile);
            }
            Step::Checkpoint => {
                return store.checkpoint().map(|_| Outcome::Flushed);
            }
            Step::Vacuum => {
                return store.vacuum().map(|()| Outcome::Flushed);
            }
            Step::Flush => {
                return store.flush().map(|_| Outcome::Flushed);
            }
        }
        store.commit(&batch, durability)?;
        Ok(if durability == Durability::Sync {
            Outcome::Durable
        } else {
            Outcome::Volatile
        })
    }
}

impl Subject for Program {
    type Step = Step;
    type Instance = Opened;

    fn open(&self, env: Env) -> Result<Opened, String> {
        let options = StoreOptions {
            page_size: 4096,
            memory_budget: 512 << 10,
            wal_segment_bytes: 16 << 10,
            wal_compress_above: 2000,
            background: false,
            ..StoreOptions::default()
        };
        let open = || -> Result<Opened, Error> {
            let mut opened = Opened {
                changes: Vec::new(),
                store: Store::open(env.clone(), Path::new(DIR), options)?,
            };
            if !opened.store.contains_keyspace(KeyspaceId(1)) {
                Program::commit(&mut opened, &Step::Create(1))?;
            }
            Ok(opened)
        };
        open().map_err(|error| error.to_string())
    }

    fn run(&self, opened: &mut Opened, step: &Step) -> Outcome {
        match Program::commit(opened, step) {
            Ok(outcome) => outcome,
            Err(error @ (Error::Poisoned { .. } | Error::Io { .. })) => {
                Outcome::Unknown(error.to_string())
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn effect(&self, step: &Step, model: &mut Model) {
        let (id, entries) = match step {
            Step::Write { id, entries, .. } => (id, entries),
            Step::Load { into, entries, .. } => (into, entries),
            Step::Drop(id) => {
                model.retain(|key, _| key[..4] != id.to_be_bytes());
                return;
            }
            Step::Create(_)
            | Step::BeginChange(..)
            | Step::FinishChange(_)
            | Step::GiveUpChange(_)
            | Step::Checkpoint
            | Step::Vacuum
            | Step::Flush => return,
        };
        for (at, to) in entries {
            let key = [&id.to_be_bytes()[..], &key(*at)].concat();
            match to {
                Some(to) => model.insert(key, value(*to)),
                None => model.remove(&key),
            };
        }
    }

    fn contents(&self, opened: &Opened, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        let store = &opened.store;
        let mut read = || -> Result<(), Error> {
            let snapshot = store.snapshot();
            for (id, options) in store.keyspaces() {
                if options.staging {
                    continue;
                }
                let mut cursor = snapshot.scan(id, KeyRange::all(), Direction::Forward)?;
                while let Some((key, value)) = cursor.next()? {
                    visit(&[&id.0.to_be_bytes()[..], key].concat(), value);
                }
            }
            Ok(())
        };
        read().map_err(|error| error.to_string())
    }

    fn verify(&self, opened: &Opened) -> Result<(), String> {
        let report = opened.store.verify().map_err(|error| error.to_string())?;
        if report.is_clean() {
            Ok(())
        } else {
            Err(format!("{:?}", report.findings))
        }
    }

    fn close(&self, opened: Opened) -> Result<(), String> {
        let Opened { changes, store } = opened;
        drop(changes);
        store.close().map_err(|error| error.to_string())
    }

    fn probe(&self) -> Step {
        Step::Write {
            id: 1,
            entries: vec![(77, Some(1))],
            sync: true,
        }
    }
}

fn script(seed: u64, steps: usize) -> Vec<Action<Step>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut next = 2;
    let mut alive = vec![1];
    let mut script = Vec::new();
    let entries = |random: &mut fastrand::Rng, most: usize| -> Entries {
        (0..random.usize(1..most))
            .map(|_| {
                (
                    random.u8(..40),
                    (random.u8(..4) > 0).then(|| random.u16(..)),
                )
            })
            .collect()
    };
    for _ in 0..steps {
        let id = alive[random.usize(..alive.len())];
        script.push(match random.u8(..16) {
            0 => {
                alive.push(next);
                next += 1;
                Action::Step(Step::Create(next - 1))
            }
            1 if id != 1 => {
                alive.retain(|other| *other != id);
                Action::Step(Step::Drop(id))
            }
            2 | 3 => {
                let create = random.bool();
                let from = next;
                next += 1;
                let into = if create { next } else { id };
                if create {
                    alive.push(next);
                    next += 1;
                }
                let entries = entries(&mut random, 20);
                Action::Step(Step::Load {
                    from,
                    into,
                    create,
                    entries,
                })
            }
            4 => Action::Step(Step::Checkpoint),
            5 => Action::Step(Step::Vacuum),
            6 => Action::Step(Step::Flush),
            7 => Action::Reopen,
            8 => Action::Kill,
            _ => {
                let entries = entries(&mut random, 8);
                Action::Step(Step::Write {
                    id,
                    entries,
                    sync: random.u8(..3) > 0,
                })
            }
        });
    }
    script
}

/// A keyspace goes from one engine to another while it is written to; and one that gives up.
fn script_of_changes(seed: u64, from: u32, to: EngineKind) -> Vec<Action<Step>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let id = 9 + from;
    let mut script = vec![Action::Step(Step::Create(id))];
    let mut write = |script: &mut Vec<_>, sync: bool| {
        let entries = (0..random.usize(4..12))
            .map(|_| {
                let value = (random.u8(..3) > 0).then(|| random.u16(..));
                (random.u8(..30), value)
            })
            .collect();
        script.push(Action::Step(Step::Write { id, entries, sync }));
    };
    write(&mut script, false);
    write(&mut script, true);
    let step = |script: &mut Vec<_>, step: Step| script.push(Action::Step(step));
    step(&mut script, Step::Checkpoint);
    write(&mut script, false);
    step(&mut script, Step::BeginChange(id, to));
    write(&mut script, true);
    if seed.is_multiple_of(2) {
        step(&mut script, Step::Checkpoint);
    }
    let load = Step::Load {
        from: 40,
        into: id,
        create: false,
        entries: vec![(3, Some(500)), (4, None), (50, Some(7))],
    };
    step(&mut script, load);
    write(&mut script, false);
    step(&mut script, Step::FinishChange(id));
    write(&mut script, true);
    step(&mut script, Step::Checkpoint);
    step(&mut script, Step::BeginChange(id, kind(from).engine));
    write(&mut script, true);
    step(&mut script, Step::GiveUpChange(id));
    write(&mut script, true);
    script
}

/// How many seeds to run; a gate asks for more.
fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("RUSTLING_CRASH_SEEDS").ok();
    asked.and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// Crashes `script` at every operation.
fn check_all_crashes(seed: u64, script: &[Action<Step>]) {
    let recorded = record(&Program, seed, script)
        .unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    let plan = CrashPlan {
        second_every: 300,
        probe_every: 16,
        ..CrashPlan::all()
    };
    let points = recorded.crash_points();
    let tally = check_crashes(&Program, &recorded, &points, &plan, SimEnv::env);
    assert!(
        tally.violations.is_empty(),
        "seed {seed}: {}",
        tally.violations[0]
    );
    assert!(tally.images > 100, "{tally:?}");
}

#[test]
fn nothing_acknowledged_is_lost_in_a_crash() {
    for seed in 0..seeds(2) {
        check_all_crashes(seed, &script(seed, 22));
    }
}

#[test]
fn a_change_of_engine_happens_whole_or_not_at_all() {
    for round in 0..seeds(1) {
        for from in 0..3 {
            for (number, to) in (0..).zip(ENGINES) {
                if kind(9 + from).engine != to {
                    let seed = 10 * round + number + u64::from(from);
                    check_all_crashes(seed, &script_of_changes(seed, from, to));
                }
            }
        }
    }
}

#[test]
fn an_error_at_any_operation_is_survived() {
    for seed in 100..100 + seeds(1) {
        // A failed closing may lose volatile commits, which the sweep does not expect.
        let steps = script(seed, 12).into_iter();
        let mut script: Vec<_> = steps
            .filter(|action| matches!(action, Action::Step(_)))
            .collect();
        let engine = ENGINES[seed as usize % 2 + 1];
        let change = [Step::BeginChange(1, engine), Step::FinishChange(1)];
        script.extend(change.map(Action::Step));
        for fault in [
            Fault::IoError,
            Fault::NoSpace,
            Fault::Kill,
            Fault::SyncErrorThenClean,
        ] {
            let plans = (0..300)
                .step_by(3)
                .map(|at| FaultPlan::new(seed).at(at, fault));
            // Reads go on where only writing fails.
            let readable = matches!(fault, Fault::NoSpace | Fault::SyncErrorThenClean);
            let tally = sweep_faults(&Program, seed, &script, plans, |_| {}, readable);
            assert!(
                tally.violations.is_empty(),
                "seed {seed}, {fault:?}: {}",
                tally.violations[0]
            );
        }
    }
}

/// A store of one keyspace on a disk that fills up, and what must be in it.
struct Filling {
    disk: SimEnv,
    store: Store,
    options: StoreOptions,
    keyspace: KeyspaceId,
    expected: Model,
    random: fastrand::Rng,
}

impl Filling {
    fn new(engine: EngineKind, background: bool) -> Filling {
        let options = StoreOptions {
            page_size: 4096,
            memory_budget: 1 << 20,
            wal_segment_bytes: 16 << 10,
            checkpoint_wal_bytes: 96 << 10,
            background,
            ..StoreOptions::default()
        };
        let disk = SimEnv::new(5);
        let store = Store::open(disk.env_with_threads(), Path::new(DIR), options.clone()).unwrap();
        let keyspace = store.allocate_keyspace_id();
        let mut batch = Batch::new();
        let staging = false;
        batch.create_keyspace(keyspace, KeyspaceOptions { engine, staging });
        store.commit(&batch, Durability::Sync).unwrap();
        Filling {
            disk,
            store,
            options,
            keyspace,
            expected: Model::new(),
            random: fastrand::Rng::with_seed(6),
        }
    }

    /// Commits a few rows; they are expected from then on if that worked.
    fn write(&mut self) -> Result<(), Error> {
        let mut batch = Batch::new();
        let mut rows = Vec::new();
        for _ in 0..4 {
            let key = self.random.u16(..).to_be_bytes().to_vec();
            let value = vec![self.random.u8(..); self.random.usize(300..700)];
            batch.put(self.keyspace, key.clone(), value.clone());
            rows.push((key, value));
        }
        self.store.commit(&batch, Durability::Sync)?;
        self.expected.extend(rows);
        Ok(())
    }

    fn contents(&self, store: &Store) -> Model {
        let snapshot = store.snapshot();
        let cursor = snapshot.scan(self.keyspace, KeyRange::all(), Direction::Forward);
        let mut cursor = cursor.unwrap();
        let mut found = Model::new();
        while let Some((key, value)) = cursor.next().unwrap() {
            found.insert(key.to_vec(), value.to_vec());
        }
        found
    }

    fn check(&self) {
        assert!(self.contents(&self.store) == self.expected);
        let report = self.store.verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }

    /// What the disk holds now, opened by another process: on a disk of that size.
    fn check_after_kill(&self, capacity: Option<u64>) {
        let image = self.disk.vfs.crash(&Crash::process());
        let disk = SimEnv::from_image(&image, 9);
        disk.vfs.set_capacity(capacity);
        let quiet = StoreOptions {
            background: false,
            ..self.options.clone()
        };
        let store = Store::open(disk.env(), Path::new(DIR), quiet).unwrap();
        assert!(self.contents(&store) == self.expected);
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn a_full_disk_leaves_a_working_store_of_every_engine() {
    for engine in [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid] {
        for background in [false, true] {
            let mut filling = Filling::new(engine, background);
            for round in 0..4_u64 {
                let vfs = filling.disk.vfs.clone();
                let capacity = vfs.used() + (90 << 10) * (round + 1);
                vfs.set_capacity(Some(capacity));
                let mut refused = 0;
                for commits in 0.. {
                    assert!(commits < 20_000, "the disk does not fill up");
                    let Err(error) = filling.write() else {
                        continue;
                    };
                    // Again and again: it is neither poisoned nor does it take more memory.
                    assert!(error.is_disk_full(), "{engine:?}: {error}");
                    let stats = filling.store.stats();
                    let memtables = stats.tables.memtable_bytes;
                    assert!(memtables <= (2 << 20) / 12 + 8192, "{memtables}");
                    assert!(!background || stats.replay_debt <= (192 << 10) + 8192);
                    refused += 1;
                    if refused == 5 {
                        break;
                    }
                }
                filling.check();
                filling.check_after_kill(None);
                filling.check_after_kill(Some(vfs.used().max(capacity)));
                // Reading on a full disk needs none of it, and room is all that is missing.
                vfs.set_capacity(None);
                for _ in 0..40 {
                    filling.write().unwrap();
                }
                filling.check();
                filling.store.checkpoint().unwrap();
                filling.check();
            }
            let Filling {
                disk,
                store,
                options,
                ..
            } = &filling;
            store.clone().close().unwrap();
            let disk = disk.restart_process();
            let store = Store::open(disk.env_with_threads(), Path::new(DIR), options.clone());
            let store = store.unwrap();
            assert!(filling.contents(&store) == filling.expected, "{engine:?}");
            assert!(store.verify().unwrap().is_clean());
        }
    }
}
