//! Catalog records in their keyspace.
//!
//! | key                     | value              |
//! |-------------------------|--------------------|
//! | `d`                     | [`DatabaseRecord`] |
//! | `t` + table id (u32 BE) | [`TableRecord`]    |
//! | `s` + table id          | [`StatisticsRecord`] |
//! | `q` + sequence id       | [`SequenceRecord`] |
//! | `n` + schema id         | [`SchemaRecord`]   |
//! | `c` + class, object, column (u32 BE each) | [`CommentRecord`] |
//! | `y` + type id           | [`NamedTypeRecord`] |
//! | `r` + role id           | [`RoleRecord`]     |
//! | `a` + kind (u32 BE) + number (u32 BE) + name | [`AccessRecord`] |
//!
//! The keyspace is the first one that a database creates, so it needs no name. Changes of the
//! catalog are serialised by an exclusive lock on it; readers use snapshots and wait for nobody.

use prost::Message;
use rustling_storage::{Direction, KeyRange, KeyspaceId, KeyspaceOptions};
use rustling_txn::{LockWait, TableLockMode, Transaction, TransactionManager};

use crate::{
    Error, Result, SqlState,
    catalog::{
        SequenceId, TableId,
        access::{Access, ObjectId, Role, RoleId},
        named_type::TypeId,
    },
    encoding::corrupt,
    engine::{
        catalog::{
            access::{AccessRecord, RoleRecord, access_record, parts},
            record::{
                self, CommentRecord, DatabaseRecord, FORMAT, NamedTypeRecord, SchemaRecord,
                SequenceRecord, StatisticsRecord, TableRecord,
            },
        },
        error::{storage_error, txn_error},
    },
    system::oids::{PG_CLASS, PG_NAMESPACE},
    types::FIRST_USER_OID,
};

const DATABASE_KEY: &[u8] = b"d";
const TABLE: u8 = b't';
const STATISTICS: u8 = b's';
const SEQUENCE: u8 = b'q';
const SCHEMA: u8 = b'n';
const COMMENT: u8 = b'c';
const TYPE: u8 = b'y';
const ROLE: u8 = b'r';
const ACCESS: u8 = b'a';

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

/// What a comment is on: the number of the catalog that lists the object, the object's number
/// there, and the number of a column or 0.
pub(crate) type CommentKey = (u32, u32, u32);

fn comment_key(class: u32, object: u32, column: Option<u32>) -> Vec<u8> {
    let mut bytes = key(COMMENT, class);
    bytes.extend_from_slice(&object.to_be_bytes());
    if let Some(column) = column {
        bytes.extend_from_slice(&column.to_be_bytes());
    }
    bytes
}

fn access_key(object: &ObjectId) -> Vec<u8> {
    let (kind, id, name) = parts(object);
    let mut key = key(ACCESS, kind);
    key.extend_from_slice(&id.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
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
    /// Comments.
    pub(crate) comments: Vec<CommentRecord>,
    /// Domains and distinct types.
    pub(crate) types: Vec<NamedTypeRecord>,
    /// Roles.
    pub(crate) roles: Vec<RoleRecord>,
    /// Owners and grants of objects.
    pub(crate) access: Vec<AccessRecord>,
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
                    changes: 0,
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

    /// Notes that this transaction changes the catalog, which must be locked. One that still reads
    /// the catalog as it was before another's change may not: what it refers to may be gone, and
    /// what it writes would undo that change. Such are those that keep a snapshot, and those of
    /// which a result is still being read.
    ///
    /// # Errors
    /// 40001 for such a transaction.
    pub(crate) fn note_change(&self, transaction: &Transaction) -> Result<()> {
        let mut database = self.database(transaction)?;
        let seen = transaction
            .get(self.keyspace, DATABASE_KEY)
            .map_err(txn_error)?;
        let seen: Option<DatabaseRecord> = seen.as_deref().map(record::decode).transpose()?;
        if seen.is_none_or(|seen| seen.changes != database.changes) {
            return Err(Error::new(
                SqlState::SERIALIZATION_FAILURE,
                "definitions were changed by a concurrent transaction",
            )
            .hint(
                "Run the transaction again, or read the results that are open to their ends first.",
            ));
        }
        database.changes += 1;
        transaction
            .put(self.keyspace, DATABASE_KEY, &database.encode_to_vec())
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

    /// Numbers the parts of a table that the system catalog lists and that have no number yet;
    /// what is not there any more loses its own. The catalog must be locked.
    pub(crate) fn number_parts(
        &self,
        transaction: &Transaction,
        table: &mut TableRecord,
    ) -> Result<()> {
        let keyed = !table.primary_key.is_empty();
        let mut parts: Vec<(bool, &mut u32)> = vec![(keyed, &mut table.primary_key_oid)];
        for column in &mut table.columns {
            let computed = column.default.is_some() || column.generated.is_some();
            parts.push((computed, &mut column.default_oid));
        }
        parts.extend(table.checks.iter_mut().map(|check| (true, &mut check.oid)));
        parts.extend(
            table
                .foreign_keys
                .iter_mut()
                .map(|key| (true, &mut key.oid)),
        );
        for (exists, oid) in parts {
            *oid = match (exists, *oid) {
                (false, _) => 0,
                (true, 0) => FIRST_USER_OID + self.allocate_id(transaction)?,
                (true, oid) => oid,
            };
        }
        Ok(())
    }

    /// Writes a comment; removes it where there is no text.
    pub(crate) fn put_comment(
        &self,
        transaction: &Transaction,
        (class, object, column): CommentKey,
        text: Option<&str>,
    ) -> Result<()> {
        let key = comment_key(class, object, Some(column));
        let result = match text {
            None => transaction.delete(self.keyspace, &key),
            Some(text) => {
                let record = CommentRecord {
                    class,
                    object,
                    column,
                    text: text.to_owned(),
                };
                transaction.put(self.keyspace, &key, &record.encode_to_vec())
            }
        };
        result.map_err(txn_error)
    }

    /// Removes the comments on an object and its columns.
    pub(crate) fn delete_comments(
        &self,
        transaction: &Transaction,
        class: u32,
        object: u32,
    ) -> Result<()> {
        let prefix = comment_key(class, object, None);
        let mut keys = Vec::new();
        let mut cursor = transaction
            .scan(self.keyspace, KeyRange::prefix(&prefix), Direction::Forward)
            .map_err(txn_error)?;
        while let Some((key, _)) = cursor.next().map_err(txn_error)? {
            keys.push(key.to_vec());
        }
        drop(cursor);
        for key in keys {
            transaction.delete(self.keyspace, &key).map_err(txn_error)?;
        }
        Ok(())
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
        self.delete_comments(transaction, PG_CLASS, FIRST_USER_OID + id.0)?;
        self.delete_access(transaction, &ObjectId::Table(id))
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
            .map_err(txn_error)?;
        self.delete_comments(transaction, PG_CLASS, FIRST_USER_OID + id.0)?;
        self.delete_access(transaction, &ObjectId::Sequence(id))
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
            .map_err(txn_error)?;
        self.delete_comments(transaction, PG_NAMESPACE, FIRST_USER_OID + id)?;
        self.delete_access(transaction, &ObjectId::Schema(id))
    }

    /// Writes a domain or distinct type.
    pub(crate) fn put_type(&self, transaction: &Transaction, of: &NamedTypeRecord) -> Result<()> {
        transaction
            .put(self.keyspace, &key(TYPE, of.id), &of.encode_to_vec())
            .map_err(txn_error)
    }

    /// Removes a domain or distinct type.
    pub(crate) fn delete_type(&self, transaction: &Transaction, id: TypeId) -> Result<()> {
        transaction
            .delete(self.keyspace, &key(TYPE, id.0))
            .map_err(txn_error)?;
        self.delete_access(transaction, &ObjectId::Type(id.0))
    }

    /// Writes a role.
    pub(crate) fn put_role(&self, transaction: &Transaction, role: &Role) -> Result<()> {
        transaction
            .put(
                self.keyspace,
                &key(ROLE, role.id.0),
                &RoleRecord::from(role).encode_to_vec(),
            )
            .map_err(txn_error)
    }

    /// Removes a role.
    pub(crate) fn delete_role(&self, transaction: &Transaction, id: RoleId) -> Result<()> {
        transaction
            .delete(self.keyspace, &key(ROLE, id.0))
            .map_err(txn_error)
    }

    /// Writes who owns an object and what is granted on it; nothing where that is as it is of
    /// every object.
    pub(crate) fn put_access(
        &self,
        transaction: &Transaction,
        object: &ObjectId,
        access: &Access,
    ) -> Result<()> {
        if *access == Access::default() {
            return self.delete_access(transaction, object);
        }
        transaction
            .put(
                self.keyspace,
                &access_key(object),
                &access_record(object, access).encode_to_vec(),
            )
            .map_err(txn_error)
    }

    fn delete_access(&self, transaction: &Transaction, object: &ObjectId) -> Result<()> {
        transaction
            .delete(self.keyspace, &access_key(object))
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
            comments: self.records(transaction, COMMENT)?,
            types: self.records(transaction, TYPE)?,
            roles: self.records(transaction, ROLE)?,
            access: self.records(transaction, ACCESS)?,
            sequence_states: database
                .map(|database| database.sequences)
                .filter(|keyspace| *keyspace != 0)
                .map(KeyspaceId),
        })
    }
}
