//! The nested-loop join: any condition, any kind.

use std::sync::Arc;

use crate::{
    Result, Value,
    bound::JoinKind,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer, holds, more_than_one_row, row_bytes,
    },
    planner::physical::PlannedExpr,
};

/// Joins by looking at every pair. The right input is kept.
pub(crate) struct NestedLoopJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right_input: Option<Box<dyn Operator>>,
    left_width: usize,
    right_width: usize,
    on: Arc<[PlannedExpr]>,
    right: Vec<RowBuffer>,
    /// The left row, then the right row it is being joined with.
    pair: RowBuffer,
    /// Which right rows have found a partner (right and full joins).
    matched: Vec<bool>,
    state: State,
    memory: MemoryMeter,
    pairs: u32,
}

enum State {
    /// The next left row is to be fetched.
    Fetch,
    /// `current` holds a left row; right rows from here on are to be looked at.
    Pair {
        next: usize,
        found: bool,
        /// Of some pair the condition was neither true nor false.
        unknown: bool,
    },
    /// The left is done; unmatched right rows from here on are to be given.
    Rest(usize),
    Done,
}

impl NestedLoopJoin {
    /// Joins rows of these widths.
    pub(crate) fn new(
        kind: JoinKind,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
        left_width: usize,
        right_width: usize,
        on: Arc<[PlannedExpr]>,
        context: &ExecContext,
    ) -> Result<NestedLoopJoin> {
        Ok(NestedLoopJoin {
            kind,
            left,
            right_input: Some(right),
            left_width,
            right_width,
            on,
            right: Vec::new(),
            pair: RowBuffer::new(),
            matched: Vec::new(),
            state: State::Fetch,
            memory: MemoryMeter::new(context, "a join")?,
            pairs: 0,
        })
    }

    fn load_right(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<()> {
        let Some(mut input) = self.right_input.take() else {
            return Ok(());
        };
        while input.next(context, row)? {
            self.memory.grow(row_bytes(row))?;
            self.right.push(std::mem::take(row));
        }
        if matches!(self.kind, JoinKind::Right | JoinKind::Full) {
            self.matched = vec![false; self.right.len()];
        }
        Ok(())
    }
}

impl Operator for NestedLoopJoin {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        self.load_right(context, row)?;
        loop {
            match self.state {
                State::Fetch => {
                    if self.left.next(context, &mut self.pair)? {
                        self.state = State::Pair {
                            next: 0,
                            found: false,
                            unknown: false,
                        };
                    } else {
                        self.state = State::Rest(0);
                    }
                }
                State::Pair {
                    mut next,
                    mut found,
                    mut unknown,
                } => {
                    while let Some(right) = self.right.get(next) {
                        self.pairs = self.pairs.wrapping_add(1);
                        if self.pairs.is_multiple_of(256) {
                            context.check()?;
                        }
                        self.pair.truncate(self.left_width);
                        self.pair.extend_from_slice(right);
                        next += 1;
                        match holds(&self.on, &self.pair, context)? {
                            Some(true) => {}
                            Some(false) => continue,
                            None => {
                                unknown = true;
                                continue;
                            }
                        }
                        if found && self.kind == JoinKind::Single {
                            return Err(more_than_one_row());
                        }
                        found = true;
                        if let Some(matched) = self.matched.get_mut(next - 1) {
                            *matched = true;
                        }
                        match self.kind {
                            JoinKind::Semi => {
                                self.pair.truncate(self.left_width);
                                std::mem::swap(row, &mut self.pair);
                                self.state = State::Fetch;
                                return Ok(true);
                            }
                            JoinKind::Anti | JoinKind::Exists(_) | JoinKind::Mark(_) => break,
                            // Given once it is clear that there is no second one.
                            JoinKind::Single => row.clone_from(&self.pair),
                            _ => {
                                row.clone_from(&self.pair);
                                self.state = State::Pair {
                                    next,
                                    found,
                                    unknown,
                                };
                                return Ok(true);
                            }
                        }
                    }
                    self.state = State::Fetch;
                    if found && self.kind == JoinKind::Single {
                        return Ok(true);
                    }
                    self.pair.truncate(self.left_width);
                    match self.kind {
                        JoinKind::Exists(_) => self.pair.push(Value::Boolean(found)),
                        JoinKind::Mark(_) => self.pair.push(if unknown && !found {
                            Value::Null
                        } else {
                            Value::Boolean(found)
                        }),
                        _ if found => continue,
                        JoinKind::Anti => {}
                        JoinKind::Left | JoinKind::Full | JoinKind::Single => {
                            self.pair
                                .resize(self.left_width + self.right_width, Value::Null);
                        }
                        _ => continue,
                    }
                    std::mem::swap(row, &mut self.pair);
                    return Ok(true);
                }
                State::Rest(at) => match self.matched.get(at) {
                    None => self.state = State::Done,
                    Some(matched) => {
                        self.state = State::Rest(at + 1);
                        if !matched {
                            row.clear();
                            row.resize(self.left_width, Value::Null);
                            row.extend_from_slice(&self.right[at]);
                            return Ok(true);
                        }
                    }
                },
                State::Done => return Ok(false),
            }
        }
    }
}
