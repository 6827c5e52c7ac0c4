//! What uses a named type, and goes with it.

use std::sync::Arc;

use super::{BindOptions, bind, definition::view::PathCatalog, kept};
use crate::{
    ast::{
        AlterAction, AlterTable, ColumnAction, Drop, DropType, Ident, ObjectKind, ObjectName,
        Statement, StatementKind,
    },
    bound::{Expr, ExprKind},
    catalog::{
        CatalogReader, Table,
        named_type::{NamedType, NamedTypeKind},
    },
    error::{Error, Result, SqlState},
    parser,
    span::Span,
};

/// What uses a type.
#[derive(Debug)]
pub(crate) enum TypeUser {
    /// A view that names it.
    View(Arc<Table>),
    /// A part of a table.
    Part(Arc<Table>, Part),
    /// A domain, or a distinct type, over it.
    Type(Arc<NamedType>),
}

/// A part of a table.
#[derive(Debug)]
pub(crate) enum Part {
    /// The column of that name.
    Column(String),
    /// The default of the column of that name.
    Default(String),
    /// The check of that name.
    Check(String),
    /// The index of that name.
    Index(String),
    /// What tells its partitions.
    PartitionKey,
}

impl TypeUser {
    /// What it is called.
    pub(crate) fn name(&self) -> String {
        match self {
            TypeUser::View(view) => format!("view {}", view.name),
            TypeUser::Type(of) => format!("type {}", of.name),
            TypeUser::Part(table, part) => {
                let table = &table.name;
                match part {
                    Part::Column(column) => format!("column {column} of table {table}"),
                    Part::Default(column) => {
                        format!("default value for column {column} of table {table}")
                    }
                    Part::Check(name) => format!("constraint {name} on table {table}"),
                    Part::Index(name) => format!("index {name}"),
                    Part::PartitionKey => format!("partition key of table {table}"),
                }
            }
        }
    }

    /// Whether it is one of these types.
    pub(crate) fn is_among(&self, types: &[Arc<NamedType>]) -> bool {
        matches!(self, TypeUser::Type(of) if types.iter().any(|known| known.id == of.id))
    }

    /// The statement that drops it with all that needs it; `None`: it went with something else.
    ///
    /// # Errors
    /// 0A000 for a partition key.
    pub(crate) fn dropping(&self, catalog: &dyn CatalogReader) -> Result<Option<Statement>> {
        let kind = match self {
            TypeUser::View(view) => dropping(ObjectKind::View, &view.schema, &view.name),
            TypeUser::Type(of) => StatementKind::DropType(DropType {
                domain: false,
                names: vec![qualified(&of.schema, &of.name)],
                if_exists: true,
                cascade: true,
            }),
            TypeUser::Part(table, Part::Index(name)) => {
                dropping(ObjectKind::Index, &table.schema, name)
            }
            TypeUser::Part(table, part) => {
                let newest = catalog.table_by_id(table.id);
                let Some(table) = newest else { return Ok(None) };
                match altering(&table, part)? {
                    Some(action) => StatementKind::AlterTable(Box::new(AlterTable {
                        object: ObjectKind::Table,
                        if_exists: false,
                        only: false,
                        name: qualified(&table.schema, &table.name),
                        actions: vec![action],
                    })),
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(Statement {
            kind,
            span: Span::default(),
        }))
    }
}

fn dropping(kind: ObjectKind, schema: &str, name: &str) -> StatementKind {
    StatementKind::Drop(Drop {
        kind,
        names: vec![qualified(schema, name)],
        if_exists: true,
        cascade: true,
    })
}

/// What drops a part of a table.
fn altering(table: &Table, part: &Part) -> Result<Option<AlterAction>> {
    Ok(match part {
        Part::Column(name) => Some(AlterAction::DropColumn {
            name: ident(name),
            if_exists: true,
            cascade: true,
        }),
        Part::Default(name) => table.column(name).map(|_| AlterAction::AlterColumn {
            name: ident(name),
            action: ColumnAction::DropDefault,
        }),
        Part::Check(name) => Some(AlterAction::DropConstraint {
            name: ident(name),
            if_exists: true,
            cascade: true,
        }),
        Part::Index(_) => None,
        Part::PartitionKey => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "dropping a type that the partition key of table {} needs is not supported yet",
                    table.name
                ),
            )
            .hint("Drop the table first."));
        }
    })
}

fn ident(name: &str) -> Ident {
    Ident {
        name: name.to_owned(),
        quoted: true,
        span: Span::default(),
    }
}

fn qualified(schema: &str, name: &str) -> ObjectName {
    ObjectName {
        parts: vec![ident(schema), ident(name)],
        span: Span::default(),
    }
}

/// The views whose queries name a type.
pub(crate) fn views_naming(catalog: &dyn CatalogReader, of: &NamedType) -> Result<Vec<Arc<Table>>> {
    let mut views = catalog.tables()?;
    views.retain(|table| {
        let Some(view) = table.view() else {
            return false;
        };
        let reader = PathCatalog {
            inner: catalog,
            path: &view.search_path,
        };
        let statement = parser::parse_statement(&view.text);
        // A view that does not fit its tables any more cannot be used, whatever it names.
        statement
            .and_then(|statement| bind(&statement, &reader, &BindOptions::default()))
            .is_ok_and(|bound| bound.needed.types.contains(&of.id))
    });
    Ok(views)
}

/// Fails where a type cannot be renamed, or put into another schema, since a view names it.
pub(crate) fn check_renaming(catalog: &dyn CatalogReader, of: &NamedType) -> Result<()> {
    match views_naming(catalog, of)?.first() {
        None => Ok(()),
        Some(view) => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "renaming type {} is not supported yet while a view names it",
                of.name
            ),
        )
        .detail(format!("view {} names it", view.name))
        .hint("Drop the view first, and make it again with the new name.")),
    }
}

/// Everything that needs a type. What a table has from another one is that one's. Names alone
/// must be looked up in `public` by `catalog`, as kept SQL has them.
pub(crate) fn users_of(catalog: &dyn CatalogReader, of: &NamedType) -> Result<Vec<TypeUser>> {
    let mut users = Vec::new();
    for table in catalog.tables()? {
        if table.view().is_none() {
            for part in parts_using(&table, catalog, of)? {
                users.push(TypeUser::Part(Arc::clone(&table), part));
            }
        }
    }
    let views = views_naming(catalog, of)?;
    users.extend(views.into_iter().map(TypeUser::View));
    for named in catalog.named_types() {
        let over = named.id != of.id && named.base().is_some_and(|base| of.is_type_of(base));
        let mut mentioned = false;
        if let NamedTypeKind::Domain(domain) = &named.kind {
            let checks = domain.checks.iter().map(|(_, text)| text);
            for text in domain.default.iter().chain(checks) {
                mentioned |= kept::mentions_type(text, of.id, catalog)?;
            }
        }
        if over || mentioned {
            users.push(TypeUser::Type(named));
        }
    }
    Ok(users)
}

/// The parts of a table that need a type, but those that go with its columns anyway.
fn parts_using(table: &Table, catalog: &dyn CatalogReader, of: &NamedType) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut columns = Vec::new();
    let parents = table.parents.iter();
    let parents: Vec<Arc<Table>> = parents.filter_map(|id| catalog.table_by_id(*id)).collect();
    let mentions = |text: &str| kept::mentions_type(text, of.id, catalog);
    for (ordinal, column) in table.columns.iter().enumerate() {
        let generated = match &column.generated {
            Some((text, _)) => mentions(text)?,
            None => false,
        };
        let is_of_type = column.named_type == Some(of.id) || of.is_type_of(column.data_type);
        if is_of_type || generated {
            columns.push(ordinal);
            let of_parent = |parent: &Arc<Table>| parent.column(&column.name).is_some();
            if !parents.iter().any(of_parent) {
                parts.push(Part::Column(column.name.clone()));
            }
            continue;
        }
        if let Some((text, _)) = &column.default
            && mentions(text)?
        {
            parts.push(Part::Default(column.name.clone()));
        }
    }
    let goes = |expr: &Expr| {
        let mut found = false;
        expr.visit(&mut |part| {
            found |=
                matches!(part.kind, ExprKind::Column(id) if columns.contains(&(id.0 as usize)));
            true
        });
        found
    };
    for check in &table.checks {
        let same = |of_parent: &crate::catalog::Check| of_parent.name == check.name;
        let of_parent = |parent: &Arc<Table>| parent.checks.iter().any(same);
        if mentions(&check.text)? && !goes(&check.predicate) && !parents.iter().any(of_parent) {
            parts.push(Part::Check(check.name.clone()));
        }
    }
    for index in &table.indexes {
        let conditions = index.predicate.iter();
        for (text, expr) in index.expressions.iter().chain(conditions) {
            if mentions(text)? && !goes(expr) {
                parts.push(Part::Index(index.name.clone()));
                break;
            }
        }
    }
    for (text, _) in table.partitioning.iter().flat_map(|of| &of.keys) {
        if mentions(text)? {
            parts.push(Part::PartitionKey);
            break;
        }
    }
    Ok(parts)
}
