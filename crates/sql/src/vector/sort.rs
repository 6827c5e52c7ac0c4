//! Sorting: whole, and only the first rows of an order.

use std::{cmp::Ordering, collections::BinaryHeap};

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::SortOptions;

use crate::{
    DataType, Result, Value,
    executor::{ExecContext, MemoryMeter, row_bytes},
    planner::physical::{PlanColumn, PlannedSortKey},
    vector::{
        BatchStream, Limits,
        aggregate::next_slice,
        batch::Batch,
        convert::{ColumnBuilder, value_at},
        expr::VectorExpr,
        join::Collector,
        keys::{Key, KeyEncoder, Keys},
        pipeline::{Pipeline, Sink},
    },
};

/// What is sorted by.
pub(crate) struct SortSpec {
    keys: Vec<VectorExpr>,
    options: Vec<(DataType, SortOptions)>,
    columns: Vec<PlanColumn>,
}

impl SortSpec {
    /// Sorts rows of `columns` by `keys`.
    pub(crate) fn new(keys: &[PlannedSortKey], columns: &[PlanColumn]) -> Result<SortSpec> {
        Ok(SortSpec {
            keys: VectorExpr::all(keys.iter().map(|key| &key.expr.expr), columns)?,
            options: keys
                .iter()
                .map(|key| {
                    let options = SortOptions {
                        descending: key.descending,
                        nulls_first: key.nulls_first,
                    };
                    (key.expr.expr.data_type, options)
                })
                .collect(),
            columns: columns.to_vec(),
        })
    }

    fn keys(&self, encoder: &KeyEncoder, batch: &Batch, context: &ExecContext) -> Result<Keys> {
        let columns: Vec<ArrayRef> = self
            .keys
            .iter()
            .map(|key| key.eval(batch, context))
            .collect::<Result<_>>()?;
        encoder.keys(&columns, batch.rows)
    }
}

fn bytes_of<'a>(key: Key<'a>) -> &'a [u8] {
    match key {
        Key::Bytes(Some(bytes)) => bytes,
        _ => &[],
    }
}

fn book(node: usize, bytes: usize, context: &ExecContext) {
    if let Some(measured) = context
        .measurements
        .as_ref()
        .and_then(|measurements| measurements.node(node))
    {
        measured.memory(bytes as u64);
    }
}

/// Gives all rows in order. Equal rows keep the order of the input.
pub(crate) struct SortStream {
    spec: SortSpec,
    input: Option<Pipeline>,
    rows: Option<Batch>,
    order: UInt32Array,
    at: usize,
    memory: Option<MemoryMeter>,
    limits: Limits,
    node: usize,
}

impl SortStream {
    /// Sorts `input` for plan node `node`.
    pub(crate) fn new(spec: SortSpec, input: Pipeline, node: usize, limits: Limits) -> SortStream {
        SortStream {
            spec,
            input: Some(input),
            rows: None,
            order: UInt32Array::from(Vec::<u32>::new()),
            at: 0,
            memory: None,
            limits,
            node,
        }
    }

    fn sort(&mut self, input: Pipeline, context: &ExecContext) -> Result<()> {
        let collectors = input.run(context, || Collector::new(context, "sorting"))?;
        let (batches, meters, bytes) = Collector::gather(collectors);
        let mut memory = MemoryMeter::new(context, "sorting")?;
        memory.grow(bytes)?;
        let rows = Batch::concat(&self.spec.columns, &batches)?;
        drop((batches, meters));
        let encoder = KeyEncoder::sorting(&self.spec.options)?;
        let keys = self.spec.keys(&encoder, &rows, context)?;
        memory.grow(keys.bytes() + rows.rows * 4)?;
        context.check()?;
        let Ok(count) = u32::try_from(rows.rows) else {
            return Err(crate::Error::new(
                crate::SqlState::PROGRAM_LIMIT_EXCEEDED,
                "a sort cannot keep more than 4294967295 rows",
            ));
        };
        let mut order: Vec<u32> = (0..count).collect();
        let compare = |a: &u32, b: &u32| {
            bytes_of(keys.at(*a as usize))
                .cmp(bytes_of(keys.at(*b as usize)))
                .then_with(|| a.cmp(b))
        };
        if order.len() > self.limits.batch_rows && self.limits.threads() > 1 {
            use rayon::slice::ParallelSliceMut;
            order.par_sort_unstable_by(compare);
        } else {
            order.sort_unstable_by(compare);
        }
        book(self.node, bytes + keys.bytes() + rows.rows * 4, context);
        self.order = order.into();
        self.rows = Some(rows);
        self.memory = Some(memory);
        Ok(())
    }
}

impl BatchStream for SortStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        if let Some(input) = self.input.take() {
            self.sort(input, context)?;
        }
        let Some(rows) = &self.rows else {
            return Ok(None);
        };
        let count = self.limits.batch_rows.min(self.order.len() - self.at);
        if count == 0 {
            self.rows = None;
            self.memory = None;
            return Ok(None);
        }
        let batch = rows.take(&self.order.slice(self.at, count))?;
        self.at += count;
        Ok(Some(batch))
    }
}

/// A row that may be among the first.
struct Candidate {
    key: Box<[u8]>,
    place: u64,
    row: Vec<Value>,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Candidate) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Candidate) -> Ordering {
        (&self.key, self.place).cmp(&(&other.key, other.place))
    }
}

/// The first rows that one thread has seen.
struct Best<'a> {
    spec: &'a SortSpec,
    encoder: KeyEncoder,
    wanted: usize,
    heap: BinaryHeap<Candidate>,
    memory: MemoryMeter,
    bytes: usize,
}

impl Sink for Best<'_> {
    fn consume(&mut self, place: u64, batch: Batch, context: &ExecContext) -> Result<()> {
        let keys = self.spec.keys(&self.encoder, &batch, context)?;
        for at in 0..batch.rows {
            let key = bytes_of(keys.at(at));
            let place = place + at as u64;
            if self.heap.len() >= self.wanted {
                let Some(last) = self.heap.peek() else {
                    return Ok(());
                };
                if (key, place) >= (&*last.key, last.place) {
                    continue;
                }
                if let Some(last) = self.heap.pop() {
                    let bytes = row_bytes(&last.row) + last.key.len();
                    self.memory.shrink(bytes);
                    self.bytes -= bytes.min(self.bytes);
                }
            }
            let row = batch
                .columns
                .iter()
                .zip(&self.spec.columns)
                .map(|(column, of)| value_at(column, of.data_type, at))
                .collect::<Result<Vec<Value>>>()?;
            let bytes = row_bytes(&row) + key.len();
            self.memory.grow(bytes)?;
            self.bytes += bytes;
            self.heap.push(Candidate {
                key: key.into(),
                place,
                row,
            });
        }
        Ok(())
    }
}

/// Gives the first rows of an order; keeps no more of them than are asked for, per thread.
pub(crate) struct TopNStream {
    spec: SortSpec,
    input: Option<Pipeline>,
    skip: u64,
    take: u64,
    result: Option<Batch>,
    at: usize,
    limits: Limits,
    node: usize,
}

impl TopNStream {
    /// The rows of `input` in order, from number `skip` on, `take` of them.
    pub(crate) fn new(
        spec: SortSpec,
        input: Pipeline,
        (skip, take): (u64, u64),
        node: usize,
        limits: Limits,
    ) -> TopNStream {
        TopNStream {
            spec,
            input: Some(input),
            skip,
            take,
            result: None,
            at: 0,
            limits,
            node,
        }
    }

    fn compute(&self, input: Pipeline, context: &ExecContext) -> Result<Batch> {
        let spec = &self.spec;
        if self.take == 0 {
            return Ok(Batch::empty(&spec.columns));
        }
        let clamp = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let wanted = clamp(self.skip.saturating_add(self.take));
        let parts = input.run(context, || {
            Ok(Best {
                spec,
                encoder: KeyEncoder::sorting(&spec.options)?,
                wanted,
                heap: BinaryHeap::new(),
                memory: MemoryMeter::new(context, "sorting")?,
                bytes: 0,
            })
        })?;
        book(
            self.node,
            parts.iter().map(|part| part.bytes).sum(),
            context,
        );
        let mut rows: Vec<Candidate> = parts.into_iter().flat_map(|part| part.heap).collect();
        rows.sort_unstable();
        let rows = rows.iter().skip(clamp(self.skip)).take(clamp(self.take));
        let mut builders: Vec<ColumnBuilder> = spec
            .columns
            .iter()
            .map(|column| ColumnBuilder::new(column.data_type, rows.len()))
            .collect();
        let count = rows.len();
        for candidate in rows {
            for (builder, value) in builders.iter_mut().zip(&candidate.row) {
                builder.append(value)?;
            }
        }
        Ok(Batch {
            columns: builders.iter_mut().map(ColumnBuilder::finish).collect(),
            rows: count,
        })
    }
}

impl BatchStream for TopNStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        if let Some(input) = self.input.take() {
            self.result = Some(self.compute(input, context)?);
        }
        Ok(next_slice(&mut self.result, &mut self.at, &self.limits))
    }
}
