//! Columns by their names, and what to say where there is none.

use super::{
    Binder, Place,
    expr::{column_expr, with_hint},
    internal, literal,
    scope::Scope,
    suggest, unsupported,
};
use crate::{
    ast::{Ident, ObjectName},
    bound::{Expr, ExprKind},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};

/// The message of the error that says that the statement is to be bound with
/// [`super::BindOptions::table_oids`].
pub(super) const TABLE_OIDS_WANTED: &str = "the numbers of tables are wanted";

impl<'a> Binder<'a> {
    /// A column by its name, qualified or not: of the innermost query that has it.
    pub(super) fn column(&mut self, name: &'a ObjectName) -> Result<Expr> {
        let wanted = match name.parts.as_slice() {
            [column] => Wanted {
                schema: None,
                table: None,
                column,
            },
            [table, column] => Wanted {
                schema: None,
                table: Some(table),
                column,
            },
            [schema, table, column] => Wanted {
                schema: Some(schema),
                table: Some(table),
                column,
            },
            _ => return Err(unsupported("names of other databases are", name.span)),
        };
        if self.scopes.is_empty() {
            return self.no_columns_here(name);
        }
        for scope in self.scopes.iter().rev() {
            if let Some(found) = wanted.find(scope, name.span)? {
                if let ExprKind::Column(id) = found.kind {
                    self.access.read(id);
                }
                return Ok(found);
            }
        }
        if wanted.column.name == "tableoid"
            && let Some(found) = self.table_oid(&wanted, name.span)?
        {
            return Ok(found);
        }
        match wanted.table {
            Some(table) => self.missing_relation(&table.name, table.span),
            None => self.missing_column(name),
        }
    }

    /// The number of the table that a row is of, PostgreSQL's system column `tableoid`.
    fn table_oid(&self, wanted: &Wanted<'_>, span: Span) -> Result<Option<Expr>> {
        for scope in self.scopes.iter().rev() {
            let schema = wanted.schema.map(|schema| schema.name.as_str());
            let mut relations = scope.relations.iter().filter(|relation| {
                wanted.table.is_none_or(|table| {
                    relation.name == table.name
                        && schema.is_none_or(|schema| relation.schema.as_deref() == Some(schema))
                }) && (relation.table.as_ref()).is_some_and(|table| table.view().is_none())
            });
            let Some(relation) = relations.next() else {
                continue;
            };
            if relations.next().is_some() {
                return Err(ambiguous(&wanted.column.name, span));
            }
            if let Some(column) = relation.columns.iter().find(|column| column.is_hidden()) {
                return Ok(Some(column_expr(column, span)));
            }
            let Some(table) = &relation.table else {
                continue;
            };
            let alone = self.family_with_rows(table, span)?.is_none();
            // Of the inner side of an outer join there may be no row.
            let always_there = relation.columns.iter().any(|column| !column.nullable);
            if alone && (always_there || self.options.table_oids) {
                return Ok(Some(literal::table_oid(table.id, span)));
            }
            if self.options.table_oids {
                return Err(unsupported("tableoid of rows that are changed is", span));
            }
            return Err(Error::new(SqlState::INTERNAL_ERROR, TABLE_OIDS_WANTED).at(span));
        }
        Ok(None)
    }

    fn no_columns_here(&self, name: &ObjectName) -> Result<Expr> {
        let ident = name.last();
        if ident.quoted && name.parts.len() == 1 && self.options.double_quoted_strings {
            return Ok(literal::string(&ident.name, name.span));
        }
        Err(quotes_hint(
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", ident.name),
            )
            .at(name.span),
            name,
        ))
    }

    fn missing_relation(&self, table: &str, span: Span) -> Result<Expr> {
        let Some(scope) = self.scopes.last() else {
            return Err(internal("no scope", span));
        };
        // The table is there under an alias: SQL wants the alias then.
        let aliased = scope.relations.iter().find(|relation| {
            relation.name != table
                && relation
                    .table
                    .as_ref()
                    .is_some_and(|base| base.name == table)
        });
        let error = Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("there is no table \"{table}\" in this FROM clause"),
        )
        .at(span);
        let hint = match aliased {
            Some(relation) => Some(format!(
                "The table has the alias \"{}\" here: use that.",
                relation.name
            )),
            None => suggest::did_you_mean(
                table,
                scope
                    .relations
                    .iter()
                    .map(|relation| relation.name.as_str()),
            )
            .or_else(|| {
                let mut columns = scope.columns.iter();
                let column = columns.find(|column| column.name == table)?;
                let is_json = matches!(column.data_type, DataType::Json | DataType::Jsonb);
                is_json.then(|| format!("What is in the JSON of a column is {table} ->> 'name'."))
            }),
        };
        Err(with_hint(error, hint))
    }

    fn missing_column(&self, name: &ObjectName) -> Result<Expr> {
        let ident = name.last();
        if ident.quoted && self.options.double_quoted_strings {
            return Ok(literal::string(&ident.name, name.span));
        }
        let Some(scope) = self.scopes.last() else {
            return Err(internal("no scope", name.span));
        };
        if scope
            .relations
            .iter()
            .any(|relation| relation.name == ident.name)
        {
            return Err(unsupported("a whole row as a value is", name.span)
                .hint(format!("For its columns write {}.*", ident.name)));
        }
        let mut error = Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" does not exist", ident.name),
        )
        .at(name.span);
        let nearest = suggest::nearest(
            &ident.name,
            self.scopes
                .iter()
                .rev()
                .flat_map(|scope| scope.columns.iter())
                .map(|column| column.name.as_str()),
        );
        error = match nearest {
            Some(nearest) if ident.quoted => error.hint(format!(
                "Did you mean \"{nearest}\"? Double quotes make a name; a string stands in single quotes: {}",
                single_quoted(&ident.name)
            )),
            Some(nearest) => error.hint(format!("Did you mean \"{nearest}\"?")),
            None if !ident.quoted && self.scopes.iter().all(|of| of.relations.is_empty()) => {
                match self.without_from(&ident.name) {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
            None => quotes_hint(error, name),
        };
        Err(error)
    }

    /// What to do about a column where there is no table.
    fn without_from(&self, column: &str) -> Option<String> {
        match self.place {
            Place::Clause("VALUES and SET" | "VALUES") => Some(format!(
                "A string stands in single quotes: {}.",
                single_quoted(column)
            )),
            Place::Clause("WHERE" | "GROUP BY")
            | Place::Output
            | Place::Having
            | Place::Window
            | Place::Aggregate => Some(self.missing_from(column)),
            Place::Clause(_) => None,
        }
    }

    /// The FROM that a column wants.
    fn missing_from(&self, column: &str) -> String {
        let tables = self.catalog.tables().unwrap_or_default();
        let mut with_column = tables
            .iter()
            .filter(|table| table.column(column).is_some() && !table.schema.starts_with("pg_"));
        match (with_column.next(), with_column.next()) {
            (Some(only), None) => format!(
                "Say which table it is of: FROM {}.",
                suggest::as_written(self.catalog, only)
            ),
            _ => "Say which table it is of: FROM table.".to_owned(),
        }
    }
}

/// A column's name, taken apart.
struct Wanted<'n> {
    schema: Option<&'n Ident>,
    table: Option<&'n Ident>,
    column: &'n Ident,
}

impl Wanted<'_> {
    /// The column in one query's scope; `None`: look further out.
    fn find(&self, scope: &Scope, span: Span) -> Result<Option<Expr>> {
        let ident = self.column;
        let Some(table) = self.table else {
            return unqualified(scope, ident, span);
        };
        let schema = self.schema.map(|schema| schema.name.as_str());
        let relations = scope.relation(&table.name, schema);
        match relations.as_slice() {
            [] => Ok(None),
            [relation] => match relation
                .columns
                .iter()
                .filter(|column| column.name == ident.name)
                .collect::<Vec<_>>()
                .as_slice()
            {
                [column] => Ok(Some(column_expr(column, span))),
                // Every table has it, though no list of columns.
                [] if ident.name == "tableoid"
                    && (relation.table.as_ref()).is_some_and(|table| table.view().is_none()) =>
                {
                    Ok(None)
                }
                [] => {
                    let hint = suggest::did_you_mean(
                        &ident.name,
                        relation.columns.iter().map(|column| column.name.as_str()),
                    );
                    Err(with_hint(
                        Error::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column {}.{} does not exist", table.name, ident.name),
                        )
                        .at(ident.span),
                        hint,
                    ))
                }
                _ => Err(ambiguous(&ident.name, span)),
            },
            _ => Err(Error::new(
                SqlState("42P09"),
                format!("table reference \"{}\" is ambiguous", table.name),
            )
            .at(table.span)),
        }
    }
}

fn unqualified(scope: &Scope, ident: &Ident, span: Span) -> Result<Option<Expr>> {
    let mut found = scope
        .columns
        .iter()
        .filter(|column| column.name == ident.name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(Some(column_expr(column, span))),
        (Some(_), Some(_)) => {
            let tables: Vec<&str> = scope
                .relations
                .iter()
                .filter(|relation| {
                    relation
                        .columns
                        .iter()
                        .any(|column| column.name == ident.name)
                })
                .map(|relation| relation.name.as_str())
                .collect();
            let error = ambiguous(&ident.name, span);
            Err(match tables.first() {
                Some(first) => error.hint(format!(
                    "Say which table's it is, for example {first}.{} (there is one in {}).",
                    ident.name,
                    tables.join(" and ")
                )),
                None => error,
            })
        }
        _ => Ok(None),
    }
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Someone may have meant a string.
fn quotes_hint(error: Error, name: &ObjectName) -> Error {
    let ident = name.last();
    if ident.quoted && name.parts.len() == 1 {
        error.hint(format!(
            "Double quotes make a name; a string stands in single quotes: {}",
            single_quoted(&ident.name)
        ))
    } else {
        error
    }
}

pub(super) fn ambiguous(name: &str, span: Span) -> Error {
    Error::new(
        SqlState::AMBIGUOUS_COLUMN,
        format!("column reference \"{name}\" is ambiguous"),
    )
    .at(span)
}
