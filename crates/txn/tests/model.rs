//! Random interleavings of several transactions against a model of both isolation levels that
//! keeps every committed state whole, on every engine. One thread: nothing waits (`NoWait`), so that each run
//! replays.

#![expect(clippy::panic, reason = "a model that disagrees ends the test")]

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
};

use crate::common::{ENGINES, begin, manager_of_with};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_storage::{Direction, EngineKind, KeyRange, KeyspaceId};
use rustling_txn::{
    BulkWriter, Error, IsolationLevel, LockMode, LockWait, ManagerOptions, RowState, Savepoint,
    Transaction, TransactionManager,
};

const TRANSACTIONS: usize = 4;
const KEYS: u8 = 8;

#[derive(Clone, Debug)]
enum Step {
    Begin { snapshot: bool },
    Statement,
    Get(u8),
    Latest(u8),
    Scan { from: u8, to: u8, backward: bool },
    Put(u8, u8),
    Delete(u8),
    Insert(u8, u8),
    Lock(u8, u8),
    Savepoint,
    RollbackTo(u8),
    Release(u8),
    Bulk(Vec<(u8, u8)>),
    Commit,
    Abort,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        let key = u8::arbitrary(g) % KEYS;
        let value = u8::arbitrary(g);
        match u8::arbitrary(g) % 32 {
            0..=1 => Step::Begin {
                snapshot: bool::arbitrary(g),
            },
            2..=3 => Step::Statement,
            4..=6 => Step::Get(key),
            7 => Step::Latest(key),
            8..=11 => {
                let to = u8::arbitrary(g) % (KEYS + 1);
                Step::Scan {
                    from: key,
                    to,
                    backward: bool::arbitrary(g),
                }
            }
            12..=16 => Step::Put(key, value),
            17..=19 => Step::Delete(key),
            20..=21 => Step::Insert(key, value),
            22..=23 => Step::Lock(key, value % 3),
            24..=25 => Step::Savepoint,
            26 => Step::RollbackTo(value),
            27 => Step::Release(value),
            28 => Step::Bulk(
                (0..value % 5)
                    .map(|at| (u8::arbitrary(g) % KEYS, at))
                    .collect(),
            ),
            29..=30 => Step::Commit,
            _ => Step::Abort,
        }
    }
}

type Rows = BTreeMap<u8, u8>;

/// What has been committed: every state there ever was, and when each key last changed.
#[derive(Default)]
struct History {
    states: Vec<Rows>,
    changed: BTreeMap<u8, usize>,
}

struct Open {
    transaction: Transaction,
    snapshot: usize,
    own: BTreeMap<u8, Option<u8>>,
    savepoints: Vec<(Savepoint, BTreeMap<u8, Option<u8>>)>,
    /// 0 share, 1 update, 2 exclusive.
    locks: BTreeMap<u8, u8>,
    /// Whether it has locked the table in any way, and whether exclusively.
    table: Option<bool>,
}

impl Open {
    fn is_snapshot(&self) -> bool {
        self.transaction.isolation() == IsolationLevel::Snapshot
    }
}

struct Model {
    manager: TransactionManager,
    table: KeyspaceId,
    history: History,
    open: [Option<Open>; TRANSACTIONS],
    value_len: usize,
}

/// What taking a lock comes to.
enum Taken {
    No,
    New,
    Held,
    Covered,
}

impl Model {
    fn new(engine: EngineKind, write_set_bytes: usize, value_len: usize) -> Model {
        let options = ManagerOptions {
            write_set_bytes: Some(write_set_bytes),
            ..ManagerOptions::default()
        };
        let (manager, table) = manager_of_with(engine, options);
        let history = History {
            states: vec![Rows::new()],
            ..History::default()
        };
        Model {
            manager,
            table,
            history,
            open: Default::default(),
            value_len,
        }
    }

    fn value(&self, value: u8) -> Vec<u8> {
        vec![value; self.value_len]
    }

    fn seen(&self, open: &Open, key: u8) -> Option<u8> {
        match open.own.get(&key) {
            Some(own) => *own,
            None => self.history.states[open.snapshot].get(&key).copied(),
        }
    }

    fn newest(&self, open: &Open, key: u8) -> Option<u8> {
        let latest = self
            .history
            .states
            .last()
            .expect("the empty state at least");
        open.own
            .get(&key)
            .copied()
            .unwrap_or_else(|| latest.get(&key).copied())
    }

    fn changed(&self, open: &Open, key: u8) -> bool {
        self.history
            .changed
            .get(&key)
            .is_some_and(|at| *at > open.snapshot)
    }

    /// Whether another transaction stands in the way of a row lock.
    fn take(&mut self, at: usize, key: u8, mode: u8) -> Taken {
        let others = |open: &&Option<Open>| open.is_some();
        let is_other = |index: usize| index != at;
        let blocked = self
            .open
            .iter()
            .enumerate()
            .filter(|(index, open)| is_other(*index) && others(open))
            .filter_map(|(_, open)| open.as_ref())
            .any(|other| other.table == Some(true));
        if blocked {
            return Taken::No;
        }
        let held_by_others: Vec<u8> = self
            .open
            .iter()
            .enumerate()
            .filter(|(index, _)| is_other(*index))
            .filter_map(|(_, open)| open.as_ref()?.locks.get(&key).copied())
            .collect();
        let Some(open) = &mut self.open[at] else {
            return Taken::No;
        };
        if open.table == Some(true) {
            return Taken::Covered;
        }
        open.table = Some(false);
        let held = open.locks.get(&key).copied();
        if held.is_some_and(|held| held >= mode) {
            return Taken::Held;
        }
        // Share goes with share and update, nothing else goes with anything.
        if held_by_others.iter().any(|other| other + mode >= 2) {
            return Taken::No;
        }
        open.locks.insert(key, mode);
        if held.is_some() {
            Taken::Held
        } else {
            Taken::New
        }
    }

    fn step(&mut self, at: usize, step: &Step) {
        if let Step::Begin { snapshot } = step {
            if self.open[at].is_none() {
                let level = if *snapshot {
                    IsolationLevel::Snapshot
                } else {
                    IsolationLevel::ReadCommitted
                };
                let transaction = begin(&self.manager, level);
                transaction.begin_statement();
                let snapshot = self.history.states.len() - 1;
                self.open[at] = Some(Open {
                    transaction,
                    snapshot,
                    own: BTreeMap::new(),
                    savepoints: Vec::new(),
                    locks: BTreeMap::new(),
                    table: None,
                });
            }
            return;
        }
        if self.open[at].is_none() {
            return;
        }
        match step {
            Step::Put(key, value) => self.write(at, *key, Some(*value), false),
            Step::Delete(key) => self.write(at, *key, None, false),
            Step::Insert(key, value) => self.write(at, *key, Some(*value), true),
            Step::Lock(key, mode) => {
                self.lock(at, *key, *mode);
            }
            Step::Bulk(entries) => self.bulk(at, entries),
            Step::Commit => {
                let open = self.open[at].take().expect("checked above");
                let next = self.history.states.len();
                let mut state = self.history.states[next - 1].clone();
                for (key, value) in &open.own {
                    match value {
                        Some(value) => state.insert(*key, *value),
                        None => state.remove(key),
                    };
                    self.history.changed.insert(*key, next);
                }
                self.history.states.push(state);
                open.transaction.commit().expect("commit");
            }
            Step::Abort => self.open[at] = None,
            _ => self.read(at, step),
        }
    }

    fn read(&mut self, at: usize, step: &Step) {
        let mut open = self.open[at].take().expect("checked by the caller");
        let table = self.table;
        match step {
            Step::Statement => {
                open.transaction.begin_statement();
                if !open.is_snapshot() {
                    open.snapshot = self.history.states.len() - 1;
                }
            }
            Step::Get(key) => {
                let expected = self.seen(&open, *key).map(|value| self.value(value));
                assert_eq!(open.transaction.get(table, &[*key]).expect("get"), expected);
            }
            Step::Latest(key) => {
                let expected = self.newest(&open, *key).map(|value| self.value(value));
                assert_eq!(
                    open.transaction.get_latest(table, &[*key]).expect("get"),
                    expected
                );
            }
            Step::Scan { from, to, backward } => {
                let direction = if *backward {
                    Direction::Backward
                } else {
                    Direction::Forward
                };
                let range = KeyRange {
                    start: Bound::Included(vec![*from]),
                    end: Bound::Excluded(vec![*to]),
                };
                let mut cursor = open
                    .transaction
                    .scan(table, range, direction)
                    .expect("scan");
                let mut rows = Vec::new();
                // A step and a visit of some rows take turns.
                while let Some((key, value)) = cursor.next().expect("next") {
                    assert_eq!(value.len(), self.value_len);
                    rows.push((key[0], value[0]));
                    let until = rows.len() + usize::from(from % 3);
                    if rows.len() == until {
                        continue;
                    }
                    let left = cursor.visit(|key, value| {
                        rows.push((key[0], value[0]));
                        match rows.len() < until {
                            true => ControlFlow::Continue(()),
                            false => ControlFlow::Break(()),
                        }
                    });
                    assert_eq!(left.expect("visit").is_break(), rows.len() == until);
                }
                let mut expected: Vec<_> = (*from..*to)
                    .filter_map(|key| Some((key, self.seen(&open, key)?)))
                    .collect();
                if *backward {
                    expected.reverse();
                }
                assert_eq!(rows, expected);
            }
            Step::Savepoint => open
                .savepoints
                .push((open.transaction.savepoint(), open.own.clone())),
            Step::RollbackTo(which) if !open.savepoints.is_empty() => {
                let keep = usize::from(*which) % open.savepoints.len() + 1;
                open.savepoints.truncate(keep);
                let (savepoint, own) = open.savepoints.last().expect("at least one is kept");
                open.own.clone_from(own);
                open.transaction.rollback_to(savepoint).expect("rollback");
            }
            Step::Release(which) if !open.savepoints.is_empty() => {
                let keep = usize::from(*which) % open.savepoints.len();
                let released = open
                    .savepoints
                    .drain(keep..)
                    .next()
                    .expect("at least one goes");
                open.transaction.release(released.0);
            }
            _ => {}
        }
        self.open[at] = Some(open);
    }

    /// Locks a row; tells whether it is locked now and the transaction may write it.
    fn lock(&mut self, at: usize, key: u8, mode: u8) -> bool {
        let taken = self.take(at, key, mode);
        let open = self.open[at].as_ref().expect("checked by the caller");
        let lock_mode = [LockMode::Share, LockMode::Update, LockMode::Exclusive][usize::from(mode)];
        let result = open
            .transaction
            .lock_row(self.table, &[key], lock_mode, LockWait::NoWait);
        let changed = self.changed(open, key);
        match (taken, result) {
            (Taken::No, Err(Error::LockNotAvailable { .. })) => false,
            (Taken::New, Err(Error::WriteConflict { .. })) if changed && open.is_snapshot() => {
                self.open[at].as_mut().map(|open| open.locks.remove(&key));
                false
            }
            (Taken::Covered, Err(Error::WriteConflict { .. })) if changed && open.is_snapshot() => {
                false
            }
            (Taken::New | Taken::Held | Taken::Covered, Ok(RowState::Changed))
                if changed && !open.is_snapshot() =>
            {
                true
            }
            (Taken::New | Taken::Held | Taken::Covered, Ok(RowState::Unchanged)) if !changed => {
                true
            }
            (taken, result) => {
                let taken = ["no", "new", "held", "covered"][taken as usize];
                panic!("{taken} but {result:?}, changed: {changed}")
            }
        }
    }

    fn write(&mut self, at: usize, key: u8, value: Option<u8>, insert: bool) {
        // Where another holds the row, a write would wait: leave it.
        if matches!(self.probe(at, key), Taken::No) {
            return;
        }
        let taken = self.take(at, key, 2);
        let bytes = value.map(|value| self.value(value));
        let open = self.open[at].as_ref().expect("checked by the caller");
        let (transaction, table) = (&open.transaction, self.table);
        let result = match (&bytes, insert) {
            (Some(bytes), true) => transaction.insert(table, &[key], bytes),
            (Some(bytes), false) => transaction.put(table, &[key], bytes),
            (None, _) => transaction.delete(table, &[key]),
        };
        let exists = insert && self.newest(open, key).is_some();
        let fresh = matches!(taken, Taken::New | Taken::Covered);
        let conflict = open.is_snapshot() && fresh && self.changed(open, key);
        match result {
            Err(Error::KeyExists { .. }) if exists => {}
            Err(Error::WriteConflict { .. }) if conflict && !exists => {}
            Ok(()) if !exists && !conflict => {
                self.open[at]
                    .as_mut()
                    .map(|open| open.own.insert(key, value));
                return;
            }
            result => panic!("{result:?}, exists: {exists}, conflict: {conflict}"),
        }
        if matches!(taken, Taken::New) {
            self.open[at].as_mut().map(|open| open.locks.remove(&key));
        }
    }

    /// What taking the row exclusively would come to.
    fn probe(&mut self, at: usize, key: u8) -> Taken {
        let Some(open) = &self.open[at] else {
            return Taken::No;
        };
        let (locks, table) = (open.locks.clone(), open.table);
        let taken = self.take(at, key, 2);
        if let Some(open) = &mut self.open[at] {
            (open.locks, open.table) = (locks, table);
        }
        taken
    }

    fn bulk(&mut self, at: usize, entries: &[(u8, u8)]) {
        let alone = self.open.iter().enumerate().all(|(other, open)| {
            other == at || open.as_ref().is_none_or(|open| open.table.is_none())
        });
        if !alone {
            return;
        }
        let rows: Vec<_> = entries
            .iter()
            .map(|(key, value)| (vec![*key], self.value(*value)))
            .collect();
        let open = self.open[at].as_ref().expect("checked by the caller");
        let conflict =
            open.is_snapshot() && entries.iter().any(|(key, _)| self.changed(open, *key));
        let writer = open
            .transaction
            .bulk_writer(self.table)
            .expect("nobody else locks the table");
        let written = writer.write(&rows);
        let open = self.open[at].as_mut().expect("checked by the caller");
        open.table = Some(true);
        if conflict {
            assert!(matches!(written, Err(Error::WriteConflict { .. })));
            return;
        }
        written.expect("write");
        // Without its end a bulk load has not happened.
        if entries.len().is_multiple_of(2) {
            BulkWriter::finish(writer).expect("finish");
            open.own
                .extend(entries.iter().map(|(key, value)| (*key, Some(*value))));
        }
    }
}

fn plays_like_the_model(
    engine: u8,
    write_set_bytes: usize,
    value_len: usize,
    steps: &[(u8, Step)],
) -> bool {
    let engine = ENGINES[usize::from(engine) % ENGINES.len()];
    let mut model = Model::new(engine, write_set_bytes, value_len);
    let reserved = model.manager.store().memory().used();
    for (at, step) in steps {
        model.step(usize::from(*at) % TRANSACTIONS, step);
    }
    model.open = Default::default();
    let stats = model.manager.stats();
    assert_eq!((stats.locks, stats.active), (0, 0));
    assert_eq!(
        model.manager.store().keyspaces().len(),
        1,
        "no staging keyspace is left"
    );
    assert_eq!(model.manager.store().memory().used(), reserved);
    let reader = begin(&model.manager, IsolationLevel::Snapshot);
    let last = model.history.states.last().expect("a state");
    (0..KEYS).all(|key| {
        let value = reader.get(model.table, &[key]).expect("get");
        value == last.get(&key).map(|value| model.value(*value))
    })
}

fn runs() -> u64 {
    std::env::var("RUSTLING_TXN_MODEL_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(300)
}

#[test]
fn interleavings_in_memory() {
    fn property(engine: u8, steps: Vec<(u8, Step)>) -> bool {
        plays_like_the_model(engine, usize::MAX, 1, &steps)
    }
    QuickCheck::new()
        .rng(Gen::new(300))
        .tests(runs())
        .quickcheck(property as fn(u8, Vec<(u8, Step)>) -> bool);
}

#[test]
fn interleavings_that_spill() {
    // Half of the share is more than all locks cost, so that none escalates; two values are
    // more than the share.
    fn property(engine: u8, steps: Vec<(u8, Step)>) -> bool {
        plays_like_the_model(engine, 4 << 10, 3 << 10, &steps)
    }
    QuickCheck::new()
        .rng(Gen::new(300))
        .tests(runs())
        .quickcheck(property as fn(u8, Vec<(u8, Step)>) -> bool);
}
