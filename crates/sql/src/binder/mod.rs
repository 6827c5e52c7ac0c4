//! From syntax tree to bound statement: names looked up, types decided, conversions made
//! explicit. The rules are PostgreSQL's (its manual's chapters 7 and 10).

mod aggregate;
mod arrays;
mod calls;
mod coerce;
mod concatenation;
mod data;
mod definition;
mod expr;
mod from;
mod literal;
mod locking;
mod operators;
mod query;
mod scope;
mod select;
mod session;
mod set_operations;
mod special;
mod subquery;
mod suggest;
mod type_names;

use std::sync::Arc;

use crate::{
    ast,
    bound::{BoundStatement, ColumnId, Expr},
    catalog::{CatalogReader, Table},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};
use scope::{Scope, ScopeColumn};

pub use coerce::{can_cast, common_type};
pub(crate) use suggest::did_you_mean;

/// How many relations a statement may read in all. WITH queries count wherever they are used, so
/// this also bounds what a few lines of WITH can grow to.
const MAX_RELATIONS: usize = 1000;

/// How deep a bound expression may become, operator chains included.
pub const MAX_EXPRESSION_DEPTH: u32 = 500;

/// What steers binding.
#[derive(Clone, Debug, Default)]
pub struct BindOptions {
    /// Types of parameters that are known beforehand, `$1` first; [`DataType::Unknown`]: infer.
    pub parameter_types: Vec<DataType>,
    /// Take `"text"` as a string where no column has that name.
    pub double_quoted_strings: bool,
}

/// A bound statement and its parameters.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The statement.
    pub statement: BoundStatement,
    /// The types of `$1`, `$2`, …
    pub parameters: Vec<DataType>,
    /// The names of parameters written `:name`, in the order of `parameters`.
    pub parameter_names: Vec<String>,
}

/// Binds a statement.
///
/// # Errors
/// Everything that PostgreSQL finds before it runs a statement, with its SQLSTATE and a place in
/// the text that the tree was parsed from; 0A000 where a feature is not supported yet; whatever the catalog fails with.
pub fn bind(
    statement: &ast::Statement,
    catalog: &dyn CatalogReader,
    options: &BindOptions,
) -> Result<Bound> {
    let mut binder = Binder::new(catalog, options);
    let statement = binder.statement(statement)?;
    let (parameters, parameter_names) = binder.finish_parameters()?;
    Ok(Bound {
        statement,
        parameters,
        parameter_names,
    })
}

/// Binds an expression over a table's columns, as CHECK and DEFAULT keep it: column `i` of the
/// table is [`ColumnId`] `i`.
///
/// # Errors
/// As [`bind`].
pub fn bind_expression(text: &str, table: &Table) -> Result<Expr> {
    let tree = crate::parser::parse_expression(text)?;
    let options = BindOptions::default();
    let mut binder = Binder::new(&NoTables, &options);
    let columns = table
        .columns
        .iter()
        .enumerate()
        .map(|(ordinal, column)| ScopeColumn {
            name: column.name.clone(),
            id: ColumnId(ordinal as u32),
            data_type: column.data_type.of_values(),
            nullable: !column.not_null,
        })
        .collect();
    let mut scope = Scope::default();
    scope.add_relation(&table.name, Some(&table.schema), columns, None);
    binder.scopes.push(scope);
    let bound = binder.expr(&tree)?;
    Ok(binder.settle(bound))
}

/// A catalog without tables.
struct NoTables;

impl CatalogReader for NoTables {
    fn table(&self, _schema: Option<&str>, _name: &str) -> Result<Option<Arc<Table>>> {
        Ok(None)
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        Ok(Vec::new())
    }

    fn table_of_index(&self, _name: &str) -> Result<Option<Arc<Table>>> {
        Ok(None)
    }
}

/// Where an expression stands, as far as it limits what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Select list, HAVING, ORDER BY: aggregates may.
    Output,
    /// No aggregates; the clause's name is for the message.
    Clause(&'static str),
    /// Inside an aggregate's arguments.
    Aggregate,
}

/// Binds one statement.
struct Binder<'a> {
    catalog: &'a dyn CatalogReader,
    options: &'a BindOptions,
    next_column: u32,
    parameters: Vec<DataType>,
    parameter_spans: Vec<Span>,
    parameter_names: Vec<String>,
    /// Scopes around the current expression, innermost last; outer ones are only looked at to
    /// say that a subquery is correlated.
    scopes: Vec<Scope>,
    /// WITH queries in sight, innermost last.
    common_tables: Vec<query::CommonTable<'a>>,
    /// Relations read so far.
    relations: usize,
    /// Names of recursive WITH queries being bound, which nothing can read yet.
    recursive: Vec<String>,
    /// Aggregates collected for the SELECT being bound.
    aggregates: Vec<aggregate::Collected>,
    /// Whether that SELECT has grouping keys, so that no group is empty.
    grouped: bool,
    place: Place,
    /// The locking clauses of the SELECT being bound.
    locking: Option<locking::Locking<'a>>,
    /// How deep the expression being bound stands in its tree.
    depth: u32,
}

impl<'a> Binder<'a> {
    fn new(catalog: &'a dyn CatalogReader, options: &'a BindOptions) -> Binder<'a> {
        Binder {
            catalog,
            options,
            next_column: 0,
            parameters: options.parameter_types.clone(),
            parameter_spans: vec![Span::default(); options.parameter_types.len()],
            parameter_names: Vec::new(),
            scopes: Vec::new(),
            common_tables: Vec::new(),
            relations: 0,
            recursive: Vec::new(),
            aggregates: Vec::new(),
            grouped: false,
            place: Place::Output,
            locking: None,
            depth: 0,
        }
    }

    fn statement(&mut self, statement: &'a ast::Statement) -> Result<BoundStatement> {
        use ast::StatementKind as S;
        match &statement.kind {
            S::Query(query) => {
                let (plan, columns) = self.root_query(query)?;
                Ok(BoundStatement::Query { plan, columns })
            }
            S::Insert(insert) => self.insert(insert),
            S::Update(update) => self.update(update),
            S::Delete(delete) => self.delete(delete),
            S::CreateTable(create) => self.create_table(create),
            S::CreateIndex(create) => self.create_index(create),
            S::DropTable {
                names, if_exists, ..
            } => self.drop_table(names, *if_exists),
            S::DropIndex {
                names, if_exists, ..
            } => self.drop_index(names, *if_exists),
            S::Transaction(transaction) => Ok(BoundStatement::Transaction(transaction.clone())),
            S::Explain(explain) => self.explain(explain),
            S::Analyze { tables } => self.analyze(tables),
            S::Set { scope, name, value } => session::set(*scope, name, value.as_deref()),
            S::ResetAll => Err(unsupported("RESET ALL is", statement.span)),
            S::Show { name } => Ok(BoundStatement::Show {
                name: name.as_ref().map(ToString::to_string),
            }),
            S::Checkpoint => Ok(BoundStatement::Checkpoint),
            S::LockTable {
                tables,
                mode,
                no_wait,
            } => Ok(BoundStatement::LockTables {
                tables: tables
                    .iter()
                    .map(|name| self.table(name))
                    .collect::<Result<_>>()?,
                mode: *mode,
                no_wait: *no_wait,
            }),
        }
    }

    /// An id for a new column.
    fn column_id(&mut self) -> ColumnId {
        let id = ColumnId(self.next_column);
        self.next_column += 1;
        id
    }

    /// Binds with another place in force.
    fn in_place<T>(
        &mut self,
        place: Place,
        bind: impl FnOnce(&mut Binder<'a>) -> Result<T>,
    ) -> Result<T> {
        let outer = std::mem::replace(&mut self.place, place);
        let result = bind(self);
        self.place = outer;
        result
    }

    /// Every parameter must have found a type.
    fn finish_parameters(self) -> Result<(Vec<DataType>, Vec<String>)> {
        for (index, data_type) in self.parameters.iter().enumerate() {
            if *data_type == DataType::Unknown {
                let span = self.parameter_spans.get(index).copied().unwrap_or_default();
                return Err(Error::new(
                    SqlState::INDETERMINATE_DATATYPE,
                    format!("could not determine the type of parameter ${}", index + 1),
                )
                .at(span)
                .hint(format!(
                    "Say it with a cast, for example ${}::text.",
                    index + 1
                )));
            }
        }
        Ok((self.parameters, self.parameter_names))
    }
}

/// A feature that binds to nothing yet.
fn unsupported(feature: &str, span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{feature} not supported yet"),
    )
    .at(span)
}

/// A bug of ours.
fn internal(what: &str, span: Span) -> Error {
    Error::new(SqlState::INTERNAL_ERROR, format!("internal error: {what}")).at(span)
}
