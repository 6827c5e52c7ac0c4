//! Writing a table: versions in order go in, a durable file comes out.

use std::{path::PathBuf, sync::Arc};

use super::{
    block::{BlockBuilder, common_prefix},
    filter::{DefaultFilter, Filter},
    format::{FOOTER, Footer, Handle, Properties, TableIdentity, append_block},
    hash::hash,
    partitions::PartitionHandles,
    space::TableSpace,
    table::{Table, TableRecord},
};
use crate::{
    codec::Codec,
    cursor::VersionRef,
    durability,
    error::{Error, Result},
    lsn::Lsn,
    vfs::{OpenMode, VfsFile},
};

/// Bytes of an index partition; its filter is for the keys below it.
const PARTITION_BYTES: usize = 4096;

/// Writes one table.
#[derive(Debug)]
pub(super) struct TableWriter {
    space: Arc<TableSpace>,
    identity: TableIdentity,
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    codec: Codec,
    /// Bytes that are not written yet, and where they belong.
    pending: Vec<u8>,
    written: u64,
    data: BlockBuilder,
    index: BlockBuilder,
    top: BlockBuilder,
    /// Hashes of the keys of the current partition.
    hashes: Vec<u64>,
    /// The finished block that waits for the next key to get a short separator.
    waiting: Option<(Vec<u8>, Lsn, Handle)>,
    last: (Vec<u8>, Lsn),
    properties: Properties,
    scratch: Vec<u8>,
    /// Whether the file is complete; an incomplete one is removed.
    done: bool,
}

impl TableWriter {
    /// Begins a table for `level`.
    ///
    /// # Errors
    /// [`Error::Io`]. A full disk and too many open files leave the store usable, anything else
    /// poisons it.
    pub(super) fn create(space: &Arc<TableSpace>, level: usize) -> Result<TableWriter> {
        let identity = space.new_identity()?;
        let path = space.path_of(identity.number);
        let opened = space.env.vfs.open(&path, OpenMode::CreateNew);
        let file = guard(
            space,
            opened.map_err(|error| Error::io("create", &path, error)),
        )?;
        Ok(TableWriter {
            space: Arc::clone(space),
            identity,
            path,
            file,
            codec: space.options.codec_of(level),
            pending: Vec::with_capacity(space.options.window_bytes + space.options.block_bytes),
            written: 0,
            data: BlockBuilder::default(),
            index: BlockBuilder::default(),
            top: BlockBuilder::default(),
            hashes: Vec::new(),
            waiting: None,
            last: (Vec::new(), Lsn::ZERO),
            properties: Properties {
                filter_kind: DefaultFilter::KIND,
                ..Properties::default()
            },
            scratch: Vec::new(),
            done: false,
        })
    }

    /// Bytes of keys and values so far.
    pub(super) fn key_value_bytes(&self) -> u64 {
        self.properties.key_value_bytes
    }

    /// The key added last.
    pub(super) fn last_key(&self) -> &[u8] {
        &self.last.0
    }

    /// Appends a version, which comes after all the others.
    ///
    /// # Errors
    /// As [`TableWriter::create`].
    pub(super) fn add(&mut self, version: VersionRef<'_>) -> Result<()> {
        let VersionRef { key, lsn, value } = version;
        let is_new_key = self.properties.entries == 0 || self.last.0 != key;
        if let Some((last, last_lsn, handle)) = self.waiting.take() {
            if is_new_key {
                let separator = separator(&last, key);
                // Behind every version of the separator's key.
                self.add_to_index(&separator, Lsn::ZERO, handle)?;
            } else {
                self.add_to_index(&last, last_lsn, handle)?;
            }
        }
        if is_new_key || self.hashes.is_empty() {
            self.hashes.push(hash(key));
        }
        self.data.add(key, lsn, value);
        self.note(version, is_new_key);
        if self.data.size() >= self.space.options.block_bytes {
            self.finish_block()?;
        }
        Ok(())
    }

    fn note(&mut self, version: VersionRef<'_>, is_new_key: bool) {
        let VersionRef { key, lsn, value } = version;
        let properties = &mut self.properties;
        if properties.entries == 0 {
            properties.first_key = key.to_vec();
            (properties.oldest, properties.newest) = (lsn, lsn);
        }
        properties.oldest = properties.oldest.min(lsn);
        properties.newest = properties.newest.max(lsn);
        properties.entries += 1;
        properties.tombstones += u64::from(value.is_none());
        properties.key_value_bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        if is_new_key {
            self.last.0.clear();
            self.last.0.extend_from_slice(key);
        }
        self.last.1 = lsn;
    }

    fn finish_block(&mut self) -> Result<()> {
        if self.data.is_empty() {
            return Ok(());
        }
        let handle = append_block(
            self.identity,
            self.codec,
            self.data.finish(),
            self.written,
            &mut self.pending,
            &mut self.scratch,
        );
        self.data.clear();
        self.properties.data_blocks += 1;
        self.waiting = Some((self.last.0.clone(), self.last.1, handle));
        self.write_out(self.space.options.window_bytes)
    }

    fn add_to_index(&mut self, separator: &[u8], lsn: Lsn, block: Handle) -> Result<()> {
        let mut value = Vec::with_capacity(12);
        block.encode(&mut value);
        self.index.add(separator, lsn, Some(&value));
        if self.index.size() >= PARTITION_BYTES {
            self.finish_partition(separator, lsn)?;
        }
        Ok(())
    }

    /// Writes filter and index of the blocks so far. `separator` and `lsn` are the index's last.
    fn finish_partition(&mut self, separator: &[u8], lsn: Lsn) -> Result<()> {
        let mut filter = Vec::new();
        DefaultFilter::build(&self.hashes, &mut filter);
        self.hashes.clear();
        let mut append = |codec: Codec, payload: &[u8]| {
            append_block(
                self.identity,
                codec,
                payload,
                self.written,
                &mut self.pending,
                &mut self.scratch,
            )
        };
        let partition = PartitionHandles {
            filter: append(Codec::None, &filter),
            index: append(self.codec, self.index.finish()),
        };
        self.index.clear();
        self.top.add(separator, lsn, Some(&partition.encode()));
        self.write_out(self.space.options.window_bytes)
    }

    /// Writes what is pending where it is at least so much.
    fn write_out(&mut self, least: usize) -> Result<()> {
        if self.pending.len() < least || self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all_at(&self.pending, self.written);
        guard(
            &self.space,
            written.map_err(|error| Error::io("write", &self.path, error)),
        )?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Completes the table and makes its bytes durable. Its name is durable after
    /// [`TableSpace::sync_names`] only.
    ///
    /// # Errors
    /// As [`TableWriter::create`].
    pub(super) fn finish(mut self) -> Result<Arc<Table>> {
        self.finish_block()?;
        if let Some((last, lsn, handle)) = self.waiting.take() {
            self.add_to_index(&last, lsn, handle)?;
        }
        if !self.index.is_empty() {
            let last = self.index.last_key().to_vec();
            let lsn = self.last.1;
            self.finish_partition(&last, lsn)?;
        }
        self.properties.last_key = self.last.0.clone();
        let mut append = |codec: Codec, payload: &[u8]| {
            append_block(
                self.identity,
                codec,
                payload,
                self.written,
                &mut self.pending,
                &mut self.scratch,
            )
        };
        let footer = Footer {
            identity: self.identity,
            top: append(Codec::None, self.top.finish()),
            properties: append(Codec::None, &self.properties.encode()),
        };
        self.pending.extend_from_slice(&footer.encode());
        self.write_out(0)?;
        // A failed flush is never tried again: the file is given up, and its successor is another.
        let synced = self.file.sync_all();
        guard(
            &self.space,
            synced.map_err(|error| Error::io("flush", &self.path, error)),
        )?;
        debug_assert!(self.written > FOOTER as u64);
        let record = TableRecord {
            number: self.identity.number,
            salt: self.identity.salt,
            len: self.written,
            staged: Lsn::ZERO,
        };
        let table = Table::open(&self.space, &record)?;
        self.done = true;
        Ok(Arc::new(table))
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        if !self.done {
            // Nothing refers to it. One that stays is removed by the next opening.
            durability::unlink(&self.space.env, &self.path);
        }
    }
}

/// Poisons the store for a failed write, unless the disk is full or no more files may be open:
/// nothing refers to a table that is being written, so it can be given up. Too many open files are
/// only ever the answer to an attempt to open one, which has then done nothing.
fn guard<T>(space: &TableSpace, result: Result<T>) -> Result<T> {
    match result {
        Err(error) if error.is_refusal() => Err(error),
        other => space.poison.guard(other),
    }
}

/// A short key at or after `last` and before `next`, which is after `last`.
fn separator(last: &[u8], next: &[u8]) -> Vec<u8> {
    let same = common_prefix(last, next);
    // `next` cut behind the first difference is after `last`, and before `next` if it is
    // really shorter.
    match next.get(..same + 1) {
        Some(short) if short.len() < next.len() && short.len() < last.len() => short.to_vec(),
        _ => last.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_separate() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut key = || -> Vec<u8> { (0..random.usize(0..5)).map(|_| random.u8(0..4)).collect() };
        for _ in 0..50_000 {
            let (a, b) = (key(), key());
            if a < b {
                let separator = separator(&a, &b);
                assert!(a <= separator && separator < b && separator.len() <= a.len());
            }
        }
    }
}
