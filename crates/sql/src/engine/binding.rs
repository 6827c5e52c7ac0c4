//! Where statements become bound: the only way from the engine to the binder.

use crate::{
    DataType, Result, ast, binder,
    bound::{BoundStatement, Expr},
    catalog::{CatalogReader, Table},
};

/// A bound statement and the types of its parameters.
pub(crate) struct Bound {
    /// The statement.
    pub(crate) statement: BoundStatement,
    /// The types of `$1`, `$2`, …
    pub(crate) parameters: Vec<DataType>,
}

/// Binds a statement.
pub(crate) fn bind(
    statement: &ast::Statement,
    sql: &str,
    catalog: &dyn CatalogReader,
    double_quoted_strings: bool,
) -> Result<Bound> {
    let options = binder::BindOptions {
        double_quoted_strings,
        ..binder::BindOptions::default()
    };
    let bound = binder::bind(statement, sql, catalog, &options)?;
    Ok(Bound {
        statement: bound.statement,
        parameters: bound.parameters,
    })
}

/// Binds the text of a DEFAULT or CHECK over a table's columns.
pub(crate) fn bind_expression(text: &str, table: &Table) -> Result<Expr> {
    binder::bind_expression(text, table)
}
