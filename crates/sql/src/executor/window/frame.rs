//! Frames: which rows of its partition count for a row.

use std::{cmp::Ordering, ops::Range};

use super::Partition;
use crate::{
    Error, Result, SqlState, Value,
    bound::FrameExclusion,
    executor::ExecContext,
    planner::physical::{PlannedBound, PlannedExpr, PlannedWindowCall},
    types::{Decimal, Interval},
};

/// The frames of one call in one partition.
pub(super) struct Frames<'a> {
    partition: &'a Partition,
    start: Bound,
    end: Bound,
    exclusion: FrameExclusion,
}

/// An end of the frames.
enum Bound {
    Unbounded,
    Row,
    /// So many rows after the current one.
    Rows(i64),
    Peers,
    /// So many groups after the current one.
    Groups(i64),
    Range {
        /// Of every row what it is found by.
        keys: Vec<Value>,
        /// Of every row what it looks for.
        targets: Vec<Value>,
        /// The rows whose keys are not NULL.
        present: Range<usize>,
        descending: bool,
    },
}

/// The rows of a frame: up to three runs, some of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segments([Range<usize>; 3]);

impl Segments {
    /// The runs that are not empty, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.0.iter().filter(|run| !run.is_empty()).cloned()
    }

    /// The first row.
    pub(super) fn first(&self) -> Option<usize> {
        self.runs().next().map(|run| run.start)
    }

    /// The last row.
    pub(super) fn last(&self) -> Option<usize> {
        self.runs().last().map(|run| run.end - 1)
    }

    /// The row of that number, from 0.
    pub(super) fn nth(&self, mut number: usize) -> Option<usize> {
        for run in self.runs() {
            if number < run.len() {
                return Some(run.start + number);
            }
            number -= run.len();
        }
        None
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }
}

impl<'a> Frames<'a> {
    /// The frames of `call`.
    pub(super) fn new(
        call: &PlannedWindowCall,
        partition: &'a Partition,
        context: &ExecContext,
    ) -> Result<Frames<'a>> {
        Ok(Frames {
            partition,
            start: bound(&call.start, partition, context, "starting")?,
            end: bound(&call.end, partition, context, "ending")?,
            exclusion: call.exclusion,
        })
    }

    /// Whether every frame begins at the partition's first row and is one run, so that each
    /// holds the rows of the one before it.
    pub(super) fn only_grow(&self) -> bool {
        matches!(self.start, Bound::Unbounded) && self.exclusion == FrameExclusion::None
    }

    /// The frame of a row.
    pub(super) fn of(&self, row: usize) -> Segments {
        let partition = self.partition;
        let start = self.start_of(row);
        let end = self.end_of(row).max(start);
        let whole = start..end;
        let (cut, kept) = match self.exclusion {
            FrameExclusion::None => return Segments([whole, 0..0, 0..0]),
            FrameExclusion::CurrentRow => (row..row + 1, 0..0),
            FrameExclusion::Group => (partition.peers(row), 0..0),
            FrameExclusion::Ties => (partition.peers(row), row..row + 1),
        };
        let within = |run: Range<usize>| run.start.max(start)..run.end.min(end).max(start);
        Segments([
            within(start..cut.start.min(end)),
            if kept.is_empty() { 0..0 } else { within(kept) },
            within(cut.end.max(start)..end),
        ])
    }

    fn start_of(&self, row: usize) -> usize {
        let partition = self.partition;
        let count = partition.len();
        match &self.start {
            Bound::Unbounded => 0,
            Bound::Row => row,
            Bound::Rows(delta) => shifted(row, *delta).clamp(0, count as i64) as usize,
            Bound::Peers => partition.peers(row).start,
            Bound::Groups(delta) => {
                let group = shifted(partition.group_of[row], *delta).max(0) as usize;
                partition.groups.get(group).copied().unwrap_or(count)
            }
            Bound::Range {
                keys,
                targets,
                present,
                descending,
            } => {
                if !present.contains(&row) {
                    return partition.peers(row).start;
                }
                let before = if *descending {
                    Ordering::Greater
                } else {
                    Ordering::Less
                };
                let target = &targets[row];
                present.start
                    + keys[present.clone()].partition_point(|key| key.compare(target) == before)
            }
        }
    }

    /// Behind the last row.
    fn end_of(&self, row: usize) -> usize {
        let partition = self.partition;
        let count = partition.len();
        match &self.end {
            Bound::Unbounded => count,
            Bound::Row => row + 1,
            Bound::Rows(delta) => shifted(row, *delta)
                .saturating_add(1)
                .clamp(0, count as i64) as usize,
            Bound::Peers => partition.peers(row).end,
            Bound::Groups(delta) => {
                let group = shifted(partition.group_of[row], *delta);
                match usize::try_from(group) {
                    Ok(group) => partition.groups.get(group + 1).copied().unwrap_or(count),
                    Err(_) => 0,
                }
            }
            Bound::Range {
                keys,
                targets,
                present,
                descending,
            } => {
                if !present.contains(&row) {
                    return partition.peers(row).end;
                }
                let behind = if *descending {
                    Ordering::Less
                } else {
                    Ordering::Greater
                };
                let target = &targets[row];
                present.start
                    + keys[present.clone()].partition_point(|key| key.compare(target) != behind)
            }
        }
    }
}

fn shifted(row: usize, delta: i64) -> i64 {
    (row as i64).saturating_add(delta)
}

fn bound(
    bound: &PlannedBound,
    partition: &Partition,
    context: &ExecContext,
    which: &str,
) -> Result<Bound> {
    // Offsets have no columns: any row will do.
    let Some(first) = partition.rows.first() else {
        return Ok(Bound::Unbounded);
    };
    let offset_of = |offset: &PlannedExpr| -> Result<Value> {
        match offset.compiled.eval(first, &context.eval())? {
            Value::Null => Err(Error::new(
                SqlState("22004"),
                format!("frame {which} offset must not be null"),
            )
            .at(offset.expr.span)),
            value => Ok(value),
        }
    };
    let rows = |offset: &PlannedExpr, following: bool| -> Result<i64> {
        match offset_of(offset)?.as_integer() {
            Some(count) if count >= 0 => Ok(if following { count } else { -count }),
            _ => Err(Error::new(
                SqlState("22013"),
                format!("frame {which} offset must not be negative"),
            )
            .at(offset.expr.span)),
        }
    };
    Ok(match bound {
        PlannedBound::Unbounded => Bound::Unbounded,
        PlannedBound::Row => Bound::Row,
        PlannedBound::Rows(offset, following) => Bound::Rows(rows(offset, *following)?),
        PlannedBound::Peers => Bound::Peers,
        PlannedBound::Groups(offset, following) => Bound::Groups(rows(offset, *following)?),
        PlannedBound::Range {
            offset,
            key,
            target,
            descending,
        } => {
            if is_negative(&offset_of(offset)?) {
                return Err(Error::new(
                    SqlState("22013"),
                    "invalid preceding or following size in window function",
                )
                .at(offset.expr.span));
            }
            let eval = context.eval();
            let mut keys = Vec::with_capacity(partition.len());
            let mut targets = Vec::with_capacity(partition.len());
            for row in &partition.rows {
                keys.push(key.compiled.eval(row, &eval)?);
                targets.push(target.compiled.eval(row, &eval)?);
            }
            // NULLs stand together, at one of the ends.
            let start = keys.iter().take_while(|key| key.is_null()).count();
            let present = keys
                .iter()
                .skip(start)
                .take_while(|key| !key.is_null())
                .count();
            Bound::Range {
                keys,
                targets,
                present: start..start + present,
                descending: *descending,
            }
        }
    })
}

fn is_negative(offset: &Value) -> bool {
    let zero = match offset {
        Value::Decimal(_) => Value::Decimal(Decimal::ZERO),
        Value::Float8(_) => Value::Float8(0.0),
        Value::Interval(_) => Value::Interval(Interval::default()),
        _ => return false,
    };
    offset.compare(&zero) == Ordering::Less
}
