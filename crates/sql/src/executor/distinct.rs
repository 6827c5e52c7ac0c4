//! DISTINCT.

use hashbrown::HashSet;

use crate::{
    DataType, Result,
    encoding::KeyColumn,
    executor::{ExecContext, MemoryMeter, Operator, RowBuffer},
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

/// Gives each distinct row once, as soon as it comes.
pub(crate) struct Distinct {
    input: Box<dyn Operator>,
    encoder: GroupEncoder,
    seen: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    key: Vec<u8>,
    memory: MemoryMeter,
}

impl Distinct {
    /// The distinct rows of `input`, whose columns have these types.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        types: Vec<DataType>,
        context: &ExecContext,
    ) -> Result<Distinct> {
        Ok(Distinct {
            input,
            encoder: GroupEncoder::new(types),
            seen: HashSet::default(),
            key: Vec::new(),
            memory: MemoryMeter::new(context, "DISTINCT")?,
        })
    }
}

impl Operator for Distinct {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        while self.input.next(context, row)? {
            self.key.clear();
            for (column, value) in row.iter().enumerate() {
                self.encoder.encode(column, value, &mut self.key)?;
            }
            if !self.seen.contains(self.key.as_slice()) {
                self.memory.grow(self.key.len() + 32)?;
                self.seen.insert(self.key.as_slice().into());
                return Ok(true);
            }
        }
        Ok(false)
    }
}
