//! Writing rows with their index entries, through a transaction.

use rustling_txn::{Error as TxnError, Transaction};

use crate::{
    Result, Value,
    bound::InsertConflict,
    engine::{constraints::hidden_key, error::txn_error, table::TableHandle},
    eval::EvalContext,
};

/// A row to be changed: where it is, what it was, what it becomes.
#[derive(Debug)]
pub(crate) struct RowChange {
    /// Its key.
    pub(crate) key: Vec<u8>,
    /// All its columns before.
    pub(crate) old: Vec<Value>,
    /// All its columns after.
    pub(crate) new: Vec<Value>,
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

    /// Inserts a row; `false` where its key is there and the row is to be skipped then.
    pub(crate) fn insert(
        &mut self,
        row: &[Value],
        on_conflict: InsertConflict,
        eval: &EvalContext<'_>,
    ) -> Result<bool> {
        self.table.check_row(row, eval)?;
        let skips = on_conflict == InsertConflict::DoNothing;
        let undo = (skips && self.table.indexes.iter().any(|index| index.unique))
            .then(|| self.transaction.savepoint());
        let conflict = self.insert_checked(row)?;
        if let Some(savepoint) = undo {
            if conflict.is_some() {
                self.transaction
                    .rollback_to(&savepoint)
                    .map_err(txn_error)?;
            }
            self.transaction.release(savepoint);
        }
        match conflict {
            None => Ok(true),
            Some(_) if skips => Ok(false),
            Some(error) => Err(error),
        }
    }

    /// Inserts a row; gives the error where a key of it exists.
    fn insert_checked(&mut self, row: &[Value]) -> Result<Option<crate::Error>> {
        self.stored.clear();
        self.table.codec.encode_row(row, &mut self.stored)?;
        self.key.clear();
        if self.table.codec.key.is_some() {
            self.table.codec.encode_key(row, &mut self.key)?;
            match self
                .transaction
                .insert(self.table.keyspace, &self.key, &self.stored)
            {
                Ok(()) => {}
                Err(TxnError::KeyExists { .. }) => {
                    return Ok(Some(self.table.primary_key_exists(row)));
                }
                Err(error) => return Err(txn_error(error)),
            }
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
            if let Some(conflict) = self.insert_entry(at, row)? {
                return Ok(Some(conflict));
            }
        }
        Ok(None)
    }

    /// Adds the entry of the row whose key is in `self.key` to an index.
    fn insert_entry(&mut self, at: usize, row: &[Value]) -> Result<Option<crate::Error>> {
        let index = self.table.index(at)?;
        self.entry.clear();
        let value = index.entry(row, &self.key, &mut self.entry)?;
        if index.is_unique_for(row) {
            match self.transaction.insert(index.keyspace, &self.entry, value) {
                Ok(()) => Ok(None),
                Err(TxnError::KeyExists { .. }) => {
                    Ok(Some(self.table.index_key_exists(index, row)))
                }
                Err(error) => Err(txn_error(error)),
            }
        } else {
            self.transaction
                .put(index.keyspace, &self.entry, value)
                .map_err(txn_error)?;
            Ok(None)
        }
    }

    /// Deletes a row.
    pub(crate) fn delete(&mut self, key: &[u8], row: &[Value]) -> Result<()> {
        self.transaction
            .delete(self.table.keyspace, key)
            .map_err(txn_error)?;
        for index in &self.table.indexes {
            self.entry.clear();
            index.entry(row, key, &mut self.entry)?;
            self.transaction
                .delete(index.keyspace, &self.entry)
                .map_err(txn_error)?;
        }
        Ok(())
    }

    /// Changes rows. Keys are checked as SQL has it, at the end of the statement: everything
    /// that gives way is removed before anything that takes its place is added, so that
    /// `SET id = id + 1` meets no row that is about to move itself.
    pub(crate) fn update(&mut self, changes: &[RowChange], eval: &EvalContext<'_>) -> Result<()> {
        let mut new_keys: Vec<Option<Vec<u8>>> = Vec::with_capacity(changes.len());
        for change in changes {
            self.table.check_row(&change.new, eval)?;
            let new_key = self.moved_to(change)?;
            let key = new_key.as_deref().unwrap_or(&change.key);
            if new_key.is_some() {
                self.transaction
                    .delete(self.table.keyspace, &change.key)
                    .map_err(txn_error)?;
            }
            for index in &self.table.indexes {
                self.entry.clear();
                index.entry(&change.old, &change.key, &mut self.entry)?;
                self.stored.clear();
                index.entry(&change.new, key, &mut self.stored)?;
                if self.entry != self.stored {
                    self.transaction
                        .delete(index.keyspace, &self.entry)
                        .map_err(txn_error)?;
                }
            }
            new_keys.push(new_key);
        }
        for (change, new_key) in changes.iter().zip(new_keys) {
            self.write_changed(change, new_key)?;
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

    fn write_changed(&mut self, change: &RowChange, new_key: Option<Vec<u8>>) -> Result<()> {
        let moved = new_key.is_some();
        self.key = new_key.unwrap_or_else(|| change.key.clone());
        self.stored.clear();
        self.table.codec.encode_row(&change.new, &mut self.stored)?;
        if moved {
            match self
                .transaction
                .insert(self.table.keyspace, &self.key, &self.stored)
            {
                Ok(()) => {}
                Err(TxnError::KeyExists { .. }) => {
                    return Err(self.table.primary_key_exists(&change.new));
                }
                Err(error) => return Err(txn_error(error)),
            }
        } else {
            self.transaction
                .put(self.table.keyspace, &self.key, &self.stored)
                .map_err(txn_error)?;
        }
        for at in 0..self.table.indexes.len() {
            let index = self.table.index(at)?;
            self.entry.clear();
            index.entry(&change.old, &change.key, &mut self.entry)?;
            let mut new_entry = Vec::with_capacity(self.entry.len());
            let value = index.entry(&change.new, &self.key, &mut new_entry)?;
            if new_entry == self.entry {
                // The entry of a unique index names the row's key, which may have moved.
                if moved && index.unique {
                    self.transaction
                        .put(index.keyspace, &new_entry, value)
                        .map_err(txn_error)?;
                }
            } else if let Some(conflict) = self.insert_entry(at, &change.new)? {
                return Err(conflict);
            }
        }
        Ok(())
    }
}
