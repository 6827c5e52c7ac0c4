//! Catalog records in their keyspace.
//!
//! | key                     | value              |
//! |-------------------------|--------------------|
//! | `d`                     | [`DatabaseRecord`] |
//! | `t` + table id (u32 BE) | [`TableRecord`]    |
//! | `s` + table id          | [`StatisticsRecord`] |
//!
//! The keyspace is the first one that a database creates, so it needs no name. Changes of the
//! catalog are serialised by an exclusive lock on it; readers use snapshots and wait for nobody.

use prost::Message;
use rustling_storage::{Direction, KeyRange, KeyspaceId, KeyspaceOptions};
use rustling_txn::{LockWait, TableLockMode, Transaction, TransactionManager};

use crate::{
    Error, Result, SqlState,
    catalog::TableId,
    encoding::corrupt,
    engine::{
        catalog::record::{self, DatabaseRecord, FORMAT, StatisticsRecord, TableRecord},
        error::{storage_error, txn_error},
    },
};

const DATABASE_KEY: &[u8] = b"d";
const TABLE: u8 = b't';
const STATISTICS: u8 = b's';

/// Where the catalog is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatalogStore {
    keyspace: KeyspaceId,
}

fn key(kind: u8, id: TableId) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

impl CatalogStore {
    /// Finds the catalog of a database, or makes one in an empty store.
    pub(crate) fn open(manager: &TransactionManager) -> Result<CatalogStore> {
        let keyspaces = manager.store().keyspaces();
        let first = keyspaces
            .iter()
            .filter(|(_, options)| !options.staging)
            .map(|(id, _)| *id)
            .min();
        let transaction = manager.begin(Default::default()).map_err(txn_error)?;
        match first {
            Some(keyspace) => {
                let store = CatalogStore { keyspace };
                let database = store.database(&transaction)?;
                if database.format != FORMAT {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "the catalog has format {}, this program reads format {FORMAT}",
                            database.format
                        ),
                    )
                    .hint("Use a version of this program that fits the database."));
                }
                Ok(store)
            }
            None => {
                let keyspace = transaction
                    .create_keyspace(KeyspaceOptions::default())
                    .map_err(txn_error)?;
                let store = CatalogStore { keyspace };
                let database = DatabaseRecord {
                    format: FORMAT,
                    next_id: 1,
                };
                transaction
                    .put(keyspace, DATABASE_KEY, &database.encode_to_vec())
                    .map_err(txn_error)?;
                transaction.commit().map_err(txn_error)?;
                Ok(store)
            }
        }
    }

    fn database(&self, transaction: &Transaction) -> Result<DatabaseRecord> {
        let bytes = transaction
            .get_latest(self.keyspace, DATABASE_KEY)
            .map_err(txn_error)?
            .ok_or_else(|| {
                storage_error(rustling_storage::Error::InvalidOption(
                    "the store holds no SQL database".to_owned(),
                ))
            })?;
        record::decode(&bytes)
    }

    /// Makes this transaction the only one that changes the catalog, until its end.
    pub(crate) fn lock(&self, transaction: &Transaction) -> Result<()> {
        transaction
            .lock_table(self.keyspace, TableLockMode::Exclusive, LockWait::Wait)
            .map_err(txn_error)
    }

    /// A fresh id for a table or index. The catalog must be locked.
    pub(crate) fn allocate_id(&self, transaction: &Transaction) -> Result<u32> {
        let mut database = self.database(transaction)?;
        let id = database.next_id;
        database.next_id = id
            .checked_add(1)
            .ok_or_else(|| corrupt("the next table id in the catalog"))?;
        transaction
            .put(self.keyspace, DATABASE_KEY, &database.encode_to_vec())
            .map_err(txn_error)?;
        Ok(id)
    }

    /// Writes a table's definition.
    pub(crate) fn put_table(&self, transaction: &Transaction, table: &TableRecord) -> Result<()> {
        transaction
            .put(
                self.keyspace,
                &key(TABLE, TableId(table.id)),
                &table.encode_to_vec(),
            )
            .map_err(txn_error)
    }

    /// Removes a table's definition and statistics.
    pub(crate) fn delete_table(&self, transaction: &Transaction, id: TableId) -> Result<()> {
        for kind in [TABLE, STATISTICS] {
            transaction
                .delete(self.keyspace, &key(kind, id))
                .map_err(txn_error)?;
        }
        Ok(())
    }

    /// Writes a table's statistics.
    pub(crate) fn put_statistics(
        &self,
        transaction: &Transaction,
        id: TableId,
        statistics: &StatisticsRecord,
    ) -> Result<()> {
        transaction
            .put(
                self.keyspace,
                &key(STATISTICS, id),
                &statistics.encode_to_vec(),
            )
            .map_err(txn_error)
    }

    /// Every table with its statistics, as the transaction sees them.
    pub(crate) fn load(
        &self,
        transaction: &Transaction,
    ) -> Result<Vec<(TableRecord, Option<StatisticsRecord>)>> {
        let mut tables = Vec::new();
        let mut cursor = transaction
            .scan(
                self.keyspace,
                KeyRange::prefix(&[TABLE]),
                Direction::Forward,
            )
            .map_err(txn_error)?;
        while let Some((_, bytes)) = cursor.next().map_err(txn_error)? {
            tables.push((record::decode::<TableRecord>(bytes)?, None));
        }
        drop(cursor);
        for (table, statistics) in &mut tables {
            *statistics = transaction
                .get(self.keyspace, &key(STATISTICS, TableId(table.id)))
                .map_err(txn_error)?
                .map(|bytes| record::decode(&bytes))
                .transpose()?;
        }
        Ok(tables)
    }
}
