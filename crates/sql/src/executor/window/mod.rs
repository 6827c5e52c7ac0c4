//! Window functions.
//!
//! The input comes sorted by the partition's keys and the window's order, so a partition is a
//! run of rows. It is kept whole while its functions are evaluated; then its rows are given.

mod aggregate;
mod frame;

use std::sync::Arc;

use crate::{
    Error, Result, SqlState, Value,
    bound::WindowFunction,
    executor::{ExecContext, MemoryMeter, Operator, RowBuffer, distinct::GroupEncoder, row_bytes},
    planner::physical::{PlannedExpr, PlannedWindowCall},
};
use frame::Frames;

/// Appends the values of window functions to its input's rows.
pub(crate) struct Window {
    input: Box<dyn Operator>,
    partition: Keys,
    order: Keys,
    calls: Arc<[PlannedWindowCall]>,
    /// The first row of the next partition and its key.
    next: Option<RowBuffer>,
    next_key: Vec<u8>,
    started: bool,
    /// The rows of the partition at hand.
    rows: std::vec::IntoIter<RowBuffer>,
    /// For each call its values for these rows.
    values: Vec<Values>,
    memory: MemoryMeter,
    bytes: usize,
    /// What the values take.
    values_memory: MemoryMeter,
}

/// A call's values for the rows of a partition, in their order.
enum Values {
    Known(std::vec::IntoIter<Value>),
    Growing(Box<aggregate::Growing>),
}

impl Values {
    /// The value for the next row.
    fn next(&mut self, context: &ExecContext) -> Result<Value> {
        match self {
            Values::Known(values) => Ok(values.next().unwrap_or(Value::Null)),
            Values::Growing(values) => values.next(context),
        }
    }
}

/// Makes byte strings that are equal where the values of some expressions are.
struct Keys {
    exprs: Arc<[PlannedExpr]>,
    encoder: GroupEncoder,
}

impl Keys {
    fn new(exprs: &Arc<[PlannedExpr]>) -> Keys {
        Keys {
            encoder: GroupEncoder::new(exprs.iter().map(|of| of.expr.data_type)),
            exprs: Arc::clone(exprs),
        }
    }

    fn encode(&self, row: &RowBuffer, context: &ExecContext, key: &mut Vec<u8>) -> Result<()> {
        key.clear();
        for (at, expr) in self.exprs.iter().enumerate() {
            let value = expr.compiled.eval(row, &context.eval())?;
            self.encoder.encode(at, &value, key)?;
        }
        Ok(())
    }
}

/// The rows of a partition in order, and which of them are peers.
struct Partition {
    rows: Vec<RowBuffer>,
    /// For each row the number of its group of peers.
    group_of: Vec<usize>,
    /// For each group its first row; at the end the number of rows.
    groups: Vec<usize>,
}

impl Partition {
    fn new(rows: Vec<RowBuffer>, order: &Keys, context: &ExecContext) -> Result<Partition> {
        let mut group_of = Vec::with_capacity(rows.len());
        let mut groups = Vec::new();
        let (mut key, mut before) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            order.encode(row, context, &mut key)?;
            if at == 0 || key != before {
                groups.push(at);
                std::mem::swap(&mut key, &mut before);
            }
            group_of.push(groups.len() - 1);
        }
        groups.push(rows.len());
        Ok(Partition {
            rows,
            group_of,
            groups,
        })
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    /// The peers of a row.
    fn peers(&self, row: usize) -> std::ops::Range<usize> {
        let group = self.group_of[row];
        self.groups[group]..self.groups[group + 1]
    }
}

impl Window {
    /// Evaluates `calls` over the partitions of `input`.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        partition: &Arc<[PlannedExpr]>,
        order: &Arc<[PlannedExpr]>,
        calls: Arc<[PlannedWindowCall]>,
        context: &ExecContext,
    ) -> Result<Window> {
        Ok(Window {
            input,
            partition: Keys::new(partition),
            order: Keys::new(order),
            calls,
            next: None,
            next_key: Vec::new(),
            started: false,
            rows: Vec::new().into_iter(),
            values: Vec::new(),
            memory: MemoryMeter::new(context, "a window's partition")?,
            bytes: 0,
            values_memory: MemoryMeter::new(context, "a window's values")?,
        })
    }

    /// Reads the next partition; `None`: there is none.
    fn read(&mut self, context: &ExecContext) -> Result<Option<Partition>> {
        if !self.started {
            self.started = true;
            let mut first = RowBuffer::new();
            if self.input.next(context, &mut first)? {
                self.partition.encode(&first, context, &mut self.next_key)?;
                self.next = Some(first);
            }
        }
        let Some(first) = self.next.take() else {
            return Ok(None);
        };
        self.memory.shrink(self.bytes);
        self.bytes = 0;
        let key = std::mem::take(&mut self.next_key);
        let mut rows = vec![first];
        let mut row = RowBuffer::new();
        while self.input.next(context, &mut row)? {
            self.partition.encode(&row, context, &mut self.next_key)?;
            let row = std::mem::take(&mut row);
            if self.next_key != key {
                self.next = Some(row);
                break;
            }
            let bytes = row_bytes(&row) + 2 * size_of::<usize>() * (1 + self.calls.len());
            self.bytes += bytes;
            self.memory.grow(bytes)?;
            rows.push(row);
        }
        Partition::new(rows, &self.order, context).map(Some)
    }
}

impl Operator for Window {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            if let Some(mut next) = self.rows.next() {
                for values in &mut self.values {
                    next.push(values.next(context)?);
                }
                *row = next;
                return Ok(true);
            }
            self.values.clear();
            self.values_memory.clear();
            let Some(partition) = self.read(context)? else {
                return Ok(false);
            };
            for call in self.calls.iter() {
                let values = evaluate(call, &partition, context, &mut self.values_memory)?;
                self.values.push(values);
            }
            self.rows = partition.rows.into_iter();
        }
    }
}

/// The value of an argument over a row.
fn argument(
    call: &PlannedWindowCall,
    at: usize,
    row: &RowBuffer,
    context: &ExecContext,
) -> Result<Value> {
    match call.arguments.get(at) {
        Some(argument) => argument.compiled.eval(row, &context.eval()),
        None => Ok(Value::Null),
    }
}

/// A call's value for every row of a partition.
fn evaluate(
    call: &PlannedWindowCall,
    partition: &Partition,
    context: &ExecContext,
    memory: &mut MemoryMeter,
) -> Result<Values> {
    let count = partition.len();
    let mut each = |value: &dyn Fn(usize) -> Result<Value>| -> Result<Values> {
        let mut values = Vec::with_capacity(count);
        for row in 0..count {
            if row.is_multiple_of(256) {
                context.check()?;
            }
            let value = value(row)?;
            memory.grow(value.heap_size())?;
            values.push(value);
        }
        Ok(Values::Known(values.into_iter()))
    };
    match &call.function {
        WindowFunction::RowNumber => each(&|row| Ok(Value::Int8(row as i64 + 1))),
        WindowFunction::Rank => each(&|row| Ok(Value::Int8(partition.peers(row).start as i64 + 1))),
        WindowFunction::DenseRank => {
            each(&|row| Ok(Value::Int8(partition.group_of[row] as i64 + 1)))
        }
        WindowFunction::PercentRank => each(&|row| {
            Ok(Value::Float8(if count > 1 {
                partition.peers(row).start as f64 / (count - 1) as f64
            } else {
                0.0
            }))
        }),
        WindowFunction::CumeDist => each(&|row| {
            Ok(Value::Float8(
                partition.peers(row).end as f64 / count as f64,
            ))
        }),
        WindowFunction::Ntile => {
            let Some(first) = partition.rows.first() else {
                return Ok(Values::Known(Vec::new().into_iter()));
            };
            let buckets = match argument(call, 0, first, context)?.as_integer() {
                None => return Ok(Values::Known(vec![Value::Null; count].into_iter())),
                Some(buckets) if buckets <= 0 => {
                    return Err(Error::new(
                        SqlState("22014"),
                        "argument of ntile must be greater than zero",
                    ));
                }
                Some(buckets) => buckets as usize,
            };
            // The first buckets take one row more each where it does not come out even.
            let (size, more) = (count / buckets, count % buckets);
            let long = more * (size + 1);
            each(&|row| {
                let bucket = if row < long {
                    row / (size + 1)
                } else {
                    more + (row - long) / size.max(1)
                };
                Ok(Value::Int4(bucket as i32 + 1))
            })
        }
        WindowFunction::Lag | WindowFunction::Lead => {
            let sign = if matches!(call.function, WindowFunction::Lag) {
                -1
            } else {
                1
            };
            each(&|row| {
                let this = &partition.rows[row];
                let Some(offset) = argument(call, 1, this, context)?.as_integer() else {
                    return Ok(Value::Null);
                };
                let target = row as i64 + sign * offset;
                match usize::try_from(target)
                    .ok()
                    .and_then(|target| partition.rows.get(target))
                {
                    Some(other) => argument(call, 0, other, context),
                    None => argument(call, 2, this, context),
                }
            })
        }
        WindowFunction::FirstValue | WindowFunction::LastValue | WindowFunction::NthValue => {
            let frames = Frames::new(call, partition, context)?;
            each(&|row| {
                let segments = frames.of(row);
                let place = match &call.function {
                    WindowFunction::FirstValue => segments.first(),
                    WindowFunction::LastValue => segments.last(),
                    _ => match argument(call, 1, &partition.rows[row], context)?.as_integer() {
                        None => None,
                        Some(number) if number <= 0 => {
                            return Err(Error::new(
                                SqlState("22016"),
                                "argument of nth_value must be greater than zero",
                            ));
                        }
                        Some(number) => segments.nth(number as usize - 1),
                    },
                };
                match place {
                    Some(place) => argument(call, 0, &partition.rows[place], context),
                    None => Ok(Value::Null),
                }
            })
        }
        WindowFunction::Aggregate(of) => {
            let frames = Frames::new(call, partition, context)?;
            aggregate::evaluate(call, of, partition, &frames, context, memory)
        }
    }
}
