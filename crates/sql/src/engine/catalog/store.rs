//! Catalog records in their keyspace.
//!
//! | key                     | value              |
//! |-------------------------|--------------------|
//! | `d`                     | [`DatabaseRecord`] |
//! | `t` + table id (u32 BE) | [`TableRecord`]    |
//! | `s` + table id          | [`StatisticsRecord`] |
//! | `q` + sequence id       | [`SequenceRecord`] |
//! | `n` + schema id         | [`SchemaRecord`]   |
//!
//! The keyspace is the first one that a database creates, so it needs no name. Changes of the
//! catalog are serialised by an exclusive lock on it; readers use snapshots and wait for nobody.

use prost::Message;
use rustling_storage::{Direction, KeyRange, KeyspaceId, KeyspaceOptions};
use rustling_txn::{LockWait, TableLockMode, Transaction, TransactionManager};

use crate::{
    Error, Result, SqlState,
    catalog::{SequenceId, TableId},
    encoding::corrupt,
    engine::{
        catalog::record::{
            self, DatabaseRecord, FORMAT, SchemaRecord, SequenceRecord, StatisticsRecord,
            TableRecord,
        },
        error::{storage_error, txn_error},
    },
};

const DATABASE_KEY: &[u8] = b"d";
const TABLE: u8 = b't';
const STATISTICS: u8 = b's';
const SEQUENCE: u8 = b'q';
const SCHEMA: u8 = b'n';

/// Where the catalog is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatalogStore {
    keyspace: KeyspaceId,
}

fn key(kind: u8, id: u32) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// Every record of a catalog.
#[derive(Debug, Default)]
pub(crate) struct CatalogRecords {
    /// Tables with their statistics.
    pub(crate) tables: Vec<(TableRecord, Option<StatisticsRecord>)>,
    /// Sequences.
    pub(crate) sequences: Vec<SequenceRecord>,
    /// Schemas.
    pub(crate) schemas: Vec<SchemaRecord>,
    /// The keyspace of the sequences' states.
    pub(crate) sequence_states: Option<KeyspaceId>,
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
                    sequences: 0,
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
            .put(self.keyspace, &key(TABLE, table.id), &table.encode_to_vec())
            .map_err(txn_error)
    }

    /// Removes a table's definition and statistics.
    pub(crate) fn delete_table(&self, transaction: &Transaction, id: TableId) -> Result<()> {
        for kind in [TABLE, STATISTICS] {
            transaction
                .delete(self.keyspace, &key(kind, id.0))
                .map_err(txn_error)?;
        }
        Ok(())
    }

    /// Removes a table's statistics.
    pub(crate) fn delete_statistics(&self, transaction: &Transaction, id: TableId) -> Result<()> {
        transaction
            .delete(self.keyspace, &key(STATISTICS, id.0))
            .map_err(txn_error)
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
                &key(STATISTICS, id.0),
                &statistics.encode_to_vec(),
            )
            .map_err(txn_error)
    }

    /// Writes a sequence's definition.
    pub(crate) fn put_sequence(
        &self,
        transaction: &Transaction,
        sequence: &SequenceRecord,
    ) -> Result<()> {
        transaction
            .put(
                self.keyspace,
                &key(SEQUENCE, sequence.id),
                &sequence.encode_to_vec(),
            )
            .map_err(txn_error)
    }

    /// Removes a sequence's definition.
    pub(crate) fn delete_sequence(&self, transaction: &Transaction, id: SequenceId) -> Result<()> {
        transaction
            .delete(self.keyspace, &key(SEQUENCE, id.0))
            .map_err(txn_error)
    }

    /// Writes a schema.
    pub(crate) fn put_schema(
        &self,
        transaction: &Transaction,
        schema: &SchemaRecord,
    ) -> Result<()> {
        transaction
            .put(
                self.keyspace,
                &key(SCHEMA, schema.id),
                &schema.encode_to_vec(),
            )
            .map_err(txn_error)
    }

    /// Removes a schema.
    pub(crate) fn delete_schema(&self, transaction: &Transaction, id: u32) -> Result<()> {
        transaction
            .delete(self.keyspace, &key(SCHEMA, id))
            .map_err(txn_error)
    }

    /// The keyspace of the sequences' states, made where there is none. The catalog must be
    /// locked.
    pub(crate) fn sequence_states(&self, transaction: &Transaction) -> Result<KeyspaceId> {
        let mut database = self.database(transaction)?;
        if database.sequences == 0 {
            database.sequences = transaction
                .create_keyspace(KeyspaceOptions::default())
                .map_err(txn_error)?
                .0;
            transaction
                .put(self.keyspace, DATABASE_KEY, &database.encode_to_vec())
                .map_err(txn_error)?;
        }
        Ok(KeyspaceId(database.sequences))
    }

    fn records<R: Message + Default>(&self, transaction: &Transaction, kind: u8) -> Result<Vec<R>> {
        let mut records = Vec::new();
        let mut cursor = transaction
            .scan(self.keyspace, KeyRange::prefix(&[kind]), Direction::Forward)
            .map_err(txn_error)?;
        while let Some((_, bytes)) = cursor.next().map_err(txn_error)? {
            records.push(record::decode(bytes)?);
        }
        Ok(records)
    }

    /// Everything, as the transaction sees it.
    pub(crate) fn load(&self, transaction: &Transaction) -> Result<CatalogRecords> {
        let mut tables = Vec::new();
        for table in self.records::<TableRecord>(transaction, TABLE)? {
            let statistics = transaction
                .get(self.keyspace, &key(STATISTICS, table.id))
                .map_err(txn_error)?
                .map(|bytes| record::decode(&bytes))
                .transpose()?;
            tables.push((table, statistics));
        }
        let database = transaction
            .get(self.keyspace, DATABASE_KEY)
            .map_err(txn_error)?
            .map(|bytes| record::decode::<DatabaseRecord>(&bytes))
            .transpose()?;
        Ok(CatalogRecords {
            tables,
            sequences: self.records(transaction, SEQUENCE)?,
            schemas: self.records(transaction, SCHEMA)?,
            sequence_states: database
                .map(|database| database.sequences)
                .filter(|keyspace| *keyspace != 0)
                .map(KeyspaceId),
        })
    }
}
