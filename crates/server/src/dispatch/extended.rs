//! The extended protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use bytes::Bytes;
use rustling_sql::{
    DataType, Error, Result, ResultColumn, SqlState, Statement, StatementResult, Value,
};

use super::{
    Control, Dispatcher, MAX_NAMED, control_of,
    copy::Asker,
    first_word, modes_of,
    result::{Sending, Sent, write_done},
    watch::{Watched, class_of},
};
use crate::{
    backend,
    frontend::Target,
    metrics::Class,
    values::{Format, read_parameter, type_of, wire_type},
};

/// A prepared statement.
pub(super) struct Prepared {
    /// `None` for an empty text, which is a statement that does nothing.
    statement: Option<Statement>,
    text: Arc<str>,
    class: Class,
    /// What it has to do with transaction blocks.
    control: Control,
    /// The parameters' type numbers: as the client declared them, or as they were found.
    types: Vec<u32>,
    /// The types of its result's columns, as the client is told.
    columns: Vec<DataType>,
    /// Whether it does nothing before its first row is asked for.
    is_lazy: bool,
    /// Whether the session knows it too, by the same name.
    shared: bool,
}

impl Prepared {
    /// Whether rows of these columns are what the client was told of.
    fn gives(&self, columns: &[ResultColumn]) -> bool {
        let same = |column: &ResultColumn, told: DataType| {
            column.data_type == told || wire_type(column.data_type) == wire_type(told)
        };
        columns.len() == self.columns.len()
            && columns
                .iter()
                .zip(&self.columns)
                .all(|(column, told)| same(column, *told))
    }
}

/// Whether a statement is a query that changes nothing itself, by its first word.
fn is_lazy(sql: &str) -> bool {
    let word = first_word(sql);
    word.is_empty()
        || ["SELECT", "VALUES", "TABLE"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

fn types_of(columns: &[ResultColumn]) -> Vec<DataType> {
    columns.iter().map(|column| column.data_type).collect()
}

/// Rows of a cursor that SQL has declared, on their way.
pub(super) struct Fetching {
    sending: Sending,
    /// How many were asked for; `None`: all.
    asked: Option<u64>,
}

/// A statement with its parameters.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    parameters: Vec<Value>,
    formats: Vec<i16>,
    state: State,
    /// While it runs.
    running: Option<Watched>,
}

enum State {
    /// Not yet run.
    Bound,
    /// Its rows are on their way.
    Sending(Box<Sending>),
    /// Done, with this tag.
    Done(String),
}

impl Dispatcher {
    /// Prepares a statement.
    pub(super) fn parse(&mut self, name: String, text: &str, declared: &[u32]) -> Result<()> {
        let is_empty = text.trim().trim_end_matches(';').trim().is_empty();
        let control = control_of(text);
        let leaves = matches!(control, Control::Ends | Control::GoesBack);
        if self.session.transaction_failed() && !is_empty && !leaves {
            return Err(Error::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        if !name.is_empty() && self.prepared(&name).is_ok() {
            return Err(Error::new(
                SqlState("42P05"),
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        check_count(self.statements.len(), "prepared statements")?;
        let (statement, found, columns) = if is_empty {
            (None, Vec::new(), Vec::new())
        } else {
            // What the client says of its parameters decides what the statement means.
            let said: Vec<DataType> = declared
                .iter()
                .map(|oid| self.declared_type(*oid))
                .collect();
            let statement = self.session.prepare_with(text, &said)?;
            let found = self.session.describe(&statement)?;
            let columns = types_of(&found.columns);
            (Some(statement), found.parameters, columns)
        };
        let count = declared.len().max(found.len());
        let types = (0..count)
            .map(|at| match (declared.get(at), found.get(at)) {
                (Some(&oid), _) if oid != 0 => oid,
                (_, Some(data_type)) => wire_type(*data_type).oid,
                (_, None) => wire_type(DataType::Text).oid,
            })
            .collect();
        // EXECUTE and DEALLOCATE know the statement by its name.
        let shared = statement
            .as_ref()
            .is_some_and(|of| !name.is_empty() && self.session.keep_statement(&name, of));
        self.statements.insert(
            name,
            Arc::new(Prepared {
                statement,
                class: class_of(text),
                control,
                is_lazy: is_lazy(text),
                text: text.into(),
                types,
                columns,
                shared,
            }),
        );
        backend::parse_complete(&mut self.out);
        Ok(())
    }

    /// Makes a portal of a statement and its parameters.
    pub(super) fn bind(
        &mut self,
        portal: String,
        statement: &str,
        parameter_formats: &[i16],
        parameters: Vec<Option<Bytes>>,
        result_formats: Vec<i16>,
    ) -> Result<()> {
        let prepared = self.prepared(statement)?;
        if !portal.is_empty() && self.portals.contains_key(&portal) {
            return Err(Error::new(
                SqlState("42P03"),
                format!("portal \"{portal}\" already exists"),
            ));
        }
        check_count(self.portals.len(), "portals")?;
        if parameters.len() != prepared.types.len() {
            return Err(Error::new(
                SqlState("08P01"),
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{statement}\" \
                     requires {}",
                    parameters.len(),
                    prepared.types.len()
                ),
            ));
        }
        let parameters = parameters
            .into_iter()
            .zip(&prepared.types)
            .enumerate()
            .map(|(at, (bytes, oid))| {
                let format = Format::of(parameter_formats, at)?;
                let data_type = match (self.type_numbered(*oid), format) {
                    (Some(data_type), _) => data_type,
                    (None, Format::Text) => DataType::Text,
                    (None, Format::Binary) => {
                        return Err(Error::new(
                            SqlState::FEATURE_NOT_SUPPORTED,
                            format!("type {oid} has no binary form here"),
                        )
                        .hint("Send the parameter as text."));
                    }
                };
                read_parameter(bytes, format, data_type)
                    .map_err(|error| error.detail(format!("Parameter ${}.", at + 1)))
            })
            .collect::<Result<_>>()?;
        self.portals.insert(
            portal,
            Portal {
                prepared,
                parameters,
                formats: result_formats,
                state: State::Bound,
                running: None,
            },
        );
        backend::bind_complete(&mut self.out);
        Ok(())
    }

    /// Tells what a statement or portal takes and gives.
    pub(super) fn describe(&mut self, target: &Target) -> Result<()> {
        let (prepared, formats) = match target {
            Target::Statement(name) => (self.prepared(name)?, Vec::new()),
            Target::Portal(name)
                if !self.portals.contains_key(name)
                    && let Some(columns) = self.session.cursor_columns(name) =>
            {
                return backend::row_description(&mut self.out, columns, |_| Ok(Format::Text));
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (Arc::clone(&portal.prepared), portal.formats.clone())
            }
        };
        let columns = match &prepared.statement {
            Some(statement) => self.session.result_columns(statement)?,
            None => Arc::default(),
        };
        if matches!(target, Target::Statement(_)) {
            backend::parameter_description(&mut self.out, &prepared.types);
        }
        if columns.is_empty() {
            backend::no_data(&mut self.out);
            Ok(())
        } else {
            backend::row_description(&mut self.out, &columns, |at| Format::of(&formats, at))
        }
    }

    /// Begins to run a portal. Where more messages of the same series may follow (`alone` is
    /// false), a transaction around the series is opened first.
    pub(super) fn execute(&mut self, name: String, max_rows: u32, alone: bool) -> Result<()> {
        if !self.portals.contains_key(&name) && self.session.cursor_columns(&name).is_some() {
            return self.execute_cursor(&name, max_rows);
        }
        let portal = self
            .portals
            .get_mut(&name)
            .ok_or_else(|| no_portal(&name))?;
        if matches!(portal.state, State::Bound) {
            let prepared = Arc::clone(&portal.prepared);
            let parameters = std::mem::take(&mut portal.parameters);
            let Some(statement) = &prepared.statement else {
                backend::empty_query(&mut self.out);
                return Ok(());
            };
            if self.implicit && prepared.control == Control::Begins && self.session.in_transaction()
            {
                return self.begin_around(&name, &prepared, statement);
            }
            if prepared.control == Control::Ends {
                // Rows on their way would keep the transaction from ending.
                self.portals.retain(|known, _| *known == name);
            }
            // What changes something is not to be told only then that its rows cannot be sent.
            if !prepared.is_lazy
                && !prepared.columns.is_empty()
                && !self.session.transaction_failed()
                && self
                    .session
                    .result_columns(statement)
                    .is_ok_and(|now| !prepared.gives(&now))
            {
                return Err(changed_result());
            }
            if !alone && !self.session.in_transaction() && prepared.control == Control::None {
                self.session.begin()?;
                self.implicit = true;
            }
            let running = self.watch(&prepared.text, prepared.class, statement);
            match self.session.run_statement(statement, parameters) {
                Err(error) => {
                    self.watched(running, 0, true);
                    self.fail(&error, Some(&prepared.text));
                    return Ok(());
                }
                Ok(StatementResult::Rows(rows)) if !prepared.gives(rows.columns()) => {
                    self.watched(running, 0, true);
                    return Err(changed_result());
                }
                Ok(StatementResult::Rows(rows)) => {
                    let style = self.session.text_style();
                    let portal = self
                        .portals
                        .get_mut(&name)
                        .ok_or_else(|| no_portal(&name))?;
                    let formats = (0..rows.columns().len())
                        .map(|at| Format::of(&portal.formats, at))
                        .collect::<Result<_>>()?;
                    portal.state = State::Sending(Box::new(Sending::new(rows, formats, style)));
                    portal.running = Some(running);
                }
                Ok(StatementResult::CopyIn(copy)) => {
                    self.running = Some(running);
                    self.begin_copy_in(copy, Asker::Portal(name));
                    return Ok(());
                }
                Ok(StatementResult::CopyOut(copy)) => {
                    self.running = Some(running);
                    self.begin_copy_out(copy, Asker::Portal(name));
                    return Ok(());
                }
                Ok(done @ StatementResult::Done { .. }) => {
                    write_done(&done, &mut self.out);
                    if let StatementResult::Done { tag, affected, .. } = done {
                        self.watched(running, affected, false);
                        self.portal_is_done(&name, tag);
                    }
                    return Ok(());
                }
            }
        }
        let limit = (max_rows > 0).then_some(u64::from(max_rows));
        self.executing = Some((name, limit));
        Ok(())
    }

    /// Sends rows of a cursor that SQL has declared: to clients it is a portal.
    fn execute_cursor(&mut self, name: &str, max_rows: u32) -> Result<()> {
        let rows = (max_rows > 0).then_some(i64::from(max_rows));
        let fetched = self.session.fetch_forward(name, rows)?;
        let formats = vec![Format::Text; fetched.columns().len()];
        self.fetching = Some(Box::new(Fetching {
            sending: Sending::new(fetched, formats, self.session.text_style()),
            asked: (max_rows > 0).then_some(u64::from(max_rows)),
        }));
        Ok(())
    }

    /// Sends more of the rows of a cursor.
    pub(super) fn continue_fetching(&mut self) {
        let Some(mut fetching) = self.fetching.take() else {
            return;
        };
        match fetching.sending.send(&mut None, &mut self.out) {
            Ok(Sent::Enough) => self.fetching = Some(fetching),
            Ok(Sent::Limit | Sent::All) => {
                let sent = fetching.sending.sent();
                if fetching.asked == Some(sent) {
                    backend::portal_suspended(&mut self.out);
                } else {
                    backend::command_complete(&mut self.out, &format!("SELECT {sent}"));
                }
            }
            Err(error) => self.fail(&error, None),
        }
    }

    /// BEGIN behind other statements of a series: the transaction around the series becomes the
    /// block, with what they have done.
    fn begin_around(
        &mut self,
        name: &str,
        prepared: &Prepared,
        statement: &Statement,
    ) -> Result<()> {
        let running = self.watch(&prepared.text, prepared.class, statement);
        let modes = modes_of(&prepared.text);
        if !modes.is_empty() {
            let set = self.session.run(&format!("SET TRANSACTION {modes}"), ());
            if let Err(error) = set {
                self.watched(running, 0, true);
                return Err(error);
            }
        }
        self.implicit = false;
        self.watched(running, 0, false);
        let tag = if first_word(&prepared.text).eq_ignore_ascii_case("START") {
            "START TRANSACTION"
        } else {
            "BEGIN"
        };
        backend::command_complete(&mut self.out, tag);
        self.portal_is_done(name, tag.to_owned());
        Ok(())
    }

    /// Sends more of the portal being executed.
    pub(super) fn continue_execution(&mut self) {
        let Some((name, mut limit)) = self.executing.take() else {
            return;
        };
        let Some(portal) = self.portals.get_mut(&name) else {
            return;
        };
        let sent = match &mut portal.state {
            State::Sending(sending) => sending.send(&mut limit, &mut self.out),
            State::Done(tag) => {
                // Running a portal again that is done gives nothing more.
                backend::command_complete(&mut self.out, tag);
                return;
            }
            State::Bound => return,
        };
        match sent {
            Ok(Sent::Enough) => self.executing = Some((name, limit)),
            Ok(Sent::Limit) => backend::portal_suspended(&mut self.out),
            Ok(Sent::All) => {
                if let State::Sending(sending) = &portal.state {
                    let (tag, rows) = (sending.tag(), sending.sent());
                    backend::command_complete(&mut self.out, &tag);
                    portal.state = State::Done(tag);
                    if let Some(running) = portal.running.take() {
                        self.watched(running, rows, false);
                    }
                }
            }
            Err(error) => {
                if let Some(portal) = self.portals.remove(&name) {
                    if let Some(running) = portal.running {
                        self.watched(running, 0, true);
                    }
                    self.fail(&error, Some(&portal.prepared.text));
                }
            }
        }
    }

    /// Notes that a portal has nothing more to give.
    pub(super) fn portal_is_done(&mut self, name: &str, tag: String) {
        if let Some(portal) = self.portals.get_mut(name) {
            portal.state = State::Done(tag);
        }
        if !self.session.in_transaction() {
            self.implicit = false;
        }
    }

    /// Forgets a statement or portal; one that is not there is no error.
    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => {
                if self.statements.remove(name).is_none_or(|of| of.shared) {
                    self.session.forget_statement(name);
                }
            }
            Target::Portal(name) => {
                if self.portals.remove(name).is_none() {
                    self.session.close_cursor(name);
                }
            }
        }
        backend::close_complete(&mut self.out);
    }

    /// The type that a client declares a parameter to be; unknown where it leaves that open.
    fn declared_type(&self, oid: u32) -> DataType {
        match oid {
            0 | 705 => DataType::Unknown,
            oid => self.type_numbered(oid).unwrap_or(DataType::Unknown),
        }
    }

    /// The type with that number, also where a user has made it; `None` for one that has no
    /// binary form here.
    fn type_numbered(&self, oid: u32) -> Option<DataType> {
        type_of(oid).or_else(|| self.session.user_type(oid))
    }

    /// The statement of that name: of the protocol, or of PREPARE.
    fn prepared(&mut self, name: &str) -> Result<Arc<Prepared>> {
        let known = self.statements.get(name);
        let statement = match known {
            Some(known) if !known.shared => return Ok(Arc::clone(known)),
            _ => self.session.named_statement(name),
        };
        let Some(statement) = statement else {
            self.statements.remove(name);
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            return Err(Error::new(SqlState("26000"), message));
        };
        let is_known = |known: &&Arc<Prepared>| {
            let of = known.statement.as_ref();
            of.is_some_and(|of| of.is(&statement))
        };
        if let Some(known) = known.filter(is_known) {
            return Ok(Arc::clone(known));
        }
        let found = self.session.describe(&statement)?;
        let prepared = Arc::new(Prepared {
            class: class_of(statement.text()),
            control: Control::None,
            is_lazy: is_lazy(statement.text()),
            text: Arc::clone(statement.sql()),
            types: found
                .parameters
                .iter()
                .map(|of| wire_type(*of).oid)
                .collect(),
            columns: types_of(&found.columns),
            shared: true,
            statement: Some(statement),
        });
        check_count(self.statements.len(), "prepared statements")?;
        self.statements
            .insert(name.to_owned(), Arc::clone(&prepared));
        Ok(prepared)
    }
}

/// The client reads rows by the columns that it was told: others it would mistake.
fn changed_result() -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cached plan must not change result type",
    )
    .hint("Prepare the statement again, or send it by the simple protocol.")
}

fn check_count(count: usize, what: &str) -> Result<()> {
    if count < MAX_NAMED {
        return Ok(());
    }
    Err(Error::new(
        SqlState("53400"),
        format!("a session keeps at most {MAX_NAMED} {what}"),
    )
    .hint("Close those that are not needed any more."))
}

fn no_portal(name: &str) -> Error {
    Error::new(
        SqlState("34000"),
        format!("portal \"{name}\" does not exist"),
    )
}
