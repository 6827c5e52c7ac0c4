//! The hash join.
//!
//! The right input is built into a table once; the left streams past it as a pipeline stage, on
//! all threads. Rows come in the order of the left input, for one left row in that of the
//! right, as in row mode. Right and full joins give the right rows without a partner at the
//! end.

mod build;
mod key_filter;

use std::sync::{Arc, OnceLock};

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use parking_lot::Mutex;

use self::build::{BuildSide, Finder, NONE};
use crate::{
    DataType, Error, Result, SqlState,
    bound::JoinKind,
    executor::{ExecContext, more_than_one_row},
    planner::physical::{PlanColumn, PlannedExpr},
    vector::{
        BatchStream, Limits,
        batch::Batch,
        convert::arrow_type,
        expr::{self, VectorExpr},
        keys::without_null,
        pipeline::{Pipeline, Stage},
    },
};

pub(crate) use build::Collector;
pub(crate) use key_filter::KeyFilter;

/// A hash join: what is known before it runs, and its built side.
pub(crate) struct HashJoin {
    kind: JoinKind,
    left_keys: Vec<VectorExpr>,
    right_keys: Vec<VectorExpr>,
    /// Of which keys NULL equals NULL.
    nulls_equal: Arc<[bool]>,
    residual: Vec<VectorExpr>,
    left_columns: Vec<PlanColumn>,
    right_columns: Vec<PlanColumn>,
    /// The right input, until it is built.
    input: Mutex<Option<Pipeline>>,
    build: OnceLock<BuildSide>,
    limits: Limits,
    node: usize,
}

impl HashJoin {
    /// Joins rows of `left` columns with the `right` input's, for plan node `node`.
    #[expect(clippy::too_many_arguments, reason = "the parts of one plan node")]
    pub(crate) fn new(
        kind: JoinKind,
        left: &[PlanColumn],
        right: &[PlanColumn],
        left_keys: &[PlannedExpr],
        right_keys: &[PlannedExpr],
        nulls_equal: &Arc<[bool]>,
        residual: &[PlannedExpr],
        input: Pipeline,
        node: usize,
        limits: Limits,
    ) -> Result<HashJoin> {
        let both: Vec<PlanColumn> = left.iter().chain(right).copied().collect();
        Ok(HashJoin {
            kind,
            left_keys: VectorExpr::all(left_keys.iter().map(|key| &key.expr), left)?,
            right_keys: VectorExpr::all(right_keys.iter().map(|key| &key.expr), right)?,
            nulls_equal: Arc::clone(nulls_equal),
            residual: VectorExpr::all(residual.iter().map(|of| &of.expr), &both)?,
            left_columns: left.to_vec(),
            right_columns: right.to_vec(),
            input: Mutex::new(Some(input)),
            build: OnceLock::new(),
            limits,
            node,
        })
    }

    /// Whether right rows without a partner are given at the end.
    fn keeps_unmatched(&self) -> bool {
        matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }

    fn built(&self) -> Result<&BuildSide> {
        self.build.get().ok_or_else(|| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                "a hash join was probed before it was built",
            )
        })
    }

    /// Whether only the existence of a partner counts.
    fn first_match_only(&self) -> bool {
        self.residual.is_empty()
            && matches!(
                self.kind,
                JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_) | JoinKind::Exists(_)
            )
    }

    /// Joins the left rows `from..` of `batch` until enough pairs are found; gives the row to
    /// go on with.
    fn probe(
        &self,
        probe: &Probe<'_>,
        from: usize,
        context: &ExecContext,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<usize> {
        let (batch, build) = (probe.batch, probe.build);
        let mut left: Vec<u32> = Vec::new();
        let mut right: Vec<u32> = Vec::new();
        let first_only = self.first_match_only();
        let mut row = from;
        while row < batch.rows && left.len() < self.limits.batch_rows {
            if probe.is_keyed(row) {
                let mut at = probe.finder.first(row);
                while at != NONE {
                    left.push(row as u32);
                    right.push(at);
                    if first_only {
                        break;
                    }
                    at = build.after(at);
                }
            }
            row += 1;
        }
        if !self.residual.is_empty() && !left.is_empty() {
            (left, right) = self.passing(probe, left, right, context)?;
        }
        if self.keeps_unmatched() {
            right.iter().for_each(|row| build.mark(*row));
        }
        self.give(probe, from..row, left, right, emit)?;
        Ok(row)
    }

    /// The pairs for which the residual condition holds.
    fn passing(
        &self,
        probe: &Probe<'_>,
        left: Vec<u32>,
        right: Vec<u32>,
        context: &ExecContext,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let mut passing = (Vec::new(), Vec::new());
        // One left row may have any number of partners: look at some pairs at a time.
        let some = self.limits.batch_rows;
        for (left, right) in left.chunks(some).zip(right.chunks(some)) {
            context.check()?;
            // The pairs' numbers travel along as one more column.
            let mut pairs = self.pairs(
                probe,
                &UInt32Array::from(left.to_vec()),
                &UInt32Array::from(right.to_vec()),
            )?;
            pairs.columns.push(Arc::new(UInt32Array::from_iter_values(
                0..left.len() as u32,
            )));
            let pairs = expr::filter(&self.residual, pairs, context)?;
            let numbers = pairs
                .columns
                .last()
                .and_then(|column| column.as_any().downcast_ref::<UInt32Array>());
            for number in numbers
                .map(|numbers| numbers.values().iter())
                .into_iter()
                .flatten()
            {
                passing.0.push(left[*number as usize]);
                passing.1.push(right[*number as usize]);
            }
        }
        Ok(passing)
    }

    fn pairs(&self, probe: &Probe<'_>, left: &UInt32Array, right: &UInt32Array) -> Result<Batch> {
        let mut pairs = probe.batch.take(left)?;
        pairs.columns.extend(probe.build.rows.take(right)?.columns);
        Ok(pairs)
    }

    /// Gives what the left rows of `range` make of their partners.
    fn give(
        &self,
        probe: &Probe<'_>,
        range: std::ops::Range<usize>,
        left: Vec<u32>,
        right: Vec<u32>,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let batch = probe.batch;
        match self.kind {
            JoinKind::Inner | JoinKind::Right => {
                self.give_pairs(probe, left.into(), right.into(), emit)
            }
            JoinKind::Left | JoinKind::Full | JoinKind::Single => {
                let mut lefts = Vec::with_capacity(left.len());
                let mut rights: Vec<Option<u32>> = Vec::with_capacity(left.len());
                let mut pairs = left.into_iter().zip(right).peekable();
                for row in range {
                    let before = lefts.len();
                    while let Some((left, right)) = pairs.next_if(|(left, _)| *left as usize == row)
                    {
                        lefts.push(left);
                        rights.push(Some(right));
                    }
                    if self.kind == JoinKind::Single && lefts.len() > before + 1 {
                        return Err(more_than_one_row());
                    }
                    if lefts.len() == before {
                        lefts.push(row as u32);
                        rights.push(None);
                    }
                }
                self.give_pairs(probe, lefts.into(), rights.into(), emit)
            }
            _ => {
                let mut found = vec![false; range.len()];
                for row in left {
                    found[row as usize - range.start] = true;
                }
                let part = batch.slice(range.start, range.len());
                if let JoinKind::Exists(_) = self.kind {
                    let mut part = part;
                    part.columns.push(Arc::new(BooleanArray::from(found)));
                    return emit(part);
                }
                let JoinKind::Mark(_) = self.kind else {
                    let wanted = self.kind == JoinKind::Semi;
                    let mask: Vec<bool> = found.iter().map(|found| *found == wanted).collect();
                    let part = part.filter(&BooleanArray::from(mask))?;
                    return if part.rows > 0 { emit(part) } else { Ok(()) };
                };
                let build = probe.build;
                let nothing = build.is_empty() && !build.has_null;
                let marks: BooleanArray = range
                    .zip(found)
                    .map(|(row, found)| {
                        if found {
                            Some(true)
                        } else if nothing || (probe.is_keyed(row) && !build.has_null) {
                            Some(false)
                        } else {
                            None
                        }
                    })
                    .collect();
                let mut part = part;
                part.columns.push(Arc::new(marks));
                emit(part)
            }
        }
    }

    fn give_pairs(
        &self,
        probe: &Probe<'_>,
        left: UInt32Array,
        right: UInt32Array,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let some = self.limits.batch_rows;
        let mut at = 0;
        while at < left.len() {
            let rows = some.min(left.len() - at);
            emit(self.pairs(probe, &left.slice(at, rows), &right.slice(at, rows))?)?;
            at += rows;
        }
        Ok(())
    }
}

/// A left batch at work.
struct Probe<'a> {
    batch: &'a Batch,
    build: &'a BuildSide,
    finder: Finder<'a>,
    valid: Option<arrow_buffer::NullBuffer>,
}

impl Probe<'_> {
    fn is_keyed(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid.is_valid(row))
    }
}

impl Stage for Arc<HashJoin> {
    fn keeps_columns(&self) -> bool {
        true
    }

    fn key_filters(&self) -> Vec<(usize, Arc<KeyFilter>)> {
        let drops = matches!(
            self.kind,
            JoinKind::Inner | JoinKind::Right | JoinKind::Semi
        );
        let Some(build) = self.build.get().filter(|_| drops) else {
            return Vec::new();
        };
        self.left_keys
            .iter()
            .zip(&build.filters)
            .filter_map(|(key, filter)| Some((key.column()?, Arc::clone(filter.as_ref()?))))
            .collect()
    }

    fn prepare(&self, context: &ExecContext) -> Result<()> {
        let Some(input) = self.input.lock().take() else {
            return Ok(());
        };
        let build = BuildSide::new(
            input,
            &self.right_columns,
            &self.right_keys,
            &self.nulls_equal,
            self.keeps_unmatched(),
            context,
        )?;
        if let Some(measured) = context
            .measurements
            .as_ref()
            .and_then(|measurements| measurements.node(self.node))
        {
            measured.memory(build.bytes as u64);
        }
        self.build
            .set(build)
            .map_err(|_| Error::new(SqlState::INTERNAL_ERROR, "a hash join was built twice"))
    }

    fn apply(
        &self,
        batch: Batch,
        context: &ExecContext,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let build = self.built()?;
        let columns: Vec<ArrayRef> = self
            .left_keys
            .iter()
            .map(|key| key.eval(&batch, context))
            .collect::<Result<_>>()?;
        let types: Vec<DataType> = self.left_keys.iter().map(VectorExpr::data_type).collect();
        let probe = Probe {
            batch: &batch,
            build,
            finder: build.finder(&columns, &types, batch.rows)?,
            valid: without_null(&columns, &self.nulls_equal),
        };
        let mut row = 0;
        while row < batch.rows {
            context.check()?;
            row = self.probe(&probe, row, context, emit)?;
        }
        Ok(())
    }
}

/// What a right or full join gives: the joined rows, then the right rows that have no partner.
pub(crate) struct OuterTail {
    join: Arc<HashJoin>,
    joined: Box<dyn BatchStream>,
    /// Unmatched right rows, once the left is through, and how many have been given.
    rest: Option<(UInt32Array, usize)>,
}

impl OuterTail {
    /// `joined` is a pipeline that ends in `join`.
    pub(crate) fn new(join: Arc<HashJoin>, joined: Pipeline) -> OuterTail {
        OuterTail {
            join,
            joined: joined.into_stream(),
            rest: None,
        }
    }
}

impl BatchStream for OuterTail {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        if self.rest.is_none() {
            if let Some(batch) = self.joined.next(context)? {
                return Ok(Some(batch));
            }
            self.rest = Some((self.join.built()?.unmatched(), 0));
        }
        let Some((rest, at)) = &mut self.rest else {
            return Ok(None);
        };
        let rows = self.join.limits.batch_rows.min(rest.len() - *at);
        if rows == 0 {
            return Ok(None);
        }
        let right = self.join.built()?.rows.take(&rest.slice(*at, rows))?;
        *at += rows;
        if let Some(measured) = context
            .measurements
            .as_ref()
            .and_then(|measurements| measurements.node(self.join.node))
        {
            measured.add(rows as u64, 0);
        }
        let mut columns: Vec<ArrayRef> = self
            .join
            .left_columns
            .iter()
            .map(|column| new_null_array(&arrow_type(column.data_type), rows))
            .collect();
        columns.extend(right.columns);
        Ok(Some(Batch { columns, rows }))
    }
}
