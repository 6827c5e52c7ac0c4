//! INSERT.

use std::sync::Arc;

use super::{
    Binder, Place,
    data::{default_of, generated_value, table_column, twice},
    query::{BoundQuery, output_expr, values_length},
    scope::Scope,
    suggest::as_written,
};
use crate::{
    ast::{self, ExprKind as A, Insert, InsertSource, Overriding, QueryBody},
    bound::{
        Arbiter, BoundStatement, Change, ChangeKind, ColumnId, ConflictUpdate, Expr,
        InsertConflict, LogicalPlan,
    },
    catalog::{CatalogReader, Identity, Table, access::Privileges},
    error::{Error, Result, SqlState},
    parser::quoted,
    span::Span,
    types::{CastContext, DataType},
};

/// The columns that INSERT's source fills.
pub(super) struct Targets {
    /// Their ordinals.
    pub(super) ordinals: Vec<usize>,
    /// Whether they are named in the statement.
    pub(super) named: bool,
    /// OVERRIDING.
    pub(super) overriding: Option<Overriding>,
}

impl<'a> Binder<'a> {
    pub(super) fn insert(&mut self, insert: &'a Insert) -> Result<BoundStatement> {
        let change = self.within(insert.with.as_ref(), |binder| binder.insert_here(insert))?;
        Ok(BoundStatement::Change(Box::new(change)))
    }

    pub(super) fn insert_here(&mut self, insert: &'a Insert) -> Result<Change> {
        let writable = self.writable(&insert.table)?;
        let table = Arc::clone(&writable.table);
        let mut targets = self.targets(&table, insert.columns.as_deref(), insert.overriding)?;
        if let (None, Some(shown)) = (&insert.columns, &writable.shown) {
            targets.ordinals.clone_from(shown);
        }
        self.note_need(&table, Privileges::INSERT, Some(&targets.ordinals));
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
                    self.insert_values(&table, &targets, rows, query.span)?
                }
                _ => self.insert_query(&table, targets, query)?,
            },
        };
        let alias = insert.alias.as_ref();
        let on_conflict = match &insert.on_conflict {
            None => None,
            Some(conflict) => Some(self.on_conflict(&table, alias, conflict)?),
        };
        let returning = match &insert.returning {
            None => None,
            Some(returning) => {
                let scope = self.writable_scope(&writable, alias, &columns);
                self.scopes.push(scope);
                self.note_readable(&table, columns.clone(), false);
                let bound = self.returning(&table, &columns, Vec::new(), returning);
                self.scopes.pop();
                Some(bound?)
            }
        };
        Ok(Change {
            table,
            source,
            kind: ChangeKind::Insert {
                columns,
                on_conflict,
            },
            returning,
            family: None,
            checks: self.view_checks(&writable, insert.table.span)?,
        })
    }

    /// The columns that are named, or all.
    pub(super) fn targets(
        &mut self,
        table: &Table,
        names: Option<&[ast::Ident]>,
        overriding: Option<Overriding>,
    ) -> Result<Targets> {
        let ordinals = match names {
            None => (0..table.columns.len()).collect(),
            Some(names) => {
                let mut ordinals = Vec::with_capacity(names.len());
                for name in names {
                    let ordinal = table_column(table, name)?;
                    if ordinals.contains(&ordinal) {
                        return Err(twice(name));
                    }
                    ordinals.push(ordinal);
                }
                ordinals
            }
        };
        Ok(Targets {
            ordinals,
            named: names.is_some(),
            overriding,
        })
    }

    /// ON CONFLICT: which key is meant, and what is done.
    fn on_conflict(
        &mut self,
        table: &Arc<Table>,
        alias: Option<&'a ast::Ident>,
        conflict: &'a ast::OnConflict,
    ) -> Result<InsertConflict> {
        let arbiters = self.arbiters(table, conflict)?;
        let Some((assignments, filter)) = &conflict.update else {
            return Ok(InsertConflict {
                arbiters,
                update: None,
            });
        };
        if arbiters.is_none() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            )
            .at(conflict.span)
            .hint("For example, ON CONFLICT (column_name)."));
        }
        let existing: Vec<ColumnId> = table.columns.iter().map(|_| self.column_id()).collect();
        let excluded: Vec<ColumnId> = table.columns.iter().map(|_| self.column_id()).collect();
        let types = || {
            table
                .columns
                .iter()
                .map(|column| column.data_type.of_values())
        };
        let buffered = existing
            .iter()
            .copied()
            .zip(types())
            .chain(excluded.iter().copied().zip(types()))
            .collect();
        let slot = self.buffer();
        self.note_readable(table, existing.clone(), false);
        let mut scope = self.target_scope(table, alias, &existing);
        // What it may be called stands beside the table, but is not among the columns that go
        // without a qualifier.
        let unqualified = scope.columns.len();
        let shadow = self.target_scope(table, None, &excluded);
        let columns = shadow.columns;
        scope.add_relation("excluded", None, columns, None);
        scope.columns.truncate(unqualified);
        self.scopes.push(scope);
        let bound = self.conflict_update(table, assignments, filter.as_ref(), slot, buffered);
        self.scopes.pop();
        Ok(InsertConflict {
            arbiters,
            update: Some(bound?),
        })
    }

    fn conflict_update(
        &mut self,
        table: &Arc<Table>,
        assignments: &'a [ast::Assignment],
        filter: Option<&'a ast::Expr>,
        slot: usize,
        buffered: Vec<(ColumnId, DataType)>,
    ) -> Result<ConflictUpdate> {
        let mut plan = LogicalPlan::Buffered {
            slot,
            columns: buffered,
        };
        let assignments = self.assignments(table, assignments)?;
        self.note_updated(table, &assignments);
        if let Some(filter) = filter {
            let condition = self.in_place(Place::Clause("WHERE"), |binder| {
                binder.condition(filter, "WHERE")
            })?;
            plan = LogicalPlan::Filter {
                input: Box::new(plan),
                predicates: super::from::conjuncts(condition),
            };
        }
        let mut values = Vec::with_capacity(assignments.len());
        let mut items = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let id = self.column_id();
            values.push((assignment.ordinal, id));
            items.push((id, assignment.value));
        }
        Ok(ConflictUpdate {
            slot,
            plan: LogicalPlan::Project {
                input: Box::new(plan),
                items,
            },
            values,
        })
    }

    /// The keys that ON CONFLICT's target means (PostgreSQL calls it inference).
    fn arbiters(
        &mut self,
        table: &Arc<Table>,
        conflict: &'a ast::OnConflict,
    ) -> Result<Option<Vec<Arbiter>>> {
        if let Some(name) = &conflict.constraint {
            if table.primary_key_name.as_deref() == Some(name.name.as_str()) {
                return Ok(Some(vec![Arbiter::PrimaryKey]));
            }
            let index = table
                .indexes
                .iter()
                .find(|index| index.constraint && index.name == name.name);
            return match index {
                Some(index) => Ok(Some(vec![Arbiter::Index(index.id)])),
                None => Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!(
                        "constraint \"{}\" for table \"{}\" does not exist",
                        name.name, table.name
                    ),
                )
                .at(name.span)),
            };
        }
        if conflict.columns.is_empty() {
            return Ok(None);
        }
        let mut wanted = Vec::new();
        for column in &conflict.columns {
            wanted.push(table_column(table, column)?);
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.note_need(table, Privileges::SELECT, Some(&wanted));
        let matches = |ordinals: &mut Vec<usize>| {
            ordinals.sort_unstable();
            *ordinals == wanted
        };
        let condition = match &conflict.target_filter {
            None => None,
            Some(filter) => Some(self.row_condition(table, filter, "WHERE")?),
        };
        let mut found = Vec::new();
        if matches(&mut table.primary_key.clone()) {
            found.push(Arbiter::PrimaryKey);
        }
        for index in table.indexes.iter().filter(|index| index.unique) {
            let covered = match (&index.predicate, &condition) {
                (None, _) => true,
                (Some((_, predicate)), Some(condition)) => predicate.is_same(condition),
                (Some(_), None) => false,
            };
            let mut ordinals = index.columns.iter().map(|column| column.ordinal).collect();
            if covered && matches(&mut ordinals) {
                found.push(Arbiter::Index(index.id));
            }
        }
        if found.is_empty() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            )
            .at(conflict.span));
        }
        Ok(Some(found))
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
        targets: &Targets,
        rows: &'a [Vec<ast::Expr>],
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ColumnId>)> {
        let width = rows.first().map_or(0, Vec::len);
        let mut bound = Vec::with_capacity(rows.len());
        self.scopes.push(Scope::default());
        for row in rows {
            if row.len() != width {
                return Err(values_length(width, row, span));
            }
            bound.push(self.inserted_row(table, targets, row, span)?);
        }
        self.scopes.pop();
        Ok(self.rows(table, bound))
    }

    /// A row of VALUES as one of the table.
    pub(super) fn inserted_row(
        &mut self,
        table: &Arc<Table>,
        targets: &Targets,
        row: &'a [ast::Expr],
        span: Span,
    ) -> Result<Vec<Expr>> {
        let width = row.len();
        check_width(table, targets.ordinals.len(), row, targets.named, span)?;
        // Where each column's value is in a row.
        let mut places: Vec<Option<usize>> = vec![None; table.columns.len()];
        for (place, ordinal) in targets.ordinals.iter().enumerate() {
            if place < width {
                places[*ordinal] = Some(place);
            }
        }
        let mut cells = Vec::with_capacity(places.len());
        for (ordinal, place) in places.iter().enumerate() {
            cells.push(match place.and_then(|place| row.get(place)) {
                Some(value) if matches!(value.kind, A::Default) => {
                    default_of(table, ordinal, value.span)
                }
                Some(value) => match given(self.catalog, table, ordinal, targets, value.span)? {
                    Given::Taken => self.assigned(table, ordinal, value)?,
                    Given::Replaced => default_of(table, ordinal, value.span),
                },
                None => default_of(table, ordinal, span),
            });
        }
        Ok(cells)
    }

    fn insert_query(
        &mut self,
        table: &Arc<Table>,
        targets: Targets,
        query: &'a ast::Query,
    ) -> Result<(LogicalPlan, Vec<ColumnId>)> {
        let named = targets.named;
        let mut ordinals = targets.ordinals.clone();
        let BoundQuery {
            mut plan,
            mut columns,
        } = self.query(query)?;
        if columns.len() > ordinals.len() || (named && columns.len() < ordinals.len()) {
            return Err(width_error(
                table,
                ordinals.len(),
                columns.len(),
                named,
                query.span,
            ));
        }
        ordinals.truncate(columns.len());
        // Bare strings and NULLs of the query take their column's type at once.
        let types: Vec<DataType> = columns
            .iter()
            .zip(&ordinals)
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
            let value = match ordinals.iter().position(|target| *target == ordinal) {
                Some(place) => match given(self.catalog, table, ordinal, &targets, query.span)? {
                    Given::Taken => {
                        let value = output_expr(&columns[place], query.span);
                        self.stored(table, ordinal, value)?
                    }
                    Given::Replaced => default_of(table, ordinal, query.span),
                },
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
}

/// What becomes of a value that the user gives for a column.
enum Given {
    /// It is taken.
    Taken,
    /// The column's own value counts (OVERRIDING USER VALUE).
    Replaced,
}

fn given(
    catalog: &dyn CatalogReader,
    table: &Table,
    ordinal: usize,
    targets: &Targets,
    span: Span,
) -> Result<Given> {
    let column = &table.columns[ordinal];
    // Whoever names no columns may not know that this one is among them.
    let others = || {
        let others = table.columns.iter();
        let mut others = others.filter(|of| of.identity.is_none() && of.generated.is_none());
        let first = others
            .next()
            .map_or_else(|| "column".to_owned(), |of| quoted(&of.name));
        format!(
            "Name the columns that get a value: INSERT INTO {} ({first}, …).",
            as_written(catalog, table)
        )
    };
    if column.generated.is_some() {
        let error = generated_value(table, ordinal, "insert a non-DEFAULT value into", span);
        return Err(if targets.named {
            error.hint("Leave the column out: the database computes its value.")
        } else {
            error.hint(others())
        });
    }
    match (column.identity, targets.overriding) {
        (Some(_), Some(Overriding::User)) => Ok(Given::Replaced),
        (Some(Identity { always: true, .. }), None) => {
            let error = generated_value(table, ordinal, "insert a non-DEFAULT value into", span);
            Err(if targets.named {
                error.hint("Use OVERRIDING SYSTEM VALUE to override.")
            } else {
                error.hint(others())
            })
        }
        _ => Ok(Given::Taken),
    }
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
    let what = match (named, targets) {
        (true, 1) => "1 column is named".to_owned(),
        (true, _) => format!("{targets} columns are named"),
        (false, 1) => format!("table \"{}\" has 1 column", table.name),
        (false, _) => format!("table \"{}\" has {targets} columns", table.name),
    };
    let row = match values {
        1 => "the row has 1 value".to_owned(),
        _ => format!("the row has {values} values"),
    };
    let error = |relation: &str| {
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("INSERT has {relation} values than columns: {what}, {row}"),
        )
        .at(span)
    };
    if values > targets {
        error("more")
    } else {
        error("fewer").hint("Name only the columns that get a value, or write DEFAULT for one.")
    }
}
