//! The hash join.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{
    Result, Value,
    bound::JoinKind,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer, distinct::GroupEncoder, passes, row_bytes,
    },
    planner::physical::PlannedExpr,
};

/// What a hash join joins, and how.
pub(crate) struct HashJoinSpec {
    /// Its kind.
    pub(crate) kind: JoinKind,
    /// Columns of a left row.
    pub(crate) left_width: usize,
    /// Columns of a right row.
    pub(crate) right_width: usize,
    /// Keys over the left.
    pub(crate) left_keys: Arc<[PlannedExpr]>,
    /// Keys over the right.
    pub(crate) right_keys: Arc<[PlannedExpr]>,
    /// Further conditions over both.
    pub(crate) residual: Arc<[PlannedExpr]>,
}

const NONE: u32 = u32::MAX;

/// The kept right input: rows, chained where they share a key.
#[derive(Default)]
struct Build {
    rows: Vec<RowBuffer>,
    next: Vec<u32>,
    /// First and last row of each key.
    chains: HashMap<Box<[u8]>, (u32, u32), foldhash::fast::RandomState>,
    /// Which rows have found a partner (right and full joins).
    matched: Vec<bool>,
    /// Whether a key was NULL.
    has_null: bool,
}

/// Joins by a hash table over the right input.
pub(crate) struct HashJoin {
    spec: HashJoinSpec,
    encoder: GroupEncoder,
    left: Box<dyn Operator>,
    right_input: Option<Box<dyn Operator>>,
    build: Build,
    /// The left row, then the right row it is being joined with.
    pair: RowBuffer,
    key: Vec<u8>,
    state: State,
    memory: MemoryMeter,
    steps: u32,
}

#[derive(Clone, Copy)]
enum State {
    Fetch,
    /// The chain is to be followed from this right row on.
    Chain {
        at: u32,
        found: bool,
    },
    /// Unmatched right rows from here on are to be given.
    Rest(usize),
    Done,
}

/// Makes the key of `row`; `false` where a part of it is NULL, so that it equals nothing.
fn encode_key(
    exprs: &[PlannedExpr],
    encoder: &GroupEncoder,
    row: &[Value],
    context: &ExecContext,
    key: &mut Vec<u8>,
) -> Result<bool> {
    key.clear();
    let eval = context.eval();
    for (at, expr) in exprs.iter().enumerate() {
        let value = expr.compiled.eval(row, &eval)?;
        if matches!(value, Value::Null) {
            return Ok(false);
        }
        encoder.encode(at, &value, key)?;
    }
    Ok(true)
}

impl HashJoin {
    /// Joins `left` with `right`.
    pub(crate) fn new(
        spec: HashJoinSpec,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
        context: &ExecContext,
    ) -> Result<HashJoin> {
        let encoder = GroupEncoder::new(spec.left_keys.iter().map(|key| key.expr.data_type));
        Ok(HashJoin {
            spec,
            encoder,
            left,
            right_input: Some(right),
            build: Build::default(),
            pair: RowBuffer::new(),
            key: Vec::new(),
            state: State::Fetch,
            memory: MemoryMeter::new(context, "a hash join")?,
            steps: 0,
        })
    }

    fn load_right(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<()> {
        let Some(mut input) = self.right_input.take() else {
            return Ok(());
        };
        let kind = self.spec.kind;
        let keeps_unmatched = matches!(kind, JoinKind::Right | JoinKind::Full);
        // Where only the existence of a partner counts, one row per key is enough.
        let keys_only = self.spec.residual.is_empty()
            && matches!(kind, JoinKind::Mark(_) | JoinKind::Semi | JoinKind::Anti);
        let build = &mut self.build;
        while input.next(context, row)? {
            let keyed = encode_key(
                &self.spec.right_keys,
                &self.encoder,
                row,
                context,
                &mut self.key,
            )?;
            build.has_null |= !keyed;
            if !keyed && !keeps_unmatched {
                continue;
            }
            let at = build.rows.len() as u32;
            if at == NONE {
                return Err(crate::Error::new(
                    crate::SqlState::PROGRAM_LIMIT_EXCEEDED,
                    "a hash join cannot keep more than 4294967295 rows",
                ));
            }
            if keyed {
                match build.chains.get_mut(self.key.as_slice()) {
                    Some(_) if keys_only => continue,
                    Some((_, last)) => {
                        if let Some(next) = build.next.get_mut(*last as usize) {
                            *next = at;
                        }
                        *last = at;
                    }
                    None => {
                        self.memory.grow(self.key.len() + 40)?;
                        build.chains.insert(self.key.as_slice().into(), (at, at));
                    }
                }
            }
            if keys_only {
                row.clear();
            }
            self.memory.grow(row_bytes(row) + 4)?;
            build.rows.push(std::mem::take(row));
            build.next.push(NONE);
        }
        if keeps_unmatched {
            build.matched = vec![false; build.rows.len()];
        }
        Ok(())
    }

    /// The left row in `pair` has been seen whole; what it gives where nothing was found.
    fn unmatched(&mut self, keyed: bool, row: &mut RowBuffer) -> bool {
        self.pair.truncate(self.spec.left_width);
        match self.spec.kind {
            JoinKind::Anti => {}
            JoinKind::Left | JoinKind::Full => {
                self.pair
                    .resize(self.spec.left_width + self.spec.right_width, Value::Null);
            }
            JoinKind::Mark(_) => {
                let empty = self.build.chains.is_empty() && !self.build.has_null;
                let unknown = !empty && (!keyed || self.build.has_null);
                self.pair.push(if unknown {
                    Value::Null
                } else {
                    Value::Boolean(false)
                });
            }
            _ => return false,
        }
        std::mem::swap(row, &mut self.pair);
        true
    }
}

impl Operator for HashJoin {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        self.load_right(context, row)?;
        loop {
            match self.state {
                State::Fetch => {
                    if !self.left.next(context, &mut self.pair)? {
                        self.state = State::Rest(0);
                        continue;
                    }
                    let keyed = encode_key(
                        &self.spec.left_keys,
                        &self.encoder,
                        &self.pair,
                        context,
                        &mut self.key,
                    )?;
                    let chain = if keyed {
                        self.build.chains.get(self.key.as_slice())
                    } else {
                        None
                    };
                    match chain {
                        Some((first, _)) => {
                            self.state = State::Chain {
                                at: *first,
                                found: false,
                            };
                        }
                        None => {
                            if self.unmatched(keyed, row) {
                                return Ok(true);
                            }
                        }
                    }
                }
                State::Chain { mut at, mut found } => {
                    while let Some(right) = self.build.rows.get(at as usize) {
                        self.steps = self.steps.wrapping_add(1);
                        if self.steps.is_multiple_of(256) {
                            context.check()?;
                        }
                        self.pair.truncate(self.spec.left_width);
                        if !right.is_empty() || !self.spec.residual.is_empty() {
                            self.pair.extend_from_slice(right);
                        }
                        let this = at as usize;
                        at = self.build.next.get(this).copied().unwrap_or(NONE);
                        if !passes(&self.spec.residual, &self.pair, context)? {
                            continue;
                        }
                        found = true;
                        if let Some(matched) = self.build.matched.get_mut(this) {
                            *matched = true;
                        }
                        match self.spec.kind {
                            JoinKind::Anti => break,
                            JoinKind::Semi => {
                                self.pair.truncate(self.spec.left_width);
                                std::mem::swap(row, &mut self.pair);
                                self.state = State::Fetch;
                                return Ok(true);
                            }
                            JoinKind::Mark(_) => {
                                self.pair.truncate(self.spec.left_width);
                                self.pair.push(Value::Boolean(true));
                                std::mem::swap(row, &mut self.pair);
                                self.state = State::Fetch;
                                return Ok(true);
                            }
                            _ if at == NONE => {
                                std::mem::swap(row, &mut self.pair);
                                self.state = State::Fetch;
                                return Ok(true);
                            }
                            _ => {
                                row.clone_from(&self.pair);
                                self.state = State::Chain { at, found };
                                return Ok(true);
                            }
                        }
                    }
                    self.state = State::Fetch;
                    if !found && self.unmatched(true, row) {
                        return Ok(true);
                    }
                }
                State::Rest(at) => match self.build.matched.get(at) {
                    None => self.state = State::Done,
                    Some(matched) => {
                        self.state = State::Rest(at + 1);
                        if !matched {
                            row.clear();
                            row.resize(self.spec.left_width, Value::Null);
                            row.extend_from_slice(&self.build.rows[at]);
                            return Ok(true);
                        }
                    }
                },
                State::Done => return Ok(false),
            }
        }
    }
}
