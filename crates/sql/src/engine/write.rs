//! Writing rows with their index entries, through a transaction.

use rustling_txn::{Error as TxnError, Transaction};

use crate::{
    Error, Result, Value,
    engine::{constraints::hidden_key, error::txn_error, table::TableHandle},
    eval::EvalContext,
};

/// A row to be changed: where it is, what it was, what it becomes.
#[derive(Clone, Debug)]
pub(crate) struct RowChange {
    /// Its key.
    pub(crate) key: Vec<u8>,
    /// All its columns before.
    pub(crate) old: Vec<Value>,
    /// All its columns after.
    pub(crate) new: Vec<Value>,
    /// Its key after, once it is written.
    pub(crate) new_key: Vec<u8>,
}

impl RowChange {
    /// A change that is to be made.
    pub(crate) fn new(key: Vec<u8>, old: Vec<Value>, new: Vec<Value>) -> RowChange {
        RowChange {
            key,
            old,
            new,
            new_key: Vec::new(),
        }
    }
}

/// Writes rows of one table.
pub(crate) struct TableWriter<'a> {
    table: &'a TableHandle,
    transaction: &'a Transaction,
    store: &'a rustling_storage::Store,
    key: Vec<u8>,
    stored: Vec<u8>,
    entry: Vec<u8>,
}

impl<'a> TableWriter<'a> {
    /// A writer of `table` in `transaction`.
    pub(crate) fn new(
        table: &'a TableHandle,
        transaction: &'a Transaction,
        store: &'a rustling_storage::Store,
    ) -> TableWriter<'a> {
        TableWriter {
            table,
            transaction,
            store,
            key: Vec::new(),
            stored: Vec::new(),
            entry: Vec::new(),
        }
    }

    /// Inserts a row, whose generated columns are filled in. [`TableWriter::key`] is its key
    /// then.
    pub(crate) fn insert(&mut self, row: &mut [Value], eval: &EvalContext<'_>) -> Result<()> {
        self.table.complete_row(row, eval)?;
        self.stored.clear();
        self.table.codec.encode_row(row, &mut self.stored)?;
        self.key.clear();
        if self.table.codec.key.is_some() {
            self.table.codec.encode_key(row, &mut self.key)?;
            self.insert_row(row)?;
        } else {
            let number = self
                .table
                .row_numbers
                .allocate(self.store, self.table.keyspace, 1)?;
            self.key = hidden_key(number);
            self.transaction
                .put(self.table.keyspace, &self.key, &self.stored)
                .map_err(txn_error)?;
        }
        for at in 0..self.table.indexes.len() {
            self.insert_entry(at, row, eval)?;
        }
        Ok(())
    }

    /// The key of the row that was written last.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Adds the row `self.stored` under `self.key`, which must be free.
    fn insert_row(&mut self, row: &[Value]) -> Result<()> {
        match self
            .transaction
            .insert(self.table.keyspace, &self.key, &self.stored)
        {
            Ok(()) => Ok(()),
            Err(TxnError::KeyExists { .. }) => Err(self.table.primary_key_exists(row)),
            Err(error) => Err(txn_error(error)),
        }
    }

    /// Adds the entry of the row whose key is in `self.key` to an index.
    fn insert_entry(&mut self, at: usize, row: &[Value], eval: &EvalContext<'_>) -> Result<()> {
        let index = self.table.index(at)?;
        let Some(keyed) = index.keyed(row, eval)? else {
            return Ok(());
        };
        self.entry.clear();
        let value = index.entry(&keyed, &self.key, &mut self.entry)?;
        if index.is_unique_for(&keyed) {
            match self.transaction.insert(index.keyspace, &self.entry, value) {
                Ok(()) => Ok(()),
                Err(TxnError::KeyExists { .. }) => Err(self.table.index_key_exists(index, &keyed)),
                Err(error) => Err(txn_error(error)),
            }
        } else {
            self.transaction
                .put(index.keyspace, &self.entry, value)
                .map_err(txn_error)
        }
    }

    /// Deletes a row.
    pub(crate) fn delete(
        &mut self,
        key: &[u8],
        row: &[Value],
        eval: &EvalContext<'_>,
    ) -> Result<()> {
        self.transaction
            .delete(self.table.keyspace, key)
            .map_err(txn_error)?;
        for index in &self.table.indexes {
            let Some(keyed) = index.keyed(row, eval)? else {
                continue;
            };
            self.entry.clear();
            index.entry(&keyed, key, &mut self.entry)?;
            self.transaction
                .delete(index.keyspace, &self.entry)
                .map_err(txn_error)?;
        }
        Ok(())
    }

    /// Changes rows, whose generated columns are filled in. Keys are checked as SQL has it, at
    /// the end of the statement: everything that gives way is removed before anything that takes
    /// its place is added, so that `SET id = id + 1` meets no row that is about to move itself.
    pub(crate) fn update(
        &mut self,
        changes: &mut [RowChange],
        eval: &EvalContext<'_>,
    ) -> Result<()> {
        let mut new_keys: Vec<Option<Vec<u8>>> = Vec::with_capacity(changes.len());
        for change in changes.iter_mut() {
            self.table.complete_row(&mut change.new, eval)?;
            let new_key = self.moved_to(change)?;
            let key = new_key.as_deref().unwrap_or(&change.key);
            if new_key.is_some() {
                self.transaction
                    .delete(self.table.keyspace, &change.key)
                    .map_err(txn_error)?;
            }
            for index in &self.table.indexes {
                let Some(old) = index.keyed(&change.old, eval)? else {
                    continue;
                };
                self.entry.clear();
                index.entry(&old, &change.key, &mut self.entry)?;
                let stays = match index.keyed(&change.new, eval)? {
                    None => false,
                    Some(new) => {
                        self.stored.clear();
                        index.entry(&new, key, &mut self.stored)?;
                        self.entry == self.stored
                    }
                };
                if !stays {
                    self.transaction
                        .delete(index.keyspace, &self.entry)
                        .map_err(txn_error)?;
                }
            }
            new_keys.push(new_key);
        }
        for (change, new_key) in changes.iter_mut().zip(new_keys) {
            self.write_changed(change, new_key, eval)?;
            change.new_key.clone_from(&self.key);
        }
        Ok(())
    }

    /// The row's new key, where it is another one.
    fn moved_to(&mut self, change: &RowChange) -> Result<Option<Vec<u8>>> {
        if self.table.codec.key.is_none() {
            return Ok(None);
        }
        self.key.clear();
        self.table.codec.encode_key(&change.new, &mut self.key)?;
        Ok((self.key != change.key).then(|| self.key.clone()))
    }

    fn write_changed(
        &mut self,
        change: &RowChange,
        new_key: Option<Vec<u8>>,
        eval: &EvalContext<'_>,
    ) -> Result<()> {
        let moved = new_key.is_some();
        self.key = new_key.unwrap_or_else(|| change.key.clone());
        self.stored.clear();
        self.table.codec.encode_row(&change.new, &mut self.stored)?;
        if moved {
            self.insert_row(&change.new)?;
        } else {
            self.transaction
                .put(self.table.keyspace, &self.key, &self.stored)
                .map_err(txn_error)?;
        }
        for at in 0..self.table.indexes.len() {
            let index = self.table.index(at)?;
            let Some(new) = index.keyed(&change.new, eval)? else {
                continue;
            };
            let mut new_entry = Vec::with_capacity(24);
            let value = index.entry(&new, &self.key, &mut new_entry)?;
            self.entry.clear();
            let stays = match index.keyed(&change.old, eval)? {
                None => false,
                Some(old) => {
                    index.entry(&old, &change.key, &mut self.entry)?;
                    new_entry == self.entry
                }
            };
            if !stays {
                self.insert_entry(at, &change.new, eval)?;
            } else if moved && index.unique {
                // The entry of a unique index names the row's key, which may have moved.
                self.transaction
                    .put(index.keyspace, &new_entry, value)
                    .map_err(txn_error)?;
            }
        }
        Ok(())
    }
}

/// The error of a table without the index that a plan speaks of.
#[cold]
pub(super) fn no_such_index(table: &TableHandle, at: usize) -> Error {
    Error::new(
        crate::SqlState::INTERNAL_ERROR,
        format!("table \"{}\" has no index {at}", table.table.name),
    )
}
