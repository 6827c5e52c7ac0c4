//! Aggregates over frames.
//!
//! Frames that only grow are taken in row by row, while the rows are given: the value of each holds
//! what the one before it held, so that all of them together may be of any size. Other frames are put together from the states
//! of blocks of rows, blocks of blocks and so on (a segment tree: Leis et al., "Efficient
//! Processing of Window Functions in Analytical SQL Queries", VLDB 2015), where the aggregate's
//! states can be merged; where not, they are read anew.

use std::ops::Range;

use super::{Partition, Values, frame::Frames};
use crate::{
    Result, Value,
    bound::{AggregateCall, AggregateFunction},
    eval::Accumulator,
    executor::{ExecContext, MemoryMeter, row_bytes},
    planner::physical::PlannedWindowCall,
};

/// How many parts make a block of the next level.
const FANOUT: usize = 16;
/// Frames up to this size are read row by row.
const SHORT: usize = 2 * FANOUT;

/// The values of the aggregate `of` for every row of a partition.
pub(super) fn evaluate(
    call: &PlannedWindowCall,
    of: &AggregateCall,
    partition: &Partition,
    frames: &Frames<'_>,
    context: &ExecContext,
    memory: &mut MemoryMeter,
) -> Result<Values> {
    let rows = Arguments::new(call, partition, context, memory)?;
    let count = partition.len();
    if frames.only_grow() {
        let ends = (0..count)
            .map(|row| frames.of(row).last().map_or(0, |last| last + 1))
            .collect();
        return Ok(Values::Growing(Box::new(Growing::new(of, rows, ends)?)));
    }
    let mut values: Vec<Value> = Vec::with_capacity(count);
    let mut tree = None;
    let mut before = None;
    for row in 0..count {
        context.check()?;
        let segments = frames.of(row);
        if before.as_ref() == Some(&segments)
            && let Some(value) = values.last().cloned()
        {
            memory.grow(value.heap_size())?;
            values.push(value);
            continue;
        }
        let mut state = Accumulator::new(of)?;
        for run in segments.runs() {
            if segments.len() <= SHORT || !merges(of.function) {
                rows.take(&mut state, run)?;
                continue;
            }
            let tree: &Tree = match &mut tree {
                Some(tree) => tree,
                none => none.insert(Tree::new(of, &rows, count)?),
            };
            tree.take(&mut state, &rows, run)?;
        }
        let value = state.finish()?;
        memory.grow(value.heap_size())?;
        values.push(value);
        before = Some(segments);
    }
    Ok(Values::Known(values.into_iter()))
}

/// The values over frames that only grow, one after the other.
pub(super) struct Growing {
    arguments: Arguments,
    /// For each row the end of its frame.
    ends: Vec<usize>,
    row: usize,
    state: Accumulator,
    seen: usize,
    value: Value,
}

impl Growing {
    fn new(of: &AggregateCall, arguments: Arguments, ends: Vec<usize>) -> Result<Growing> {
        let state = Accumulator::new(of)?;
        Ok(Growing {
            arguments,
            ends,
            row: 0,
            value: state.clone().finish()?,
            state,
            seen: 0,
        })
    }

    /// The value for the next row.
    pub(super) fn next(&mut self, context: &ExecContext) -> Result<Value> {
        let end = self.ends.get(self.row).copied().unwrap_or(0);
        self.row += 1;
        if end > self.seen {
            context.check()?;
            self.arguments.take(&mut self.state, self.seen..end)?;
            self.seen = end;
            self.value = self.state.clone().finish()?;
        }
        match self.ends.get(self.row) {
            Some(next) if *next > self.seen => Ok(std::mem::take(&mut self.value)),
            _ => Ok(self.value.clone()),
        }
    }
}

/// Whether the states of the aggregate can be merged in any order.
fn merges(function: AggregateFunction) -> bool {
    use AggregateFunction as F;
    matches!(
        function,
        F::CountStar
            | F::Count
            | F::Sum
            | F::Avg
            | F::Min
            | F::Max
            | F::BoolAnd
            | F::BoolOr
            | F::StddevPop
            | F::StddevSamp
            | F::VarPop
            | F::VarSamp
            | F::Regression(_)
    )
}

/// The arguments of every row; `None` for rows that FILTER leaves out.
struct Arguments(Vec<Option<Vec<Value>>>);

impl Arguments {
    fn new(
        call: &PlannedWindowCall,
        partition: &Partition,
        context: &ExecContext,
        memory: &mut MemoryMeter,
    ) -> Result<Arguments> {
        let mut arguments = Vec::with_capacity(partition.len());
        for row in &partition.rows {
            let eval = context.eval();
            if let Some(filter) = &call.filter
                && filter.compiled.eval_predicate(row, &eval)? != Some(true)
            {
                arguments.push(None);
                continue;
            }
            let values: Vec<Value> = call
                .arguments
                .iter()
                .map(|argument| argument.compiled.eval(row, &eval))
                .collect::<Result<_>>()?;
            memory.grow(row_bytes(&values))?;
            arguments.push(Some(values));
        }
        Ok(Arguments(arguments))
    }

    fn take(&self, state: &mut Accumulator, rows: Range<usize>) -> Result<()> {
        for arguments in self.0[rows].iter().flatten() {
            state.update(arguments)?;
        }
        Ok(())
    }
}

/// The states of blocks of [`FANOUT`] rows, of [`FANOUT`] such blocks and so on.
struct Tree(Vec<Vec<Accumulator>>);

impl Tree {
    fn new(of: &AggregateCall, rows: &Arguments, count: usize) -> Result<Tree> {
        let mut level = Vec::with_capacity(count / FANOUT);
        for block in 0..count / FANOUT {
            let mut state = Accumulator::new(of)?;
            rows.take(&mut state, block * FANOUT..(block + 1) * FANOUT)?;
            level.push(state);
        }
        let mut levels = vec![level];
        while let Some(below) = levels.last().filter(|below| below.len() >= FANOUT) {
            let mut level = Vec::with_capacity(below.len() / FANOUT);
            for block in below.chunks_exact(FANOUT) {
                let mut state = Accumulator::new(of)?;
                for part in block {
                    state.merge(part.clone())?;
                }
                level.push(state);
            }
            levels.push(level);
        }
        Ok(Tree(levels))
    }

    /// Takes in a run of rows: single ones at its ends, blocks between them.
    fn take(&self, state: &mut Accumulator, rows: &Arguments, run: Range<usize>) -> Result<()> {
        let (mut start, mut end) = (run.start, run.end);
        let up = start.next_multiple_of(FANOUT).min(end);
        rows.take(state, start..up)?;
        start = up;
        let down = (end - end % FANOUT).max(start);
        rows.take(state, down..end)?;
        end = down;
        for level in &self.0 {
            (start, end) = (start / FANOUT, end / FANOUT);
            let last = level.len() < FANOUT;
            while start < end && (last || !start.is_multiple_of(FANOUT)) {
                state.merge(level[start].clone())?;
                start += 1;
            }
            while start < end && !end.is_multiple_of(FANOUT) {
                end -= 1;
                state.merge(level[end].clone())?;
            }
        }
        Ok(())
    }
}
