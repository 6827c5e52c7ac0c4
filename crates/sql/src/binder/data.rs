//! UPDATE, DELETE, RETURNING, and what all statements that change rows share.

use std::sync::Arc;

use super::{
    Binder, Place,
    expr::with_hint,
    from::{conjuncts, distinct_names},
    literal,
    query::output_expr,
    scope::{Scope, ScopeColumn},
    suggest,
};
use crate::{
    ast::{self, Delete, ExprKind as A, Ident, Update},
    bound::{
        Assignment, BoundStatement, Change, ChangeKind, ColumnId, Expr, ExprKind, Family, JoinKind,
        LogicalPlan, Returning, ScalarFunction, plan_walk,
    },
    catalog::{Table, TableKind, access::Privileges},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType, Value},
};

/// A column that may be NULL, as an expression.
fn column(id: ColumnId, data_type: DataType) -> Expr {
    Expr {
        kind: ExprKind::Column(id),
        data_type,
        nullable: true,
        span: Span::default(),
    }
}

/// The rows that UPDATE or DELETE works on.
pub(super) struct Target {
    pub(super) table: Arc<Table>,
    pub(super) plan: LogicalPlan,
    pub(super) row_key: ColumnId,
    /// The row's columns in table order.
    pub(super) columns: Vec<ColumnId>,
    /// Columns of other relations.
    pub(super) others: Vec<(ColumnId, DataType)>,
    /// The tables that the rows are of, where they are more than one.
    pub(super) family: Option<Family>,
    /// What must be true of new rows.
    pub(super) checks: Vec<(String, Expr)>,
}

/// System relations are read, never changed.
pub(super) fn system_catalog(table: &Table, span: Span) -> Error {
    Error::new(
        SqlState("42501"),
        format!("permission denied: \"{}\" is a system catalog", table.name),
    )
    .at(span)
    .hint("CREATE, ALTER, DROP, SET and the like change what it shows.")
}

impl<'a> Binder<'a> {
    /// Binds with the queries of WITH in sight.
    pub(super) fn within(
        &mut self,
        with: Option<&'a ast::With>,
        bind: impl FnOnce(&mut Binder<'a>) -> Result<Change>,
    ) -> Result<Change> {
        let outer = self.common_tables.len();
        if let Some(with) = with {
            self.with(with)?;
        }
        let mut change = bind(self)?;
        if self.common_tables.len() > outer {
            self.compute_assignments(&mut change);
        }
        self.settle_common_tables_in(outer, super::with::plans_of(&mut change))?;
        Ok(change)
    }

    /// Has the source compute the new values of an UPDATE, which may read queries of WITH: these
    /// are in sight of the source alone.
    fn compute_assignments(&mut self, change: &mut Change) {
        let ChangeKind::Update { assignments, .. } = &mut change.kind else {
            return;
        };
        let mut items: Vec<(ColumnId, Expr)> = plan_walk::output(&change.source)
            .into_iter()
            .map(|(id, data_type)| (id, column(id, data_type)))
            .collect();
        for assignment in assignments {
            let id = self.column_id();
            let reference = column(id, assignment.value.data_type);
            items.push((id, std::mem::replace(&mut assignment.value, reference)));
        }
        let input = std::mem::replace(&mut change.source, LogicalPlan::one_row());
        change.source = LogicalPlan::Project {
            input: Box::new(input),
            items,
        };
    }

    /// The number of a new buffer.
    pub(super) fn buffer(&mut self) -> usize {
        self.buffers += 1;
        self.buffers - 1
    }

    /// The table of that name, which must be one whose rows can be changed.
    pub(super) fn changed_table(&mut self, name: &ast::ObjectName) -> Result<Arc<Table>> {
        let table = self.table(name)?;
        match &table.kind {
            TableKind::Table => return Ok(table),
            TableKind::View(_) => {}
            TableKind::System(_) => return Err(system_catalog(&table, name.span)),
        }
        Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change view \"{}\"", table.name),
        )
        .at(name.span))
    }

    /// The scope of a table whose columns have these ids.
    pub(super) fn target_scope(
        &self,
        table: &Arc<Table>,
        alias: Option<&Ident>,
        ids: &[ColumnId],
    ) -> Scope {
        let columns = table
            .columns
            .iter()
            .zip(ids)
            .map(|(column, id)| ScopeColumn {
                name: column.name.clone(),
                id: *id,
                data_type: column.data_type.of_values(),
                nullable: !column.not_null,
            })
            .collect();
        let mut scope = Scope::default();
        let (name, schema) = match alias {
            Some(alias) => (&alias.name, None),
            None => (&table.name, Some(table.schema.as_str())),
        };
        scope.add_relation(name, schema, columns, Some(Arc::clone(table)));
        scope
    }

    /// RETURNING, over the scope on top of the stack.
    pub(super) fn returning(
        &mut self,
        table: &Table,
        columns: &[ColumnId],
        others: Vec<(ColumnId, DataType)>,
        returning: &'a ast::Select,
    ) -> Result<Returning> {
        let slot = self.buffer();
        let types = table
            .columns
            .iter()
            .map(|column| column.data_type.of_values());
        let buffered = LogicalPlan::Buffered {
            slot,
            columns: columns
                .iter()
                .copied()
                .zip(types)
                .chain(others.iter().copied())
                .collect(),
        };
        let (bound, _) = self.in_place(Place::Output, |binder| {
            binder.select_over(returning, &[], buffered)
        })?;
        if let LogicalPlan::Project { input, .. } = &bound.plan
            && let LogicalPlan::Aggregate { .. } = &**input
        {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in RETURNING",
            )
            .at(returning.span));
        }
        let types: Vec<DataType> = bound
            .columns
            .iter()
            .map(|column| match column.data_type {
                DataType::Unknown => DataType::Text,
                other => other,
            })
            .collect();
        let bound = self.coerce_columns(bound, &types, CastContext::Implicit, returning.span)?;
        Ok(Returning {
            slot,
            others: others.into_iter().map(|(id, _)| id).collect(),
            plan: bound.plan,
            columns: bound.columns,
        })
    }

    /// A value for a column: DEFAULT or an expression, converted to the column's type.
    pub(super) fn assigned(
        &mut self,
        table: &Table,
        ordinal: usize,
        value: &'a ast::Expr,
    ) -> Result<Expr> {
        if matches!(value.kind, A::Default) {
            return Ok(default_of(table, ordinal, value.span));
        }
        let bound = self.in_place(Place::Clause("VALUES and SET"), |binder| binder.expr(value))?;
        self.stored(table, ordinal, bound)
    }

    /// An expression as it is stored into a column.
    pub(super) fn stored(&mut self, table: &Table, ordinal: usize, value: Expr) -> Result<Expr> {
        let column = &table.columns[ordinal];
        let (from, span) = (value.data_type, value.span);
        self.coerce(value, column.data_type, CastContext::Assignment)
            .map_err(|error| {
                if error.state() != SqlState::CANNOT_COERCE {
                    return error;
                }
                let better = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {}, but the expression is of type {from}",
                        column.name, column.data_type
                    ),
                )
                .at(span);
                match error.hint_text() {
                    Some(hint) => better.hint(hint),
                    None => better,
                }
            })
    }

    /// The SET list of an UPDATE.
    pub(super) fn assignments(
        &mut self,
        table: &Table,
        list: &'a [ast::Assignment],
    ) -> Result<Vec<Assignment>> {
        let mut assignments: Vec<Assignment> = Vec::new();
        for assignment in list {
            let mut ordinals = Vec::with_capacity(assignment.columns.len());
            for name in &assignment.columns {
                let ordinal = table_column(table, name)?;
                let known = assignments.iter().any(|known| known.ordinal == ordinal);
                if known || ordinals.contains(&ordinal) {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("multiple assignments to same column \"{}\"", name.name),
                    )
                    .at(name.span));
                }
                ordinals.push(ordinal);
            }
            let values = self.assigned_values(table, &ordinals, assignment)?;
            for (ordinal, value) in ordinals.into_iter().zip(values) {
                assignments.push(Assignment { ordinal, value });
            }
        }
        Ok(assignments)
    }

    /// The values of one item of SET.
    fn assigned_values(
        &mut self,
        table: &Table,
        ordinals: &[usize],
        assignment: &'a ast::Assignment,
    ) -> Result<Vec<Expr>> {
        let span = assignment.value.span;
        let count = |count: usize| {
            if count == ordinals.len() {
                return Ok(());
            }
            Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "number of columns does not match number of values",
            )
            .at(span))
        };
        match (&assignment.value.kind, assignment.row) {
            (A::Row(values), true) => {
                count(values.len())?;
                ordinals
                    .iter()
                    .zip(values)
                    .map(|(ordinal, value)| self.set_value(table, *ordinal, value))
                    .collect()
            }
            (A::Subquery(query), true) => {
                let mut values = Vec::with_capacity(ordinals.len());
                for (place, ordinal) in ordinals.iter().enumerate() {
                    if table.columns[*ordinal].generated.is_some() {
                        return Err(generated_value(table, *ordinal, "update", span));
                    }
                    // The query is bound once for every column: each becomes a value of its own.
                    let bound = self.settled_query(query)?;
                    count(bound.columns.len())?;
                    let column = &bound.columns[place];
                    let id = self.column_id();
                    let value = Expr {
                        data_type: column.data_type,
                        nullable: true,
                        span,
                        kind: ExprKind::ScalarSubquery(Box::new(LogicalPlan::Project {
                            items: vec![(id, output_expr(column, span))],
                            input: Box::new(bound.plan),
                        })),
                    };
                    values.push(self.stored(table, *ordinal, value)?);
                }
                Ok(values)
            }
            (_, true) => {
                count(1)?;
                let value = self.set_value(table, ordinals[0], &assignment.value)?;
                Ok(vec![value])
            }
            (_, false) => {
                let value = self.set_value(table, ordinals[0], &assignment.value)?;
                Ok(vec![value])
            }
        }
    }

    fn set_value(&mut self, table: &Table, ordinal: usize, value: &'a ast::Expr) -> Result<Expr> {
        let column = &table.columns[ordinal];
        let fixed =
            column.generated.is_some() || column.identity.is_some_and(|identity| identity.always);
        if fixed && !matches!(value.kind, A::Default) {
            return Err(generated_value(table, ordinal, "update", value.span));
        }
        self.assigned(table, ordinal, value)
    }

    pub(super) fn update(&mut self, update: &'a Update) -> Result<BoundStatement> {
        let change = self.within(update.with.as_ref(), |binder| binder.update_here(update))?;
        Ok(BoundStatement::Change(Box::new(change)))
    }

    pub(super) fn update_here(&mut self, update: &'a Update) -> Result<Change> {
        let target = self.target(
            (&update.table, update.only),
            update.alias.as_ref(),
            &update.from,
            update.filter.as_ref(),
        )?;
        let assignments = self.assignments(&target.table, &update.assignments)?;
        self.note_updated(&target.table, &assignments);
        let returning = match &update.returning {
            None => None,
            Some(returning) => {
                Some(self.returning(&target.table, &target.columns, target.others, returning)?)
            }
        };
        self.scopes.pop();
        Ok(Change {
            table: target.table,
            source: target.plan,
            kind: ChangeKind::Update {
                row_key: target.row_key,
                columns: target.columns,
                assignments,
            },
            returning,
            family: target.family,
            checks: target.checks,
        })
    }

    pub(super) fn delete(&mut self, delete: &'a Delete) -> Result<BoundStatement> {
        let change = self.within(delete.with.as_ref(), |binder| binder.delete_here(delete))?;
        Ok(BoundStatement::Change(Box::new(change)))
    }

    pub(super) fn delete_here(&mut self, delete: &'a Delete) -> Result<Change> {
        let target = self.target(
            (&delete.table, delete.only),
            delete.alias.as_ref(),
            &delete.using,
            delete.filter.as_ref(),
        )?;
        self.note_need(&target.table, Privileges::DELETE, None);
        let returning = match &delete.returning {
            None => None,
            Some(returning) => {
                Some(self.returning(&target.table, &target.columns, target.others, returning)?)
            }
        };
        self.scopes.pop();
        Ok(Change {
            table: target.table,
            source: target.plan,
            kind: ChangeKind::Delete {
                row_key: target.row_key,
                columns: target.columns,
            },
            returning,
            family: target.family,
            checks: target.checks,
        })
    }

    /// The rows that UPDATE or DELETE works on. Leaves the scope of the table and of `others` on
    /// the stack.
    fn target(
        &mut self,
        (name, only): (&'a ast::ObjectName, bool),
        alias: Option<&'a Ident>,
        others: &'a [ast::TableRef],
        filter: Option<&'a ast::Expr>,
    ) -> Result<Target> {
        let writable = self.writable(name)?;
        let table = Arc::clone(&writable.base);
        let row_key = self.column_id();
        let members = if only {
            None
        } else {
            self.family_with_rows(&table, name.span)?
        };
        let (mut plan, columns, family) = match members {
            None => {
                let (plan, columns) = self.scan(&table, Some(row_key), name.span)?;
                (plan, columns, None)
            }
            Some(members) => {
                let (plan, columns, family) =
                    self.scan_family(&table, members, Some(row_key), name.span)?;
                (plan, columns, Some(family))
            }
        };
        let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
        let conditions = self.view_conditions(&writable, &ids, name.span)?;
        if !conditions.is_empty() {
            plan = LogicalPlan::Filter {
                input: Box::new(plan),
                predicates: conditions,
            };
        }
        self.note_readable(&writable.table, ids.clone(), false);
        let mut scope = self.writable_scope(&writable, alias, &ids);
        let mut more = Vec::new();
        if let Some(first) = others.first() {
            let (other, other_scope) = self.bind_from(others)?;
            distinct_names(&scope, &other_scope, first.span)?;
            more = other_scope
                .relations
                .iter()
                .flat_map(|relation| &relation.columns)
                .chain(&other_scope.columns)
                .map(|column| (column.id, column.data_type))
                .collect();
            more.sort_unstable_by_key(|(id, _)| *id);
            more.dedup_by_key(|(id, _)| *id);
            plan = LogicalPlan::Join {
                kind: JoinKind::Inner,
                left: Box::new(plan),
                right: Box::new(other),
                on: Vec::new(),
            };
            scope = scope.join(other_scope);
        }
        self.scopes.push(scope);
        if let Some(filter) = filter {
            let condition = match &filter.kind {
                A::CurrentOf(cursor) => {
                    // PostgreSQL wants SELECT for this, as for any other condition.
                    self.note_need(&writable.table, Privileges::SELECT, Some(&[]));
                    self.current_of(&table, row_key, cursor)?
                }
                _ => self.in_place(Place::Clause("WHERE"), |binder| {
                    binder.condition(filter, "WHERE")
                })?,
            };
            plan = LogicalPlan::Filter {
                input: Box::new(plan),
                predicates: conjuncts(condition),
            };
        }
        Ok(Target {
            table: Arc::clone(&writable.table),
            plan,
            row_key,
            columns: ids,
            others: more,
            family,
            checks: self.view_checks(&writable, name.span)?,
        })
    }
}

/// The column of that name in a table that is written.
pub(super) fn table_column(table: &Table, name: &Ident) -> Result<usize> {
    table.column(&name.name).ok_or_else(|| {
        with_hint(
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" of table \"{}\" does not exist",
                    name.name, table.name
                ),
            )
            .at(name.span),
            suggest::did_you_mean(
                &name.name,
                table.columns.iter().map(|column| column.name.as_str()),
            ),
        )
    })
}

/// A column's default, NULL where it has none. Generated columns are filled in when the row is
/// written.
pub(super) fn default_of(table: &Table, ordinal: usize, span: Span) -> Expr {
    let column = &table.columns[ordinal];
    if let Some(identity) = column.identity {
        let number = literal::constant(
            Value::Int8(i64::from(identity.sequence.0)),
            DataType::Int8,
            span,
        );
        let next = Expr {
            kind: ExprKind::Function(ScalarFunction::NextValue, vec![number]),
            data_type: DataType::Int8,
            nullable: false,
            span,
        };
        return match column.data_type {
            DataType::Int8 => next,
            other => Expr {
                kind: ExprKind::Cast(Box::new(next)),
                data_type: other,
                nullable: false,
                span,
            },
        };
    }
    match &column.default {
        // A default of NULL is none: what it stands for has the place of the change.
        Some((_, default)) if !default.is_null_constant() => default.clone(),
        _ => literal::constant(Value::Null, column.data_type, span),
    }
}

/// A value for a column that makes its own.
pub(super) fn generated_value(table: &Table, ordinal: usize, what: &str, span: Span) -> Error {
    let column = &table.columns[ordinal];
    let detail = match (&column.generated, column.identity) {
        (Some(_), _) => "is a generated column",
        _ => "is an identity column defined as GENERATED ALWAYS",
    };
    let message = if what == "update" {
        format!("column \"{}\" can only be updated to DEFAULT", column.name)
    } else {
        format!("cannot {what} column \"{}\"", column.name)
    };
    Error::new(SqlState("428C9"), message)
        .detail(format!("Column \"{}\" {detail}.", column.name))
        .at(span)
}

pub(super) fn twice(name: &Ident) -> Error {
    Error::new(
        SqlState::DUPLICATE_COLUMN,
        format!("column \"{}\" is named twice", name.name),
    )
    .at(name.span)
}
