//! Reading tables into batches.
//!
//! The table (or the ranges of it that are wanted) is cut into parts by key, each with a cursor of
//! its own, which is opened when the part's turn comes. Workers take parts, copy the bytes of some
//! thousand rows, then decode them; whoever pulls takes the parts one after the other. Chunks are
//! numbered so that their order is that of the table, whoever reads which.

use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    vec,
};

use arrow_array::{ArrayRef, UInt32Array, cast::AsArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use parking_lot::Mutex;
use rustling_storage::{Direction, KeyRange};
use rustling_txn::TransactionCursor;

use crate::{
    DataType, Result,
    bound::ColumnId,
    encoding::{RowDecoder, ValueRef},
    engine::{error::txn_error, key_range, key_set},
    executor::{ExecContext, MemoryMeter, PathKeys, keys_of},
    planner::{
        cost_model,
        expr_tools::columns_of,
        physical::{Estimate, PlanColumn, PlannedExpr, ScanNode},
    },
    vector::{
        Limits,
        batch::Batch,
        convert::ColumnBuilder,
        expr::{self, VectorExpr},
        join::KeyFilter,
    },
};

/// A chunk of stored rows.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Its number in the order of the scan.
    pub(crate) number: u64,
    bytes: Vec<u8>,
    /// Where each row's key and value end.
    ends: Vec<(usize, usize)>,
    scratch: Vec<u8>,
}

impl Chunk {
    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Chunks end early at this many bytes.
const CHUNK_BYTES: usize = 4 << 20;

/// Bits of a chunk's number that count the chunks of a part.
const CHUNK_BITS: u32 = 20;

/// Parts per thread: enough that threads whose parts turn out small find others to read.
const PARTS_PER_THREAD: usize = 8;

/// A part of a table, being read.
struct Part {
    /// What reads the range that is being read.
    cursor: Option<TransactionCursor>,
    /// The ranges that come after it, in the order of reading.
    rest: vec::IntoIter<KeyRange>,
    chunks: u64,
}

/// A table being scanned.
pub(crate) struct ScanSource {
    node: Arc<ScanNode>,
    parts: Vec<Mutex<Part>>,
    /// The first part that nobody has taken.
    free: AtomicUsize,
    filter: Vec<VectorExpr>,
    /// Whether rows may come for which the conditions of the path do not hold.
    checks_implied: bool,
    late: Option<Late>,
    columns: Vec<PlanColumn>,
    /// Holds the memory of the ranges.
    _memory: Option<MemoryMeter>,
}

/// What is to be checked of each row.
fn conditions(node: &ScanNode, checks_implied: bool) -> Vec<&PlannedExpr> {
    let implied: &[PlannedExpr] = if checks_implied { &node.implied } else { &[] };
    implied.iter().chain(&node.filter).collect()
}

/// How rows are read of which the filter leaves few: first the columns that the filter looks at,
/// then the others of the rows that it lets through.
struct Late {
    filter: Vec<VectorExpr>,
    /// What joins ask of the columns at these places of those that are read first.
    key_filters: Vec<(usize, DataType, Arc<KeyFilter>)>,
    /// Positions of the columns that are read first, and what reads them.
    first: (Vec<usize>, RowDecoder),
    rest: (Vec<usize>, RowDecoder),
}

impl Late {
    /// `None`: there is no filter, or it looks at all columns.
    fn new(
        node: &ScanNode,
        conditions: &[&PlannedExpr],
        columns: &[PlanColumn],
        key_filters: Vec<(usize, Arc<KeyFilter>)>,
    ) -> Result<Option<Late>> {
        let asked = key_filters.iter().filter_map(|(at, _)| columns.get(*at));
        let mut read: HashSet<ColumnId> = asked.map(|column| column.id).collect();
        for predicate in conditions {
            read.extend(columns_of(&predicate.expr));
        }
        let (first, rest): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|at| read.contains(&columns[*at].id));
        let is_useless = first.is_empty() || rest.is_empty() && key_filters.is_empty();
        if is_useless || node.row_key.is_some() {
            return Ok(None);
        }
        let chosen: Vec<PlanColumn> = first.iter().map(|at| columns[*at]).collect();
        let decoder = |positions: &[usize]| {
            let ordinals = positions.iter().filter_map(|at| node.ordinals.get(*at));
            let ordinals: Vec<usize> = ordinals.copied().collect();
            RowDecoder::new(Arc::clone(&node.table.codec), &ordinals)
        };
        let key_filters = key_filters.into_iter().filter_map(|(column, filter)| {
            let place = first.iter().position(|at| *at == column)?;
            Some((place, columns.get(column)?.data_type, filter))
        });
        Ok(Some(Late {
            key_filters: key_filters.collect(),
            filter: VectorExpr::all(conditions.iter().map(|of| &of.expr), &chosen)?,
            first: (first.clone(), decoder(&first)),
            rest: (rest.clone(), decoder(&rest)),
        }))
    }
}

/// Below this part of the rows, the filter is worth a look before the other columns are read.
const FEW: f64 = 0.5;

impl ScanSource {
    /// Opens a scan of the table itself, which is to read and give about as many rows as
    /// `estimate` says. Changes that the transaction makes until all is read may or may not be seen.
    pub(crate) fn open(
        node: &Arc<ScanNode>,
        columns: &[PlanColumn],
        estimate: Estimate,
        limits: Limits,
        context: &ExecContext,
    ) -> Result<ScanSource> {
        let rows = estimate.rows.max(estimate.cost);
        let (keys, memory) = keys_of(&PathKeys::of(node)?, &node.condition, &[], context)?;
        // Many ranges are read over in one go, and what lies between them is sorted out later.
        let walks = cost_model::walks(keys.ranges.len(), node.condition.between);
        let checks_implied = !keys.exact || walks;
        let ranges = match key_set::covering(&keys.ranges) {
            Some(range) if walks => vec![range],
            _ => keys.ranges,
        };
        let cursor =
            |range: &KeyRange, direction| cursor_of(node, range.clone(), direction, context);
        let threads = limits.threads();
        let wanted = (threads * PARTS_PER_THREAD).max(1);
        let cuts = wanted / ranges.len().max(1);
        let mut pieces = Vec::with_capacity(ranges.len());
        for range in ranges {
            if threads > 1 && cuts > 1 && rows > limits.batch_rows as f64 * 2.0 {
                let first = cursor(&range, Direction::Forward)?;
                let last = cursor(&range, Direction::Backward)?;
                pieces.extend(key_range::cut(range, bounds_between(first, last, cuts)?));
            } else {
                pieces.push(range);
            }
        }
        if node.backward {
            pieces.reverse();
        }
        // Many small ranges are read together, so that chunks have rows enough.
        let together = (pieces.len() / wanted).max(1);
        let mut parts = Vec::with_capacity(pieces.len().div_ceil(together));
        let mut pieces = pieces.into_iter();
        loop {
            let part: Vec<KeyRange> = pieces.by_ref().take(together).collect();
            if part.is_empty() {
                break;
            }
            parts.push(Mutex::new(Part {
                cursor: None,
                rest: part.into_iter(),
                chunks: 0,
            }));
        }
        let conditions = conditions(node, checks_implied);
        let late = if estimate.rows < rows * FEW {
            Late::new(node, &conditions, columns, Vec::new())?
        } else {
            None
        };
        Ok(ScanSource {
            late,
            columns: columns.to_vec(),
            parts,
            free: AtomicUsize::new(0),
            filter: VectorExpr::all(conditions.iter().map(|of| &of.expr), columns)?,
            checks_implied,
            node: Arc::clone(node),
            _memory: memory.filter(|_| !walks),
        })
    }

    /// Has rows read whole only where they pass `filters`, each over a column.
    pub(crate) fn set_key_filters(&mut self, filters: Vec<(usize, Arc<KeyFilter>)>) -> Result<()> {
        let filters: Vec<_> = filters
            .into_iter()
            .filter(|(column, _)| *column < self.columns.len())
            .collect();
        if !filters.is_empty() {
            let conditions = conditions(&self.node, self.checks_implied);
            self.late = Late::new(&self.node, &conditions, &self.columns, filters)?;
        }
        Ok(())
    }

    /// Takes a part that nobody has taken; `None`: there is none left.
    pub(crate) fn take_part(&self) -> Option<usize> {
        let part = self.free.fetch_add(1, Ordering::Relaxed);
        (part < self.parts.len()).then_some(part)
    }

    /// Makes `chunk` the next rows of the table, at most `rows` of them; `false`: there are none.
    pub(crate) fn fill(
        &self,
        chunk: &mut Chunk,
        rows: usize,
        context: &ExecContext,
    ) -> Result<bool> {
        loop {
            let part = self.free.load(Ordering::Acquire);
            if part >= self.parts.len() {
                return Ok(false);
            }
            if self.fill_part(part, chunk, rows, context)? {
                return Ok(true);
            }
            let next = part + 1;
            // Who comes too late finds the part empty as well.
            let _ = self
                .free
                .compare_exchange(part, next, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Makes `chunk` the next rows of a part, at most `rows` of them; `false`: there are none.
    pub(crate) fn fill_part(
        &self,
        part: usize,
        chunk: &mut Chunk,
        rows: usize,
        context: &ExecContext,
    ) -> Result<bool> {
        chunk.bytes.clear();
        chunk.ends.clear();
        let Some(of) = self.parts.get(part) else {
            return Ok(false);
        };
        let mut guard = of.lock();
        let of = &mut *guard;
        loop {
            let open = match &mut of.cursor {
                Some(open) => open,
                None => {
                    let Some(range) = of.rest.next() else {
                        break;
                    };
                    context.check()?;
                    let direction = if self.node.backward {
                        Direction::Backward
                    } else {
                        Direction::Forward
                    };
                    of.cursor
                        .insert(cursor_of(&self.node, range, direction, context)?)
                }
            };
            let left = open.visit(|key, value| {
                chunk.bytes.extend_from_slice(key);
                let key_end = chunk.bytes.len();
                chunk.bytes.extend_from_slice(value);
                chunk.ends.push((key_end, chunk.bytes.len()));
                if chunk.ends.len() < rows && chunk.bytes.len() < CHUNK_BYTES {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            if left.map_err(txn_error)?.is_break() {
                break;
            }
            of.cursor = None;
        }
        chunk.number = (part as u64) << CHUNK_BITS | of.chunks;
        of.chunks += 1;
        Ok(!chunk.ends.is_empty())
    }

    /// The rows of `chunk` that pass the scan's filter.
    pub(crate) fn decode(&self, chunk: &mut Chunk, context: &ExecContext) -> Result<Batch> {
        if let Some(late) = &self.late {
            return late.decode(chunk, context);
        }
        let rows = chunk.ends.len();
        let mut batch = Batch {
            columns: chunk.columns(&self.node.decoder, None)?,
            rows,
        };
        if self.node.row_key.is_some() {
            let mut keys = ColumnBuilder::new(DataType::Bytea, rows);
            for row in 0..rows {
                keys.append_ref(ValueRef::Bytes(chunk.row(row).0))?;
            }
            batch.columns.push(keys.finish());
        }
        expr::filter(&self.filter, batch, context)
    }
}

impl Chunk {
    /// The key and the value of a row.
    #[inline]
    fn row(&self, row: usize) -> (&[u8], &[u8]) {
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (key_end, end) = self.ends[row];
        (&self.bytes[begin..key_end], &self.bytes[key_end..end])
    }

    /// The columns that `decoder` reads, of the chosen rows or of all.
    fn columns(
        &mut self,
        decoder: &RowDecoder,
        chosen: Option<&BooleanBuffer>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = chosen.map_or(self.ends.len(), BooleanBuffer::count_set_bits);
        let mut builders: Vec<ColumnBuilder> = decoder
            .types()
            .iter()
            .map(|data_type| ColumnBuilder::new(*data_type, rows))
            .collect();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut decode = |row: usize| {
            let (key, value) = self.row(row);
            decoder.decode(key, value, &mut scratch, |slot, value| {
                match builders.get_mut(slot) {
                    Some(builder) => builder.append_ref(value),
                    None => Ok(()),
                }
            })
        };
        match chosen {
            None => (0..self.ends.len()).try_for_each(&mut decode)?,
            Some(chosen) => chosen.set_indices().try_for_each(&mut decode)?,
        }
        self.scratch = scratch;
        Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
    }
}

impl Late {
    fn decode(&self, chunk: &mut Chunk, context: &ExecContext) -> Result<Batch> {
        let (positions, decoder) = &self.first;
        let rows = chunk.ends.len();
        let mut looked_at = Batch {
            columns: chunk.columns(decoder, None)?,
            rows,
        };
        // The rows' numbers travel along as one more column.
        let numbers = UInt32Array::from_iter_values(0..rows as u32);
        looked_at.columns.push(Arc::new(numbers));
        let mut passed = expr::filter(&self.filter, looked_at, context)?;
        for (place, data_type, filter) in &self.key_filters {
            let column = passed.columns.get(*place);
            if let Some(mask) = column.and_then(|column| filter.mask(column, *data_type)) {
                passed = passed.filter(&mask)?;
            }
        }
        let numbers = passed.columns.pop();
        let mut columns: Vec<Option<ArrayRef>> = vec![None; positions.len() + self.rest.0.len()];
        let mut place = |positions: &[usize], arrays: Vec<ArrayRef>| {
            for (position, array) in positions.iter().zip(arrays) {
                if let Some(place) = columns.get_mut(*position) {
                    *place = Some(array);
                }
            }
        };
        place(positions, passed.columns);
        let mut chosen = BooleanBufferBuilder::new(rows);
        chosen.append_n(rows, false);
        let numbers = numbers.as_ref().and_then(|of| of.as_primitive_opt());
        for number in numbers.map_or(&[][..], |of: &UInt32Array| of.values()) {
            chosen.set_bit(*number as usize, true);
        }
        let (positions, decoder) = &self.rest;
        if !positions.is_empty() {
            place(positions, chunk.columns(decoder, Some(&chosen.finish()))?);
        }
        Ok(Batch {
            columns: columns.into_iter().flatten().collect(),
            rows: passed.rows,
        })
    }
}

/// Reads a range of a scan's table.
fn cursor_of(
    node: &ScanNode,
    range: KeyRange,
    direction: Direction,
    context: &ExecContext,
) -> Result<TransactionCursor> {
    let cursor = context
        .transaction
        .scan(node.table.keyspace, range, direction);
    cursor.map_err(txn_error)
}

/// Keys that cut what lies between the first entries of two cursors into about `parts` parts.
fn bounds_between(
    mut first: TransactionCursor,
    mut last: TransactionCursor,
    parts: usize,
) -> Result<Vec<Vec<u8>>> {
    let (first, last) = (
        first.next().map_err(txn_error)?,
        last.next().map_err(txn_error)?,
    );
    Ok(match (first, last) {
        (Some((low, _)), Some((high, _))) => key_range::spread(low, high, parts),
        _ => Vec::new(),
    })
}
