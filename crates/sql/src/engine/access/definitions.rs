//! What the current role may change of the catalog.

use std::sync::Arc;

use super::{denied, not_owner, noun};
use crate::{
    Error, Result, SqlState,
    ast::ObjectKind,
    bound::{AlterTable, BoundStatement, Definition, Needed, TypeChange},
    catalog::{
        Sequence, Table, TableId,
        access::{ObjectId, Privileges},
    },
    engine::{
        catalog::{CatalogSnapshot, access::Rights},
        ddl::comment::Owned,
        session::Session,
        system::relations::Part,
    },
};

impl Session {
    /// Fails where the current role may not change the catalog so.
    pub(crate) fn authorize_definition(
        &self,
        catalog: &CatalogSnapshot,
        statement: &BoundStatement,
        needed: &Needed,
    ) -> Result<()> {
        let rights = self.rights(catalog);
        if rights.superuser {
            return Ok(());
        }
        match statement {
            BoundStatement::Analyze { tables } => {
                for table in tables {
                    owns_table(&rights, table)?;
                }
                Ok(())
            }
            BoundStatement::Definition(definition) => {
                self.check_definition(catalog, &rights, definition)?;
                match &**definition {
                    // What a view reads is asked of its owner whenever it is read.
                    Definition::CreateView(_) => Ok(()),
                    _ => self.authorize_needed(catalog, needed),
                }
            }
            _ => Ok(()),
        }
    }

    fn check_definition(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        definition: &Definition,
    ) -> Result<()> {
        let may_create = |schema: &str, temporary: bool| {
            if temporary {
                return on_database(self, rights, Privileges::TEMPORARY);
            }
            self.on_schema(catalog, rights, schema, Privileges::CREATE)
        };
        match definition {
            Definition::CreateTable(create) => {
                may_create(&create.table.schema, create.temporary.is_some())?;
                if create.exists {
                    return Ok(());
                }
                self.owns_parents(catalog, rights, &create.table, &[])
            }
            Definition::CreateView(create) => {
                if let Some(old) = &create.replaced {
                    return owns_table(rights, old);
                }
                let temporary = self.temporary.schema.as_ref() == Some(&create.table.schema);
                may_create(&create.table.schema, temporary)
            }
            Definition::CreateSequence { sequence, .. } => {
                let temporary = self.temporary.schema.as_ref() == Some(&sequence.schema);
                may_create(&sequence.schema, temporary)
            }
            Definition::CreateSchema(_) => on_database(self, rights, Privileges::CREATE),
            Definition::CreateIndex(create) => owns_table(rights, &create.table),
            Definition::AlterTable(alter) => {
                self.owns_altered(catalog, rights, alter)?;
                if alter.new.schema != alter.old.schema {
                    may_create(&alter.new.schema, false)?;
                }
                Ok(())
            }
            Definition::AlterSequence { sequence, .. } => {
                let old = catalog.sequence_by_id(sequence.id);
                owns_sequence(rights, old.as_deref().unwrap_or(sequence))?;
                if old.is_some_and(|old| old.schema != sequence.schema) {
                    may_create(&sequence.schema, false)?;
                }
                Ok(())
            }
            Definition::Drop(drop) => self.check_drop(catalog, rights, drop),
            // The privilege on those that are named is among those needed.
            Definition::Truncate(truncate) if truncate.cascade => {
                may_truncate_referencing(catalog, rights, &truncate.tables)
            }
            Definition::Truncate(_) | Definition::Nothing { .. } => Ok(()),
            Definition::CreateType { definition, .. } => may_create(&definition.schema, false),
            Definition::CreateEnum { schema, .. } => may_create(schema, false),
            Definition::AlterType { of, change } => {
                if !rights.owns(&ObjectId::Type(of.id.0)) {
                    return Err(not_owner("type", &of.name));
                }
                match change {
                    TypeChange::Rename { schema, .. } if *schema != of.schema => {
                        may_create(schema, false)
                    }
                    _ => Ok(()),
                }
            }
            Definition::DropTypes { types, .. } => {
                for of in types {
                    if !rights.owns(&ObjectId::Type(of.id.0)) {
                        return Err(not_owner("type", &of.name));
                    }
                }
                Ok(())
            }
            // Each part is looked at as it is done.
            Definition::Access(_) => Ok(()),
            // What it is on is known only when it is done: see `may_comment`.
            Definition::Comment(_) => Ok(()),
        }
    }

    /// Fails where the session's role does not own what a comment is on.
    pub(crate) fn may_comment(&self, catalog: &CatalogSnapshot, on: &Owned) -> Result<()> {
        let rights = self.rights(catalog);
        if rights.superuser {
            return Ok(());
        }
        match on {
            Owned::Relation(Part::Sequence(sequence)) => owns_sequence(&rights, sequence),
            Owned::Relation(Part::Table(handle) | Part::Index(handle, _)) => {
                owns_table(&rights, &handle.table)
            }
            Owned::Relation(Part::System(table)) => Err(not_owner(noun(table), &table.name)),
            Owned::Schema(name) => match catalog.schema_id(name) {
                Some(id) if rights.owns(&ObjectId::Schema(id)) => Ok(()),
                _ => Err(not_owner("schema", name)),
            },
            Owned::Database => match rights.owns(&ObjectId::Database) {
                true => Ok(()),
                false => Err(not_owner("database", self.database().name())),
            },
        }
    }

    /// Fails where a table is to be made of one that the role does not own: whoever reads that one
    /// reads the new one's rows with it, and whoever changes it changes these. `known`: those that
    /// it is made of already.
    fn owns_parents(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        table: &Table,
        known: &[TableId],
    ) -> Result<()> {
        for id in table.parents.iter().filter(|id| !known.contains(id)) {
            if let Some(parent) = catalog.handle(*id) {
                self.may_use_schema(catalog, rights, &parent.table.schema)?;
                owns_table(rights, &parent.table)?;
            }
        }
        Ok(())
    }

    /// Fails where the role does not own a table that is altered, one that is altered with it, or
    /// one that such a table is made of from now on.
    fn owns_altered(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        alter: &AlterTable,
    ) -> Result<()> {
        owns_table(rights, &alter.old)?;
        self.owns_parents(catalog, rights, &alter.new, &alter.old.parents)?;
        // As deep as partitions are nested, which ALTER TABLE bounds.
        alter
            .children
            .iter()
            .try_for_each(|child| self.owns_altered(catalog, rights, child))
    }

    fn check_drop(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        drop: &crate::bound::Drop,
    ) -> Result<()> {
        // The owner of a schema may drop what is in it.
        let owns_schema = |schema: &str| {
            catalog
                .schema_id(schema)
                .is_some_and(|id| rights.owns(&ObjectId::Schema(id)))
        };
        for table in &drop.tables {
            if !owns_schema(&table.schema) {
                owns_table(rights, table)?;
            }
        }
        for (table, index) in &drop.indexes {
            if !owns_schema(&table.schema) && !rights.owns(&ObjectId::Table(table.id)) {
                return Err(not_owner("index", index));
            }
        }
        for sequence in &drop.sequences {
            if !owns_schema(&sequence.schema) {
                owns_sequence(rights, sequence)?;
            }
        }
        if drop.kind == ObjectKind::Schema {
            for schema in &drop.schemas {
                if !owns_schema(schema) {
                    return Err(not_owner("schema", schema));
                }
            }
        }
        Ok(())
    }

    /// The owner of what the current role makes.
    pub(crate) fn note_owner(
        &self,
        transaction: &rustling_txn::Transaction,
        object: &ObjectId,
    ) -> Result<()> {
        let owner = self.authorization.current();
        let access = crate::catalog::access::Access::of(owner);
        self.database
            .inner
            .catalog_store
            .put_access(transaction, object, &access)
    }
}

fn on_database(session: &Session, rights: &Rights<'_>, privilege: Privileges) -> Result<()> {
    if rights.privileges(&ObjectId::Database).contains(privilege) {
        return Ok(());
    }
    let name = session.database().name();
    if privilege == Privileges::TEMPORARY {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to create temporary tables in database \"{name}\""),
        ));
    }
    Err(denied("database", name))
}

/// Fails where a table belongs to somebody else.
pub(super) fn owns_table(rights: &Rights<'_>, table: &Arc<Table>) -> Result<()> {
    if rights.owns(&ObjectId::Table(table.id)) {
        return Ok(());
    }
    Err(not_owner(noun(table), &table.name))
}

/// Fails where TRUNCATE … CASCADE of these tables would empty one that the role may not truncate.
fn may_truncate_referencing(
    catalog: &CatalogSnapshot,
    rights: &Rights<'_>,
    tables: &[Arc<Table>],
) -> Result<()> {
    let mut emptied: Vec<TableId> = tables.iter().map(|table| table.id).collect();
    let mut at = 0;
    while let Some(id) = emptied.get(at).copied() {
        at += 1;
        let Some(handle) = catalog.handle(id) else {
            continue;
        };
        for (child, _) in &handle.referenced_by {
            if emptied.contains(child) {
                continue;
            }
            emptied.push(*child);
            if let Some(child) = catalog.handle(*child)
                && !may_truncate(catalog, rights, &child.table)
            {
                return Err(denied(noun(&child.table), &child.table.name));
            }
        }
    }
    Ok(())
}

/// Whether the role may truncate a table, or the one that it is a partition of.
fn may_truncate(catalog: &CatalogSnapshot, rights: &Rights<'_>, table: &Arc<Table>) -> bool {
    let mut table = Arc::clone(table);
    loop {
        if rights
            .privileges(&ObjectId::Table(table.id))
            .contains(Privileges::TRUNCATE)
        {
            return true;
        }
        let parent = table.parents.first().filter(|_| table.is_partition());
        match parent.and_then(|parent| catalog.handle(*parent)) {
            Some(parent) => table = Arc::clone(&parent.table),
            None => return false,
        }
    }
}

fn owns_sequence(rights: &Rights<'_>, sequence: &Sequence) -> Result<()> {
    if rights.owns(&ObjectId::Sequence(sequence.id)) {
        return Ok(());
    }
    Err(not_owner("sequence", &sequence.name))
}
