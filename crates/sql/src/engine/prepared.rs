//! Prepared statements.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::RwLock;

use crate::{
    DataType, Result, Value, ast,
    binder::{BindOptions, Bound, bind},
    bound::{BoundStatement, ColumnId, CopyOptions, Needed},
    catalog::{Table, TableId, TableKind},
    engine::table::TableHandle,
    engine::{
        Params,
        catalog::CatalogSnapshot,
        change::{
            ChangeAction,
            plan::{StatementPlanner, result_columns},
        },
        database::{Database, Inner},
        point_read::PointRead,
        result::needs_client,
        rows::{ResultColumn, Rows},
        session::{Session, StatementResult},
        statement_statistics::FiguresCell,
    },
    planner::{
        PlanContext,
        choose_executor::ExecutorSetting,
        physical::{PlannedLock, QueryPlan},
    },
};

/// A statement's text and syntax tree with the plan that was last made of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The text that spans point into.
    pub(crate) sql: Arc<str>,
    /// The syntax tree.
    pub(crate) ast: ast::Statement,
    /// Types of parameters that were said beforehand.
    parameter_types: Vec<DataType>,
    planned: RwLock<Option<Arc<Planned>>>,
    /// What its runs have cost.
    pub(crate) figures: FiguresCell,
}

/// What a plan depends on beside the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanOptions {
    /// Where unqualified names are looked up.
    pub(crate) search_path: Arc<Vec<String>>,
    /// Which executors may run.
    pub(crate) executor: ExecutorSetting,
    /// Whether `"x"` may be a string.
    pub(crate) double_quoted_strings: bool,
    /// Whether plans are rewritten.
    pub(crate) optimizer: bool,
}

/// A statement planned for one version of the catalog.
#[derive(Debug)]
pub(crate) struct Planned {
    generation: u64,
    options: PlanOptions,
    /// The definitions that it was made of.
    tables: TableVersions,
    /// The locks of rows that it takes.
    pub(super) row_locks: Vec<PlannedLock>,
    /// How large the tables were that the planner asked for.
    sizes: Vec<(Arc<TableHandle>, u64)>,
    /// How often it was used.
    uses: AtomicU32,
    /// What running it needs the right to do.
    pub(crate) needed: Needed,
    /// The number of the role that was last found to have these rights; 0: none yet.
    pub(crate) allowed: AtomicU32,
    /// The types of its parameters.
    pub(crate) parameters: Vec<DataType>,
    /// What to do.
    pub(crate) action: Action,
}

/// What a planned statement does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Gives rows.
    Query(QueryAction),
    /// Changes rows of a table.
    Change(Box<ChangeAction>),
    /// Changes rows, and then runs a statement that may read what the changes give.
    With {
        /// The changes, each with the buffer that its rows go to.
        changes: Vec<(usize, ChangeAction)>,
        /// The statement: a query or a change.
        statement: Box<Action>,
    },
    /// Prints a plan, after running it where `analyze`.
    Explain {
        /// Whether to run it.
        analyze: bool,
        /// As JSON instead of text.
        json: bool,
        /// The statement.
        action: Box<Action>,
    },
    /// COPY … TO.
    CopyTo(Box<CopyToAction>),
    /// Anything else: it needs no plan.
    Utility(BoundStatement),
}

impl Action {
    /// The statement itself, or the one whose rows COPY takes.
    pub(super) fn inner(&self) -> &Action {
        match self {
            Action::CopyTo(copy) => &copy.action,
            action => action,
        }
    }

    /// The locks of rows that it takes for SELECT … FOR UPDATE and its like.
    fn row_locks(&self) -> Vec<PlannedLock> {
        match self {
            Action::Query(query) => query.plan.row_locks(),
            Action::Change(change) => change.source.row_locks(),
            Action::With { changes, statement } => {
                let changes = changes.iter().map(|(_, change)| change.source.row_locks());
                changes.chain([statement.row_locks()]).flatten().collect()
            }
            Action::Explain { action, .. } => action.row_locks(),
            Action::CopyTo(copy) => copy.action.row_locks(),
            Action::Utility(_) => Vec::new(),
        }
    }

    /// The columns of its result; none where it gives no rows.
    pub(crate) fn columns(&self) -> &[ResultColumn] {
        match self {
            Action::Query(query) => &query.columns,
            Action::Change(change) => change
                .returning
                .as_ref()
                .map_or(&[], |returning| &returning.columns),
            Action::With { statement, .. } => statement.columns(),
            Action::Explain { .. } | Action::CopyTo(_) | Action::Utility(_) => &[],
        }
    }
}

/// COPY … TO.
#[derive(Debug)]
pub(crate) struct CopyToAction {
    /// What gives the rows.
    pub(crate) action: Action,
    /// Where they go.
    pub(crate) place: ast::CopyPlace,
    /// How they are to look.
    pub(crate) options: CopyOptions,
}

/// A query.
#[derive(Debug)]
pub(crate) struct QueryAction {
    /// Its plan.
    pub(crate) plan: QueryPlan,
    /// Its result columns.
    pub(crate) columns: Arc<[ResultColumn]>,
    /// The shorter way to its row, where it asks for one by its primary key.
    pub(crate) point: Option<Box<PointRead>>,
}

impl Prepared {
    /// Parses a statement.
    pub(crate) fn new(sql: &str) -> Result<Prepared> {
        Ok(Prepared::from_ast(
            sql.into(),
            crate::parser::parse_statement(sql)?,
        ))
    }

    /// A statement of a script.
    pub(crate) fn from_ast(sql: Arc<str>, ast: ast::Statement) -> Prepared {
        Prepared {
            sql,
            ast,
            parameter_types: Vec::new(),
            planned: RwLock::new(None),
            figures: FiguresCell::new(),
        }
    }

    /// With these types of its first parameters.
    pub(crate) fn with_types(mut self, types: Vec<DataType>) -> Prepared {
        self.parameter_types = types;
        self
    }

    /// Whether it is planned at all: what ends transactions or belongs to a session is not, nor
    /// is EXPLAIN of such.
    pub(crate) fn has_plan(&self) -> bool {
        let kind = match &self.ast.kind {
            ast::StatementKind::Explain(explain) => &explain.statement.kind,
            kind => kind,
        };
        !matches!(
            kind,
            ast::StatementKind::Transaction(_) | ast::StatementKind::Session(_)
        )
    }

    /// EXPLAIN with the options of `explain` of this statement.
    pub(crate) fn explained(&self, explain: &ast::Explain) -> Prepared {
        let explain = ast::Explain {
            statement: self.ast.clone(),
            ..explain.clone()
        };
        let ast = ast::Statement {
            span: self.ast.span,
            kind: ast::StatementKind::Explain(Box::new(explain)),
        };
        Prepared::from_ast(Arc::clone(&self.sql), ast).with_types(self.parameter_types.clone())
    }

    /// The plan for this catalog: the one at hand, or a new one.
    pub(crate) fn plan(
        &self,
        catalog: &CatalogSnapshot,
        options: PlanOptions,
    ) -> Result<Arc<Planned>> {
        if let Some(planned) = &*self.planned.read()
            && planned.generation == catalog.generation
            && planned.options == options
            && !planned.is_outgrown(catalog)
        {
            return Ok(Arc::clone(planned));
        }
        let planned = self.plan_anew(catalog, options, BindOptions::default())?;
        *self.planned.write() = Some(Arc::clone(&planned));
        Ok(planned)
    }

    /// A plan that is good for one run: what `bind_options` says beside the statement's own
    /// options, it is made for.
    pub(crate) fn plan_anew(
        &self,
        catalog: &CatalogSnapshot,
        options: PlanOptions,
        bind_options: BindOptions,
    ) -> Result<Arc<Planned>> {
        let bind_options = BindOptions {
            parameter_types: self
                .parameter_types
                .iter()
                .map(|of| catalog.newest_type(*of))
                .collect(),
            double_quoted_strings: options.double_quoted_strings,
            ..bind_options
        };
        let reader = catalog.with_path(&options.search_path);
        let bound = bind(&self.ast, &reader, &bind_options)?;
        Ok(Arc::new(plan_bound(bound, catalog, options)?))
    }
}

/// A table that has become so many times larger or smaller is worth another plan.
const OUTGROWN: u64 = 8;

impl Planned {
    /// Whether it is good for a snapshot taken before this is asked: nothing that it reads or
    /// changes has been defined anew since it was made.
    #[inline]
    pub(super) fn fits(&self, inner: &Inner) -> bool {
        inner.is_newest(self.generation) || self.tables.are_of(&inner.catalog())
    }

    /// Whether the values are of its parameters' types as they are.
    fn takes(&self, values: &[Value]) -> bool {
        values.len() == self.parameters.len()
            && values
                .iter()
                .zip(&self.parameters)
                .all(|(value, of)| value.data_type().is_none_or(|given| given == *of))
    }

    /// Whether a table has grown or shrunk so much that another plan may be better. It is looked
    /// at after 1, 2, 4, 8 … uses.
    fn is_outgrown(&self, catalog: &CatalogSnapshot) -> bool {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        uses.is_power_of_two()
            && self.sizes.iter().any(|(table, before)| {
                let now = catalog.rows_of(table).unwrap_or(*before).max(SMALL);
                let before = (*before).max(SMALL);
                now > before.saturating_mul(OUTGROWN) || before > now.saturating_mul(OUTGROWN)
            })
    }
}

/// Tables and views by number, with their definitions, as one version of the catalog has them; with
/// a table those made of it.
#[derive(Debug)]
struct TableVersions(Vec<(TableId, Option<Arc<Table>>)>);

/// Versions of the catalog share what has not changed, the types of columns included.
impl PartialEq for TableVersions {
    fn eq(&self, other: &TableVersions) -> bool {
        let same = |one: &Option<Arc<Table>>, other: &Option<Arc<Table>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.0.len() == other.0.len()
            && (self.0.iter().zip(&other.0))
                .all(|((id, table), (other_id, other))| id == other_id && same(table, other))
    }
}

impl TableVersions {
    /// Of what a statement needs.
    fn of(needed: &Needed, catalog: &CatalogSnapshot) -> TableVersions {
        let named = needed.tables.iter().map(|check| &check.table);
        let stored = named.filter(|table| !matches!(table.kind, TableKind::System(_)));
        TableVersions::with_children(stored.map(|table| table.id).collect(), catalog)
    }

    fn with_children(mut ids: Vec<TableId>, catalog: &CatalogSnapshot) -> TableVersions {
        let mut at = 0;
        while let Some(id) = ids.get(at).copied() {
            at += 1;
            let children = catalog.children(id);
            ids.extend(children.iter().map(|child| child.id));
        }
        ids.sort_unstable();
        ids.dedup();
        let table = |id| {
            let handle = catalog.handle(id)?;
            Some(Arc::clone(&handle.table))
        };
        TableVersions(ids.into_iter().map(|id| (id, table(id))).collect())
    }

    /// Whether that catalog has them too.
    #[cold]
    fn are_of(&self, catalog: &CatalogSnapshot) -> bool {
        let ids = self.0.iter().map(|(id, _)| *id).collect();
        *self == TableVersions::with_children(ids, catalog)
    }
}

/// Tables of fewer rows are all the same to the planner.
const SMALL: u64 = 1000;

/// Plans a bound statement.
pub(crate) fn plan_bound(
    bound: Bound,
    catalog: &CatalogSnapshot,
    options: PlanOptions,
) -> Result<Planned> {
    let tables = |id| catalog.handle(id);
    let sizes: RefCell<Vec<(Arc<TableHandle>, u64)>> = RefCell::default();
    let rows = |handle: &TableHandle| {
        let of_table = |(known, _): &&(Arc<TableHandle>, u64)| known.table.id == handle.table.id;
        if let Some((_, rows)) = sizes.borrow().iter().find(of_table) {
            return Some(*rows);
        }
        let rows = catalog.rows_of(handle)?;
        if let Some(handle) = catalog.handle(handle.table.id) {
            sizes.borrow_mut().push((handle, rows));
        }
        Some(rows)
    };
    let statistics = |handle: &TableHandle| catalog.statistics_of(handle, rows(handle));
    let context = PlanContext {
        tables: &tables,
        rows: &rows,
        statistics: &statistics,
        parameters: bound.parameters.len(),
        executor: options.executor,
        optimizer: options.optimizer,
    };
    let action = action_of(
        bound.statement,
        &mut StatementPlanner::new(catalog, &context),
    )?;
    Ok(Planned {
        generation: catalog.generation,
        options,
        tables: TableVersions::of(&bound.needed, catalog),
        row_locks: action.row_locks(),
        action,
        parameters: bound.parameters,
        needed: bound.needed,
        allowed: AtomicU32::new(0),
        sizes: sizes.into_inner(),
        uses: AtomicU32::new(0),
    })
}

fn action_of(statement: BoundStatement, planner: &mut StatementPlanner<'_>) -> Result<Action> {
    Ok(match statement {
        BoundStatement::Query { plan, columns } => {
            let wanted: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
            let plan = planner.query(plan, &wanted)?;
            Action::Query(QueryAction {
                point: PointRead::of(&plan).map(Box::new),
                plan,
                columns: result_columns(columns),
            })
        }
        BoundStatement::Change(change) => Action::Change(Box::new(planner.change(*change)?)),
        BoundStatement::With { changes, statement } => Action::With {
            changes: changes
                .into_iter()
                .map(|(slot, change)| Ok((slot, planner.change(change)?)))
                .collect::<Result<_>>()?,
            statement: Box::new(action_of(*statement, planner)?),
        },
        BoundStatement::Explain(explain) => Action::Explain {
            analyze: explain.analyze,
            json: explain.json,
            action: Box::new(action_of(*explain.statement, planner)?),
        },
        BoundStatement::CopyTo(copy) => Action::CopyTo(Box::new(CopyToAction {
            action: action_of(copy.statement, planner)?,
            place: copy.place,
            options: copy.options,
        })),
        other => Action::Utility(other),
    })
}

/// A statement prepared once to be run often, each time in a transaction of its own. Clones
/// share it; threads may too.
///
/// ```
/// use rustling_sql::Database;
///
/// let db = Database::in_memory()?;
/// db.execute("CREATE TABLE kv (key text PRIMARY KEY, value text)", ())?;
/// let put = db.prepare("INSERT INTO kv VALUES ($1, $2)")?;
/// put.execute(("a", "1"))?;
/// put.execute(("b", "2"))?;
/// let get = db.prepare("SELECT value FROM kv WHERE key = $1")?;
/// let values: Vec<(String,)> = get.query(("b",))?.read_all()?;
/// assert_eq!(values, [("2".to_owned(),)]);
/// # Ok::<(), rustling_sql::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Statement {
    database: Database,
    prepared: Arc<Prepared>,
}

impl Statement {
    pub(crate) fn new(database: Database, prepared: Arc<Prepared>) -> Result<Statement> {
        let statement = Statement { database, prepared };
        // Errors in the statement show now, not when it is run.
        statement.planned()?;
        Ok(statement)
    }

    /// A statement that has been planned already.
    pub(crate) fn over(database: Database, prepared: Arc<Prepared>) -> Statement {
        Statement { database, prepared }
    }

    pub(crate) fn prepared(&self) -> &Arc<Prepared> {
        &self.prepared
    }

    /// The text that it was prepared from.
    #[must_use]
    pub fn sql(&self) -> &Arc<str> {
        &self.prepared.sql
    }

    /// The statement itself within that text: not that of PREPARE around it.
    #[must_use]
    pub fn text(&self) -> &str {
        let span = self.prepared.ast.span;
        let text = self.prepared.sql.get(span.start..span.end);
        text.unwrap_or(&self.prepared.sql)
    }

    /// Whether both were prepared at once.
    #[must_use]
    pub fn is(&self, other: &Statement) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared)
    }

    fn planned(&self) -> Result<Arc<Planned>> {
        let options = PlanOptions {
            search_path: Arc::clone(&self.database.inner.default_path),
            executor: ExecutorSetting::Auto,
            double_quoted_strings: false,
            optimizer: true,
        };
        self.prepared.plan(&self.database.catalog(), options)
    }

    /// The types of its parameters, `$1` first.
    ///
    /// # Errors
    /// Where the statement does not fit the tables any more.
    pub fn parameters(&self) -> Result<Vec<DataType>> {
        Ok(self.planned()?.parameters.clone())
    }

    /// The columns of its result; none for statements that give no rows.
    ///
    /// # Errors
    /// Where the statement does not fit the tables any more.
    pub fn columns(&self) -> Result<Vec<ResultColumn>> {
        Ok(self.planned()?.action.columns().to_vec())
    }

    /// Runs it and gives its rows.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn query(&self, params: impl Params) -> Result<Rows> {
        let params = params.into_values();
        let planned = self.planned()?;
        if let Action::Query(query) = &planned.action
            && let Some(point) = &query.point
            && planned.takes(&params)
            && let Some(rows) = self.database.read_point(&planned, query, point, &params)?
        {
            return Ok(rows);
        }
        self.session()
            .run_prepared(&self.prepared, params)?
            .into_rows()
    }

    /// Runs it; gives the number of rows affected.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn execute(&self, params: impl Params) -> Result<u64> {
        match self
            .session()
            .run_prepared(&self.prepared, params.into_values())?
        {
            StatementResult::Done { affected, .. } => Ok(affected),
            StatementResult::Rows(rows) => Ok(rows.values()?.len() as u64),
            StatementResult::CopyIn(_) | StatementResult::CopyOut(_) => Err(needs_client()),
        }
    }

    fn session(&self) -> Session {
        self.database.one_shot()
    }
}
