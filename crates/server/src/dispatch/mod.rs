//! From messages to answers: a session's state machine, without any input or output of its own.
//!
//! [`Dispatcher::run`] takes whole messages off the input buffer and appends answers to the
//! output buffer. It returns when it needs more input, and also when much output has gathered:
//! the connection sends that and calls again, and only then are more rows computed. A client
//! that reads slowly thus slows its own query and nothing else.

mod copy;
mod extended;
mod reported;
mod result;
mod script;
mod watch;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use hashbrown::HashMap;
use rustling_sql::{CancelToken, Error, Result, Session, SqlState};

use crate::{
    backend::{self, Severity, Status},
    connection::Shared,
    frontend::{Frontend, decode, is_kind, peek_frame, take_frame},
};
use copy::Copying;
use extended::{Fetching, Portal, Prepared};
use reported::Reported;
use script::Script;
use watch::Watched;

/// Output beyond which the client must take some before more is made.
const ENOUGH_OUTPUT: usize = 64 << 10;

/// Prepared statements and portals that one session may keep, each.
const MAX_NAMED: usize = 10_000;

/// Why [`Dispatcher::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It needs another message. What there is of output goes out.
    NeedsInput,
    /// There is enough output; there is more to do.
    HasOutput,
    /// The connection ends.
    Closed,
}

/// A connection's session.
pub(crate) struct Dispatcher {
    /// Answers not yet sent.
    pub(crate) out: BytesMut,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    /// Statements of a simple query that are still to be run.
    script: Option<Script>,
    /// The portal being executed: its name and how many rows the client wants yet; `None`: all.
    executing: Option<(String, Option<u64>)>,
    /// Rows of a cursor of SQL that are being sent.
    fetching: Option<Box<Fetching>>,
    /// The COPY under way.
    copying: Option<Copying>,
    /// After an error in the extended protocol: everything up to Sync is passed over.
    skipping: bool,
    /// Whether the open transaction block was opened here, around a series of messages.
    implicit: bool,
    reported: Reported,
    /// The statement of a script that runs.
    running: Option<Watched>,
    /// The session's number.
    process: u32,
    shared: Arc<Shared>,
    /// Dropped last: rows on their way hold its transaction, whose locks its own end may need.
    session: Session,
}

impl Dispatcher {
    /// A dispatcher for a new session of a server.
    pub(crate) fn new(session: Session, shared: Arc<Shared>) -> Dispatcher {
        Dispatcher {
            out: BytesMut::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            script: None,
            executing: None,
            fetching: None,
            copying: None,
            skipping: false,
            implicit: false,
            reported: Reported::default(),
            running: None,
            process: 0,
            shared,
            session,
        }
    }

    /// Tells the client the settings it follows, its key to cancel, and that it may begin.
    pub(crate) fn welcome(&mut self, process: u32, secret: &[u8], address: Option<SocketAddr>) {
        self.process = process;
        self.session
            .set_backend(i32::try_from(process).unwrap_or(i32::MAX));
        self.session.announce(address);
        self.reported.all(&self.session, &mut self.out);
        backend::backend_key(&mut self.out, process, secret);
        backend::ready(&mut self.out, Status::Idle);
    }

    /// Makes a role the session's user. Whom the system vouches for as the owner of the database
    /// may take any name: one that is no role's stands for the superuser.
    ///
    /// # Errors
    /// Where the role may not log in or connect.
    pub(crate) fn log_in(&mut self, user: &str, as_owner: bool) -> Result<()> {
        if as_owner && self.session.database().role(user).is_none() {
            self.session.set_user(user);
            return Ok(());
        }
        self.session.log_in(user)
    }

    /// Keeps the last places for superusers.
    ///
    /// # Errors
    /// 53300 where the session's user is none.
    pub(crate) fn take_reserved(&self) -> Result<()> {
        if self.session.is_superuser() {
            return Ok(());
        }
        Err(Error::new(
            SqlState("53300"),
            "remaining connection slots are reserved for superusers",
        ))
    }

    /// Bounds what the session may take.
    ///
    /// # Errors
    /// Where a limit is no value of its setting.
    pub(crate) fn limit(&mut self) -> Result<()> {
        let limits = self.shared.options.limits;
        if limits.session_memory > 0 {
            self.session.limit_memory(limits.session_memory);
        }
        if limits.statement_time > Duration::ZERO {
            let time = format!("{}ms", limits.statement_time.as_millis().max(1));
            self.session.set_default("statement_timeout", &time)?;
        }
        Ok(())
    }

    /// Sends the messages that have come for the session's LISTEN, unless a transaction is open:
    /// they wait for its end.
    pub(crate) fn deliver(&mut self) {
        if self.session.in_transaction() {
            return;
        }
        for news in self.session.take_notifications() {
            backend::notification(&mut self.out, news.process, &news.channel, &news.payload);
        }
    }

    /// Changes a setting, as the startup message asks.
    ///
    /// # Errors
    /// Where there is no such setting or value.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.session.set_default(name, value)
    }

    /// Works on what there is; see the module.
    pub(crate) fn run(&mut self, input: &mut BytesMut) -> Progress {
        loop {
            if self.out.len() >= ENOUGH_OUTPUT {
                return Progress::HasOutput;
            }
            let copying = match self.copying.take() {
                Some(Copying::Out(copy, asker)) => {
                    self.continue_copy_out(copy, asker);
                    continue;
                }
                Some(Copying::In(copy, asker)) => Some((copy, asker)),
                None => None,
            };
            if copying.is_none() && self.script.is_some() {
                self.continue_script();
                continue;
            }
            if self.executing.is_some() {
                self.continue_execution();
                continue;
            }
            if self.fetching.is_some() {
                self.continue_fetching();
                continue;
            }
            let (kind, body) = match take_frame(input, self.shared.options.limits.message_bytes) {
                Ok(None) => {
                    self.copying = copying.map(|(copy, asker)| Copying::In(copy, asker));
                    return Progress::NeedsInput;
                }
                Ok(Some(frame)) => frame,
                // Where the next message begins is not known any more.
                Err(error) => return self.disconnect(&error.into()),
            };
            let message = match (decode(kind, body), copying) {
                (Ok(message), None) => message,
                (Ok(message), Some((copy, asker))) => {
                    if self.copy_message(copy, asker, message) {
                        continue;
                    }
                    return Progress::Closed;
                }
                // What is to follow it is not known.
                (Err(error), _) if !is_kind(kind) => return self.disconnect(&error.into()),
                (Err(_), _) if kind == b'X' => return Progress::Closed,
                (Err(error), Some((copy, asker))) => {
                    drop(copy);
                    self.copy_is_over(Err(error.into()), asker);
                    continue;
                }
                (Err(error), None) => {
                    self.garbled(kind, &error.into());
                    continue;
                }
            };
            match message {
                Frontend::Terminate => return Progress::Closed,
                Frontend::Sync => self.sync(),
                _ if self.skipping => {}
                message => {
                    let alone = peek_frame(input).is_some_and(|(kind, _)| kind == b'S');
                    if let Err(error) = self.handle(message, alone) {
                        self.fail(&error, None);
                    }
                }
            }
        }
    }

    /// Whether a transaction block is open.
    pub(crate) fn in_transaction(&self) -> bool {
        self.session.in_transaction()
    }

    /// Whether a COPY waits for the client's data.
    pub(crate) fn is_copying(&self) -> bool {
        self.copying.is_some()
    }

    /// What other sessions end this one and its statements by.
    pub(crate) fn cancel_token(&self) -> CancelToken {
        self.session.cancel_token()
    }

    /// Whether another session has ended this one.
    pub(crate) fn is_terminated(&self) -> bool {
        self.cancel_token().is_terminated()
    }

    /// Tells the client why the connection ends.
    pub(crate) fn disconnect(&mut self, error: &Error) -> Progress {
        backend::report(&mut self.out, Severity::Fatal, error, None);
        Progress::Closed
    }

    /// Answers a message that is none. Its frame is whole: the next one is found behind it.
    fn garbled(&mut self, kind: u8, error: &Error) {
        match kind {
            b'S' => {
                self.fail(error, None);
                self.sync();
            }
            _ if self.skipping => {}
            b'Q' => self.end_script(Some((error, ""))),
            // Of a COPY that is over, as what makes sense of it is passed over.
            b'd' | b'c' | b'f' => {}
            _ => self.fail(error, None),
        }
    }

    /// Handles a message; `alone`: Sync follows.
    fn handle(&mut self, message: Frontend, alone: bool) -> Result<()> {
        match message {
            Frontend::Query(text) => self.query(text),
            Frontend::Parse { name, query, types } => {
                if let Err(error) = self.parse(name, &query, &types) {
                    self.fail(&error, Some(&query));
                }
            }
            Frontend::Bind {
                portal,
                statement,
                parameter_formats,
                parameters,
                result_formats,
            } => {
                return self.bind(
                    portal,
                    &statement,
                    &parameter_formats,
                    parameters,
                    result_formats,
                );
            }
            Frontend::Describe(target) => return self.describe(&target),
            Frontend::Execute { portal, max_rows } => {
                return self.execute(portal, max_rows, alone);
            }
            Frontend::Close(target) => self.close(&target),
            // Output goes out whenever there is no more input.
            Frontend::Flush => {}
            // What still comes of a COPY that has failed is passed over, as the protocol has it.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => {}
            Frontend::Password(_) | Frontend::Sync | Frontend::Terminate => {
                return Err(Error::new(
                    SqlState("08P01"),
                    "the message is not expected here",
                ));
            }
        }
        Ok(())
    }

    /// Reports an error and passes over what comes until Sync.
    fn fail(&mut self, error: &Error, statement: Option<&str>) {
        self.session.fail_transaction();
        backend::report(&mut self.out, Severity::Error, error, statement);
        self.skipping = true;
    }

    /// The end of a series: what it has done is committed, unless the client began a block.
    fn sync(&mut self) {
        self.skipping = false;
        if let Err(error) = self.end_implicit() {
            backend::report(&mut self.out, Severity::Error, &error, None);
        }
        if !self.session.in_transaction() {
            self.portals.clear();
        }
        self.ready();
    }

    /// Ends the transaction that a series of messages runs in.
    fn end_implicit(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.implicit) || !self.session.in_transaction() {
            return Ok(());
        }
        // Rows still being read would hold the transaction open.
        self.portals.clear();
        if self.session.transaction_failed() {
            self.session.rollback()
        } else {
            self.session.commit()
        }
    }

    fn ready(&mut self) {
        self.session.statements_end();
        self.deliver();
        self.reported.changed(&self.session, &mut self.out);
        let status = match (
            self.session.in_transaction(),
            self.session.transaction_failed(),
        ) {
            (false, _) => Status::Idle,
            (true, false) => Status::InTransaction,
            (true, true) => Status::Failed,
        };
        backend::ready(&mut self.out, status);
    }
}

/// What a statement has to do with transaction blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    /// It is run in one as well as outside.
    None,
    /// It begins one.
    Begins,
    /// It ends one.
    Ends,
    /// It goes back to a savepoint of one.
    GoesBack,
    /// It is not to be wrapped in one.
    Outside,
}

/// What a statement has to do with transaction blocks, by its first words.
fn control_of(sql: &str) -> Control {
    const WORDS: [(&str, Control); 9] = [
        ("BEGIN", Control::Begins),
        ("START", Control::Begins),
        ("COMMIT", Control::Ends),
        ("END", Control::Ends),
        ("ABORT", Control::Ends),
        ("ROLLBACK", Control::Ends),
        ("VACUUM", Control::Outside),
        ("DISCARD", Control::Outside),
        ("PREPARE", Control::Outside),
    ];
    let (word, rest) = next_word(sql);
    let found = WORDS
        .iter()
        .find(|(known, _)| word.eq_ignore_ascii_case(known));
    match found {
        None => Control::None,
        Some((_, Control::Ends)) if next_word(after_noise(rest)).0.eq_ignore_ascii_case("TO") => {
            Control::GoesBack
        }
        Some((_, control)) => *control,
    }
}

/// What stands behind BEGIN, START or ROLLBACK and the word that may follow and says nothing.
fn after_noise(rest: &str) -> &str {
    let (word, after) = next_word(rest);
    let says_nothing = ["WORK", "TRANSACTION"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known));
    if says_nothing { after } else { rest }
}

/// The modes that BEGIN or START TRANSACTION names.
fn modes_of(begin: &str) -> &str {
    let (_, rest) = next_word(begin);
    let modes = after_noise(rest);
    if next_word(modes).0.is_empty() {
        // At most comments.
        return "";
    }
    modes.trim().trim_end_matches(';').trim_end()
}

/// The first word of a statement, comments passed over.
fn first_word(sql: &str) -> &str {
    next_word(sql).0
}

/// The first word, comments passed over, and what stands behind it.
fn next_word(sql: &str) -> (&str, &str) {
    let mut rest = sql.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment
                .split_once('\n')
                .map_or("", |(_, after)| after)
                .trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment
                .split_once("*/")
                .map_or("", |(_, after)| after)
                .trim_start();
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            return rest.split_at_checked(end).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Control, control_of, first_word, modes_of};

    #[test]
    fn first_words_stand_behind_comments() {
        assert_eq!(first_word("  -- a\n /* b */ Select 1"), "Select");
        assert_eq!(first_word("(SELECT 1)"), "");
        assert_eq!(first_word("/* open"), "");
    }

    #[test]
    fn words_tell_what_begins_and_ends_transactions() {
        for (sql, control) in [
            ("begin;", Control::Begins),
            ("START TRANSACTION READ ONLY", Control::Begins),
            ("SELECT 1", Control::None),
            ("-- all\ncommit and chain", Control::Ends),
            ("ROLLBACK", Control::Ends),
            ("Rollback Work;", Control::Ends),
            ("rollback /* back */ to s", Control::GoesBack),
            ("ROLLBACK TRANSACTION TO SAVEPOINT s", Control::GoesBack),
            ("VACUUM", Control::Outside),
            ("", Control::None),
        ] {
            assert_eq!(control_of(sql), control, "{sql}");
        }
        assert_eq!(modes_of("BEGIN;"), "");
        assert_eq!(modes_of("begin work"), "");
        assert_eq!(modes_of("BEGIN /* of an app */; -- so"), "");
        assert_eq!(modes_of("START TRANSACTION READ ONLY ;"), "READ ONLY");
        assert_eq!(modes_of("BEGIN ISOLATION LEVEL x"), "ISOLATION LEVEL x");
    }
}
