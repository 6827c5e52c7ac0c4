//! Transactions as the crash harness sees them: a bank.
//!
//! Two transactions at a time move money between accounts that neither shares with the other,
//! in several statements each, with savepoints and rollbacks. Whatever happens, the money adds
//! up, and a transaction is there whole or not at all.

use std::{collections::BTreeMap, path::Path};

use rustling_storage::{
    Direction, EngineKind, Env, Error as StorageError, KeyRange, KeyspaceId, MemoryBudget, Store,
    StoreOptions,
};
use rustling_testkit::harness::{Action, Model, Outcome, Subject};
use rustling_txn::{
    Error, IsolationLevel, ManagerOptions, Savepoint, Transaction, TransactionManager,
    TransactionOptions,
};

use super::{branches::Branches, options::ENGINES, store::DIRECTORY};

/// Number of accounts.
pub const ACCOUNTS: u8 = 24;
/// What each account holds at the beginning.
pub const OPENING_BALANCE: i64 = 1000;

const PROBE: &[u8] = b"probe";

/// Rows of a load that come together.
const LOADED_AT_ONCE: usize = 7;

/// A step of a script. `who` is 0 or 1: which of the two transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes the accounts. The first step of every script.
    Found,
    /// Begins a transaction.
    Begin {
        /// Which.
        who: usize,
        /// What it sees of the other.
        isolation: IsolationLevel,
    },
    /// Adds to an account's balance, whatever it is: a commit before may have failed.
    Add {
        /// Which.
        who: usize,
        /// The account.
        key: Vec<u8>,
        /// How much.
        amount: i64,
    },
    /// Sets a key of the transaction's journal.
    Put {
        /// Which.
        who: usize,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a key.
    Delete {
        /// Which.
        who: usize,
        /// The key.
        key: Vec<u8>,
    },
    /// Sets keys of the transaction's journal in bulk: a sorted run for each branch.
    Load {
        /// Which.
        who: usize,
        /// The keys, ascending, with their values.
        rows: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// Gives a branch another engine with the commit, while the other transaction goes on there.
    SetEngine {
        /// Which.
        who: usize,
        /// The branch's number.
        branch: usize,
        /// Its engine then.
        engine: EngineKind,
    },
    /// Marks a place to come back to.
    Savepoint {
        /// Which.
        who: usize,
    },
    /// Comes back to it.
    RollbackTo {
        /// Which.
        who: usize,
    },
    /// Gives up.
    Rollback {
        /// Which.
        who: usize,
    },
    /// Commits; what it changed in the end is stated for the oracle.
    Commit {
        /// Which.
        who: usize,
        /// What it does to each key.
        changes: Changes,
    },
    /// A checkpoint in between.
    Checkpoint,
    /// A small transaction of its own, which founds the keyspaces where it has to, after the end of
    /// the others.
    Probe,
}

/// What a transaction does to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The balance grows by so much.
    Add(i64),
    /// The key has this value, or is gone.
    Set(Option<Vec<u8>>),
}

/// What a transaction does.
pub type Changes = BTreeMap<Vec<u8>, Change>;

/// The bank under test.
#[derive(Clone, Debug)]
pub struct BankSubject {
    /// How its store is opened.
    pub options: StoreOptions,
    /// The engines of its branches.
    pub engines: [EngineKind; ENGINES.len()],
    /// Bytes after which a transaction's changes spill into the store.
    pub write_set_bytes: usize,
    /// Bytes of a sorted run after which it goes past the log.
    pub logged_load_bytes: usize,
}

/// A bank that is open.
#[derive(Debug)]
pub struct OpenBank {
    // Transactions first: they end before the store does.
    transactions: [Option<Transaction>; 2],
    savepoints: [Option<Savepoint>; 2],
    /// Whether a statement of the transaction failed: it can only be rolled back then.
    failed: [bool; 2],
    manager: TransactionManager,
    engines: [EngineKind; ENGINES.len()],
    branches: Option<Branches>,
}

/// The key of an account.
#[must_use]
pub fn account(number: u8) -> Vec<u8> {
    vec![b'a', number]
}

/// The key of an entry in a transaction's journal.
fn journal_key(who: usize, number: u32) -> Vec<u8> {
    [&b"j"[..], &[who as u8], &number.to_be_bytes()].concat()
}

/// The balance that an account's value says.
fn balance(value: &[u8]) -> Option<i64> {
    value.first_chunk().map(|bytes| i64::from_le_bytes(*bytes))
}

/// Sums up the accounts among these entries; `None` where there are no accounts.
pub fn total<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Option<i64> {
    entries
        .into_iter()
        .filter(|(key, _)| key.first() == Some(&b'a'))
        .filter_map(|(_, value)| balance(value))
        .fold(None, |sum, balance| Some(sum.unwrap_or(0) + balance))
}

impl OpenBank {
    fn found(&mut self) -> Result<(), Error> {
        let transaction = self.manager.begin(TransactionOptions::default())?;
        let branches = Branches::found(&transaction, self.engines)?;
        for number in 0..ACCOUNTS {
            let key = account(number);
            let balance = OPENING_BALANCE.to_le_bytes();
            transaction.insert(branches.keyspace(&key), &key, &balance)?;
        }
        transaction.commit()?;
        self.branches = Some(branches);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Outcome, Error> {
        let branches = self.branches.unwrap_or(Branches::nowhere());
        let open =
            |transactions: &[Option<Transaction>; 2], who: usize| transactions[who].is_some();
        match step {
            Step::Found => {
                self.found()?;
                return Ok(Outcome::Durable);
            }
            Step::Begin { who, isolation } => {
                self.failed[*who] = false;
                self.transactions[*who] = Some(
                    self.manager
                        .begin(TransactionOptions::isolation(*isolation))?,
                );
            }
            Step::Add { who, .. }
            | Step::Put { who, .. }
            | Step::Delete { who, .. }
            | Step::Load { who, .. }
            | Step::SetEngine { who, .. }
            | Step::Savepoint { who }
            | Step::RollbackTo { who }
            | Step::Rollback { who }
            | Step::Commit { who, .. }
                if !open(&self.transactions, *who) =>
            {
                return Err(Error::Finished);
            }
            Step::Add { who, key, amount } => {
                if let Some(transaction) = &self.transactions[*who] {
                    transaction.begin_statement();
                    let result = add(transaction, branches.keyspace(key), key, *amount);
                    transaction.end_statement();
                    result?;
                }
            }
            Step::Put { who, key, value } => {
                if let Some(transaction) = &self.transactions[*who] {
                    transaction.begin_statement();
                    let result = transaction.put(branches.keyspace(key), key, value);
                    transaction.end_statement();
                    result?;
                }
            }
            Step::Delete { who, key } => {
                if let Some(transaction) = &self.transactions[*who] {
                    transaction.delete(branches.keyspace(key), key)?;
                }
            }
            Step::Load { who, rows } => {
                if let Some(transaction) = &self.transactions[*who] {
                    transaction.begin_statement();
                    let result = load(transaction, branches, rows);
                    transaction.end_statement();
                    result?;
                }
            }
            Step::SetEngine {
                who,
                branch,
                engine,
            } => {
                if let Some(transaction) = &self.transactions[*who] {
                    transaction.set_engine(branches.all()[*branch], *engine)?;
                }
            }
            Step::Savepoint { who } => {
                self.savepoints[*who] =
                    self.transactions[*who].as_ref().map(Transaction::savepoint);
            }
            Step::RollbackTo { who } => {
                if let (Some(transaction), Some(savepoint)) =
                    (&self.transactions[*who], &self.savepoints[*who])
                {
                    transaction.rollback_to(savepoint)?;
                }
            }
            Step::Rollback { who } => {
                self.savepoints[*who] = None;
                if let Some(transaction) = self.transactions[*who].take() {
                    transaction.rollback();
                }
            }
            Step::Commit { who, .. } => {
                self.savepoints[*who] = None;
                if let Some(transaction) = self.transactions[*who].take() {
                    if self.failed[*who] {
                        transaction.rollback();
                        return Err(Error::Finished);
                    }
                    transaction.commit()?;
                }
                return Ok(Outcome::Durable);
            }
            Step::Probe => {
                self.savepoints = [None, None];
                self.transactions = [None, None];
                let transaction = self.manager.begin(TransactionOptions::default())?;
                let branches = match self.branches {
                    Some(branches) => branches,
                    None => Branches::found(&transaction, self.engines)?,
                };
                transaction.put(branches.keyspace(PROBE), PROBE, PROBE)?;
                transaction.commit()?;
                self.branches = Some(branches);
                return Ok(Outcome::Durable);
            }
            Step::Checkpoint => {
                self.manager.store().checkpoint()?;
                return Ok(Outcome::Flushed);
            }
        }
        // Nothing that others see has changed.
        Ok(Outcome::Volatile)
    }
}

/// Adds to the balance of an account that there is.
fn add(
    transaction: &Transaction,
    keyspace: KeyspaceId,
    key: &[u8],
    amount: i64,
) -> Result<(), Error> {
    let before = transaction.get(keyspace, key)?;
    let before = before.as_deref().and_then(balance).ok_or(Error::Finished)?;
    transaction.put(keyspace, key, &(before + amount).to_le_bytes())
}

/// Loads rows, those of each branch on their own.
fn load(
    transaction: &Transaction,
    branches: Branches,
    rows: &[(Vec<u8>, Vec<u8>)],
) -> Result<(), Error> {
    for branch in branches.all() {
        let rows = rows
            .iter()
            .filter(|(key, _)| branches.keyspace(key) == branch);
        let rows: Vec<_> = rows.cloned().collect();
        let writer = transaction.bulk_writer(branch)?;
        rows.chunks(LOADED_AT_ONCE)
            .try_for_each(|some| writer.write(some))?;
        writer.finish()?;
    }
    Ok(())
}

impl Subject for BankSubject {
    type Step = Step;
    type Instance = OpenBank;

    fn open(&self, env: Env) -> Result<OpenBank, String> {
        let store = Store::open(env.clone(), Path::new(DIRECTORY), self.options.clone())
            .map_err(|error| error.to_string())?;
        let branches = Branches::of(&store);
        let options = ManagerOptions {
            write_set_bytes: Some(self.write_set_bytes),
            logged_load_bytes: self.logged_load_bytes,
            ..ManagerOptions::default()
        };
        let manager = TransactionManager::with_options(store, env, options);
        Ok(OpenBank {
            transactions: [None, None],
            savepoints: [None, None],
            failed: [false; 2],
            manager,
            engines: self.engines,
            branches,
        })
    }

    fn run(&self, bank: &mut OpenBank, step: &Step) -> Outcome {
        match bank.step(step) {
            Ok(outcome) => outcome,
            // Refused before anything of it is written.
            Err(error @ Error::Storage(StorageError::OutOfMemory { .. }))
                if matches!(step, Step::Commit { .. } | Step::Found | Step::Probe) =>
            {
                Outcome::Failed(error.to_string())
            }
            Err(error @ Error::Storage(_))
                if matches!(step, Step::Commit { .. } | Step::Found | Step::Probe) =>
            {
                Outcome::Unknown(error.to_string())
            }
            Err(error) => {
                if let Step::Add { who, .. }
                | Step::Put { who, .. }
                | Step::Delete { who, .. }
                | Step::Load { who, .. }
                | Step::SetEngine { who, .. }
                | Step::Savepoint { who }
                | Step::RollbackTo { who } = step
                {
                    bank.failed[*who] = true;
                }
                Outcome::Failed(error.to_string())
            }
        }
    }

    fn effect(&self, step: &Step, model: &mut Model) {
        match step {
            Step::Found => model.extend(
                (0..ACCOUNTS)
                    .map(|number| (account(number), OPENING_BALANCE.to_le_bytes().to_vec())),
            ),
            Step::Commit { changes, .. } => {
                for (key, change) in changes {
                    match change {
                        Change::Add(amount) => {
                            if let Some(value) = model.get_mut(key)
                                && let Some(before) = balance(value)
                            {
                                *value = (before + amount).to_le_bytes().to_vec();
                            }
                        }
                        Change::Set(Some(value)) => {
                            model.insert(key.clone(), value.clone());
                        }
                        Change::Set(None) => {
                            model.remove(key);
                        }
                    }
                }
            }
            Step::Probe => {
                model.insert(PROBE.to_vec(), PROBE.to_vec());
            }
            _ => {}
        }
    }

    fn contents(&self, bank: &OpenBank, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        let Some(branches) = bank.branches else {
            return Ok(());
        };
        let mut read = || -> Result<(), Error> {
            let transaction = bank.manager.begin(TransactionOptions {
                read_only: true,
                ..TransactionOptions::default()
            })?;
            for keyspace in branches.all() {
                let mut cursor = transaction.scan(keyspace, KeyRange::all(), Direction::Forward)?;
                while let Some((key, value)) = cursor.next()? {
                    visit(key, value);
                }
            }
            Ok(())
        };
        read().map_err(|error| error.to_string())
    }

    fn verify(&self, bank: &OpenBank) -> Result<(), String> {
        let report = bank
            .manager
            .store()
            .verify()
            .map_err(|error| error.to_string())?;
        if let Some(finding) = report.findings.first() {
            return Err(format!(
                "{} findings, the first: {finding:?}",
                report.findings.len()
            ));
        }
        let mut entries = Vec::new();
        self.contents(bank, &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()))
        })?;
        match total(entries.iter().map(|(key, value)| (&key[..], &value[..]))) {
            Some(sum) if sum != i64::from(ACCOUNTS) * OPENING_BALANCE => {
                Err(format!("the accounts hold {sum}"))
            }
            _ => Ok(()),
        }
    }

    fn close(&self, bank: OpenBank) -> Result<(), String> {
        let OpenBank {
            transactions,
            manager,
            ..
        } = bank;
        drop(transactions);
        manager
            .store()
            .clone()
            .close()
            .map_err(|error| error.to_string())
    }

    fn memory<'a>(&self, bank: &'a OpenBank) -> Option<&'a MemoryBudget> {
        Some(bank.manager.store().memory())
    }

    fn probe(&self) -> Step {
        Step::Probe
    }
}

/// What the script knows of one of its transactions.
#[derive(Clone, Debug, Default)]
struct Planned {
    changes: Changes,
    marked: Option<Changes>,
    /// Accounts it has written, savepoints notwithstanding: locked until its end.
    locked: Vec<u8>,
    isolation: IsolationLevel,
    /// Whether it outgrows its memory. It then locks the whole keyspace, so it must be alone.
    is_big: bool,
    /// Whether it gives a branch another engine: what it loads there then would have to go through
    /// memory, and is refused.
    is_moving: bool,
    /// Accounts that the other has changed since this one began: SNAPSHOT may not write them.
    stale: Vec<u8>,
}

/// The script of a seed, of about `steps` steps: two transactions at a time.
#[must_use]
pub fn script(seed: u64, steps: usize, interruptions: bool) -> Vec<Action<Step>> {
    script_of(2, seed, steps, interruptions)
}

/// As [`script`], without interruptions and with one transaction at a time: where memory is short
/// it may have to lock a whole branch, and nobody is there to wait for it.
#[must_use]
pub fn script_of_one(seed: u64, steps: usize) -> Vec<Action<Step>> {
    script_of(1, seed, steps, false)
}

fn script_of(at_once: usize, seed: u64, steps: usize, interruptions: bool) -> Vec<Action<Step>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut open: [Option<Planned>; 2] = [None, None];
    let mut journal = 0u32;
    let mut actions = vec![Action::Step(Step::Found)];
    while actions.len() < steps {
        let who = rng.usize(..at_once);
        let locked_elsewhere = open[1 - who]
            .as_ref()
            .map(|other| other.locked.clone())
            .unwrap_or_default();
        let is_alone = open[1 - who].is_none();
        let moves_elsewhere = open[1 - who].as_ref().is_some_and(|other| other.is_moving);
        if open[1 - who].as_ref().is_some_and(|other| other.is_big) {
            continue;
        }
        let Some(plan) = &mut open[who] else {
            match rng.u8(..30) {
                0 => actions.push(Action::Step(Step::Checkpoint)),
                1 if interruptions && open[1 - who].is_none() => actions.push(Action::Reopen),
                2 if interruptions => {
                    open = [None, None];
                    actions.push(Action::Kill);
                }
                _ => {
                    let isolation = if rng.bool() {
                        IsolationLevel::ReadCommitted
                    } else {
                        IsolationLevel::Snapshot
                    };
                    actions.push(Action::Step(Step::Begin { who, isolation }));
                    open[who] = Some(Planned {
                        isolation,
                        ..Planned::default()
                    });
                }
            }
            continue;
        };
        match rng.u8(..20) {
            0..=9 => {
                let is_stale = |number: &u8| {
                    plan.isolation == IsolationLevel::Snapshot && plan.stale.contains(number)
                };
                let free: Vec<u8> = (0..ACCOUNTS)
                    .filter(|number| !locked_elsewhere.contains(number) && !is_stale(number))
                    .collect();
                if free.is_empty() {
                    continue;
                }
                let (from, to) = (free[rng.usize(..free.len())], free[rng.usize(..free.len())]);
                if from == to {
                    continue;
                }
                let amount = rng.i64(1..100);
                for (number, change) in [(from, -amount), (to, amount)] {
                    plan.locked.push(number);
                    let key = account(number);
                    let before = match plan.changes.get(&key) {
                        Some(Change::Add(before)) => *before,
                        Some(Change::Set(_)) | None => 0,
                    };
                    plan.changes
                        .insert(key.clone(), Change::Add(before + change));
                    actions.push(Action::Step(Step::Add {
                        who,
                        key,
                        amount: change,
                    }));
                }
            }
            10 | 11 => {
                // Journal entries; so many and so long that the write set spills where this
                // transaction is alone.
                plan.is_big |= is_alone && !plan.is_moving && rng.u8(..3) == 0;
                if plan.is_big && rng.bool() {
                    // Over what is there, or behind it.
                    let first = rng.u32(1..=journal + 1);
                    let rows: Vec<_> = (first..first + rng.u32(40..120))
                        .map(|number| {
                            let key = journal_key(who, number);
                            (key, vec![rng.u8(..); rng.usize(..300)])
                        })
                        .collect();
                    journal = journal.max(first + rows.len() as u32);
                    let changes = rows.iter().cloned();
                    plan.changes
                        .extend(changes.map(|(key, value)| (key, Change::Set(Some(value)))));
                    actions.push(Action::Step(Step::Load { who, rows }));
                    continue;
                }
                let (count, longest) = if plan.is_big {
                    (rng.usize(60..120), 900)
                } else {
                    (1, 300)
                };
                for _ in 0..count {
                    journal += 1;
                    let key = journal_key(who, journal);
                    let value = vec![journal as u8; rng.usize(..longest)];
                    plan.changes
                        .insert(key.clone(), Change::Set(Some(value.clone())));
                    actions.push(Action::Step(Step::Put { who, key, value }));
                }
            }
            12 if !plan.is_big && !plan.is_moving && !moves_elsewhere && rng.u8(..3) == 0 => {
                plan.is_moving = true;
                actions.push(Action::Step(Step::SetEngine {
                    who,
                    branch: rng.usize(..ENGINES.len()),
                    engine: ENGINES[rng.usize(..ENGINES.len())],
                }));
            }
            12 => {
                let mine = [b'j', who as u8];
                let keys: Vec<Vec<u8>> = plan
                    .changes
                    .keys()
                    .filter(|key| key.starts_with(&mine))
                    .cloned()
                    .collect();
                if let Some(key) = keys.first() {
                    plan.changes.insert(key.clone(), Change::Set(None));
                    actions.push(Action::Step(Step::Delete {
                        who,
                        key: key.clone(),
                    }));
                }
            }
            13 => {
                plan.marked = Some(plan.changes.clone());
                actions.push(Action::Step(Step::Savepoint { who }));
            }
            14 => {
                if let Some(marked) = &plan.marked {
                    plan.changes = marked.clone();
                    actions.push(Action::Step(Step::RollbackTo { who }));
                }
            }
            15 => {
                open[who] = None;
                actions.push(Action::Step(Step::Rollback { who }));
            }
            16 => actions.push(Action::Step(Step::Checkpoint)),
            _ => {
                let changes = std::mem::take(&mut plan.changes);
                let changed: Vec<u8> = (0..ACCOUNTS)
                    .filter(|number| changes.contains_key(&account(*number)))
                    .collect();
                open[who] = None;
                if let Some(other) = &mut open[1 - who] {
                    other.stale.extend(changed);
                }
                actions.push(Action::Step(Step::Commit { who, changes }));
            }
        }
    }
    actions
}
