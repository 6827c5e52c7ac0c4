//! Writing sorted versions to a run of tables.

use std::sync::Arc;

use super::{space::TableSpace, table::Table, writer::TableWriter};
use crate::{cursor::VersionRef, error::Result};

/// Tables being written for a level, one after the other. Dropping it gives them up.
#[derive(Debug)]
pub(super) struct Outputs {
    space: Arc<TableSpace>,
    level: usize,
    tables: Vec<Arc<Table>>,
    writer: Option<TableWriter>,
}

impl Outputs {
    /// No table yet.
    pub(super) fn new(space: &Arc<TableSpace>, level: usize) -> Outputs {
        Outputs {
            space: Arc::clone(space),
            level,
            tables: Vec::new(),
            writer: None,
        }
    }

    /// Appends a version, which comes after all the others.
    ///
    /// # Errors
    /// As [`TableWriter::create`].
    pub(super) fn add(&mut self, version: VersionRef<'_>) -> Result<()> {
        // All versions of a key stay together.
        if self.writer.as_ref().is_some_and(|writer| {
            writer.key_value_bytes() >= self.space.options.table_bytes
                && writer.last_key() != version.key
        }) {
            self.end_table()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(TableWriter::create(&self.space, self.level)?),
        };
        writer.add(version)
    }

    /// The tables, all of them complete and their names durable.
    ///
    /// # Errors
    /// As [`TableWriter::create`].
    pub(super) fn finish(mut self) -> Result<Vec<Arc<Table>>> {
        self.end_table()?;
        if !self.tables.is_empty() {
            self.space.sync_names()?;
        }
        Ok(std::mem::take(&mut self.tables))
    }

    fn end_table(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            self.tables.push(writer.finish()?);
        }
        Ok(())
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.tables.iter().for_each(|table| table.retire());
    }
}
