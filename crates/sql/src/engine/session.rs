//! Sessions: a connection's transaction and settings.

use std::{sync::Arc, time::Duration};

use rustling_storage::MemoryBudget;

use crate::{
    Error, Result, SqlState, Value,
    ast::{ExprKind, StatementKind},
    binder::BindOptions,
    bound::{BoundStatement, TransactionModes},
    engine::{
        Params,
        access::Authorization,
        cancel::CancelToken,
        catalog::CatalogSnapshot,
        copy::FileAccess,
        cursors::SessionObjects,
        database::Database,
        describe::all_settings,
        error::txn_error,
        foreign_keys::ConstraintModes,
        notice::Notice,
        notifications::notifies,
        prepared::{Action, PlanOptions, Planned, Prepared, Statement},
        result::needs_client,
        rows::Rows,
        sequences::SessionSequences,
        served_activity::{Login, SessionActivity},
        session_settings::SavedSettings,
        settings::Settings,
        system::SessionSystem,
        temporary::Temporary,
        transaction_state::{OpenTransaction, limit},
    },
    eval::SessionInfo,
    types::{CastContext, Conversion, DataType},
};

pub use super::result::StatementResult;

/// A session. Outside a transaction block (BEGIN … COMMIT) every statement is a transaction
/// of its own. After an error within a block only ROLLBACK (or ROLLBACK TO) is taken.
///
/// ```
/// use rustling_sql::{Database, StatementResult};
///
/// let mut session = Database::in_memory()?.session();
/// session.run("CREATE TABLE t (n int)", ())?;
/// session.run("BEGIN", ())?;
/// session.run("INSERT INTO t VALUES (1), (2)", ())?;
/// match session.run("SELECT sum(n) FROM t", ())? {
///     StatementResult::Rows(rows) => assert_eq!(rows.read_all::<(i64,)>()?, [(3,)]),
///     other => unreachable!("a query gives rows, not {other:?}"),
/// }
/// session.run("ROLLBACK", ())?;
/// # Ok::<(), rustling_sql::Error>(())
/// ```
#[derive(Debug)]
pub struct Session {
    pub(super) database: Database,
    pub(super) settings: Settings,
    pub(super) info: Arc<SessionInfo>,
    /// Whom it acts as.
    pub(super) authorization: Authorization,
    pub(super) open: Option<Box<OpenTransaction>>,
    pub(super) cancel: CancelToken,
    /// What SET CONSTRAINTS has said, and which checks wait for the commit.
    pub(super) constraints: ConstraintModes,
    pub(super) sequences: Arc<SessionSequences>,
    pub(super) temporary: Temporary,
    /// Prepared statements and cursors.
    pub(super) objects: SessionObjects,
    /// Which files COPY may reach.
    pub(super) files: FileAccess,
    /// What the settings become at the end of the open block, where it has changed some.
    pub(super) saved: Option<Box<SavedSettings>>,
    /// Its share of the memory, where it is limited.
    pub(super) memory: Option<MemoryBudget>,
    /// What is told of it while a client is served.
    pub(super) activity: Option<Arc<SessionActivity>>,
    /// Its place among the sessions of the role that it has logged in as.
    pub(super) login: Option<Arc<Login>>,
    /// Counts the changes of settings.
    pub(super) settings_version: u64,
}

impl std::fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenTransaction")
            .field("transaction", &self.transaction.id())
            .field("failed", &self.has_failed())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(database: Database) -> Session {
        let mut session = Session::one_shot(database);
        session.own_sequences();
        session
    }

    /// A session for one statement: it remembers no numbers of sequences.
    pub(crate) fn one_shot(database: Database) -> Session {
        Session {
            info: Arc::clone(&database.inner.info),
            settings: Settings::default(),
            authorization: Authorization::default(),
            open: None,
            cancel: CancelToken::default(),
            constraints: ConstraintModes::default(),
            sequences: Arc::clone(&database.inner.shared_sequences),
            temporary: Temporary::default(),
            objects: SessionObjects::default(),
            files: FileAccess::default(),
            saved: None,
            memory: None,
            activity: None,
            login: None,
            settings_version: 0,
            database,
        }
    }

    /// Gives the session a memory of its own for sequences.
    pub(super) fn own_sequences(&mut self) {
        if !Arc::ptr_eq(&self.sequences, &self.database.inner.shared_sequences) {
            return;
        }
        self.sequences = Arc::new(SessionSequences::of_session(&self.database.inner));
        self.sequences
            .set_search_path(Arc::clone(&self.settings.search_path));
        self.info = Arc::new(SessionInfo {
            access: Arc::clone(&self.sequences) as _,
            sequences: Arc::clone(&self.sequences) as _,
            system: Some(Arc::new(SessionSystem::of_session(
                Arc::clone(&self.sequences),
                &self.settings,
            ))),
            ..SessionInfo::clone(&self.info)
        });
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Ends this session's statements from another thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Whether a transaction block is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the open transaction block has failed and waits for ROLLBACK.
    #[must_use]
    pub fn transaction_failed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.has_failed())
    }

    /// Prepares a statement; [`Session::run_statement`] runs it in this session.
    ///
    /// # Errors
    /// What is wrong with the statement.
    pub fn prepare(&self, sql: &str) -> Result<Statement> {
        self.prepare_with(sql, &[])
    }

    /// As [`Session::prepare`], with the types of the first parameters said beforehand;
    /// [`DataType::Unknown`]: as the statement needs it.
    ///
    /// # Errors
    /// As [`Session::prepare`].
    pub fn prepare_with(&self, sql: &str, types: &[DataType]) -> Result<Statement> {
        let prepared = self.database.prepared_with(sql, types)?;
        // Errors in the statement show now, not when it is run.
        if prepared.has_plan() {
            prepared.plan(&self.catalog(), self.plan_options())?;
        }
        Ok(Statement::over(self.database.clone(), prepared))
    }

    /// The type of the values of a type that a user has made, by its number in `pg_type`: of a
    /// domain, the type under it.
    #[must_use]
    pub fn user_type(&self, oid: u32) -> Option<DataType> {
        self.catalog().user_type(oid)
    }

    /// The statement of that text, parsed but not planned: what is wrong with it beyond its syntax
    /// shows when it runs.
    ///
    /// # Errors
    /// Where the text is no statement; that fails an open transaction block.
    pub fn statement(&self, sql: &str) -> Result<Statement> {
        match self.database.prepared(sql) {
            Ok(prepared) => Ok(Statement::over(self.database.clone(), prepared)),
            Err(error) => Err(self.failing(error)),
        }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What the statement fails with; 25P02 where an earlier error must be rolled back first.
    pub fn run(&mut self, sql: &str, params: impl Params) -> Result<StatementResult> {
        let prepared = match self.database.prepared(sql) {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.failing(error)),
        };
        self.run_prepared(&prepared, params.into_values())
    }

    /// Runs a prepared statement in this session.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_statement(
        &mut self,
        statement: &Statement,
        params: impl Params,
    ) -> Result<StatementResult> {
        self.run_prepared(statement.prepared(), params.into_values())
    }

    /// Runs a statement; gives the number of rows affected (for a query: of rows).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn execute(&mut self, sql: &str, params: impl Params) -> Result<u64> {
        match self.run(sql, params)? {
            StatementResult::CopyIn(_) | StatementResult::CopyOut(_) => {
                Err(self.failing(needs_client()))
            }
            StatementResult::Done { affected, .. } => Ok(affected),
            StatementResult::Rows(mut rows) => {
                let mut row = Vec::new();
                let mut count = 0;
                while rows.next_into(&mut row)? {
                    count += 1;
                }
                Ok(count)
            }
        }
    }

    /// Runs a query.
    ///
    /// # Errors
    /// As [`Session::run`]; later errors come with the rows.
    pub fn query(&mut self, sql: &str, params: impl Params) -> Result<Rows> {
        self.run(sql, params)?.into_rows()
    }

    /// Runs statements separated by semicolons and gives every result, rows read whole. In an
    /// error's span, places count from the beginning of the script.
    ///
    /// # Errors
    /// What the first failing statement fails with.
    pub fn execute_script(&mut self, sql: &str) -> Result<Vec<StatementResult>> {
        let text: Arc<str> = sql.into();
        let statements = crate::parser::parse(sql).map_err(|error| self.failing(error))?;
        let mut results = Vec::with_capacity(statements.len());
        for statement in statements {
            let prepared = Arc::new(Prepared::from_ast(Arc::clone(&text), statement));
            results.push(match self.run_prepared(&prepared, Vec::new())? {
                StatementResult::Rows(rows) => {
                    let columns = rows.columns().to_vec();
                    let tag = rows.tag().map(str::to_owned);
                    let mut fixed = Rows::fixed(columns, rows.values()?);
                    if let Some(tag) = tag {
                        fixed = fixed.with_tag(tag);
                    }
                    StatementResult::Rows(fixed)
                }
                StatementResult::CopyIn(_) | StatementResult::CopyOut(_) => {
                    return Err(self.failing(needs_client()));
                }
                done => done,
            });
        }
        Ok(results)
    }

    /// Opens a transaction block with the session's default isolation level.
    ///
    /// # Errors
    /// 25001 where one is open.
    pub fn begin(&mut self) -> Result<()> {
        self.begin_with(TransactionModes::default())
    }

    /// Opens a transaction block; what `modes` leaves open is as the session's settings have it.
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub fn begin_with(&mut self, modes: TransactionModes) -> Result<()> {
        if self.open.is_some() {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            ));
        }
        self.open_transaction(modes)
    }

    /// Commits the transaction block; does nothing where none is open.
    ///
    /// # Errors
    /// What the commit fails with; 25P02 where the block has failed (it is rolled back then);
    /// 55006 where rows of it are still being read: the block stays open.
    pub fn commit(&mut self) -> Result<()> {
        let failed = self.transaction_failed();
        self.end(!failed)?;
        if failed {
            Err(must_roll_back())
        } else {
            Ok(())
        }
    }

    /// Rolls the transaction block back; does nothing where none is open.
    ///
    /// # Errors
    /// 55006 where rows of it are still being read: the block stays open.
    pub fn rollback(&mut self) -> Result<()> {
        self.end(false)
    }

    pub(super) fn open_transaction(&mut self, modes: TransactionModes) -> Result<()> {
        let open = OpenTransaction::begin(&self.database.inner, &self.settings, modes)?;
        self.note_transaction(&open.transaction);
        self.open = Some(Box::new(open));
        if let Some(system) = self.own_system() {
            system.outbox().begin();
        }
        Ok(())
    }

    /// What of this session, and of no other, the system catalog tells.
    pub(super) fn own_system(&self) -> Option<&SessionSystem> {
        let owned = !Arc::ptr_eq(&self.sequences, &self.database.inner.shared_sequences);
        self.info.system.as_deref().filter(|_| owned)
    }

    /// Sends the messages of a transaction that has ended, or forgets them.
    pub(super) fn end_messages(&self, committed: bool) {
        if let Some(system) = self.own_system() {
            let channels = &self.database.inner.channels;
            system.outbox().end(channels, self.info.backend, committed);
        }
    }

    pub(super) fn end(&mut self, commit: bool) -> Result<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        // Before anything is done for the end: the block goes on then.
        open.may_end()?;
        let commit = if commit {
            let result = self.before_commit();
            if let Err(error) = result {
                self.end(false)?;
                return Err(error);
            }
            true
        } else {
            false
        };
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        self.constraints = ConstraintModes::default();
        self.close_cursors(commit);
        self.restore_settings(commit);
        let changed_catalog = open.changed_catalog;
        let transaction = match open.into_transaction() {
            Ok(transaction) => transaction,
            Err((open, error)) => {
                self.open = Some(Box::new(open));
                return Err(error);
            }
        };
        if !commit {
            transaction.rollback();
            self.end_messages(false);
            if changed_catalog {
                self.sequences.set_open(None);
            }
            return Ok(());
        }
        let result = if changed_catalog {
            let result = self.database.inner.commit_catalog(transaction);
            self.sequences.set_open(None);
            result
        } else {
            transaction.commit().map(drop).map_err(txn_error)
        };
        self.end_messages(result.is_ok());
        result
    }

    /// Makes the checks that have waited for the end of the open block, and does what is to be
    /// done to temporary tables.
    fn before_commit(&mut self) -> Result<()> {
        if !self.constraints.is_idle() {
            let transaction = self.read_transaction()?;
            let mut context = self.exec_context(transaction, Vec::new(), None);
            super::foreign_keys::before_commit(self, &mut context)?;
        }
        if self.has_on_commit() {
            self.settle_temporary()?;
        }
        Ok(())
    }

    /// Notes an error in the open block, if there is one, and gives it back.
    pub(super) fn failing(&self, error: Error) -> Error {
        if let Some(open) = &self.open {
            open.fail();
        }
        error
    }

    /// When a statement that begins now is to end.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let timeout = self.settings.statement_timeout;
        (timeout > Duration::ZERO).then(|| self.database.env().now() + timeout)
    }

    pub(super) fn plan_options(&self) -> PlanOptions {
        PlanOptions {
            search_path: Arc::clone(&self.settings.search_path),
            executor: self.settings.executor,
            double_quoted_strings: self.settings.double_quoted_strings,
            optimizer: self.settings.optimizer,
        }
    }

    /// The catalog that the next statement sees.
    pub(super) fn catalog(&self) -> Arc<CatalogSnapshot> {
        match &self.open {
            Some(open) => open
                .catalog
                .clone()
                .unwrap_or_else(|| self.database.catalog()),
            None => self.database.catalog(),
        }
    }

    /// Runs a statement of any kind.
    pub(crate) fn run_prepared(
        &mut self,
        prepared: &Arc<Prepared>,
        params: Vec<Value>,
    ) -> Result<StatementResult> {
        if let StatementKind::Transaction(statement) = &prepared.ast.kind {
            return self.run_transaction_statement(statement.clone());
        }
        if self.transaction_failed() {
            return Err(must_roll_back());
        }
        let waits = self.open.as_ref().map(|open| {
            let lock_timeout = limit(self.settings.lock_timeout);
            let statement_timeout = limit(self.settings.statement_timeout);
            open.transaction
                .limit_waits(lock_timeout, statement_timeout);
            open.transaction.cancel_handle()
        });
        self.cancel.reset(waits);
        self.take_changed_settings()?;
        let alone = self.open.is_none();
        if alone && let Some(system) = self.own_system() {
            system.outbox().begin();
        }
        let result = self.dispatch(prepared, params);
        if alone {
            self.end_messages(result.is_ok());
        }
        result.map_err(|error| self.failing(error))
    }

    pub(super) fn dispatch(
        &mut self,
        prepared: &Arc<Prepared>,
        params: Vec<Value>,
    ) -> Result<StatementResult> {
        if is_definition(&prepared.ast.kind) {
            return self.run_definition(prepared, &params);
        }
        if let StatementKind::Session(statement) = &prepared.ast.kind {
            return self.run_session_statement(&prepared.sql, statement);
        }
        if let StatementKind::Explain(explain) = &prepared.ast.kind
            && let StatementKind::Session(crate::ast::SessionStatement::Execute { name, arguments }) =
                &explain.statement.kind
        {
            return self.explain_named(explain, name, arguments);
        }
        let (planned, params) = self.planned(prepared, params)?;
        if self.open.is_none() && notifies(&planned.needed) {
            return self.sending(|session| session.run_planned(prepared, planned, params));
        }
        self.run_planned(prepared, planned, params)
    }

    fn run_planned(
        &mut self,
        prepared: &Arc<Prepared>,
        planned: Arc<Planned>,
        params: Vec<Value>,
    ) -> Result<StatementResult> {
        match &planned.action {
            Action::Query(_) => {
                let rows = self.run_query(prepared, planned, params)?;
                Ok(StatementResult::Rows(rows))
            }
            Action::Change(_) | Action::With { .. } => self.run_change(prepared, planned, params),
            Action::Explain {
                analyze,
                json,
                action,
            } => {
                let form = (*analyze, *json);
                let rows = self.run_explain(prepared, form, &planned, action, params)?;
                Ok(StatementResult::Rows(rows))
            }
            Action::CopyTo(copy) => self.run_copy_to(prepared, &planned, copy, params),
            Action::Utility(BoundStatement::CopyFrom(_)) => self.run_copy_from(prepared, planned),
            Action::Utility(statement) => self.run_utility(statement),
        }
    }

    /// The plan of a statement for the catalog that it sees now, which the session's role may run,
    /// with the parameters as the plan wants them.
    pub(super) fn planned(
        &mut self,
        prepared: &Prepared,
        params: Vec<Value>,
    ) -> Result<(Arc<Planned>, Vec<Value>)> {
        let catalog = self.catalog();
        let planned = if is_positioned(&prepared.ast.kind) {
            let options = BindOptions {
                positions: self.cursor_positions(),
                ..BindOptions::default()
            };
            prepared.plan_anew(&catalog, self.plan_options(), options)?
        } else {
            prepared.plan(&catalog, self.plan_options())?
        };
        self.authorize(&catalog, &planned)?;
        let params = self.convert_params(&planned, params)?;
        Ok((planned, params))
    }

    /// The parameters as values of the types that the statement wants.
    pub(super) fn convert_params(
        &self,
        planned: &Planned,
        params: Vec<Value>,
    ) -> Result<Vec<Value>> {
        if params.len() != planned.parameters.len() {
            return Err(Error::new(
                SqlState("08P01"),
                format!(
                    "wrong number of parameters: the statement has {}, {} given",
                    planned.parameters.len(),
                    params.len()
                ),
            ));
        }
        let conversion = Conversion {
            style: &self.info.style,
            now: Some(self.database.env().wall_clock()),
        };
        params
            .into_iter()
            .zip(&planned.parameters)
            .enumerate()
            .map(|(at, (value, to))| {
                let given = value.data_type();
                if given.is_none() || given == Some(*to) || *to == DataType::Unknown {
                    return Ok(value);
                }
                let converted = match &value {
                    Value::Text(text) if !to.is_string() => Value::parse_in(text, *to, &conversion),
                    _ => value.cast_in(*to, CastContext::Assignment, &conversion),
                };
                converted.map_err(|error| {
                    error.detail(format!("In the value of parameter ${}.", at + 1))
                })
            })
            .collect()
    }

    fn run_utility(&mut self, statement: &BoundStatement) -> Result<StatementResult> {
        match statement {
            BoundStatement::Set {
                local,
                reset,
                name,
                value,
            } => {
                let tag = if *reset { "RESET" } else { "SET" };
                if self.in_transaction() {
                    self.change_setting_in_block(name, value.as_ref(), *local)?;
                    return Ok(StatementResult::done(tag));
                }
                if *local {
                    return Ok(StatementResult::noted(
                        "SET",
                        vec![
                            Notice::warning("SET LOCAL can only be used in transaction blocks")
                                .with_state(SqlState::NO_ACTIVE_SQL_TRANSACTION),
                        ],
                    ));
                }
                self.change_setting(name, value.as_ref())?;
                Ok(StatementResult::done(tag))
            }
            BoundStatement::ResetAll => {
                self.reset_settings();
                Ok(StatementResult::done("RESET"))
            }
            BoundStatement::Show { name: Some(name) } => {
                let value = self.setting(name)?;
                Ok(StatementResult::Rows(Rows::text(name, [value])))
            }
            BoundStatement::Show { name: None } => {
                let rows = self
                    .settings
                    .show_all()?
                    .into_iter()
                    .map(|row| row.map(|text| Value::Text(text.into())).to_vec())
                    .collect();
                Ok(StatementResult::Rows(Rows::fixed(all_settings(), rows)))
            }
            BoundStatement::LockTables {
                tables,
                mode,
                no_wait,
            } => {
                let block = self.block("LOCK TABLE")?;
                block.lock_tables(tables, *mode, *no_wait)?;
                Ok(StatementResult::done("LOCK TABLE"))
            }
            BoundStatement::SetConstraints {
                constraints,
                all,
                deferred,
            } => self.set_constraints(constraints, *all, *deferred),
            BoundStatement::Checkpoint => {
                if !self.is_superuser() {
                    return Err(Error::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        "must be superuser to do CHECKPOINT",
                    ));
                }
                self.database.checkpoint()?;
                Ok(StatementResult::done("CHECKPOINT"))
            }
            _ => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "this statement is not supported here",
            )),
        }
    }

    /// Whether reads of the open transaction see one snapshot throughout.
    pub(super) fn keeps_snapshot(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.transaction.isolation().keeps_snapshot())
    }
}

/// Whether the statement changes the catalog, so that it is bound under the catalog's lock.
fn is_definition(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::CreateTable(_)
            | StatementKind::CreateIndex(_)
            | StatementKind::CreateView(_)
            | StatementKind::CreateSequence(_)
            | StatementKind::CreateSchema(_)
            | StatementKind::Comment(_)
            | StatementKind::CreateType(_)
            | StatementKind::CreateDomain(_)
            | StatementKind::AlterType(_)
            | StatementKind::DropType(_)
            | StatementKind::Access(_)
            | StatementKind::AlterTable(_)
            | StatementKind::AlterSequence(_)
            | StatementKind::Drop(_)
            | StatementKind::Truncate(_)
            | StatementKind::Analyze { .. }
    )
}

/// Whether the statement changes the row that a cursor is on.
fn is_positioned(kind: &StatementKind) -> bool {
    let filter = match kind {
        StatementKind::Update(update) => &update.filter,
        StatementKind::Delete(delete) => &delete.filter,
        _ => return false,
    };
    matches!(filter, Some(filter) if matches!(filter.kind, ExprKind::CurrentOf(_)))
}

/// The answer to anything but ROLLBACK after an error.
#[cold]
pub(super) fn must_roll_back() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
    .hint("End it with ROLLBACK, or go back with ROLLBACK TO SAVEPOINT.")
}
