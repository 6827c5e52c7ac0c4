//! INSERT, UPDATE, DELETE and MERGE, and statements with such in their WITH: locks, retries,
//! commit.

use std::sync::Arc;

use rustling_storage::Error as StorageError;
use rustling_txn::{Error as TxnError, LockWait, TableLockMode, Transaction};

use crate::{
    Error, Result, SqlState, Value,
    engine::{
        change::{
            ChangeAction, ChangeKind,
            apply::{Applied, TakenRows, Work, apply, carry_out, prepare, returned_before},
        },
        error::txn_error,
        prepared::{Action, Planned, Prepared},
        query::run_init_plans,
        rows::{ResultColumn, Rows},
        session::{Session, StatementResult},
        table::TableHandle,
        transaction_state::transaction_options,
    },
    executor::{self, ExecContext, MemoryMeter, RowBuffer, row_bytes},
};

/// What came of a data-changing statement.
enum Outcome {
    /// It is done.
    Done(Applied),
    /// A table's definition has changed since planning. With the locks that the attempt took
    /// those that it changes cannot change again: the statement's own transaction, if it may take
    /// another snapshot, goes on holding them.
    Stale(Option<Arc<Transaction>>),
}

impl Action {
    /// The changes that it makes, in order.
    fn changes(&self) -> Vec<&ChangeAction> {
        match self {
            Action::Change(change) => vec![change],
            Action::With { changes, statement } => changes
                .iter()
                .map(|(_, change)| change)
                .chain(statement.changes())
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The command tag after it.
    fn tag(&self, affected: u64) -> String {
        match self {
            Action::Change(change) => match change.kind {
                ChangeKind::Insert(_) => format!("INSERT 0 {affected}"),
                ChangeKind::Update { .. } => format!("UPDATE {affected}"),
                ChangeKind::Delete { .. } => format!("DELETE {affected}"),
                ChangeKind::Merge { .. } => format!("MERGE {affected}"),
            },
            Action::With { statement, .. } => statement.tag(affected),
            _ => format!("SELECT {affected}"),
        }
    }
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
        let (mut planned, mut params) = (planned, params);
        let mut replans = 0;
        let mut held = None;
        let mut backoff = self.database.inner.backoff();
        loop {
            let action = planned.action.inner();
            match self.try_change(&planned, params.clone(), held.take()) {
                Ok(Outcome::Done(applied)) => {
                    let tag = action.tag(applied.affected);
                    return Ok(match applied.rows {
                        Some(rows) => {
                            let columns: Vec<ResultColumn> = action.columns().to_vec();
                            StatementResult::Rows(Rows::fixed(columns, rows).with_tag(tag))
                        }
                        None => StatementResult::Done {
                            tag,
                            affected: applied.affected,
                            notices: Vec::new(),
                        },
                    });
                }
                Ok(Outcome::Stale(transaction)) => {
                    self.note_stale(&mut replans)?;
                    held = transaction;
                }
                Err(error) if self.open.is_none() && error.is_retryable() && backoff.pause() => {
                    self.forget_messages();
                }
                Err(error) => return Err(error),
            }
            (planned, params) = self.planned(prepared, params)?;
        }
    }

    /// Runs a change once, as planned.
    #[cfg(test)]
    pub(super) fn change_once(&mut self, planned: &Planned, params: Vec<Value>) -> Result<u64> {
        match self.try_change(planned, params, None)? {
            Outcome::Done(applied) => Ok(applied.affected),
            Outcome::Stale(_) => Err(Error::new(SqlState::INTERNAL_ERROR, "the plan is stale")),
        }
    }

    fn try_change(
        &mut self,
        planned: &Planned,
        params: Vec<Value>,
        held: Option<Arc<Transaction>>,
    ) -> Result<Outcome> {
        let action = planned.action.inner();
        if let Some(open) = &self.open {
            let transaction = Arc::clone(&open.transaction);
            for change in action.changes() {
                if !self.lock_for_writing(&transaction, &change.table)? {
                    return Ok(Outcome::Stale(None));
                }
            }
            if !executor::lock_tables(&transaction, &planned.row_locks)? {
                return Ok(Outcome::Stale(None));
            }
            drop(transaction);
            let transaction = self.read_transaction()?;
            if !self.fits_snapshot(planned) {
                return Ok(Outcome::Stale(None));
            }
            let mut context = self.exec_context(transaction, params, None);
            let applied = self.run_action(action, &mut context)?;
            return Ok(Outcome::Done(applied));
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
        self.note_transaction(&transaction);
        let mut is_stale = false;
        for change in action.changes() {
            is_stale = is_stale || !self.lock_for_writing(&transaction, &change.table)?;
        }
        is_stale = is_stale || !executor::lock_tables(&transaction, &planned.row_locks)?;
        transaction.begin_statement();
        if is_stale || !self.fits_snapshot(planned) {
            // The plan to come is none for a snapshot that stays.
            let keeps_snapshot = transaction.isolation().keeps_snapshot();
            return Ok(Outcome::Stale((!keeps_snapshot).then_some(transaction)));
        }
        let mut context = self.exec_context(transaction, params, None);
        let applied = self.run_action(action, &mut context)?;
        super::foreign_keys::before_commit(self, &mut context)?;
        let ExecContext { transaction, .. } = context;
        let transaction = Arc::try_unwrap(transaction).map_err(|_| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                "a finished statement still uses its transaction",
            )
        })?;
        transaction.commit().map_err(txn_error)?;
        Ok(Outcome::Done(applied))
    }

    /// Runs the changes and what reads them within the context's transaction. Every part sees the
    /// tables as they were before the statement: nothing is written before all parts have read,
    /// and keys are checked when all is written. A row that several parts would change is left to
    /// the first.
    pub(super) fn run_action(
        &mut self,
        action: &Action,
        context: &mut ExecContext,
    ) -> Result<Applied> {
        match action {
            Action::Change(change) => apply(self, change, context),
            Action::Query(query) => {
                run_init_plans(&query.plan.init, context)?;
                let mut operator = executor::build(&query.plan.root, context, None)?;
                let mut memory = MemoryMeter::new(context, "result")?;
                let mut rows = Vec::new();
                let mut row = RowBuffer::new();
                while operator.next(context, &mut row)? {
                    memory.grow(row_bytes(&row))?;
                    rows.push(std::mem::take(&mut row));
                }
                Ok(Applied {
                    affected: rows.len() as u64,
                    rows: Some(rows),
                })
            }
            Action::With { changes, statement } => {
                let mut taken = TakenRows::default();
                let mut parts = Vec::with_capacity(changes.len() + 1);
                for (slot, change) in changes {
                    let work = prepare(self, change, &mut taken, context)?;
                    let (work, rows) = returned_before(self, change, work, &mut taken, context)?;
                    context.put_aside(*slot, rows.unwrap_or_default());
                    parts.push((change, work));
                }
                let Action::Change(change) = &**statement else {
                    let applied = self.run_action(statement, context)?;
                    carry_out(self, parts, false, context)?;
                    return Ok(applied);
                };
                let change: &ChangeAction = change;
                let work = prepare(self, change, &mut taken, context)?;
                // Which rows are in the way of others shows when those of WITH are written.
                if matches!(work, Work::Upsert(_)) {
                    parts.push((change, work));
                    return carry_out(self, parts, true, context);
                }
                let (work, rows) = returned_before(self, change, work, &mut taken, context)?;
                parts.push((change, work));
                let affected = carry_out(self, parts, false, context)?.affected;
                Ok(Applied { affected, rows })
            }
            _ => Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "the statement changes no rows",
            )),
        }
    }

    /// Locks a table for writing rows; `false` where its definition is not the planned one any
    /// more. From then on the definition cannot change under the transaction.
    pub(super) fn lock_for_writing(
        &self,
        transaction: &Transaction,
        table: &TableHandle,
    ) -> Result<bool> {
        let read_only = self.open.as_ref().is_some_and(|open| open.read_only);
        if read_only && !table.table.schema.starts_with(super::temporary::PREFIX) {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                "cannot change data in a read-only transaction",
            ));
        }
        let locked = transaction.lock_table(
            table.keyspace,
            TableLockMode::IntentionExclusive,
            LockWait::Wait,
        );
        match locked {
            // Dropped or truncated since.
            Err(TxnError::Storage(StorageError::UnknownKeyspace(_))) => return Ok(false),
            locked => locked.map_err(txn_error)?,
        }
        if self.open.as_ref().is_some_and(|open| open.changed_catalog) {
            // The transaction itself may have made or changed it; others cannot have.
            let own = self.catalog().handle(table.table.id);
            return Ok(own.is_some_and(|own| own.table.version == table.table.version));
        }
        let newest = self.database.catalog().handle(table.table.id);
        Ok(newest.is_some_and(|newest| newest.table.version == table.table.version))
    }
}
