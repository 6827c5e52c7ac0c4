//! INSERT … ON CONFLICT.
//!
//! Before a row is written, the entries of the keys that are meant are locked exclusively, so
//! that nobody else can add or remove them until the transaction's end; then the newest
//! committed state says whether one is there. So of two sessions that insert one key at once,
//! the second waits for the first and then sees its row (PostgreSQL: speculative insertion).
//! DO NOTHING locks a row that is there already only so far that it cannot go away.

use std::{borrow::Cow, sync::Arc};

use hashbrown::HashSet;
use rustling_storage::KeyspaceId;
use rustling_txn::{LockMode, LockWait};

use crate::{
    Error, Result, SqlState, Value,
    encoding::RowDecoder,
    engine::{
        change::{
            ArbiterKey, ChangeAction, ConflictAction, UpsertAction, family::Member,
            locking::lock_to_set,
        },
        error::txn_error,
        partitions::moved,
        table::TableHandle,
        write::{RowChange, TableWriter},
    },
    executor::{self, ExecContext, RowBuffer},
};

/// How often a row that vanishes between two looks is looked for again.
const ATTEMPTS: u32 = 64;

/// An INSERT … ON CONFLICT at work.
pub(super) struct Upsert<'a> {
    table: Arc<TableHandle>,
    arbiters: Vec<ArbiterKey>,
    update: Option<&'a UpsertAction>,
    /// Where the columns that `update` knows stand in the table, where it is a partition.
    places: Option<Arc<[usize]>>,
    decoder: RowDecoder,
    /// Keys of the rows that this statement has written: none may be met again.
    written: HashSet<Vec<u8>>,
}

impl<'a> Upsert<'a> {
    /// For the rows of one statement.
    pub(super) fn new(change: &'a ChangeAction, conflict: &'a ConflictAction) -> Upsert<'a> {
        let arbiters = conflict.arbiters.clone();
        Upsert::into_table(&change.table, arbiters, conflict, None)
    }

    /// For those rows of a statement that go into one partition: `arbiters` are its own keys.
    pub(super) fn into_partition(
        member: &Member,
        root: &TableHandle,
        conflict: &'a ConflictAction,
    ) -> Upsert<'a> {
        let place = |ordinal: &usize| member.columns.get(*ordinal).copied();
        let arbiters = conflict
            .arbiters
            .iter()
            .filter_map(|arbiter| {
                let ArbiterKey::Index(at) = arbiter else {
                    return Some(*arbiter);
                };
                let index = root.indexes.get(*at)?;
                let wanted: Vec<Option<usize>> = index.ordinals.iter().map(place).collect();
                let own = member.table.indexes.iter().position(|own| {
                    own.unique
                        && own.ordinals.len() == wanted.len()
                        && own
                            .ordinals
                            .iter()
                            .zip(&wanted)
                            .all(|(own, wanted)| Some(*own) == *wanted)
                })?;
                Some(ArbiterKey::Index(own))
            })
            .collect();
        let places = Some(Arc::clone(&member.columns));
        Upsert::into_table(&member.table, arbiters, conflict, places)
    }

    fn into_table(
        table: &Arc<TableHandle>,
        arbiters: Vec<ArbiterKey>,
        conflict: &'a ConflictAction,
        places: Option<Arc<[usize]>>,
    ) -> Upsert<'a> {
        let all: Vec<usize> = (0..table.table.columns.len()).collect();
        Upsert {
            decoder: RowDecoder::new(Arc::clone(&table.codec), &all),
            table: Arc::clone(table),
            arbiters,
            update: conflict.update.as_ref(),
            places,
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
        self.table.complete_row(row, &context.eval())?;
        for _ in 0..ATTEMPTS {
            let Some(key) = self.conflicting(row, context)? else {
                writer.insert(row, &context.eval())?;
                if self.update.is_some() {
                    self.written.insert(writer.key().to_vec());
                }
                return Ok(Some(None));
            };
            let Some(update) = self.update else {
                return Ok(None);
            };
            if self.written.contains(&key) {
                return Err(affected_again());
            }
            let table = &self.table;
            let set: Vec<usize> = update
                .ordinals
                .iter()
                .map(|ordinal| self.place(*ordinal))
                .collect();
            context
                .transaction
                .lock_row(
                    table.keyspace,
                    &key,
                    lock_to_set(table, &set),
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
            let Some(values) = updated(update, &self.shown(&existing), &self.shown(row), context)?
            else {
                return Ok(None);
            };
            let mut new = existing.clone();
            for (ordinal, value) in set.iter().zip(values) {
                if let Some(place) = new.get_mut(*ordinal) {
                    *place = value;
                }
            }
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

    /// Where a column that `update` knows stands in the table.
    fn place(&self, ordinal: usize) -> usize {
        match &self.places {
            Some(places) => places.get(ordinal).copied().unwrap_or(usize::MAX),
            None => ordinal,
        }
    }

    /// A row in the columns that `update` knows.
    fn shown<'r>(&self, row: &'r [Value]) -> Cow<'r, [Value]> {
        match &self.places {
            Some(places) => Cow::Owned(moved(row, places)),
            None => Cow::Borrowed(row),
        }
    }

    /// The key of the row that is in the way of `row`.
    fn conflicting(&self, row: &[Value], context: &ExecContext) -> Result<Option<Vec<u8>>> {
        let table = &self.table;
        for arbiter in &self.arbiters {
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
            if self.update.is_none()
                && let Some(value) = remaining(keyspace, &key, context)?
            {
                let key = match arbiter {
                    ArbiterKey::PrimaryKey => key,
                    ArbiterKey::Index(_) => value,
                };
                self.must_be_in_sight(&key, context)?;
                return Ok(Some(key));
            }
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

    /// Fails where the snapshot stays and does not have the row with this key as it is now: then
    /// leaving it alone would rest on what the transaction must not see.
    fn must_be_in_sight(&self, key: &[u8], context: &ExecContext) -> Result<()> {
        let (transaction, keyspace) = (&context.transaction, self.table.keyspace);
        if !transaction.isolation().keeps_snapshot() {
            return Ok(());
        }
        let seen = transaction.get(keyspace, key).map_err(txn_error)?;
        let newest = transaction.get_latest(keyspace, key).map_err(txn_error)?;
        if seen == newest {
            return Ok(());
        }
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
        )
        .hint("Run the transaction again."))
    }
}

/// A statement would change a row that it has changed already.
pub(super) fn affected_again() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .hint(
        "Ensure that no rows proposed for insertion within the same command have \
         duplicate constrained values.",
    )
}

/// What there is under a key once whoever is about to remove it has done so or not. It stays then,
/// but may be locked and changed by others.
fn remaining(keyspace: KeyspaceId, key: &[u8], context: &ExecContext) -> Result<Option<Vec<u8>>> {
    let transaction = &context.transaction;
    let latest = || transaction.get_latest(keyspace, key).map_err(txn_error);
    if latest()?.is_none() {
        return Ok(None);
    }
    transaction
        .lock_row(keyspace, key, LockMode::KeyShare, LockWait::Wait)
        .map_err(txn_error)?;
    latest()
}

/// The values that DO UPDATE sets; `None` where its condition is not true.
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
    Ok(operator.next(context, &mut values)?.then_some(values))
}
