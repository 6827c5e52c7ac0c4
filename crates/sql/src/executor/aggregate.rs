//! Grouping and aggregation.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::{
    DataType, Result, Value,
    eval::Accumulator,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer,
        distinct::GroupEncoder,
        row_bytes,
        sort::SortKeys,
        spill::{MAX_LEVEL, Partitions, SpillFormat, SpillReader},
    },
    planner::physical::{PlannedAggregate, PlannedExpr},
};

/// The arguments of a row under their sort key.
type Ordered = (Box<[u8]>, Vec<Value>);

/// The state of one aggregate in one group.
struct Cell {
    accumulator: Accumulator,
    /// With DISTINCT: the arguments seen.
    seen: Option<HashSet<Box<[u8]>, foldhash::fast::RandomState>>,
    /// With ORDER BY: the arguments under their sort keys, until all are there.
    ordered: Option<Vec<Ordered>>,
}

struct Group {
    keys: Vec<Value>,
    /// The number of the set that the group is of.
    set: usize,
    cells: Vec<Cell>,
}

/// Encodes the arguments and the order of one aggregate.
struct Encoders {
    arguments: GroupEncoder,
    order: Option<SortKeys>,
}

/// Aggregates in a hash table; groups come out in the order of their first rows.
///
/// Where there is no room for a new group its rows go into temporary files, partitioned by key,
/// and are aggregated when the groups at hand have been given.
pub(crate) struct HashAggregate {
    input: Option<Box<dyn Operator>>,
    keys: Arc<[PlannedExpr]>,
    aggregates: Arc<[PlannedAggregate]>,
    sets: Option<Arc<[Vec<usize>]>>,
    encoder: GroupEncoder,
    encoders: Vec<Encoders>,
    groups: std::vec::IntoIter<Group>,
    /// How rows are written that belong to groups for which there is no room.
    format: SpillFormat,
    /// Partitions of such rows, and how often they have been partitioned.
    pending: Vec<(SpillReader, u32)>,
    arguments: Vec<Value>,
    key: Vec<u8>,
    memory: MemoryMeter,
}

/// Groups by their keys.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    places: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// There is no room for more groups.
    full: bool,
    /// Partitioning again would not help: there must be room.
    last: bool,
}

impl HashAggregate {
    /// Groups `input` by `keys`, or by each of the `sets` of them.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        keys: Arc<[PlannedExpr]>,
        aggregates: Arc<[PlannedAggregate]>,
        sets: Option<Arc<[Vec<usize>]>>,
        types: impl IntoIterator<Item = DataType>,
        context: &ExecContext,
    ) -> Result<HashAggregate> {
        let encoder = GroupEncoder::new(keys.iter().map(|key| key.expr.data_type));
        let encoders = aggregates
            .iter()
            .map(|of| Encoders {
                arguments: GroupEncoder::new(
                    of.call.arguments.iter().map(|argument| argument.data_type),
                ),
                order: (!of.order_by.is_empty()).then(|| SortKeys::new(Arc::clone(&of.order_by))),
            })
            .collect();
        Ok(HashAggregate {
            input: Some(input),
            keys,
            aggregates,
            sets,
            encoder,
            encoders,
            groups: Vec::new().into_iter(),
            format: SpillFormat::new(types),
            pending: Vec::new(),
            arguments: Vec::new(),
            key: Vec::new(),
            memory: MemoryMeter::new(context, "aggregation")?,
        })
    }

    fn new_group(&self, keys: Vec<Value>, set: usize) -> Result<Group> {
        let cells = self
            .aggregates
            .iter()
            .map(|aggregate| {
                Ok(Cell {
                    accumulator: Accumulator::new(&aggregate.call)?,
                    seen: aggregate.call.distinct.then(HashSet::default),
                    ordered: (!aggregate.order_by.is_empty()).then(Vec::new),
                })
            })
            .collect::<Result<Vec<Cell>>>()?;
        Ok(Group { keys, set, cells })
    }

    /// Gives the input's rows to their groups.
    fn consume(
        &mut self,
        mut input: Box<dyn Operator>,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<()> {
        let mut table = Groups::default();
        let sets = match &self.sets {
            Some(sets) => Arc::clone(sets),
            None => Arc::from([(0..self.keys.len()).collect::<Vec<usize>>()]),
        };
        // A set without keys has its group even of no rows.
        let mut only: Vec<Option<usize>> = vec![None; sets.len()];
        for (set, keys) in sets.iter().enumerate() {
            if keys.is_empty() {
                only[set] = Some(table.groups.len());
                let nulls = vec![Value::Null; self.keys.len()];
                self.memory.grow(self.group_bytes(&nulls))?;
                table.groups.push(self.new_group(nulls, set)?);
            }
        }
        let mut partitions = Partitions::new(0);
        let mut key = Vec::new();
        let mut values = Vec::new();
        while input.next(context, row)? {
            let eval = context.eval();
            values.clear();
            for expr in self.keys.iter() {
                values.push(expr.compiled.eval(row, &eval)?);
            }
            for (set, members) in sets.iter().enumerate() {
                if let Some(place) = only[set] {
                    self.take_row(&mut table.groups[place], row, context)?;
                    continue;
                }
                key.clear();
                for member in members {
                    self.encoder.encode(*member, &values[*member], &mut key)?;
                }
                if sets.len() > 1 {
                    key.extend_from_slice(&(set as u32).to_be_bytes());
                }
                let of_group = |values: &[Value]| {
                    let value = |at: usize| match members.contains(&at) {
                        true => values[at].clone(),
                        false => Value::Null,
                    };
                    (0..values.len()).map(value).collect()
                };
                let place = self.place(&mut table, &key, set, context, || of_group(&values))?;
                match place {
                    Some(place) => self.take_row(&mut table.groups[place], row, context)?,
                    None => {
                        partitions.write(context.spill_space()?, &self.format, &key, row)?;
                    }
                }
            }
        }
        self.groups = table.groups.into_iter();
        self.put_off(partitions, 0)
    }

    /// Gives the rows of a partition to their groups.
    fn consume_partition(
        &mut self,
        mut reader: SpillReader,
        level: u32,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<()> {
        self.memory.clear();
        let mut table = Groups {
            last: level >= MAX_LEVEL,
            ..Groups::default()
        };
        let mut partitions = Partitions::new(level);
        let mut key = Vec::new();
        while reader.read(&mut key, row)? {
            context.check()?;
            let set = match (&self.sets, key.last_chunk::<4>()) {
                (Some(sets), Some(set)) if sets.len() > 1 => u32::from_be_bytes(*set) as usize,
                _ => 0,
            };
            let place = match table.places.get(key.as_slice()) {
                Some(place) => Some(*place),
                None => {
                    let eval = context.eval();
                    let mut values = Vec::with_capacity(self.keys.len());
                    for (at, expr) in self.keys.iter().enumerate() {
                        let is_member = self
                            .sets
                            .as_ref()
                            .and_then(|sets| sets.get(set))
                            .is_none_or(|members| members.contains(&at));
                        values.push(if is_member {
                            expr.compiled.eval(row, &eval)?
                        } else {
                            Value::Null
                        });
                    }
                    self.place(&mut table, &key, set, context, || values)?
                }
            };
            match place {
                Some(place) => self.take_row(&mut table.groups[place], row, context)?,
                None => partitions.write(context.spill_space()?, &self.format, &key, row)?,
            }
        }
        self.groups = table.groups.into_iter();
        self.put_off(partitions, level)
    }

    /// Partitions whose turn comes when the groups at hand are given.
    fn put_off(&mut self, partitions: Partitions, level: u32) -> Result<()> {
        let readers = partitions.finish()?.into_iter().flatten();
        self.pending
            .extend(readers.map(|reader| (reader, level + 1)));
        Ok(())
    }

    /// The group of that key, made now where there is room for it; `None`: there is not.
    fn place(
        &mut self,
        table: &mut Groups,
        key: &[u8],
        set: usize,
        context: &ExecContext,
        values: impl FnOnce() -> Vec<Value>,
    ) -> Result<Option<usize>> {
        if let Some(place) = table.places.get(key) {
            return Ok(Some(*place));
        }
        if table.full {
            return Ok(None);
        }
        let values = values();
        let bytes = key.len() + self.group_bytes(&values);
        if table.last {
            self.memory.grow(bytes)?;
        } else if !self.memory.try_grow(bytes, context)? {
            table.full = true;
            return Ok(None);
        }
        let group = self.new_group(values, set)?;
        table.places.insert(key.into(), table.groups.len());
        table.groups.push(group);
        Ok(Some(table.groups.len() - 1))
    }

    fn group_bytes(&self, keys: &[Value]) -> usize {
        row_bytes(keys) + self.aggregates.len() * size_of::<Cell>() + 96
    }

    /// Gives a row to the aggregates of its group.
    fn take_row(
        &mut self,
        group: &mut Group,
        row: &RowBuffer,
        context: &ExecContext,
    ) -> Result<()> {
        let eval = context.eval();
        let (arguments, key) = (&mut self.arguments, &mut self.key);
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
                    self.encoders[at].arguments.encode(column, value, key)?;
                }
                if seen.contains(key.as_slice()) {
                    continue;
                }
                self.memory.grow(key.len() + 32)?;
                seen.insert(key.as_slice().into());
            }
            if let (Some(ordered), Some(order)) = (&mut cell.ordered, &self.encoders[at].order) {
                order.encode(row, context, key)?;
                self.memory.grow(row_bytes(arguments) + key.len() + 24)?;
                ordered.push((key.as_slice().into(), std::mem::take(arguments)));
                continue;
            }
            if aggregate.call.function.depends_on_order() {
                let bytes: usize = arguments.iter().map(Value::heap_size).sum();
                self.memory.grow(bytes + 24)?;
            }
            cell.accumulator.update(arguments)?;
        }
        Ok(())
    }
}

impl Cell {
    fn finish(mut self) -> Result<Value> {
        if let Some(mut ordered) = self.ordered {
            ordered.sort_by(|(left, _), (right, _)| left.cmp(right));
            for (_, arguments) in ordered {
                self.accumulator.update(&arguments)?;
            }
        }
        self.accumulator.finish()
    }
}

impl Operator for HashAggregate {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if let Some(input) = self.input.take() {
            self.consume(input, context, row)?;
        }
        let group = loop {
            if let Some(group) = self.groups.next() {
                break group;
            }
            let Some((reader, level)) = self.pending.pop() else {
                return Ok(false);
            };
            self.consume_partition(reader, level, context, row)?;
        };
        row.clear();
        row.extend(group.keys);
        for cell in group.cells {
            row.push(cell.finish()?);
        }
        if self.sets.is_some() {
            row.push(Value::Int4(group.set as i32));
        }
        Ok(true)
    }
}
