//! Sorting: whole, and only the first rows of an order.

use std::{
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use crate::{
    DataType, Result,
    encoding::KeyColumn,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer, row_bytes,
        spill::{SpillFormat, SpillReader, SpillSpace, SpillWriter},
    },
    planner::physical::PlannedSortKey,
};

/// Makes byte strings of rows that sort as the rows do.
pub(super) struct SortKeys {
    keys: Arc<[PlannedSortKey]>,
    columns: Vec<KeyColumn>,
}

impl SortKeys {
    /// For rows of the keys' input.
    pub(super) fn new(keys: Arc<[PlannedSortKey]>) -> SortKeys {
        let columns = keys
            .iter()
            .map(|key| KeyColumn {
                data_type: key.expr.expr.data_type,
                descending: key.descending,
                nulls_first: key.nulls_first,
                nullable: true,
            })
            .collect();
        SortKeys { keys, columns }
    }

    /// Makes `out` the key of `row`.
    pub(super) fn encode(
        &self,
        row: &RowBuffer,
        context: &ExecContext,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.clear();
        let eval = context.eval();
        for (key, column) in self.keys.iter().zip(&self.columns) {
            let value = key.expr.compiled.eval(row, &eval)?;
            column.encode(&value, out)?;
        }
        Ok(())
    }
}

/// A row with its sort key and its place in the input, which decides between equals.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Keyed {
    key: Box<[u8]>,
    place: u64,
    row: Unordered,
}

/// A row that takes no part in comparisons.
#[derive(Debug)]
struct Unordered(RowBuffer);

impl PartialEq for Unordered {
    fn eq(&self, _: &Unordered) -> bool {
        true
    }
}

impl Eq for Unordered {}

impl PartialOrd for Unordered {
    fn partial_cmp(&self, other: &Unordered) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Unordered {
    fn cmp(&self, _: &Unordered) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// Gives all rows in order. Equal rows keep the order of the input.
///
/// Rows beyond the operator's part of the memory budget go into temporary files as sorted runs,
/// which are merged at the end (external merge sort, Knuth volume 3, 5.4).
pub(crate) struct Sort {
    input: Option<Box<dyn Operator>>,
    keys: SortKeys,
    format: SpillFormat,
    sorted: std::vec::IntoIter<Keyed>,
    runs: Option<Merge>,
    memory: MemoryMeter,
}

/// How many runs are merged at a time.
const FAN_IN: usize = 128;

impl Sort {
    /// Sorts `input`, whose columns have these types, by `keys`.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        keys: Arc<[PlannedSortKey]>,
        types: impl IntoIterator<Item = DataType>,
        context: &ExecContext,
    ) -> Result<Sort> {
        Ok(Sort {
            input: Some(input),
            keys: SortKeys::new(keys),
            format: SpillFormat::new(types),
            sorted: Vec::new().into_iter(),
            runs: None,
            memory: MemoryMeter::new(context, "sorting")?,
        })
    }

    fn fill(
        &mut self,
        mut input: Box<dyn Operator>,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<()> {
        let mut rows: Vec<Keyed> = Vec::new();
        let mut key = Vec::new();
        let mut runs: VecDeque<SpillReader> = VecDeque::new();
        let mut place = 0;
        while input.next(context, row)? {
            self.keys.encode(row, context, &mut key)?;
            let bytes = row_bytes(row) + key.len() + size_of::<Keyed>();
            if !self.memory.try_grow(bytes, context)? {
                let space = context.spill_space()?;
                runs.push_back(self.run(space, &mut rows)?);
                self.memory.clear();
                self.memory.grow(bytes)?;
                if runs.len() >= FAN_IN {
                    let merged = self.merged(space, runs.drain(..).collect(), context)?;
                    runs.push_back(merged);
                }
            }
            rows.push(Keyed {
                key: key.as_slice().into(),
                place,
                row: Unordered(std::mem::take(row)),
            });
            place += 1;
        }
        rows.sort_unstable();
        context.check()?;
        if runs.is_empty() {
            self.sorted = rows.into_iter();
            return Ok(());
        }
        let space = context.spill_space()?;
        runs.push_back(self.run(space, &mut rows)?);
        drop(rows);
        self.memory.clear();
        self.runs = Some(Merge::new(runs.into_iter().collect())?);
        Ok(())
    }

    /// Writes the rows kept as a sorted run.
    fn run(&self, space: &SpillSpace, rows: &mut Vec<Keyed>) -> Result<SpillReader> {
        rows.sort_unstable();
        let mut writer = SpillWriter::new(space, &self.format)?;
        for keyed in rows.drain(..) {
            writer.write(&keyed.key, &keyed.row.0)?;
        }
        rows.shrink_to_fit();
        writer.finish()
    }

    /// Makes one run of several.
    fn merged(
        &self,
        space: &SpillSpace,
        runs: Vec<SpillReader>,
        context: &ExecContext,
    ) -> Result<SpillReader> {
        let mut merge = Merge::new(runs)?;
        let mut writer = SpillWriter::new(space, &self.format)?;
        while let Some(next) = merge.next(context)? {
            writer.write(&next.key, &next.row.0)?;
        }
        writer.finish()
    }
}

/// Merges sorted runs. Of equal rows those of an earlier run come first.
struct Merge {
    runs: Vec<SpillReader>,
    /// The next row of each run; its place is the run's number.
    heads: BinaryHeap<std::cmp::Reverse<Keyed>>,
    steps: u32,
}

impl Merge {
    fn new(runs: Vec<SpillReader>) -> Result<Merge> {
        let mut merge = Merge {
            runs,
            heads: BinaryHeap::new(),
            steps: 0,
        };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> Result<()> {
        let (mut key, mut row) = (Vec::new(), RowBuffer::new());
        if let Some(reader) = self.runs.get_mut(run)
            && reader.read(&mut key, &mut row)?
        {
            self.heads.push(std::cmp::Reverse(Keyed {
                key: key.into(),
                place: run as u64,
                row: Unordered(row),
            }));
        }
        Ok(())
    }

    fn next(&mut self, context: &ExecContext) -> Result<Option<Keyed>> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(256) {
            context.check()?;
        }
        let Some(std::cmp::Reverse(first)) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(first.place as usize)?;
        Ok(Some(first))
    }
}

impl Operator for Sort {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if let Some(input) = self.input.take() {
            self.fill(input, context, row)?;
        }
        let next = match &mut self.runs {
            Some(runs) => runs.next(context)?,
            None => self.sorted.next(),
        };
        match next {
            Some(next) => {
                *row = next.row.0;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// Gives the first rows of an order, keeping no more than are asked for.
pub(crate) struct TopN {
    input: Option<Box<dyn Operator>>,
    keys: SortKeys,
    skip: u64,
    take: u64,
    sorted: std::vec::IntoIter<Keyed>,
    memory: MemoryMeter,
}

impl TopN {
    /// The rows of `input` in the order of `keys`, from number `skip` on, `take` of them.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        keys: Arc<[PlannedSortKey]>,
        skip: u64,
        take: u64,
        context: &ExecContext,
    ) -> Result<TopN> {
        Ok(TopN {
            input: Some(input),
            keys: SortKeys::new(keys),
            skip,
            take,
            sorted: Vec::new().into_iter(),
            memory: MemoryMeter::new(context, "sorting")?,
        })
    }

    fn fill(
        &mut self,
        mut input: Box<dyn Operator>,
        context: &ExecContext,
        row: &mut RowBuffer,
    ) -> Result<()> {
        if self.take == 0 {
            return Ok(());
        }
        let wanted = self.skip.saturating_add(self.take);
        let mut heap: BinaryHeap<Keyed> = BinaryHeap::new();
        let mut key = Vec::new();
        let mut place = 0;
        while input.next(context, row)? {
            self.keys.encode(row, context, &mut key)?;
            place += 1;
            if heap.len() as u64 >= wanted {
                // Of equal rows the earlier one stays.
                if heap.peek().is_some_and(|last| key.as_slice() >= &*last.key) {
                    continue;
                }
                if let Some(last) = heap.pop() {
                    self.memory
                        .shrink(row_bytes(&last.row.0) + last.key.len() + size_of::<Keyed>());
                }
            }
            self.memory
                .grow(row_bytes(row) + key.len() + size_of::<Keyed>())?;
            heap.push(Keyed {
                key: key.as_slice().into(),
                place,
                row: Unordered(std::mem::take(row)),
            });
        }
        let mut rows = heap.into_sorted_vec();
        rows.drain(
            ..usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(rows.len()),
        );
        self.sorted = rows.into_iter();
        Ok(())
    }
}

impl Operator for TopN {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if let Some(input) = self.input.take() {
            self.fill(input, context, row)?;
        }
        match self.sorted.next() {
            Some(next) => {
                *row = next.row.0;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
