//! INSERT … ON CONFLICT.
//!
//! Before a row is written, the entries of the keys that are meant are locked exclusively, so
//! that nobody else can add or remove them until the transaction's end; then the newest
//! committed state says whether one is there. So of two sessions that insert one key at once,
//! the second waits for the first and then sees its row (PostgreSQL: speculative insertion).

use hashbrown::HashSet;
use rustling_txn::{LockMode, LockWait};

use crate::{
    Error, Result, SqlState, Value,
    encoding::RowDecoder,
    engine::{
        change::{ArbiterKey, ChangeAction, ConflictAction, UpsertAction, locking::lock_to_set},
        error::txn_error,
        write::{RowChange, TableWriter},
    },
    executor::{self, ExecContext, RowBuffer},
};

/// How often a row that vanishes between two looks is looked for again.
const ATTEMPTS: u32 = 64;

/// An INSERT … ON CONFLICT at work.
pub(super) struct Upsert<'a> {
    change: &'a ChangeAction,
    conflict: &'a ConflictAction,
    decoder: RowDecoder,
    /// Keys of the rows that this statement has written: none may be met again.
    written: HashSet<Vec<u8>>,
}

impl<'a> Upsert<'a> {
    /// For the rows of one statement.
    pub(super) fn new(change: &'a ChangeAction, conflict: &'a ConflictAction) -> Upsert<'a> {
        let table = &change.table;
        let all: Vec<usize> = (0..table.table.columns.len()).collect();
        Upsert {
            change,
            conflict,
            decoder: RowDecoder::new(std::sync::Arc::clone(&table.codec), &all),
            written: HashSet::new(),
        }
    }

    /// Inserts `row`, or changes the row in its way: `row` is what was written then. Gives the
    /// row that was changed (`None`: it was added); `None` where nothing was done.
    pub(super) fn insert(
        &mut self,
        writer: &mut TableWriter<'_>,
        row: &mut RowBuffer,
        context: &mut ExecContext,
    ) -> Result<Option<Option<RowBuffer>>> {
        self.change.table.complete_row(row, &context.eval())?;
        for _ in 0..ATTEMPTS {
            let Some(key) = self.conflicting(row, context)? else {
                writer.insert(row, &context.eval())?;
                if self.conflict.update.is_some() {
                    self.written.insert(writer.key().to_vec());
                }
                return Ok(Some(None));
            };
            let Some(update) = &self.conflict.update else {
                return Ok(None);
            };
            if self.written.contains(&key) {
                return Err(Error::new(
                    SqlState::CARDINALITY_VIOLATION,
                    "ON CONFLICT DO UPDATE command cannot affect row a second time",
                )
                .hint(
                    "Ensure that no rows proposed for insertion within the same command have \
                     duplicate constrained values.",
                ));
            }
            let table = &self.change.table;
            context
                .transaction
                .lock_row(
                    table.keyspace,
                    &key,
                    lock_to_set(table, &update.ordinals),
                    LockWait::Wait,
                )
                .map_err(txn_error)?;
            let newest = context
                .transaction
                .get_latest(table.keyspace, &key)
                .map_err(txn_error)?;
            let Some(stored) = newest else { continue };
            let mut existing = vec![Value::Null; row.len()];
            self.decoder
                .decode_values(&key, &stored, &mut Vec::new(), &mut existing)?;
            let Some(new) = updated(update, &existing, row, context)? else {
                return Ok(None);
            };
            let mut changes = [RowChange::new(key, existing, new)];
            writer.update(&mut changes, &context.eval())?;
            self.written.insert(writer.key().to_vec());
            let [change] = changes;
            *row = change.new;
            return Ok(Some(Some(change.old)));
        }
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            "the row in conflict changes faster than it can be locked",
        ))
    }

    /// The key of the row that is in the way of `row`.
    fn conflicting(&self, row: &[Value], context: &ExecContext) -> Result<Option<Vec<u8>>> {
        let table = &self.change.table;
        for arbiter in &self.conflict.arbiters {
            let mut key = Vec::with_capacity(24);
            let keyspace = match arbiter {
                ArbiterKey::PrimaryKey => {
                    table.codec.encode_key(row, &mut key)?;
                    table.keyspace
                }
                ArbiterKey::Index(at) => {
                    let index = table.index(*at)?;
                    let Some(keyed) = index.keyed(row, &context.eval())? else {
                        continue;
                    };
                    if !index.is_unique_for(&keyed) {
                        continue;
                    }
                    index.entry(&keyed, &[], &mut key)?;
                    index.keyspace
                }
            };
            context
                .transaction
                .lock_row(keyspace, &key, LockMode::Exclusive, LockWait::Wait)
                .map_err(txn_error)?;
            let found = context
                .transaction
                .get_latest(keyspace, &key)
                .map_err(txn_error)?;
            if let Some(value) = found {
                return Ok(Some(match arbiter {
                    ArbiterKey::PrimaryKey => key,
                    ArbiterKey::Index(_) => value,
                }));
            }
        }
        Ok(None)
    }
}

/// The existing row as DO UPDATE makes it; `None` where its condition is not true.
fn updated(
    update: &UpsertAction,
    existing: &[Value],
    excluded: &[Value],
    context: &mut ExecContext,
) -> Result<Option<RowBuffer>> {
    let both = existing.iter().chain(excluded).cloned().collect();
    context.put_aside(update.slot, vec![both]);
    let measurements = context.measurements.take();
    let operator = executor::build(&update.plan.root, context, None);
    context.measurements = measurements;
    let mut operator = operator?;
    let mut values = RowBuffer::new();
    if !operator.next(context, &mut values)? {
        return Ok(None);
    }
    let mut new = existing.to_vec();
    for (ordinal, value) in update.ordinals.iter().zip(values) {
        if let Some(place) = new.get_mut(*ordinal) {
            *place = value;
        }
    }
    Ok(Some(new))
}
