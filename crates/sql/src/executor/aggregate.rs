//! Grouping and aggregation.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::{
    Result, Value,
    eval::Accumulator,
    executor::{ExecContext, MemoryMeter, Operator, RowBuffer, distinct::GroupEncoder, row_bytes},
    planner::physical::{PlannedAggregate, PlannedExpr},
};

/// The state of one aggregate in one group.
struct Cell {
    accumulator: Accumulator,
    /// With DISTINCT: the arguments seen.
    seen: Option<HashSet<Box<[u8]>, foldhash::fast::RandomState>>,
}

struct Group {
    keys: Vec<Value>,
    cells: Vec<Cell>,
}

/// Aggregates in a hash table; groups come out in the order of their first rows.
pub(crate) struct HashAggregate {
    input: Option<Box<dyn Operator>>,
    keys: Arc<[PlannedExpr]>,
    aggregates: Arc<[PlannedAggregate]>,
    encoder: GroupEncoder,
    /// Encoders of the arguments of DISTINCT aggregates.
    argument_encoders: Vec<GroupEncoder>,
    groups: std::vec::IntoIter<Group>,
    memory: MemoryMeter,
}

impl HashAggregate {
    /// Groups `input` by `keys`.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        keys: Arc<[PlannedExpr]>,
        aggregates: Arc<[PlannedAggregate]>,
        context: &ExecContext,
    ) -> Result<HashAggregate> {
        let encoder = GroupEncoder::new(keys.iter().map(|key| key.expr.data_type));
        let argument_encoders = aggregates
            .iter()
            .map(|of| {
                GroupEncoder::new(of.call.arguments.iter().map(|argument| argument.data_type))
            })
            .collect();
        Ok(HashAggregate {
            input: Some(input),
            keys,
            aggregates,
            encoder,
            argument_encoders,
            groups: Vec::new().into_iter(),
            memory: MemoryMeter::new(context, "aggregation")?,
        })
    }

    fn new_group(&self, keys: Vec<Value>) -> Result<Group> {
        let cells = self
            .aggregates
            .iter()
            .map(|aggregate| {
                Ok(Cell {
                    accumulator: Accumulator::new(&aggregate.call)?,
                    seen: aggregate.call.distinct.then(HashSet::default),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Group { keys, cells })
    }

    fn consume(
        &mut self,
        mut input: Box<dyn Operator>,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<()> {
        let mut groups: Vec<Group> = Vec::new();
        let mut places: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut key = Vec::new();
        let mut key_values = Vec::new();
        let mut arguments = Vec::new();
        if self.keys.is_empty() {
            groups.push(self.new_group(Vec::new())?);
        }
        while input.next(context, row)? {
            let eval = context.eval();
            let place = if self.keys.is_empty() {
                0
            } else {
                key.clear();
                key_values.clear();
                for (at, expr) in self.keys.iter().enumerate() {
                    let value = expr.compiled.eval(row, &eval)?;
                    self.encoder.encode(at, &value, &mut key)?;
                    key_values.push(value);
                }
                match places.get(key.as_slice()) {
                    Some(place) => *place,
                    None => {
                        let group = self.new_group(std::mem::take(&mut key_values))?;
                        self.memory.grow(
                            key.len()
                                + row_bytes(&group.keys)
                                + group.cells.len() * size_of::<Cell>()
                                + 96,
                        )?;
                        places.insert(key.as_slice().into(), groups.len());
                        groups.push(group);
                        groups.len() - 1
                    }
                }
            };
            let group = &mut groups[place];
            for (at, aggregate) in self.aggregates.iter().enumerate() {
                if let Some(filter) = &aggregate.filter
                    && filter.eval_predicate(row, &eval)? != Some(true)
                {
                    continue;
                }
                arguments.clear();
                for argument in aggregate.arguments.iter() {
                    arguments.push(argument.eval(row, &eval)?);
                }
                let cell = &mut group.cells[at];
                if let Some(seen) = &mut cell.seen {
                    key.clear();
                    for (column, value) in arguments.iter().enumerate() {
                        self.argument_encoders[at].encode(column, value, &mut key)?;
                    }
                    if seen.contains(key.as_slice()) {
                        continue;
                    }
                    self.memory.grow(key.len() + 32)?;
                    seen.insert(key.as_slice().into());
                }
                if aggregate.call.function.depends_on_order() {
                    let bytes: usize = arguments.iter().map(Value::heap_size).sum();
                    self.memory.grow(bytes + 24)?;
                }
                cell.accumulator.update(&arguments)?;
            }
        }
        self.groups = groups.into_iter();
        Ok(())
    }
}

impl Operator for HashAggregate {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if let Some(input) = self.input.take() {
            self.consume(input, context, row)?;
        }
        let Some(group) = self.groups.next() else {
            return Ok(false);
        };
        row.clear();
        row.extend(group.keys);
        for cell in group.cells {
            row.push(cell.accumulator.finish()?);
        }
        Ok(true)
    }
}
