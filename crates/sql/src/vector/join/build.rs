//! The kept side of a hash join.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use hashbrown::{HashTable, hash_table::Entry};

use crate::{
    DataType, Error, Result, SqlState,
    executor::{ExecContext, MemoryMeter},
    planner::physical::PlanColumn,
    vector::{
        aggregate::compact,
        batch::Batch,
        expr::VectorExpr,
        join::key_filter::KeyFilter,
        keys::{Key, KeyEncoder, KeyHasher, Keys, integers, without_null},
        pipeline::{Pipeline, Sink},
    },
};

/// No row.
pub(super) const NONE: u32 = u32::MAX;

/// The right input, whole, with a hash table over its keys. Immutable but for the marks.
pub(super) struct BuildSide {
    /// The rows, in the order of the input.
    pub(super) rows: Batch,
    table: Table,
    /// The next row with the same key.
    next: Vec<u32>,
    /// Whether a key had a NULL.
    pub(super) has_null: bool,
    /// Which rows have found a partner; empty where that does not matter.
    matched: Vec<AtomicBool>,
    /// For each key column what left rows may be asked before they are read whole.
    pub(super) filters: Vec<Option<Arc<KeyFilter>>>,
    _memory: MemoryMeter,
    /// Bytes reserved.
    pub(super) bytes: usize,
}

/// Keeps batches with their places.
pub(crate) struct Collector {
    pub(crate) batches: Vec<(u64, Batch)>,
    memory: MemoryMeter,
    bytes: usize,
}

impl Collector {
    /// Keeps batches for `purpose`.
    pub(crate) fn new(context: &ExecContext, purpose: &'static str) -> Result<Collector> {
        Ok(Collector {
            batches: Vec::new(),
            memory: MemoryMeter::new(context, purpose)?,
            bytes: 0,
        })
    }

    /// All batches of all `collectors` in order, with the memory that they hold.
    pub(crate) fn gather(collectors: Vec<Collector>) -> (Vec<Batch>, Vec<MemoryMeter>, usize) {
        let mut batches = Vec::new();
        let mut meters = Vec::new();
        let mut bytes = 0;
        for collector in collectors {
            batches.extend(collector.batches);
            meters.push(collector.memory);
            bytes += collector.bytes;
        }
        batches.sort_unstable_by_key(|(place, _)| *place);
        let batches = batches.into_iter().map(|(_, batch)| batch).collect();
        (batches, meters, bytes)
    }
}

impl Sink for Collector {
    fn consume(&mut self, place: u64, batch: Batch, _context: &ExecContext) -> Result<()> {
        let batch = Batch {
            columns: batch.columns.iter().map(compact).collect(),
            rows: batch.rows,
        };
        let bytes = batch.bytes();
        self.memory.grow(bytes)?;
        self.bytes += bytes;
        self.batches.push((place, batch));
        Ok(())
    }
}

impl BuildSide {
    /// Reads `input` (of `columns`) and hashes it by `key_exprs`. Rows whose key has a NULL that
    /// equals nothing are kept, and partners are marked, where `keeps_unmatched`.
    pub(super) fn new(
        input: Pipeline,
        columns: &[PlanColumn],
        key_exprs: &[VectorExpr],
        nulls_equal: &[bool],
        keeps_unmatched: bool,
        context: &ExecContext,
    ) -> Result<BuildSide> {
        let collectors = input.run(context, || Collector::new(context, "a hash join"))?;
        let (batches, meters, bytes) = Collector::gather(collectors);
        let mut memory = MemoryMeter::new(context, "a hash join")?;
        memory.grow(bytes)?;
        let mut rows = Batch::concat(columns, &batches)?;
        drop((batches, meters));
        if rows.rows >= NONE as usize {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "a hash join cannot keep more than 4294967295 rows",
            ));
        }
        let eval = |rows: &Batch| -> Result<Vec<ArrayRef>> {
            key_exprs
                .iter()
                .map(|key| key.eval(rows, context))
                .collect()
        };
        let mut key_columns = eval(&rows)?;
        let mut valid = without_null(&key_columns, nulls_equal);
        let has_null = valid.as_ref().is_some_and(|valid| valid.null_count() > 0);
        if has_null
            && !keeps_unmatched
            && let Some(keyed) = valid.take()
        {
            let mask = BooleanArray::new(keyed.into_inner(), None);
            rows = rows.filter(&mask)?;
            for column in &mut key_columns {
                *column = arrow_select::filter::filter(column, &mask)
                    .map_err(crate::vector::batch::arrow_error)?;
            }
        }
        let keyed = |at: usize| valid.as_ref().is_none_or(|valid| valid.is_valid(at));
        let types: Vec<DataType> = key_exprs.iter().map(VectorExpr::data_type).collect();
        let mut filters = Vec::with_capacity(types.len());
        for ((column, data_type), nulls_equal) in key_columns.iter().zip(&types).zip(nulls_equal) {
            let filter = (!nulls_equal)
                .then(|| KeyFilter::new(column, *data_type).map(Arc::new))
                .flatten();
            memory.grow(filter.as_ref().map_or(0, |filter| filter.bytes()))?;
            filters.push(filter);
        }
        let mut next = vec![NONE; rows.rows];
        let direct = match (key_columns.as_slice(), types.as_slice(), nulls_equal) {
            // It has no place for NULL.
            ([column], [data_type], [false]) => Direct::new(column, *data_type, &keyed, &mut next),
            _ => None,
        };
        let table = match direct {
            Some(direct) => Table::Direct(direct),
            None => {
                let keys = KeyEncoder::new(types)?.keys(&key_columns, rows.rows)?;
                Table::Hashed(Hashed::new(keys, &keyed, &mut next, context)?)
            }
        };
        let kept = table.bytes() + rows.rows * 4;
        memory.grow(kept)?;
        let matched = if keeps_unmatched {
            (0..rows.rows).map(|_| AtomicBool::new(false)).collect()
        } else {
            Vec::new()
        };
        Ok(BuildSide {
            bytes: bytes + kept,
            rows,
            table,
            next,
            has_null,
            matched,
            filters,
            _memory: memory,
        })
    }

    /// Whether there is no key at all.
    pub(super) fn is_empty(&self) -> bool {
        match &self.table {
            Table::Hashed(hashed) => hashed.table.is_empty(),
            // It is only made of keys that are there.
            Table::Direct(_) => false,
        }
    }

    /// What finds the rows with the keys of left rows, which `columns` of these types hold.
    pub(super) fn finder<'a>(
        &'a self,
        columns: &'a [ArrayRef],
        types: &[DataType],
        rows: usize,
    ) -> Result<Finder<'a>> {
        if let (Table::Direct(direct), [column], [data_type]) = (&self.table, columns, types)
            && let Some(values) = integers(column, *data_type)
        {
            return Ok(Finder::Direct(direct, values));
        }
        match &self.table {
            Table::Hashed(hashed) => {
                let keys = KeyEncoder::new(types.to_vec())?.keys(columns, rows)?;
                Ok(Finder::Hashed(hashed, keys))
            }
            Table::Direct(_) => Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "the two sides of a hash join have keys of different types",
            )),
        }
    }

    /// The row after `row` with its key, or [`NONE`].
    #[inline]
    pub(super) fn after(&self, row: u32) -> u32 {
        self.next[row as usize]
    }

    /// Notes that `row` has a partner.
    #[inline]
    pub(super) fn mark(&self, row: u32) {
        if let Some(matched) = self.matched.get(row as usize) {
            matched.store(true, Ordering::Relaxed);
        }
    }

    /// The rows without a partner.
    pub(super) fn unmatched(&self) -> UInt32Array {
        (0u32..)
            .zip(&self.matched)
            .filter(|(_, matched)| !matched.load(Ordering::Relaxed))
            .map(|(row, _)| row)
            .collect::<Vec<u32>>()
            .into()
    }
}

/// Leads from keys to the first rows that have them.
enum Table {
    Hashed(Hashed),
    Direct(Direct),
}

impl Table {
    fn bytes(&self) -> usize {
        match self {
            Table::Hashed(hashed) => hashed.keys.bytes() + hashed.table.capacity() * 5,
            Table::Direct(direct) => direct.first.len() * 4,
        }
    }
}

/// A hash table over keys of any form.
pub(super) struct Hashed {
    keys: Keys,
    /// The first row of every key.
    table: HashTable<u32>,
    hasher: KeyHasher,
}

impl Hashed {
    /// Chains the rows of every key through `next`, in order.
    fn new(
        keys: Keys,
        keyed: &impl Fn(usize) -> bool,
        next: &mut [u32],
        context: &ExecContext,
    ) -> Result<Hashed> {
        let hasher = KeyHasher::default();
        let rows = next.len();
        let mut table: HashTable<u32> = HashTable::with_capacity(rows);
        // From the last row on, so that each finds the chain of those behind it.
        for at in (0..rows).rev() {
            if at.is_multiple_of(8192) {
                context.check()?;
            }
            if !keyed(at) {
                continue;
            }
            let key = keys.at(at);
            let entry = table.entry(
                key.hash(&hasher),
                |first| keys.at(*first as usize) == key,
                |first| keys.at(*first as usize).hash(&hasher),
            );
            match entry {
                Entry::Occupied(mut chain) => {
                    next[at] = std::mem::replace(chain.get_mut(), at as u32);
                }
                Entry::Vacant(free) => {
                    free.insert(at as u32);
                }
            }
        }
        Ok(Hashed {
            keys,
            table,
            hasher,
        })
    }

    #[inline]
    fn first(&self, key: Key<'_>) -> u32 {
        self.table
            .find(key.hash(&self.hasher), |first| {
                self.keys.at(*first as usize) == key
            })
            .map_or(NONE, |first| *first)
    }
}

/// For integers that lie close together: the first row of each, by its distance from the least.
pub(super) struct Direct {
    least: i64,
    first: Vec<u32>,
}

/// Places that a key may take up.
const PLACES_PER_KEY: u64 = 8;

impl Direct {
    /// `None` where the keys are no integers or lie too far apart.
    fn new(
        column: &ArrayRef,
        data_type: DataType,
        keyed: &impl Fn(usize) -> bool,
        next: &mut [u32],
    ) -> Option<Direct> {
        let values = integers(column, data_type)?;
        let present = || {
            (0..values.len())
                .filter(|at| keyed(*at))
                .map(|at| values[at])
        };
        let (least, greatest) = (present().min()?, present().max()?);
        let width = greatest.abs_diff(least).checked_add(1)?;
        if width > (values.len() as u64).saturating_mul(PLACES_PER_KEY) {
            return None;
        }
        let mut first = vec![NONE; width as usize];
        // From the last row on, so that each finds the chain of those behind it.
        for at in (0..values.len()).rev() {
            if keyed(at) {
                let place = &mut first[values[at].abs_diff(least) as usize];
                next[at] = std::mem::replace(place, at as u32);
            }
        }
        Some(Direct { least, first })
    }

    #[inline]
    fn first(&self, value: i64) -> u32 {
        let place = value.wrapping_sub(self.least) as u64;
        self.first.get(place as usize).copied().unwrap_or(NONE)
    }
}

/// Finds the first right row for each row of a left batch.
pub(super) enum Finder<'a> {
    Hashed(&'a Hashed, Keys),
    Direct(&'a Direct, Cow<'a, [i64]>),
}

impl Finder<'_> {
    /// The first row with the key of left row `row`, or [`NONE`].
    #[inline]
    pub(super) fn first(&self, row: usize) -> u32 {
        match self {
            Finder::Hashed(hashed, keys) => hashed.first(keys.at(row)),
            Finder::Direct(direct, values) => direct.first(values[row]),
        }
    }
}
