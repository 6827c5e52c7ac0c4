//! DROP TYPE, DROP DOMAIN, and what uses a type.

use std::sync::Arc;

use rustling_txn::Transaction;

use super::types::columns_of;
use crate::{
    Error, Result, SqlState,
    ast::{
        AlterAction, AlterTable, ColumnAction, Ident, ObjectKind, ObjectName, Statement,
        StatementKind,
    },
    binder::{BindOptions, bind, kept},
    bound::BoundStatement,
    catalog::{
        Table,
        named_type::{NamedType, NamedTypeKind},
    },
    engine::{
        catalog::CatalogSnapshot,
        notice::Notice,
        session::{Session, StatementResult},
        table::TableHandle,
    },
    span::Span,
};

/// What uses a type, and goes with it.
enum User {
    /// A view that names it.
    View(Arc<Table>),
    /// A part of a table.
    Part(Arc<Table>, Part),
    /// A domain, or a distinct type, over it.
    Type(Arc<NamedType>),
}

enum Part {
    Column(String),
    Default(String),
    Check(String),
    Index(String),
    PartitionKey,
}

impl User {
    /// What it is called.
    fn name(&self) -> String {
        match self {
            User::View(view) => format!("view {}", view.name),
            User::Type(of) => format!("type {}", of.name),
            User::Part(table, part) => {
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
}

impl Session {
    pub(super) fn drop_types(
        &mut self,
        transaction: &Transaction,
        types: &[Arc<NamedType>],
        missing: &[String],
        cascade: bool,
        domain: bool,
    ) -> Result<StatementResult> {
        let mut notices = missing
            .iter()
            .map(|name| Notice::new(format!("type \"{name}\" does not exist, skipping")))
            .collect();
        for of in types {
            self.drop_type(transaction, of, types, cascade, &mut notices)?;
        }
        let tag = if domain { "DROP DOMAIN" } else { "DROP TYPE" };
        Ok(StatementResult::noted(tag, notices))
    }

    /// Drops a type; `dropped`: those that are dropped with it anyway.
    fn drop_type(
        &mut self,
        transaction: &Transaction,
        of: &Arc<NamedType>,
        dropped: &[Arc<NamedType>],
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let catalog = self.catalog();
        let still_there = catalog.named_types().any(|known| known.id == of.id);
        if !still_there {
            // It went with another one.
            return Ok(());
        }
        let users = users_of(&catalog, of)?;
        let others: Vec<String> = users
            .iter()
            .filter(|user| match user {
                User::Type(of) => !dropped.iter().any(|known| known.id == of.id),
                _ => true,
            })
            .map(User::name)
            .collect();
        if !others.is_empty() && !cascade {
            let lines: Vec<String> = others
                .iter()
                .map(|user| format!("{user} depends on type {}", of.name))
                .collect();
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!(
                    "cannot drop type {} because other objects depend on it",
                    of.name
                ),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        super::drop::note_cascade(others.into_iter(), notices);
        for user in users {
            self.drop_user(transaction, user, dropped)?;
            self.reload_catalog(transaction)?;
        }
        self.database
            .inner
            .catalog_store
            .delete_type(transaction, of.id)?;
        self.reload_catalog(transaction)?;
        Ok(())
    }

    fn drop_user(
        &mut self,
        transaction: &Transaction,
        user: User,
        dropped: &[Arc<NamedType>],
    ) -> Result<()> {
        // What went with another user is said with that one.
        let mut unsaid = Vec::new();
        match user {
            User::Type(of) => self.drop_type(transaction, &of, dropped, true, &mut unsaid),
            User::View(view) => match self.catalog().handle(view.id) {
                Some(_) => self.drop_tables(transaction, &[view], true, &mut unsaid),
                None => Ok(()),
            },
            User::Part(table, part) => {
                let Some(table) = self.catalog().handle(table.id) else {
                    return Ok(());
                };
                self.drop_part(transaction, &table.table, part)
            }
        }
    }

    /// Drops a part of a table, if it is still there.
    fn drop_part(
        &mut self,
        transaction: &Transaction,
        table: &Arc<Table>,
        part: Part,
    ) -> Result<()> {
        let action = match part {
            Part::Column(name) if table.column(&name).is_none() => return Ok(()),
            Part::Column(name) => AlterAction::DropColumn {
                name: ident(&name),
                if_exists: true,
                cascade: true,
            },
            Part::Default(name) if table.column(&name).is_none() => return Ok(()),
            Part::Default(name) => AlterAction::AlterColumn {
                name: ident(&name),
                action: ColumnAction::DropDefault,
            },
            Part::Check(name) => AlterAction::DropConstraint {
                name: ident(&name),
                if_exists: true,
                cascade: true,
            },
            Part::Index(name) => {
                return self.drop_indexes(transaction, &[(Arc::clone(table), name)]);
            }
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
        };
        let name = ObjectName {
            parts: vec![ident(&table.schema), ident(&table.name)],
            span: Span::default(),
        };
        let statement = Statement {
            kind: StatementKind::AlterTable(Box::new(AlterTable {
                object: ObjectKind::Table,
                if_exists: false,
                only: false,
                name,
                actions: vec![action],
            })),
            span: Span::default(),
        };
        let catalog = self.catalog();
        let path = Arc::clone(&self.settings.search_path);
        let bound = bind(
            &statement,
            &catalog.with_path(&path),
            &BindOptions::default(),
        )?;
        match bound.statement {
            BoundStatement::Definition(definition) => {
                self.change(transaction, *definition).map(|_| ())
            }
            _ => Err(Error::new(SqlState::INTERNAL_ERROR, "not a definition")),
        }
    }
}

fn ident(name: &str) -> Ident {
    Ident {
        name: name.to_owned(),
        quoted: true,
        span: Span::default(),
    }
}

/// The views whose queries name a type.
pub(super) fn views_of(catalog: &CatalogSnapshot, of: &NamedType) -> Vec<Arc<TableHandle>> {
    catalog
        .handles()
        .filter(|handle| {
            let Some(view) = handle.table.view() else {
                return false;
            };
            let reader = catalog.with_path(&view.search_path);
            let statement = crate::parser::parse_statement(&view.text);
            // A view that does not fit its tables any more names what it may.
            statement
                .and_then(|statement| bind(&statement, &reader, &BindOptions::default()))
                .is_ok_and(|bound| bound.needed.types.contains(&of.id))
        })
        .cloned()
        .collect()
}

/// Everything that needs a type. Columns that a table has from another one are that one's.
fn users_of(catalog: &CatalogSnapshot, of: &NamedType) -> Result<Vec<User>> {
    let mut users = Vec::new();
    for (handle, columns) in columns_of(catalog, of) {
        if handle.table.view().is_some() {
            continue;
        }
        for ordinal in columns {
            let Some(column) = handle.table.columns.get(ordinal) else {
                continue;
            };
            let inherited = handle.table.parents.iter().any(|parent| {
                catalog
                    .handle(*parent)
                    .is_some_and(|parent| parent.table.column(&column.name).is_some())
            });
            if !inherited {
                let part = Part::Column(column.name.clone());
                users.push(User::Part(Arc::clone(&handle.table), part));
            }
        }
    }
    for handle in catalog.handles() {
        let table = &handle.table;
        let mut note = |part: Part| users.push(User::Part(Arc::clone(table), part));
        let mentions = |text: &str| kept::mentions_type(text, of.id, catalog);
        for column in &table.columns {
            if let Some((text, _)) = &column.default
                && mentions(text)?
            {
                note(Part::Default(column.name.clone()));
            }
            if let Some((text, _)) = &column.generated
                && mentions(text)?
            {
                note(Part::Column(column.name.clone()));
            }
        }
        for check in &table.checks {
            if mentions(&check.text)? {
                note(Part::Check(check.name.clone()));
            }
        }
        for index in &table.indexes {
            let conditions = index.predicate.iter();
            for (text, _) in index.expressions.iter().chain(conditions) {
                if mentions(text)? {
                    note(Part::Index(index.name.clone()));
                    break;
                }
            }
        }
        for (text, _) in table.partitioning.iter().flat_map(|of| &of.keys) {
            if mentions(text)? {
                note(Part::PartitionKey);
                break;
            }
        }
    }
    for view in views_of(catalog, of) {
        users.push(User::View(Arc::clone(&view.table)));
    }
    for named in catalog.named_types() {
        let over = named.id != of.id && named.base().is_some_and(|base| of.is_type_of(base));
        let mentioned = match &named.kind {
            NamedTypeKind::Domain(domain) => {
                let checks = domain.checks.iter().map(|(_, text)| text);
                let mut found = false;
                for text in domain.default.iter().chain(checks) {
                    found |= kept::mentions_type(text, of.id, catalog)?;
                }
                found
            }
            _ => false,
        };
        if over || mentioned {
            users.push(User::Type(Arc::clone(named)));
        }
    }
    Ok(users)
}
