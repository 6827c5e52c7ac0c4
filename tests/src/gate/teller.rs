//! Tellers: threads that move money between accounts at random, in each other's way, through
//! transactions that are retried; and the audit.

use std::{collections::BTreeMap, path::Path};

use rustling_storage::{Direction, Env, KeyRange, Store, StoreOptions};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, ManagerOptions, TransactionManager,
    TransactionOptions,
};

use super::{
    bank::{ACCOUNTS, OPENING_BALANCE, account, total},
    branches::Branches,
    children::AckLog,
    options::{ENGINES, for_threads},
};

/// Tellers at a time.
pub const TELLERS: u32 = 3;

/// A bank with real threads.
#[derive(Debug)]
pub struct Bank {
    manager: TransactionManager,
    branches: Branches,
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn journal_key(who: u32) -> Vec<u8> {
    [&b"journal "[..], &who.to_be_bytes()].concat()
}

fn balance(value: Option<Vec<u8>>) -> i64 {
    value
        .and_then(|value| value.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)))
        .unwrap_or(0)
}

impl Bank {
    /// Opens the bank, which is founded where it is not there yet.
    ///
    /// # Errors
    /// In words.
    pub fn open(env: &Env, directory: &Path, options: StoreOptions) -> Result<Bank, String> {
        let store = Store::open(env.clone(), directory, options).map_err(words)?;
        let found = Branches::of(&store);
        let manager = TransactionManager::with_options(
            store,
            env.clone(),
            ManagerOptions {
                attempts: 10_000,
                ..ManagerOptions::default()
            },
        );
        if let Some(branches) = found {
            return Ok(Bank { manager, branches });
        }
        let branches = manager
            .transaction(TransactionOptions::default(), |transaction| {
                let branches = Branches::found(transaction, ENGINES)?;
                for number in 0..ACCOUNTS {
                    let key = account(number);
                    let balance = OPENING_BALANCE.to_le_bytes();
                    transaction.insert(branches.keyspace(&key), &key, &balance)?;
                }
                Ok(branches)
            })
            .map_err(words)?;
        Ok(Bank { manager, branches })
    }

    /// Moves money between two to four accounts in one transaction, and notes its number in the
    /// teller's journal. Now and then it thinks better of it and rolls back first.
    ///
    /// # Errors
    /// In words.
    pub fn transfer(&self, who: u32, number: u64, rng: &mut fastrand::Rng) -> Result<(), String> {
        let isolation = [
            IsolationLevel::ReadCommitted,
            IsolationLevel::Snapshot,
            IsolationLevel::Serializable,
        ][rng.usize(..3)];
        if rng.u8(..8) == 0 {
            let transaction = self
                .manager
                .begin(TransactionOptions::isolation(isolation))
                .map_err(words)?;
            let key = account(rng.u8(..ACCOUNTS));
            let keyspace = self.branches.keyspace(&key);
            match transaction.put(keyspace, &key, &(-1i64).to_le_bytes()) {
                Ok(()) | Err(Error::WriteConflict { .. } | Error::Deadlock { .. }) => {
                    transaction.rollback()
                }
                Err(error) => return Err(words(error)),
            }
        }
        self.manager
            .transaction(TransactionOptions::isolation(isolation), |transaction| {
                let hops = rng.usize(1..4);
                for _ in 0..hops {
                    let (from, to) = (rng.u8(..ACCOUNTS), rng.u8(..ACCOUNTS));
                    if from == to {
                        continue;
                    }
                    let amount = rng.i64(1..50);
                    let mark = transaction.savepoint();
                    for (number, change) in [(from, -amount), (to, amount)] {
                        let key = account(number);
                        transaction.begin_statement();
                        let at = self.branches.keyspace(&key);
                        transaction.lock_row(at, &key, LockMode::Exclusive, LockWait::Wait)?;
                        let before = balance(transaction.get_latest(at, &key)?);
                        transaction.put(at, &key, &(before + change).to_le_bytes())?;
                        transaction.end_statement();
                    }
                    if rng.u8(..5) == 0 {
                        transaction.rollback_to(&mark)?;
                    }
                }
                let key = journal_key(who);
                let keyspace = self.branches.keyspace(&key);
                transaction.put(keyspace, &key, &number.to_le_bytes())
            })
            .map_err(words)
    }

    /// Sums up all accounts in one snapshot.
    ///
    /// # Errors
    /// In words, where the sum is not what it was at the beginning.
    pub fn audit(&self) -> Result<(), String> {
        let options = TransactionOptions {
            read_only: true,
            ..TransactionOptions::isolation(IsolationLevel::Snapshot)
        };
        let transaction = self.manager.begin(options).map_err(words)?;
        let mut entries = Vec::new();
        for keyspace in self.branches.all() {
            let mut cursor = transaction
                .scan(keyspace, KeyRange::all(), Direction::Forward)
                .map_err(words)?;
            while let Some((key, value)) = cursor.next().map_err(words)? {
                entries.push((key.to_vec(), value.to_vec()));
            }
        }
        let expected = i64::from(ACCOUNTS) * OPENING_BALANCE;
        match total(entries.iter().map(|(key, value)| (&key[..], &value[..]))) {
            Some(sum) if sum == expected => Ok(()),
            other => Err(format!("the accounts hold {other:?} instead of {expected}")),
        }
    }

    fn journal(&self, who: u32) -> Result<u64, String> {
        let value = self
            .manager
            .store()
            .snapshot()
            .get(self.branches.keyspace(&journal_key(who)), &journal_key(who))
            .map_err(words)?;
        Ok(value
            .and_then(|value| value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)))
            .unwrap_or(0))
    }

    /// Closes the bank in good order.
    ///
    /// # Errors
    /// In words.
    pub fn close(self) -> Result<(), String> {
        let store = self.manager.store().clone();
        drop(self);
        store.close().map_err(words)
    }
}

/// Opens the bank and transfers with several threads, for ever.
///
/// # Panics
/// On any error: the parent reports what the child said.
#[expect(clippy::panic, reason = "a child has nobody else to tell")]
pub fn transfer_until_killed(directory: &Path, seed: u64) {
    let env = Env::system();
    let work = |bank: &Bank, who: u32| -> Result<(), String> {
        let mut acks = AckLog::open(&env, directory, who).map_err(words)?;
        let mut rng = fastrand::Rng::with_seed(seed ^ u64::from(who));
        let mut number = bank.journal(who)?;
        // What was in doubt when the last process died has been read now, and stays.
        acks.note(number).map_err(words)?;
        loop {
            number += 1;
            bank.transfer(who, number, &mut rng)?;
            acks.note(number).map_err(words)?;
        }
    };
    let result = Bank::open(&env, directory, for_threads(seed)).and_then(|bank| {
        std::thread::scope(|scope| {
            let (bank, work) = (&bank, &work);
            let tellers: Vec<_> = (0..TELLERS)
                .map(|who| scope.spawn(move || work(bank, who)))
                .collect();
            tellers
                .into_iter()
                .try_for_each(|teller| teller.join().map_err(|_| "a teller panicked".to_owned())?)
        })
    });
    if let Err(reason) = result {
        panic!("{reason}");
    }
}

/// Opens the bank after its tellers were killed. The answer is the number of transfers.
///
/// # Errors
/// In words: what was lost, or is there in part.
pub fn check(env: &Env, directory: &Path, acked: &BTreeMap<u32, u64>) -> Result<u64, String> {
    let bank = Bank::open(env, directory, for_threads(0))?;
    bank.audit()?;
    let report = bank.manager.store().verify().map_err(words)?;
    if let Some(finding) = report.findings.first() {
        return Err(format!(
            "{} findings, the first: {finding:?}",
            report.findings.len()
        ));
    }
    let mut transfers = 0;
    for who in 0..TELLERS {
        let (found, promised) = (bank.journal(who)?, acked.get(&who).copied().unwrap_or(0));
        if found < promised || found > promised + 1 {
            return Err(format!(
                "teller {who} is at transfer {found}, {promised} were acknowledged"
            ));
        }
        transfers += found;
    }
    bank.close()?;
    Ok(transfers)
}
