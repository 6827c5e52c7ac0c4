//! CREATE and DROP. Definitions change within transactions like rows do.
//!
//! A statement here first locks the catalog, so that nobody else changes it until the end of
//! the transaction, and is bound only then, to the catalog as it is under the lock.

use std::{collections::HashSet, sync::Arc};

use rustling_storage::{Direction, EngineKind, KeyRange, KeyspaceId, KeyspaceOptions};
use rustling_txn::{Error as TxnError, LockWait, TableLockMode, Transaction};

use crate::{
    Error, Result, SqlState, Value,
    binder::{BindOptions, bind},
    bound::{
        BoundStatement, ColumnId, CreateIndex, CreateTable, IndexDefinition, InsertConflict,
        LogicalPlan,
    },
    catalog::{CatalogReader as _, Check, Column, Index, IndexId, Table, TableId, TableStorage},
    encoding::RowDecoder,
    engine::{
        catalog::{
            CatalogSnapshot,
            snapshot::{PUBLIC, record_of},
        },
        error::txn_error,
        prepared::{ChangeAction, ChangeKind, Prepared},
        session::{Session, StatementResult},
        table::{IndexHandle, TableHandle},
        transaction_state::OpenTransaction,
    },
    planner::{PlanContext, plan_query},
};

/// How the store keeps a keyspace of a table.
fn keyspace_options(storage: TableStorage) -> KeyspaceOptions {
    KeyspaceOptions {
        engine: match storage {
            TableStorage::BTree => EngineKind::BTree,
            TableStorage::Lsm => EngineKind::Lsm,
            TableStorage::Hybrid => EngineKind::Hybrid,
        },
        ..KeyspaceOptions::default()
    }
}

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
        let prepared = Arc::clone(prepared);
        let options = BindOptions {
            double_quoted_strings: self.settings.double_quoted_strings,
            ..BindOptions::default()
        };
        self.define(move |catalog| Ok(bind(&prepared.ast, catalog, &options)?.statement))
    }

    /// Runs the definition that `bind` makes of the catalog as it is under its lock.
    pub(super) fn define(
        &mut self,
        bind: impl Fn(&CatalogSnapshot) -> Result<BoundStatement>,
    ) -> Result<StatementResult> {
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
        bind: &dyn Fn(&CatalogSnapshot) -> Result<BoundStatement>,
    ) -> Result<StatementResult> {
        let inner = Arc::clone(&self.database.inner);
        let open = self.open_block()?;
        let transaction = Arc::clone(&open.transaction);
        inner.catalog_store.lock(&transaction)?;
        drop(transaction);
        open.begin_statement();
        let transaction = Arc::clone(&open.transaction);
        let catalog = inner.load_catalog(&transaction)?;
        open.catalog = Some(Arc::clone(&catalog));
        let statement = bind(&catalog)?;
        self.open_block()?.changed_catalog = true;
        let result = match statement {
            BoundStatement::CreateTable(definition) => self.create_table(&transaction, definition),
            BoundStatement::CreateIndex(definition) => self.create_index(&transaction, definition),
            BoundStatement::DropTable { tables, missing } => {
                self.drop_tables(&transaction, &tables, &missing)
            }
            BoundStatement::DropIndex { indexes, missing } => {
                self.drop_indexes(&transaction, &indexes, &missing)
            }
            BoundStatement::Analyze { tables } => self.analyze_tables(&transaction, &tables),
            _ => Err(Error::new(SqlState::INTERNAL_ERROR, "not a definition")),
        }?;
        self.reload_catalog(&transaction)?;
        Ok(result)
    }

    fn open_block(&mut self) -> Result<&mut OpenTransaction> {
        self.open
            .as_deref_mut()
            .ok_or_else(|| Error::new(SqlState::INTERNAL_ERROR, "no transaction is open"))
    }

    /// Makes what the transaction has changed of the catalog its catalog.
    fn reload_catalog(&mut self, transaction: &Transaction) -> Result<()> {
        let catalog = self.database.inner.load_catalog(transaction)?;
        self.open_block()?.catalog = Some(catalog);
        Ok(())
    }

    /// Fails where the name is taken by a table or index.
    fn check_name(&self, name: &str) -> Result<()> {
        let catalog = self.catalog();
        if catalog.find(None, name).is_some() || catalog.table_of_index(name)?.is_some() {
            return Err(name_taken(name));
        }
        Ok(())
    }

    fn create_table(
        &mut self,
        transaction: &Transaction,
        definition: CreateTable,
    ) -> Result<StatementResult> {
        if definition.exists {
            return Ok(StatementResult::noted(
                "CREATE TABLE",
                vec![format!(
                    "NOTICE:  relation \"{}\" already exists, skipping",
                    definition.name
                )],
            ));
        }
        self.check_name(&definition.name)?;
        let store = self.database.inner.catalog_store;
        let new_keyspace = || -> Result<u32> {
            Ok(transaction
                .create_keyspace(keyspace_options(definition.storage))
                .map_err(txn_error)?
                .0)
        };
        let mut names = HashSet::new();
        let mut indexes = Vec::with_capacity(definition.unique.len());
        for unique in definition.unique {
            let name = self.free_index_name(&unique.name, &mut names)?;
            indexes.push(Index {
                id: IndexId(store.allocate_id(transaction)?),
                name,
                columns: unique.columns,
                unique: true,
                keyspace: new_keyspace()?,
            });
        }
        let name = definition.name;
        let table = Table {
            id: TableId(store.allocate_id(transaction)?),
            schema: definition.schema.unwrap_or_else(|| PUBLIC.to_owned()),
            version: 1,
            columns: definition
                .columns
                .into_iter()
                .map(|column| Column {
                    name: column.name,
                    data_type: column.data_type,
                    not_null: column.not_null,
                    default: column.default,
                })
                .collect(),
            primary_key_name: (!definition.primary_key.is_empty()).then(|| {
                definition
                    .primary_key_name
                    .unwrap_or_else(|| format!("{name}_pkey"))
            }),
            primary_key: definition.primary_key,
            checks: definition
                .checks
                .into_iter()
                .map(|(name, text, predicate)| Check {
                    name,
                    text,
                    predicate,
                })
                .collect(),
            indexes,
            keyspace: new_keyspace()?,
            storage: definition.storage,
            name,
        };
        let id = table.id;
        store.put_table(transaction, &record_of(&table))?;
        let Some((source, columns)) = definition.source else {
            return Ok(StatementResult::done("CREATE TABLE"));
        };
        self.reload_catalog(transaction)?;
        let affected = self.fill(id, source, &columns)?;
        Ok(StatementResult::Done {
            tag: format!("SELECT {affected}"),
            affected,
            notices: Vec::new(),
        })
    }

    /// Inserts the rows of a query into a table that this transaction has made.
    fn fill(&mut self, id: TableId, source: LogicalPlan, columns: &[ColumnId]) -> Result<u64> {
        let catalog = self.catalog();
        let tables = |id| catalog.handle(id);
        let context = PlanContext {
            tables: &tables,
            parameters: 0,
            executor: self.settings.executor,
            optimizer: self.settings.optimizer,
        };
        let change = ChangeAction {
            table: catalog.handle(id).ok_or_else(|| {
                Error::new(
                    SqlState::INTERNAL_ERROR,
                    "the new table is not in the catalog",
                )
            })?,
            source: plan_query(source, columns, &context)?,
            reads_itself: false,
            kind: ChangeKind::Insert(InsertConflict::Error),
        };
        let transaction = self.read_transaction()?;
        let mut context = self.exec_context(transaction, Vec::new(), None);
        super::dml::apply(&change, &mut context, self.database.store())
    }

    /// The name asked for, or with a number after it where that is taken.
    fn free_index_name(&self, wanted: &str, taken: &mut HashSet<String>) -> Result<String> {
        let catalog = self.catalog();
        let mut name = wanted.to_owned();
        let mut number = 0;
        while taken.contains(&name)
            || catalog.table_of_index(&name)?.is_some()
            || catalog.find(None, &name).is_some()
        {
            number += 1;
            name = format!("{wanted}{number}");
        }
        taken.insert(name.clone());
        Ok(name)
    }

    fn create_index(
        &mut self,
        transaction: &Transaction,
        definition: CreateIndex,
    ) -> Result<StatementResult> {
        let IndexDefinition {
            name,
            columns,
            unique,
        } = definition.index;
        if definition.exists {
            return Ok(StatementResult::noted(
                "CREATE INDEX",
                vec![format!(
                    "NOTICE:  relation \"{name}\" already exists, skipping"
                )],
            ));
        }
        self.check_name(&name)?;
        let handle = self.lock_table(transaction, &definition.table)?;
        let store = self.database.inner.catalog_store;
        let index = Index {
            id: IndexId(store.allocate_id(transaction)?),
            name,
            columns,
            unique,
            keyspace: transaction
                .create_keyspace(keyspace_options(handle.table.storage))
                .map_err(txn_error)?
                .0,
        };
        self.fill_index(transaction, &handle, &index)?;
        let mut table = Table::clone(&handle.table);
        table.version += 1;
        table.indexes.push(index);
        store.put_table(transaction, &record_of(&table))?;
        Ok(StatementResult::done("CREATE INDEX"))
    }

    /// Keeps everybody else from writing to a table; gives it as it is under the lock.
    fn lock_table(&mut self, transaction: &Transaction, table: &Table) -> Result<Arc<TableHandle>> {
        transaction
            .lock_table(
                KeyspaceId(table.keyspace),
                TableLockMode::Exclusive,
                LockWait::Wait,
            )
            .map_err(txn_error)?;
        // What was committed while waiting is to be seen.
        transaction.begin_statement();
        self.catalog().handle(table.id).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", table.name),
            )
        })
    }

    fn fill_index(
        &self,
        transaction: &Transaction,
        handle: &TableHandle,
        index: &Index,
    ) -> Result<()> {
        let index = IndexHandle::new(&handle.table, index);
        let snapshot_is_old =
            self.keeps_snapshot() && self.database.catalog().handle(handle.table.id).is_some();
        if snapshot_is_old {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "CREATE INDEX in a REPEATABLE READ transaction is only possible on a table of its own",
            )
            .detail("The transaction's snapshot may miss rows that the index must have.")
            .hint("Use a READ COMMITTED transaction."));
        }
        let decoder = RowDecoder::new(Arc::clone(&handle.codec), &index.ordinals);
        let mut cursor = transaction
            .scan(handle.keyspace, KeyRange::all(), Direction::Forward)
            .map_err(txn_error)?;
        let mut row = vec![Value::Null; handle.table.columns.len()];
        let mut values = vec![Value::Null; index.ordinals.len()];
        let (mut scratch, mut entry) = (Vec::new(), Vec::new());
        let mut count = 0u32;
        while let Some((key, stored)) = cursor.next().map_err(txn_error)? {
            count = count.wrapping_add(1);
            if count.is_multiple_of(128) {
                self.cancel.check()?;
            }
            decoder.decode_values(key, stored, &mut scratch, &mut values)?;
            for (ordinal, value) in index.ordinals.iter().zip(&mut values) {
                if let Some(place) = row.get_mut(*ordinal) {
                    *place = std::mem::take(value);
                }
            }
            entry.clear();
            let value = index.entry(&row, key, &mut entry)?;
            if index.is_unique_for(&row) {
                match transaction.insert(index.keyspace, &entry, value) {
                    Ok(()) => {}
                    Err(TxnError::KeyExists { .. }) => {
                        return Err(not_unique(handle, &index, &row));
                    }
                    Err(error) => return Err(txn_error(error)),
                }
            } else {
                transaction
                    .put(index.keyspace, &entry, value)
                    .map_err(txn_error)?;
            }
        }
        Ok(())
    }

    fn drop_tables(
        &mut self,
        transaction: &Transaction,
        tables: &[Arc<Table>],
        missing: &[String],
    ) -> Result<StatementResult> {
        for table in tables {
            let handle = self.lock_table(transaction, table)?;
            for index in &handle.indexes {
                transaction
                    .drop_keyspace(index.keyspace)
                    .map_err(txn_error)?;
            }
            transaction
                .drop_keyspace(handle.keyspace)
                .map_err(txn_error)?;
            self.database
                .inner
                .catalog_store
                .delete_table(transaction, table.id)?;
        }
        Ok(StatementResult::noted(
            "DROP TABLE",
            skipped("table", missing),
        ))
    }

    fn drop_indexes(
        &mut self,
        transaction: &Transaction,
        indexes: &[(Arc<Table>, String)],
        missing: &[String],
    ) -> Result<StatementResult> {
        for (table, name) in indexes {
            let handle = self.lock_table(transaction, table)?;
            // Two indexes of one table may be dropped at once: each sees the record before it.
            self.reload_catalog(transaction)?;
            let newest = self.catalog().handle(table.id).unwrap_or(handle);
            let mut table = Table::clone(&newest.table);
            let Some(at) = table.indexes.iter().position(|index| index.name == *name) else {
                continue;
            };
            let index = table.indexes.remove(at);
            table.version += 1;
            transaction
                .drop_keyspace(KeyspaceId(index.keyspace))
                .map_err(txn_error)?;
            self.database
                .inner
                .catalog_store
                .put_table(transaction, &record_of(&table))?;
        }
        Ok(StatementResult::noted(
            "DROP INDEX",
            skipped("index", missing),
        ))
    }
}

fn skipped(what: &str, missing: &[String]) -> Vec<String> {
    missing
        .iter()
        .map(|name| format!("NOTICE:  {what} \"{name}\" does not exist, skipping"))
        .collect()
}

#[cold]
fn name_taken(name: &str) -> Error {
    Error::new(
        SqlState::DUPLICATE_TABLE,
        format!("relation \"{name}\" already exists"),
    )
}

/// The error of a unique index over rows that are not.
#[cold]
fn not_unique(handle: &TableHandle, index: &IndexHandle, row: &[Value]) -> Error {
    let duplicate = handle.index_key_exists(index, row);
    let detail = duplicate
        .detail_text()
        .unwrap_or_default()
        .replace("already exists", "is duplicated");
    Error::new(
        SqlState::UNIQUE_VIOLATION,
        format!("could not create unique index \"{}\"", index.name),
    )
    .detail(detail)
}
