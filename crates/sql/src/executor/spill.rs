//! Rows that do not fit into memory, in temporary files.
//!
//! An operator keeps about an eighth of the memory budget at most; what is beyond goes into
//! files in a directory of their own beside the database's, and is read again part by part: a
//! sort merges sorted runs, a hash aggregate, DISTINCT and a hash join take one partition of
//! their keys after the other.
//!
//! A file is a sequence of blocks: length and CRC-32C of the payload (little-endian `u32` each),
//! then the payload: records, each the length of its key and of its row (varints), the key, the
//! row in the form of a table's row. Files live no longer than the operator that made them; what
//! a process leaves behind when it ends unexpectedly is removed when the database is opened next.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustling_storage::{OpenMode, Vfs, VfsFile};

use crate::{
    DataType, Error, Result, SqlState, Value,
    encoding::{
        RowDecoder, TableCodec, corrupt,
        row::{read_varint, write_varint},
    },
    executor::RowBuffer,
};

/// Payload bytes after which a block is written.
const BLOCK: usize = 64 << 10;
const HEADER: usize = 8;

/// Where temporary files go.
#[derive(Clone, Debug)]
pub(crate) struct SpillSpace {
    vfs: Arc<dyn Vfs>,
    directory: Arc<Path>,
    next: Arc<AtomicU64>,
}

fn failed(error: &std::io::Error) -> Error {
    let state = if error.kind() == std::io::ErrorKind::StorageFull {
        SqlState::DISK_FULL
    } else {
        SqlState::IO_ERROR
    };
    Error::new(state, format!("a temporary file failed: {error}"))
}

impl SpillSpace {
    /// A space in `directory`, which is emptied.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, directory: &Path) -> Result<SpillSpace> {
        if vfs.exists(directory).map_err(|error| failed(&error))? {
            for name in vfs.read_dir(directory).map_err(|error| failed(&error))? {
                vfs.remove_file(&directory.join(name))
                    .map_err(|error| failed(&error))?;
            }
        }
        Ok(SpillSpace {
            vfs,
            directory: directory.into(),
            next: Arc::new(AtomicU64::new(0)),
        })
    }

    fn create(&self) -> Result<SpillFile> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{number}.spill"));
        self.vfs
            .create_dir_all(&self.directory)
            .and_then(|()| self.vfs.open(&path, OpenMode::CreateNew))
            .map(|file| SpillFile {
                vfs: Arc::clone(&self.vfs),
                path,
                file: Some(file),
                bytes: 0,
            })
            .map_err(|error| failed(&error))
    }
}

/// A temporary file; it is removed when dropped.
#[derive(Debug)]
struct SpillFile {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    file: Option<Arc<dyn VfsFile>>,
    bytes: u64,
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.file = None;
        // What cannot be removed now is removed when the database is opened next.
        let _ = self.vfs.remove_file(&self.path);
    }
}

impl SpillFile {
    fn file(&self) -> Result<&Arc<dyn VfsFile>> {
        self.file
            .as_ref()
            .ok_or_else(|| Error::new(SqlState::INTERNAL_ERROR, "a temporary file is closed"))
    }
}

/// How rows of these columns are written.
#[derive(Clone, Debug)]
pub(crate) struct SpillFormat {
    codec: Arc<TableCodec>,
    decoder: Arc<RowDecoder>,
    width: usize,
}

impl SpillFormat {
    /// For rows of columns of these types.
    pub(crate) fn new(types: impl IntoIterator<Item = DataType>) -> SpillFormat {
        let types: Vec<DataType> = types.into_iter().collect();
        let width = types.len();
        let all: Vec<usize> = (0..width).collect();
        let codec = Arc::new(TableCodec::from_types(types, &[]));
        SpillFormat {
            decoder: Arc::new(RowDecoder::new(Arc::clone(&codec), &all)),
            codec,
            width,
        }
    }
}

/// Writes rows into a temporary file.
#[derive(Debug)]
pub(crate) struct SpillWriter {
    format: SpillFormat,
    file: SpillFile,
    block: Vec<u8>,
    row: Vec<u8>,
}

impl SpillWriter {
    /// A new file.
    pub(crate) fn new(space: &SpillSpace, format: &SpillFormat) -> Result<SpillWriter> {
        Ok(SpillWriter {
            format: format.clone(),
            file: space.create()?,
            block: vec![0; HEADER],
            row: Vec::new(),
        })
    }

    /// Appends a row and a key that stays with it.
    pub(crate) fn write(&mut self, key: &[u8], row: &RowBuffer) -> Result<()> {
        self.row.clear();
        self.format.codec.encode_row(row, &mut self.row)?;
        write_varint(key.len() as u64, &mut self.block);
        write_varint(self.row.len() as u64, &mut self.block);
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(&self.row);
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let (header, payload) = self.block.split_at_mut(HEADER);
        if payload.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(payload.len()).map_err(|_| {
            Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "a row is too large for a temporary file",
            )
        })?;
        let sum = crc32c::crc32c(payload);
        let (first, second) = header.split_at_mut(4);
        first.copy_from_slice(&length.to_le_bytes());
        second.copy_from_slice(&sum.to_le_bytes());
        self.file
            .file()?
            .write_all_at(&self.block, self.file.bytes)
            .map_err(|error| failed(&error))?;
        self.file.bytes += self.block.len() as u64;
        self.block.truncate(HEADER);
        Ok(())
    }

    /// Ends writing; the rows may be read then.
    pub(crate) fn finish(mut self) -> Result<SpillReader> {
        self.flush()?;
        Ok(SpillReader {
            format: self.format,
            file: self.file,
            offset: 0,
            block: Vec::new(),
            at: 0,
            scratch: Vec::new(),
        })
    }
}

/// Reads a temporary file's rows in the order in which they were written.
#[derive(Debug)]
pub(crate) struct SpillReader {
    format: SpillFormat,
    file: SpillFile,
    offset: u64,
    block: Vec<u8>,
    at: usize,
    scratch: Vec<u8>,
}

impl SpillReader {
    /// Makes `key` and `row` the next ones; `false`: there are no more.
    pub(crate) fn read(&mut self, key: &mut Vec<u8>, row: &mut RowBuffer) -> Result<bool> {
        while self.at >= self.block.len() {
            if self.offset >= self.file.bytes {
                return Ok(false);
            }
            self.load()?;
        }
        let wrong = || corrupt("a record of a temporary file");
        let key_length = self.length()?;
        let row_length = self.length()?;
        let rest = self.block.get(self.at..).ok_or_else(wrong)?;
        let key_bytes = rest.get(..key_length).ok_or_else(wrong)?;
        let end = key_length.checked_add(row_length).ok_or_else(wrong)?;
        let row_bytes = rest.get(key_length..end).ok_or_else(wrong)?;
        key.clear();
        key.extend_from_slice(key_bytes);
        row.clear();
        row.resize(self.format.width, Value::Null);
        self.format
            .decoder
            .decode_values(&[], row_bytes, &mut self.scratch, row)?;
        self.at += end;
        Ok(true)
    }

    fn length(&mut self) -> Result<usize> {
        read_varint(&self.block, &mut self.at)
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| corrupt("a record of a temporary file"))
    }

    fn load(&mut self) -> Result<()> {
        let file = self.file.file()?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, self.offset)
            .map_err(|error| failed(&error))?;
        let [a, b, c, d, e, f, g, h] = header;
        let length = u32::from_le_bytes([a, b, c, d]);
        let sum = u32::from_le_bytes([e, f, g, h]);
        let end = self.offset + HEADER as u64 + u64::from(length);
        if end > self.file.bytes {
            return Err(corrupt("a block of a temporary file"));
        }
        self.block.clear();
        self.block.resize(length as usize, 0);
        file.read_exact_at(&mut self.block, self.offset + HEADER as u64)
            .map_err(|error| failed(&error))?;
        if crc32c::crc32c(&self.block) != sum {
            return Err(corrupt("a block of a temporary file"));
        }
        self.offset = end;
        self.at = 0;
        Ok(())
    }
}

/// How many partitions a level of partitioning makes.
pub(crate) const PARTITIONS: usize = 16;
/// How often a partition is partitioned again before an operator gives up: rows of one key stay
/// together however often.
pub(crate) const MAX_LEVEL: u32 = 6;

/// Rows in temporary files by the hash of their keys.
pub(crate) struct Partitions {
    writers: Vec<Option<SpillWriter>>,
    level: u32,
}

impl Partitions {
    /// For a level of partitioning, 0 the first: each looks at other bits of the hash.
    pub(crate) fn new(level: u32) -> Partitions {
        Partitions {
            writers: (0..PARTITIONS).map(|_| None).collect(),
            level,
        }
    }

    /// Puts a row into the partition of its key.
    pub(crate) fn write(
        &mut self,
        space: &SpillSpace,
        format: &SpillFormat,
        key: &[u8],
        row: &RowBuffer,
    ) -> Result<()> {
        let place = partition_of(key, self.level);
        let Some(writer) = self.writers.get_mut(place) else {
            return Ok(());
        };
        match writer {
            Some(writer) => writer.write(key, row),
            none => none
                .insert(SpillWriter::new(space, format)?)
                .write(key, row),
        }
    }

    /// The partitions, to be read; `None` where there are no rows.
    pub(crate) fn finish(self) -> Result<Vec<Option<SpillReader>>> {
        self.writers
            .into_iter()
            .map(|writer| writer.map(SpillWriter::finish).transpose())
            .collect()
    }
}

/// Four bits of the key's hash, others on every level.
fn partition_of(key: &[u8], level: u32) -> usize {
    let hash = crc32c::crc32c_append(0x9e37_79b9 ^ level, key);
    let mixed = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 60) as usize
}
