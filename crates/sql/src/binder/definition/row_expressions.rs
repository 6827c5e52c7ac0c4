//! Expressions that are part of a table: defaults, generated columns, checks, predicates.

use crate::{
    ast::{self, Ident},
    binder::{Binder, NoTables, Place, scope::Scope},
    bound::{ColumnId, Expr},
    catalog::{Check, Table},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType},
};

impl<'a> Binder<'a> {
    /// DEFAULT: an expression without columns, of the column's type.
    pub(super) fn default(
        &mut self,
        value: &'a ast::Expr,
        data_type: DataType,
        column: &Ident,
    ) -> Result<Expr> {
        let outer = std::mem::take(&mut self.scopes);
        self.scopes.push(Scope::default());
        let bound = self.in_place(Place::Clause("DEFAULT expressions"), |binder| {
            binder.expr(value)
        });
        self.scopes = outer;
        let bound = bound.map_err(|error| match error.state() {
            SqlState::UNDEFINED_COLUMN => Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(error.span().unwrap_or(value.span)),
            _ => error,
        })?;
        refuse_subqueries(&bound, "DEFAULT expression")?;
        let from = bound.data_type;
        let span = bound.span;
        self.coerce(bound, data_type, CastContext::Assignment)
            .map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {data_type} but default expression is of type {from}",
                        column.name
                    ),
                )
                .at(span),
                _ => error,
            })
    }

    /// GENERATED ALWAYS AS: an expression over the row that always gives the same.
    pub(super) fn generation(
        &mut self,
        table: &Table,
        ordinal: usize,
        value: &'a ast::Expr,
    ) -> Result<Expr> {
        let bound = self.row_expression(table, value, "column generation expressions")?;
        refuse_subqueries(&bound, "column generation expression")?;
        let mut columns = Vec::new();
        column_ids(&bound, &mut columns);
        for ColumnId(of) in columns {
            let column = table.columns.get(of as usize);
            if column.is_some_and(|column| column.generated.is_some()) || of as usize == ordinal {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!(
                        "cannot use generated column \"{}\" in column generation expression",
                        column.map_or("", |column| &column.name)
                    ),
                )
                .at(value.span));
            }
        }
        if super::super::is_changeable(&bound) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "generation expression is not immutable",
            )
            .at(value.span));
        }
        let column = &table.columns[ordinal];
        let (from, span) = (bound.data_type, bound.span);
        self.coerce(bound, column.data_type, CastContext::Assignment)
            .map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {} but default expression is of type {from}",
                        column.name, column.data_type
                    ),
                )
                .at(span),
                _ => error,
            })
    }

    /// An expression over a row of the table: column `i` is [`ColumnId`] `i`.
    pub(in crate::binder) fn row_expression(
        &mut self,
        table: &Table,
        value: &'a ast::Expr,
        clause: &'static str,
    ) -> Result<Expr> {
        self.over_row(table, clause, |binder| {
            let bound = binder.expr(value)?;
            Ok(binder.settle(bound))
        })
        .map_err(|error| no_tables(error, clause, value.span))
    }

    /// A condition over a row of the table.
    pub(in crate::binder) fn row_condition(
        &mut self,
        table: &Table,
        condition: &'a ast::Expr,
        clause: &'static str,
    ) -> Result<Expr> {
        let bound = self
            .over_row(table, clause, |binder| binder.condition(condition, clause))
            .map_err(|error| no_tables(error, clause, condition.span))?;
        refuse_subqueries(&bound, clause)?;
        Ok(bound)
    }

    fn over_row<T>(
        &mut self,
        table: &Table,
        clause: &'static str,
        bind: impl FnOnce(&mut Binder<'a>) -> Result<T>,
    ) -> Result<T> {
        let scope = Scope::of_row(table, |_| true);
        let outer = std::mem::replace(&mut self.scopes, vec![scope]);
        let catalog = std::mem::replace(&mut self.catalog, &NoTables);
        let bound = self.in_place(Place::Clause(clause), bind);
        self.catalog = catalog;
        self.scopes = outer;
        bound
    }

    /// CHECK: a condition over the row.
    pub(super) fn check(
        &mut self,
        table: &mut Table,
        name: String,
        condition: &'a ast::Expr,
        validated: bool,
    ) -> Result<()> {
        let predicate = self.row_condition(table, condition, "CHECK")?;
        table.checks.push(Check {
            name,
            text: self.kept_text(condition)?,
            predicate,
            validated,
            oid: 0,
        });
        Ok(())
    }
}

/// Where a subquery names a table, the better message is that there can be no subquery.
fn no_tables(error: Error, clause: &str, span: Span) -> Error {
    if error.state() == SqlState::UNDEFINED_TABLE {
        return no_subquery(clause, error.span().unwrap_or(span));
    }
    error
}

fn no_subquery(what: &str, span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cannot use subquery in {what}"),
    )
    .at(span)
}

pub(super) fn refuse_subqueries(expr: &Expr, what: &str) -> Result<()> {
    if expr.has_subquery() {
        return Err(no_subquery(what, expr.span));
    }
    Ok(())
}

/// The columns of its input that an expression reads.
pub(super) fn column_ids(expr: &Expr, ids: &mut Vec<ColumnId>) {
    if let crate::bound::ExprKind::Column(id) = expr.kind {
        ids.push(id);
    }
    for operand in expr.operands() {
        column_ids(operand, ids);
    }
}
