//! WITH: common table expressions (SQL:1999 7.12, PostgreSQL 7.8).
//!
//! A WITH query is bound once, where it is defined. Everything that reads it scans its rows by
//! the id it has; where the query that it belongs to is bound, it is put in the place of its only
//! reader, unless it is to be materialized, or becomes a [`LogicalPlan::With`] above them all.

use super::{Binder, query::BoundQuery, scope::ScopeColumn, unsupported};
use crate::{
    ast::{CommonTable as Definition, Ident, Query, QueryBody, SetOperator, StatementKind, With},
    bound::{
        Change, ChangeKind, ColumnId, Expr, ExprKind, InsertConflict, LogicalPlan, OutputColumn,
        SharedId,
        plan_walk::{for_each_expr_deep, inputs_mut},
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType},
};

/// A WITH query in sight.
pub(super) struct CommonTable<'a> {
    name: &'a Ident,
    kind: Kind,
}

enum Kind {
    /// Bound: its rows may be read.
    Ready {
        id: SharedId,
        columns: Vec<OutputColumn>,
        /// What it is; taken out where it is put above its readers.
        plan: Box<LogicalPlan>,
        /// Whether it must be evaluated once, however often it is read.
        materialized: Option<bool>,
        recursive: bool,
        readers: usize,
    },
    /// Being bound: what it was so far may be read, once.
    Working {
        id: SharedId,
        columns: Vec<OutputColumn>,
        readers: usize,
    },
    /// Being bound: it cannot be read here.
    Forbidden,
}

impl CommonTable<'_> {
    pub(super) fn name(&self) -> &str {
        &self.name.name
    }
}

const RECURSION: SqlState = SqlState("42P19");

impl<'a> Binder<'a> {
    /// Binds the queries of a WITH clause; they are in sight then.
    pub(super) fn with(&mut self, with: &'a With) -> Result<()> {
        let first = self.common_tables.len();
        for table in &with.tables {
            if self.common_tables[first..]
                .iter()
                .any(|known| known.name.name == table.name.name)
            {
                return Err(Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("the WITH query \"{}\" is there twice", table.name.name),
                )
                .at(table.name.span));
            }
            let (mut bound, recursive) = match &table.statement.kind {
                StatementKind::Query(query) if with.recursive => {
                    self.recursive_table(table, query)?
                }
                StatementKind::Query(query) => (self.settled_query(query)?, false),
                _ => (self.changing_table(&table.statement)?, false),
            };
            rename(table, &mut bound.columns)?;
            let id = self.shared_id();
            self.common_tables.push(CommonTable {
                name: &table.name,
                kind: Kind::Ready {
                    id,
                    columns: bound.columns,
                    plan: Box::new(bound.plan),
                    materialized: table.materialized,
                    recursive,
                    readers: 0,
                },
            });
        }
        Ok(())
    }

    /// INSERT, UPDATE or DELETE in WITH: what it returns is put aside before the statement's own
    /// query runs.
    fn changing_table(&mut self, statement: &'a crate::ast::Statement) -> Result<BoundQuery> {
        if !self.scopes.is_empty() || self.view_depth > 0 {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "WITH clause containing a data-modifying statement must be at the top level",
            )
            .at(statement.span));
        }
        let change = match &statement.kind {
            StatementKind::Insert(insert) => {
                self.within(insert.with.as_ref(), |binder| binder.insert_here(insert))?
            }
            StatementKind::Update(update) => {
                self.within(update.with.as_ref(), |binder| binder.update_here(update))?
            }
            StatementKind::Delete(delete) => {
                self.within(delete.with.as_ref(), |binder| binder.delete_here(delete))?
            }
            _ => return Err(unsupported("this statement inside WITH is", statement.span)),
        };
        let columns = change
            .returning
            .as_ref()
            .map_or_else(Vec::new, |returning| returning.columns.clone());
        let slot = self.buffer();
        self.changes.push((slot, change));
        Ok(BoundQuery {
            plan: LogicalPlan::Buffered {
                slot,
                columns: columns
                    .iter()
                    .map(|column| (column.id, column.data_type))
                    .collect(),
            },
            columns,
        })
    }

    fn shared_id(&mut self) -> SharedId {
        self.next_shared += 1;
        SharedId(self.next_shared)
    }

    /// The WITH query of that name, as something to read.
    pub(super) fn common_table(
        &mut self,
        name: &Ident,
    ) -> Result<Option<(LogicalPlan, Vec<ScopeColumn>)>> {
        let Some(index) = self
            .common_tables
            .iter()
            .rposition(|table| table.name.name == name.name)
        else {
            return Ok(None);
        };
        self.count_relation(name.span)?;
        let table = &mut self.common_tables[index];
        let (id, columns) = match &mut table.kind {
            Kind::Forbidden => {
                return Err(Error::new(
                    RECURSION,
                    format!(
                        "recursive reference to query \"{}\" must not appear within its non-recursive term",
                        name.name
                    ),
                )
                .at(name.span)
                .hint("Write a query without the reference, UNION [ALL], and one query with it."));
            }
            Kind::Working {
                id,
                columns,
                readers,
            } => {
                *readers += 1;
                if *readers > 1 {
                    return Err(Error::new(
                        RECURSION,
                        format!(
                            "recursive reference to query \"{}\" must not appear more than once",
                            name.name
                        ),
                    )
                    .at(name.span));
                }
                (*id, columns.clone())
            }
            Kind::Ready { columns, plan, .. }
                if columns.is_empty() && matches!(**plan, LogicalPlan::Buffered { .. }) =>
            {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "WITH query \"{}\" does not have a RETURNING clause",
                        name.name
                    ),
                )
                .at(name.span));
            }
            Kind::Ready {
                id,
                columns,
                readers,
                ..
            } => {
                *readers += 1;
                (*id, columns.clone())
            }
        };
        let mut scanned = Vec::with_capacity(columns.len());
        let mut given = Vec::with_capacity(columns.len());
        for column in columns {
            let own = self.column_id();
            scanned.push((own, column.id, column.data_type));
            given.push(ScopeColumn {
                name: column.name,
                id: own,
                data_type: column.data_type,
                nullable: column.nullable,
            });
        }
        let plan = LogicalPlan::SharedScan {
            id,
            name: name.name.clone(),
            columns: scanned,
        };
        Ok(Some((plan, given)))
    }

    /// A query of WITH RECURSIVE; says whether it reads itself.
    fn recursive_table(
        &mut self,
        table: &'a Definition,
        query: &'a Query,
    ) -> Result<(BoundQuery, bool)> {
        let place = self.common_tables.len();
        self.common_tables.push(CommonTable {
            name: &table.name,
            kind: Kind::Forbidden,
        });
        let result = self.recursive_query(table, query, place);
        self.common_tables.truncate(place);
        result
    }

    fn recursive_query(
        &mut self,
        table: &'a Definition,
        query: &'a Query,
        place: usize,
    ) -> Result<(BoundQuery, bool)> {
        let QueryBody::SetOperation { first, rest } = &query.body else {
            return Ok((self.settled_query(query)?, false));
        };
        let Some((SetOperator::Union, all, last)) = rest.last() else {
            return Ok((self.settled_query(query)?, false));
        };
        let plain = query.order_by.is_empty() && query.limit.is_none() && query.offset.is_none();
        let outer_tables = self.common_tables.len();
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        // All but the last query are where it starts.
        let before = &rest[..rest.len() - 1];
        let base = if before.is_empty() {
            self.body(first, query.span)?
        } else {
            self.set_operation(first, before, query.span)?
        };
        let types: Vec<DataType> = base
            .columns
            .iter()
            .map(|column| match column.data_type {
                DataType::Unknown => DataType::Text,
                other => other,
            })
            .collect();
        let mut base = self.coerce_columns(base, &types, CastContext::Implicit, query.span)?;
        for column in &mut base.columns {
            // A later step may make a NULL.
            column.nullable = true;
        }
        rename(table, &mut base.columns)?;
        let id = self.shared_id();
        let columns: Vec<OutputColumn> = base
            .columns
            .iter()
            .map(|column| OutputColumn {
                id: self.column_id(),
                ..column.clone()
            })
            .collect();
        self.common_tables[place].kind = Kind::Working {
            id,
            columns: columns.clone(),
            readers: 0,
        };
        let step = self.body(last, query.span)?;
        let reads_itself = matches!(
            self.common_tables[place].kind,
            Kind::Working { readers, .. } if readers > 0
        );
        if !reads_itself {
            // An ordinary query after all: bound again as it stands.
            self.common_tables.truncate(outer_tables);
            self.common_tables[place].kind = Kind::Forbidden;
            return Ok((self.settled_query(query)?, false));
        }
        if !plain {
            return Err(unsupported(
                "ORDER BY, LIMIT and OFFSET in a recursive query are",
                query.span,
            )
            .hint("Put them into the query that reads it."));
        }
        if let Some(locking) = query.locking.first() {
            return Err(unsupported(
                "FOR UPDATE and FOR SHARE in a recursive query are",
                locking.span,
            ));
        }
        let step = self.step_columns(table, step, &types, query.span)?;
        let mut plan = LogicalPlan::Recursive {
            id,
            name: table.name.name.clone(),
            base: Box::new(base.plan),
            step: Box::new(step.plan),
            distinct: !all,
            columns: columns
                .iter()
                .zip(&base.columns)
                .zip(&step.columns)
                .map(|((column, base), step)| (column.id, base.id, step.id, column.data_type))
                .collect(),
        };
        self.settle_common_tables(outer_tables, &mut plan)?;
        Ok((BoundQuery { plan, columns }, true))
    }

    /// The recursive part must give the types of the part that it starts with.
    fn step_columns(
        &mut self,
        table: &Definition,
        step: BoundQuery,
        types: &[DataType],
        span: Span,
    ) -> Result<BoundQuery> {
        if step.columns.len() != types.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "the queries of UNION must give as many columns each: one gives {}, another {}",
                    types.len(),
                    step.columns.len()
                ),
            )
            .at(span));
        }
        for (at, (column, wanted)) in step.columns.iter().zip(types).enumerate() {
            let common = super::common_type([*wanted, column.data_type]);
            if common
                .as_ref()
                .ok()
                .map(|common| super::coerce::base(*common))
                != Some(super::coerce::base(*wanted))
            {
                let overall = common.unwrap_or(column.data_type);
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "recursive query \"{}\" column {} has type {wanted} in non-recursive term but type {overall} overall",
                        table.name.name,
                        at + 1
                    ),
                )
                .at(span)
                .hint("Cast the output of the non-recursive term to the correct type."));
            }
        }
        self.coerce_columns(step, types, CastContext::Implicit, span)
    }

    /// The WITH queries from `first` on go out of sight: each is put where it is read, or above
    /// `plan`, which reads it.
    pub(super) fn settle_common_tables(
        &mut self,
        first: usize,
        plan: &mut LogicalPlan,
    ) -> Result<()> {
        self.settle_common_tables_in(first, vec![plan])
    }

    /// As [`Binder::settle_common_tables`], for several plans of one statement. The changes in
    /// WITH may read them as well. What is read in several plans is computed in each.
    pub(super) fn settle_common_tables_in(
        &mut self,
        first: usize,
        mut plans: Vec<&mut LogicalPlan>,
    ) -> Result<()> {
        let mut changes = std::mem::take(&mut self.changes);
        while self.common_tables.len() > first {
            let Some(table) = self.common_tables.pop() else {
                break;
            };
            let Kind::Ready {
                id,
                plan: definition,
                materialized,
                recursive,
                readers,
                ..
            } = table.kind
            else {
                continue;
            };
            if readers == 0 {
                continue;
            }
            let volatile = is_volatile(&definition);
            let once = materialized.unwrap_or(readers > 1 || recursive || volatile);
            let mut reading: Vec<&mut LogicalPlan> = plans
                .iter_mut()
                .map(|plan| &mut **plan)
                .chain(changes.iter_mut().flat_map(|(_, change)| plans_of(change)))
                .filter_map(|plan| scans(plan, id).then_some(plan))
                .collect();
            // NOT MATERIALIZED allows copies, it does not ask for them.
            if let [plan] = reading.as_mut_slice()
                && !once
                && readers == 1
            {
                put_in_place(plan, id, &mut Some(definition));
                continue;
            }
            if volatile && reading.len() > 1 {
                // Computed twice, it would not be one query.
                return Err(unsupported(
                    &format!(
                        "reading the volatile WITH query \"{}\" in several parts of a statement that changes data is",
                        table.name.name
                    ),
                    table.name.span,
                ));
            }
            for plan in reading {
                let input = std::mem::replace(plan, LogicalPlan::one_row());
                *plan = LogicalPlan::With {
                    id,
                    name: table.name.name.clone(),
                    definition: definition.clone(),
                    input: Box::new(input),
                };
            }
        }
        self.changes = changes;
        Ok(())
    }
}

/// The plans of a change in which queries of WITH can be read.
pub(super) fn plans_of(change: &mut Change) -> Vec<&mut LogicalPlan> {
    let mut plans = vec![&mut change.source];
    if let ChangeKind::Insert {
        on_conflict:
            Some(InsertConflict {
                update: Some(update),
                ..
            }),
        ..
    } = &mut change.kind
    {
        plans.push(&mut update.plan);
    }
    plans.extend(
        change
            .returning
            .as_mut()
            .map(|returning| &mut returning.plan),
    );
    plans
}

/// Whether a plan scans what has that id.
fn scans(plan: &mut LogicalPlan, id: SharedId) -> bool {
    if matches!(plan, LogicalPlan::SharedScan { id: scanned, .. } if *scanned == id) {
        return true;
    }
    let mut found = false;
    crate::bound::plan_walk::for_each_expr_mut(plan, |expr| found = found || scanned_in(expr, id));
    found || inputs_mut(plan).into_iter().any(|input| scans(input, id))
}

fn scanned_in(expr: &mut Expr, id: SharedId) -> bool {
    expr.subquery_mut().is_some_and(|plan| scans(plan, id))
        || expr
            .operands_mut()
            .into_iter()
            .any(|operand| scanned_in(operand, id))
}

/// Gives the columns the names that stand behind the WITH query's own.
fn rename(table: &Definition, columns: &mut [OutputColumn]) -> Result<()> {
    if table.columns.len() > columns.len() {
        return Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "the WITH query \"{}\" has {} columns, but {} names are given",
                table.name.name,
                columns.len(),
                table.columns.len()
            ),
        )
        .at(table.name.span));
    }
    for (column, name) in columns.iter_mut().zip(&table.columns) {
        column.name.clone_from(&name.name);
    }
    Ok(())
}

fn is_volatile(plan: &LogicalPlan) -> bool {
    let mut found = false;
    for_each_expr_deep(&mut plan.clone(), &mut |expr| {
        expr.visit(&mut |part| {
            found |=
                matches!(&part.kind, ExprKind::Function(function, _) if function.is_volatile());
            !found
        });
    });
    found
}

/// Replaces the only scan of `id` by what it reads.
fn put_in_place(plan: &mut LogicalPlan, id: SharedId, definition: &mut Option<Box<LogicalPlan>>) {
    if let LogicalPlan::SharedScan {
        id: scanned,
        columns,
        ..
    } = plan
        && *scanned == id
    {
        if let Some(input) = definition.take() {
            let items = std::mem::take(columns)
                .into_iter()
                .map(|(own, source, data_type)| (own, column(source, data_type)))
                .collect();
            *plan = LogicalPlan::Project { input, items };
        }
        return;
    }
    crate::bound::plan_walk::for_each_expr_mut(plan, |expr| in_expr(expr, id, definition));
    for input in inputs_mut(plan) {
        put_in_place(input, id, definition);
    }
}

fn in_expr(expr: &mut Expr, id: SharedId, definition: &mut Option<Box<LogicalPlan>>) {
    if let Some(subquery) = expr.subquery_mut() {
        put_in_place(subquery, id, definition);
    }
    for operand in expr.operands_mut() {
        in_expr(operand, id, definition);
    }
}

fn column(id: ColumnId, data_type: DataType) -> Expr {
    Expr {
        kind: ExprKind::Column(id),
        data_type,
        nullable: true,
        span: Span::default(),
    }
}
