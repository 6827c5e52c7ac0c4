//! Queries: WITH, bodies, ORDER BY and LIMIT around them, and the types of their columns.

use super::{
    Around, Binder, Place, coerce,
    columns::ambiguous,
    expr::{column_expr, with_hint},
    scope::{Scope, ScopeColumn},
    suggest, unsupported,
};
use crate::{
    ast::{self, ExprKind as A, OrderItem, Query, QueryBody},
    bound::{
        BinaryOp, ColumnId, Expr, ExprKind, FrameBound, FrameExclusion, LogicalPlan, OutputColumn,
        SortKey, WindowCall, WindowFrame, WindowFunction,
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType},
};

/// A bound query.
#[derive(Debug)]
pub(super) struct BoundQuery {
    pub(super) plan: LogicalPlan,
    pub(super) columns: Vec<OutputColumn>,
}

impl BoundQuery {
    /// The result's columns as a FROM item's.
    pub(super) fn scope_columns(&self) -> Vec<ScopeColumn> {
        self.columns
            .iter()
            .map(|column| ScopeColumn {
                name: column.name.clone(),
                id: column.id,
                data_type: column.data_type,
                nullable: column.nullable,
            })
            .collect()
    }
}

impl<'a> Binder<'a> {
    /// The rows of a table or view, all columns read.
    fn whole_table(
        &mut self,
        name: &ast::ObjectName,
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        let table = self.table(name)?;
        let (plan, columns, _) = self.scan_all(&table, None, false, span)?;
        self.note_read(&table, &columns);
        for column in &columns {
            self.access.read(column.id);
        }
        Ok((plan, columns))
    }

    /// A query that is a statement.
    pub(super) fn root_query(
        &mut self,
        query: &'a Query,
    ) -> Result<(LogicalPlan, Vec<OutputColumn>)> {
        self.want_row_key(query);
        let bound = self.settled_query(query)?;
        Ok((bound.plan, bound.columns))
    }

    /// A query all of whose columns have a type.
    pub(super) fn settled_query(&mut self, query: &'a Query) -> Result<BoundQuery> {
        let bound = self.query(query)?;
        let targets: Vec<DataType> = bound
            .columns
            .iter()
            .map(|column| match column.data_type {
                DataType::Unknown => DataType::Text,
                other => other,
            })
            .collect();
        self.coerce_columns(bound, &targets, CastContext::Implicit, query.span)
    }

    /// A query; columns of bare strings, NULLs and parameters still have no type.
    pub(super) fn query(&mut self, query: &'a Query) -> Result<BoundQuery> {
        self.refuse_locking(query)?;
        let outer_tables = self.common_tables.len();
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        self.around.push(Around {
            select: std::mem::take(&mut self.select),
            scopes: self.scopes.len(),
            place: self.place,
        });
        let outer_locking = self.locking.take();
        let result = self.in_place(Place::Output, |binder| binder.query_here(query));
        self.select = self
            .around
            .pop()
            .map(|around| around.select)
            .unwrap_or_default();
        self.locking = outer_locking;
        let mut bound = result?;
        self.settle_common_tables(outer_tables, &mut bound.plan)?;
        Ok(bound)
    }

    fn query_here(&mut self, query: &'a Query) -> Result<BoundQuery> {
        let mut hidden = false;
        let mut bound = match &query.body {
            QueryBody::Select(select) => {
                let (bound, extra) = self.locking_select(query, select)?;
                hidden = extra;
                bound
            }
            body => {
                let bound = self.body(body, query.span)?;
                self.order_output(bound, &query.order_by)?
            }
        };
        let limit = self.row_count(query.limit.as_ref(), "LIMIT")?;
        let offset = self.row_count(query.offset.as_ref(), "OFFSET")?;
        if query.with_ties {
            bound.plan = self.with_ties(bound.plan, limit, offset, query.span)?;
            hidden = true;
        } else if limit.is_some() || offset.is_some() {
            bound.plan = LogicalPlan::Limit {
                input: Box::new(bound.plan),
                limit,
                offset,
            };
        }
        if hidden {
            // Columns that were only there to sort by end here.
            bound = self.projected(bound, query.span);
        }
        Ok(bound)
    }

    /// FETCH FIRST … WITH TIES: the rows up to the limit and the peers of the last one. Leaves
    /// columns behind that only counted rows.
    fn with_ties(
        &mut self,
        plan: LogicalPlan,
        limit: Option<Expr>,
        offset: Option<Expr>,
        span: Span,
    ) -> Result<LogicalPlan> {
        let order = match &plan {
            LogicalPlan::Sort { keys, .. } => keys.clone(),
            LogicalPlan::Distinct { input, on: Some(_) } => match &**input {
                LogicalPlan::Sort { keys, .. } => keys.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        let Some(limit) = limit.filter(|_| !order.is_empty()) else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "WITH TIES cannot be specified without ORDER BY clause",
            )
            .at(span));
        };
        let mut call = |function| {
            let id = self.column_id();
            let call = WindowCall {
                function,
                arguments: Vec::new(),
                filter: None,
                frame: WindowFrame {
                    start: FrameBound::Unbounded,
                    end: FrameBound::Peers,
                    exclusion: FrameExclusion::None,
                },
                data_type: DataType::Int8,
            };
            (id, call)
        };
        let rank = call(WindowFunction::Rank);
        let number = call(WindowFunction::RowNumber);
        let int8 = |kind| Expr {
            kind,
            data_type: DataType::Int8,
            nullable: false,
            span,
        };
        let compare = |operator, id, with: Expr| {
            super::expr::boolean(
                ExprKind::Binary(
                    operator,
                    Box::new(int8(ExprKind::Column(id))),
                    Box::new(with),
                ),
                true,
                span,
            )
        };
        let mut predicates = Vec::new();
        let last = match offset {
            Some(offset) => {
                predicates.push(compare(BinaryOp::Greater, number.0, offset.clone()));
                int8(ExprKind::Binary(
                    BinaryOp::Add,
                    Box::new(limit),
                    Box::new(offset),
                ))
            }
            None => limit,
        };
        predicates.push(compare(BinaryOp::LessOrEqual, rank.0, last));
        Ok(LogicalPlan::Sort {
            input: Box::new(LogicalPlan::Filter {
                input: Box::new(LogicalPlan::Window {
                    input: Box::new(plan),
                    partition: Vec::new(),
                    order: order.clone(),
                    calls: vec![rank, number],
                }),
                predicates,
            }),
            keys: order,
        })
    }

    /// A projection to just the result's columns.
    fn projected(&mut self, bound: BoundQuery, span: Span) -> BoundQuery {
        let mut columns = bound.columns;
        let mut items = Vec::with_capacity(columns.len());
        for column in &mut columns {
            let id = self.column_id();
            items.push((id, output_expr(column, span)));
            column.id = id;
        }
        BoundQuery {
            plan: LogicalPlan::Project {
                input: Box::new(bound.plan),
                items,
            },
            columns,
        }
    }

    /// The body of a query, without ORDER BY.
    pub(super) fn body(&mut self, body: &'a QueryBody, span: Span) -> Result<BoundQuery> {
        match body {
            QueryBody::Select(select) => {
                let outer = std::mem::take(&mut self.select);
                let result = self.select(select, &[]);
                self.select = outer;
                Ok(result?.0)
            }
            QueryBody::Values(rows) => self.values(rows, span),
            QueryBody::Table(name) => {
                let (plan, columns) = match name.parts.as_slice() {
                    [only] => match self.common_table(only)? {
                        Some(found) => found,
                        None => self.whole_table(name, span)?,
                    },
                    _ => self.whole_table(name, span)?,
                };
                Ok(BoundQuery {
                    plan,
                    columns: columns
                        .into_iter()
                        .map(|column| OutputColumn {
                            id: column.id,
                            name: column.name,
                            data_type: column.data_type,
                            nullable: column.nullable,
                        })
                        .collect(),
                })
            }
            QueryBody::Query(query) => self.query(query),
            QueryBody::SetOperation { first, rest } => self.set_operation(first, rest, span),
        }
    }

    // ---- VALUES -------------------------------------------------------------------------------

    fn values(&mut self, rows: &'a [Vec<ast::Expr>], span: Span) -> Result<BoundQuery> {
        let width = rows.first().map_or(0, Vec::len);
        self.scopes.push(Scope::default());
        let mut bound: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
        let mut failure = None;
        'rows: for row in rows {
            if row.len() != width {
                failure = Some(values_length(width, row, span));
                break;
            }
            let mut cells = Vec::with_capacity(width);
            for cell in row {
                match self.in_place(Place::Clause("VALUES"), |binder| binder.expr(cell)) {
                    Ok(cell) => cells.push(cell),
                    Err(error) => {
                        failure = Some(error);
                        break 'rows;
                    }
                }
            }
            bound.push(cells);
        }
        self.scopes.pop();
        if let Some(error) = failure {
            return Err(error);
        }
        let mut columns = Vec::with_capacity(width);
        for index in 0..width {
            let types = bound.iter().map(|row| row[index].data_type);
            // Nothing but unknown stays so: what is around may decide.
            let common = if types
                .clone()
                .all(|data_type| data_type == DataType::Unknown)
            {
                DataType::Unknown
            } else {
                super::common_type(types).map_err(|(left, right)| {
                    let place = bound
                        .iter()
                        .find(|row| row[index].data_type == right)
                        .map_or(span, |row| row[index].span);
                    coerce::no_common_type("VALUES", left, right, place)
                })?
            };
            let mut nullable = false;
            for row in &mut bound {
                let placeholder = super::literal::constant(
                    crate::types::Value::Null,
                    DataType::Unknown,
                    Span::default(),
                );
                let cell = std::mem::replace(&mut row[index], placeholder);
                let cell = if common == DataType::Unknown {
                    cell
                } else {
                    self.coerce(cell, common, CastContext::Implicit)?
                };
                nullable |= cell.nullable;
                row[index] = cell;
            }
            columns.push(OutputColumn {
                id: self.column_id(),
                name: format!("column{}", index + 1),
                data_type: common,
                nullable,
            });
        }
        Ok(BoundQuery {
            plan: LogicalPlan::Values {
                columns: columns
                    .iter()
                    .map(|column| (column.id, column.data_type))
                    .collect(),
                rows: bound,
            },
            columns,
        })
    }

    // ---- ORDER BY, LIMIT ----------------------------------------------------------------------

    /// ORDER BY over a result whose parts are out of sight: positions and names.
    fn order_output(&mut self, bound: BoundQuery, order_by: &'a [OrderItem]) -> Result<BoundQuery> {
        if order_by.is_empty() {
            return Ok(bound);
        }
        let mut keys = Vec::with_capacity(order_by.len());
        for item in order_by {
            let span = item.expr.span;
            let index = match output_reference(&item.expr, &bound.columns, |_, _| false)? {
                Some(index) => index,
                None => match &item.expr.kind {
                    A::Column(name) if name.parts.len() == 1 => {
                        let ident = name.last();
                        return Err(with_hint(
                            Error::new(
                                SqlState::UNDEFINED_COLUMN,
                                format!("column \"{}\" does not exist in the result", ident.name),
                            )
                            .at(span),
                            suggest::did_you_mean(
                                &ident.name,
                                bound.columns.iter().map(|column| column.name.as_str()),
                            ),
                        ));
                    }
                    _ => {
                        return Err(unsupported(
                            "ORDER BY an expression over UNION, INTERSECT, EXCEPT or VALUES is",
                            span,
                        )
                        .hint("Order by a result column's name or position, or put the query into FROM."));
                    }
                },
            };
            keys.push(sort_key(item, output_expr(&bound.columns[index], span)));
        }
        Ok(BoundQuery {
            plan: LogicalPlan::Sort {
                input: Box::new(bound.plan),
                keys,
            },
            columns: bound.columns,
        })
    }

    fn row_count(
        &mut self,
        count: Option<&'a ast::Expr>,
        clause: &'static str,
    ) -> Result<Option<Expr>> {
        let Some(count) = count else {
            return Ok(None);
        };
        if matches!(count.kind, A::Null) {
            return Ok(None);
        }
        self.scopes.push(Scope::default());
        let bound = self.in_place(Place::Clause(clause), |binder| binder.expr(count));
        self.scopes.pop();
        let bound = bound.map_err(|error| match error.state() {
            SqlState::UNDEFINED_COLUMN => Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("{clause} takes a number; columns cannot stand in it"),
            )
            .at(count.span),
            _ => error,
        })?;
        if let ExprKind::Literal(value) = &bound.kind
            && let Some(number) = value.as_integer()
            && number < 0
        {
            return Err(Error::new(
                SqlState(if clause == "LIMIT" { "2201W" } else { "2201X" }),
                format!("{clause} must not be negative"),
            )
            .at(count.span));
        }
        let context = if bound.data_type.is_numeric() {
            CastContext::Assignment
        } else {
            CastContext::Implicit
        };
        self.coerce(bound, DataType::Int8, context).map(Some)
    }

    // ---- types of result columns ---------------------------------------------------------------

    /// Gives a query's columns these types.
    pub(super) fn coerce_columns(
        &mut self,
        mut bound: BoundQuery,
        targets: &[DataType],
        context: CastContext,
        span: Span,
    ) -> Result<BoundQuery> {
        // What has no type yet is constant: it is converted where it stands.
        for (column, target) in bound.columns.iter_mut().zip(targets) {
            if column.data_type == DataType::Unknown
                && self.settle_column(&mut bound.plan, column.id, *target, context)?
            {
                column.data_type = *target;
            }
        }
        let done = bound
            .columns
            .iter()
            .zip(targets)
            .all(|(column, target)| column.data_type == *target);
        if done {
            return Ok(bound);
        }
        let mut items = Vec::with_capacity(bound.columns.len());
        for (column, target) in bound.columns.iter_mut().zip(targets) {
            let place = self.column_span(&bound.plan, column.id).unwrap_or(span);
            let value = self.coerce(output_expr(column, place), *target, context)?;
            column.id = self.column_id();
            column.data_type = *target;
            items.push((column.id, value));
        }
        bound.plan = LogicalPlan::Project {
            input: Box::new(bound.plan),
            items,
        };
        Ok(bound)
    }

    /// Where the expression of a column stands, if the plan's top computes it.
    fn column_span(&self, plan: &LogicalPlan, id: ColumnId) -> Option<Span> {
        match plan {
            LogicalPlan::Project { items, .. } => items
                .iter()
                .find(|(item, _)| *item == id)
                .map(|(_, expr)| expr.span),
            LogicalPlan::Values { columns, rows } => {
                let index = columns.iter().position(|(column, _)| *column == id)?;
                rows.first()?.get(index).map(|expr| expr.span)
            }
            LogicalPlan::Limit { input, .. }
            | LogicalPlan::LockRows { input, .. }
            | LogicalPlan::Sort { input, .. }
            | LogicalPlan::Distinct { input, .. } => self.column_span(input, id),
            _ => None,
        }
    }

    /// Converts a column of unknown type where it is computed; whether that was found.
    fn settle_column(
        &mut self,
        plan: &mut LogicalPlan,
        id: ColumnId,
        target: DataType,
        context: CastContext,
    ) -> Result<bool> {
        match plan {
            LogicalPlan::Project { input, items } => {
                let Some((_, expr)) = items.iter_mut().find(|(item, _)| *item == id) else {
                    return Ok(false);
                };
                if let ExprKind::Column(inner) = expr.kind {
                    if !self.settle_column(input, inner, target, context)? {
                        return Ok(false);
                    }
                    expr.data_type = target;
                    return Ok(true);
                }
                *expr = self.coerce(expr.clone(), target, context)?;
                Ok(true)
            }
            LogicalPlan::Values { columns, rows } => {
                let Some(index) = columns.iter().position(|(column, _)| *column == id) else {
                    return Ok(false);
                };
                for row in rows {
                    if let Some(cell) = row.get_mut(index) {
                        *cell = self.coerce(cell.clone(), target, context)?;
                    }
                }
                columns[index].1 = target;
                Ok(true)
            }
            LogicalPlan::Limit { input, .. }
            | LogicalPlan::LockRows { input, .. }
            | LogicalPlan::Distinct { input, .. } => self.settle_column(input, id, target, context),
            LogicalPlan::Sort { input, keys } => {
                let found = self.settle_column(input, id, target, context)?;
                if found {
                    for key in keys {
                        if matches!(key.expr.kind, ExprKind::Column(column) if column == id) {
                            key.expr.data_type = target;
                        }
                    }
                }
                Ok(found)
            }
            _ => Ok(false),
        }
    }
}

/// A result column as an expression.
pub(super) fn output_expr(column: &OutputColumn, span: Span) -> Expr {
    column_expr(
        &ScopeColumn {
            name: String::new(),
            id: column.id,
            data_type: column.data_type,
            nullable: column.nullable,
        },
        span,
    )
}

pub(super) fn sort_key(item: &OrderItem, expr: Expr) -> SortKey {
    SortKey {
        expr,
        descending: item.descending,
        // PostgreSQL: NULLs are greater than everything.
        nulls_first: item.nulls_first.unwrap_or(item.descending),
    }
}

/// The result column that an ORDER BY or GROUP BY item names by position or by name. Of several
/// with the name it is the first, where all are the `same`.
pub(super) fn output_reference(
    expr: &ast::Expr,
    columns: &[OutputColumn],
    same: impl Fn(usize, usize) -> bool,
) -> Result<Option<usize>> {
    match &expr.kind {
        A::Number(text) => position(text, columns.len(), "ORDER BY", expr.span).map(Some),
        A::Column(name) if name.parts.len() == 1 => {
            let ident = name.last();
            let mut found = columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.name == ident.name);
            let Some((first, column)) = found.next() else {
                return Ok(None);
            };
            if found.all(|(other, of)| of.id == column.id || same(first, other)) {
                Ok(Some(first))
            } else {
                Err(ambiguous(&ident.name, expr.span))
            }
        }
        _ => Ok(None),
    }
}

/// A position in the select list, as an index.
pub(super) fn position(text: &str, count: usize, clause: &str, span: Span) -> Result<usize> {
    match text.parse::<usize>() {
        Ok(position) if (1..=count).contains(&position) => Ok(position - 1),
        Ok(position) => Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("{clause} position {position} is not in the select list of {count}"),
        )
        .at(span)),
        Err(_) => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("a number in {clause} must be a position in the select list"),
        )
        .at(span)),
    }
}

pub(super) fn values_length(width: usize, row: &[ast::Expr], span: Span) -> Error {
    let place = row
        .first()
        .zip(row.last())
        .map_or(span, |(first, last)| Span {
            start: first.span.start,
            end: last.span.end,
        });
    Error::new(
        SqlState::SYNTAX_ERROR,
        format!(
            "the rows of VALUES must be of one length: this one has {} values, the first has {width}",
            row.len()
        ),
    )
    .at(place)
}
