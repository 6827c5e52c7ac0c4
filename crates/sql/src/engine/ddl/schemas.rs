//! Schemas, views and sequences.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    ast::Statement,
    binder::{BindOptions, bind},
    bound::{BoundStatement, CreateSchema, CreateView},
    catalog::{Sequence, SequenceId, Table, TableId, access::ObjectId},
    engine::{
        catalog::{convert::sequence_record, record::SchemaRecord},
        notice::Notice,
        sequences,
        session::{Session, StatementResult},
    },
};

impl Session {
    pub(super) fn create_schema(
        &mut self,
        transaction: &Transaction,
        definition: CreateSchema,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let owner = match &definition.owner {
            Some(spec) => {
                let owner = self.role_of(&catalog, spec)?;
                let rights = self.rights(&catalog);
                if !rights.superuser && !catalog.access.is_member(rights.role, owner.id) {
                    return Err(Error::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        format!("must be member of role \"{}\"", owner.name),
                    )
                    .at(spec.span()));
                }
                Some(owner)
            }
            None => None,
        };
        let name = definition
            .name
            .or_else(|| owner.as_ref().map(|owner| owner.name.clone()))
            .unwrap_or_default();
        if definition.exists {
            return Ok(StatementResult::noted(
                "CREATE SCHEMA",
                vec![Notice::new(format!(
                    "schema \"{name}\" already exists, skipping"
                ))],
            ));
        }
        if catalog.schema_id(&name).is_some() {
            return Err(Error::new(
                SqlState("42P06"),
                format!("schema \"{name}\" already exists"),
            ));
        }
        let id = self.allocate_id(transaction)?;
        let record = SchemaRecord {
            id,
            name: name.clone(),
        };
        let before = self.authorization;
        if let Some(owner) = owner {
            // It, and what is made in it, belongs to its owner.
            self.authorization.role = Some(owner.id);
        }
        let result = self
            .database
            .inner
            .catalog_store
            .put_schema(transaction, &record)
            .and_then(|()| self.note_owner(transaction, &ObjectId::Schema(id)))
            .and_then(|()| self.schema_elements(transaction, &name, &definition.elements));
        self.authorization = before;
        Ok(StatementResult::noted("CREATE SCHEMA", result?))
    }

    /// Makes what CREATE SCHEMA makes in the new schema, where names are looked up first.
    fn schema_elements(
        &mut self,
        transaction: &Transaction,
        schema: &str,
        elements: &[Statement],
    ) -> Result<Vec<Notice>> {
        let mut path = vec![schema.to_owned()];
        path.extend(self.settings.search_path.iter().cloned());
        let mut all = Vec::new();
        for element in elements {
            let catalog = self.reload_catalog(transaction)?;
            let bound = bind(element, &catalog.with_path(&path), &BindOptions::default())?;
            self.authorize_definition(&catalog, &bound.statement, &bound.needed)?;
            let BoundStatement::Definition(definition) = bound.statement else {
                return Err(Error::new(SqlState::INTERNAL_ERROR, "not a definition"));
            };
            let before = std::mem::replace(&mut self.settings.search_path, Arc::new(path.clone()));
            let result = self.change(transaction, *definition);
            self.settings.search_path = before;
            if let StatementResult::Done { notices, .. } = result? {
                all.extend(notices);
            }
        }
        Ok(all)
    }

    pub(super) fn create_view(
        &mut self,
        transaction: &Transaction,
        definition: CreateView,
    ) -> Result<StatementResult> {
        let CreateView {
            mut table,
            replaced,
        } = definition;
        match &replaced {
            Some(old) => {
                table.id = old.id;
                table.version = old.version + 1;
            }
            None => {
                table.id = TableId(self.allocate_id(transaction)?);
                self.note_owner(transaction, &ObjectId::Table(table.id))?;
            }
        }
        let reads_itself = table
            .view()
            .is_some_and(|view| view.reads.contains(&table.id));
        if reads_itself {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("view \"{}\" would read itself", table.name),
            ));
        }
        self.put_table(transaction, &table)?;
        self.reload_catalog(transaction)?;
        let mut notices = Vec::new();
        self.settle_views(transaction, &[table.id], &table.name, false, &mut notices)?;
        Ok(StatementResult::noted("CREATE VIEW", notices))
    }

    /// Views over tables that have changed must still fit; with CASCADE those that do not, go.
    pub(super) fn settle_views(
        &mut self,
        transaction: &Transaction,
        changed: &[TableId],
        name: &str,
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let catalog = self.catalog();
        for view in catalog.views_over(changed) {
            let path = self.settings.search_path.clone();
            let reader = catalog.with_path(&path);
            let Err(error) =
                crate::binder::check_view(&view.table, &reader, &BindOptions::default())
            else {
                continue;
            };
            if !cascade {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!("cannot alter \"{name}\" so because other objects depend on it"),
                )
                .detail(format!(
                    "view {} depends on it: {}",
                    view.table.name,
                    error.message()
                ))
                .hint("Drop the view first, and create it again afterwards."));
            }
            self.drop_tables(
                transaction,
                std::slice::from_ref(&view.table),
                true,
                notices,
            )?;
            notices.push(Notice::new(format!(
                "drop cascades to view {}",
                view.table.name
            )));
        }
        Ok(())
    }

    pub(super) fn create_sequence(
        &mut self,
        transaction: &Transaction,
        mut sequence: Sequence,
        exists: bool,
    ) -> Result<StatementResult> {
        if exists {
            return Ok(StatementResult::noted(
                "CREATE SEQUENCE",
                vec![Notice::new(format!(
                    "relation \"{}\" already exists, skipping",
                    sequence.name
                ))],
            ));
        }
        self.new_sequence(transaction, &mut sequence)?;
        Ok(StatementResult::done("CREATE SEQUENCE"))
    }

    /// Gives a sequence its id and state, and puts it into the catalog.
    pub(super) fn new_sequence(
        &mut self,
        transaction: &Transaction,
        sequence: &mut Sequence,
    ) -> Result<SequenceId> {
        sequence.id = SequenceId(self.allocate_id(transaction)?);
        sequence.state = sequence.id.0;
        let store = self.database.inner.catalog_store;
        let states = store.sequence_states(transaction)?;
        sequences::write_state(transaction, states, sequence.state, sequence.start, false)?;
        store.put_sequence(transaction, &sequence_record(sequence))?;
        self.note_owner(transaction, &ObjectId::Sequence(sequence.id))?;
        Ok(sequence.id)
    }

    pub(super) fn alter_sequence(
        &mut self,
        transaction: &Transaction,
        mut sequence: Sequence,
        restart: Option<i64>,
    ) -> Result<StatementResult> {
        let old = self.catalog().sequence_by_id(sequence.id);
        let moved = old
            .as_ref()
            .is_some_and(|old| old.name != sequence.name || old.schema != sequence.schema);
        match restart {
            Some(number) => self.restart_sequence(transaction, &sequence, number)?,
            None => {
                // Numbers that sessions have taken ahead are of the old definition.
                let value = self.sequence_value(&sequence)?;
                sequence.state = self.allocate_id(transaction)?;
                let store = self.database.inner.catalog_store;
                let states = store.sequence_states(transaction)?;
                let (last, called) = value;
                sequences::write_state(transaction, states, sequence.state, last, called)?;
                store.put_sequence(transaction, &sequence_record(&sequence))?;
            }
        }
        if moved && let Some(old) = old {
            self.rename_in_defaults(transaction, &old, &sequence)?;
        }
        Ok(StatementResult::done("ALTER SEQUENCE"))
    }

    /// Makes a sequence begin with `number`, as part of the transaction.
    pub(super) fn restart_sequence(
        &mut self,
        transaction: &Transaction,
        sequence: &Sequence,
        number: i64,
    ) -> Result<()> {
        let mut sequence = sequence.clone();
        sequence.state = self.allocate_id(transaction)?;
        let store = self.database.inner.catalog_store;
        let states = store.sequence_states(transaction)?;
        sequences::write_state(transaction, states, sequence.state, number, false)?;
        store.put_sequence(transaction, &sequence_record(&sequence))
    }

    /// Defaults that draw from a sequence follow its new name.
    fn rename_in_defaults(
        &mut self,
        transaction: &Transaction,
        old: &Sequence,
        new: &Sequence,
    ) -> Result<()> {
        let Some((owner, column)) = old.owner else {
            return Ok(());
        };
        let Some(handle) = self.catalog().handle(owner) else {
            return Ok(());
        };
        let Some(ordinal) = handle.table.ordinal(column) else {
            return Ok(());
        };
        let mut table = Table::clone(&handle.table);
        if let Some((text, _)) = &mut table.columns[ordinal].default {
            let quoted = |sequence: &Sequence| {
                let part = |part: &str| {
                    let plain = part
                        .chars()
                        .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
                    if plain {
                        part.to_owned()
                    } else {
                        format!("\"{}\"", part.replace('"', "\"\""))
                    }
                };
                format!("'{}.{}'", part(&sequence.schema), part(&sequence.name))
            };
            *text = text.replace(&quoted(old), &quoted(new));
        }
        table.version += 1;
        self.lock_table(transaction, &handle.table)?;
        self.put_table(transaction, &table)
    }
}
