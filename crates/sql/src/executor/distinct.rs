//! DISTINCT.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::{
    DataType, Result,
    encoding::KeyColumn,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer,
        spill::{MAX_LEVEL, Partitions, SpillFormat, SpillReader},
    },
};

/// Encodes values so that equal ones (NULL equal to NULL) have equal bytes.
#[derive(Clone, Debug)]
pub(crate) struct GroupEncoder {
    columns: Vec<KeyColumn>,
}

impl GroupEncoder {
    /// For values of these types.
    pub(crate) fn new(types: impl IntoIterator<Item = DataType>) -> GroupEncoder {
        let columns = types
            .into_iter()
            .map(|data_type| KeyColumn {
                nullable: true,
                ..KeyColumn::ascending(data_type)
            })
            .collect();
        GroupEncoder { columns }
    }

    /// Appends the bytes of the value of column `column`.
    #[inline]
    pub(crate) fn encode(
        &self,
        column: usize,
        value: &crate::Value,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.columns[column].encode(value, out)
    }
}

/// Gives the first of equal rows, as soon as it comes.
///
/// Where there is no room to remember another row, rows that are not known go into temporary
/// files, partitioned by their keys, and are looked at when the input has ended.
pub(crate) struct Distinct {
    source: Source,
    /// The columns that count; `None`: all.
    on: Option<Arc<[usize]>>,
    encoder: GroupEncoder,
    seen: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    key: Vec<u8>,
    format: SpillFormat,
    /// Rows put off, and how often the rows at hand have been partitioned.
    partitions: Partitions,
    level: u32,
    full: bool,
    pending: Vec<(SpillReader, u32)>,
    memory: MemoryMeter,
}

enum Source {
    Input(Box<dyn Operator>),
    Spilled(SpillReader),
}

impl Distinct {
    /// The distinct rows of `input`, whose columns have these types.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        types: Vec<DataType>,
        on: Option<Arc<[usize]>>,
        context: &ExecContext,
    ) -> Result<Distinct> {
        Ok(Distinct {
            source: Source::Input(input),
            on,
            format: SpillFormat::new(types.iter().copied()),
            encoder: GroupEncoder::new(types),
            seen: HashSet::default(),
            key: Vec::new(),
            partitions: Partitions::new(0),
            level: 0,
            full: false,
            pending: Vec::new(),
            memory: MemoryMeter::new(context, "DISTINCT")?,
        })
    }

    /// Makes `row` the next row and `key` its key.
    fn read(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let input = match &mut self.source {
            Source::Spilled(reader) => {
                context.check()?;
                return reader.read(&mut self.key, row);
            }
            Source::Input(input) => input,
        };
        if !input.next(context, row)? {
            return Ok(false);
        }
        self.key.clear();
        match &self.on {
            None => {
                for (column, value) in row.iter().enumerate() {
                    self.encoder.encode(column, value, &mut self.key)?;
                }
            }
            Some(on) => {
                for column in on.iter() {
                    if let Some(value) = row.get(*column) {
                        self.encoder.encode(*column, value, &mut self.key)?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Goes on with rows put off; `false`: there are none.
    fn next_partition(&mut self) -> Result<bool> {
        let level = self.level + 1;
        let done = std::mem::replace(&mut self.partitions, Partitions::new(level));
        let readers = done.finish()?.into_iter().flatten();
        self.pending.extend(readers.map(|reader| (reader, level)));
        let Some((reader, level)) = self.pending.pop() else {
            return Ok(false);
        };
        self.source = Source::Spilled(reader);
        self.level = level;
        self.partitions = Partitions::new(level);
        self.seen.clear();
        self.memory.clear();
        self.full = false;
        Ok(true)
    }
}

impl Operator for Distinct {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            while self.read(context, row)? {
                if self.seen.contains(self.key.as_slice()) {
                    continue;
                }
                if !self.full {
                    let bytes = self.key.len() + 32;
                    if self.level >= MAX_LEVEL || self.on.is_some() {
                        // With DISTINCT ON the rows' order counts.
                        self.memory.grow(bytes)?;
                    } else {
                        self.full = !self.memory.try_grow(bytes, context)?;
                    }
                }
                if self.full {
                    self.partitions
                        .write(context.spill_space()?, &self.format, &self.key, row)?;
                    continue;
                }
                self.seen.insert(self.key.as_slice().into());
                return Ok(true);
            }
            if !self.next_partition()? {
                return Ok(false);
            }
        }
    }
}
