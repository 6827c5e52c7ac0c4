//! Scripts of several sessions at once, for [`golden`](crate::golden).
//!
//! Each line of a block is a session's name, a colon and a statement. A statement that has to
//! wait for a lock says so, and gives its result below the line that lets it go on: always at
//! the same place, since a step ends only when every session has answered or stands in line.
//! An exclamation mark behind the name waits for the answer: of a statement whose wait ends by
//! itself, by a time limit.
//!
//! ```
//! use rustling_testkit::sessions::Sessions;
//!
//! let mut sessions = Sessions::new(
//!     || Box::new(|statement: &str| statement.to_uppercase()),
//!     || 0,
//! );
//! assert_eq!(sessions.run("a: one\nb: two"), "a: ONE\nb: TWO");
//! ```

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
};

use rustling_storage::Env;

/// A session: from a statement to what it gives.
pub type RunStatement = Box<dyn FnMut(&str) -> String + Send>;

/// Sessions that come into being when a script first names them.
pub struct Sessions {
    /// They end before what they were begun by.
    workers: BTreeMap<String, Worker>,
    begin: Box<dyn FnMut() -> RunStatement>,
    waiting: Box<dyn Fn() -> usize>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("names", &self.workers.keys())
            .finish_non_exhaustive()
    }
}

struct Worker {
    statements: Sender<String>,
    answers: Receiver<String>,
    running: bool,
}

/// Sessions that wait for one another need threads of their own. One that gets none answers that
/// it has ended.
fn start(mut run: RunStatement) -> Worker {
    let (statements, inbox) = channel::<String>();
    let (outbox, answers) = channel();
    let _ = Env::system().spawn("session", move || {
        while let Ok(statement) = inbox.recv() {
            if outbox.send(run(&statement)).is_err() {
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

impl Sessions {
    /// Sessions that `begin` opens; `waiting` says how many transactions stand in line for a lock.
    pub fn new(
        begin: impl FnMut() -> RunStatement + 'static,
        waiting: impl Fn() -> usize + 'static,
    ) -> Sessions {
        Sessions {
            begin: Box::new(begin),
            waiting: Box::new(waiting),
            workers: BTreeMap::new(),
        }
    }

    /// Runs a block.
    pub fn run(&mut self, input: &str) -> String {
        let mut lines = Vec::new();
        for line in input.lines() {
            let Some((name, statement)) = line.split_once(':') else {
                lines.push(format!("no session in: {line}"));
                continue;
            };
            let patient = name.trim().ends_with('!');
            let (name, statement) = (name.trim().trim_end_matches('!'), statement.trim());
            let worker = self
                .workers
                .entry(name.to_owned())
                .or_insert_with(|| start((self.begin)()));
            if worker.running {
                lines.push(format!("{name} cannot go on: it waits"));
                continue;
            }
            worker.running = worker.statements.send(statement.to_owned()).is_ok();
            let answers = self.settle(name, patient);
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

    /// Waits until every session has answered or waits for a lock; gives the answers, that of
    /// `first` first.
    fn settle(&mut self, first: &str, patient: bool) -> Vec<(String, String)> {
        let mut answers = Vec::new();
        loop {
            let waiting = (self.waiting)();
            let mut answered = false;
            let workers = self.workers.iter_mut();
            for (name, worker) in workers.filter(|(_, worker)| worker.running) {
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
            let running = self.workers.values().filter(|of| of.running).count();
            let wanted = patient && self.workers.get(first).is_some_and(|of| of.running);
            if !answered && running == waiting && !wanted {
                answers.sort_by_key(|(name, _)| name != first);
                return answers;
            }
            std::thread::yield_now();
        }
    }
}
