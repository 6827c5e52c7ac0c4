//! What goes away, and what it takes along.

use std::{collections::BTreeSet, sync::Arc};

use super::Schema;
use crate::{
    ast::ObjectKind,
    binder::{
        BindOptions, check_view,
        type_users::{TypeUser, users_of},
    },
    bound::Drop,
    catalog::{SequenceId, Table, TableId, named_type::NamedType},
    error::{Error, Result, SqlState},
};

impl Schema {
    pub(super) fn drop_objects(&mut self, drop: Drop) -> Result<()> {
        match drop.kind {
            ObjectKind::Table | ObjectKind::View => {
                let ids = drop.tables.iter().map(|table| table.id).collect();
                self.drop_tables(ids, drop.cascade)
            }
            ObjectKind::Index => {
                for (table, name) in &drop.indexes {
                    let mut table = self.newest(table)?;
                    table.indexes.retain(|index| index.name != *name);
                    let table = Arc::new(table);
                    self.tables.insert(table.id, Arc::clone(&table));
                    self.settle_children(&table, drop.cascade)?;
                }
                Ok(())
            }
            ObjectKind::Sequence => {
                for sequence in &drop.sequences {
                    self.drop_sequence(sequence.id)?;
                }
                Ok(())
            }
            ObjectKind::Schema => {
                for schema in &drop.schemas {
                    self.drop_schema(schema, drop.cascade)?;
                }
                Ok(())
            }
        }
    }

    fn drop_tables(&mut self, mut ids: BTreeSet<TableId>, cascade: bool) -> Result<()> {
        loop {
            let view = self.tables.values().find(|table| {
                let reads = table
                    .view()
                    .is_some_and(|view| view.reads.iter().any(|id| ids.contains(id)));
                reads && !ids.contains(&table.id)
            });
            let Some(view) = view else { break };
            if !cascade {
                return Err(needed(&format!("view {}", view.name), "it"));
            }
            ids.insert(view.id);
        }
        for table in self.tables.values_mut() {
            if ids.contains(&table.id) {
                continue;
            }
            let Some(key) = table
                .foreign_keys
                .iter()
                .find(|key| ids.contains(&key.parent))
            else {
                continue;
            };
            if !cascade {
                let what = format!("constraint {} on table {}", key.name, table.name);
                return Err(needed(&what, "it"));
            }
            Arc::make_mut(table)
                .foreign_keys
                .retain(|key| !ids.contains(&key.parent));
        }
        self.tables.retain(|id, _| !ids.contains(id));
        self.sequences.retain(|_, sequence| {
            sequence
                .owner
                .is_none_or(|(owner, _)| !ids.contains(&owner))
        });
        Ok(())
    }

    /// Defaults that draw from the sequence stay: they are checked when rows are inserted.
    fn drop_sequence(&mut self, id: SequenceId) -> Result<()> {
        for table in self.tables.values() {
            for column in &table.columns {
                if column
                    .identity
                    .is_some_and(|identity| identity.sequence == id)
                {
                    let what = format!("column {} of table {}", column.name, table.name);
                    return Err(needed(&what, "the sequence"));
                }
            }
        }
        self.sequences.remove(&id);
        Ok(())
    }

    pub(super) fn drop_types(&mut self, types: &[Arc<NamedType>], cascade: bool) -> Result<()> {
        types
            .iter()
            .try_for_each(|of| self.drop_type(of, types, cascade))
    }

    /// Drops a type; `dropped`: those that are dropped with it anyway.
    fn drop_type(
        &mut self,
        of: &NamedType,
        dropped: &[Arc<NamedType>],
        cascade: bool,
    ) -> Result<()> {
        if !self.types.contains_key(&of.id) {
            // It went with another one.
            return Ok(());
        }
        let users = users_of(self, of)?;
        let other = users.iter().find(|user| !user.is_among(dropped));
        if let (Some(user), false) = (other, cascade) {
            return Err(needed(&user.name(), &format!("type {}", of.name)));
        }
        for user in users {
            match &user {
                TypeUser::Type(other) if user.is_among(dropped) => {
                    self.drop_type(other, dropped, cascade)?;
                }
                user => {
                    if let Some(statement) = user.dropping(self)? {
                        self.apply_statement(&statement)?;
                    }
                }
            }
        }
        self.types.remove(&of.id);
        Ok(())
    }

    fn drop_schema(&mut self, schema: &str, cascade: bool) -> Result<()> {
        let tables: BTreeSet<TableId> = self.in_schema(schema).map(|table| table.id).collect();
        if !cascade {
            if let Some(table) = self.in_schema(schema).next() {
                return Err(needed(&format!("table {schema}.{}", table.name), "it"));
            }
            let sequence = self
                .sequences
                .values()
                .find(|sequence| sequence.schema == schema);
            if let Some(sequence) = sequence {
                return Err(needed(
                    &format!("sequence {schema}.{}", sequence.name),
                    "it",
                ));
            }
        }
        let named_type = self.types.values().find(|of| of.schema == schema);
        if let (Some(of), false) = (named_type, cascade) {
            return Err(needed(&format!("type {schema}.{}", of.name), "it"));
        }
        self.drop_tables(tables, true)?;
        self.sequences
            .retain(|_, sequence| sequence.schema != schema);
        let types: Vec<_> = (self.types.values())
            .filter(|of| of.schema == schema)
            .cloned()
            .collect();
        self.drop_types(&types, true)?;
        self.schemas.retain(|name| name != schema);
        Ok(())
    }

    /// Foreign keys of other tables need a unique key of this one.
    pub(super) fn settle_children(&mut self, parent: &Table, cascade: bool) -> Result<()> {
        for child in self.tables.values_mut() {
            let lost = child
                .foreign_keys
                .iter()
                .find(|key| key.parent == parent.id && !parent.has_unique_key(&key.parent_columns));
            let Some(lost) = lost else { continue };
            if !cascade {
                let what = format!("constraint {} on table {}", lost.name, child.name);
                return Err(needed(&what, "a key or column of the table"));
            }
            Arc::make_mut(child).foreign_keys.retain(|key| {
                key.parent != parent.id || parent.has_unique_key(&key.parent_columns)
            });
        }
        Ok(())
    }

    /// Views over a table that has changed must still fit it.
    pub(super) fn settle_views(&mut self, id: TableId, name: &str, cascade: bool) -> Result<()> {
        let views: Vec<Arc<Table>> = self
            .tables
            .values()
            .filter(|table| table.view().is_some_and(|view| view.reads.contains(&id)))
            .cloned()
            .collect();
        for view in views {
            if check_view(&view, self, &BindOptions::default()).is_ok() {
                continue;
            }
            if !cascade {
                return Err(needed(
                    &format!("view {}", view.name),
                    &format!("table {name}"),
                ));
            }
            self.drop_tables(BTreeSet::from([view.id]), true)?;
        }
        Ok(())
    }
}

fn needed(dependent: &str, on: &str) -> Error {
    Error::new(
        SqlState::DEPENDENT_OBJECTS,
        "cannot drop what other objects depend on",
    )
    .detail(format!("{dependent} depends on {on}"))
    .hint("Use CASCADE to drop the dependent objects too.")
}
