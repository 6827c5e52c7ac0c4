//! Transactions at random, from several threads, with notes of what they saw: for the checker in
//! `rustling_testkit::history`. Keys are spread over as many keyspaces as there are, whatever
//! their engines; a range is read in all of them.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
};

use rustling_storage::{Direction, KeyRange, KeyspaceId};
use rustling_testkit::history::{Fate, History, Operation, Transaction as Noted};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, Result, RowState, Transaction, TransactionManager,
    TransactionOptions,
};

/// What the keys hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lists that are appended to.
    Lists,
    /// Values that are replaced and deleted.
    Registers,
}

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// What the keys hold.
    pub(crate) kind: Kind,
    /// How the transactions are isolated.
    pub(crate) level: IsolationLevel,
    /// Threads.
    pub(crate) threads: u64,
    /// Transactions of each thread.
    pub(crate) transactions: u64,
    /// Where the randomness starts.
    pub(crate) seed: u64,
}

/// Keys that are in use at a time.
const KEYS: u64 = 8;
/// After this many of a thread's transactions other keys are used, so that lists stay short.
const ROUND: u64 = 100;

fn encode(key: u64) -> [u8; 8] {
    key.to_be_bytes()
}

fn numbers(value: &[u8]) -> Vec<u64> {
    value
        .chunks_exact(8)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte))
        })
        .collect()
}

fn range_of(range: &Range<u64>) -> KeyRange {
    KeyRange {
        start: Bound::Included(encode(range.start).to_vec()),
        end: Bound::Excluded(encode(range.end).to_vec()),
    }
}

/// The key of a row as of now, locked.
fn locked(transaction: &Transaction, table: KeyspaceId, key: u64) -> Result<Vec<u8>> {
    let key = encode(key);
    let state = transaction.lock_row(table, &key, LockMode::Exclusive, LockWait::Wait)?;
    let value = match state {
        RowState::Changed => transaction.get_latest(table, &key)?,
        _ => transaction.get(table, &key)?,
    };
    Ok(value.unwrap_or_default())
}

struct Worker<'a> {
    manager: &'a TransactionManager,
    tables: &'a [KeyspaceId],
    workload: Workload,
    random: fastrand::Rng,
    /// The next value; no two workers have one in common.
    next_value: u64,
}

impl Worker<'_> {
    fn value(&mut self) -> u64 {
        self.next_value += self.workload.threads;
        self.next_value
    }

    /// Where a key is.
    fn table(&self, key: u64) -> KeyspaceId {
        self.tables[(key % self.tables.len() as u64) as usize]
    }

    fn write(&mut self, transaction: &Transaction, key: u64) -> Result<Operation> {
        let (value, table) = (self.value(), self.table(key));
        match self.workload.kind {
            Kind::Lists => {
                let mut list = locked(transaction, table, key)?;
                list.extend_from_slice(&value.to_be_bytes());
                transaction.put(table, &encode(key), &list)?;
                Ok(Operation::Append { key, value })
            }
            Kind::Registers if self.random.u8(..12) == 0 => {
                transaction.delete(table, &encode(key))?;
                Ok(Operation::Write { key, value: None })
            }
            Kind::Registers => {
                transaction.put(table, &encode(key), &value.to_be_bytes())?;
                Ok(Operation::Write {
                    key,
                    value: Some(value),
                })
            }
        }
    }

    fn read(&self, transaction: &Transaction, key: u64) -> Result<Operation> {
        let found = transaction.get(self.table(key), &encode(key))?;
        let values = found.as_deref().map(numbers);
        Ok(match self.workload.kind {
            Kind::Lists => Operation::ReadList {
                key,
                values: values.unwrap_or_default(),
            },
            Kind::Registers => Operation::Read {
                key,
                value: values.and_then(|values| values.first().copied()),
            },
        })
    }

    fn scan(
        &self,
        transaction: &Transaction,
        range: Range<u64>,
        direction: Direction,
    ) -> Result<Operation> {
        let mut found = BTreeMap::new();
        for table in self.tables {
            let mut cursor = transaction.scan(*table, range_of(&range), direction)?;
            while let Some((key, value)) = cursor.next()? {
                let key = numbers(key).first().copied().unwrap_or(u64::MAX);
                found.insert(key, numbers(value));
            }
        }
        Ok(match self.workload.kind {
            Kind::Lists => Operation::ScanLists { range, found },
            Kind::Registers => Operation::Scan {
                range,
                found: found
                    .into_iter()
                    .filter_map(|(key, values)| Some((key, values.first().copied()?)))
                    .collect(),
            },
        })
    }

    fn operations(
        &mut self,
        transaction: &Transaction,
        first: u64,
        operations: &mut Vec<Operation>,
    ) -> Result<()> {
        for _ in 0..self.random.u8(1..6) {
            if self.random.u8(..3) == 0 {
                std::thread::yield_now();
            }
            transaction.begin_statement();
            let key = first + self.random.u64(..KEYS);
            let operation = match self.random.u8(..20) {
                0..=7 => self.write(transaction, key)?,
                8..=14 => self.read(transaction, key)?,
                15..=18 => {
                    let end = self.random.u64(key..first + KEYS) + 1;
                    let direction = if self.random.bool() {
                        Direction::Forward
                    } else {
                        Direction::Backward
                    };
                    self.scan(transaction, key..end, direction)?
                }
                _ => {
                    let savepoint = transaction.savepoint();
                    self.write(transaction, key)?;
                    transaction.rollback_to(&savepoint)?;
                    continue;
                }
            };
            operations.push(operation);
        }
        Ok(())
    }

    fn transaction(&mut self, id: u64, first: u64) -> Noted {
        let options = TransactionOptions::isolation(self.workload.level);
        let mut noted = Noted::committed(id);
        let outcome = self.manager.begin(options).and_then(|transaction| {
            self.operations(&transaction, first, &mut noted.operations)?;
            if self.random.u8(..16) == 0 {
                transaction.rollback();
                return Err(Error::Finished);
            }
            transaction.commit()
        });
        match outcome {
            Ok(lsn) => noted.position = Some(lsn.0),
            Err(error) => {
                assert!(
                    error.is_retryable() || matches!(error, Error::Finished),
                    "{error}"
                );
                noted.fate = Fate::Aborted;
            }
        }
        noted
    }
}

/// Runs a workload and gives what its transactions saw; the last one read everything.
pub(crate) fn run(
    manager: &TransactionManager,
    tables: &[KeyspaceId],
    workload: Workload,
) -> History {
    let mut history = History::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workload.threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut worker = Worker {
                        manager,
                        tables,
                        workload,
                        random: fastrand::Rng::with_seed(workload.seed << 8 | thread),
                        next_value: thread,
                    };
                    (0..workload.transactions)
                        .map(|number| {
                            let first = number / ROUND * KEYS;
                            worker.transaction(number * workload.threads + thread, first)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            history.extend(worker.join().expect("a worker does not panic"));
        }
    });
    let reader = Worker {
        manager,
        tables,
        workload,
        random: fastrand::Rng::with_seed(workload.seed),
        next_value: 0,
    };
    let all = 0..workload.transactions.div_ceil(ROUND) * KEYS;
    let mut last = Noted::committed(u64::MAX);
    let options = TransactionOptions::isolation(workload.level);
    let seen = manager.begin(options).and_then(|transaction| {
        last.operations
            .push(reader.scan(&transaction, all, Direction::Forward)?);
        transaction.commit()
    });
    seen.expect("nobody else runs");
    history.push(last);
    history
}
