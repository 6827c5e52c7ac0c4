//! Hash aggregation.
//!
//! Every thread groups what it gets; at the end the tables are merged. Aggregates that depend on
//! the order of rows (`string_agg`) or on all of a group's rows at once (DISTINCT) are computed
//! by one thread, from an input that other threads prepare.

mod decimal_state;
mod groups;
mod state;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};

use self::{groups::KeyValues, state::States};
use crate::{
    DataType, Result,
    executor::{ExecContext, MemoryMeter},
    planner::physical::{PlanColumn, PlannedAggregate, PlannedExpr},
    vector::{
        BatchStream, Limits,
        batch::Batch,
        expr::VectorExpr,
        keys::KeyEncoder,
        pipeline::{Pipeline, Sink},
    },
};

pub(crate) use groups::{Groups, compact};

/// What an aggregation computes.
pub(crate) struct AggregateSpec {
    keys: Vec<VectorExpr>,
    key_types: Vec<DataType>,
    aggregates: Vec<AggregateForm>,
    planned: Arc<[PlannedAggregate]>,
    columns: Vec<PlanColumn>,
    /// Whether only one thread may see all rows, in order.
    ordered: bool,
}

struct AggregateForm {
    arguments: Vec<VectorExpr>,
    types: Vec<DataType>,
    filter: Option<VectorExpr>,
}

impl AggregateSpec {
    /// Groups by `keys` over rows of `input`; the result has `columns`.
    pub(crate) fn new(
        keys: &[PlannedExpr],
        aggregates: &Arc<[PlannedAggregate]>,
        input: &[PlanColumn],
        columns: &[PlanColumn],
    ) -> Result<AggregateSpec> {
        let keys = VectorExpr::all(keys.iter().map(|key| &key.expr), input)?;
        let forms = aggregates
            .iter()
            .map(|aggregate| {
                let call = &aggregate.call;
                Ok(AggregateForm {
                    arguments: VectorExpr::all(&call.arguments, input)?,
                    types: call.arguments.iter().map(|of| of.data_type).collect(),
                    filter: call
                        .filter
                        .as_ref()
                        .map(|filter| VectorExpr::new(filter, input))
                        .transpose()?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(AggregateSpec {
            key_types: keys.iter().map(VectorExpr::data_type).collect(),
            keys,
            aggregates: forms,
            ordered: aggregates.iter().any(|aggregate| {
                aggregate.call.distinct || aggregate.call.function.depends_on_order()
            }),
            planned: Arc::clone(aggregates),
            columns: columns.to_vec(),
        })
    }
}

/// The groups that one thread has seen.
struct Partial<'a> {
    spec: &'a AggregateSpec,
    encoder: KeyEncoder,
    groups: Groups,
    values: KeyValues,
    /// The place of each group's first row.
    first: Vec<u64>,
    states: Vec<States>,
    /// For DISTINCT aggregates the arguments seen with each group.
    seen: Vec<Option<(KeyEncoder, Groups)>>,
    memory: MemoryMeter,
    reserved: usize,
    /// Bytes of strings that aggregates may have kept.
    strings: usize,
    of_row: Vec<u32>,
    new: Vec<u32>,
}

impl<'a> Partial<'a> {
    fn new(spec: &'a AggregateSpec, context: &ExecContext) -> Result<Partial<'a>> {
        let seen = spec
            .planned
            .iter()
            .zip(&spec.aggregates)
            .map(|(planned, form)| {
                if !planned.call.distinct {
                    return Ok(None);
                }
                let types = std::iter::once(DataType::Int8)
                    .chain(form.types.iter().copied())
                    .collect();
                Ok(Some((KeyEncoder::new(types)?, Groups::default())))
            })
            .collect::<Result<_>>()?;
        Ok(Partial {
            encoder: KeyEncoder::new(spec.key_types.clone())?,
            groups: Groups::default(),
            values: KeyValues::default(),
            first: Vec::new(),
            states: spec
                .planned
                .iter()
                .map(|planned| States::new(&planned.call))
                .collect(),
            seen,
            memory: MemoryMeter::new(context, "aggregation")?,
            reserved: 0,
            strings: 0,
            of_row: Vec::new(),
            new: Vec::new(),
            spec,
        })
    }

    fn account(&mut self) -> Result<()> {
        let size = self.groups.size()
            + self.values.size()
            + self.first.capacity() * 8
            + self.states.iter().map(States::size).sum::<usize>()
            + self
                .seen
                .iter()
                .flatten()
                .map(|(_, seen)| seen.size())
                .sum::<usize>()
            + self.strings;
        if size > self.reserved {
            self.memory.grow(size - self.reserved)?;
            self.reserved = size;
        }
        Ok(())
    }

    /// Adds the groups of another thread.
    fn merge(&mut self, other: Partial<'a>) -> Result<()> {
        let before = self.groups.len();
        let places = self.groups.absorb(&other.groups)?;
        self.first.resize(self.groups.len(), u64::MAX);
        for (place, first) in places.iter().zip(&other.first) {
            if let Some(mine) = self.first.get_mut(*place as usize) {
                *mine = (*mine).min(*first);
            }
        }
        debug_assert!(before <= self.groups.len());
        for (mine, theirs) in self.states.iter_mut().zip(other.states) {
            mine.resize(self.groups.len())?;
            mine.merge(theirs, &places)?;
        }
        self.account()
    }
}

impl Sink for Partial<'_> {
    fn consume(&mut self, place: u64, batch: Batch, context: &ExecContext) -> Result<()> {
        let spec = self.spec;
        let keys: Vec<ArrayRef> = spec
            .keys
            .iter()
            .map(|key| key.eval(&batch, context))
            .collect::<Result<_>>()?;
        let mut of_row = std::mem::take(&mut self.of_row);
        let mut new = std::mem::take(&mut self.new);
        if keys.is_empty() {
            if self.groups.len() == 0 {
                self.groups.group_of(crate::vector::keys::Key::None)?;
                self.first.push(place);
            }
            of_row.clear();
            of_row.resize(batch.rows, 0);
        } else {
            let encoded = self.encoder.keys(&keys, batch.rows)?;
            self.groups.groups_of(&encoded, &mut of_row, &mut new)?;
            self.values.push(&keys, batch.rows, &new)?;
            self.first
                .extend(new.iter().map(|at| place + u64::from(*at)));
        }
        for (at, form) in spec.aggregates.iter().enumerate() {
            let states = &mut self.states[at];
            states.resize(self.groups.len())?;
            let filtered;
            let (input, groups) = match &form.filter {
                None => (&batch, &of_row),
                Some(filter) => {
                    let truth = filter.truth(&batch, context)?;
                    let chosen = (0..batch.rows)
                        .filter(|row| truth.is_valid(*row) && truth.value(*row))
                        .map(|row| of_row[row])
                        .collect::<Vec<u32>>();
                    filtered = (batch.filter(&truth)?, chosen);
                    (&filtered.0, &filtered.1)
                }
            };
            let mut arguments = Batch {
                columns: form
                    .arguments
                    .iter()
                    .map(|argument| argument.eval(input, context))
                    .collect::<Result<_>>()?,
                rows: input.rows,
            };
            let distinct_groups;
            let groups = match &mut self.seen[at] {
                None => groups,
                Some((encoder, seen)) => {
                    let by_group = arrow_array::Int64Array::from_iter_values(
                        groups.iter().map(|group| i64::from(*group)),
                    );
                    let columns: Vec<ArrayRef> = std::iter::once(Arc::new(by_group) as ArrayRef)
                        .chain(arguments.columns.iter().map(Arc::clone))
                        .collect();
                    let keys = encoder.keys(&columns, arguments.rows)?;
                    let mut ignored = Vec::new();
                    seen.groups_of(&keys, &mut ignored, &mut new)?;
                    arguments = arguments.take(&UInt32Array::from(new.clone()))?;
                    distinct_groups = new
                        .iter()
                        .map(|row| groups[*row as usize])
                        .collect::<Vec<u32>>();
                    &distinct_groups
                }
            };
            if spec.planned[at].call.function.depends_on_order() {
                self.strings += arguments.bytes();
            }
            states.update(&arguments, &form.types, groups)?;
        }
        self.of_row = of_row;
        self.new = new;
        self.account()
    }
}

/// Aggregates a pipeline's rows.
pub(crate) struct AggregateStream {
    spec: AggregateSpec,
    input: Option<Pipeline>,
    result: Option<Batch>,
    at: usize,
    limits: Limits,
    node: usize,
}

impl AggregateStream {
    /// Aggregates `input` for plan node `node`.
    pub(crate) fn new(
        spec: AggregateSpec,
        input: Pipeline,
        node: usize,
        limits: Limits,
    ) -> AggregateStream {
        AggregateStream {
            spec,
            input: Some(input),
            result: None,
            at: 0,
            limits,
            node,
        }
    }

    fn compute(&self, input: Pipeline, context: &ExecContext) -> Result<Batch> {
        let spec = &self.spec;
        let mut partials = if spec.ordered {
            let mut partial = Partial::new(spec, context)?;
            let mut stream = input.into_stream();
            let mut place = 0;
            while let Some(batch) = stream.next(context)? {
                let rows = batch.rows as u64;
                partial.consume(place, batch, context)?;
                place += rows;
            }
            vec![partial]
        } else {
            input.run(context, || Partial::new(spec, context))?
        };
        // The key values of all parts, one after the other, and where each part's begin.
        let mut values = Vec::new();
        let mut candidates: Vec<(u64, u32)> = Vec::new();
        for partial in &mut partials {
            let kept = std::mem::take(&mut partial.values);
            for first in &partial.first {
                candidates.push((*first, candidates.len() as u32));
            }
            values.extend(kept.into_batches());
        }
        let mut partials = partials.into_iter();
        let Some(mut whole) = partials.next() else {
            return Ok(Batch::empty(&spec.columns));
        };
        for partial in partials {
            whole.merge(partial)?;
        }
        if spec.keys.is_empty() {
            // Without keys there is one group, even of no rows.
            for states in &mut whole.states {
                states.resize(1)?;
            }
        }
        if let Some(measured) = context
            .measurements
            .as_ref()
            .and_then(|measurements| measurements.node(self.node))
        {
            measured.memory(whole.reserved as u64);
        }
        // Groups come in the order of their first rows, each with the keys of that row.
        let mut order: Vec<u32> = (0..whole.first.len() as u32).collect();
        order.sort_unstable_by_key(|group| whole.first[*group as usize]);
        let rows = if spec.keys.is_empty() { 1 } else { order.len() };
        let mut columns = Vec::with_capacity(spec.columns.len());
        if !spec.keys.is_empty() {
            let (key_columns, _) = spec.columns.split_at(spec.keys.len());
            let values = Batch::concat(key_columns, &values)?;
            candidates.sort_unstable();
            // The first row of a group is the smallest of its places; others are not the
            // place of any merged group.
            let mut chosen = Vec::with_capacity(order.len());
            let mut candidates = candidates.into_iter();
            for group in &order {
                let first = whole.first[*group as usize];
                if let Some((_, at)) = candidates.by_ref().find(|(place, _)| *place == first) {
                    chosen.push(at);
                }
            }
            columns.extend(values.take(&UInt32Array::from(chosen))?.columns);
        }
        let order = UInt32Array::from(order);
        for (states, planned) in whole.states.into_iter().zip(spec.planned.iter()) {
            let values = states.finish(planned.call.data_type)?;
            columns.push(if spec.keys.is_empty() {
                values
            } else {
                arrow_select::take::take(&values, &order, None)
                    .map_err(crate::vector::batch::arrow_error)?
            });
        }
        Ok(Batch { columns, rows })
    }
}

impl BatchStream for AggregateStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        if let Some(input) = self.input.take() {
            self.result = Some(self.compute(input, context)?);
        }
        Ok(next_slice(&mut self.result, &mut self.at, &self.limits))
    }
}

/// The next rows of a result that is there as a whole.
pub(crate) fn next_slice(
    result: &mut Option<Batch>,
    at: &mut usize,
    limits: &Limits,
) -> Option<Batch> {
    let whole = result.as_ref()?;
    let rows = limits.batch_rows.min(whole.rows - *at);
    if rows == 0 {
        *result = None;
        return None;
    }
    let slice = whole.slice(*at, rows);
    *at += rows;
    Some(slice)
}
