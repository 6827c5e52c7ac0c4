//! INSERT, UPDATE and DELETE.

use std::sync::Arc;

use rustling_txn::{LockMode, LockWait, RowState, TableLockMode, Transaction};

use crate::{
    Error, Result, SqlState, Value,
    bound::ColumnId,
    engine::{
        error::txn_error,
        prepared::{Action, ChangeAction, ChangeKind, Planned, Prepared},
        query::run_init_plans,
        session::{Session, StatementResult},
        table::TableHandle,
        transaction_state::transaction_options,
        write::{RowChange, TableWriter},
    },
    executor::{self, ExecContext, MemoryMeter, RowBuffer, Substitute, row_bytes},
};

/// How often a statement is planned anew because its tables change under it.
const REPLANS: u32 = 8;

/// What came of a data-changing statement.
enum Outcome {
    /// It is done; rows affected.
    Done(u64),
    /// The table's definition has changed since planning. With the lock that the attempt took
    /// it cannot change again: the statement's own transaction goes on holding it.
    Stale(Option<Arc<Transaction>>),
}

impl Session {
    /// Runs a statement that changes rows: in the open block, or in a transaction of its own,
    /// which is tried again where it must give way to another.
    pub(super) fn run_change(
        &mut self,
        prepared: &Arc<Prepared>,
        planned: Arc<Planned>,
        params: Vec<Value>,
    ) -> Result<StatementResult> {
        let mut planned = planned;
        let mut replans = 0;
        let mut held = None;
        let mut backoff = self.database.inner.backoff();
        loop {
            let Action::Change(change) = &planned.action else {
                return Err(Error::new(
                    SqlState::INTERNAL_ERROR,
                    "the statement changed its kind",
                ));
            };
            match self.try_change(change, params.clone(), held.take()) {
                Ok(Outcome::Done(affected)) => {
                    let tag = match change.kind {
                        ChangeKind::Insert(_) => format!("INSERT 0 {affected}"),
                        ChangeKind::Update { .. } => format!("UPDATE {affected}"),
                        ChangeKind::Delete { .. } => format!("DELETE {affected}"),
                    };
                    return Ok(StatementResult::Done {
                        tag,
                        affected,
                        notices: Vec::new(),
                    });
                }
                Ok(Outcome::Stale(transaction)) => {
                    if self.keeps_snapshot() || replans >= REPLANS {
                        return Err(Error::new(
                            SqlState::SERIALIZATION_FAILURE,
                            format!(
                                "table \"{}\" was changed by a concurrent transaction",
                                change.table.table.name
                            ),
                        )
                        .hint("Run the transaction again."));
                    }
                    replans += 1;
                    held = transaction;
                    planned = prepared.plan(&self.catalog(), self.plan_options())?;
                }
                Err(error) if self.open.is_none() && error.is_retryable() && backoff.pause() => {
                    planned = prepared.plan(&self.catalog(), self.plan_options())?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a change once, as planned.
    #[cfg(test)]
    pub(super) fn change_once(&mut self, change: &ChangeAction, params: Vec<Value>) -> Result<u64> {
        match self.try_change(change, params, None)? {
            Outcome::Done(affected) => Ok(affected),
            Outcome::Stale(_) => Err(Error::new(SqlState::INTERNAL_ERROR, "the plan is stale")),
        }
    }

    fn try_change(
        &mut self,
        change: &ChangeAction,
        params: Vec<Value>,
        held: Option<Arc<Transaction>>,
    ) -> Result<Outcome> {
        if let Some(open) = &self.open {
            let transaction = Arc::clone(&open.transaction);
            if !self.lock_for_writing(&transaction, &change.table)? {
                return Ok(Outcome::Stale(None));
            }
            drop(transaction);
            let transaction = self.read_transaction()?;
            let mut context = self.exec_context(transaction, params, None);
            let affected = apply(change, &mut context, self.database.store())?;
            return Ok(Outcome::Done(affected));
        }
        let transaction = match held {
            Some(transaction) => transaction,
            None => {
                let (isolation, read_only) = (self.settings.isolation, self.settings.read_only);
                let options = transaction_options(&self.settings, isolation, read_only);
                Arc::new(self.database.inner.begin(options)?)
            }
        };
        self.cancel.reset(Some(transaction.cancel_handle()));
        if !self.lock_for_writing(&transaction, &change.table)? {
            return Ok(Outcome::Stale(Some(transaction)));
        }
        transaction.begin_statement();
        let mut context = self.exec_context(transaction, params, None);
        let affected = apply(change, &mut context, self.database.store())?;
        let ExecContext { transaction, .. } = context;
        let transaction = Arc::try_unwrap(transaction).map_err(|_| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                "a finished statement still uses its transaction",
            )
        })?;
        transaction.commit().map_err(txn_error)?;
        Ok(Outcome::Done(affected))
    }

    /// Locks a table for writing rows; `false` where its definition is not the planned one any
    /// more. From then on the definition cannot change under the transaction.
    pub(super) fn lock_for_writing(
        &self,
        transaction: &Transaction,
        table: &TableHandle,
    ) -> Result<bool> {
        transaction
            .lock_table(
                table.keyspace,
                TableLockMode::IntentionExclusive,
                LockWait::Wait,
            )
            .map_err(txn_error)?;
        if self.open.as_ref().is_some_and(|open| open.changed_catalog) {
            // The transaction itself may have made or changed it; others cannot have.
            let own = self.catalog().handle(table.table.id);
            return Ok(own.is_some_and(|own| own.table.version == table.table.version));
        }
        let newest = self.database.catalog().handle(table.table.id);
        Ok(newest.is_some_and(|newest| newest.table.version == table.table.version))
    }
}

/// Runs the change within the context's transaction; gives the rows affected.
pub(super) fn apply(
    change: &ChangeAction,
    context: &mut ExecContext,
    store: &rustling_storage::Store,
) -> Result<u64> {
    run_init_plans(&change.source.init, context)?;
    let transaction = Arc::clone(&context.transaction);
    let mut writer = TableWriter::new(&change.table, &transaction, store);
    match &change.kind {
        ChangeKind::Insert(on_conflict) => {
            let mut source = executor::build(&change.source.root, context, None)?;
            let mut row = RowBuffer::new();
            let mut inserted = 0;
            if change.reads_itself {
                let mut memory = MemoryMeter::new(context, "INSERT")?;
                let mut rows = Vec::new();
                while source.next(context, &mut row)? {
                    memory.grow(row_bytes(&row))?;
                    rows.push(std::mem::take(&mut row));
                }
                for row in &rows {
                    inserted += u64::from(writer.insert(row, *on_conflict, &context.eval())?);
                }
                return Ok(inserted);
            }
            while source.next(context, &mut row)? {
                inserted += u64::from(writer.insert(&row, *on_conflict, &context.eval())?);
                if inserted.is_multiple_of(128) {
                    context.check()?;
                }
            }
            Ok(inserted)
        }
        ChangeKind::Update { row_key, ordinals } => {
            let width = change.table.table.columns.len();
            let rows = lock_rows(change, *row_key, context)?;
            let changes: Vec<RowChange> = rows
                .into_iter()
                .map(|(key, row)| {
                    let old = row.get(..width).unwrap_or_default().to_vec();
                    let mut new = old.clone();
                    for (ordinal, value) in ordinals.iter().zip(row.into_iter().skip(width + 1)) {
                        if let Some(place) = new.get_mut(*ordinal) {
                            *place = value;
                        }
                    }
                    RowChange { key, old, new }
                })
                .collect();
            writer.update(&changes, &context.eval())?;
            Ok(changes.len() as u64)
        }
        ChangeKind::Delete { row_key } => {
            let rows = lock_rows(change, *row_key, context)?;
            for (key, row) in &rows {
                writer.delete(key, row)?;
            }
            Ok(rows.len() as u64)
        }
    }
}

/// The rows that a change is about, each locked and as it is now.
///
/// Rows that were changed by another transaction since the statement began are read again:
/// those that still qualify are taken as they are now (READ COMMITTED; PostgreSQL calls it
/// EvalPlanQual), the others are left out.
fn lock_rows(
    change: &ChangeAction,
    row_key: ColumnId,
    context: &ExecContext,
) -> Result<Vec<(Vec<u8>, RowBuffer)>> {
    let table = &change.table;
    let width = table.table.columns.len();
    let mut source = executor::build(&change.source.root, context, None)?;
    let mut memory = MemoryMeter::new(context, "changing rows")?;
    let mut found: Vec<(Vec<u8>, RowBuffer)> = Vec::new();
    let mut row = RowBuffer::new();
    while source.next(context, &mut row)? {
        memory.grow(2 * row_bytes(&row))?;
        let Some(Value::Bytea(key)) = row.get_mut(width).map(std::mem::take) else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a row to be changed has no key",
            ));
        };
        found.push((key, std::mem::take(&mut row)));
    }
    drop(source);
    // A row is changed once, however often a join gives it.
    let mut seen = hashbrown::HashSet::new();
    found.retain(|(key, _)| seen.insert(key.clone()));
    let mode = row_lock(change);
    let mut locked = Vec::with_capacity(found.len());
    for (at, (key, row)) in found.into_iter().enumerate() {
        if at.is_multiple_of(128) {
            context.check()?;
        }
        let state = context
            .transaction
            .lock_row(table.keyspace, &key, mode, LockWait::Wait)
            .map_err(txn_error)?;
        match state {
            RowState::Unchanged => locked.push((key, row)),
            RowState::Changed => {
                let newest = context
                    .transaction
                    .get_latest(table.keyspace, &key)
                    .map_err(txn_error)?;
                let Some(stored) = newest else { continue };
                let substitute = Substitute {
                    row_key,
                    key: key.clone(),
                    row: stored,
                };
                let mut again = executor::build(&change.source.root, context, Some(&substitute))?;
                let mut row = RowBuffer::new();
                if again.next(context, &mut row)? {
                    locked.push((key, row));
                }
            }
            RowState::Skipped => {}
        }
    }
    Ok(locked)
}

/// How the rows of a change are locked: others may go on relying on a row's keys where these do
/// not change.
fn row_lock(change: &ChangeAction) -> LockMode {
    let ChangeKind::Update { ordinals, .. } = &change.kind else {
        return LockMode::Exclusive;
    };
    let unique = change.table.indexes.iter().filter(|index| index.unique);
    let mut keys = change
        .table
        .table
        .primary_key
        .iter()
        .chain(unique.flat_map(|index| &index.ordinals));
    if keys.any(|key| ordinals.contains(key)) {
        LockMode::Exclusive
    } else {
        LockMode::NoKeyUpdate
    }
}
