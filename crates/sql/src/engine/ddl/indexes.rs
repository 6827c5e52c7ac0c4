//! CREATE INDEX, and filling indexes.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange};
use rustling_txn::{Error as TxnError, Transaction};

use crate::{
    Error, Result, SqlState, Value,
    bound::CreateIndex,
    catalog::{Index, IndexId, Table},
    encoding::RowDecoder,
    engine::{
        error::txn_error,
        notice::Notice,
        session::{Session, StatementResult},
        table::{IndexHandle, TableHandle},
    },
};

use super::new_keyspace;

/// How many entries are handed to the bulk writer at once.
const BATCH: usize = 4096;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Session {
    pub(super) fn create_index(
        &mut self,
        transaction: &Transaction,
        definition: CreateIndex,
    ) -> Result<StatementResult> {
        let mut index = definition.index;
        if definition.exists {
            return Ok(StatementResult::noted(
                "CREATE INDEX",
                vec![Notice::new(format!(
                    "relation \"{}\" already exists, skipping",
                    index.name
                ))],
            ));
        }
        let handle = self.lock_table(transaction, &definition.table)?;
        self.must_see_all_rows(&handle, "CREATE INDEX")?;
        index.id = IndexId(self.allocate_id(transaction)?);
        index.keyspace = new_keyspace(transaction, handle.table.storage)?;
        self.fill_index(transaction, &handle, &index)?;
        let mut table = Table::clone(&handle.table);
        table.version += 1;
        table.indexes.push(index);
        self.put_table(transaction, &table)?;
        self.reload_catalog(transaction)?;
        for child in definition.children {
            self.alter_table(transaction, child)?;
            self.reload_catalog(transaction)?;
        }
        Ok(StatementResult::done("CREATE INDEX"))
    }

    /// Makes the entries of all rows, past the transaction's memory.
    pub(super) fn fill_index(
        &mut self,
        transaction: &Transaction,
        handle: &TableHandle,
        index: &Index,
    ) -> Result<()> {
        let index = IndexHandle::new(&handle.table, index)?;
        let writer = transaction.bulk_writer(index.keyspace).map_err(txn_error)?;
        let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
        let all: Vec<usize> = (0..handle.table.columns.len()).collect();
        let decoder = RowDecoder::new(Arc::clone(&handle.codec), &all);
        let mut cursor = transaction
            .scan(handle.keyspace, KeyRange::all(), Direction::Forward)
            .map_err(txn_error)?;
        let mut row = vec![Value::Null; handle.table.columns.len()];
        let mut scratch = Vec::new();
        let mut unique: Entries = Vec::new();
        let mut plain: Entries = Vec::new();
        let flush = |unique: &mut Entries, plain: &mut Entries| -> Result<()> {
            unique.sort_unstable();
            if let Some(pair) = unique.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(self.not_unique(handle, &index, &pair[0].1, &decoder, transaction));
            }
            if !unique.is_empty() {
                match writer.insert(unique) {
                    Ok(()) => {}
                    Err(TxnError::KeyExists { key, .. }) => {
                        let row_key = unique
                            .iter()
                            .find(|(entry, _)| *entry == key)
                            .map(|(_, row_key)| row_key.clone())
                            .unwrap_or_default();
                        return Err(self.not_unique(
                            handle,
                            &index,
                            &row_key,
                            &decoder,
                            transaction,
                        ));
                    }
                    Err(error) => return Err(txn_error(error)),
                }
            }
            if !plain.is_empty() {
                writer.write(plain).map_err(txn_error)?;
            }
            unique.clear();
            plain.clear();
            Ok(())
        };
        let mut count = 0u32;
        while let Some((key, stored)) = cursor.next().map_err(txn_error)? {
            count = count.wrapping_add(1);
            if count.is_multiple_of(128) {
                context.check()?;
            }
            decoder.decode_values(key, stored, &mut scratch, &mut row)?;
            let Some(keyed) = index.keyed(&row, &context.eval())? else {
                continue;
            };
            let mut entry = Vec::with_capacity(24);
            let value = index.entry(&keyed, key, &mut entry)?.to_vec();
            if index.is_unique_for(&keyed) {
                unique.push((entry, value));
            } else {
                plain.push((entry, value));
            }
            if unique.len() + plain.len() >= BATCH {
                flush(&mut unique, &mut plain)?;
            }
        }
        flush(&mut unique, &mut plain)?;
        drop(cursor);
        writer.finish().map_err(txn_error)
    }

    /// The error of a unique index over rows that are not: the row with this key has another
    /// one like it.
    #[cold]
    fn not_unique(
        &self,
        handle: &TableHandle,
        index: &IndexHandle,
        row_key: &[u8],
        decoder: &RowDecoder,
        transaction: &Transaction,
    ) -> Error {
        let error = Error::new(
            SqlState::UNIQUE_VIOLATION,
            format!("could not create unique index \"{}\"", index.name),
        );
        let detail = || -> Result<Option<String>> {
            let stored = transaction
                .get(handle.keyspace, row_key)
                .map_err(txn_error)?;
            let Some(stored) = stored else {
                return Ok(None);
            };
            let mut row = vec![Value::Null; handle.table.columns.len()];
            decoder.decode_values(row_key, &stored, &mut Vec::new(), &mut row)?;
            let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
            let keyed = index.keyed(&row, &context.eval())?;
            Ok(keyed.and_then(|keyed| {
                let duplicate = handle.index_key_exists(index, &keyed);
                Some(
                    duplicate
                        .detail_text()?
                        .replace("already exists", "is duplicated"),
                )
            }))
        };
        match detail() {
            Ok(Some(detail)) => error.detail(detail),
            _ => error,
        }
    }

    /// The open block's transaction.
    pub(super) fn open_transaction_handle(&self) -> Result<Arc<Transaction>> {
        self.open
            .as_ref()
            .map(|open| Arc::clone(&open.transaction))
            .ok_or_else(|| Error::new(SqlState::INTERNAL_ERROR, "no transaction is open"))
    }
}
