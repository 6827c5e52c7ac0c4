//! Cutting a file into chunks of whole records, in order, with bounded memory.

use std::{
    io::Read,
    sync::{Arc, atomic::AtomicU64},
};

use crate::{
    error::{BadRow, Error, Reason, Result},
    record::{Dialect, Splitter},
    source::Source,
};

/// Whole records that follow one another in a file.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The first record's number in the file, from 0, blank lines not counted.
    pub(crate) first_record: u64,
    /// The line on which the first record begins, from 1.
    pub(crate) first_line: u64,
    /// Records in it.
    pub(crate) records: u64,
    /// Their text.
    pub(crate) text: Vec<u8>,
}

/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkLimits {
    /// Bytes read at once: what a chunk usually has.
    pub(crate) block: usize,
    /// The longest record taken, in bytes.
    pub(crate) longest_record: usize,
}

impl Default for ChunkLimits {
    fn default() -> ChunkLimits {
        ChunkLimits {
            block: 512 << 10,
            longest_record: 64 << 20,
        }
    }
}

/// Reads chunks from a source.
pub(crate) struct ChunkReader {
    source: Source,
    reader: Box<dyn Read + Send>,
    splitter: Splitter,
    limits: ChunkLimits,
    /// What has been read beyond the last record end.
    rest: Vec<u8>,
    record: u64,
    line: u64,
    ended: bool,
}

impl ChunkReader {
    /// Reads `source` from its beginning; `consumed` counts its bytes on disk.
    pub(crate) fn open(
        source: &Source,
        dialect: Dialect,
        limits: ChunkLimits,
        consumed: Arc<AtomicU64>,
    ) -> Result<ChunkReader> {
        Ok(ChunkReader {
            source: source.clone(),
            reader: source.open(consumed)?,
            splitter: Splitter::new(dialect),
            limits,
            rest: Vec::new(),
            record: 0,
            line: 1,
            ended: false,
        })
    }

    /// The next chunk; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let wanted = self.rest.len() + self.limits.block;
            let read = (&mut self.reader)
                .take(self.limits.block as u64)
                .read_to_end(&mut self.rest)
                .map_err(|error| self.source.read_error(error))?;
            self.ended = self.rest.len() < wanted && read < self.limits.block;
            let split = self.splitter.last_record_end(&self.rest);
            let (length, records, lines) = if self.ended {
                // What follows the last record end is a record without a line end.
                let tail = &self.rest[split.length..];
                let has_tail = !matches!(tail, [] | [b'\r']);
                (
                    self.rest.len(),
                    split.records + u64::from(has_tail),
                    split.lines,
                )
            } else {
                (split.length, split.records, split.lines)
            };
            if self.rest.len() - length > self.limits.longest_record {
                let row = BadRow {
                    line: self.line + lines,
                    column: None,
                    reason: Reason::TooLong(self.limits.longest_record),
                };
                return Err(Error::Row {
                    path: self.source.path().into(),
                    row,
                });
            }
            if records == 0 && !self.ended && length == 0 {
                continue;
            }
            let after = self.rest.split_off(length);
            let text = std::mem::replace(&mut self.rest, after);
            let chunk = Chunk {
                first_record: self.record,
                first_line: self.line,
                records,
                text,
            };
            self.record += records;
            self.line += lines;
            if records > 0 {
                return Ok(Some(chunk));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use quickcheck::QuickCheck;
    use rustling_storage::{Env, OpenMode};

    use super::{ChunkLimits, ChunkReader};
    use crate::{
        error::Error,
        record::{Dialect, Fields},
        source::Source,
    };

    fn source(text: &[u8]) -> Option<Source> {
        let env = Env::in_memory();
        let path = Path::new("/file.csv");
        env.vfs
            .open(path, OpenMode::CreateNew)
            .unwrap()
            .write_all_at(text, 0)
            .unwrap();
        Source::new(&env, path, None).ok()
    }

    /// Every record of `text` but blank lines: the line it begins on and its fields.
    fn records(text: &[u8], mut line: u64) -> Vec<(u64, Vec<Vec<u8>>)> {
        let mut fields = Fields::default();
        let mut records = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let record = fields.read(text, at, Dialect::default());
            if !(fields.len() == 1 && fields.get(text, 0) == Some((b"", false))) {
                let all = (0..fields.len()).filter_map(|index| fields.get(text, index));
                records.push((line, all.map(|(field, _)| field.to_vec()).collect()));
            }
            line += record.lines;
            at = record.next;
        }
        records
    }

    #[test]
    fn chunks_hold_the_records_of_the_file_under_their_numbers() {
        fn property(choices: Vec<u8>, block: u8) -> bool {
            let text: Vec<u8> = choices
                .iter()
                .map(|choice| b"ab,\"\n,\n\r"[usize::from(*choice) % 8])
                .collect();
            let Some(source) = source(&text) else {
                return true;
            };
            let limits = ChunkLimits {
                block: usize::from(block % 16) + 1,
                longest_record: 1 << 20,
            };
            let mut reader =
                ChunkReader::open(&source, Dialect::default(), limits, Arc::default()).unwrap();
            let mut found = Vec::new();
            while let Some(chunk) = reader.next().unwrap() {
                let of_chunk = records(&chunk.text, chunk.first_line);
                if chunk.first_record != found.len() as u64
                    || chunk.records != of_chunk.len() as u64
                {
                    return false;
                }
                found.extend(of_chunk);
            }
            found == records(&text, 1)
        }
        QuickCheck::new()
            .tests(5_000)
            .quickcheck(property as fn(Vec<u8>, u8) -> bool);
    }

    #[test]
    fn a_record_without_end_is_refused() {
        let text = [b"a,b\n\"".to_vec(), vec![b'x'; 5_000]].concat();
        let limits = ChunkLimits {
            block: 100,
            longest_record: 1_000,
        };
        let mut reader = ChunkReader::open(
            &source(&text).unwrap(),
            Dialect::default(),
            limits,
            Arc::default(),
        )
        .unwrap();
        let error = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the file was taken"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, Error::Row { row, .. } if row.line == 2),
            "wrong line"
        );
    }
}
