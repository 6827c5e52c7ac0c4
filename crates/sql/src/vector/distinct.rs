//! DISTINCT.

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBuffer;

use crate::{
    Result,
    executor::{self, ExecContext, MemoryMeter, Operator, RowBuffer},
    planner::physical::PlanColumn,
    vector::{
        BatchStream, Limits,
        aggregate::Groups,
        batch::Batch,
        keys::KeyEncoder,
        streams::{BatchesAsRows, RowsAsBatches},
    },
};

/// Distinct rows, given as soon as they come. Where there is no room to remember more of them, the
/// row executor's operator, which can use temporary files, gets all others that are not known.
pub(crate) struct DistinctStream {
    columns: Vec<PlanColumn>,
    limits: Limits,
    source: Source,
}

enum Source {
    Remembering(Box<Remembering>),
    Rest(RowsAsBatches),
}

struct Remembering {
    input: Box<dyn BatchStream>,
    encoder: KeyEncoder,
    seen: Groups,
    memory: MemoryMeter,
    reserved: usize,
    full: bool,
    of_row: Vec<u32>,
    new: Vec<u32>,
}

impl DistinctStream {
    /// The distinct rows of `input`, which has `columns`.
    pub(crate) fn new(
        input: Box<dyn BatchStream>,
        columns: &[PlanColumn],
        limits: Limits,
        context: &ExecContext,
    ) -> Result<DistinctStream> {
        Ok(DistinctStream {
            columns: columns.to_vec(),
            limits,
            source: Source::Remembering(Box::new(Remembering {
                input,
                encoder: KeyEncoder::new(columns.iter().map(|column| column.data_type).collect())?,
                seen: Groups::default(),
                memory: MemoryMeter::new(context, "DISTINCT")?,
                reserved: 0,
                full: false,
                of_row: Vec::new(),
                new: Vec::new(),
            })),
        })
    }
}

impl Remembering {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        while let Some(batch) = self.input.next(context)? {
            let keys = self.encoder.keys(&batch.columns, batch.rows)?;
            self.seen
                .groups_of(&keys, &mut self.of_row, &mut self.new)?;
            let size = self.seen.size();
            if size > self.reserved {
                self.full = !self.memory.try_grow(size - self.reserved, context)?;
                self.reserved = size;
            }
            if self.new.is_empty() && !self.full {
                continue;
            }
            let mut new = self.new.iter().copied().peekable();
            let mask = BooleanBuffer::collect_bool(batch.rows, |row| {
                new.next_if(|next| *next as usize == row).is_some()
            });
            return batch.filter(&BooleanArray::new(mask, None)).map(Some);
        }
        Ok(None)
    }
}

impl BatchStream for DistinctStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        loop {
            match &mut self.source {
                Source::Rest(rows) => return rows.next(context),
                Source::Remembering(remembering) if remembering.full => {}
                Source::Remembering(remembering) => match remembering.next(context)? {
                    Some(batch) if batch.rows == 0 => continue,
                    given => return Ok(given),
                },
            }
            self.hand_over(context)?;
        }
    }
}

impl DistinctStream {
    /// Has the row executor go on.
    fn hand_over(&mut self, context: &ExecContext) -> Result<()> {
        let nothing = RowsAsBatches::new(Box::new(Nothing), &[], self.limits);
        let Source::Remembering(remembering) =
            std::mem::replace(&mut self.source, Source::Rest(nothing))
        else {
            return Ok(());
        };
        let Remembering {
            input,
            encoder,
            seen,
            memory,
            ..
        } = *remembering;
        let unseen = Unseen {
            input,
            encoder,
            seen,
            _memory: memory,
        };
        let unseen = BatchesAsRows::new(Box::new(unseen), &self.columns);
        let distinct = executor::distinct(Box::new(unseen), &self.columns, context)?;
        self.source = Source::Rest(RowsAsBatches::new(distinct, &self.columns, self.limits));
        Ok(())
    }
}

/// No rows.
struct Nothing;

impl Operator for Nothing {
    fn next(&mut self, _context: &ExecContext, _row: &mut RowBuffer) -> Result<bool> {
        Ok(false)
    }
}

/// The rows of an input that are not among those seen.
struct Unseen {
    input: Box<dyn BatchStream>,
    encoder: KeyEncoder,
    seen: Groups,
    _memory: MemoryMeter,
}

impl BatchStream for Unseen {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        while let Some(batch) = self.input.next(context)? {
            let keys = self.encoder.keys(&batch.columns, batch.rows)?;
            let mask =
                BooleanBuffer::collect_bool(batch.rows, |row| !self.seen.contains(keys.at(row)));
            let batch = batch.filter(&BooleanArray::new(mask, None))?;
            if batch.rows > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
