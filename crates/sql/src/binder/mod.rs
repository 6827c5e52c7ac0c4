//! From syntax tree to bound statement: names looked up, types decided, conversions made
//! explicit. The rules are PostgreSQL's (its manual's chapters 7 and 10).

mod access;
mod aggregate;
mod arrays;
mod calls;
mod chains;
mod coerce;
mod columns;
mod concatenation;
mod copy;
mod copy_options;
mod data;
mod definition;
mod enums;
mod expr;
mod family;
mod from;
mod grouping;
mod inquiry;
mod insert;
pub(crate) mod kept;
mod literal;
mod locking;
mod merge;
mod operators;
mod positioned;
mod query;
mod rows;
mod scope;
mod select;
mod session;
mod set_operations;
mod special;
mod subquery;
mod suggest;
mod table_function;
mod type_names;
pub(crate) mod type_users;
mod window;
mod with;
mod writable;

use std::sync::Arc;

use crate::{
    ast,
    bound::{BoundStatement, ColumnId, Definition, Expr, ExprKind, Needed, TableCall},
    catalog::{CatalogReader, Table, TableId, named_type::NamedType},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};
use scope::{Scope, ScopeColumn};

pub use coerce::{can_cast, common_type};
pub(crate) use definition::rebind;
pub(crate) use suggest::{as_written, did_you_mean};
#[cfg(feature = "engine")]
pub(crate) use type_names::is_built_in as is_built_in_type;

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
    /// Give the row keys of a query that shows one table row by row, as a last column named
    /// [`ROW_KEY`], for a cursor.
    pub row_keys: bool,
    /// Where the cursors are, for WHERE CURRENT OF.
    pub positions: Vec<CursorPosition>,
    /// Give every row the number of its table; [`bind`] asks for it where a statement wants it.
    pub table_oids: bool,
}

/// The name of the column that [`BindOptions::row_keys`] adds; no column of a user's has it.
pub const ROW_KEY: &str = "\0row key";

/// Where a cursor is.
#[derive(Clone, Debug)]
pub struct CursorPosition {
    /// Its name.
    pub cursor: String,
    /// The table that it shows row by row; `None`: its query does something else.
    pub table: Option<TableId>,
    /// The key of the row that it is on.
    pub key: Option<Vec<u8>>,
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
    /// What it needs the right to do, beside what its kind says.
    pub needed: Needed,
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
    with_table_oids(options, |options| bind_once(statement, catalog, options))
}

/// Binds; again with the numbers of tables beside their rows where that turns out to be needed.
fn with_table_oids<T>(
    options: &BindOptions,
    bind: impl Fn(&BindOptions) -> Result<T>,
) -> Result<T> {
    match bind(options) {
        Err(error) if error.message() == columns::TABLE_OIDS_WANTED && !options.table_oids => {
            bind(&BindOptions {
                table_oids: true,
                ..options.clone()
            })
        }
        result => result,
    }
}

fn bind_once(
    statement: &ast::Statement,
    catalog: &dyn CatalogReader,
    options: &BindOptions,
) -> Result<Bound> {
    let mut binder = Binder::new(catalog, options);
    let span = statement.span;
    let mut statement = binder.statement(statement)?;
    let changes = std::mem::take(&mut binder.changes);
    if !changes.is_empty() {
        if !matches!(
            statement,
            BoundStatement::Query { .. } | BoundStatement::Change(_)
        ) {
            return Err(unsupported(
                "data-modifying WITH in this statement is",
                span,
            ));
        }
        statement = BoundStatement::With {
            changes,
            statement: Box::new(statement),
        };
    }
    let needed = std::mem::take(&mut binder.access).finish();
    let (parameters, parameter_names) = binder.finish_parameters()?;
    Ok(Bound {
        statement,
        parameters,
        parameter_names,
        needed,
    })
}

/// Binds an expression over a table's columns, as CHECK and DEFAULT keep it: column `i` of the
/// table is [`ColumnId`] `i`. Of the catalog it sees the types alone.
///
/// # Errors
/// As [`bind`].
pub fn bind_expression(text: &str, table: &Table, types: &dyn CatalogReader) -> Result<Expr> {
    let tree = crate::parser::parse_expression(text)?;
    let options = BindOptions::default();
    let mut binder = Binder::without_tables(types, &options);
    binder
        .scopes
        .push(Scope::of_row(table, |column| !column.not_null));
    let bound = binder.expr(&tree)?;
    Ok(binder.settle(bound))
}

/// As [`bind_expression`], converted to `data_type` as an assignment converts.
///
/// # Errors
/// As [`bind`].
pub fn stored_expression(
    text: &str,
    table: &Table,
    data_type: DataType,
    types: &dyn CatalogReader,
) -> Result<Expr> {
    let expr = bind_expression(text, table, types)?;
    if expr.data_type == data_type {
        return Ok(expr);
    }
    Ok(Expr {
        data_type,
        nullable: expr.nullable,
        span: expr.span,
        kind: ExprKind::AssignmentCast(Box::new(expr)),
    })
}

/// What a column holds where nothing is given: its default, the next number of its sequence, or
/// NULL.
#[must_use]
pub fn default_value(table: &Table, ordinal: usize) -> Expr {
    data::default_of(table, ordinal, Span::default())
}

/// The type of that name.
///
/// # Errors
/// 42704 where there is none.
pub fn type_named(name: &ast::TypeName, types: &dyn CatalogReader) -> Result<DataType> {
    Binder::without_tables(types, &BindOptions::default()).column_type(name)
}

/// The type that a user has named which that name stands for, if it does.
///
/// # Errors
/// Where the catalog cannot be read.
pub fn named_type(
    name: &ast::TypeName,
    types: &dyn CatalogReader,
) -> Result<Option<Arc<NamedType>>> {
    Binder::without_tables(types, &BindOptions::default()).named_type(name)
}

/// Binds an expression without columns, as a value of `data_type`.
///
/// # Errors
/// As [`bind`].
pub fn bind_constant(
    expr: &ast::Expr,
    data_type: DataType,
    types: &dyn CatalogReader,
    options: &BindOptions,
) -> Result<Expr> {
    let mut binder = Binder::without_tables(types, options);
    binder.scopes.push(Scope::default());
    let bound = binder.in_place(Place::Clause("parameters"), |binder| binder.expr(expr))?;
    if bound.has_subquery() {
        return Err(unsupported("subqueries as parameters are", expr.span));
    }
    binder.coerce(bound, data_type, crate::types::CastContext::Assignment)
}

/// Fails where a view does not fit the tables of `catalog`.
///
/// # Errors
/// What its query fails with.
pub fn check_view(
    view: &Arc<Table>,
    catalog: &dyn CatalogReader,
    options: &BindOptions,
) -> Result<()> {
    match view.view() {
        None => Ok(()),
        Some(of) => with_table_oids(options, |options| {
            Binder::new(catalog, options)
                .view(view, of, Span::default())
                .map(|_| ())
        }),
    }
}

/// Whether the value of `expr` may differ between two evaluations in one statement.
fn is_volatile(expr: &Expr) -> bool {
    let here = matches!(&expr.kind, ExprKind::Function(function, _) if function.is_volatile());
    here || expr.operands().into_iter().any(is_volatile)
}

/// Whether the value of `expr` depends on anything but its row.
fn is_changeable(expr: &Expr) -> bool {
    let here = match &expr.kind {
        ExprKind::Function(function, _) => function.is_volatile() || function.is_of_session(),
        ExprKind::Parameter(_) => true,
        _ => false,
    };
    here || reads_labels(expr) || expr.operands().into_iter().any(is_changeable)
}

/// Whether the value of `expr` depends on what the labels of an enumerated type are called, which
/// ALTER TYPE changes.
fn reads_labels(expr: &Expr) -> bool {
    let is_enum = |of: &Expr| of.data_type.enum_type().is_some();
    match &expr.kind {
        ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => {
            is_enum(operand) != is_enum(expr)
        }
        ExprKind::Function(function, arguments) => {
            function.writes_values_as_text() && arguments.iter().any(is_enum)
        }
        _ => false,
    }
}

/// A catalog without tables.
struct NoTables;

impl CatalogReader for NoTables {}

/// Where an expression stands, as far as it limits what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Select list, ORDER BY: aggregates and window functions may.
    Output,
    /// HAVING: aggregates may.
    Having,
    /// Inside a window function's arguments or window: aggregates may.
    Window,
    /// No aggregates; the clause's name is for the message.
    Clause(&'static str),
    /// Inside an aggregate's arguments.
    Aggregate,
}

impl Place {
    /// Whether what is computed there is kept, so that it must not change by itself.
    fn is_stored(self) -> bool {
        matches!(
            self,
            Place::Clause(
                "column generation expressions"
                    | "index expressions"
                    | "index predicates"
                    | "partition key expressions"
            )
        )
    }
}

/// What is known of a SELECT while it is bound.
#[derive(Default)]
struct SelectState<'a> {
    /// Aggregates found in it.
    aggregates: Vec<aggregate::Collected>,
    /// Functions in it that give rows.
    series: Vec<TableCall>,
    /// Window functions found in it.
    windows: Vec<window::CollectedWindow>,
    /// Its WINDOW clause.
    named_windows: &'a [(ast::Ident, ast::WindowDefinition)],
    /// Its grouping keys.
    grouping: grouping::Keys,
    /// Whether no group of it is empty: it has grouping keys.
    grouped: bool,
}

/// A query around the one being bound, as it was where the inner one stands.
struct Around<'a> {
    /// What is known of its SELECT.
    select: SelectState<'a>,
    /// How many scopes were there: the last is its own, if it has one already.
    scopes: usize,
    /// Where the inner query stands in it.
    place: Place,
}

/// Binds one statement.
struct Binder<'a> {
    catalog: &'a dyn CatalogReader,
    /// Where types are looked up, also where tables are out of sight.
    types: &'a dyn CatalogReader,
    options: &'a BindOptions,
    next_column: u32,
    parameters: Vec<DataType>,
    parameter_spans: Vec<Span>,
    parameter_names: Vec<String>,
    /// Scopes around the current expression, innermost last: a subquery may name the columns of
    /// the queries around it.
    scopes: Vec<Scope>,
    /// What stands to the left in the FROM clause being bound: LATERAL items may name it.
    lateral: Scope,
    /// WITH queries in sight, innermost last.
    common_tables: Vec<with::CommonTable<'a>>,
    /// Changes in WITH, in order, each with the buffer that its rows go to.
    changes: Vec<(usize, crate::bound::Change)>,
    /// How many buffers the statement has.
    buffers: usize,
    /// The tables and views that were read, repetitions included.
    tables_read: Vec<TableId>,
    /// What the statement needs the right to do.
    access: access::Collected,
    /// How many views the query being bound stands in.
    view_depth: u32,
    /// Relations read so far.
    relations: usize,
    /// The last id given to a WITH query.
    next_shared: u32,
    /// What is known of the SELECT being bound.
    select: SelectState<'a>,
    /// The queries around it, innermost last.
    around: Vec<Around<'a>>,
    place: Place,
    /// The table whose row keys are wanted beside a query's columns.
    row_key: positioned::RowKey,
    /// The locking clauses of the SELECT being bound.
    locking: Option<locking::Locking<'a>>,
    /// How deep the expression being bound stands in its tree.
    depth: u32,
}

impl<'a> Binder<'a> {
    fn new(catalog: &'a dyn CatalogReader, options: &'a BindOptions) -> Binder<'a> {
        Binder {
            catalog,
            types: catalog,
            options,
            next_column: 0,
            parameters: options.parameter_types.clone(),
            parameter_spans: vec![Span::default(); options.parameter_types.len()],
            parameter_names: Vec::new(),
            scopes: Vec::new(),
            lateral: Scope::default(),
            common_tables: Vec::new(),
            changes: Vec::new(),
            buffers: 0,
            tables_read: Vec::new(),
            access: access::Collected::default(),
            view_depth: 0,
            relations: 0,
            next_shared: 0,
            select: SelectState::default(),
            around: Vec::new(),
            place: Place::Output,
            row_key: positioned::RowKey::default(),
            locking: None,
            depth: 0,
        }
    }

    /// A binder that sees the types of a catalog alone.
    fn without_tables(types: &'a dyn CatalogReader, options: &'a BindOptions) -> Binder<'a> {
        Binder {
            types,
            ..Binder::new(&NoTables, options)
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
            S::Merge(merge) => self.merge_rows(merge),
            S::Copy(copy) => self.copy(copy),
            S::Truncate(truncate) => self.truncate(truncate),
            S::CreateTable(create) => self.create_table(create),
            S::CreateIndex(create) => self.create_index(create),
            S::CreateView(create) => self.create_view(create),
            S::CreateSequence(create) => self.create_sequence(create),
            S::CreateSchema(create) => self.create_schema(create),
            S::Comment(comment) => Ok(BoundStatement::Definition(Box::new(
                crate::bound::Definition::Comment(comment.clone()),
            ))),
            S::CreateType(create) => self.create_type(create),
            S::AlterType(alter) => self.alter_named_type(alter),
            S::CreateDomain(create) => self.create_domain(create),
            S::DropType(drop) => self.drop_types(drop),
            S::AlterTable(alter) => self.alter_table(alter),
            S::AlterSequence(alter) => self.alter_sequence(alter),
            S::Drop(drop) => self.drop_object(drop),
            S::Access(statement) => Ok(BoundStatement::Definition(Box::new(Definition::Access(
                Box::new(statement.clone()),
            )))),
            S::Session(_) => Err(internal(
                "a statement about the session is not bound",
                statement.span,
            )),
            S::SetConstraints { names, deferred } => self.set_constraints(names, *deferred),
            S::Transaction(transaction) => Ok(BoundStatement::Transaction(transaction.clone())),
            S::Explain(explain) => self.explain(explain),
            S::Analyze { tables } => self.analyze(tables),
            S::Set { scope, name, value } => session::set(*scope, name, value.as_deref()),
            S::ResetAll => Ok(BoundStatement::ResetAll),
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
                    .map(|name| {
                        let table = self.table(name)?;
                        self.note_need(&table, access::to_lock(*mode), None);
                        Ok(table)
                    })
                    .collect::<Result<_>>()?,
                mode: *mode,
                no_wait: *no_wait,
            }),
        }
    }

    /// SET CONSTRAINTS.
    fn set_constraints(
        &mut self,
        names: &[ast::ObjectName],
        deferred: bool,
    ) -> Result<BoundStatement> {
        let tables = self.catalog.tables()?;
        let mut constraints = Vec::with_capacity(names.len());
        for name in names {
            let schema = name.qualifier().map(|schema| schema.name.as_str());
            let before = constraints.len();
            for table in &tables {
                if schema.is_some_and(|schema| schema != table.schema) {
                    continue;
                }
                for key in &table.foreign_keys {
                    if key.name != name.last().name {
                        continue;
                    }
                    if key.deferral == crate::catalog::Deferral::Never {
                        return Err(Error::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("constraint \"{}\" is not deferrable", key.name),
                        )
                        .at(name.span));
                    }
                    constraints.push((table.id, key.name.clone()));
                }
            }
            if constraints.len() == before {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{name}\" does not exist"),
                )
                .at(name.span));
            }
        }
        Ok(BoundStatement::SetConstraints {
            all: names.is_empty(),
            constraints,
            deferred,
        })
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
