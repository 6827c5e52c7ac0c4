//! Changes that no database would carry out.

use crate::{
    ast::{self, ExprKind as A, InsertSource, QueryBody, StatementKind},
    binder::as_written,
    bound::{
        BoundStatement, Change, ChangeKind, ColumnId, Expr, ExprKind, LogicalPlan, MergeAction,
    },
    catalog::{CatalogReader, Table, named_type::NamedTypeKind},
    error::{Error, Result, SqlState},
    parser::quoted,
    span::Span,
};

/// Fails where a statement gives NULL, or nothing, to a column that is NOT NULL: it could only
/// ever fail when it runs. `written`: the statement before it was bound.
///
/// # Errors
/// 23502, with the place of what is stored.
pub(super) fn check(
    statement: &BoundStatement,
    written: &ast::Statement,
    catalog: &dyn CatalogReader,
) -> Result<()> {
    let mut places = Places::default();
    places.note(written);
    Checker { catalog, places }.statement(statement)
}

/// Why a value is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// The statement says so.
    Value,
    /// It says DEFAULT.
    Default,
    /// It says nothing of the column.
    Omitted,
    /// An INSERT of MERGE says nothing of it.
    OmittedByMerge,
}

/// Where a statement has what stands for no value: a bound expression does not tell any more why
/// it is NULL, but has the place of what it was made from.
#[derive(Debug, Default)]
struct Places {
    /// Every DEFAULT.
    defaults: Vec<Span>,
    /// What gives INSERT its rows: columns that are left out have its place.
    sources: Vec<Span>,
    /// Every WHEN of MERGE that adds a row: the same.
    merged: Vec<Span>,
}

impl Places {
    fn note(&mut self, statement: &ast::Statement) {
        match &statement.kind {
            StatementKind::Insert(insert) => {
                self.note_with(insert.with.as_ref());
                match &insert.source {
                    InsertSource::Defaults => self.sources.push(insert.table.span),
                    InsertSource::Query(query) => {
                        self.sources.push(query.span);
                        self.note_with(query.with.as_ref());
                        if let QueryBody::Values(rows) = &query.body {
                            rows.iter()
                                .flatten()
                                .for_each(|value| self.note_value(value));
                        }
                    }
                }
                let conflict = insert.on_conflict.as_ref();
                if let Some((assignments, _)) = conflict.and_then(|of| of.update.as_ref()) {
                    self.note_assignments(assignments);
                }
            }
            StatementKind::Update(update) => {
                self.note_with(update.with.as_ref());
                self.note_assignments(&update.assignments);
            }
            StatementKind::Delete(delete) => self.note_with(delete.with.as_ref()),
            StatementKind::Merge(merge) => {
                self.note_with(merge.with.as_ref());
                for clause in &merge.clauses {
                    match &clause.action {
                        ast::MergeAction::Update(assignments) => self.note_assignments(assignments),
                        ast::MergeAction::Insert { values, .. } => {
                            self.merged.push(clause.span);
                            let values = values.iter().flatten();
                            values.for_each(|value| self.note_value(value));
                        }
                        ast::MergeAction::Delete | ast::MergeAction::Nothing => {}
                    }
                }
            }
            StatementKind::Query(query) => self.note_with(query.with.as_ref()),
            _ => {}
        }
    }

    /// Of the changes in WITH.
    fn note_with(&mut self, with: Option<&ast::With>) {
        for table in with.into_iter().flat_map(|with| &with.tables) {
            self.note(&table.statement);
        }
    }

    fn note_assignments(&mut self, assignments: &[ast::Assignment]) {
        for assignment in assignments {
            match &assignment.value.kind {
                A::Row(values) => values.iter().for_each(|value| self.note_value(value)),
                _ => self.note_value(&assignment.value),
            }
        }
    }

    fn note_value(&mut self, value: &ast::Expr) {
        if matches!(value.kind, A::Default) {
            self.defaults.push(value.span);
        }
    }

    fn given(&self, value: &Expr) -> Given {
        if self.defaults.contains(&value.span) {
            Given::Default
        } else if self.sources.contains(&value.span) {
            Given::Omitted
        } else if self.merged.contains(&value.span) {
            Given::OmittedByMerge
        } else {
            Given::Value
        }
    }
}

struct Checker<'c> {
    catalog: &'c dyn CatalogReader,
    places: Places,
}

impl Checker<'_> {
    fn statement(&self, statement: &BoundStatement) -> Result<()> {
        match statement {
            BoundStatement::Change(change) => self.change(change),
            BoundStatement::With { changes, statement } => {
                for (_, change) in changes {
                    self.change(change)?;
                }
                self.statement(statement)
            }
            _ => Ok(()),
        }
    }

    fn change(&self, change: &Change) -> Result<()> {
        let table = &change.table;
        match &change.kind {
            ChangeKind::Insert {
                columns,
                on_conflict,
            } => {
                for (ordinal, column) in columns.iter().enumerate() {
                    for value in values_of(&change.source, *column) {
                        self.value(table, ordinal, value)?;
                        if is_column_of_nulls(&change.source, value) {
                            self.refuse(table, ordinal, Given::Value, value.span)?;
                        }
                    }
                }
                let Some(update) = on_conflict.as_ref().and_then(|of| of.update.as_ref()) else {
                    return Ok(());
                };
                for (ordinal, column) in &update.values {
                    for value in values_of(&update.plan, *column) {
                        self.value(table, *ordinal, value)?;
                    }
                }
                Ok(())
            }
            ChangeKind::Update { assignments, .. } => assignments
                .iter()
                .try_for_each(|of| self.value(table, of.ordinal, &of.value)),
            ChangeKind::Merge { actions, .. } => actions
                .iter()
                .try_for_each(|action| self.merged(table, &change.source, action)),
            ChangeKind::Delete { .. } => Ok(()),
        }
    }

    /// What an action of MERGE stores.
    fn merged(&self, table: &Table, source: &LogicalPlan, action: &MergeAction) -> Result<()> {
        let stored = |ordinal: usize, column: ColumnId| {
            values_of(source, column)
                .into_iter()
                .filter_map(where_chosen)
                .try_for_each(|value| self.value(table, ordinal, value))
        };
        match action {
            MergeAction::Insert(columns) => columns
                .iter()
                .enumerate()
                .try_for_each(|(ordinal, column)| stored(ordinal, *column)),
            MergeAction::Update(values) => values
                .iter()
                .try_for_each(|(ordinal, column)| stored(*ordinal, *column)),
            MergeAction::Delete | MergeAction::Nothing => Ok(()),
        }
    }

    fn value(&self, table: &Table, ordinal: usize, value: &Expr) -> Result<()> {
        if is_null(value) {
            self.refuse(table, ordinal, self.places.given(value), value.span)
        } else {
            Ok(())
        }
    }

    /// Fails where the column must not be NULL.
    fn refuse(&self, table: &Table, ordinal: usize, given: Given, span: Span) -> Result<()> {
        let Some(column) = table.columns.get(ordinal) else {
            return Ok(());
        };
        // What is generated is filled in later.
        if !column.not_null || column.generated.is_some() {
            return Ok(());
        }
        let what = format!(
            "column \"{}\" of table \"{}\" is NOT NULL",
            column.name, table.name
        );
        let default = match column.default {
            Some(_) => "has the default NULL",
            None => "has no default",
        };
        let (message, hint) = match given {
            Given::Value => {
                let hint = if self.may_be_null(table, ordinal) {
                    "Give it a value, or let the column be NULL: ALTER COLUMN … DROP NOT NULL in a \
                     migration."
                } else {
                    "Give it a value."
                };
                (format!("{what}, and NULL is stored in it"), hint.to_owned())
            }
            Given::Default => (
                format!("{what} and {default}, which DEFAULT stands for"),
                "Give it a value.".to_owned(),
            ),
            Given::Omitted | Given::OmittedByMerge => {
                let into = match given {
                    Given::OmittedByMerge => "INSERT".to_owned(),
                    _ => format!("INSERT INTO {}", as_written(self.catalog, table)),
                };
                (
                    format!("{what} and {default}, and INSERT gives it no value"),
                    format!(
                        "Name it among the columns and give it a value: {into} (…, {}) …",
                        quoted(&column.name)
                    ),
                )
            }
        };
        let error = Error::new(SqlState::NOT_NULL_VIOLATION, message);
        Err(error.hint(hint).at(span))
    }

    /// Whether a migration could let a column be NULL: neither a key nor a type forbids it.
    fn may_be_null(&self, table: &Table, ordinal: usize) -> bool {
        let named = table.columns[ordinal]
            .named_type
            .and_then(|id| self.catalog.named_type_by_id(id));
        let of_domain = named.is_some_and(|of| matches!(of.kind, NamedTypeKind::Domain(_)));
        !of_domain && !table.primary_key.contains(&ordinal)
    }
}

/// What a plan computes for a column, where that is plain to see.
fn values_of(plan: &LogicalPlan, column: ColumnId) -> Vec<&Expr> {
    match plan {
        LogicalPlan::Values { columns, rows } => {
            match columns.iter().position(|(id, _)| *id == column) {
                Some(at) => rows.iter().filter_map(|row| row.get(at)).collect(),
                None => Vec::new(),
            }
        }
        LogicalPlan::Project { items, .. } => items
            .iter()
            .filter(|(id, _)| *id == column)
            .map(|(_, value)| value)
            .collect(),
        _ => Vec::new(),
    }
}

/// A value of an action of MERGE, which is computed only where the action is chosen.
fn where_chosen(value: &Expr) -> Option<&Expr> {
    match &value.kind {
        ExprKind::Case { branches, .. } => branches.first().map(|(_, value)| value),
        _ => None,
    }
}

/// Whether a value is NULL whatever the rows are: itself, or all that a subquery gives.
fn is_null(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::ScalarSubquery(plan) => match &**plan {
            LogicalPlan::Project { items, .. } => matches!(
                items.as_slice(),
                [(_, only)] if only.is_null_constant() || is_column_of_nulls(plan, only)
            ),
            _ => false,
        },
        ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => is_null(operand),
        _ => value.is_null_constant(),
    }
}

/// Whether a value of a plan is a column of what the plan reads, and a query within says NULL
/// there.
fn is_column_of_nulls(plan: &LogicalPlan, value: &Expr) -> bool {
    let LogicalPlan::Project { input, .. } = plan else {
        return false;
    };
    match &value.kind {
        ExprKind::Column(id) => values_of(input, *id)
            .into_iter()
            .any(|value| value.is_null_constant() || is_column_of_nulls(input, value)),
        ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => {
            is_column_of_nulls(plan, operand)
        }
        _ => false,
    }
}
