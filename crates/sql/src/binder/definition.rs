//! CREATE TABLE, CREATE INDEX, DROP.

use super::{
    Binder, NoTables, Place,
    data::table_column,
    expr::with_hint,
    scope::{Scope, ScopeColumn},
    suggest, unsupported,
};
use crate::{
    ast::{
        self, ColumnConstraintKind, ExprKind as A, Ident, ObjectName, TableBody,
        TableConstraintKind,
    },
    bound::{
        BoundStatement, ColumnDefinition, ColumnId, CreateIndex, CreateTable, Expr, IndexDefinition,
    },
    catalog::{IndexColumn, TableStorage},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType},
};

/// PostgreSQL's MaxHeapAttributeNumber.
const MAX_COLUMNS: usize = 1600;

/// PostgreSQL's INDEX_MAX_KEYS.
const MAX_KEY_COLUMNS: usize = 32;

impl<'a> Binder<'a> {
    pub(super) fn create_table(&mut self, create: &'a ast::CreateTable) -> Result<BoundStatement> {
        let name = create.name.last();
        if create.name.parts.len() > 2 {
            return Err(unsupported(
                "names of other databases are",
                create.name.span,
            ));
        }
        let schema = create.name.qualifier().map(|schema| schema.name.clone());
        let exists = self
            .catalog
            .table(schema.as_deref(), &name.name)
            .map_err(|error| error.at(create.name.span))?
            .is_some();
        if exists && !create.if_not_exists {
            return Err(Error::new(
                SqlState::DUPLICATE_TABLE,
                format!("table \"{}\" exists already", name.name),
            )
            .at(create.name.span)
            .hint("Choose another name, or write CREATE TABLE IF NOT EXISTS."));
        }
        let mut table = CreateTable {
            schema,
            name: name.name.clone(),
            exists,
            columns: Vec::new(),
            primary_key: Vec::new(),
            primary_key_name: None,
            unique: Vec::new(),
            checks: Vec::new(),
            storage: storage(create.method.as_ref())?,
            source: None,
        };
        match &create.body {
            TableBody::Definitions {
                columns,
                constraints,
            } => self.define(&mut table, columns, constraints)?,
            TableBody::Query {
                columns,
                query,
                with_data,
            } => {
                let bound = self.settled_query(query)?;
                if columns.len() > bound.columns.len() {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!(
                            "{} column names are given, but the query gives {} columns",
                            columns.len(),
                            bound.columns.len()
                        ),
                    )
                    .at(columns.first().map_or(query.span, |name| name.span)));
                }
                for (index, column) in bound.columns.iter().enumerate() {
                    let given = columns.get(index);
                    let column_name = given.map_or(&column.name, |given| &given.name);
                    let span = given.map_or(query.span, |given| given.span);
                    if table.columns.iter().any(|known| known.name == *column_name) {
                        return Err(duplicate_column(column_name, span)
                            .hint("Give the query's columns different names with AS."));
                    }
                    table.columns.push(ColumnDefinition {
                        name: column_name.clone(),
                        data_type: column.data_type,
                        not_null: false,
                        default: None,
                    });
                }
                if *with_data {
                    let ids = bound.columns.iter().map(|column| column.id).collect();
                    table.source = Some((bound.plan, ids));
                }
            }
        }
        if table.columns.len() > MAX_COLUMNS {
            return Err(Error::new(
                SqlState::TOO_MANY_COLUMNS,
                format!(
                    "a table has at most {MAX_COLUMNS} columns, this one has {}",
                    table.columns.len()
                ),
            )
            .at(create.name.span));
        }
        Ok(BoundStatement::CreateTable(table))
    }

    fn define(
        &mut self,
        table: &mut CreateTable,
        columns: &'a [ast::ColumnDefinition],
        constraints: &'a [ast::TableConstraint],
    ) -> Result<()> {
        for column in columns {
            if table
                .columns
                .iter()
                .any(|known| known.name == column.name.name)
            {
                return Err(duplicate_column(&column.name.name, column.name.span));
            }
            table.columns.push(ColumnDefinition {
                name: column.name.name.clone(),
                data_type: self.column_type(&column.data_type)?,
                not_null: false,
                default: None,
            });
        }
        let mut names = Names {
            table: table.name.clone(),
            taken: Vec::new(),
        };
        // Names that are given come first, so that generated ones step aside.
        for name in columns
            .iter()
            .flat_map(|column| &column.constraints)
            .filter(|constraint| {
                !matches!(
                    constraint.kind,
                    ColumnConstraintKind::NotNull
                        | ColumnConstraintKind::Null
                        | ColumnConstraintKind::Default(_)
                )
            })
            .filter_map(|constraint| constraint.name.as_ref())
            .chain(
                constraints
                    .iter()
                    .filter_map(|constraint| constraint.name.as_ref()),
            )
        {
            names.take(name)?;
        }
        for (ordinal, column) in columns.iter().enumerate() {
            let mut null: Option<bool> = None;
            for constraint in &column.constraints {
                match &constraint.kind {
                    ColumnConstraintKind::NotNull | ColumnConstraintKind::Null => {
                        let not_null = matches!(constraint.kind, ColumnConstraintKind::NotNull);
                        if null.is_some_and(|known| known != not_null) {
                            return Err(Error::new(
                                SqlState::SYNTAX_ERROR,
                                format!(
                                    "column \"{}\" is both NULL and NOT NULL",
                                    column.name.name
                                ),
                            )
                            .at(constraint.span));
                        }
                        null = Some(not_null);
                        table.columns[ordinal].not_null |= not_null;
                    }
                    ColumnConstraintKind::Default(value) => {
                        if table.columns[ordinal].default.is_some() {
                            return Err(Error::new(
                                SqlState::SYNTAX_ERROR,
                                format!("column \"{}\" has two defaults", column.name.name),
                            )
                            .at(constraint.span));
                        }
                        let data_type = table.columns[ordinal].data_type;
                        let bound = self.default(value, data_type, &column.name)?;
                        table.columns[ordinal].default = Some((value.to_string(), bound));
                    }
                    ColumnConstraintKind::PrimaryKey => {
                        if null == Some(false) {
                            return Err(Error::new(
                                SqlState::SYNTAX_ERROR,
                                format!(
                                    "the primary key column \"{}\" cannot be NULL",
                                    column.name.name
                                ),
                            )
                            .at(constraint.span));
                        }
                        self.primary_key(
                            table,
                            vec![ordinal],
                            constraint.name.as_ref(),
                            &mut names,
                            constraint.span,
                        )?;
                    }
                    ColumnConstraintKind::Unique => {
                        unique(table, &[ordinal], constraint.name.as_ref(), &mut names);
                    }
                    ColumnConstraintKind::Check(condition) => {
                        let name = constraint.name.as_ref().map_or_else(
                            || names.make(&[&column.name.name], "check"),
                            |name| name.name.clone(),
                        );
                        self.check(table, name, condition)?;
                    }
                }
            }
        }
        for constraint in constraints {
            match &constraint.kind {
                TableConstraintKind::PrimaryKey(columns) => {
                    let ordinals = key_columns(table, columns)?;
                    self.primary_key(
                        table,
                        ordinals,
                        constraint.name.as_ref(),
                        &mut names,
                        constraint.span,
                    )?;
                }
                TableConstraintKind::Unique(columns) => {
                    let ordinals = key_columns(table, columns)?;
                    unique(table, &ordinals, constraint.name.as_ref(), &mut names);
                }
                TableConstraintKind::Check(condition) => {
                    let name = match &constraint.name {
                        Some(name) => name.name.clone(),
                        None => {
                            let mut mentioned = Vec::new();
                            mentioned_columns(condition, &mut mentioned);
                            match mentioned.as_slice() {
                                [only] => names.make(&[only], "check"),
                                _ => names.make(&[], "check"),
                            }
                        }
                    };
                    self.check(table, name, condition)?;
                }
            }
        }
        Ok(())
    }

    fn primary_key(
        &mut self,
        table: &mut CreateTable,
        ordinals: Vec<usize>,
        name: Option<&Ident>,
        names: &mut Names,
        span: Span,
    ) -> Result<()> {
        if !table.primary_key.is_empty() {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("table \"{}\" has two primary keys", table.name),
            )
            .at(span)
            .hint("For a key of several columns write PRIMARY KEY (a, b) once."));
        }
        for ordinal in &ordinals {
            table.columns[*ordinal].not_null = true;
        }
        table.primary_key = ordinals;
        table.primary_key_name = Some(match name {
            Some(name) => name.name.clone(),
            None => names.make(&[], "pkey"),
        });
        Ok(())
    }

    /// DEFAULT: an expression without columns, of the column's type.
    fn default(
        &mut self,
        value: &'a ast::Expr,
        data_type: DataType,
        column: &Ident,
    ) -> Result<Expr> {
        let outer = std::mem::take(&mut self.scopes);
        self.scopes.push(Scope::default());
        let bound = self.in_place(Place::Clause("DEFAULT"), |binder| binder.expr(value));
        self.scopes = outer;
        let bound = bound.map_err(|error| match error.state() {
            SqlState::UNDEFINED_COLUMN => Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "a DEFAULT cannot use columns",
            )
            .at(error.span().unwrap_or(value.span)),
            _ => error,
        })?;
        refuse_subqueries(&bound, "DEFAULT")?;
        let from = bound.data_type;
        let span = bound.span;
        self.coerce(bound, data_type, CastContext::Assignment)
            .map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {data_type}, but its default is of type {from}",
                        column.name
                    ),
                )
                .at(span),
                _ => error,
            })
    }

    /// CHECK: a condition over the row.
    fn check(
        &mut self,
        table: &mut CreateTable,
        name: String,
        condition: &'a ast::Expr,
    ) -> Result<()> {
        let columns = table
            .columns
            .iter()
            .enumerate()
            .map(|(ordinal, column)| ScopeColumn {
                name: column.name.clone(),
                id: ColumnId(ordinal as u32),
                data_type: column.data_type.of_values(),
                nullable: true,
            })
            .collect();
        let mut scope = Scope::default();
        scope.add_relation(&table.name, table.schema.as_deref(), columns, None);
        let outer = std::mem::replace(&mut self.scopes, vec![scope]);
        let catalog = std::mem::replace(&mut self.catalog, &NoTables);
        let bound = self.in_place(Place::Clause("CHECK"), |binder| {
            binder.condition(condition, "CHECK")
        });
        self.catalog = catalog;
        self.scopes = outer;
        let bound = match bound {
            Err(error) if error.state() == SqlState::UNDEFINED_TABLE => {
                return Err(no_subquery("CHECK", error.span().unwrap_or(condition.span)));
            }
            other => other?,
        };
        refuse_subqueries(&bound, "CHECK")?;
        table.checks.push((name, condition.to_string(), bound));
        Ok(())
    }

    pub(super) fn create_index(&mut self, create: &'a ast::CreateIndex) -> Result<BoundStatement> {
        let table = self.table(&create.table)?;
        if let Some(method) = &create.method
            && method.name != "btree"
        {
            return Err(
                unsupported(&format!("the index method {} is", method.name), method.span)
                    .hint("Leave USING out for a B+ tree."),
            );
        }
        let mut columns = Vec::with_capacity(create.elements.len());
        for element in &create.elements {
            let span = element.order.expr.span;
            let A::Column(name) = &element.order.expr.kind else {
                return Err(unsupported("an index on an expression is", span));
            };
            if name.parts.len() != 1 {
                return Err(unsupported("an index on an expression is", span));
            }
            if let Some(class) = &element.operator_class {
                return Err(unsupported(
                    &format!("the operator class {} is", class.name),
                    class.span,
                ));
            }
            columns.push(IndexColumn {
                ordinal: table_column(&table, name.last())?,
                descending: element.order.descending,
                nulls_first: element
                    .order
                    .nulls_first
                    .unwrap_or(element.order.descending),
            });
        }
        if columns.len() > MAX_KEY_COLUMNS {
            return Err(too_many_keys(columns.len(), create.table.span));
        }
        let name = match &create.name {
            Some(name) => name.name.clone(),
            None => self.free_index_name(&table, &columns)?,
        };
        let taken = self.catalog.table_of_index(&name)?.is_some()
            || self.catalog.table(None, &name)?.is_some();
        if taken && !create.if_not_exists {
            return Err(Error::new(
                SqlState::DUPLICATE_TABLE,
                format!("the name \"{name}\" is taken by another table or index"),
            )
            .at(create
                .name
                .as_ref()
                .map_or(create.table.span, |name| name.span))
            .hint("Choose another name, or write CREATE INDEX IF NOT EXISTS."));
        }
        Ok(BoundStatement::CreateIndex(CreateIndex {
            table,
            index: IndexDefinition {
                name,
                columns,
                unique: create.unique,
            },
            exists: taken,
        }))
    }

    /// `table_column_idx`, with a number where that is taken.
    fn free_index_name(
        &self,
        table: &crate::catalog::Table,
        columns: &[IndexColumn],
    ) -> Result<String> {
        let parts: Vec<&str> = columns
            .iter()
            .map(|column| table.columns[column.ordinal].name.as_str())
            .collect();
        let base = limited(&format!("{}_{}", table.name, parts.join("_")), "idx", 0);
        let mut name = base;
        let mut number = 0;
        while self.catalog.table_of_index(&name)?.is_some()
            || self.catalog.table(None, &name)?.is_some()
        {
            number += 1;
            name = limited(
                &format!("{}_{}", table.name, parts.join("_")),
                "idx",
                number,
            );
        }
        Ok(name)
    }

    pub(super) fn drop_table(
        &mut self,
        names: &[ObjectName],
        if_exists: bool,
    ) -> Result<BoundStatement> {
        let mut tables: Vec<std::sync::Arc<crate::catalog::Table>> = Vec::new();
        let mut missing = Vec::new();
        for name in names {
            match self.table(name) {
                Ok(table) => {
                    if !tables.iter().any(|known| known.id == table.id) {
                        tables.push(table);
                    }
                }
                Err(error) if error.state() == SqlState::UNDEFINED_TABLE => {
                    let index = self.catalog.table_of_index(&name.last().name)?.is_some();
                    if index {
                        return Err(Error::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("\"{}\" is an index, not a table", name.last().name),
                        )
                        .at(name.span)
                        .hint("Use DROP INDEX."));
                    }
                    if !if_exists {
                        return Err(error);
                    }
                    missing.push(name.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(BoundStatement::DropTable { tables, missing })
    }

    pub(super) fn drop_index(
        &mut self,
        names: &[ObjectName],
        if_exists: bool,
    ) -> Result<BoundStatement> {
        let mut indexes = Vec::new();
        let mut missing = Vec::new();
        for name in names {
            let ident = name.last();
            match self.catalog.table_of_index(&ident.name)? {
                Some(table) => {
                    if table.primary_key_name.as_deref() == Some(ident.name.as_str()) {
                        return Err(Error::new(
                            SqlState("2BP01"),
                            format!(
                                "\"{}\" is the primary key of table \"{}\"",
                                ident.name, table.name
                            ),
                        )
                        .at(name.span));
                    }
                    indexes.push((table, ident.name.clone()));
                }
                None if if_exists => missing.push(ident.name.clone()),
                None => {
                    if self.catalog.table(None, &ident.name)?.is_some() {
                        return Err(Error::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("\"{}\" is a table, not an index", ident.name),
                        )
                        .at(name.span)
                        .hint("Use DROP TABLE."));
                    }
                    let tables = self.catalog.tables().unwrap_or_default();
                    let hint = suggest::did_you_mean(
                        &ident.name,
                        tables
                            .iter()
                            .flat_map(|table| &table.indexes)
                            .map(|index| index.name.as_str()),
                    );
                    return Err(with_hint(
                        Error::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!("index \"{}\" does not exist", ident.name),
                        )
                        .at(name.span),
                        hint,
                    ));
                }
            }
        }
        Ok(BoundStatement::DropIndex { indexes, missing })
    }
}

/// Names of a table's constraints.
struct Names {
    table: String,
    taken: Vec<String>,
}

impl Names {
    /// Takes a name that the user gave.
    fn take(&mut self, name: &Ident) -> Result<()> {
        if self.taken.contains(&name.name) {
            return Err(Error::new(
                SqlState("42710"),
                format!("the constraint \"{}\" is there twice", name.name),
            )
            .at(name.span));
        }
        self.taken.push(name.name.clone());
        Ok(())
    }

    /// Makes a name as PostgreSQL does: `table_columns_suffix`, then with a number.
    fn make(&mut self, columns: &[&str], suffix: &str) -> String {
        let mut stem = self.table.clone();
        for column in columns {
            stem.push('_');
            stem.push_str(column);
        }
        let mut number = 0;
        loop {
            let name = limited(&stem, suffix, number);
            if !self.taken.contains(&name) {
                self.taken.push(name.clone());
                return name;
            }
            number += 1;
        }
    }
}

/// `stem_suffix` or `stem_suffixN` in 63 bytes.
fn limited(stem: &str, suffix: &str, number: usize) -> String {
    let tail = if number == 0 {
        format!("_{suffix}")
    } else {
        format!("_{suffix}{number}")
    };
    let mut end = stem.len().min(63usize.saturating_sub(tail.len()));
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &stem[..end])
}

/// The storage that USING asks for.
fn storage(method: Option<&Ident>) -> Result<TableStorage> {
    let Some(method) = method else {
        return Ok(TableStorage::default());
    };
    TableStorage::named(&method.name).ok_or_else(|| {
        let known: Vec<&str> = TableStorage::ALL.map(TableStorage::name).to_vec();
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{}\" does not exist", method.name),
        )
        .at(method.span)
        .hint(format!("A table can be stored as {}.", known.join(", ")))
    })
}

fn unique(table: &mut CreateTable, ordinals: &[usize], name: Option<&Ident>, names: &mut Names) {
    let columns: Vec<String> = ordinals
        .iter()
        .map(|ordinal| table.columns[*ordinal].name.clone())
        .collect();
    let name = match name {
        Some(name) => name.name.clone(),
        None => {
            let parts: Vec<&str> = columns.iter().map(String::as_str).collect();
            names.make(&parts, "key")
        }
    };
    table.unique.push(IndexDefinition {
        name,
        columns: ordinals
            .iter()
            .map(|ordinal| IndexColumn {
                ordinal: *ordinal,
                descending: false,
                nulls_first: false,
            })
            .collect(),
        unique: true,
    });
}

fn key_columns(table: &CreateTable, names: &[Ident]) -> Result<Vec<usize>> {
    let mut ordinals = Vec::with_capacity(names.len());
    for name in names {
        let ordinal = table
            .columns
            .iter()
            .position(|column| column.name == name.name)
            .ok_or_else(|| {
                with_hint(
                    Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{}\" named in the key does not exist", name.name),
                    )
                    .at(name.span),
                    suggest::did_you_mean(
                        &name.name,
                        table.columns.iter().map(|column| column.name.as_str()),
                    ),
                )
            })?;
        if ordinals.contains(&ordinal) {
            return Err(duplicate_column(&name.name, name.span));
        }
        ordinals.push(ordinal);
    }
    if ordinals.len() > MAX_KEY_COLUMNS {
        return Err(too_many_keys(
            ordinals.len(),
            names.first().map_or_else(Span::default, |name| name.span),
        ));
    }
    Ok(ordinals)
}

fn too_many_keys(count: usize, span: Span) -> Error {
    Error::new(
        SqlState::TOO_MANY_COLUMNS,
        format!("a key has at most {MAX_KEY_COLUMNS} columns, this one has {count}"),
    )
    .at(span)
}

fn duplicate_column(name: &str, span: Span) -> Error {
    Error::new(
        SqlState::DUPLICATE_COLUMN,
        format!("column \"{name}\" is there twice"),
    )
    .at(span)
}

fn no_subquery(what: &str, span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{what} cannot hold a subquery"),
    )
    .at(span)
}

fn refuse_subqueries(expr: &Expr, what: &str) -> Result<()> {
    if expr.has_subquery() {
        return Err(no_subquery(what, expr.span));
    }
    Ok(())
}

/// The distinct columns that an expression names.
fn mentioned_columns<'e>(expr: &'e ast::Expr, names: &mut Vec<&'e str>) {
    let mut note = |name: &'e str| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    match &expr.kind {
        A::Column(name) => note(&name.last().name),
        A::Unary { operand, .. }
        | A::IsNull { operand, .. }
        | A::IsTruth { operand, .. }
        | A::Cast { operand, .. } => mentioned_columns(operand, names),
        A::Chain { first, rest } => {
            mentioned_columns(first, names);
            for (_, _, operand) in rest {
                mentioned_columns(operand, names);
            }
        }
        A::And(operands) | A::Or(operands) | A::Row(operands) => {
            for operand in operands {
                mentioned_columns(operand, names);
            }
        }
        A::Comparison { left, right, .. } | A::IsDistinct { left, right, .. } => {
            mentioned_columns(left, names);
            mentioned_columns(right, names);
        }
        A::Between {
            operand, low, high, ..
        } => {
            mentioned_columns(operand, names);
            mentioned_columns(low, names);
            mentioned_columns(high, names);
        }
        A::InList { operand, list, .. } => {
            mentioned_columns(operand, names);
            for item in list {
                mentioned_columns(item, names);
            }
        }
        A::Like {
            operand, pattern, ..
        } => {
            mentioned_columns(operand, names);
            mentioned_columns(pattern, names);
        }
        A::Function(call) => {
            for argument in &call.arguments {
                mentioned_columns(&argument.value, names);
            }
        }
        _ => {}
    }
}
