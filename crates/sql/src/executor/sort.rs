//! Sorting: whole, and only the first rows of an order.

use std::{collections::BinaryHeap, sync::Arc};

use crate::{
    Result,
    encoding::KeyColumn,
    executor::{ExecContext, MemoryMeter, Operator, RowBuffer, row_bytes},
    planner::physical::PlannedSortKey,
};

/// Makes byte strings of rows that sort as the rows do.
struct SortKeys {
    keys: Arc<[PlannedSortKey]>,
    columns: Vec<KeyColumn>,
}

impl SortKeys {
    fn new(keys: Arc<[PlannedSortKey]>) -> SortKeys {
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

    fn encode(&self, row: &RowBuffer, context: &ExecContext, out: &mut Vec<u8>) -> Result<()> {
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
pub(crate) struct Sort {
    input: Option<Box<dyn Operator>>,
    keys: SortKeys,
    sorted: std::vec::IntoIter<Keyed>,
    memory: MemoryMeter,
}

impl Sort {
    /// Sorts `input` by `keys`.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        keys: Arc<[PlannedSortKey]>,
        context: &ExecContext,
    ) -> Result<Sort> {
        Ok(Sort {
            input: Some(input),
            keys: SortKeys::new(keys),
            sorted: Vec::new().into_iter(),
            memory: MemoryMeter::new(context, "sorting")?,
        })
    }
}

impl Operator for Sort {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if let Some(mut input) = self.input.take() {
            let mut rows = Vec::new();
            let mut key = Vec::new();
            while input.next(context, row)? {
                self.keys.encode(row, context, &mut key)?;
                self.memory
                    .grow(row_bytes(row) + key.len() + size_of::<Keyed>())?;
                rows.push(Keyed {
                    key: key.as_slice().into(),
                    place: rows.len() as u64,
                    row: Unordered(std::mem::take(row)),
                });
            }
            rows.sort_unstable();
            context.check()?;
            self.sorted = rows.into_iter();
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
