//! The apply: for every left row, the rows that the right side gives for it.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;

use crate::{
    DataType, Error, Result, SqlState, Value,
    bound::JoinKind,
    encoding::TableCodec,
    executor::{ExecContext, MemoryMeter, Operator, RowBuffer, build, holds, row_bytes},
    planner::physical::{PhysicalPlan, PlannedExpr},
};

/// How many bytes of results are kept to be used again.
const KEPT_BYTES: usize = 8 << 20;
/// A result of more rows is not kept.
const KEPT_ROWS: usize = 4096;

/// What an apply joins, and how.
pub(crate) struct ApplySpec {
    /// Its kind.
    pub(crate) kind: JoinKind,
    /// Columns of a right row.
    pub(crate) right_width: usize,
    /// The right side.
    pub(crate) right: Arc<PhysicalPlan>,
    /// Its parameters, over the left.
    pub(crate) bindings: Arc<[(usize, PlannedExpr)]>,
    /// Conjuncts over both.
    pub(crate) on: Arc<[PlannedExpr]>,
    /// Whether the same parameters give the same rows.
    pub(crate) repeatable: bool,
}

type Kept = Arc<[RowBuffer]>;

/// Where the right rows of the left row at hand come from.
enum Source {
    /// The next left row is to be fetched.
    None,
    /// An earlier evaluation.
    Kept { rows: Kept, at: usize },
    /// A running one; what it has given is recorded as long as it may be kept.
    Running {
        operator: Box<dyn Operator>,
        recorded: Option<Vec<RowBuffer>>,
    },
}

/// Joins by evaluating the right side for every row of the left.
pub(crate) struct Apply {
    spec: ApplySpec,
    left: Box<dyn Operator>,
    /// The context of the right side: with its parameters.
    inner: ExecContext,
    /// Keeps parameters apart that are equal but not the same, as 1.0 and 1.00, which a
    /// subquery may tell apart.
    codec: TableCodec,
    parameters: RowBuffer,
    /// The parameters at hand, encoded.
    key: Vec<u8>,
    kept: HashMap<Box<[u8]>, Kept, foldhash::fast::RandomState>,
    /// The keys in the order in which they came: the oldest leave first.
    order: VecDeque<(Box<[u8]>, usize)>,
    kept_bytes: usize,
    memory: MemoryMeter,
    source: Source,
    left_row: RowBuffer,
    right_row: RowBuffer,
    pair: RowBuffer,
    found: bool,
    unknown: bool,
}

impl Apply {
    /// Joins `left` with what the specification says.
    pub(crate) fn new(
        spec: ApplySpec,
        left: Box<dyn Operator>,
        context: &ExecContext,
    ) -> Result<Apply> {
        let types = spec.bindings.iter().map(|(_, of)| match of.expr.data_type {
            DataType::Unknown => DataType::Text,
            known => known,
        });
        let codec = TableCodec::from_types(types.collect(), &[]);
        Ok(Apply {
            spec,
            left,
            inner: context.clone(),
            codec,
            parameters: RowBuffer::new(),
            key: Vec::new(),
            kept: HashMap::default(),
            order: VecDeque::new(),
            kept_bytes: 0,
            memory: MemoryMeter::new(context, "a subquery's results")?,
            source: Source::None,
            left_row: RowBuffer::new(),
            right_row: RowBuffer::new(),
            pair: RowBuffer::new(),
            found: false,
            unknown: false,
        })
    }

    /// Whether the first right row decides, whatever it is.
    fn first_row_decides(&self) -> bool {
        self.spec.on.is_empty()
            && matches!(
                self.spec.kind,
                JoinKind::Semi | JoinKind::Anti | JoinKind::Exists(_) | JoinKind::Mark(_)
            )
    }

    /// Starts evaluating the right side for the left row.
    fn start(&mut self, context: &ExecContext) -> Result<()> {
        self.parameters.clear();
        for (parameter, value) in self.spec.bindings.iter() {
            let value = value.compiled.eval(&self.left_row, &context.eval())?;
            if self.spec.repeatable {
                self.parameters.push(value.clone());
            }
            self.inner.set_parameter(*parameter, value);
        }
        self.key.clear();
        if self.spec.repeatable {
            self.codec.encode_row(&self.parameters, &mut self.key)?;
        }
        self.found = false;
        self.unknown = false;
        if self.spec.repeatable
            && let Some(rows) = self.kept.get(self.key.as_slice())
        {
            self.source = Source::Kept {
                rows: Arc::clone(rows),
                at: 0,
            };
            return Ok(());
        }
        self.source = Source::Running {
            operator: build(&self.spec.right, &self.inner, None)?,
            recorded: self.spec.repeatable.then(Vec::new),
        };
        Ok(())
    }

    /// Makes `right_row` the next right row.
    fn next_right(&mut self) -> Result<bool> {
        let decided = self.first_row_decides();
        match &mut self.source {
            Source::None => Ok(false),
            Source::Kept { rows, at } => match rows.get(*at) {
                Some(row) => {
                    *at += 1;
                    self.right_row.clone_from(row);
                    Ok(true)
                }
                None => Ok(false),
            },
            Source::Running { operator, recorded } => {
                let more = operator.next(&self.inner, &mut self.right_row)?;
                if more && let Some(rows) = recorded {
                    if rows.len() < KEPT_ROWS {
                        rows.push(self.right_row.clone());
                    } else {
                        *recorded = None;
                    }
                }
                if (!more || decided)
                    && let Some(rows) = recorded.take()
                {
                    self.keep(rows)?;
                }
                Ok(more)
            }
        }
    }

    /// Keeps the rows of the parameters at hand.
    fn keep(&mut self, rows: Vec<RowBuffer>) -> Result<()> {
        let bytes = rows.iter().map(|row| row_bytes(row)).sum::<usize>() + 2 * self.key.len() + 96;
        if bytes > KEPT_BYTES {
            return Ok(());
        }
        while self.kept_bytes + bytes > KEPT_BYTES
            && let Some((oldest, size)) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
            self.kept_bytes -= size;
            self.memory.shrink(size);
        }
        self.memory.grow(bytes)?;
        self.kept_bytes += bytes;
        let key: Box<[u8]> = self.key.as_slice().into();
        self.order.push_back((key.clone(), bytes));
        self.kept.insert(key, rows.into());
        Ok(())
    }

    /// What a left row gives whose right rows are all seen.
    fn finish(&mut self, row: &mut RowBuffer) -> bool {
        self.source = Source::None;
        let found = self.found;
        match self.spec.kind {
            JoinKind::Anti if !found => {}
            JoinKind::Left | JoinKind::Single if !found => {
                let width = self.left_row.len() + self.spec.right_width;
                self.left_row.resize(width, Value::Null);
            }
            JoinKind::Exists(_) => self.left_row.push(Value::Boolean(found)),
            JoinKind::Mark(_) => self.left_row.push(if !found && self.unknown {
                Value::Null
            } else {
                Value::Boolean(found)
            }),
            _ => return false,
        }
        std::mem::swap(row, &mut self.left_row);
        true
    }
}

impl Operator for Apply {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            if matches!(self.source, Source::None) {
                if !self.left.next(context, &mut self.left_row)? {
                    return Ok(false);
                }
                context.check()?;
                self.start(context)?;
            }
            if !self.next_right()? {
                if self.finish(row) {
                    return Ok(true);
                }
                continue;
            }
            self.pair.clone_from(&self.left_row);
            self.pair.append(&mut self.right_row);
            match holds(&self.spec.on, &self.pair, &self.inner)? {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    self.unknown = true;
                    continue;
                }
            }
            match self.spec.kind {
                JoinKind::Semi => {
                    self.source = Source::None;
                    std::mem::swap(row, &mut self.left_row);
                    return Ok(true);
                }
                JoinKind::Anti => self.source = Source::None,
                JoinKind::Exists(_) | JoinKind::Mark(_) => {
                    self.found = true;
                    if self.finish(row) {
                        return Ok(true);
                    }
                }
                JoinKind::Single if self.found => return Err(more_than_one_row()),
                JoinKind::Single => {
                    // Whether there is a second match shows when the right is read on.
                    self.found = true;
                    std::mem::swap(row, &mut self.pair);
                    let mut second = RowBuffer::new();
                    while self.next_right()? {
                        second.clone_from(&self.left_row);
                        second.append(&mut self.right_row);
                        if holds(&self.spec.on, &second, &self.inner)? == Some(true) {
                            return Err(more_than_one_row());
                        }
                    }
                    self.source = Source::None;
                    return Ok(true);
                }
                _ => {
                    self.found = true;
                    std::mem::swap(row, &mut self.pair);
                    return Ok(true);
                }
            }
        }
    }
}

/// A scalar subquery gave a second row.
pub(crate) fn more_than_one_row() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "more than one row returned by a subquery used as an expression",
    )
}
