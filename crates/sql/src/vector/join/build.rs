//! The kept side of a hash join.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use hashbrown::HashTable;

use crate::{
    Error, Result, SqlState,
    executor::{ExecContext, MemoryMeter},
    planner::physical::PlanColumn,
    vector::{
        aggregate::compact,
        batch::Batch,
        expr::VectorExpr,
        keys::{Key, KeyEncoder, KeyHasher, Keys, without_null},
        pipeline::{Pipeline, Sink},
    },
};

/// No row.
pub(super) const NONE: u32 = u32::MAX;

/// The right input, whole, with a hash table over its keys. Immutable but for the marks.
pub(super) struct BuildSide {
    /// The rows, in the order of the input.
    pub(super) rows: Batch,
    keys: Keys,
    /// First and last row of every key.
    table: HashTable<(u32, u32)>,
    /// The next row with the same key.
    next: Vec<u32>,
    /// Whether a key had a NULL.
    pub(super) has_null: bool,
    /// Which rows have found a partner; empty where that does not matter.
    matched: Vec<AtomicBool>,
    hasher: KeyHasher,
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
    /// Reads `input` (of `columns`) and hashes it by `key_exprs`. Rows whose key has a NULL are
    /// kept, and partners are marked, where `keeps_unmatched`.
    pub(super) fn new(
        input: Pipeline,
        columns: &[PlanColumn],
        key_exprs: &[VectorExpr],
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
        let mut valid = without_null(&key_columns);
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
        let encoder = KeyEncoder::new(key_exprs.iter().map(VectorExpr::data_type).collect())?;
        let keys = encoder.keys(&key_columns, rows.rows)?;
        memory.grow(keys.bytes() + rows.rows * 24)?;
        let hasher = KeyHasher::default();
        let mut table: HashTable<(u32, u32)> = HashTable::with_capacity(rows.rows);
        let mut next = vec![NONE; rows.rows];
        let hash_of = |at: u32| keys.at(at as usize).hash(&hasher);
        for at in 0..rows.rows {
            if at.is_multiple_of(8192) {
                context.check()?;
            }
            if valid.as_ref().is_some_and(|valid| valid.is_null(at)) {
                continue;
            }
            let key = keys.at(at);
            let place = at as u32;
            let entry = table.entry(
                key.hash(&hasher),
                |(first, _)| keys.at(*first as usize) == key,
                |(first, _)| hash_of(*first),
            );
            match entry {
                hashbrown::hash_table::Entry::Occupied(mut chain) => {
                    let (_, last) = chain.get_mut();
                    next[*last as usize] = place;
                    *last = place;
                }
                hashbrown::hash_table::Entry::Vacant(free) => {
                    free.insert((place, place));
                }
            }
        }
        let matched = if keeps_unmatched {
            (0..rows.rows).map(|_| AtomicBool::new(false)).collect()
        } else {
            Vec::new()
        };
        Ok(BuildSide {
            bytes: bytes + keys.bytes() + rows.rows * 24,
            rows,
            keys,
            table,
            next,
            has_null,
            matched,
            hasher,
            _memory: memory,
        })
    }

    /// Whether there is no key at all.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The first row with `key`, or [`NONE`].
    #[inline]
    pub(super) fn first(&self, key: Key<'_>) -> u32 {
        self.table
            .find(key.hash(&self.hasher), |(first, _)| {
                self.keys.at(*first as usize) == key
            })
            .map_or(NONE, |(first, _)| *first)
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
