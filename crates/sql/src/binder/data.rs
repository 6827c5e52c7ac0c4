//! INSERT, UPDATE, DELETE.

use std::sync::Arc;

use super::{
    Binder, Place,
    expr::with_hint,
    from::conjuncts,
    literal,
    query::{BoundQuery, output_expr, values_length},
    scope::Scope,
    suggest, unsupported,
};
use crate::{
    ast::{self, Delete, ExprKind as A, Ident, Insert, InsertSource, QueryBody, Update},
    bound::{Assignment, BoundStatement, ColumnId, Expr, InsertConflict, LogicalPlan},
    catalog::Table,
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType, Value},
};

impl<'a> Binder<'a> {
    pub(super) fn insert(&mut self, insert: &'a Insert) -> Result<BoundStatement> {
        if let Some(with) = &insert.with {
            return Err(unsupported("WITH before INSERT is", with.span)
                .hint("Put the WITH clause before the SELECT: INSERT INTO … WITH … SELECT …"));
        }
        if let Some(returning) = &insert.returning {
            return Err(returning_error(returning, insert.table.span));
        }
        let table = self.table(&insert.table)?;
        let on_conflict = match &insert.on_conflict {
            None => InsertConflict::Error,
            Some(conflict) if conflict.update.is_some() => {
                return Err(unsupported("ON CONFLICT DO UPDATE is", conflict.span));
            }
            Some(conflict)
                if !conflict.columns.is_empty()
                    || conflict.constraint.is_some()
                    || conflict.target_filter.is_some() =>
            {
                self.check_conflict_target(&table, conflict)?;
                InsertConflict::DoNothing
            }
            Some(_) => InsertConflict::DoNothing,
        };
        // Ordinals of the columns that the source fills.
        let targets = match &insert.columns {
            None => (0..table.columns.len()).collect(),
            Some(names) => {
                let mut targets = Vec::with_capacity(names.len());
                for name in names {
                    let ordinal = table_column(&table, name)?;
                    if targets.contains(&ordinal) {
                        return Err(twice(name));
                    }
                    targets.push(ordinal);
                }
                targets
            }
        };
        let named = insert.columns.is_some();
        let (source, columns) = match &insert.source {
            InsertSource::Defaults => {
                let row = (0..table.columns.len())
                    .map(|ordinal| default_of(&table, ordinal, insert.table.span))
                    .collect();
                self.rows(&table, vec![row])
            }
            InsertSource::Query(query) => match &query.body {
                QueryBody::Values(rows)
                    if query.with.is_none()
                        && query.order_by.is_empty()
                        && query.limit.is_none()
                        && query.offset.is_none() =>
                {
                    self.insert_values(&table, &targets, named, rows, query.span)?
                }
                _ => self.insert_query(&table, targets, named, query)?,
            },
        };
        Ok(BoundStatement::Insert {
            table,
            source,
            columns,
            on_conflict,
        })
    }

    /// ON CONFLICT (columns) DO NOTHING: only where every unique key is meant would "any
    /// conflict" be the same, so the target must be the only one.
    fn check_conflict_target(
        &mut self,
        table: &Table,
        conflict: &'a ast::OnConflict,
    ) -> Result<()> {
        if conflict.target_filter.is_some() {
            return Err(unsupported("a condition in ON CONFLICT is", conflict.span));
        }
        let mut keys: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
        if !table.primary_key.is_empty() {
            keys.push((table.primary_key_name.as_deref(), table.primary_key.clone()));
        }
        for index in table.indexes.iter().filter(|index| index.unique) {
            let ordinals = index.columns.iter().map(|column| column.ordinal).collect();
            keys.push((Some(&index.name), ordinals));
        }
        let mut wanted = Vec::new();
        for column in &conflict.columns {
            wanted.push(table_column(table, column)?);
        }
        wanted.sort_unstable();
        let matches = |(name, ordinals): &(Option<&str>, Vec<usize>)| match &conflict.constraint {
            Some(constraint) => *name == Some(constraint.name.as_str()),
            None => {
                let mut sorted = ordinals.clone();
                sorted.sort_unstable();
                sorted == wanted
            }
        };
        if !keys.iter().any(matches) {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "no unique or primary key matches the ON CONFLICT target",
            )
            .at(conflict.span));
        }
        if keys.len() > 1 {
            return Err(unsupported(
                "an ON CONFLICT target on a table with several unique keys is",
                conflict.span,
            )
            .hint("ON CONFLICT DO NOTHING without a target covers all of them."));
        }
        Ok(())
    }

    /// Rows as a plan, with the ids of its columns.
    fn rows(&mut self, table: &Table, rows: Vec<Vec<Expr>>) -> (LogicalPlan, Vec<ColumnId>) {
        let columns: Vec<(ColumnId, DataType)> = table
            .columns
            .iter()
            .map(|column| (self.column_id(), column.data_type.of_values()))
            .collect();
        let ids = columns.iter().map(|(id, _)| *id).collect();
        (LogicalPlan::Values { columns, rows }, ids)
    }

    fn insert_values(
        &mut self,
        table: &Arc<Table>,
        targets: &[usize],
        named: bool,
        rows: &'a [Vec<ast::Expr>],
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ColumnId>)> {
        let width = rows.first().map_or(0, Vec::len);
        // Where each column's value is in a row.
        let mut places: Vec<Option<usize>> = vec![None; table.columns.len()];
        for (place, ordinal) in targets.iter().enumerate() {
            if place < width {
                places[*ordinal] = Some(place);
            }
        }
        let mut bound = Vec::with_capacity(rows.len());
        self.scopes.push(Scope::default());
        for row in rows {
            if row.len() != width {
                return Err(values_length(width, row, span));
            }
            check_width(table, targets.len(), row, named, span)?;
            let mut cells = Vec::with_capacity(places.len());
            for (ordinal, place) in places.iter().enumerate() {
                cells.push(match place.and_then(|place| row.get(place)) {
                    Some(value) => self.assigned(table, ordinal, value)?,
                    None => default_of(table, ordinal, span),
                });
            }
            bound.push(cells);
        }
        self.scopes.pop();
        Ok(self.rows(table, bound))
    }

    /// A value for a column: DEFAULT or an expression, converted to the column's type.
    fn assigned(&mut self, table: &Table, ordinal: usize, value: &'a ast::Expr) -> Result<Expr> {
        if matches!(value.kind, A::Default) {
            return Ok(default_of(table, ordinal, value.span));
        }
        let bound = self.in_place(Place::Clause("VALUES and SET"), |binder| binder.expr(value))?;
        self.stored(table, ordinal, bound)
    }

    /// An expression as it is stored into a column.
    fn stored(&mut self, table: &Table, ordinal: usize, value: Expr) -> Result<Expr> {
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

    fn insert_query(
        &mut self,
        table: &Arc<Table>,
        mut targets: Vec<usize>,
        named: bool,
        query: &'a ast::Query,
    ) -> Result<(LogicalPlan, Vec<ColumnId>)> {
        let BoundQuery {
            mut plan,
            mut columns,
        } = self.query(query)?;
        if columns.len() > targets.len() || (named && columns.len() < targets.len()) {
            return Err(width_error(
                table,
                targets.len(),
                columns.len(),
                named,
                query.span,
            ));
        }
        targets.truncate(columns.len());
        // Bare strings and NULLs of the query take their column's type at once.
        let types: Vec<DataType> = columns
            .iter()
            .zip(&targets)
            .map(|(column, ordinal)| match column.data_type {
                DataType::Unknown => table.columns[*ordinal].data_type,
                other => other,
            })
            .collect();
        let bound = self.coerce_columns(
            BoundQuery { plan, columns },
            &types,
            CastContext::Assignment,
            query.span,
        )?;
        plan = bound.plan;
        columns = bound.columns;
        let mut items = Vec::with_capacity(table.columns.len());
        let mut ids = Vec::with_capacity(table.columns.len());
        for ordinal in 0..table.columns.len() {
            let value = match targets.iter().position(|target| *target == ordinal) {
                Some(place) => {
                    let value = output_expr(&columns[place], query.span);
                    self.stored(table, ordinal, value)?
                }
                None => default_of(table, ordinal, query.span),
            };
            let id = self.column_id();
            ids.push(id);
            items.push((id, value));
        }
        let plan = LogicalPlan::Project {
            input: Box::new(plan),
            items,
        };
        Ok((plan, ids))
    }

    pub(super) fn update(&mut self, update: &'a Update) -> Result<BoundStatement> {
        if let Some(with) = &update.with {
            return Err(unsupported("WITH before UPDATE is", with.span));
        }
        if let Some(returning) = &update.returning {
            return Err(returning_error(returning, update.table.span));
        }
        if let Some(from) = update.from.first() {
            return Err(unsupported("UPDATE … FROM is", from.span)
                .hint("Write the other table as a subquery in SET or WHERE."));
        }
        let (table, source, row_key, columns) =
            self.target(&update.table, update.alias.as_ref(), update.filter.as_ref())?;
        let mut assignments: Vec<Assignment> = Vec::new();
        for assignment in &update.assignments {
            let values: Vec<&'a ast::Expr> = match (&assignment.value.kind, assignment.row) {
                (A::Row(values), true) => values.iter().collect(),
                (_, true) => {
                    return Err(unsupported(
                        "a subquery for several columns in UPDATE is",
                        assignment.value.span,
                    ));
                }
                (_, false) => vec![&assignment.value],
            };
            if values.len() != assignment.columns.len() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!(
                        "{} columns are set to {} values",
                        assignment.columns.len(),
                        values.len()
                    ),
                )
                .at(assignment.value.span));
            }
            for (name, value) in assignment.columns.iter().zip(values) {
                let ordinal = table_column(&table, name)?;
                if assignments.iter().any(|known| known.ordinal == ordinal) {
                    return Err(twice(name));
                }
                let value = self.assigned(&table, ordinal, value)?;
                assignments.push(Assignment { ordinal, value });
            }
        }
        self.scopes.pop();
        Ok(BoundStatement::Update {
            table,
            source,
            row_key,
            columns,
            assignments,
        })
    }

    pub(super) fn delete(&mut self, delete: &'a Delete) -> Result<BoundStatement> {
        if let Some(with) = &delete.with {
            return Err(unsupported("WITH before DELETE is", with.span));
        }
        if let Some(returning) = &delete.returning {
            return Err(returning_error(returning, delete.table.span));
        }
        if let Some(using) = delete.using.first() {
            return Err(
                unsupported("DELETE … USING is", using.span).hint("Write WHERE … IN (SELECT …).")
            );
        }
        let (table, source, row_key, columns) =
            self.target(&delete.table, delete.alias.as_ref(), delete.filter.as_ref())?;
        self.scopes.pop();
        Ok(BoundStatement::Delete {
            table,
            source,
            row_key,
            columns,
        })
    }

    /// The rows that UPDATE or DELETE works on. Leaves the table's scope on the stack.
    fn target(
        &mut self,
        name: &'a ast::ObjectName,
        alias: Option<&'a Ident>,
        filter: Option<&'a ast::Expr>,
    ) -> Result<(Arc<Table>, LogicalPlan, ColumnId, Vec<ColumnId>)> {
        let table = self.table(name)?;
        let row_key = self.column_id();
        let (mut plan, columns) = self.scan(&table, Some(row_key))?;
        let ids = columns.iter().map(|column| column.id).collect();
        let mut scope = Scope::default();
        match alias {
            Some(alias) => {
                scope.add_relation(&alias.name, None, columns, Some(Arc::clone(&table)));
            }
            None => scope.add_relation(
                &table.name,
                Some(&table.schema),
                columns,
                Some(Arc::clone(&table)),
            ),
        }
        self.scopes.push(scope);
        if let Some(filter) = filter {
            let condition = self.in_place(Place::Clause("WHERE"), |binder| {
                binder.condition(filter, "WHERE")
            })?;
            plan = LogicalPlan::Filter {
                input: Box::new(plan),
                predicates: conjuncts(condition),
            };
        }
        Ok((table, plan, row_key, ids))
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

/// A column's default, NULL where it has none.
fn default_of(table: &Table, ordinal: usize, span: Span) -> Expr {
    let column = &table.columns[ordinal];
    match &column.default {
        Some((_, default)) => default.clone(),
        None => literal::constant(Value::Null, column.data_type, span),
    }
}

fn twice(name: &Ident) -> Error {
    Error::new(
        SqlState::DUPLICATE_COLUMN,
        format!("column \"{}\" is named twice", name.name),
    )
    .at(name.span)
}

fn check_width(
    table: &Table,
    targets: usize,
    row: &[ast::Expr],
    named: bool,
    span: Span,
) -> Result<()> {
    if row.len() <= targets && !(named && row.len() < targets) {
        return Ok(());
    }
    let place = row
        .get(targets)
        .or(row.last())
        .map_or(span, |value| value.span);
    Err(width_error(table, targets, row.len(), named, place))
}

fn width_error(table: &Table, targets: usize, values: usize, named: bool, span: Span) -> Error {
    let what = if named {
        format!("{targets} columns are named")
    } else {
        format!("table \"{}\" has {targets} columns", table.name)
    };
    Error::new(
        SqlState::SYNTAX_ERROR,
        if values > targets {
            format!("INSERT has more values than columns: {what}, the row has {values} values")
        } else {
            format!("INSERT has fewer values than columns: {what}, the row has {values} values")
        },
    )
    .at(span)
}

fn returning_error(returning: &[ast::SelectItem], span: Span) -> Error {
    let place = returning.first().map_or(span, |item| match item {
        ast::SelectItem::Wildcard(span) => *span,
        ast::SelectItem::QualifiedWildcard(name) => name.span,
        ast::SelectItem::Expr { expr, .. } => expr.span,
    });
    unsupported("RETURNING is", place)
}
