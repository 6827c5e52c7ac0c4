//! Where the rows of COPY FROM go.
//!
//! Rows are gathered into portions. A small COPY inserts its rows like INSERT, and others write
//! to the table meanwhile. A larger one takes the way of bulk loads, which goes past the
//! transaction's memory, but keeps other writers away from the table until the transaction ends:
//! where somebody else is writing to it already, or references have to be checked row by row, it
//! goes on like a small one.

use std::sync::Arc;

use rustling_txn::{Error as TxnError, LockWait, TableLockMode};

use crate::{
    Error, Result, Value,
    engine::{
        bulk::BulkLoader,
        error::txn_error,
        foreign_keys::{self, Written},
        session::Session,
        table::TableHandle,
        write::TableWriter,
    },
    executor::{ExecContext, MemoryMeter, row_bytes},
};

/// Rows and bytes of a portion.
const PORTION_ROWS: usize = 4096;
const PORTION_BYTES: usize = 1 << 20;

/// The rows of a COPY on their way into a table.
pub(super) struct Sink {
    table: Arc<TableHandle>,
    rows: Vec<Vec<Value>>,
    /// The line that each row comes from.
    lines: Vec<u64>,
    bytes: usize,
    memory: MemoryMeter,
    way: Way,
    /// Rows whose references are to be checked once all rows are there, for a table that refers
    /// to itself.
    pending: Vec<Written>,
    pending_memory: MemoryMeter,
    count: u64,
}

/// How rows get into the table.
enum Way {
    /// Not decided: all rows so far are in the portion.
    Open,
    /// As those of INSERT.
    Inserts,
    /// As those of a bulk load.
    Bulk(Box<BulkLoader>),
}

/// An error, with the line that it is about.
pub(super) struct SinkError {
    pub(super) error: Error,
    pub(super) line: Option<u64>,
}

impl From<Error> for SinkError {
    fn from(error: Error) -> SinkError {
        SinkError { error, line: None }
    }
}

impl Sink {
    pub(super) fn new(table: Arc<TableHandle>, context: &ExecContext) -> Result<Sink> {
        Ok(Sink {
            table,
            rows: Vec::new(),
            lines: Vec::new(),
            bytes: 0,
            memory: MemoryMeter::new(context, "COPY")?,
            way: Way::Open,
            pending: Vec::new(),
            pending_memory: MemoryMeter::new(context, "COPY")?,
            count: 0,
        })
    }

    /// Takes a row of all columns.
    pub(super) fn push(
        &mut self,
        row: Vec<Value>,
        line: u64,
        session: &mut Session,
        context: &mut ExecContext,
    ) -> Result<(), SinkError> {
        let bytes = row_bytes(&row);
        self.memory.grow(bytes)?;
        self.bytes += bytes;
        self.rows.push(row);
        self.lines.push(line);
        if self.rows.len() >= PORTION_ROWS || self.bytes >= PORTION_BYTES {
            if matches!(self.way, Way::Open) {
                self.way = self.decide(session, context)?;
            }
            self.flush(session, context)?;
        }
        Ok(())
    }

    fn decide(&self, session: &Session, context: &ExecContext) -> Result<Way> {
        if !self.table.table.foreign_keys.is_empty() {
            return Ok(Way::Inserts);
        }
        let locked = context.transaction.lock_table(
            self.table.keyspace,
            TableLockMode::Exclusive,
            LockWait::NoWait,
        );
        match locked {
            Ok(_) => {}
            Err(TxnError::LockNotAvailable { .. }) => return Ok(Way::Inserts),
            Err(error) => return Err(txn_error(error)),
        }
        let loader = BulkLoader::new(
            session.database().clone(),
            Arc::clone(&self.table),
            context.clone(),
            false,
        )?;
        Ok(Way::Bulk(Box::new(loader)))
    }

    /// Writes the portion.
    fn flush(&mut self, session: &mut Session, context: &mut ExecContext) -> Result<(), SinkError> {
        context.check()?;
        let rows = std::mem::take(&mut self.rows);
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        self.count += rows.len() as u64;
        match &self.way {
            Way::Bulk(loader) => loader.append_placed(rows).map_err(|placed| {
                let line = placed.place.and_then(|place| lines.get(place)).copied();
                SinkError {
                    error: placed.error,
                    line,
                }
            })?,
            Way::Open | Way::Inserts => self.insert(rows, &lines, session, context)?,
        }
        self.memory.clear();
        Ok(())
    }

    fn insert(
        &mut self,
        rows: Vec<Vec<Value>>,
        lines: &[u64],
        session: &mut Session,
        context: &mut ExecContext,
    ) -> Result<(), SinkError> {
        let store = session.database().store().clone();
        let transaction = Arc::clone(&context.transaction);
        let keys = &self.table.table.foreign_keys;
        let refers_to_itself = keys.iter().any(|key| key.parent == self.table.table.id);
        let mut written = Vec::new();
        {
            let eval = context.eval();
            let mut writer = TableWriter::new(&self.table, &transaction, &store);
            for (mut row, line) in rows.into_iter().zip(lines) {
                writer.insert(&mut row, &eval).map_err(|error| SinkError {
                    error,
                    line: Some(*line),
                })?;
                if keys.is_empty() {
                    continue;
                }
                if refers_to_itself {
                    self.pending_memory.grow(row_bytes(&row))?;
                }
                written.push(Written {
                    key: writer.key().to_vec(),
                    old: None,
                    new: Some(row),
                });
            }
        }
        if refers_to_itself {
            self.pending.append(&mut written);
        } else {
            foreign_keys::after_change(session, &self.table, written, context)?;
        }
        Ok(())
    }

    /// Writes what is left; gives the number of rows.
    pub(super) fn finish(
        mut self,
        session: &mut Session,
        context: &mut ExecContext,
    ) -> Result<u64, SinkError> {
        if !self.rows.is_empty() {
            self.flush(session, context)?;
        }
        if let Way::Bulk(loader) = self.way {
            loader.finish()?;
        }
        let pending = std::mem::take(&mut self.pending);
        foreign_keys::after_change(session, &self.table, pending, context)?;
        Ok(self.count)
    }
}
