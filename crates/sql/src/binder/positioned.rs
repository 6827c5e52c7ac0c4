//! Cursors that stand on rows of a table, and UPDATE and DELETE of the row that one is on.

use super::{
    Binder, ROW_KEY, definition::simple_source, expr::column_expr, literal, scope::ScopeColumn,
};
use crate::{
    ast::{Ident, Query},
    bound::{BinaryOp, ColumnId, Expr, ExprKind, LogicalPlan, OutputColumn, plan_walk},
    catalog::Table,
    error::{Error, Result, SqlState},
    span::Span,
    types::{DataType, Value},
};

/// 24000
const INVALID_CURSOR_STATE: SqlState = SqlState("24000");

/// Whether a query's row keys are wanted, and where they are.
#[derive(Debug, Default)]
pub(super) enum RowKey {
    /// They are not.
    #[default]
    Unwanted,
    /// They are: of the first table in FROM.
    Wanted,
    /// The scan gives them in this column.
    Scanned(ColumnId),
}

fn key_column(id: ColumnId) -> ScopeColumn {
    ScopeColumn {
        name: String::new(),
        id,
        data_type: DataType::Bytea,
        nullable: false,
    }
}

impl<'a> Binder<'a> {
    /// Takes note that the row keys of a query are wanted, where it shows rows of one table.
    pub(super) fn want_row_key(&mut self, query: &Query) {
        if self.options.row_keys && simple_source(query).is_some() {
            self.row_key = RowKey::Wanted;
        }
    }

    /// Takes note that what is in FROM has no row keys.
    pub(super) fn no_row_key(&mut self) {
        self.row_key = RowKey::Unwanted;
    }

    /// The column of row keys that the scan of a table in FROM has to give, if any. `locked`: the
    /// one that it gives to lock rows.
    pub(super) fn row_key_target(&mut self, locked: Option<ColumnId>) -> Option<ColumnId> {
        if !matches!(self.row_key, RowKey::Wanted) {
            return locked;
        }
        let id = locked.unwrap_or_else(|| self.column_id());
        self.row_key = RowKey::Scanned(id);
        Some(id)
    }

    /// Adds the row key to what a SELECT gives, where it is wanted and there is one for each of
    /// its rows.
    pub(super) fn add_row_key(
        &mut self,
        plan: &LogicalPlan,
        projected: &mut Vec<(ColumnId, Expr)>,
        columns: &mut Vec<OutputColumn>,
        span: Span,
    ) {
        let RowKey::Scanned(id) = self.row_key else {
            return;
        };
        if !plan_walk::output_ids(plan).contains(&id) {
            return;
        }
        self.row_key = RowKey::Unwanted;
        if !projected.iter().any(|(known, _)| *known == id) {
            projected.push((id, column_expr(&key_column(id), span)));
        }
        columns.push(OutputColumn {
            id,
            name: ROW_KEY.to_owned(),
            data_type: DataType::Bytea,
            nullable: false,
        });
    }

    /// WHERE CURRENT OF: the row of the table whose key is the cursor's.
    pub(super) fn current_of(
        &mut self,
        table: &Table,
        row_key: ColumnId,
        cursor: &Ident,
    ) -> Result<Expr> {
        let position = self
            .options
            .positions
            .iter()
            .find(|position| position.cursor == cursor.name)
            .ok_or_else(|| {
                Error::new(
                    SqlState("34000"),
                    format!("cursor \"{}\" does not exist", cursor.name),
                )
                .at(cursor.span)
            })?;
        if position.table != Some(table.id) {
            return Err(Error::new(
                INVALID_CURSOR_STATE,
                format!(
                    "cursor \"{}\" is not a simply updatable scan of table \"{}\"",
                    cursor.name, table.name
                ),
            )
            .at(cursor.span));
        }
        let Some(key) = &position.key else {
            // Before the first row and after the last there is none.
            return Ok(literal::constant(
                Value::Boolean(false),
                DataType::Boolean,
                cursor.span,
            ));
        };
        let key = literal::constant(Value::Bytea(key.clone()), DataType::Bytea, cursor.span);
        Ok(Expr {
            kind: ExprKind::Binary(
                BinaryOp::Equal,
                Box::new(column_expr(&key_column(row_key), cursor.span)),
                Box::new(key),
            ),
            data_type: DataType::Boolean,
            nullable: false,
            span: cursor.span,
        })
    }
}
