//! Statements that change the catalog. Definitions change within transactions like rows do.
//!
//! A statement here first locks the catalog, so that nobody else changes it until the end of
//! the transaction, and is bound only then, to the catalog as it is under the lock.
//!
//! - [`tables`]: CREATE TABLE, TRUNCATE.
//! - [`comment`]: COMMENT ON.
//! - [`alter`]: ALTER TABLE, by comparing the old definition with the new one.
//! - [`indexes`]: CREATE INDEX, and filling indexes.
//! - [`mod@drop`]: DROP, with what depends on it.
//! - [`partitions`]: what partitions hold.
//! - [`schemas`]: schemas, views and sequences.
//! - [`types`]: domains, distinct types and enumerated types.
//! - [`type_users`]: DROP TYPE, and what uses a type.

mod alter;
pub(crate) mod comment;
mod drop;
mod indexes;
mod partitions;
mod schemas;
mod tables;
mod type_users;
mod types;

use std::sync::Arc;

use rustling_storage::{EngineKind, KeyspaceId, KeyspaceOptions};
use rustling_txn::{LockWait, TableLockMode, Transaction};

use crate::{
    Error, Result, SqlState, Value,
    ast::StatementKind,
    binder::{BindOptions, bind},
    bound::{BoundStatement, Definition, Needed},
    catalog::{CatalogReader, Table, TableId, TableStorage},
    engine::{
        catalog::{CatalogSnapshot, convert::record_of},
        error::txn_error,
        notice::Notice,
        prepared::Prepared,
        session::{Session, StatementResult},
        table::TableHandle,
        transaction_state::OpenTransaction,
    },
};

/// A statement that changes the catalog, with what the session's role needs for it; `None`: the
/// session does it for itself.
type BoundDefinition = (BoundStatement, Option<Needed>);

impl Session {
    /// Runs a statement that changes the catalog: in the open block, or in one of its own,
    /// which is tried again where it must give way to another.
    pub(super) fn run_definition(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[Value],
    ) -> Result<StatementResult> {
        if !params.is_empty() {
            return Err(Error::new(
                SqlState("08P01"),
                "a statement that defines tables or indexes takes no parameters",
            ));
        }
        if is_temporary(&prepared.ast.kind) {
            self.own_temporary_schema();
        }
        let prepared = Arc::clone(prepared);
        let options = BindOptions {
            double_quoted_strings: self.settings.double_quoted_strings,
            ..BindOptions::default()
        };
        self.define(move |catalog| {
            let bound = bind(&prepared.ast, catalog, &options)?;
            Ok((bound.statement, Some(bound.needed)))
        })
    }

    /// Runs the definition that `bind` makes of the catalog as it is under its lock. Where it says
    /// what is needed, the session's role has to have it; what a session does for itself is not
    /// asked about.
    pub(super) fn define(
        &mut self,
        bind: impl Fn(&dyn CatalogReader) -> Result<BoundDefinition>,
    ) -> Result<StatementResult> {
        self.own_sequences();
        if self.open.is_some() {
            return self.define_in_block(&bind);
        }
        let mut backoff = self.database.inner.backoff();
        loop {
            self.begin()?;
            let waits = self
                .open
                .as_ref()
                .map(|open| open.transaction.cancel_handle());
            self.cancel.reset(waits);
            let result = self.define_in_block(&bind).and_then(|result| {
                self.commit()?;
                Ok(result)
            });
            if result.is_err() && self.in_transaction() {
                self.rollback()?;
            }
            match result {
                Err(error) if error.is_retryable() && backoff.pause() => {}
                result => return result,
            }
        }
    }

    fn define_in_block(
        &mut self,
        bind: &dyn Fn(&dyn CatalogReader) -> Result<BoundDefinition>,
    ) -> Result<StatementResult> {
        let inner = Arc::clone(&self.database.inner);
        if self.open_block()?.read_only {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                "cannot change definitions in a read-only transaction",
            ));
        }
        self.refuse_early(bind)?;
        let open = self.open_block()?;
        let transaction = Arc::clone(&open.transaction);
        inner.catalog_store.lock(&transaction)?;
        drop(transaction);
        open.begin_statement();
        let transaction = Arc::clone(&open.transaction);
        inner.catalog_store.note_change(&transaction)?;
        let catalog = inner.load_catalog(&transaction)?;
        open.catalog = Some(Arc::clone(&catalog));
        let path = Arc::clone(&self.settings.search_path);
        let (statement, needed) = bind(&catalog.with_path(&path))?;
        if let Some(needed) = &needed {
            self.authorize_definition(&catalog, &statement, needed)?;
        }
        self.open_block()?.changed_catalog = true;
        let result = match statement {
            BoundStatement::Definition(definition) => self.change(&transaction, *definition),
            BoundStatement::Analyze { tables } => self.analyze_tables(&transaction, &tables),
            _ => Err(Error::new(SqlState::INTERNAL_ERROR, "not a definition")),
        }?;
        self.reload_catalog(&transaction)?;
        Ok(result)
    }

    /// Fails where the session's role may not do what `bind` makes of the catalog as it is before
    /// the lock: who is refused keeps nobody waiting. What is wrong otherwise shows under the lock.
    fn refuse_early(
        &self,
        bind: &dyn Fn(&dyn CatalogReader) -> Result<BoundDefinition>,
    ) -> Result<()> {
        let catalog = self.catalog();
        if self.rights(&catalog).superuser {
            return Ok(());
        }
        let path = Arc::clone(&self.settings.search_path);
        match bind(&catalog.with_path(&path)) {
            Ok((statement, Some(needed))) => {
                self.authorize_definition(&catalog, &statement, &needed)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn change(
        &mut self,
        transaction: &Transaction,
        definition: Definition,
    ) -> Result<StatementResult> {
        match definition {
            Definition::CreateTable(definition) => self.create_table(transaction, definition),
            Definition::CreateIndex(definition) => self.create_index(transaction, definition),
            Definition::CreateView(definition) => self.create_view(transaction, definition),
            Definition::CreateSequence { sequence, exists } => {
                self.create_sequence(transaction, sequence, exists)
            }
            Definition::CreateSchema(definition) => self.create_schema(transaction, definition),
            Definition::Comment(comment) => self.comment(transaction, &comment),
            Definition::AlterTable(alter) => self.alter_table(transaction, alter),
            Definition::AlterSequence { sequence, restart } => {
                self.alter_sequence(transaction, sequence, restart)
            }
            Definition::Nothing { tag, notice } => {
                Ok(StatementResult::noted(tag, vec![Notice::new(notice)]))
            }
            Definition::Drop(drop) => self.drop_objects(transaction, drop),
            Definition::Truncate(truncate) => self.truncate(transaction, truncate),
            Definition::CreateType { definition, tag } => {
                self.create_type(transaction, definition, tag)
            }
            Definition::CreateEnum {
                id,
                schema,
                name,
                labels,
            } => self.create_enum(transaction, id, (schema, name), labels),
            Definition::AlterType { of, change } => self.alter_named_type(transaction, &of, change),
            Definition::DropTypes {
                types,
                missing,
                cascade,
                domain,
            } => self.drop_types(transaction, &types, &missing, cascade, domain),
            Definition::Access(statement) => self.change_access(transaction, &statement),
        }
    }

    pub(super) fn open_block(&mut self) -> Result<&mut OpenTransaction> {
        self.open
            .as_deref_mut()
            .ok_or_else(|| Error::new(SqlState::INTERNAL_ERROR, "no transaction is open"))
    }

    /// Makes what the transaction has changed of the catalog its catalog.
    pub(super) fn reload_catalog(
        &mut self,
        transaction: &Transaction,
    ) -> Result<Arc<CatalogSnapshot>> {
        let catalog = self.database.inner.load_catalog(transaction)?;
        self.open_block()?.catalog = Some(Arc::clone(&catalog));
        self.note_open_catalog();
        Ok(catalog)
    }

    fn put_table(&self, transaction: &Transaction, table: &Table) -> Result<()> {
        let store = self.database.inner.catalog_store;
        let mut record = record_of(table)?;
        store.number_parts(transaction, &mut record)?;
        store.put_table(transaction, &record)
    }

    fn allocate_id(&self, transaction: &Transaction) -> Result<u32> {
        self.database.inner.catalog_store.allocate_id(transaction)
    }

    /// Keeps everybody else from writing to a table; gives it as it is under the lock.
    fn lock_table(&mut self, transaction: &Transaction, table: &Table) -> Result<Arc<TableHandle>> {
        if table.view().is_none() {
            transaction
                .lock_table(
                    KeyspaceId(table.keyspace),
                    TableLockMode::Exclusive,
                    LockWait::Wait,
                )
                .map_err(txn_error)?;
            // What was committed while waiting is to be seen.
            transaction.begin_statement();
        }
        self.catalog().handle(table.id).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", table.name),
            )
        })
    }

    /// Makes statements that were planned before be planned again: something about the table
    /// has changed that is not in its own definition.
    fn touch(&mut self, transaction: &Transaction, id: TableId) -> Result<()> {
        let Some(handle) = self.catalog().handle(id) else {
            return Ok(());
        };
        let handle = self.lock_table(transaction, &Arc::clone(&handle.table))?;
        let mut table = Table::clone(&handle.table);
        table.version += 1;
        self.put_table(transaction, &table)?;
        self.reload_catalog(transaction)?;
        Ok(())
    }

    /// Fails in a transaction that keeps an old snapshot, which may miss rows that a change of
    /// the definition must see.
    fn must_see_all_rows(&self, table: &TableHandle, what: &str) -> Result<()> {
        let own = self.database.catalog().handle(table.table.id).is_none();
        if own || !self.keeps_snapshot() {
            return Ok(());
        }
        Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "{what} in a REPEATABLE READ transaction is only possible on a table of its own"
            ),
        )
        .detail("The transaction's snapshot may miss rows that the new definition must have.")
        .hint("Use a READ COMMITTED transaction."))
    }

    /// A table by id as statements of this session find it now.
    pub(super) fn newest_table(&self, id: TableId) -> Option<Arc<TableHandle>> {
        match &self.open {
            Some(open) if open.changed_catalog => self.catalog().handle(id),
            _ => self.database.catalog().handle(id),
        }
    }
}

/// Whether the statement makes something temporary.
fn is_temporary(statement: &StatementKind) -> bool {
    match statement {
        StatementKind::CreateTable(create) => create.temporary.is_some(),
        StatementKind::CreateView(create) => create.temporary,
        StatementKind::CreateSequence(create) => create.temporary,
        _ => false,
    }
}

/// The engine of a table that is stored so.
fn engine_of(storage: TableStorage) -> EngineKind {
    match storage {
        TableStorage::BTree => EngineKind::BTree,
        TableStorage::Lsm => EngineKind::Lsm,
        TableStorage::Hybrid => EngineKind::Hybrid,
    }
}

/// A new keyspace for rows or index entries of a table that is stored so.
fn new_keyspace(transaction: &Transaction, storage: TableStorage) -> Result<u32> {
    let options = KeyspaceOptions {
        engine: engine_of(storage),
        ..KeyspaceOptions::default()
    };
    Ok(transaction.create_keyspace(options).map_err(txn_error)?.0)
}

/// Drops the keyspaces of a table and its indexes.
fn drop_keyspaces(transaction: &Transaction, table: &Table) -> Result<()> {
    let indexes = table.indexes.iter().map(|index| index.keyspace);
    for keyspace in indexes.chain([table.keyspace]) {
        transaction
            .drop_keyspace(KeyspaceId(keyspace))
            .map_err(txn_error)?;
    }
    Ok(())
}
