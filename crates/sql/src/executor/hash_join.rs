//! The hash join.
//!
//! The right side is kept in a hash table. Where it is too large for the operator's part of the
//! memory budget both sides are put into partitions by the hash of their keys, in temporary
//! files, and the pairs of partitions are joined one after the other (Grace hash join: Kitsuregawa
//! et al., 1983), which may partition again.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;

use crate::{
    DataType, Result, Value,
    bound::JoinKind,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer,
        distinct::GroupEncoder,
        more_than_one_row, passes, row_bytes,
        spill::{MAX_LEVEL, Partitions, SpillFormat, SpillReader},
    },
    planner::physical::PlannedExpr,
};

/// What a hash join joins, and how.
pub(crate) struct HashJoinSpec {
    /// Its kind.
    pub(crate) kind: JoinKind,
    /// The types of a left row's columns.
    pub(crate) left_types: Vec<DataType>,
    /// The types of a right row's columns.
    pub(crate) right_types: Vec<DataType>,
    /// Keys over the left.
    pub(crate) left_keys: Arc<[PlannedExpr]>,
    /// Keys over the right.
    pub(crate) right_keys: Arc<[PlannedExpr]>,
    /// Of which keys NULL equals NULL.
    pub(crate) nulls_equal: Arc<[bool]>,
    /// Further conditions over both.
    pub(crate) residual: Arc<[PlannedExpr]>,
}

impl HashJoinSpec {
    fn left_width(&self) -> usize {
        self.left_types.len()
    }

    /// Whether right rows without a partner are given.
    fn keeps_right(&self) -> bool {
        matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }

    /// Whether only the existence of a partner counts, so that one row per key is enough.
    fn keys_only(&self) -> bool {
        self.residual.is_empty()
            && matches!(
                self.kind,
                JoinKind::Mark(_) | JoinKind::Exists(_) | JoinKind::Semi | JoinKind::Anti
            )
    }
}

const NONE: u32 = u32::MAX;

/// One side of a join.
enum Side {
    Input(Box<dyn Operator>),
    /// A partition: rows with their keys; an empty key: a part of it is NULL.
    Spilled(SpillReader),
    Empty,
}

impl Side {
    /// Makes `row` the next row and `key` its key, empty where a part of it is NULL and it
    /// equals nothing; `false`: there is none.
    fn next(
        &mut self,
        keys: &[PlannedExpr],
        nulls_equal: &[bool],
        encoder: &GroupEncoder,
        context: &ExecContext,
        key: &mut Vec<u8>,
        row: &mut RowBuffer,
    ) -> Result<bool> {
        match self {
            Side::Empty => Ok(false),
            Side::Spilled(reader) => reader.read(key, row),
            Side::Input(input) => {
                if !input.next(context, row)? {
                    return Ok(false);
                }
                key.clear();
                let eval = context.eval();
                for (at, (expr, nulls_equal)) in keys.iter().zip(nulls_equal).enumerate() {
                    let value = expr.compiled.eval(row, &eval)?;
                    if value.is_null() && !nulls_equal {
                        key.clear();
                        break;
                    }
                    encoder.encode(at, &value, key)?;
                }
                Ok(true)
            }
        }
    }
}

/// The kept right input: rows, chained where they share a key.
#[derive(Default)]
struct Build {
    rows: Vec<RowBuffer>,
    next: Vec<u32>,
    /// First and last row of each key.
    chains: HashMap<Box<[u8]>, (u32, u32), foldhash::fast::RandomState>,
    /// Which rows have found a partner (right and full joins).
    matched: Vec<bool>,
}

impl Build {
    fn add(&mut self, key: &[u8], row: RowBuffer) -> Result<()> {
        let at = self.rows.len() as u32;
        if at == NONE {
            return Err(crate::Error::new(
                crate::SqlState::PROGRAM_LIMIT_EXCEEDED,
                "a hash join cannot keep more than 4294967295 rows",
            ));
        }
        if !key.is_empty() {
            match self.chains.get_mut(key) {
                Some((_, last)) => {
                    if let Some(next) = self.next.get_mut(*last as usize) {
                        *next = at;
                    }
                    *last = at;
                }
                None => {
                    self.chains.insert(key.into(), (at, at));
                }
            }
        }
        self.rows.push(row);
        self.next.push(NONE);
        Ok(())
    }
}

/// What is known of the whole right side: what a mark is depends on it.
#[derive(Clone, Copy, Default)]
struct RightFacts {
    /// Whether there is a row.
    any: bool,
    /// Whether a key has a NULL in it.
    has_null: bool,
}

/// The partitions of both sides that are still to be joined.
#[derive(Default)]
struct Parts {
    pairs: VecDeque<(Option<SpillReader>, Option<SpillReader>)>,
    current: Option<Box<HashJoin>>,
}

/// Joins by a hash table over the right input.
pub(crate) struct HashJoin {
    spec: Arc<HashJoinSpec>,
    encoder: GroupEncoder,
    left: Side,
    right: Option<Side>,
    build: Build,
    facts: RightFacts,
    /// How often the rows have been partitioned.
    level: u32,
    parts: Option<Parts>,
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

impl HashJoin {
    /// Joins `left` with `right`.
    pub(crate) fn new(
        spec: HashJoinSpec,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
        context: &ExecContext,
    ) -> Result<HashJoin> {
        HashJoin::with(
            Arc::new(spec),
            Side::Input(left),
            Side::Input(right),
            RightFacts::default(),
            0,
            context,
        )
    }

    fn with(
        spec: Arc<HashJoinSpec>,
        left: Side,
        right: Side,
        facts: RightFacts,
        level: u32,
        context: &ExecContext,
    ) -> Result<HashJoin> {
        Ok(HashJoin {
            encoder: GroupEncoder::new(spec.left_keys.iter().map(|key| key.expr.data_type)),
            spec,
            left,
            right: Some(right),
            build: Build::default(),
            facts,
            level,
            parts: None,
            pair: RowBuffer::new(),
            key: Vec::new(),
            state: State::Fetch,
            memory: MemoryMeter::new(context, "a hash join")?,
            steps: 0,
        })
    }

    /// Reads the right side into memory, or where it is too large both sides into partitions.
    fn load(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<()> {
        let Some(mut right) = self.right.take() else {
            return Ok(());
        };
        let spec = Arc::clone(&self.spec);
        let (keys_only, keeps_right) = (spec.keys_only(), spec.keeps_right());
        let format = SpillFormat::new(spec.right_types.iter().copied());
        let mut spilled: Option<Partitions> = None;
        while right.next(
            &spec.right_keys,
            &spec.nulls_equal,
            &self.encoder,
            context,
            &mut self.key,
            row,
        )? {
            let keyed = !self.key.is_empty();
            self.facts.any = true;
            self.facts.has_null |= !keyed;
            if !keyed && !keeps_right {
                continue;
            }
            if let Some(partitions) = &mut spilled {
                partitions.write(context.spill_space()?, &format, &self.key, row)?;
                continue;
            }
            let known = keyed && self.build.chains.contains_key(self.key.as_slice());
            if known && keys_only {
                continue;
            }
            let kept = if keys_only {
                RowBuffer::new()
            } else {
                std::mem::take(row)
            };
            let bytes = row_bytes(&kept) + 8 + if known { 0 } else { self.key.len() + 40 };
            if self.level >= MAX_LEVEL {
                self.memory.grow(bytes)?;
            } else if !self.memory.try_grow(bytes, context)? {
                let mut partitions = self.spill_build(&format, context)?;
                let kept = if keys_only { &*row } else { &kept };
                partitions.write(context.spill_space()?, &format, &self.key, kept)?;
                spilled = Some(partitions);
                continue;
            }
            self.build.add(&self.key, kept)?;
        }
        if let Some(right) = spilled {
            return self.partition_left(right, context, row);
        }
        if keeps_right {
            self.build.matched = vec![false; self.build.rows.len()];
        }
        Ok(())
    }

    /// Moves what is kept of the right side into partitions.
    fn spill_build(&mut self, format: &SpillFormat, context: &ExecContext) -> Result<Partitions> {
        let space = context.spill_space()?;
        let mut partitions = Partitions::new(self.level);
        let build = std::mem::take(&mut self.build);
        let nulls = vec![Value::Null; self.spec.right_types.len()];
        let keys_only = self.spec.keys_only();
        let mut is_chained = vec![false; build.rows.len()];
        for (key, (first, _)) in build.chains {
            let mut at = first;
            while let Some(row) = build.rows.get(at as usize) {
                let row = if keys_only { &nulls } else { row };
                partitions.write(space, format, &key, row)?;
                is_chained[at as usize] = true;
                at = build.next.get(at as usize).copied().unwrap_or(NONE);
            }
        }
        for (row, is_chained) in build.rows.iter().zip(is_chained) {
            if !is_chained {
                partitions.write(space, format, &[], row)?;
            }
        }
        self.memory.clear();
        Ok(partitions)
    }

    /// Puts the left side into partitions as the right one is.
    fn partition_left(
        &mut self,
        right: Partitions,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<()> {
        let spec = Arc::clone(&self.spec);
        let format = SpillFormat::new(spec.left_types.iter().copied());
        let mut partitions = Partitions::new(self.level);
        let mut left = std::mem::replace(&mut self.left, Side::Empty);
        while left.next(
            &spec.left_keys,
            &spec.nulls_equal,
            &self.encoder,
            context,
            &mut self.key,
            row,
        )? {
            partitions.write(context.spill_space()?, &format, &self.key, row)?;
        }
        self.parts = Some(Parts {
            pairs: partitions
                .finish()?
                .into_iter()
                .zip(right.finish()?)
                .collect(),
            current: None,
        });
        Ok(())
    }

    /// The next row of the partitions.
    fn next_of_parts(
        &mut self,
        parts: &mut Parts,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<bool> {
        loop {
            if let Some(current) = &mut parts.current {
                if current.next(context, row)? {
                    return Ok(true);
                }
                parts.current = None;
            }
            let Some((left, right)) = parts.pairs.pop_front() else {
                return Ok(false);
            };
            let kind = self.spec.kind;
            let nothing = match (&left, &right) {
                (None, None) => true,
                (None, Some(_)) => !self.spec.keeps_right(),
                (Some(_), None) => {
                    matches!(kind, JoinKind::Inner | JoinKind::Semi | JoinKind::Right)
                }
                _ => false,
            };
            if nothing {
                continue;
            }
            let side = |reader: Option<SpillReader>| reader.map_or(Side::Empty, Side::Spilled);
            parts.current = Some(Box::new(HashJoin::with(
                Arc::clone(&self.spec),
                side(left),
                side(right),
                self.facts,
                self.level + 1,
                context,
            )?));
        }
    }

    /// The left row in `pair` has been seen whole; what it gives where nothing was found.
    fn unmatched(&mut self, keyed: bool, row: &mut RowBuffer) -> bool {
        let left_width = self.spec.left_width();
        self.pair.truncate(left_width);
        match self.spec.kind {
            JoinKind::Anti => {}
            JoinKind::Exists(_) => self.pair.push(Value::Boolean(false)),
            JoinKind::Left | JoinKind::Full | JoinKind::Single => {
                self.pair
                    .resize(left_width + self.spec.right_types.len(), Value::Null);
            }
            JoinKind::Mark(_) => {
                let unknown = self.facts.any && (!keyed || self.facts.has_null);
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
        self.load(context, row)?;
        if let Some(mut parts) = self.parts.take() {
            let more = self.next_of_parts(&mut parts, context, row);
            self.parts = Some(parts);
            return more;
        }
        loop {
            match self.state {
                State::Fetch => {
                    let more = self.left.next(
                        &self.spec.left_keys,
                        &self.spec.nulls_equal,
                        &self.encoder,
                        context,
                        &mut self.key,
                        &mut self.pair,
                    )?;
                    if !more {
                        self.state = State::Rest(0);
                        continue;
                    }
                    let keyed = !self.key.is_empty();
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
                    let left_width = self.spec.left_width();
                    while let Some(right) = self.build.rows.get(at as usize) {
                        self.steps = self.steps.wrapping_add(1);
                        if self.steps.is_multiple_of(256) {
                            context.check()?;
                        }
                        self.pair.truncate(left_width);
                        self.pair.extend_from_slice(right);
                        let this = at as usize;
                        at = self.build.next.get(this).copied().unwrap_or(NONE);
                        if !passes(&self.spec.residual, &self.pair, context)? {
                            continue;
                        }
                        if found && self.spec.kind == JoinKind::Single {
                            return Err(more_than_one_row());
                        }
                        found = true;
                        if let Some(matched) = self.build.matched.get_mut(this) {
                            *matched = true;
                        }
                        match self.spec.kind {
                            JoinKind::Anti => break,
                            JoinKind::Semi => {
                                self.pair.truncate(left_width);
                                std::mem::swap(row, &mut self.pair);
                                self.state = State::Fetch;
                                return Ok(true);
                            }
                            JoinKind::Mark(_) | JoinKind::Exists(_) => {
                                self.pair.truncate(left_width);
                                self.pair.push(Value::Boolean(true));
                                std::mem::swap(row, &mut self.pair);
                                self.state = State::Fetch;
                                return Ok(true);
                            }
                            // Given once it is clear that there is no second one.
                            JoinKind::Single => row.clone_from(&self.pair),
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
                    if found && self.spec.kind == JoinKind::Single {
                        return Ok(true);
                    }
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
                            row.resize(self.spec.left_width(), Value::Null);
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
