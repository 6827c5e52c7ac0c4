//! Stages and streams that need little: filter, projection, LIMIT, UNION ALL, and the bridges
//! to and from the row executor.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    DataType, Result, Value,
    executor::{ExecContext, Operator, RowBuffer},
    planner::physical::PlanColumn,
    vector::{
        BatchStream, Limits,
        batch::Batch,
        convert::{ColumnBuilder, value_at},
        expr::{self, VectorExpr},
        pipeline::Stage,
    },
};

/// Keeps the rows for which all predicates are true.
pub(crate) struct Filter(pub(crate) Vec<VectorExpr>);

impl Stage for Filter {
    fn keeps_columns(&self) -> bool {
        true
    }

    fn apply(
        &self,
        batch: Batch,
        context: &ExecContext,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let batch = expr::filter(&self.0, batch, context)?;
        if batch.rows > 0 { emit(batch) } else { Ok(()) }
    }
}

/// Computes columns.
pub(crate) struct Project(pub(crate) Vec<VectorExpr>);

impl Stage for Project {
    fn apply(
        &self,
        batch: Batch,
        context: &ExecContext,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let columns = self
            .0
            .iter()
            .map(|item| item.eval(&batch, context))
            .collect::<Result<_>>()?;
        emit(Batch {
            columns,
            rows: batch.rows,
        })
    }
}

/// Gives a window of its input's rows, and asks for no more than that takes.
pub(crate) struct LimitStream {
    input: Box<dyn BatchStream>,
    skip: u64,
    take: u64,
}

impl LimitStream {
    /// Skips `skip` rows of `input`, then gives at most `take`.
    pub(crate) fn new(input: Box<dyn BatchStream>, (skip, take): (u64, u64)) -> LimitStream {
        LimitStream { input, skip, take }
    }
}

impl BatchStream for LimitStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        while self.take > 0 {
            let Some(batch) = self.input.next(context)? else {
                self.take = 0;
                break;
            };
            let rows = batch.rows as u64;
            let skipped = self.skip.min(rows);
            self.skip -= skipped;
            let given = (rows - skipped).min(self.take);
            if given == 0 {
                continue;
            }
            self.take -= given;
            return Ok(Some(batch.slice(skipped as usize, given as usize)));
        }
        Ok(None)
    }
}

/// Gives the rows of its inputs, one input after the other.
pub(crate) struct UnionStream {
    inputs: VecDeque<(Box<dyn BatchStream>, Vec<usize>)>,
}

impl UnionStream {
    /// The inputs, each with the positions of its columns in the order given.
    pub(crate) fn new(inputs: Vec<(Box<dyn BatchStream>, Vec<usize>)>) -> UnionStream {
        UnionStream {
            inputs: inputs.into(),
        }
    }
}

impl BatchStream for UnionStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        while let Some((input, positions)) = self.inputs.front_mut() {
            if let Some(batch) = input.next(context)? {
                return Ok(Some(Batch {
                    columns: positions
                        .iter()
                        .filter_map(|position| batch.columns.get(*position).map(Arc::clone))
                        .collect(),
                    rows: batch.rows,
                }));
            }
            self.inputs.pop_front();
        }
        Ok(None)
    }
}

/// Rows of the row executor as batches.
pub(crate) struct RowsAsBatches {
    operator: Box<dyn Operator>,
    columns: Vec<PlanColumn>,
    /// Rows in the next batch: few at first, since whoever asks may not want more.
    target: usize,
    limits: Limits,
    ended: bool,
}

impl RowsAsBatches {
    /// The rows of `operator`, which have `columns`.
    pub(crate) fn new(
        operator: Box<dyn Operator>,
        columns: &[PlanColumn],
        limits: Limits,
    ) -> RowsAsBatches {
        RowsAsBatches {
            operator,
            columns: columns.to_vec(),
            target: limits.batch_rows.min(128),
            limits,
            ended: false,
        }
    }
}

impl BatchStream for RowsAsBatches {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        if self.ended {
            return Ok(None);
        }
        let mut builders: Vec<ColumnBuilder> = self
            .columns
            .iter()
            .map(|column| ColumnBuilder::new(column.data_type, self.target))
            .collect();
        let mut row = RowBuffer::new();
        let mut rows = 0;
        while rows < self.target {
            if !self.operator.next(context, &mut row)? {
                self.ended = true;
                break;
            }
            rows += 1;
            for (builder, value) in builders.iter_mut().zip(&row) {
                builder.append(value)?;
            }
        }
        self.target = self.target.saturating_mul(4).min(self.limits.batch_rows);
        Ok((rows > 0).then(|| Batch {
            columns: builders.iter_mut().map(ColumnBuilder::finish).collect(),
            rows,
        }))
    }
}

/// Batches as rows of the row executor.
pub(crate) struct BatchesAsRows {
    input: Box<dyn BatchStream>,
    types: Vec<DataType>,
    batch: Option<Batch>,
    at: usize,
}

impl BatchesAsRows {
    /// The rows of `input`, which has `columns`.
    pub(crate) fn new(input: Box<dyn BatchStream>, columns: &[PlanColumn]) -> BatchesAsRows {
        BatchesAsRows {
            input,
            types: columns.iter().map(|column| column.data_type).collect(),
            batch: None,
            at: 0,
        }
    }
}

impl Operator for BatchesAsRows {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.at < batch.rows) {
                row.resize(self.types.len(), Value::Null);
                for ((place, column), data_type) in
                    row.iter_mut().zip(&batch.columns).zip(&self.types)
                {
                    *place = value_at(column, *data_type, self.at)?;
                }
                self.at += 1;
                return Ok(true);
            }
            self.batch = None;
            self.at = 0;
            match self.input.next(context)? {
                Some(batch) => self.batch = Some(batch),
                None => return Ok(false),
            }
        }
    }
}

/// Books what a stream does under a plan node.
pub(crate) struct MeasuredStream {
    pub(crate) input: Box<dyn BatchStream>,
    pub(crate) node: usize,
}

impl BatchStream for MeasuredStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        let start = context.env.now();
        let batch = self.input.next(context)?;
        let took = context.env.now().saturating_sub(start).as_nanos();
        if let Some(measured) = context
            .measurements
            .as_ref()
            .and_then(|measurements| measurements.node(self.node))
        {
            measured.add(
                batch.as_ref().map_or(0, |batch| batch.rows as u64),
                u64::try_from(took).unwrap_or(u64::MAX),
            );
        }
        Ok(batch)
    }
}
