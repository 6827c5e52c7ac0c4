//! Cursors, prepared statements of the session, DISCARD and VACUUM.

use std::{collections::HashMap, sync::Arc};

use crate::{
    DataType, Error, Result, Span, SqlState, Value,
    ast::{
        Discard, Explain, Expr, ExprKind, FetchDirection, Ident, Insert, ObjectName, Query,
        SessionStatement, SetScope, Statement, StatementKind, TypeName,
    },
    binder::{BindOptions, CursorPosition, ROW_KEY},
    bound::BoundStatement,
    catalog::{Table, TableId},
    engine::{
        describe::columns_of,
        notice::Notice,
        prepared::{Action, Prepared},
        query::Started,
        rows::{ResultColumn, Rows},
        session::{Session, StatementResult},
        table::TableHandle,
        temporary,
    },
    executor::{MemoryMeter, row_bytes},
};

/// Prepared statements of a session. PREPARE of more is refused.
const MAX_PREPARED: usize = 16 << 10;

/// What a session has made that other statements name.
#[derive(Debug, Default)]
pub(crate) struct SessionObjects {
    prepared: HashMap<String, Arc<Prepared>>,
    cursors: HashMap<String, Cursor>,
}

/// A cursor: the rows of its query as they were when it was declared.
struct Cursor {
    columns: Vec<ResultColumn>,
    rows: Vec<Vec<Value>>,
    /// The table that it shows row by row, with the keys of the rows.
    keys: Option<(TableId, Vec<Vec<u8>>)>,
    /// How many rows lie before the cursor's place and at it: 0 before the first row, one more
    /// than there are rows after the last.
    at: usize,
    /// Whether it may go back.
    scrolls: bool,
    /// Whether it lives on after its transaction.
    holds: bool,
    /// Whether the open block has declared it.
    is_new: bool,
    /// How many savepoints there were when it was declared.
    depth: usize,
    /// What its query fails with after the last of its rows.
    end: End,
    /// Counts the rows against the memory budget.
    _memory: MemoryMeter,
}

/// What comes after the rows of a cursor.
#[derive(Debug)]
enum End {
    /// Nothing.
    Clean,
    /// The query fails there.
    Fails(Error),
    /// It has failed: the cursor is of no use any more.
    Failed,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("rows", &self.rows.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Whether an error is about the values of a row (SQLSTATE class 22).
fn is_of_row(error: &Error) -> bool {
    error.state().0.starts_with("22")
}

impl Cursor {
    /// The rows that FETCH gives, in its order; the cursor goes there.
    fn fetch(&mut self, direction: FetchDirection) -> Vec<&Vec<Value>> {
        let count = self.rows.len();
        let one = |cursor: &mut Cursor, place: i128| {
            // Counted from 1; anything outside leaves the cursor before or after the rows.
            let after = count as i128 + 1;
            cursor.at = place.clamp(0, after) as usize;
            (1..after).contains(&place).then_some(place as usize)
        };
        let places: Vec<usize> = match direction {
            FetchDirection::Absolute(row) => {
                let place = if row < 0 {
                    count as i128 + 1 + i128::from(row)
                } else {
                    i128::from(row)
                };
                one(self, place).into_iter().collect()
            }
            FetchDirection::Relative(step) => {
                let place = self.at as i128 + i128::from(step);
                one(self, place).into_iter().collect()
            }
            FetchDirection::Forward(Some(0)) | FetchDirection::Backward(Some(0)) => {
                let place = self.at as i128;
                one(self, place).into_iter().collect()
            }
            FetchDirection::Forward(Some(steps)) if steps < 0 => {
                return self.fetch(FetchDirection::Backward(steps.checked_neg()));
            }
            FetchDirection::Backward(Some(steps)) if steps < 0 => {
                return self.fetch(FetchDirection::Forward(steps.checked_neg()));
            }
            FetchDirection::Forward(steps) => {
                let first = self.at + 1;
                let wanted = steps.map_or(usize::MAX, |steps| {
                    usize::try_from(steps).unwrap_or(usize::MAX)
                });
                let last = self.at.saturating_add(wanted).min(count);
                // Asked for more than there are, it goes past the last row.
                self.at = self.at.saturating_add(wanted).min(count + 1);
                (first..=last).collect()
            }
            FetchDirection::Backward(steps) => {
                let wanted = steps.map_or(usize::MAX, |steps| {
                    usize::try_from(steps).unwrap_or(usize::MAX)
                });
                let last = self.at.saturating_sub(1).min(count);
                let first = self.at.saturating_sub(wanted).max(1);
                self.at = self.at.saturating_sub(wanted);
                (first..=last).rev().collect()
            }
        };
        places
            .into_iter()
            .filter_map(|place| self.rows.get(place - 1))
            .collect()
    }

    fn goes_back(&self, direction: FetchDirection) -> bool {
        match direction {
            FetchDirection::Forward(steps) => steps.is_some_and(|steps| steps < 0),
            FetchDirection::Backward(steps) => steps.is_none_or(|steps| steps > 0),
            FetchDirection::Absolute(row) => row < 0 || (row as u64) < self.at as u64,
            FetchDirection::Relative(step) => step < 0,
        }
    }
}

fn no_cursor(name: &Ident) -> Error {
    Error::new(
        SqlState("34000"),
        format!("cursor \"{}\" does not exist", name.name),
    )
    .at(name.span)
}

fn no_statement(name: &Ident) -> Error {
    Error::new(
        SqlState("26000"),
        format!("prepared statement \"{}\" does not exist", name.name),
    )
    .at(name.span)
}

impl Session {
    /// The columns of an open cursor.
    #[must_use]
    pub fn cursor_columns(&self, name: &str) -> Option<&[ResultColumn]> {
        let cursor = self.objects.cursors.get(name)?;
        Some(&cursor.columns)
    }

    /// The columns that EXECUTE of a prepared statement gives; none where there is none.
    pub(super) fn named_columns(&self, name: &str) -> Result<Vec<ResultColumn>> {
        let Some(prepared) = self.objects.prepared.get(name) else {
            return Ok(Vec::new());
        };
        let planned = prepared.plan(&self.catalog(), self.plan_options())?;
        Ok(columns_of(&planned.action))
    }

    /// Runs a statement about the session.
    pub(super) fn run_session_statement(
        &mut self,
        sql: &Arc<str>,
        statement: &SessionStatement,
    ) -> Result<StatementResult> {
        match statement {
            SessionStatement::Prepare {
                name,
                types,
                statement,
            } => self.prepare_named(sql, name, types, statement),
            SessionStatement::Execute { name, arguments } => self.execute_named(name, arguments),
            SessionStatement::Deallocate(None) => {
                self.objects.prepared.clear();
                Ok(StatementResult::done("DEALLOCATE ALL"))
            }
            SessionStatement::Deallocate(Some(name)) => {
                match self.objects.prepared.remove(&name.name) {
                    Some(_) => Ok(StatementResult::done("DEALLOCATE")),
                    None => Err(no_statement(name)),
                }
            }
            SessionStatement::Declare {
                name,
                scroll,
                hold,
                query,
            } => self.declare_cursor(sql, name, *scroll, *hold, query),
            SessionStatement::Open(name) => match self.objects.cursors.get_mut(&name.name) {
                Some(cursor) => {
                    cursor.at = 0;
                    Ok(StatementResult::done("OPEN"))
                }
                None => Err(no_cursor(name)),
            },
            SessionStatement::Fetch {
                name,
                direction,
                moves,
                into: None,
            } => self.fetch_cursor(name, *direction, *moves),
            SessionStatement::Fetch {
                name,
                direction,
                into: Some(into),
                ..
            } => self.fetch_into(sql, name, *direction, into),
            SessionStatement::Close(None) => {
                self.objects.cursors.clear();
                Ok(StatementResult::done("CLOSE CURSOR ALL"))
            }
            SessionStatement::Close(Some(name)) => match self.objects.cursors.remove(&name.name) {
                Some(_) => Ok(StatementResult::done("CLOSE CURSOR")),
                None => Err(no_cursor(name)),
            },
            SessionStatement::SetRole {
                scope,
                authorization,
                role,
            } => self.set_role(*scope, *authorization, role.as_ref()),
            SessionStatement::Listen(channel) => self.listen(&channel.name),
            SessionStatement::Unlisten(channel) => {
                self.unlisten(channel.as_ref().map(|channel| channel.name.as_str()))
            }
            SessionStatement::Notify { channel, payload } => {
                self.notify(&channel.name, payload.as_deref().unwrap_or_default())
            }
            SessionStatement::Discard(what) => self.discard(*what),
            SessionStatement::Vacuum { tables, analyze } => self.vacuum(tables, *analyze),
        }
    }

    /// VACUUM of these tables, or of all: those that are not the role's to vacuum are skipped.
    fn vacuum(&mut self, names: &[ObjectName], analyze: bool) -> Result<StatementResult> {
        if self.in_transaction() {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "VACUUM cannot run inside a transaction block",
            ));
        }
        let catalog = self.catalog();
        let mut tables: Vec<Arc<TableHandle>> = names
            .iter()
            .map(|name| self.table_named(&name.to_string()))
            .collect::<Result<_>>()?;
        if names.is_empty() {
            let stored = |handle: &&Arc<TableHandle>| handle.table.view().is_none();
            tables.extend(catalog.handles().filter(stored).cloned());
        }
        let mut notices = Vec::new();
        tables.retain(|handle| {
            let may = self.may_maintain(&catalog, &handle.table);
            if !may {
                notices.push(Notice::warning(format!(
                    "skipping \"{}\" --- only table or database owner can vacuum it",
                    handle.table.name
                )));
            }
            may
        });
        // What has been skipped altogether moves nothing.
        if notices.is_empty() || !tables.is_empty() {
            // Old versions are pruned as pages are written; what is written now is pruned now.
            self.database.checkpoint()?;
        }
        if analyze && !tables.is_empty() {
            self.define(|catalog| {
                let left: Vec<Arc<Table>> = tables
                    .iter()
                    .filter_map(|handle| catalog.table_by_id(handle.table.id))
                    .collect();
                if left.is_empty() {
                    return Err(Error::new(
                        SqlState::UNDEFINED_TABLE,
                        "the tables do not exist any more",
                    ));
                }
                Ok((BoundStatement::Analyze { tables: left }, None))
            })?;
        }
        Ok(StatementResult::noted("VACUUM", notices))
    }

    fn prepare_named(
        &mut self,
        sql: &Arc<str>,
        name: &Ident,
        types: &[TypeName],
        statement: &Statement,
    ) -> Result<StatementResult> {
        if self.objects.prepared.contains_key(&name.name) {
            return Err(Error::new(
                SqlState("42P05"),
                format!("prepared statement \"{}\" already exists", name.name),
            )
            .at(name.span));
        }
        if self.objects.prepared.len() >= MAX_PREPARED {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a session has at most {MAX_PREPARED} prepared statements"),
            )
            .at(name.span)
            .hint("Forget those that are not needed with DEALLOCATE."));
        }
        let catalog = self.catalog();
        let path = Arc::clone(&self.settings.search_path);
        let reader = catalog.with_path(&path);
        let types: Vec<DataType> = types
            .iter()
            .map(|name| crate::binder::type_named(name, &reader))
            .collect::<Result<_>>()?;
        let prepared = Prepared::from_ast(Arc::clone(sql), statement.clone()).with_types(types);
        // Errors in the statement show now.
        prepared.plan(&self.catalog(), self.plan_options())?;
        self.objects
            .prepared
            .insert(name.name.clone(), Arc::new(prepared));
        Ok(StatementResult::done("PREPARE"))
    }

    fn execute_named(&mut self, name: &Ident, arguments: &[Expr]) -> Result<StatementResult> {
        let prepared = self.prepared_named(name)?;
        let values = self.argument_values(&prepared, name, arguments)?;
        self.dispatch(&prepared, values)
    }

    /// EXPLAIN EXECUTE.
    pub(super) fn explain_named(
        &mut self,
        explain: &Explain,
        name: &Ident,
        arguments: &[Expr],
    ) -> Result<StatementResult> {
        let prepared = self.prepared_named(name)?;
        let values = self.argument_values(&prepared, name, arguments)?;
        self.dispatch(&Arc::new(prepared.explained(explain)), values)
    }

    /// What EXPLAIN EXECUTE explains; `None` for other statements, and where there is no prepared
    /// statement of that name.
    pub(super) fn explained_execute(&self, statement: &Statement) -> Result<Option<Prepared>> {
        let StatementKind::Explain(explain) = &statement.kind else {
            return Ok(None);
        };
        let StatementKind::Session(SessionStatement::Execute { name, .. }) =
            &explain.statement.kind
        else {
            return Ok(None);
        };
        Ok(Some(self.prepared_named(name)?.explained(explain)))
    }

    fn prepared_named(&self, name: &Ident) -> Result<Arc<Prepared>> {
        let prepared = self.objects.prepared.get(&name.name).cloned();
        prepared.ok_or_else(|| no_statement(name))
    }

    /// The values of EXECUTE's arguments.
    fn argument_values(
        &mut self,
        prepared: &Prepared,
        name: &Ident,
        arguments: &[Expr],
    ) -> Result<Vec<Value>> {
        let planned = prepared.plan(&self.catalog(), self.plan_options())?;
        if planned.parameters.len() != arguments.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "wrong number of parameters for prepared statement \"{}\"",
                    name.name
                ),
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                planned.parameters.len(),
                arguments.len()
            ))
            .at(name.span));
        }
        let options = BindOptions::default();
        let catalog = self.catalog();
        let path = Arc::clone(&self.settings.search_path);
        let reader = catalog.with_path(&path);
        let transaction = self.read_transaction()?;
        let context = self.exec_context(transaction, Vec::new(), None);
        arguments
            .iter()
            .zip(&planned.parameters)
            .map(|(argument, data_type)| {
                let expr = crate::binder::bind_constant(argument, *data_type, &reader, &options)?;
                crate::eval::CompiledExpr::compile(&expr, &|_| None)?.eval(&[], &context.eval())
            })
            .collect()
    }

    /// Keeps a statement under a name, as PREPARE does; whether it could be kept: what begins or
    /// ends transactions, or is about the session, cannot.
    pub fn keep_statement(&mut self, name: &str, statement: &super::Statement) -> bool {
        let prepared = statement.prepared();
        if prepared.has_plan() {
            let kept = Arc::clone(prepared);
            self.objects.prepared.insert(name.to_owned(), kept);
        }
        prepared.has_plan()
    }

    /// The statement that PREPARE or [`Session::keep_statement`] has given that name.
    #[must_use]
    pub fn named_statement(&self, name: &str) -> Option<super::Statement> {
        let prepared = self.objects.prepared.get(name)?;
        Some(super::Statement::over(
            self.database.clone(),
            Arc::clone(prepared),
        ))
    }

    /// Forgets a statement, as DEALLOCATE does; one that is not there is no error.
    pub fn forget_statement(&mut self, name: &str) {
        self.objects.prepared.remove(name);
    }

    fn declare_cursor(
        &mut self,
        sql: &Arc<str>,
        name: &Ident,
        scroll: Option<bool>,
        hold: bool,
        query: &Query,
    ) -> Result<StatementResult> {
        if self.objects.cursors.contains_key(&name.name) {
            return Err(Error::new(
                SqlState("42P03"),
                format!("cursor \"{}\" already exists", name.name),
            )
            .at(name.span));
        }
        let statement = Statement {
            kind: StatementKind::Query(Box::new(query.clone())),
            span: query.span,
        };
        let prepared = Prepared::from_ast(Arc::clone(sql), statement);
        let mut replans = 0;
        let (planned, rows) = loop {
            let catalog = self.catalog();
            let with_keys = BindOptions {
                row_keys: true,
                ..BindOptions::default()
            };
            let planned = prepared.plan_anew(&catalog, self.plan_options(), with_keys)?;
            self.authorize(&catalog, &planned)?;
            let Action::Query(action) = &planned.action else {
                return Err(Error::new(
                    SqlState::INTERNAL_ERROR,
                    "a cursor's statement is no query",
                ));
            };
            if let Started::Rows(rows) = self.start_query(&planned, action, Vec::new())? {
                break (planned, rows);
            }
            self.note_stale(&mut replans)?;
        };
        let mut rows = rows.without_failing();
        let mut memory = MemoryMeter::of(self.memory_budget(), "cursor")?;
        let mut columns = rows.columns().to_vec();
        let has_keys = columns.last().is_some_and(|column| column.name == ROW_KEY);
        if has_keys {
            columns.pop();
        }
        let mut kept = Vec::new();
        let mut keys = Vec::new();
        let mut row = Vec::new();
        let mut end = End::Clean;
        loop {
            match rows.next_into(&mut row) {
                Ok(true) => {}
                Ok(false) => break,
                // What is wrong with a row is told to whoever fetches it.
                Err(error) if !hold && self.in_transaction() && is_of_row(&error) => {
                    end = End::Fails(error);
                    break;
                }
                Err(error) => return Err(error),
            }
            memory.grow(row_bytes(&row))?;
            if has_keys && let Some(Value::Bytea(key)) = row.pop() {
                keys.push(key);
            }
            kept.push(std::mem::take(&mut row));
        }
        // FROM's only table is what was read first.
        let table = planned.needed.tables.first().map(|check| check.table.id);
        let cursor = Cursor {
            columns,
            rows: kept,
            keys: table.filter(|_| has_keys).map(|table| (table, keys)),
            at: 0,
            scrolls: scroll != Some(false),
            // Outside a block there is no transaction whose end would close it.
            holds: hold || !self.in_transaction(),
            is_new: self.in_transaction(),
            depth: self.open.as_ref().map_or(0, |open| open.savepoints()),
            end,
            _memory: memory,
        };
        self.objects.cursors.insert(name.name.clone(), cursor);
        Ok(StatementResult::done("DECLARE CURSOR"))
    }

    /// The open block is back at its last savepoint: cursors declared since are gone.
    pub(super) fn rolled_back_to_savepoint(&mut self) {
        let left = self.open.as_ref().map_or(0, |open| open.savepoints());
        self.objects.cursors.retain(|_, cursor| cursor.depth < left);
    }

    /// A savepoint was released: what was declared after it belongs to what is around it.
    pub(super) fn released_savepoint(&mut self) {
        let left = self.open.as_ref().map_or(0, |open| open.savepoints());
        for cursor in self.objects.cursors.values_mut() {
            cursor.depth = cursor.depth.min(left);
        }
    }

    /// The next rows of an open cursor; `None`: all that are left.
    ///
    /// # Errors
    /// 34000 where there is no such cursor, and what its query fails with there.
    pub fn fetch_forward(&mut self, name: &str, rows: Option<i64>) -> Result<Rows> {
        let name = Ident {
            name: name.to_owned(),
            quoted: true,
            span: Span::default(),
        };
        self.fetch_cursor(&name, FetchDirection::Forward(rows), false)?
            .into_rows()
    }

    /// Closes a cursor; one that is not there is no error.
    pub fn close_cursor(&mut self, name: &str) {
        self.objects.cursors.remove(name);
    }

    fn fetch_cursor(
        &mut self,
        name: &Ident,
        direction: FetchDirection,
        moves: bool,
    ) -> Result<StatementResult> {
        let cursor = self
            .objects
            .cursors
            .get_mut(&name.name)
            .ok_or_else(|| no_cursor(name))?;
        if !cursor.scrolls && cursor.goes_back(direction) {
            return Err(Error::new(
                SqlState::NOT_IN_PREREQUISITE_STATE,
                "cursor can only scan forward",
            )
            .hint("Declare it with SCROLL option to enable backward scan."));
        }
        if matches!(cursor.end, End::Failed) {
            return Err(Error::new(
                SqlState::NOT_IN_PREREQUISITE_STATE,
                format!("cursor \"{}\" has failed and cannot go on", name.name),
            )
            .at(name.span));
        }
        let rows: Vec<Vec<Value>> = cursor.fetch(direction).into_iter().cloned().collect();
        if cursor.at > cursor.rows.len()
            && let End::Fails(error) = std::mem::replace(&mut cursor.end, End::Clean)
        {
            cursor.end = End::Failed;
            return Err(error);
        }
        let count = rows.len();
        if moves {
            return Ok(StatementResult::Done {
                tag: format!("MOVE {count}"),
                affected: count as u64,
                notices: Vec::new(),
            });
        }
        Ok(StatementResult::Rows(
            Rows::fixed(cursor.columns.clone(), rows).with_tag(format!("FETCH {count}")),
        ))
    }

    /// Where the session's cursors are.
    pub(super) fn cursor_positions(&self) -> Vec<CursorPosition> {
        self.objects
            .cursors
            .iter()
            .map(|(name, cursor)| CursorPosition {
                cursor: name.clone(),
                table: cursor.keys.as_ref().map(|(table, _)| *table),
                key: cursor.keys.as_ref().and_then(|(_, keys)| {
                    let place = cursor.at.checked_sub(1)?;
                    keys.get(place).cloned()
                }),
            })
            .collect()
    }

    /// FETCH … INTO: what FETCH would give is added to a table.
    fn fetch_into(
        &mut self,
        sql: &Arc<str>,
        name: &Ident,
        direction: FetchDirection,
        into: &ObjectName,
    ) -> Result<StatementResult> {
        let mut fetched = self.fetch_cursor(name, direction, false)?.into_rows()?;
        let width = fetched.columns().len();
        // Parameters are numbered from 1.
        let parameters = (1..=width)
            .map(|place| Expr {
                kind: ExprKind::Parameter(place),
                span: into.span,
            })
            .collect();
        let insert = Prepared::from_ast(Arc::clone(sql), Insert::row(into.clone(), parameters));
        let insert = Arc::new(insert);
        let mut row = Vec::new();
        let mut count = 0u64;
        while fetched.next_into(&mut row)? {
            self.dispatch(&insert, std::mem::take(&mut row))?;
            count += 1;
        }
        Ok(StatementResult::Done {
            tag: format!("FETCH {count}"),
            affected: count,
            notices: Vec::new(),
        })
    }

    /// The end of a transaction closes the cursors that do not outlive it.
    pub(super) fn close_cursors(&mut self, committed: bool) {
        if !self.objects.cursors.is_empty() {
            self.objects.cursors.retain(|_, cursor| {
                let stays = cursor.holds && (committed || !cursor.is_new);
                (cursor.is_new, cursor.depth) = (false, 0);
                stays
            });
        }
    }

    fn discard(&mut self, what: Discard) -> Result<StatementResult> {
        let tag = match what {
            Discard::All => {
                if self.in_transaction() {
                    return Err(Error::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    ));
                }
                self.objects = SessionObjects::default();
                self.sequences.forget();
                self.unlisten(None)?;
                self.discard_temporary()?;
                self.reset_settings();
                self.set_role(SetScope::Session, true, None)?;
                "DISCARD ALL"
            }
            // Plans follow the catalog by themselves: there are none to forget.
            Discard::Plans => "DISCARD PLANS",
            Discard::Sequences => {
                self.sequences.forget();
                "DISCARD SEQUENCES"
            }
            Discard::Temporary => {
                self.discard_temporary()?;
                "DISCARD TEMP"
            }
        };
        Ok(StatementResult::done(tag))
    }

    fn discard_temporary(&mut self) -> Result<()> {
        self.temporary.tables.clear();
        match &self.temporary.schema {
            Some(schema) => temporary::drop_all(&self.database, Some(schema)),
            None => Ok(()),
        }
    }
}
