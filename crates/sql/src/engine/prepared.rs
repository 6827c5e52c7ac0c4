//! Prepared statements.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::{
    DataType, Error, Result, SqlState, ast,
    binder::{BindOptions, Bound, bind},
    bound::{Assignment, BoundStatement, ColumnId, Expr, InsertConflict, LogicalPlan},
    catalog::Table,
    engine::{
        Params,
        catalog::CatalogSnapshot,
        database::Database,
        rows::{ResultColumn, Rows},
        session::{Session, StatementResult},
        table::TableHandle,
    },
    planner::{PlanContext, choose_executor::ExecutorSetting, physical::QueryPlan, plan_query},
};

/// A statement's text and syntax tree with the plan that was last made of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The text that spans point into.
    pub(crate) sql: Arc<str>,
    /// The syntax tree.
    pub(crate) ast: ast::Statement,
    planned: RwLock<Option<Arc<Planned>>>,
}

/// What a plan depends on beside the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanOptions {
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
    Change(ChangeAction),
    /// Prints a plan, after running it where `analyze`.
    Explain {
        /// Whether to run it.
        analyze: bool,
        /// The statement.
        action: Box<Action>,
    },
    /// Anything else: it needs no plan.
    Utility(BoundStatement),
}

/// A query.
#[derive(Debug)]
pub(crate) struct QueryAction {
    /// Its plan.
    pub(crate) plan: QueryPlan,
    /// Its result columns.
    pub(crate) columns: Arc<[ResultColumn]>,
}

/// A statement that changes rows.
#[derive(Debug)]
pub(crate) struct ChangeAction {
    /// Of which table.
    pub(crate) table: Arc<TableHandle>,
    /// Where the rows come from: whole rows in table order, for UPDATE and DELETE with the row
    /// key after them.
    pub(crate) source: QueryPlan,
    /// Whether the source reads the table itself, so that its rows must be collected before
    /// the first is written.
    pub(crate) reads_itself: bool,
    /// What happens to them.
    pub(crate) kind: ChangeKind,
}

/// What happens to the rows.
#[derive(Debug)]
pub(crate) enum ChangeKind {
    /// They are added.
    Insert(InsertConflict),
    /// Columns are set.
    Update {
        /// The source's row-key column.
        row_key: ColumnId,
        /// The columns that are set; their new values come after the row key, in this order.
        ordinals: Vec<usize>,
    },
    /// They are removed.
    Delete {
        /// The source's row-key column.
        row_key: ColumnId,
    },
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
            planned: RwLock::new(None),
        }
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
        {
            return Ok(Arc::clone(planned));
        }
        let bind_options = BindOptions {
            double_quoted_strings: options.double_quoted_strings,
            ..BindOptions::default()
        };
        let bound = bind(&self.ast, catalog, &bind_options)?;
        let planned = Arc::new(plan_bound(bound, catalog, options)?);
        *self.planned.write() = Some(Arc::clone(&planned));
        Ok(planned)
    }
}

/// Plans a bound statement.
pub(crate) fn plan_bound(
    bound: Bound,
    catalog: &CatalogSnapshot,
    options: PlanOptions,
) -> Result<Planned> {
    let tables = |id| catalog.handle(id);
    let context = PlanContext {
        tables: &tables,
        parameters: bound.parameters.len(),
        executor: options.executor,
        optimizer: options.optimizer,
    };
    Ok(Planned {
        generation: catalog.generation,
        options,
        action: action_of(bound.statement, catalog, &context)?,
        parameters: bound.parameters,
    })
}

fn handle_of(catalog: &CatalogSnapshot, table: &Table) -> Result<Arc<TableHandle>> {
    catalog.handle(table.id).ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{}\" does not exist", table.name),
        )
    })
}

fn reads(plan: &QueryPlan, table: &TableHandle) -> bool {
    use crate::planner::physical::{PhysicalNode, PhysicalPlan};
    fn scans(plan: &PhysicalPlan, table: &TableHandle) -> bool {
        let here = match &plan.node {
            PhysicalNode::Scan(scan) => scan.table.keyspace == table.keyspace,
            PhysicalNode::LookupJoin { right, .. } => right.table.keyspace == table.keyspace,
            _ => false,
        };
        here || plan.inputs().into_iter().any(|input| scans(input, table))
    }
    scans(&plan.root, table)
}

/// `source` with the assigned values as further columns, which are added to `wanted`.
fn with_assignments(
    source: LogicalPlan,
    wanted: &mut Vec<ColumnId>,
    assignments: &[Assignment],
) -> LogicalPlan {
    let mut items: Vec<(ColumnId, Expr)> = crate::planner::output(&source)
        .into_iter()
        .map(|(id, data_type)| (id, crate::planner::expr_tools::column(id, data_type, true)))
        .collect();
    let first = items.len();
    items.extend(
        assignments
            .iter()
            .map(|assignment| (ColumnId(0), assignment.value.clone())),
    );
    let mut plan = LogicalPlan::Project {
        input: Box::new(source),
        items,
    };
    let mut next = crate::planner::max_column(&mut plan) + 1;
    if let LogicalPlan::Project { items, .. } = &mut plan {
        for (id, _) in items.iter_mut().skip(first) {
            *id = ColumnId(next);
            wanted.push(*id);
            next += 1;
        }
    }
    plan
}

fn action_of(
    statement: BoundStatement,
    catalog: &CatalogSnapshot,
    context: &PlanContext<'_>,
) -> Result<Action> {
    let change = |table: Arc<Table>, source: LogicalPlan, wanted: Vec<ColumnId>| -> Result<_> {
        let table = handle_of(catalog, &table)?;
        let source = plan_query(source, &wanted, context)?;
        Ok((reads(&source, &table), table, source))
    };
    let with_key = |columns: &[ColumnId], row_key| {
        columns
            .iter()
            .copied()
            .chain([row_key])
            .collect::<Vec<ColumnId>>()
    };
    Ok(match statement {
        BoundStatement::Query { plan, columns } => {
            let wanted: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
            Action::Query(QueryAction {
                plan: plan_query(plan, &wanted, context)?,
                columns: columns
                    .into_iter()
                    .map(|column| ResultColumn {
                        name: column.name,
                        data_type: column.data_type,
                        nullable: column.nullable,
                    })
                    .collect(),
            })
        }
        BoundStatement::Insert {
            table,
            source,
            columns,
            on_conflict,
        } => {
            let (reads_itself, table, source) = change(table, source, columns)?;
            Action::Change(ChangeAction {
                table,
                source,
                reads_itself,
                kind: ChangeKind::Insert(on_conflict),
            })
        }
        BoundStatement::Update {
            table,
            source,
            row_key,
            columns,
            assignments,
        } => {
            let mut wanted = with_key(&columns, row_key);
            let source = with_assignments(source, &mut wanted, &assignments);
            let (_, table, source) = change(table, source, wanted)?;
            let ordinals = assignments
                .iter()
                .map(|assignment| assignment.ordinal)
                .collect();
            Action::Change(ChangeAction {
                table,
                source,
                reads_itself: true,
                kind: ChangeKind::Update { row_key, ordinals },
            })
        }
        BoundStatement::Delete {
            table,
            source,
            row_key,
            columns,
        } => {
            let (_, table, source) = change(table, source, with_key(&columns, row_key))?;
            Action::Change(ChangeAction {
                table,
                source,
                reads_itself: true,
                kind: ChangeKind::Delete { row_key },
            })
        }
        BoundStatement::Explain(explain) => Action::Explain {
            analyze: explain.analyze,
            action: Box::new(action_of(*explain.statement, catalog, context)?),
        },
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

    fn planned(&self) -> Result<Arc<Planned>> {
        let options = PlanOptions {
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
        Ok(match &self.planned()?.action {
            Action::Query(query) => query.columns.to_vec(),
            _ => Vec::new(),
        })
    }

    /// Runs it and gives its rows.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn query(&self, params: impl Params) -> Result<Rows> {
        self.session()
            .run_prepared(&self.prepared, params.into_values())?
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
        }
    }

    fn session(&self) -> Session {
        self.database.session()
    }
}
