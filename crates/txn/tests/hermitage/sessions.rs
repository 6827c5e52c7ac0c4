//! Plays scripts of concurrent transactions, step by step and the same each time: a step ends
//! when it has answered or stands in line for a lock.
//!
//! ```text
//! t1 update 1 11        # one row, looked up by key, set to a value
//! t1 add 10             # every row's value raised, like UPDATE … SET value = value + 10
//! t2 delete-where 20    # rows of that value, like DELETE … WHERE value = 20
//! t2 insert 3 30
//! t1 read 1
//! t1 scan               # all rows
//! t1 scan-mod 3         # rows whose value is a multiple of 3
//! t1 add-to 1 5         # one row's value raised, as its transaction sees it
//! t1 begin              # otherwise all transactions begin before the first step
//! t1 commit | abort
//! ```

#![expect(clippy::panic, reason = "a script that cannot be played ends the test")]

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
};

use rustling_storage::{Direction, KeyRange, KeyspaceId};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, Result, RowState, Transaction, TransactionManager,
};

use crate::common::{Watchdog, begin, waits};

struct Session {
    id: rustling_txn::TransactionId,
    steps: Sender<String>,
    answers: Receiver<String>,
    blocked: Option<String>,
}

/// Where the rows are.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// The keyspace of the even keys.
    pub(crate) even: KeyspaceId,
    /// That of the odd ones; it may be the same.
    pub(crate) odd: KeyspaceId,
}

impl Tables {
    /// Where a row is.
    pub(crate) fn of(self, key: u8) -> KeyspaceId {
        match key.is_multiple_of(2) {
            true => self.even,
            false => self.odd,
        }
    }

    fn all(self) -> Vec<KeyspaceId> {
        let mut all = vec![self.even, self.odd];
        all.dedup();
        all
    }
}

/// The rows that `keep` keeps, by key.
fn rows(
    transaction: &Transaction,
    tables: Tables,
    keep: impl Fn(i64) -> bool,
) -> Result<Vec<(u8, i64)>> {
    let mut rows = Vec::new();
    for table in tables.all() {
        let mut cursor = transaction.scan(table, KeyRange::all(), Direction::Forward)?;
        while let Some((key, value)) = cursor.next()? {
            let value = number(value);
            if keep(value) {
                rows.push((key[0], value));
            }
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

fn number(value: &[u8]) -> i64 {
    i64::from_be_bytes(value.try_into().expect("eight bytes"))
}

fn show(rows: &[(u8, i64)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if rows.is_empty() {
        "nothing".into()
    } else {
        rows.join(" ")
    }
}

/// Locks a row as an UPDATE does and answers its value as of now, where it is still there.
fn lock(transaction: &Transaction, tables: Tables, key: u8) -> Result<Option<i64>> {
    let table = tables.of(key);
    let value = match transaction.lock_row(table, &[key], LockMode::Exclusive, LockWait::Wait)? {
        RowState::Changed => transaction.get_latest(table, &[key])?,
        _ => transaction.get(table, &[key])?,
    };
    Ok(value.map(|value| number(&value)))
}

/// Runs one statement.
fn statement(transaction: &Transaction, tables: Tables, step: &str) -> Result<String> {
    transaction.begin_statement();
    let words: Vec<_> = step.split_whitespace().collect();
    let argument = |at: usize| -> i64 { words[at].parse().expect("a number") };
    let key = |at: usize| u8::try_from(argument(at)).expect("a small number");
    match words[0] {
        "update" => {
            if lock(transaction, tables, key(1))?.is_none() {
                return Ok("no row".into());
            }
            transaction.put(tables.of(key(1)), &[key(1)], &argument(2).to_be_bytes())?;
        }
        "add-to" => {
            if let Some(value) = lock(transaction, tables, key(1))? {
                transaction.put(
                    tables.of(key(1)),
                    &[key(1)],
                    &(value + argument(2)).to_be_bytes(),
                )?;
            }
        }
        "insert" => transaction.insert(tables.of(key(1)), &[key(1)], &argument(2).to_be_bytes())?,
        "add" => {
            for (key, _) in rows(transaction, tables, |_| true)? {
                if let Some(value) = lock(transaction, tables, key)? {
                    transaction.put(
                        tables.of(key),
                        &[key],
                        &(value + argument(1)).to_be_bytes(),
                    )?;
                }
            }
        }
        "delete-where" => {
            let mut deleted = 0;
            for (key, _) in rows(transaction, tables, |value| value == argument(1))? {
                if lock(transaction, tables, key)? == Some(argument(1)) {
                    transaction.delete(tables.of(key), &[key])?;
                    deleted += 1;
                }
            }
            return Ok(format!("{deleted} deleted"));
        }
        "read" => {
            let value = transaction.get(tables.of(key(1)), &[key(1)])?;
            return Ok(value.map_or("nothing".into(), |value| number(&value).to_string()));
        }
        "scan" => return Ok(show(&rows(transaction, tables, |_| true)?)),
        "scan-mod" => {
            return Ok(show(&rows(transaction, tables, |value| {
                value % argument(1) == 0
            })?));
        }
        other => panic!("unknown step {other}"),
    }
    Ok("ok".into())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a thread's body owns what it uses"
)]
fn session(
    transaction: Transaction,
    tables: Tables,
    steps: Receiver<String>,
    answers: Sender<String>,
) {
    let mut transaction = Some(transaction);
    while let Ok(step) = steps.recv() {
        let answer = match (&transaction, step.as_str()) {
            (None, _) => "over".into(),
            (Some(_), "abort") => {
                transaction = None;
                "ok".into()
            }
            (Some(_), "commit") => match transaction.take().map(Transaction::commit) {
                Some(Ok(_)) => "ok".into(),
                Some(Err(Error::Serialization { .. })) => "serialization failure".into(),
                other => format!("{other:?}"),
            },
            (Some(open), step) => match statement(open, tables, step) {
                Ok(answer) => answer,
                Err(error) => {
                    // As an SQL session would: the failed transaction is over.
                    transaction = None;
                    match error {
                        Error::WriteConflict { .. } => "write conflict".into(),
                        Error::Deadlock { .. } => "deadlock".into(),
                        Error::Serialization { .. } => "serialization failure".into(),
                        Error::KeyExists { .. } => "key exists".into(),
                        other => other.to_string(),
                    }
                }
            },
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// What happened: a line per step in the order of their answers, with `waits` where a step had
/// to; the last line is the table afterwards.
pub(crate) fn play(
    manager: &TransactionManager,
    tables: Tables,
    level: IsolationLevel,
    script: &[&str],
) -> Vec<String> {
    let _watchdog = Watchdog::new("a script of sessions");
    let mut transcript = Vec::new();
    std::thread::scope(|scope| {
        let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
        // All begin before the first step: that is when the snapshots are taken.
        let start = || {
            let (steps, inbox) = channel();
            let (outbox, answers) = channel();
            let transaction = begin(manager, level);
            let id = transaction.id();
            scope.spawn(move || session(transaction, tables, inbox, outbox));
            Session {
                id,
                steps,
                answers,
                blocked: None,
            }
        };
        for line in script {
            let name = line.split(' ').next().expect("a session").to_owned();
            if !script.contains(&format!("{name} begin").as_str()) {
                sessions.entry(name).or_insert_with(start);
            }
        }
        for line in script {
            let (name, step) = line.split_once(' ').expect("a session and a step");
            if step == "begin" {
                sessions.insert(name.to_owned(), start());
                continue;
            }
            let session = sessions.get_mut(name).expect("begun above");
            if let Some(blocked) = &session.blocked {
                panic!("{name} cannot {step}: it waits in {blocked}");
            }
            session
                .steps
                .send(step.to_owned())
                .expect("the session lives");
            session.blocked = Some(step.to_owned());
            let mut order: Vec<_> = sessions.keys().cloned().collect();
            order.sort_by_key(|other| other != name);
            let mut answers = BTreeMap::new();
            // An answer may let others go on: until all that are left stand in line.
            loop {
                let before = answers.len();
                for (at, other) in order.iter().enumerate() {
                    let session = sessions.get_mut(other).expect("begun above");
                    while let Some(step) = &session.blocked {
                        if let Ok(answer) = session.answers.try_recv() {
                            answers.insert(at, format!("{other} {step}: {answer}"));
                            session.blocked = None;
                        } else if waits(manager, session.id) {
                            break;
                        } else {
                            std::thread::yield_now();
                        }
                    }
                }
                if answers.len() == before {
                    break;
                }
            }
            if !answers.contains_key(&0) {
                transcript.push(format!("{name} {step}: waits"));
            }
            transcript.extend(answers.into_values());
        }
        for (name, session) in &sessions {
            assert!(
                session.blocked.is_none(),
                "{name} still waits: {transcript:?}"
            );
        }
    });
    let reader = begin(manager, level);
    transcript.push(format!(
        "then {}",
        show(&rows(&reader, tables, |_| true).expect("a table"))
    ));
    transcript
}
