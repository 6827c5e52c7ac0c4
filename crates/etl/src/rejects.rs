//! The rejects file: rows that did not fit, with line, column and reason. It is CSV itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustling_sql::Value;
use rustling_storage::{Env, OpenMode, VfsFile};

use crate::error::{BadRow, Error, Result};

/// Bytes kept before they are written.
const BUFFER: usize = 64 << 10;

/// Writes a rejects file.
pub(crate) struct RejectsWriter {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    offset: u64,
    buffer: csv::Writer<Vec<u8>>,
}

impl RejectsWriter {
    /// Begins the file, in place of an older one.
    pub(crate) fn create(env: &Env, path: &Path) -> Result<RejectsWriter> {
        let failed = |source| Error::Rejects {
            path: path.into(),
            source: Arc::new(source),
        };
        match env.vfs.remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        let file = env.vfs.open(path, OpenMode::CreateNew).map_err(failed)?;
        let mut writer = RejectsWriter {
            path: path.into(),
            file,
            offset: 0,
            buffer: csv::Writer::from_writer(Vec::new()),
        };
        writer.record([&b"line"[..], b"column", b"reason", b"record"])?;
        Ok(writer)
    }

    /// Adds a row and the text it stood in.
    pub(crate) fn write(&mut self, row: &BadRow, raw: &[u8]) -> Result<()> {
        let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let line = row.line.to_string();
        let reason = row.reason.to_string();
        self.record([
            line.as_bytes(),
            row.column.as_deref().unwrap_or_default().as_bytes(),
            reason.as_bytes(),
            raw,
        ])
    }

    fn record(&mut self, fields: [&[u8]; 4]) -> Result<()> {
        self.buffer
            .write_record(fields)
            .map_err(|error| self.failed(std::io::Error::other(error)))?;
        if self.buffer.get_ref().len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        let full = std::mem::replace(&mut self.buffer, csv::Writer::from_writer(Vec::new()));
        let bytes = full
            .into_inner()
            .map_err(|error| self.failed(error.into_error()))?;
        self.file
            .write_all_at(&bytes, self.offset)
            .map_err(|error| self.failed(error))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Rejects {
            path: self.path.clone(),
            source: Arc::new(source),
        }
    }

    /// Writes the rest; gives the file's path.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        self.flush()?;
        self.file.sync_all().map_err(|error| self.failed(error))?;
        Ok(self.path)
    }
}

/// A row that the table refused, as the CSV record it could have been.
pub(crate) fn record(values: &[Value]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let texts = values.iter().map(|value| {
        if value.is_null() {
            String::new()
        } else {
            value.to_string()
        }
    });
    // Writing to memory cannot fail.
    let _ = writer.write_record(texts);
    writer.into_inner().unwrap_or_default()
}
