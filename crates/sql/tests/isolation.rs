//! Golden scripts of several sessions at once: see `isolation/*.golden`.
//!
//! Each line of a block is a session's name, a colon and a statement. A statement that has to
//! wait for a lock says so, and gives its result below the line that lets it go on: always at
//! the same place, since a step ends only when every session has answered or stands in line.
//! An exclamation mark behind the name waits for the answer: of a statement whose wait ends by
//! itself, by a time limit.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
};

use rustling_sql::{Database, Error, Session, StatementResult, Value};
use rustling_testkit::golden;

struct Worker {
    statements: Sender<String>,
    answers: Receiver<String>,
    running: bool,
}

fn show_error(error: &Error) -> String {
    format!("ERROR {}: {error}", error.state().0)
}

fn show(result: Result<StatementResult, Error>) -> String {
    let rows = match result {
        Err(error) => return show_error(&error),
        Ok(StatementResult::Done { tag, .. }) => return tag,
        Ok(StatementResult::Rows(rows)) => rows,
        Ok(other) => return format!("{other:?}"),
    };
    let mut shown = Vec::new();
    for row in rows {
        match row {
            Ok(row) => {
                let values: Vec<String> = row.values().iter().map(Value::to_string).collect();
                shown.push(format!("({})", values.join(", ")));
            }
            Err(error) => return show_error(&error),
        }
    }
    if shown.is_empty() {
        "no rows".to_owned()
    } else {
        shown.join(" ")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sessions that wait for one another need threads of their own"
)]
fn start(mut session: Session) -> Worker {
    let (statements, inbox) = channel::<String>();
    let (outbox, answers) = channel();
    thread::spawn(move || {
        while let Ok(statement) = inbox.recv() {
            let answer = show(session.run(&statement, ()));
            if outbox.send(answer).is_err() {
                return;
            }
        }
    });
    Worker {
        statements,
        answers,
        running: false,
    }
}

/// Waits until every session has answered or waits for a lock; gives the answers, that of
/// `first` first.
fn settle(
    database: &Database,
    workers: &mut BTreeMap<String, Worker>,
    first: &str,
    patient: bool,
) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    loop {
        let waiting = database
            .transaction_manager()
            .active()
            .iter()
            .filter(|transaction| transaction.waits_for.is_some())
            .count();
        let mut answered = false;
        for (name, worker) in workers.iter_mut().filter(|(_, worker)| worker.running) {
            match worker.answers.try_recv() {
                Ok(answer) => {
                    worker.running = false;
                    answered = true;
                    answers.push((name.clone(), answer));
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    worker.running = false;
                    answers.push((name.clone(), "the session has ended".to_owned()));
                }
            }
        }
        let running = workers.values().filter(|worker| worker.running).count();
        let wanted = patient && workers.get(first).is_some_and(|worker| worker.running);
        if !answered && running == waiting && !wanted {
            answers.sort_by_key(|(name, _)| name != first);
            return answers;
        }
        thread::yield_now();
    }
}

fn runner(_: &Path) -> impl FnMut(&str) -> String + use<> {
    let database = Database::in_memory().expect("a database in memory opens");
    let mut workers: BTreeMap<String, Worker> = BTreeMap::new();
    move |input| {
        let mut lines = Vec::new();
        for line in input.lines() {
            let Some((name, statement)) = line.split_once(':') else {
                lines.push(format!("no session in: {line}"));
                continue;
            };
            let patient = name.trim().ends_with('!');
            let (name, statement) = (name.trim().trim_end_matches('!'), statement.trim());
            let worker = workers
                .entry(name.to_owned())
                .or_insert_with(|| start(database.session()));
            if worker.running {
                lines.push(format!("{name} cannot go on: it waits"));
                continue;
            }
            worker.running = worker.statements.send(statement.to_owned()).is_ok();
            let answers = settle(&database, &mut workers, name, patient);
            if !answers.iter().any(|(who, _)| who == name) {
                lines.push(format!("{name}: waits"));
            }
            lines.extend(
                answers
                    .into_iter()
                    .map(|(who, answer)| format!("{who}: {answer}")),
            );
        }
        lines.join("\n")
    }
}

#[test]
fn isolation() {
    golden::run_dir(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/isolation"),
        runner,
    );
}
