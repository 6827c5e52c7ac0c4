//! DROP, with what depends on it.

use std::{collections::BTreeSet, sync::Arc};

use rustling_storage::KeyspaceId;
use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    ast::ObjectKind,
    bound::{Drop, ExprKind, ScalarFunction},
    catalog::{Sequence, Table, TableId},
    engine::{
        error::txn_error,
        notice::Notice,
        session::{Session, StatementResult},
    },
};

use super::drop_keyspaces;

impl Session {
    pub(in crate::engine) fn drop_objects(
        &mut self,
        transaction: &Transaction,
        drop: Drop,
    ) -> Result<StatementResult> {
        let mut notices: Vec<Notice> = drop
            .missing
            .iter()
            .map(|name| {
                let noun = drop.kind.noun();
                Notice::new(format!("{noun} \"{name}\" does not exist, skipping"))
            })
            .collect();
        match drop.kind {
            ObjectKind::Table | ObjectKind::View => {
                self.drop_tables(transaction, &drop.tables, drop.cascade, &mut notices)?;
            }
            ObjectKind::Index => self.drop_indexes(transaction, &drop.indexes)?,
            ObjectKind::Sequence => {
                for sequence in &drop.sequences {
                    self.drop_sequence(transaction, sequence, drop.cascade, &mut notices)?;
                }
            }
            ObjectKind::Schema => {
                for schema in &drop.schemas {
                    self.drop_schema(transaction, schema, drop.cascade, &mut notices)?;
                }
            }
        }
        let tag = format!("DROP {}", drop.kind.keyword());
        Ok(StatementResult::noted(tag, notices))
    }

    /// Drops tables and views, and (with CASCADE) views and foreign keys that need them.
    pub(super) fn drop_tables(
        &mut self,
        transaction: &Transaction,
        tables: &[Arc<Table>],
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let catalog = self.catalog();
        // Partitions go with the table that they are of; those that inherit only when asked for.
        let mut all: Vec<Arc<Table>> = tables.to_vec();
        let mut heirs: Vec<(String, Arc<Table>)> = Vec::new();
        let mut at = 0;
        while let Some(table) = all.get(at).cloned() {
            at += 1;
            for child in catalog.children(table.id) {
                if all.iter().any(|known| known.id == child.id) {
                    continue;
                }
                if !child.is_partition() && !tables.iter().any(|known| known.id == child.id) {
                    heirs.push((format!("table {}", child.name), Arc::clone(&table)));
                }
                all.push(child);
            }
        }
        let tables = all.as_slice();
        let ids: Vec<TableId> = tables.iter().map(|table| table.id).collect();
        let views = catalog.views_over(&ids);
        let mut dependents: Vec<(String, &Table)> = heirs
            .iter()
            .map(|(what, on)| (what.clone(), &**on))
            .collect();
        for view in &views {
            let on = tables
                .iter()
                .find(|table| {
                    view.table
                        .view()
                        .is_some_and(|view| view.reads.contains(&table.id))
                })
                .or(tables.first());
            if let Some(on) = on {
                dependents.push((format!("view {}", view.table.name), on));
            }
        }
        let mut keys = Vec::new();
        for table in tables {
            let Some(handle) = catalog.handle(table.id) else {
                continue;
            };
            for (child, at) in &handle.referenced_by {
                if ids.contains(child) {
                    continue;
                }
                let Some(child) = catalog.handle(*child) else {
                    continue;
                };
                if let Some(key) = child.table.foreign_keys.get(*at) {
                    let what = format!("constraint {} on table {}", key.name, child.table.name);
                    dependents.push((what, table));
                    keys.push((child.table.id, key.name.clone()));
                }
            }
        }
        if !dependents.is_empty() && !cascade {
            let what = match tables {
                [table] => {
                    let kind = if table.view().is_some() {
                        "view"
                    } else {
                        "table"
                    };
                    format!("{kind} {}", table.name)
                }
                _ => "desired object(s)".to_owned(),
            };
            let pronoun = if tables.len() == 1 { "it" } else { "them" };
            let lines: Vec<String> = dependents
                .iter()
                .map(|(dependent, on)| {
                    let kind = if on.view().is_some() { "view" } else { "table" };
                    format!("{dependent} depends on {kind} {}", on.name)
                })
                .collect();
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!("cannot drop {what} because other objects depend on {pronoun}"),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        note_cascade(dependents.into_iter().map(|(what, _)| what), notices);
        for (child, name) in keys {
            let Some(handle) = self.catalog().handle(child) else {
                continue;
            };
            let handle = self.lock_table(transaction, &Arc::clone(&handle.table))?;
            let mut table = Table::clone(&handle.table);
            table.foreign_keys.retain(|key| key.name != name);
            table.version += 1;
            self.put_table(transaction, &table)?;
            self.reload_catalog(transaction)?;
        }
        let mut parents = BTreeSet::new();
        for table in tables.iter().chain(views.iter().map(|view| &view.table)) {
            let handle = self.lock_table(transaction, table)?;
            if handle.table.view().is_none() {
                drop_keyspaces(transaction, &handle.table)?;
            }
            parents.extend(handle.table.foreign_keys.iter().map(|key| key.parent));
            parents.extend(&handle.table.parents);
            let store = self.database.inner.catalog_store;
            store.delete_table(transaction, table.id)?;
            for sequence in self.catalog().all_sequences() {
                if sequence.owner.is_some_and(|(owner, _)| owner == table.id) {
                    store.delete_sequence(transaction, sequence.id)?;
                }
            }
        }
        self.reload_catalog(transaction)?;
        for parent in parents {
            if !ids.contains(&parent) {
                self.touch(transaction, parent)?;
            }
        }
        Ok(())
    }

    pub(super) fn drop_indexes(
        &mut self,
        transaction: &Transaction,
        indexes: &[(Arc<Table>, String)],
    ) -> Result<()> {
        for (table, name) in indexes {
            self.lock_table(transaction, table)?;
            // Two indexes of one table may be dropped at once: each sees the record before it.
            let newest = self.reload_catalog(transaction)?;
            let Some(handle) = newest.handle(table.id) else {
                continue;
            };
            let mut table = Table::clone(&handle.table);
            let Some(at) = table.indexes.iter().position(|index| index.name == *name) else {
                continue;
            };
            let index = table.indexes.remove(at);
            let needed = handle.referenced_by.iter().find_map(|(child, at)| {
                let child = newest.handle(*child)?;
                let key = child.table.foreign_keys.get(*at)?;
                (!table.has_unique_key(&key.parent_columns))
                    .then(|| (key.name.clone(), child.table.name.clone()))
            });
            if let Some((key, child)) = needed {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!("cannot drop index {name} because other objects depend on it"),
                )
                .detail(format!(
                    "constraint {key} on table {child} depends on index {name}"
                )));
            }
            table.version += 1;
            transaction
                .drop_keyspace(KeyspaceId(index.keyspace))
                .map_err(txn_error)?;
            self.put_table(transaction, &table)?;
        }
        Ok(())
    }

    fn drop_sequence(
        &mut self,
        transaction: &Transaction,
        sequence: &Sequence,
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut dependents = Vec::new();
        let catalog = self.catalog();
        for handle in catalog.handles() {
            for (ordinal, column) in handle.table.columns.iter().enumerate() {
                if column
                    .identity
                    .is_some_and(|identity| identity.sequence == sequence.id)
                {
                    return Err(Error::new(
                        SqlState::DEPENDENT_OBJECTS,
                        format!(
                            "cannot drop sequence {} because column {} of table {} requires it",
                            sequence.name, column.name, handle.table.name
                        ),
                    )
                    .hint(format!(
                        "You can drop column {} of table {} instead.",
                        column.name, handle.table.name
                    )));
                }
                let names = [
                    sequence.name.clone(),
                    format!("{}.{}", sequence.schema, sequence.name),
                ];
                let draws = column
                    .default
                    .as_ref()
                    .is_some_and(|(_, expr)| draws_from(expr, &names));
                if draws {
                    dependents.push((handle.table.id, ordinal));
                }
            }
        }
        let describe = |(table, ordinal): &(TableId, usize)| {
            let table = &catalog.handle(*table)?.table;
            let column = table.columns.get(*ordinal)?;
            Some(format!(
                "default value for column {} of table {}",
                column.name, table.name
            ))
        };
        if !dependents.is_empty() && !cascade {
            let lines: Vec<String> = dependents
                .iter()
                .filter_map(describe)
                .map(|what| format!("{what} depends on sequence {}", sequence.name))
                .collect();
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!(
                    "cannot drop sequence {} because other objects depend on it",
                    sequence.name
                ),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        note_cascade(dependents.iter().filter_map(describe), notices);
        for (id, ordinal) in &dependents {
            let Some(handle) = self.catalog().handle(*id) else {
                continue;
            };
            let handle = self.lock_table(transaction, &Arc::clone(&handle.table))?;
            let mut table = Table::clone(&handle.table);
            if let Some(column) = table.columns.get_mut(*ordinal) {
                column.default = None;
            }
            table.version += 1;
            self.put_table(transaction, &table)?;
            self.reload_catalog(transaction)?;
        }
        self.database
            .inner
            .catalog_store
            .delete_sequence(transaction, sequence.id)
    }

    fn drop_schema(
        &mut self,
        transaction: &Transaction,
        schema: &str,
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let catalog = self.catalog();
        let Some(id) = catalog.schema_id(schema).filter(|id| *id != 0) else {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!(
                    "cannot drop schema {schema} because it is required by the database system"
                ),
            ));
        };
        let tables: Vec<Arc<Table>> = catalog
            .handles()
            .filter(|handle| handle.table.schema == schema)
            .map(|handle| Arc::clone(&handle.table))
            .collect();
        let sequences: Vec<Arc<Sequence>> = catalog
            .all_sequences()
            .filter(|sequence| sequence.schema == schema && sequence.owner.is_none())
            .cloned()
            .collect();
        let types: Vec<_> = catalog
            .named_types()
            .filter(|of| of.schema == schema)
            .cloned()
            .collect();
        let is_empty = tables.is_empty() && sequences.is_empty() && types.is_empty();
        if !cascade && !is_empty {
            let mut lines: Vec<String> = tables
                .iter()
                .map(|table| {
                    let kind = if table.view().is_some() {
                        "view"
                    } else {
                        "table"
                    };
                    format!("{kind} {schema}.{} depends on schema {schema}", table.name)
                })
                .collect();
            lines.extend(sequences.iter().map(|sequence| {
                format!(
                    "sequence {schema}.{} depends on schema {schema}",
                    sequence.name
                )
            }));
            lines.extend(
                types
                    .iter()
                    .map(|of| format!("type {schema}.{} depends on schema {schema}", of.name)),
            );
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!("cannot drop schema {schema} because other objects depend on it"),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        note_cascade(
            tables
                .iter()
                .map(|table| {
                    let kind = if table.view().is_some() {
                        "view"
                    } else {
                        "table"
                    };
                    format!("{kind} {schema}.{}", table.name)
                })
                .chain(
                    sequences
                        .iter()
                        .map(|sequence| format!("sequence {schema}.{}", sequence.name)),
                )
                .chain(types.iter().map(|of| format!("type {schema}.{}", of.name))),
            notices,
        );
        self.drop_tables(transaction, &tables, true, &mut Vec::new())?;
        for sequence in &sequences {
            self.drop_sequence(transaction, sequence, true, &mut Vec::new())?;
        }
        self.reload_catalog(transaction)?;
        for of in &types {
            self.drop_type(transaction, of, &types, true, notices)?;
        }
        self.database
            .inner
            .catalog_store
            .delete_schema(transaction, id)
    }
}

/// Says what goes as well, as PostgreSQL does.
pub(super) fn note_cascade(what: impl Iterator<Item = String>, notices: &mut Vec<Notice>) {
    let what: Vec<String> = what.collect();
    match what.as_slice() {
        [] => {}
        [one] => notices.push(Notice::new(format!("drop cascades to {one}"))),
        several => notices.push(Notice::new(format!(
            "drop cascades to {} other objects",
            several.len()
        ))),
    }
}

/// Whether an expression calls nextval with one of these names.
fn draws_from(expr: &crate::bound::Expr, names: &[String]) -> bool {
    let here = match &expr.kind {
        ExprKind::Function(ScalarFunction::NextValue, arguments) => match arguments.as_slice() {
            [argument] => match &argument.kind {
                ExprKind::Literal(crate::Value::Text(text)) => {
                    let plain = text.replace('"', "");
                    names.contains(&plain)
                }
                _ => false,
            },
            _ => false,
        },
        _ => false,
    };
    here || expr
        .operands()
        .into_iter()
        .any(|operand| draws_from(operand, names))
}
